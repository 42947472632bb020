package hub

import (
	"context"
	"errors"
	"time"
)

// ErrLogLost says that the bus has no log of the stream, or not all of it: it
// must be opened again, with the whole answer.
var ErrLogLost = errors.New("the stream's log is lost")

// Topic names a feed: one of the two is set; or it is [AllReplicas].
type Topic struct {
	Session SessionID
	User    UserID
}

// AllReplicas is the topic that every replica listens to.
var AllReplicas = Topic{}

// Bus is what replicas share of answers in flight: a log for each stream, and
// topics that what is new is published on. What it keeps may be lost at any
// time, and what it publishes may be missed; the database has the rest of the
// truth. All methods may be called concurrently; Run is called once.
type Bus interface {
	// Run delivers to c what is published on the topics listened to, one call
	// at a time, until ctx ends.
	Run(ctx context.Context, c BusClient)
	// Listen asks for a topic's messages. It does not wait: c is told by Joined.
	Listen(t Topic)
	// Leave ends a Listen.
	Leave(t Topic)
	// Publish sends a message to all replicas that listen, and returns how many did.
	Publish(ctx context.Context, t Topic, payload []byte) (heard int, err error)
	// Ship appends batches to logs and publishes each on its session's topic,
	// atomically for each. The errors are those of the batches: [ErrFenced] if
	// the log has another epoch, [ErrLogLost] if there is no log to append to,
	// nil also for what the log has already. With err nothing is known.
	Ship(ctx context.Context, batches []Batch) (refused []error, err error)
	// Read returns what a log has after a seq.
	Read(ctx context.Context, s SessionID, id MessageID, after int64) (Tail, error)
	// Takeover raises a log's epoch, so that nothing of a lower one is appended
	// any more, and returns all that the log has. It may be repeated.
	Takeover(ctx context.Context, s SessionID, id MessageID, epoch int64) (Tail, error)
	// End publishes a stream's end and keeps its log for a few minutes more.
	End(ctx context.Context, s SessionID, id MessageID, payload []byte) error
	// Up says whether the bus answers, and why not.
	Up() error
}

// A BusClient receives what a [Bus] delivers, one call at a time. Its methods return soon.
type BusClient interface {
	// Joined says that the topic's messages come from here on. After a break it
	// is said again: what was published meanwhile is missed.
	Joined(t Topic)
	Receive(t Topic, payload []byte)
	// Reconnected says that the bus was away, or came back without its logs.
	Reconnected()
}

// Batch is consecutive events of one stream, as they lie in its log.
type Batch struct {
	Session SessionID
	Stream  MessageID
	Epoch   int64
	Open    bool  // makes the log: the batch is all there is. Only the confirmed owner may
	From    int64 // the seq before the batch
	Seq     int64 // the last one in it
	Payload []byte
}

// Tail is what a log has.
type Tail struct {
	Lost     bool // there is no log
	Epoch    int64
	Payloads [][]byte
}

// Leases says which replicas live, by the database's clock. All methods may be called
// concurrently.
type Leases interface {
	// Renew keeps the replica alive, and returns the oldest format of those that live:
	// a replica of before there were formats has 1.
	Renew(ctx context.Context, replica string, r Renewal) (oldest int, err error)
	// UsedElsewhere is what a user's answers have used that are under way at all
	// replicas but this one.
	UsedElsewhere(ctx context.Context, replica string, user UserID) (Used, error)
	// Release ends the replica's lease.
	Release(ctx context.Context, replica string) error
	// Owned returns the answers that the replica owns and that have not ended.
	Owned(ctx context.Context, replica string) ([]Ownership, error)
}

// Renewal is what a replica says of itself when it renews its lease.
type Renewal struct {
	TTL    time.Duration   // from now on
	Format int             // the newest one in which it can read what others write
	Used   map[UserID]Used // by answers under way
}

// Ownership is a streaming answer as the database knows it.
type Ownership struct {
	ID    MessageID
	Epoch int64
	Stop  bool // a person asked for it to stop
}
