package repo

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

type spendingRow struct {
	bun.BaseModel `bun:"table:spendings"`

	ID              string `bun:",pk"`
	UserID          hub.UserID
	SessionID       hub.SessionID `bun:",nullzero"`
	Model           string
	InputTokens     int64
	OutputTokens    int64
	CachedTokens    int64
	ReasoningTokens int64
	Cost            *int64 // as in messageRow
	Estimated       bool
	Title           bool
	At              time.Time
}

func spendingOf(s hub.Spending) *spendingRow {
	return &spendingRow{
		ID: s.ID, UserID: s.User, SessionID: s.Session, Model: s.Model,
		InputTokens: s.Usage.InputTokens, OutputTokens: s.Usage.OutputTokens, CachedTokens: s.Usage.CachedTokens,
		ReasoningTokens: s.Usage.ReasoningTokens, Cost: (*int64)(s.Usage.Cost), Estimated: s.Usage.Estimated, Title: s.Title, At: s.At,
	}
}

// book stores a spending and says whether its id was free.
func (r *Repo) book(ctx context.Context, tx bun.Tx, row *spendingRow) (bool, error) {
	res, err := r.bound.book.exec(ctx, tx, bookedSpending(row)...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// spend books an answer with its end, which is stored once.
func (r *Repo) spend(ctx context.Context, tx bun.Tx, e hub.AnswerEnd, model string) error {
	if e.Usage == nil || e.User == "" {
		return nil
	}
	row := spendingOf(hub.Spending{ID: string(e.ID), User: e.User, Session: e.Session, Model: model, Usage: *e.Usage, At: e.At})
	booked, err := r.book(ctx, tx, row)
	if err == nil && !booked {
		// A client may use the id of a deleted answer again: not for free.
		row.ID = hub.NewID()
		_, err = r.book(ctx, tx, row)
	}
	return err
}

// RecordUsage is hub.UsageStore's.
func (r *Repo) RecordUsage(ctx context.Context, s hub.Spending) error {
	return r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
		_, err := r.book(ctx, tx, spendingOf(s))
		return err
	})
}

// usageGroup is how a grouping is written.
type usageGroup struct{ by, label, order string }

// usageGroup returns a grouping. A session's title is its owner's alone: in
// everyone's sums it has none.
func (r *Repo) usageGroup(q hub.UsageQuery) (g usageGroup, ok bool) {
	g = usageGroup{label: "NULL", order: "cost DESC, input_tokens + output_tokens DESC, key"}
	switch q.By {
	case hub.UsageByDay:
		g.by, g.order = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", "key"
		if r.gate != nil {
			g.by = "substr(at, 1, 10)"
		}
	case hub.UsageByModel:
		g.by = "model"
	case hub.UsageBySession:
		g.by, g.label = "session_id", "(SELECT title FROM sessions WHERE id = g AND user_id = ?0)"
	case hub.UsageByUser:
		g.by, g.label = "user_id", "(SELECT username FROM users WHERE id = g)"
	}
	return g, g.by != ""
}

// Usage is hub.UsageStore's.
func (r *Repo) Usage(ctx context.Context, q hub.UsageQuery) ([]hub.UsageSum, error) {
	g, ok := r.usageGroup(q)
	if !ok {
		return nil, hub.Invalid("by", "must be day, model, session or user")
	}
	user, whose := &q.User, " AND user_id = ?0"
	if q.User == "" {
		user, whose = nil, ""
	}
	out := []hub.UsageSum{}
	err := r.db.NewRaw(`SELECT coalesce(CAST(g AS TEXT), '') AS key, coalesce(`+g.label+`, CAST(g AS TEXT), '') AS label, answers, titles,
			input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost, estimated, unpriced
		FROM (
			SELECT `+g.by+` AS g, count(*) FILTER (WHERE NOT title) AS answers, count(*) FILTER (WHERE title) AS titles,
				CAST(sum(input_tokens) AS BIGINT) AS input_tokens, CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
				CAST(sum(cached_tokens) AS BIGINT) AS cached_tokens, CAST(sum(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
				CAST(coalesce(sum(cost), 0) AS BIGINT) AS cost,
				count(*) FILTER (WHERE estimated) AS estimated, count(*) FILTER (WHERE cost IS NULL) AS unpriced
			FROM spendings WHERE at >= ?1`+whose+` GROUP BY 1
		) AS sums ORDER BY `+g.order+` LIMIT 1000`, user, q.Since).Scan(ctx, &out)
	return out, fail(err)
}

// UsedSince is hub.UsageStore's.
func (r *Repo) UsedSince(ctx context.Context, who hub.Access, since time.Time) (tokens int64, cost hub.Money, err error) {
	err = r.db.NewRaw(`SELECT CAST(coalesce(sum(input_tokens + output_tokens), 0) AS BIGINT), CAST(coalesce(sum(cost), 0) AS BIGINT)
		FROM spendings WHERE user_id = ? AND at >= ?`, who.User, since).Scan(ctx, &tokens, &cost)
	return tokens, cost, fail(err)
}
