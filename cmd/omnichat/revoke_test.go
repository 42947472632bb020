package main

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// login is a client and what it logs out with.
type login struct {
	*client
	refresh string
}

func (s *server) login(name string) login {
	s.t.Helper()
	res, err := http.PostForm(s.base+"/token", url.Values{"username": {name}, "password": {"correct horse"}})
	if err != nil {
		s.t.Fatal(err)
	}
	var out struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	if err := decodeBody(res, &out); err != nil || out.RefreshToken == "" {
		s.t.Fatalf("log in: %s, %v", res.Status, err)
	}
	return login{&client{s: s, token: out.AccessToken}, out.RefreshToken}
}

func (l login) logOut() {
	l.s.t.Helper()
	res, err := http.PostForm(l.s.base+"/token/revoke", url.Values{"token": {l.refresh}})
	if err == nil {
		res.Body.Close()
	}
	if err != nil || res.StatusCode != http.StatusOK {
		l.s.t.Fatalf("log out: %v, %v", res, err)
	}
}

// TestLogOutEndsWhatIsOpenOnEveryReplica has three logins of a user watch an
// answer on every replica, over WebSocket and as event streams. Two log out, the
// second while Redis is away; the third watches on.
func TestLogOutEndsWhatIsOpenOnEveryReplica(t *testing.T) {
	provider := fake.New(map[string]fake.Script{"m": {Tokens: fake.Numbered(1_000_000), Every: 10 * time.Millisecond}})
	defer provider.Close()
	c := startCluster(t, provider, 3, nil)
	c.replicas[0].user("ann")
	stays, first, second := c.replicas[0].login("ann"), c.replicas[0].login("ann"), c.replicas[0].login("ann")
	session, ctx := stays.session(), soon(t)
	res, asker, err := stays.begin(ctx, session, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	type opened struct {
		sockets []*socket
		streams []*http.Response
	}
	openAll := func(l login) (out opened) {
		t.Helper()
		for _, s := range c.replicas {
			at := l.at(s)
			w, err := at.socket(ctx)
			if err == nil {
				err = w.watch(ctx, session, newViewer(), func() bool { return true })
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = w.conn.CloseNow() })
			res, err := at.sse(ctx, http.MethodGet, "/chat/stream/"+asker.id, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			out.sockets, out.streams = append(out.sockets, w), append(out.streams, res)
		}
		return out
	}
	remain, ofFirst, ofSecond := openAll(stays), openAll(first), openAll(second)
	// ends has a login log out and holds what it has open against two limits: half
	// of it has ended after the first, all of it after the second, since the machine
	// may be busy for a while.
	ends := func(l login, open opened, half, all time.Duration) {
		t.Helper()
		l.logOut()
		began := time.Now()
		type end struct {
			what  string
			after time.Duration
		}
		ended := make(chan end, 9)
		for n, s := range c.replicas {
			go func() { // a WebSocket, whose client commands until it is closed
				w := open.sockets[n]
				var commands sync.WaitGroup
				commands.Go(func() {
					for w.send(ctx, map[string]any{"type": "subscribe", "ref": 2, "session_id": session}) == nil {
						pauseFor(ctx, 20*time.Millisecond)
					}
				})
				for {
					e, err := w.next(ctx)
					if n == 0 && e.Type == "ack" {
						t.Error("the replica that has logged the client out obeys it")
					}
					if err == nil {
						continue
					}
					if code := websocket.CloseStatus(err); code != 4401 {
						t.Errorf("replica %d closed the WebSocket with %v", n, err)
					}
					break
				}
				ended <- end{"WebSocket", time.Since(began)}
				commands.Wait()
			}()
			go func() {
				v := newViewer()
				err := v.follow(open.streams[n].Body, nil)
				if err != nil || v.end != nil {
					t.Errorf("replica %d ended the event stream with %v, %v", n, v.end, err)
				}
				ended <- end{"event stream", time.Since(began)}
			}()
			go func() {
				at := l.at(s)
				for {
					res, err := http.DefaultClient.Do(at.request(ctx, http.MethodGet, "/users/me", nil))
					if err != nil {
						t.Error(err)
						break
					}
					res.Body.Close()
					if res.StatusCode == http.StatusUnauthorized {
						break
					}
					pauseFor(ctx, 20*time.Millisecond)
				}
				ended <- end{"token", time.Since(began)}
			}()
		}
		took := map[string][]time.Duration{}
		for range 9 {
			e := <-ended
			took[e.what] = append(took[e.what], e.after)
		}
		t.Logf("ended after %v", took)
		for what, after := range took { // in the order of their ends
			if after[1] > half || after[2] > all {
				t.Errorf("a %s ended after %s, want %s for half of them and %s at most", what, after, half, all)
			}
		}
	}
	ends(first, ofFirst, time.Second, 3*time.Second) // who is told nothing looks every 4 s
	c.redis.Kill()
	ends(second, ofSecond, 10*time.Second, 20*time.Second)
	for n := range c.replicas {
		if err := remain.sockets[n].send(ctx, map[string]any{"type": "ping"}); err != nil {
			t.Error(err)
		}
		if _, err := remain.sockets[n].until(ctx, "pong"); err != nil {
			t.Errorf("replica %d, the login that stays: %v", n, err)
		}
	}
	stays.call(http.MethodDelete, "/chat/stream/"+asker.id, nil, nil)
}
