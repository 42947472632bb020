package hub

import (
	"bytes"
	"encoding/json"
)

// Access is who asks, by what, what they may do, and in which sessions. Every call of the
// hub and of its [Store] for somebody's sake takes one, and nothing else decides what is
// allowed. It is a value that can be compared; the zero value may do nothing.
type Access struct {
	User    UserID // whose data it is about
	By      Means
	Grant   string    // the id of the login, key or link
	Scopes  Scope     // what they may do
	Session SessionID // the only session that they know of; "" for all of the user's
}

// Means is by what somebody asks.
type Means string

// The means. Only logins are given out so far.
const (
	ByLogin Means = "login"
	ByKey   Means = "key"
	ByLink  Means = "link"
	ByHub   Means = "hub" // the hub itself, for the sake of a user's answers
)

// Scope is a set of things that an access may do.
type Scope uint8

// The scopes. What an admin alone may do needs the user's role as well.
const (
	ScopeRead    Scope = 1 << iota // see
	ScopeChat                      // ask, stop and change
	ScopeAdmin                     // what an admin may
	ScopeAccount                   // change what the account consists of, and its providers

	AllScopes = ScopeRead | ScopeChat | ScopeAdmin | ScopeAccount
)

// scopeNames are the scopes as they are written in tokens.
var scopeNames = map[string]Scope{"read": ScopeRead, "chat": ScopeChat, "admin": ScopeAdmin, "account": ScopeAccount}

// ScopeOf returns the scope of a name, none if there is no such scope.
func ScopeOf(name string) Scope { return scopeNames[name] }

// Login is the access of a user who has logged in: all that the user may do.
func Login(user UserID, login string) Access {
	return Access{User: user, By: ByLogin, Grant: login, Scopes: AllScopes}
}

// Own is the access by which the server itself reads and stores what a user's answers need.
func Own(user UserID) Access { return Access{User: user, By: ByHub, Scopes: ScopeRead | ScopeChat} }

// May refuses what none of the scopes allows.
func (a Access) May(s Scope) error {
	if a.User == "" || a.Scopes&s == 0 {
		return &Error{Code: CodeForbidden, Msg: "your access does not allow this"}
	}
	return nil
}

// MayAll is May for what is not about one session.
func (a Access) MayAll(s Scope) error {
	if err := a.May(s); err != nil || a.Session == "" {
		return err
	}
	return &Error{Code: CodeForbidden, Msg: "your access is for one chat alone"}
}

// Knows says whether a session, if it is the user's, exists for the access.
func (a Access) Knows(id SessionID) bool { return a.Session == "" || a.Session == id }

// told is an event of a session's feed as the access may see it: who knows of one session
// alone is not told where the user's list stands. It is nil if nothing of it may be seen.
func (a Access) told(event []byte) []byte {
	if a.Session == "" || !bytes.HasPrefix(event, []byte(`{"type":"session",`)) {
		return event
	}
	var e sessionEvent
	if json.Unmarshal(event, &e) != nil {
		return nil
	}
	e.UserVersion = 0
	return encode(e)
}
