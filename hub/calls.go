package hub

import (
	"context"
	"time"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// UserSettings returns what the user has set for all of their sessions.
func (h *Hub) UserSettings(ctx context.Context, who Access) (UserSettings, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return UserSettings{}, err
	}
	return h.store.UserSettings(ctx, who)
}

// UpdateUserSettings changes it.
func (h *Hub) UpdateUserSettings(ctx context.Context, who Access, p UserSettingsPatch) (UserSettings, error) {
	if err := who.MayAll(ScopeChat); err != nil {
		return UserSettings{}, err
	}
	if p.FallbackModel != nil && *p.FallbackModel != "" {
		if err := h.catalogue.knownModel(ctx, who.User, "fallback_model", *p.FallbackModel); err != nil {
			return UserSettings{}, err
		}
	}
	return h.store.UpdateUserSettings(ctx, who, p)
}

// Usage sums up what was used: by the user, or by everyone, as an admin may see it.
func (h *Hub) Usage(ctx context.Context, who Access, q UsageQuery) ([]UsageSum, error) {
	scope := ScopeRead
	if q.User != who.User {
		scope = ScopeAdmin
	}
	if err := who.MayAll(scope); err != nil {
		return nil, err
	}
	return h.store.Usage(ctx, q)
}

// Prices is the table of prices: the admin's, then those that ship.
func (h *Hub) Prices(ctx context.Context, who Access) ([]ModelPrice, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return nil, err
	}
	custom, err := h.store.Prices(ctx)
	if err != nil {
		return nil, err
	}
	return append(custom, shippedPrices()...), nil
}

// PutPrice sets the price of a model, or of all whose names begin so.
func (h *Hub) PutPrice(ctx context.Context, who Access, p ModelPrice) error {
	if err := who.MayAll(ScopeAdmin); err != nil {
		return err
	}
	if p.Input < 0 || p.CachedInput < 0 || p.Output < 0 || p.Input > 1e6 || p.CachedInput > 1e6 || p.Output > 1e6 {
		return Invalid("input", "and the other prices must be from 0 to 1000000 dollars for a million tokens")
	}
	p.Custom = true
	err := h.store.PutPrice(ctx, p)
	h.catalogue.prices.forget()
	return err
}

// DeletePrice goes back to what ships.
func (h *Hub) DeletePrice(ctx context.Context, who Access, model string) error {
	if err := who.MayAll(ScopeAdmin); err != nil {
		return err
	}
	err := h.store.DeletePrice(ctx, model)
	h.catalogue.prices.forget()
	return err
}

// Limits returns the limits, and what the user has used of them.
func (h *Hub) Limits(ctx context.Context, who Access) (Limits, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return Limits{}, err
	}
	l := Limits{FileBytes: h.opt.FileBytes, FilesPerPrompt: h.opt.FilesPerPrompt, DailyTokens: h.opt.DailyTokens, DailyCost: h.opt.DailyCost}
	var err error
	if l.UsedTokens, l.UsedCost, err = h.store.UsedSince(ctx, who, today(time.Now())); err != nil {
		return l, err
	}
	l.Storage, err = h.limits.storage(ctx, who)
	return l, err
}

// OnRevoked has f called with the ids of the grants that any replica revokes,
// and with none after a break of the bus, when any may have been. f returns soon.
// It is not called any more once the function returned is.
func (h *Hub) OnRevoked(f func(grants []string)) (stop func()) { return h.revoked.listen(f) }

// Revoke says that grants have ended, which is stored: what is open by them is to
// end on all replicas. Those that the bus does not reach find it in the database.
func (h *Hub) Revoke(ctx context.Context, grants ...string) {
	h.revoked.tell(grants)
	h.peers.revoke(ctx, grants)
}

// Models lists what the user can ask, of all providers, the default model first.
// Of a provider that does not answer it has what that said before.
func (h *Hub) Models(ctx context.Context, who Access) (ModelList, error) {
	if err := who.MayAll(ScopeRead); err != nil {
		return ModelList{}, err
	}
	return h.catalogue.models(ctx, who.User)
}

// Ask stores a question and starts its answer, which goes on whatever becomes
// of ctx; Follow follows it. The same ids again find the same answer.
func (h *Hub) Ask(ctx context.Context, who Access, q Question) (Asked, error) {
	return h.asker.ask(ctx, who, q, SessionID(NewID()), func(*feed, Asked) {})
}

// Stop ends an answer and keeps what was shown of it. It returns nil, too, if
// the answer has ended already.
func (h *Hub) Stop(ctx context.Context, who Access, id MessageID) error {
	if err := who.May(ScopeChat); err != nil {
		return err
	}
	m, err := h.store.RequestStop(ctx, who, id)
	if err != nil {
		return err
	}
	if m.Role != RoleOfAssistant {
		return NotFound("message")
	}
	if st := h.streams.of(id); st != nil {
		st.cancel(errStopped)
	} else if m.Status == StatusStreaming {
		h.peers.hastenStop(ctx, id)
	}
	return nil
}

// Follow returns a viewer of the stream that an Ask made or found, from its start.
func (h *Hub) Follow(ctx context.Context, who Access, asked Asked, f eventlog.Framing) (*Viewer, error) {
	st := asked.stream
	if st == nil {
		return h.Attach(ctx, who, asked.Answer.ID, f, eventlog.FromStart)
	}
	return h.followOne(who, f, eventlog.FromStart, func(_ *Viewer, s *sub) (*liveLog, error) {
		h.feeds.join(s, Topic{Session: st.session})
		return st.log, nil
	})
}

// Attach returns a viewer of one stream that stands at the seq after:
// [eventlog.FromStart] and [eventlog.NoPosition] are allowed too. It returns
// [ErrUpToDate] if the stream has ended there.
func (h *Hub) Attach(ctx context.Context, who Access, id MessageID, f eventlog.Framing, after int64) (*Viewer, error) {
	return h.followOne(who, f, after, func(v *Viewer, s *sub) (*liveLog, error) { return v.findLog(ctx, s, id) })
}

// followOne returns a viewer of one stream, whose log find returns.
func (h *Hub) followOne(who Access, f eventlog.Framing, after int64, find func(*Viewer, *sub) (*liveLog, error)) (*Viewer, error) {
	if err := who.May(ScopeRead); err != nil {
		return nil, err
	}
	v := h.newViewer(who, f)
	s := &sub{viewer: v, single: true, held: true}
	l, err := find(v, s)
	if err == nil {
		err = s.follow(l, after)
	}
	if err != nil {
		if s.feed != nil {
			h.feeds.leave(s)
		}
		return nil, err
	}
	v.subs = []*sub{s}
	return v, nil
}
