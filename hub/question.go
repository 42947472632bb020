package hub

// Question is what a person asks: the body of POST /chat/stream and of a
// WebSocket's send, with its ids parsed.
type Question struct {
	SessionID   *SessionID // nil opens a session
	MessageID   *MessageID // the client's id for the user message
	AnswerID    *MessageID // the client's id for the answer
	ParentID    *MessageID
	ParentGiven bool    // false: the newest message is followed; true and nil: a new root
	Content     *string // nil answers or continues the parent
	Model       string  // "provider/model", or "" for the session's or the default one

	Files           []FileID // of the new user message
	Temperature     *float64
	TopP            *float64
	MaxTokens       *int
	ReasoningEffort string
}
