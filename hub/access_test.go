package hub

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/omnichat/omnichat/hub/eventlog"
)

// TestEveryCallAsksItsAccess calls all that is done for somebody's sake. A call that an
// access may make gets to the store, which is none here. The usage is everyone's, which is
// the admin's to see.
func TestEveryCallAsksItsAccess(t *testing.T) {
	reading := []string{"Attach", "Connect", "File", "Follow", "MessageChanges", "MessagePage", "Session"}
	readingAll := append([]string{"Endpoints", "Limits", "Models", "Prices", "SessionChanges", "Sessions", "UserSettings"}, reading...)
	slices.Sort(readingAll)
	for name, c := range map[string]struct {
		who Access
		may []string
	}{
		"nobody":        {},
		"no scope":      {who: Access{User: "u", By: ByKey}},
		"nobody's key":  {who: Access{By: ByKey, Scopes: AllScopes}},
		"reads one":     {who: Access{User: "u", By: ByLink, Scopes: ScopeRead, Session: "s"}, may: reading},
		"reads all":     {who: Access{User: "u", By: ByKey, Scopes: ScopeRead}, may: readingAll},
		"asks in one":   {who: Access{User: "u", By: ByLink, Scopes: ScopeChat, Session: "s"}, may: []string{"Ask", "Stop"}},
		"admin of one":  {who: Access{User: "u", By: ByLink, Scopes: ScopeAdmin | ScopeAccount, Session: "s"}},
		"admin's alone": {who: Access{User: "u", By: ByKey, Scopes: ScopeAdmin}, may: []string{"DeleteEndpoint", "DeletePrice", "PutEndpoint", "PutPrice", "Usage"}},
	} {
		var may []string
		of := reflect.TypeFor[*Hub]()
		for m := range of.Methods() {
			if m.Type.NumIn() < 3 || m.Type.In(2) != reflect.TypeFor[Access]() {
				continue
			}
			if !refuses(m, c.who) {
				may = append(may, m.Name)
			}
		}
		if !slices.Equal(may, c.may) {
			t.Errorf("%s may %v, want %v", name, may, c.may)
		}
	}
}

// refuses says whether a call is forbidden before anything is done.
func refuses(m reflect.Method, who Access) (refused bool) {
	defer func() { _ = recover() }() // there is no store
	in := []reflect.Value{reflect.ValueOf(New(nil, nil, nil, Options{})), reflect.ValueOf(context.Background()), reflect.ValueOf(who)}
	for i := len(in); i < m.Type.NumIn(); i++ {
		in = append(in, reflect.Zero(m.Type.In(i)))
	}
	out := m.Func.Call(in)
	err, _ := out[len(out)-1].Interface().(error)
	return CodeOf(err) == CodeForbidden
}

// TestALiveStreamIsItsSessionsAlone attaches by accesses of its session and of another to a
// stream that runs here, of which the store is not asked.
func TestALiveStreamIsItsSessionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1)
		s.bus.send = (*localClient).push
		session, answer := s.askDrip(t)
		for id, want := range map[SessionID]Code{session: "", "another": CodeNotFound} {
			who := Access{User: "u", By: ByLink, Scopes: ScopeRead, Session: id}
			v, err := s.replicas[0].hub.Attach(t.Context(), who, answer, eventlog.Lines, eventlog.FromStart)
			if CodeOf(err) != want {
				t.Errorf("an access of %q: %v", id, err)
			}
			if v != nil {
				v.Close()
			}
		}
		for _, r := range s.replicas {
			r.hub.Close()
		}
	})
}

// full is a store without room.
type full struct{ Store }

func (full) StoredBytes(context.Context, Access) (int64, error) { return 12345, nil }

func TestAnAccessOfOneSessionIsToldNothingOfTheUser(t *testing.T) {
	one := Access{User: "u", By: ByLink, Scopes: ScopeRead | ScopeChat, Session: "s"}
	li := &limits{userBytes: 100, store: full{}}
	if err := li.withinQuota(t.Context(), as("u"), 1); CodeOf(err) != CodeQuotaExceeded || !strings.Contains(err.Error(), "12") {
		t.Errorf("the user: %v", err)
	}
	if err := li.withinQuota(t.Context(), one, 1); CodeOf(err) != CodeQuotaExceeded || strings.ContainsAny(err.Error(), "0123456789") {
		t.Errorf("one of a session alone: %v", err)
	}
	whole := sessionEvent{Type: "session", UserVersion: 7, Session: Session{ID: "s", Title: "t", Version: 3}}
	event := encode(whole)
	if got := as("u").told(event); string(got) != string(event) {
		t.Errorf("the user is told %s", got)
	}
	whole.UserVersion = 0
	if got, want := one.told(event), encode(whole); string(got) != string(want) {
		t.Errorf("one of a session alone is told %s, want %s", got, want)
	}
}
