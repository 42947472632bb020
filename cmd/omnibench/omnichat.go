package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

// socketsEach bounds a user's WebSockets where OMNICHAT_MAX_SOCKETS is not known.
const socketsEach = 500

// omnichat is OmniChat as one or more processes.
type omnichat struct {
	provider *provider
	replicas all
	accounts []*account
	redis    *redisServer
	database string // URL; empty with SQLite
	dirs     []string
	cleanup  []func()
	waiting  sources // questions that wait to be answered
}

// build says how OmniChat is started.
type build struct {
	binary   string
	replicas int
	postgres *postgres // nil: SQLite
	redis    *redisServer
	env      []string
	users    int
	prepare  func(ctx context.Context, o *omnichat) error // once they are registered, while nothing runs
}

// startOmniChat starts processes whose provider does with each question what
// answer says; if it is nil, begin does. What makes the users' passwords is
// another process before: the memory that this takes would be mistaken later.
func startOmniChat(ctx context.Context, b build, answer func(*source)) (o *omnichat, err error) {
	o = &omnichat{waiting: make(sources, 1<<16), redis: b.redis}
	defer func() {
		if err != nil {
			o.replicas.logs(os.Stderr)
			o.close()
			o = nil
		}
	}()
	if answer == nil {
		answer = func(s *source) { o.waiting <- s }
	}
	if o.provider, err = startProvider(answer); err != nil {
		return o, err
	}
	env := append([]string{
		"OMNICHAT_ADDR=127.0.0.1:0", "OPENAI_BASE_URL=" + o.provider.url(), "OMNICHAT_DEMO=off",
		"OMNICHAT_MAX_RUNNING=1000000", "OMNICHAT_MAX_SOCKETS=1000000",
		"OMNICHAT_FIRST_BYTE_TIMEOUT=10m", "OMNICHAT_IDLE_TIMEOUT=10m", "OMNICHAT_LOG_LEVEL=warn",
	}, b.env...)
	if b.postgres != nil {
		dsn, drop, err := b.postgres.database(ctx)
		if err != nil {
			return o, err
		}
		o.cleanup = append(o.cleanup, drop)
		o.database = dsn
		env = append(env, "DATABASE_URL="+dsn)
	}
	if b.redis != nil {
		env = append(env, "REDIS_URL="+b.redis.url())
	}
	for range max(1, b.replicas) {
		dir, err := os.MkdirTemp("", "omnibench-data-")
		if err != nil {
			return o, err
		}
		o.cleanup = append(o.cleanup, func() { _ = os.RemoveAll(dir) }) // of the temporary folder's, at worst
		o.dirs = append(o.dirs, dir)
	}
	run := func(dir string) error {
		p, err := serve(ctx, b.binary, nil, append([]string{"OMNICHAT_DATA_DIR=" + dir}, env...))
		if err == nil {
			o.replicas = append(o.replicas, p)
		}
		return err
	}
	if err = run(o.dirs[0]); err != nil {
		return o, err
	}
	if err = o.register(ctx, max(1, b.users)); err != nil {
		return o, err
	}
	o.replicas.kill()
	o.replicas = nil
	if b.prepare != nil {
		if err = b.prepare(ctx, o); err != nil {
			return o, err
		}
	}
	for _, dir := range o.dirs {
		if err = run(dir); err != nil {
			return o, err
		}
	}
	return o, o.warm(ctx)
}

// warm has the replicas open their connections to the database.
func (o *omnichat) warm(ctx context.Context) error {
	return parallel(16, 32*len(o.replicas), func(i int) error {
		return o.accounts[0].call(ctx, http.MethodGet, o.at(i).base+"/sessions", nil, nil)
	})
}

// counts are those of Redis.
func (o *omnichat) counts(ctx context.Context) (map[string]float64, error) {
	if o.redis == nil {
		return nil, nil
	}
	return o.redis.counts(ctx)
}

func (o *omnichat) processes() all { return o.replicas }

func (o *omnichat) finishes() bool { return true }

func (o *omnichat) close() {
	o.replicas.kill()
	http.DefaultClient.CloseIdleConnections()
	if o.provider != nil {
		o.provider.close()
	}
	for _, f := range o.cleanup {
		f()
	}
}

// register makes n users.
func (o *omnichat) register(ctx context.Context, n int) error {
	o.accounts = make([]*account, n)
	return parallel(2, n, func(i int) (err error) {
		o.accounts[i], err = register(ctx, o.replicas[0].base, fmt.Sprintf("user%d", i))
		return err
	})
}

// usersFor is how many users n streams need, so that each has few enough WebSockets.
func usersFor(n, viewers int) int {
	each := max(1, socketsEach/viewers)
	return (n + each - 1) / each
}

// begin asks the questions of all streams, so that each has a source which
// waits to be started.
func (o *omnichat) begin(ctx context.Context, streams []*stream) ([]*source, error) {
	for _, s := range streams {
		o.provider.expect(s)
	}
	err := parallel(16, len(streams), func(i int) error {
		return o.accounts[i%len(o.accounts)].ask(ctx, o.at(i).base, streams[i])
	})
	if err != nil {
		return nil, err
	}
	return o.waiting.take(ctx, len(streams))
}

// at is the replica that owns the nth stream.
func (o *omnichat) at(n int) *process { return o.replicas[n%len(o.replicas)] }

// dial follows a stream that is under way.
func (o *omnichat) dial(ctx context.Context, v *viewer) (net.Conn, *http.Request, error) {
	at, s := o.at(v.stream.index+v.replica), v.stream
	if v.sse {
		v.atHead = true
		return send(ctx, s.account, http.MethodGet, at.base+"/chat/stream/"+s.id, "", "")
	}
	conn, req, err := send(ctx, s.account, http.MethodGet, at.base+"/ws", handshake, "")
	if err == nil {
		// The server reads it once it has said ready, which nobody needs to wait for.
		_, err = conn.Write(frame(opText, fmt.Appendf(nil, `{"type":"subscribe","ref":1,"session_id":%q}`, s.session)))
	}
	return conn, req, err
}

// verify looks whether the history has what was sent, of so many streams.
func (o *omnichat) verify(ctx context.Context, streams []*stream, most int) (f faults) {
	for i := 0; i < len(streams); i += max(1, len(streams)/most) {
		s := streams[i]
		if err := s.account.stored(ctx, o.replicas[0].base, s); err != nil {
			f.Unstored++
			f.note(err)
		}
	}
	return f
}
