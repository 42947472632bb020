package hub

import "time"

// Role is what a user may do beside chatting.
type Role string

// The first user is the admin.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
)

// User is an account.
type User struct {
	ID          UserID    `json:"id"`
	Username    string    `json:"username"`
	DisplayName string    `json:"display_name"`
	Role        Role      `json:"role"`
	CreatedAt   time.Time `json:"created_at"`
}

// Grant is one refresh token of a login. All that descend from one login share
// a family and are revoked together.
type Grant struct {
	Hash      [32]byte // SHA-256 of the token; the token itself is never stored
	Family    string   // a UUID; access tokens name it as "sid"
	User      UserID
	ExpiresAt time.Time
	Reused    bool // it was refused and its family revoked, as an older token than the one just replaced was used
}
