package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// listMessages is GET /sessions/{id}/messages. It writes [hub.MessageChanges] page
// by page. While the client reads one, nothing else of them is held, nor anything
// of the database.
func (ch *chats) listMessages(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "session")
	if err != nil {
		return err
	}
	after, err := queryInt(c, "after_version", 0, math.MaxInt64, 0)
	if err != nil {
		return err
	}
	h := history{chats: ch, c: c, who: who.Access, session: hub.SessionID(id)}
	changes, err := h.changes(after)
	if err != nil {
		return err
	}
	h.next.WriteString(`{"items":[`)
	for _, p := range changes.Pages {
		if err := h.read(p); err != nil {
			return h.fail(err)
		}
		h.write()
	}
	deleted, err := json.Marshal(changes.Deleted)
	if err != nil {
		return h.fail(err)
	}
	fmt.Fprintf(&h.next, "],\"deleted\":%s,\"version\":%d}\n", deleted, changes.Version)
	h.write()
	return nil
}

// history is the messages of a session on their way to a client.
type history struct {
	chats   *chats
	c       echo.Context
	who     hub.Access
	session hub.SessionID
	next    bytes.Buffer // what is written next
	items   bool         // there were some
}

// changes looks through the whole session, which counts as much.
func (h *history) changes(after int64) (hub.MessageChanges, error) {
	leave, err := waitInQueue(h.c, h.chats.heavy, h.who.User)
	if err != nil {
		return hub.MessageChanges{}, err
	}
	defer leave()
	return h.chats.hub.MessageChanges(h.c.Request().Context(), h.who, h.session, after)
}

// read appends the messages of a page.
func (h *history) read(p hub.MessagePage) error {
	leave, err := waitInQueue(h.c, h.chats.pages, h.who.User)
	if err != nil {
		return err
	}
	defer leave()
	messages, err := h.chats.hub.MessagePage(h.c.Request().Context(), h.who, h.session, p)
	if err != nil {
		return err
	}
	for i := range messages {
		b, err := json.Marshal(messages[i])
		if err != nil {
			return err
		}
		messages[i] = hub.Message{} // its text may be long
		if h.items {
			h.next.WriteByte(',')
		}
		h.items = true
		h.next.Write(b)
	}
	return nil
}

// write gives the client what was read, for which it may take its time.
func (h *history) write() {
	w := h.c.Response()
	if !w.Committed {
		w.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		w.WriteHeader(http.StatusOK)
	}
	_, err := w.Write(h.next.Bytes())
	h.next = bytes.Buffer{} // a long message's is not kept
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
}

// fail answers with an error, or breaks off what is written in part: the client
// must not take it for the whole.
func (h *history) fail(err error) error {
	if !h.c.Response().Committed {
		return err
	}
	h.c.Echo().HTTPErrorHandler(err, h.c) // which logs it
	panic(http.ErrAbortHandler)
}
