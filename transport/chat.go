package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/hub/eventlog"
)

// askBody is the body of POST /chat/stream and of a WebSocket's send.
type askBody struct {
	SessionID       *string         `json:"session_id"`
	MessageID       *string         `json:"message_id"`
	AnswerID        *string         `json:"answer_id"`
	ParentID        json.RawMessage `json:"parent_id"` // absent, null and an id differ
	Content         *string         `json:"content"`
	Model           *string         `json:"model"`
	Temperature     *float64        `json:"temperature"`
	TopP            *float64        `json:"top_p"`
	MaxTokens       *int            `json:"max_tokens"`
	ReasoningEffort *string         `json:"reasoning_effort"`
	Attachments     []string        `json:"attachments"`
}

func (b askBody) question() (q hub.Question, err error) {
	if q.SessionID, err = fieldID[hub.SessionID]("session_id", b.SessionID); err != nil {
		return q, err
	}
	if q.MessageID, err = fieldID[hub.MessageID]("message_id", b.MessageID); err != nil {
		return q, err
	}
	if q.AnswerID, err = fieldID[hub.MessageID]("answer_id", b.AnswerID); err != nil {
		return q, err
	}
	if b.ParentID != nil {
		var parent *string
		if json.Unmarshal(b.ParentID, &parent) != nil {
			return q, hub.Invalid("parent_id", "must be a string or null")
		}
		if q.ParentID, err = fieldID[hub.MessageID]("parent_id", parent); err != nil {
			return q, err
		}
		q.ParentGiven = true
	}
	if err := checkParameters(b.Temperature, b.MaxTokens, b.ReasoningEffort); err != nil {
		return q, err
	}
	for _, v := range b.Attachments {
		id, ok := hub.ParseID(v)
		if !ok {
			return q, hub.Invalid("attachments", "must be UUIDs")
		}
		q.Files = append(q.Files, hub.FileID(id))
	}
	switch {
	case b.TopP != nil && (*b.TopP < 0 || *b.TopP > 1):
		return q, hub.Invalid("top_p", "must be from 0 to 1")
	case b.Model != nil && len(*b.Model) > modelMax:
		return q, hub.Invalid("model", "is too long")
	}
	q.Content, q.Temperature, q.TopP, q.MaxTokens = b.Content, b.Temperature, b.TopP, b.MaxTokens
	if b.Model != nil {
		q.Model = *b.Model
	}
	if b.ReasoningEffort != nil {
		q.ReasoningEffort = *b.ReasoningEffort
	}
	return q, nil
}

// checkParameters holds for a question's and a session's alike.
func checkParameters(temperature *float64, maxTokens *int, effort *string) error {
	switch {
	case temperature != nil && (*temperature < 0 || *temperature > 2):
		return hub.Invalid("temperature", "must be from 0 to 2")
	case maxTokens != nil && (*maxTokens < 1 || *maxTokens > math.MaxInt32):
		return hub.Invalid("max_tokens", fmt.Sprintf("must be from 1 to %d", math.MaxInt32))
	case effort != nil && len(*effort) > effortMax:
		return hub.Invalid("reasoning_effort", "is too long")
	}
	return nil
}

// chats is the calls about sessions, their messages and their answers. It is safe for
// concurrent use.
type chats struct {
	ctx       context.Context // of event streams; the server's end ends it
	hub       *hub.Hub
	intake    *intake
	conns     *connections
	heavy     *queue // of calls that read much
	pages     *queue // of the pages of such calls, one after the other
	heartbeat time.Duration
	logger    *slog.Logger
}

// ask is POST /chat/stream.
func (ch *chats) ask(c echo.Context, who identity) error {
	var in askBody
	if err := ch.intake.readJSON(c, &in); err != nil {
		return err
	}
	q, err := in.question()
	if err != nil {
		return err
	}
	asked, err := ch.hub.Ask(c.Request().Context(), who.Access, q)
	if err != nil {
		return err
	}
	v, err := ch.hub.Follow(c.Request().Context(), who.Access, asked, eventlog.SSE)
	if err != nil {
		return err
	}
	return ch.stream(c, who, v)
}

// attach is GET /chat/stream/{message_id}.
func (ch *chats) attach(c echo.Context, who identity) error {
	id, err := pathID(c, "message_id", "message")
	if err != nil {
		return err
	}
	after, err := resumeFrom(c.Request().Header.Get("Last-Event-ID"), c.QueryParam("after"))
	if err != nil {
		return err
	}
	v, err := ch.hub.Attach(c.Request().Context(), who.Access, hub.MessageID(id), eventlog.SSE, after)
	if errors.Is(err, hub.ErrUpToDate) {
		return c.NoContent(http.StatusNoContent)
	}
	if err != nil {
		return err
	}
	return ch.stream(c, who, v)
}

// resumeFrom reads the position that a client stands at. The header, which a
// browser sets by itself, beats the query.
func resumeFrom(header, query string) (int64, error) {
	field, v := "Last-Event-ID", header
	if v == "" {
		field, v = "after", query
	}
	if v == "" {
		return eventlog.NoPosition, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return 0, hub.Invalid(field, "must be a seq")
	}
	return n, nil
}

// stop is DELETE /chat/stream/{message_id}.
func (ch *chats) stop(c echo.Context, who identity) error {
	id, err := pathID(c, "message_id", "message")
	if err != nil {
		return err
	}
	if err := ch.hub.Stop(c.Request().Context(), who.Access, hub.MessageID(id)); err != nil {
		return err
	}
	return c.NoContent(http.StatusAccepted)
}
