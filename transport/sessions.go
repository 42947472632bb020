package transport

import (
	"math"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Limits of a session's fields, in characters.
const (
	titleMax  = 200
	modelMax  = 200
	promptMax = 100_000
	effortMax = 20
)

type sessionBody struct {
	Title           optional[string]  `json:"title"`
	Model           optional[string]  `json:"model"`
	SystemPrompt    optional[string]  `json:"system_prompt"`
	Temperature     optional[float64] `json:"temperature"`
	MaxTokens       optional[int]     `json:"max_tokens"`
	ReasoningEffort optional[string]  `json:"reasoning_effort"`
}

// readSession reads the body of a session that is made or changed.
func (ch *chats) readSession(c echo.Context) (in sessionBody, err error) {
	if err := ch.intake.readOptionalJSON(c, &in); err != nil {
		return in, err
	}
	for _, f := range []struct {
		name  string
		value optional[string]
		most  int
	}{{"title", in.Title, titleMax}, {"model", in.Model, modelMax}, {"system_prompt", in.SystemPrompt, promptMax}} {
		if err := checkText(f.name, f.value, f.most); err != nil {
			return in, err
		}
	}
	return in, checkParameters(in.Temperature.value, in.MaxTokens.value, in.ReasoningEffort.value)
}

// createSession is POST /sessions.
func (ch *chats) createSession(c echo.Context, who identity) error {
	in, err := ch.readSession(c)
	if err != nil {
		return err
	}
	d := hub.SessionDraft{Parameters: hub.Parameters{Temperature: in.Temperature.value, MaxTokens: in.MaxTokens.value}}
	for _, f := range []struct {
		to   *string
		from optional[string]
	}{{&d.Title, in.Title}, {&d.Model, in.Model}, {&d.SystemPrompt, in.SystemPrompt}, {&d.Parameters.ReasoningEffort, in.ReasoningEffort}} {
		if f.from.value != nil {
			*f.to = *f.from.value
		}
	}
	session, err := ch.hub.CreateSession(c.Request().Context(), who.Access, d)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, session)
}

// listSessions is GET /sessions: a page, or what changed.
func (ch *chats) listSessions(c echo.Context, who identity) error {
	if c.QueryParam("after_version") != "" {
		after, err := queryInt(c, "after_version", 0, math.MaxInt64, 0)
		if err != nil {
			return err
		}
		changes, err := ch.hub.SessionChanges(c.Request().Context(), who.Access, after)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, changes)
	}
	limit, err := queryInt(c, "limit", 1, 200, 50)
	if err != nil {
		return err
	}
	q := c.QueryParam("q")
	if !utf8.ValidString(q) || strings.ContainsRune(q, 0) || len(q) > 1000 {
		return hub.Invalid("q", "must be valid UTF-8 without U+0000, of at most 1000 bytes")
	}
	leave := func() {}
	if q != "" { // all that was ever said may be read for it
		if leave, err = waitInQueue(c, ch.heavy, who.User); err != nil {
			return err
		}
	}
	page, err := ch.hub.Sessions(c.Request().Context(), who.Access, hub.SessionQuery{Text: q, Limit: int(limit), Cursor: c.QueryParam("cursor")})
	leave()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, page)
}

// getSession is GET /sessions/{id}.
func (ch *chats) getSession(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "session")
	if err != nil {
		return err
	}
	session, err := ch.hub.Session(c.Request().Context(), who.Access, hub.SessionID(id))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, session)
}

// patchSession is PATCH /sessions/{id}.
func (ch *chats) patchSession(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "session")
	if err != nil {
		return err
	}
	in, err := ch.readSession(c)
	if err != nil {
		return err
	}
	if in == (sessionBody{}) { // nothing to change, nothing to tell the others
		return ch.getSession(c, who)
	}
	p := hub.SessionPatch{
		Title: in.Title.value, Model: in.Model.value, SystemPrompt: in.SystemPrompt.value,
		Temperature: in.Temperature.change(), MaxTokens: in.MaxTokens.change(), ReasoningEffort: in.ReasoningEffort.value,
	}
	if in.ReasoningEffort.given && p.ReasoningEffort == nil {
		p.ReasoningEffort = new("") // the model's own, as null is for the others
	}
	session, err := ch.hub.UpdateSession(c.Request().Context(), who.Access, hub.SessionID(id), p)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, session)
}

// deleteSession is DELETE /sessions/{id}.
func (ch *chats) deleteSession(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "session")
	if err != nil {
		return err
	}
	if err := ch.hub.DeleteSession(c.Request().Context(), who.Access, hub.SessionID(id)); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// deleteMessage is DELETE /sessions/{id}/messages/{message_id}.
func (ch *chats) deleteMessage(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "message")
	if err != nil {
		return err
	}
	message, err := pathID(c, "message_id", "message")
	if err != nil {
		return err
	}
	if err := ch.hub.DeleteMessage(c.Request().Context(), who.Access, hub.SessionID(id), hub.MessageID(message)); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
