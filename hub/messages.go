package hub

import "context"

// MessageChanges lists the messages of a conversation, or those that changed after a
// version, in pages for MessagePage to read. A client that has its Version is told of all
// that changes while it reads the pages.
func (h *Hub) MessageChanges(ctx context.Context, who Access, session SessionID, after int64) (MessageChanges, error) {
	if err := who.May(ScopeRead); err != nil {
		return MessageChanges{}, err
	}
	return h.store.MessageChanges(ctx, who, session, after)
}

// MessagePage returns the messages of one of the Pages. Of an answer in flight,
// text and seq are of one moment.
func (h *Hub) MessagePage(ctx context.Context, who Access, session SessionID, p MessagePage) ([]Message, error) {
	if err := who.May(ScopeRead); err != nil {
		return nil, err
	}
	items, err := h.store.MessagePage(ctx, who, session, p)
	for i := range items {
		h.bringUp(ctx, &items[i])
	}
	return items, err
}

// bringUp gives an answer in flight the text that was shown of it.
func (h *Hub) bringUp(ctx context.Context, m *Message) {
	if m.Status != StatusStreaming {
		return
	}
	st := h.streams.of(m.ID)
	if st == nil {
		h.peers.text(ctx, m)
	}
	if st == nil {
		return
	}
	select {
	case <-st.ready:
	default:
		return // not shown to anyone yet
	}
	if st.log != nil {
		st.feed.mu.Lock()
		m.sayLog(st.log.Content())
		st.feed.mu.Unlock()
	}
}

// DeleteMessage stops and deletes a message and all that follows it.
func (h *Hub) DeleteMessage(ctx context.Context, who Access, session SessionID, id MessageID) error {
	if err := who.MayAll(ScopeChat); err != nil {
		return err
	}
	deleted, err := h.store.DeleteMessage(ctx, who, session, id)
	if err != nil {
		return err
	}
	for _, d := range deleted {
		event := encode(messageDeletedEvent{Type: "message_deleted", Version: d.Version, SessionID: session, MessageID: d.ID})
		h.feeds.publish(Topic{Session: session}, entry{event: event, version: d.Version})
		if !h.streams.delete(d.ID) {
			h.peers.tell(AllReplicas, kindStop, stopNote{Message: d.ID, Deleted: true})
		}
	}
	return nil
}
