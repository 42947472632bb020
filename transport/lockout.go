package transport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Guesses at an account use up the attempts that strangers have. The account's owner can still
// log in from where they did before: a browser has a cookie that says so (OWASP's device
// cookie), and for clients that keep no cookies the address counts.
const (
	deviceCookie = "omnichat_device"
	deviceTTL    = 365 * 24 * time.Hour
	deviceNonce  = 16 // bytes
)

// nobody is in the place of an account that is not there.
const nobody hub.UserID = "00000000-0000-0000-0000-000000000000"

// lockout slows down guesses at passwords. All methods may be called concurrently.
type lockout struct {
	secret     []byte
	accounts   Accounts
	edge       *edge
	perIP      *throttle
	perAccount *throttle // strangers by account; known devices by themselves
	perPlace   *throttle // by account and address that it was logged in from
	rightIP    *throttle // logins that succeed: each costs hashing
	rightOne   *throttle // the same, by account
}

func newLockout(opt Options, accounts Accounts, edge *edge) *lockout {
	return &lockout{
		secret: opt.Secret, accounts: accounts, edge: edge,
		perIP: newThrottle(time.Second, 60, opt.now), perAccount: newThrottle(3*time.Second, 10, opt.now),
		perPlace: newThrottle(time.Second, 10, opt.now),
		rightIP:  newThrottle(time.Second/2, 120, opt.now), rightOne: newThrottle(time.Second, 40, opt.now),
	}
}

// mac is a code that this server alone can make, for one purpose.
func (lo *lockout) mac(purpose string, parts ...string) []byte {
	h := hmac.New(sha256.New, lo.secret)
	for _, part := range append([]string{purpose}, parts...) {
		_ = binary.Write(h, binary.BigEndian, int64(len(part))) // a hash takes all
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// deviceValue is the cookie of a browser that the account of that name was
// logged in with: it keeps the device's number if it has one.
func (lo *lockout) deviceValue(device, name string) string {
	if device == "" {
		var nonce [deviceNonce]byte
		rand.Read(nonce[:]) // never fails, see crypto/rand
		device = base64.RawURLEncoding.EncodeToString(nonce[:])
	}
	return device + "." + base64.RawURLEncoding.EncodeToString(lo.mac("device", device, strings.ToLower(name)))
}

// deviceOf is the number of the device that a request comes from, "" if the
// account of that name was not logged in there.
func (lo *lockout) deviceOf(c echo.Context, name string) string {
	value := cookie(c, deviceCookie)
	device, _, ok := strings.Cut(value, ".")
	if !ok || device == "" || !hmac.Equal([]byte(value), []byte(lo.deviceValue(device, name))) {
		return ""
	}
	return device
}

// loginTry is an attempt to log in that has begun. What it was is said before
// leave; one that was neither wrong nor right counts nothing.
type loginTry struct {
	wrong, right bool
	guesses      []func(failed bool)
	rights       []func(failed bool)
}

func (t *loginTry) leave() {
	for _, done := range t.guesses {
		done(t.wrong)
	}
	for _, done := range t.rights {
		done(t.right)
	}
}

// tryLogin begins an attempt to log in, or refuses it if there were too many. A name that no
// account can have is not counted by itself, as it may be long and would be remembered. The
// account's limit is looked at first, so that what it refuses does not count against the
// address, which others may share.
func (lo *lockout) tryLogin(c echo.Context, name string, user hub.UserID, device string) (t *loginTry, err error) {
	ctx, network, account := c.Request().Context(), lo.edge.networkOf(c), strings.ToLower(name)
	t = &loginTry{}
	defer func() {
		if err != nil {
			t.leave()
		}
	}()
	enter := func(into *[]func(bool), by *throttle, key string) {
		if err != nil {
			return
		}
		var done func(bool)
		if done, err = by.enter(ctx, key); err == nil {
			*into = append(*into, done)
		}
	}
	known, err := lo.accounts.LoggedInFrom(ctx, user, network) // for nobody, too: that takes as long
	switch {
	case device != "":
		enter(&t.guesses, lo.perAccount, "device "+device)
	case known:
		enter(&t.guesses, lo.perPlace, account+" "+network)
	case validName(name):
		enter(&t.guesses, lo.perAccount, account)
	}
	if device == "" {
		enter(&t.guesses, lo.perIP, network)
		enter(&t.rights, lo.rightIP, network)
	}
	if validName(name) {
		enter(&t.rights, lo.rightOne, account)
	}
	return t, err
}
