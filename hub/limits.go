package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/plain"
)

// limits is what users may use, and have used. It is safe for concurrent use.
type limits struct {
	dailyTokens int64 // of one user, UTC; no limit if 0
	dailyCost   Money
	userBytes   int64 // of one user's files and messages; no limit if 0
	store       Store
	streams     *streams
	peers       peers
}

// withinLimit refuses when the user has used up what is allowed for today.
func (li *limits) withinLimit(ctx context.Context, who Access) error {
	if li.dailyTokens == 0 && li.dailyCost == 0 {
		return nil
	}
	now := time.Now()
	tokens, cost, err := li.store.UsedSince(ctx, who, today(now))
	if err != nil {
		return err
	}
	// What the others run is as of their last renewal, a second ago or so.
	running := li.underWay()[who.User]
	elsewhere, err := li.peers.used(ctx, who.User)
	if err != nil {
		return err
	}
	running.add(elsewhere)
	tokens += running.Tokens
	cost += running.Cost
	var what string
	switch {
	case li.dailyTokens > 0 && tokens >= li.dailyTokens:
		what = "tokens"
	case li.dailyCost > 0 && cost >= li.dailyCost:
		what = "money"
	default:
		return nil
	}
	return &Error{
		Code: CodeDailyLimit, Msg: "your " + what + " for today are used up; they are renewed at midnight, UTC",
		RetryAfter: today(now).Add(24 * time.Hour).Sub(now),
	}
}

// underWay is what each user's answers have used that run here, if there is a
// limit that it counts for.
func (li *limits) underWay() map[UserID]Used {
	if li.dailyTokens == 0 && li.dailyCost == 0 {
		return nil
	}
	used := map[UserID]Used{}
	for _, st := range li.streams.unended() {
		if st.over.Load() { // the books have it
			continue
		}
		u := used[st.user]
		u.add(st.used())
		used[st.user] = u
	}
	return used
}

// used estimates what the answer has used up to now.
func (st *stream) used() Used {
	st.mu.Lock()
	defer st.mu.Unlock()
	u := Used{Tokens: st.input + int64(st.size/4)}
	if st.price != nil {
		u.Cost = st.price.Cost(Usage{InputTokens: st.input, OutputTokens: int64(st.size / 4)})
	}
	return u
}

// Storage is what a user's files and messages take.
type Storage struct {
	Used  int64 `json:"used"`  // bytes
	Quota int64 `json:"quota"` // 0: no limit
}

func (li *limits) storage(ctx context.Context, who Access) (Storage, error) {
	used, err := li.store.StoredBytes(ctx, who)
	return Storage{Used: used, Quota: li.userBytes}, err
}

// withinQuota refuses what would take the user over the quota. An answer's own
// bytes are known only at its end, and never refused: it may go over by as much.
func (li *limits) withinQuota(ctx context.Context, who Access, more int64) error {
	if li.userBytes == 0 {
		return nil
	}
	s, err := li.storage(ctx, who)
	if err != nil || s.Used < s.Quota && more <= s.Quota-s.Used {
		return err
	}
	if who.MayAll(ScopeRead) != nil { // what others have stored is not theirs to know
		return &Error{Code: CodeQuotaExceeded, Msg: "this chat's owner has no room left for this"}
	}
	return &Error{
		Code: CodeQuotaExceeded,
		Msg:  "you have used " + plain.Size(s.Used) + " of " + plain.Size(s.Quota) + ", which leaves no room for this; delete chats or files to make room",
	}
}

// size is what the question itself adds; its files are counted since they came.
func (q StoredQuestion) size() int64 {
	if q.Content == nil {
		return 0
	}
	return int64(len(*q.Content))
}

// Limits is what people are told before they meet it.
type Limits struct {
	FileBytes      int64 `json:"file_bytes"`       // of one attached file
	FilesPerPrompt int   `json:"files_per_prompt"` // attached to one question
	DailyTokens    int64 `json:"daily_tokens"`     // of one user; 0: no limit
	DailyCost      Money `json:"daily_cost"`       // of one user; 0: no limit
	UsedTokens     int64 `json:"used_tokens"`      // today, UTC
	UsedCost       Money `json:"used_cost"`

	Storage Storage `json:"storage"`
}

func today(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }
