package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/background"
)

// outbox publishes to the other replicas, in order and without having its callers wait. What
// it has no room for is dropped: versions heal what the others miss. All methods but run may
// be called concurrently.
type outbox struct {
	bus   Bus
	bg    *background.Group
	queue chan message
}

func newOutbox(bus Bus, bg *background.Group) *outbox {
	return &outbox{bus: bus, bg: bg, queue: make(chan message, 4096)}
}

// message is what is to be published.
type message struct {
	topic   Topic
	payload []byte
	end     *endNote
}

// tell is peers'. What the others miss, versions heal.
func (o *outbox) tell(t Topic, kind byte, v any) {
	o.post(message{topic: t, payload: note(kind, v)})
}

// tellEnd is peers'.
func (o *outbox) tellEnd(session SessionID, n endNote) {
	o.post(message{topic: Topic{Session: session}, payload: note(kindEnd, n), end: &n})
}

func (o *outbox) post(m message) {
	select {
	case o.queue <- m:
	default: // the bus is away or far behind
	}
}

// run publishes until ctx ends, and then what is left, for a second.
func (o *outbox) run(ctx context.Context) {
	out := func(ctx context.Context, m message) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := background.Guarded(o.bg.Logger, "publishing", func() (err error) {
			if m.end != nil {
				return o.bus.End(ctx, m.topic.Session, m.end.Stream, m.payload)
			}
			_, err = o.bus.Publish(ctx, m.topic, m.payload)
			return err
		})
		if err != nil {
			o.bg.Logger.Debug("publish", "err", err)
		}
	}
	for {
		select {
		case m := <-o.queue:
			out(ctx, m)
			continue
		case <-ctx.Done():
		}
		break
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for last.Err() == nil {
		select {
		case m := <-o.queue:
			out(last, m)
		default:
			return
		}
	}
}
