package hub

import (
	"context"
	"time"
)

// Spending is one answer's entry in the books. It stays when the session is
// deleted. There is one for each answer, written with its end.
type Spending struct {
	ID      string // the answer's; fresh for a title
	User    UserID
	Session SessionID
	Model   string // "provider/model"
	Usage   Usage
	Title   bool // it made a title, and is no answer
	At      time.Time
}

// UsageBy is what usage is summed up by.
type UsageBy string

// The groupings of a [UsageQuery].
const (
	UsageByDay     UsageBy = "day" // UTC
	UsageByModel   UsageBy = "model"
	UsageBySession UsageBy = "session"
	UsageByUser    UsageBy = "user"
)

// UsageQuery asks for sums since a time.
type UsageQuery struct {
	User  UserID // whose; "" for everyone's
	By    UsageBy
	Since time.Time
}

// UsageSum is what one day, model, session or user used.
type UsageSum struct {
	Key             string `json:"key"`   // 2006-01-02, a model's id, a session's or a user's
	Label           string `json:"label"` // of one user a session's title, or a user's name; the key otherwise, also of what is deleted
	Answers         int64  `json:"answers"`
	Titles          int64  `json:"titles"` // that models made
	InputTokens     int64  `json:"input_tokens"`
	OutputTokens    int64  `json:"output_tokens"`
	CachedTokens    int64  `json:"cached_tokens"`
	ReasoningTokens int64  `json:"reasoning_tokens"`
	Cost            Money  `json:"cost"`
	Estimated       int64  `json:"estimated"` // answers and titles whose usage the provider did not report
	Unpriced        int64  `json:"unpriced"`  // answers and titles whose model's price was unknown
}

// UsageStore is the part of [Store] that keeps the books.
type UsageStore interface {
	// RecordUsage books what no answer's end books. The same ID is booked once.
	RecordUsage(ctx context.Context, s Spending) error
	// Usage sums up, by day in order, otherwise what costs most first, 1000 rows at most.
	Usage(ctx context.Context, q UsageQuery) ([]UsageSum, error)
	// UsedSince is what a user used since a time: input and output tokens, and money.
	UsedSince(ctx context.Context, who Access, since time.Time) (tokens int64, cost Money, err error)
	// StoredBytes counts the bytes of a user's files, and of the texts and thinking
	// of their messages.
	StoredBytes(ctx context.Context, who Access) (int64, error)

	// Prices are those that the admin has set.
	Prices(ctx context.Context) ([]ModelPrice, error)
	PutPrice(ctx context.Context, p ModelPrice) error
	DeletePrice(ctx context.Context, model string) error // NotFound if there is none
}

// complete estimates what is reported as nothing, as some servers do for every
// answer: no question is without a token, and no text.
func (u *Usage) complete(input, output int64) {
	if u.InputTokens <= 0 && input > 0 {
		u.InputTokens, u.Estimated = input, true
	}
	if u.OutputTokens <= 0 && output > 0 {
		u.OutputTokens, u.Estimated = output, true
	}
}

// add sums up two rounds of an answer. Their cost is unknown if that of one is.
func (u *Usage) add(o Usage) {
	u.InputTokens += o.InputTokens
	u.OutputTokens += o.OutputTokens
	u.CachedTokens += o.CachedTokens
	u.ReasoningTokens += o.ReasoningTokens
	u.Estimated = u.Estimated || o.Estimated
	if u.Cost == nil || o.Cost == nil {
		u.Cost = nil
		return
	}
	sum := *u.Cost + *o.Cost
	u.Cost = &sum
}

// tokensMax is more than any answer uses.
const tokensMax = 100_000_000

// bound mends counts that cannot be: what an endpoint reports may not spoil the
// books, nor lower what is used of a limit.
func (u *Usage) bound() {
	for _, n := range []*int64{&u.InputTokens, &u.OutputTokens, &u.CachedTokens, &u.ReasoningTokens} {
		*n = min(max(*n, 0), tokensMax)
	}
}

// Used is about what answers have used that have not ended.
type Used struct {
	Tokens int64 `json:"tokens"`
	Cost   Money `json:"cost"`
}

func (u *Used) add(o Used) {
	u.Tokens += o.Tokens
	u.Cost += o.Cost
}

// Usage is what an answer cost, in tokens, as the provider reports it.
type Usage struct {
	InputTokens     int64  `json:"input_tokens"`               // CachedTokens are among them
	OutputTokens    int64  `json:"output_tokens"`              // ReasoningTokens are among them
	CachedTokens    int64  `json:"cached_tokens,omitempty"`    // read from the provider's cache
	ReasoningTokens int64  `json:"reasoning_tokens,omitempty"` // thinking
	Estimated       bool   `json:"estimated,omitempty"`        // the provider did not report it
	Cost            *Money `json:"cost,omitempty"`             // nil: the model's price is unknown; set by the hub
}
