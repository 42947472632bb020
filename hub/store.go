package hub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// Store keeps sessions and messages. Everything it is asked for somebody's sake
// is looked up within what their [Access] knows of: all else is CodeNotFound. A
// database that is away is CodeUnavailable.
//
// Every change takes the next version of its session under the session's row
// lock, and every change to a user's list of sessions the next version of the
// user, in the transaction of the change. All methods may be called concurrently.
type Store interface {
	SessionStore
	MessageStore
	AnswerStore
	FileStore
	UsageStore
	SettingsStore
	User(ctx context.Context, id UserID) (User, error)
}

// SessionStore is the part of [Store] that keeps conversations.
type SessionStore interface {
	// CreateSession returns the session, at version 1, and the user's version.
	CreateSession(ctx context.Context, who Access, d SessionDraft) (Session, int64, error)
	Session(ctx context.Context, who Access, id SessionID) (Session, error)
	Sessions(ctx context.Context, who Access, q SessionQuery) (SessionPage, error)
	SessionChanges(ctx context.Context, who Access, after int64) (SessionChanges, error)
	// UpdateSession returns the session and the user's version.
	UpdateSession(ctx context.Context, who Access, id SessionID, p SessionPatch) (Session, int64, error)
	// DeleteSession deletes the session with all its messages and returns the
	// user's version.
	DeleteSession(ctx context.Context, who Access, id SessionID) (int64, error)
	// RetitleSession gives a session that still has the title from another one,
	// and returns it with the user's version; CodeNotFound if it has not.
	RetitleSession(ctx context.Context, who Access, id SessionID, from, to string) (Session, int64, error)
	// Versions reads the versions of those that exist, in one query for each kind.
	Versions(ctx context.Context, sessions []SessionID, users []UserID) (map[SessionID]int64, map[UserID]int64, error)
}

// MessageStore is the part of [Store] that keeps turns.
type MessageStore interface {
	Message(ctx context.Context, who Access, id MessageID) (Message, error)
	// MessageChanges with after 0 is the whole tree, with nothing deleted. It has
	// Pages, each of what may be held at a time, in the place of Items.
	MessageChanges(ctx context.Context, who Access, session SessionID, after int64) (MessageChanges, error)
	// MessagePage returns the messages of a page, but for those deleted meanwhile.
	MessagePage(ctx context.Context, who Access, session SessionID, p MessagePage) ([]Message, error)
	// DeleteMessage deletes a message and all that follows it. Each takes a
	// version of its own, in the order returned: a message before what follows it.
	DeleteMessage(ctx context.Context, who Access, session SessionID, id MessageID) ([]Deletion, error)
}

// Deletion is a message that was deleted, and the session's version for it.
type Deletion struct {
	ID      MessageID
	Version int64
}

// AnswerStore is the part of [Store] that follows an answer from its question
// to its end.
type AnswerStore interface {
	// Ask stores a question and its empty streaming answer, and the session if
	// there is none yet, in one transaction, or finds what an earlier Ask with
	// the same ids has made.
	Ask(ctx context.Context, q StoredQuestion) (Asked, error)
	// RequestStop stores that the answer is to stop, unless it has ended, and
	// returns the message.
	RequestStop(ctx context.Context, who Access, id MessageID) (Message, error)
	// EndAnswer stores the end of an answer if it is still streaming with this
	// epoch, and lets its journal go. It returns the session's new version, or
	// ErrFenced if the answer has another epoch, has ended or was deleted.
	EndAnswer(ctx context.Context, e AnswerEnd) (int64, error)
	// Answers returns the streaming answers of a session, and those in ids that
	// are in it, without what only a provider reads.
	Answers(ctx context.Context, session SessionID, ids []MessageID) ([]Message, error)
	// Standings says in one query where those of ids stand that are answers of the
	// session.
	Standings(ctx context.Context, session SessionID, ids []MessageID) ([]Standing, error)
	// Branch returns the conversation up to and with a message, root first: of
	// long ones the newest messages, as many as have most bytes together and one
	// at least, and how many older ones are left out.
	Branch(ctx context.Context, who Access, id MessageID, most int64) (newest []Message, left int, err error)
	// ClaimOrphans finds the streaming answers of dead owners, makes owner their
	// owner, raises their epoch, and returns some with what the journal has of
	// them. Repeating it is safe: what owner holds already is not returned
	// again unless it was claimed but not ended by a process that died. Where
	// replicas have leases, the dead are those whose lease ran out longer than
	// grace ago.
	ClaimOrphans(ctx context.Context, owner string, grace time.Duration) ([]Orphan, error)
	// Disown makes those of ids that are streaming and owner's nobody's, for
	// ClaimOrphans to find.
	Disown(ctx context.Context, owner string, ids []MessageID) error
}

