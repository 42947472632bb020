package repo

import (
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/omnichat/omnichat/hub"
)

// within is the condition that a row is the user's, and of the session that an access is
// for. user and session name the columns that say so.
func within(who hub.Access, user, session string) schema.QueryWithArgs {
	if who.Session == "" {
		return bun.SafeQuery(user+" = ?", who.User)
	}
	return bun.SafeQuery(user+" = ? AND "+session+" = ?", who.User, who.Session)
}
