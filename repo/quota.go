package repo

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// StoredBytes is hub.UsageStore's. Triggers keep the sizes of sessions.
func (r *Repo) StoredBytes(ctx context.Context, who hub.Access) (size int64, err error) {
	err = r.db.NewRaw(`SELECT CAST(
		coalesce((SELECT sum(z.bytes) FROM session_sizes AS z JOIN sessions AS s ON s.id = z.session_id WHERE s.user_id = ?0), 0)
		+ coalesce((SELECT sum(size) FROM files WHERE user_id = ?0), 0) AS BIGINT)`, who.User).Scan(ctx, &size)
	return size, fail(err)
}

// recount counts the bytes of a session, whose row is locked, after messages of
// it were deleted: a trigger would do it once for each.
func recount(ctx context.Context, tx bun.Tx, session hub.SessionID) error {
	_, err := tx.NewRaw(`UPDATE session_sizes SET bytes = (
		SELECT coalesce(sum(octet_length(content) + octet_length(reasoning)), 0) FROM messages WHERE session_id = ?0
	) WHERE session_id = ?0`, session).Exec(ctx)
	return err
}
