package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"
)

const (
	messageFree    = 8 << 10          // bytes of a WebSocket message that every connection may have
	messageTimeout = 30 * time.Second // from a message's first frame to its last
)

// inbox reads a connection's messages. What has come of one that is not complete
// counts with that of the user's other connections, and is not waited for without
// end.
type inbox struct {
	conn  *websocket.Conn
	share *share // of the message that was returned last, or is being read
}

// next reads a message. Its bytes count until next is called again, or close.
func (in *inbox) next() (kind websocket.MessageType, data []byte, err error) {
	in.share.release()
	kind, r, err := in.conn.Reader(context.Background())
	if err != nil {
		return kind, nil, err
	}
	late := time.AfterFunc(messageTimeout, func() {
		_ = in.conn.Close(closeTooMany, "a message that does not end") // it may be gone already
	})
	defer late.Stop()
	var buf bytes.Buffer
	for {
		if buf.Len() > messageFree {
			if err := in.share.grow(int64(buf.Len()) - in.share.size + messageFree); err != nil {
				_ = in.conn.Close(closeTooMany, "too much is being sent at once")
				return kind, nil, err
			}
		}
		_, err := io.CopyN(&buf, r, messageFree)
		switch {
		case errors.Is(err, io.EOF):
			return kind, buf.Bytes(), nil
		case err != nil:
			return kind, nil, err
		}
	}
}

func (in *inbox) close() { in.share.release() }
