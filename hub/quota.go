package hub

import (
	"context"

	"github.com/omnichat/omnichat/hub/plain"
)

// Storage is what a user's files and messages take.
type Storage struct {
	Used  int64 `json:"used"`  // bytes
	Quota int64 `json:"quota"` // 0: no limit
}

func (li *limits) storage(ctx context.Context, user UserID) (Storage, error) {
	used, err := li.store.StoredBytes(ctx, user)
	return Storage{Used: used, Quota: li.userBytes}, err
}

// withinQuota refuses what would take the user over the quota. An answer's own
// bytes are known only at its end, and never refused: it may go over by as much.
func (li *limits) withinQuota(ctx context.Context, user UserID, more int64) error {
	if li.userBytes == 0 {
		return nil
	}
	s, err := li.storage(ctx, user)
	if err != nil || s.Used < s.Quota && more <= s.Quota-s.Used {
		return err
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
