package repo

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/omnichat/omnichat/hub"
)

// sealVersion is a sealed key's first byte; what follows is AES-256-GCM's, with
// a random nonce.
const sealVersion = 1

// newSeal returns what seals keys, nil without a secret.
func newSeal(secret []byte) (cipher.AEAD, error) {
	if len(secret) == 0 {
		return nil, nil
	}
	if len(secret) != 32 {
		return nil, fmt.Errorf("the secret for keys has %d bytes, not 32", len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealedFor is what a sealed key is bound to: it opens in no other row, and
// for no other address.
func sealedFor(e hub.Endpoint) ([]byte, error) {
	return json.Marshal([]any{sealVersion, e.Owner, e.Name, e.Kind, e.BaseURL})
}

// sealKey encrypts an endpoint's key.
func sealKey(seal cipher.AEAD, e hub.Endpoint) ([]byte, error) {
	if seal == nil {
		return nil, &hub.Error{Code: hub.CodeUnavailable, Msg: "the server keeps no keys: its setting OMNICHAT_KEY_SECRET is missing"}
	}
	bound, err := sealedFor(e)
	if err != nil {
		return nil, err
	}
	return seal.Seal([]byte{sealVersion}, nil, []byte(e.APIKey), bound), nil
}

// openKey decrypts an endpoint's key.
func openKey(seal cipher.AEAD, sealed []byte, e hub.Endpoint) (string, error) {
	switch {
	case len(sealed) == 0:
		return "", nil
	case seal == nil:
		return "", errors.New("OMNICHAT_KEY_SECRET is missing")
	case sealed[0] != sealVersion:
		return "", fmt.Errorf("sealed in the unknown way %d", sealed[0])
	}
	bound, err := sealedFor(e)
	if err != nil {
		return "", err
	}
	key, err := seal.Open(nil, nil, sealed[1:], bound)
	if err != nil {
		return "", fmt.Errorf("OMNICHAT_KEY_SECRET is another one, or the row was changed: %w", err)
	}
	return string(key), nil
}