// StoredQuestion is what Ask stores. Ids that the client did not bring have
// been made by the hub.
type StoredQuestion struct {
	FindOnly    bool // make nothing: without an earlier Ask of these ids, a zero Asked
	Who         Access
	Owner       string // the replica that will run the answer
	Session     SessionID
	NewSession  bool // open Session; an earlier Ask of the same ids may have opened another
	Title       string
	Model       string // the answer's, "provider/model"
	MessageID   MessageID
	OwnMessage  bool // MessageID is the client's: a key
	AnswerID    MessageID
	OwnAnswer   bool    // AnswerID is the client's: a key
	Content     *string // nil: answer the parent again, or continue it
	Parent      *MessageID
	ParentGiven bool // Parent is meant: nil starts a new root. Otherwise the newest message is followed
	Order       Order
	Files       []FileID // bound to the session and the question; NotFound, field attachments, if one is not the user's or is another session's
}

// Asked is what an Ask made or found.
type Asked struct {
	Found       bool // an earlier Ask made it: attach, do not generate
	Session     Session
	UserVersion int64
	Settings    UserSettings // the asker's; not if Found
	Question    *Message     // nil if no user message was made
	Answer      Message

	stream *stream // of the answer, if this Ask made it
}

// AnswerEnd is the one end of an answer.
type AnswerEnd struct {
	Session SessionID
	ID      MessageID
	Epoch   int64
	Seq     int64 // of the finish event
	Said
	Reason Reason
	Usage  *Usage // booked for the user, in the same transaction, if it is not nil
	Error  *Failure
	At     time.Time

	User       UserID
	Model      string // "provider/model", if another one answered than was asked; or ""
	Notices    []Notice
	ThinkingMS int64
	Opaque     []json.RawMessage
}

// ToolCalls are the calls among the answer's parts.
func (e *AnswerEnd) ToolCalls() []ToolCall { return toolCalls(e.Parts) }

// An Orphan is an answer whose owner has died, and which now belongs to the replica that has
// claimed it.
type Orphan struct {
	Message Message // with the new epoch
	User    UserID
	Order   Order
	Said    eventlog.Content // what the journal has; its Seq is 0 where that is the start event
	Lost    bool             // the journal may have had more
}

// Journal keeps what viewers were shown of answers that have not ended, so
// that the death of the process loses none of it. Append may be called concurrently.
type Journal interface {
	// Append stores a batch of new events of many streams at once; when it
	// returns nil they survive the process. A batch may be repeated after an
	// error: what is there already (same stream, epoch and seq) is read once. Where
	// there are several replicas, entries of answers that have another owner or epoch or
	// have ended are refused with a [FencedError], and the others stored: from the moment
	// at which [Store.ClaimOrphans] has read the journal, nothing of an owner that was taken
	// for dead comes after it.
	// The batch is the caller's again afterwards.
	Append(ctx context.Context, batch []JournalEntry) error
}

// JournalEntry is consecutive events of one stream.
type JournalEntry struct {
	Stream MessageID
	Owner  string // the replica; needed where there are several
	Epoch  int64
	From   int64            // the seq before the first event; 0 stands for all there is
	Seq    int64            // of the last event in it
	Deltas []eventlog.Delta // neighbours of one kind may be one
}

// Standing says where a stored answer stands.
type Standing struct {
	ID        MessageID
	Streaming bool
	Seq       int64
	Bytes     int64 // of its text
}
