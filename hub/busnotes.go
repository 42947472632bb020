package hub

import "encoding/json"

// Kinds of payloads, their first byte, beside those of a batch.
const (
	kindEnd      = 'e' // all of these are JSON
	kindChange   = 'c'
	kindPresence = 'p'
	kindStop     = 's'
	kindStopped  = 'a' // an owner has heard of a stop
	kindRevoked  = 'r' // grants have ended
)

// openHead begins a stream elsewhere as it began here.
type openHead struct {
	Question *Message `json:"question"`
	Answer   Message  `json:"answer"`
}

type endNote struct {
	Stream  MessageID       `json:"stream"`
	Epoch   int64           `json:"epoch"`
	Seq     int64           `json:"seq"`
	Version int64           `json:"version"`
	Finish  json.RawMessage `json:"finish"`
}

type changeNote struct {
	Version int64           `json:"version"`
	Event   json.RawMessage `json:"event"`
	About   MessageID       `json:"about,omitempty"` // of what is told about a stream beside its events
}

type presenceNote struct {
	Replica string `json:"replica"`
	Viewers int    `json:"viewers"`
}

type stopNote struct {
	Message MessageID `json:"message,omitempty"`
	Session SessionID `json:"session,omitempty"` // deleted
	Deleted bool      `json:"deleted,omitempty"`
}

// revokeNote says which grants end: the ids of logins.
type revokeNote struct {
	Grants []string `json:"grants"`
}

func note(kind byte, v any) []byte { return append([]byte{kind}, encode(v)...) }
