package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/omnichat/omnichat/repo"
)

// signingKey returns the key that signs access tokens: the setting, or the one
// in the data folder, which is made on the first start.
func signingKey(setting, dataDir string) ([]byte, error) {
	if setting != "" {
		return []byte(setting), nil
	}
	path := filepath.Join(dataDir, "jwt-secret")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) < 32 {
		return nil, fmt.Errorf("the signing key in %s is damaged; delete it to have a new one made", path)
	}
	return key, nil
}

func makeKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails, see crypto/rand
	if err := os.WriteFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("keep the signing key: %w", err)
	}
	return key, nil
}

// secretOf is the signing key: the one that is set, the database's where
// replicas share it, or the data folder's.
func secretOf(ctx context.Context, cfg Config, db *repo.Repo) ([]byte, error) {
	if cfg.JWTSecret != "" || cfg.RedisURL == "" {
		return signingKey(cfg.JWTSecret, cfg.DataDir)
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	key, err := db.SealedSecret(ctx, "jwt", fresh)
	if err != nil {
		return nil, fmt.Errorf("the signing key in the database: %w", err)
	}
	return key, nil
}

// sealKey is the key that encrypts API keys at rest; nil if the only secret
// there is lies in the database with them.
func sealKey(cfg Config) ([]byte, error) {
	secret := []byte(cfg.KeySecret)
	if len(secret) == 0 {
		if cfg.JWTSecret == "" && cfg.RedisURL != "" {
			return nil, nil
		}
		var err error
		if secret, err = signingKey(cfg.JWTSecret, cfg.DataDir); err != nil {
			return nil, err
		}
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "omnichat api keys", 32)
	if err != nil {
		return nil, fmt.Errorf("make the key that encrypts API keys: %w", err)
	}
	return key, nil
}
