package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/omnichat/omnichat/hub"
)

const (
	sessionLength = 100     // messages
	fillerMost    = 100_000 // messages of a user who is only there
)

var historyColumns = []column{
	{key: "list_ms", head: "list ms", digit: 2, ratio: true},
	{key: "list_cpu_ms", head: "CPU", digit: 2},
	{key: "open_ms", head: "open ms", digit: 2},
	{key: "open_cpu_ms", head: "CPU", digit: 2},
	{key: "search_ms", head: "search ms", digit: 2, ratio: true},
	{key: "search_cpu_ms", head: "CPU", digit: 2},
	{key: "ask_ms", head: "ask ms", digit: 2, ratio: true},
	{key: "ask_cpu_ms", head: "CPU", digit: 2},
}

// history measures the requests of users who have more and more messages, on
// one server that has them all.
func (g growth) history(ctx context.Context, l *lab) (*report, error) {
	r := &report{title: fmt.Sprintf("messages of a user, %d of all users; medians of %d requests", g.total, g.asks), columns: historyColumns}
	points := slices.DeleteFunc([]int{10, 100, 1000, 10_000, 100_000}, func(n int) bool { return n > g.most || n > g.total })
	counts := slices.Clone(points)
	for left := g.total - sum(points); left > 0; left -= fillerMost {
		counts = append(counts, min(left, fillerMost))
	}
	b, err := l.build(ctx, current+"/"+g.db)
	if err != nil {
		return r, err
	}
	b.users = len(counts)
	b.prepare = func(ctx context.Context, o *omnichat) error {
		l.say("inserting %d messages", sum(counts))
		return o.insertHistories(ctx, counts)
	}
	o, err := startOmniChat(ctx, b, func(s *source) { s.flood(ctx, 0, 20) })
	if err != nil {
		return r, err
	}
	defer o.close()
	index := 0
	for round := range l.rounds {
		for i, n := range points {
			l.say("round %d: a user with %d messages", round+1, n)
			values := map[string]float64{}
			for _, e := range o.errands(o.accounts[i], &index) {
				if err := o.timed(ctx, g.asks, e, values); err != nil {
					return r, fmt.Errorf("%s of a user with %d messages: %w", e.kind, n, err)
				}
			}
			r.add(strconv.Itoa(n), round, values, faults{})
		}
	}
	return r, nil
}

func sum(v []int) (n int) {
	for _, x := range v {
		n += x
	}
	return n
}

// errand is a request that a user with a history makes.
type errand struct {
	kind string
	run  func(ctx context.Context) error
}

// errands are what is measured of a user; index numbers the questions.
func (o *omnichat) errands(a *account, index *int) []errand {
	base := o.replicas[0].base
	get := func(path string) func(context.Context) error {
		return func(ctx context.Context) error { return a.call(ctx, http.MethodGet, base+path, nil, nil) }
	}
	return []errand{
		{"list", get("/sessions?limit=50")},
		{"open", get("/sessions/" + a.session + "/messages")},
		{"search", get("/sessions?q=" + url.QueryEscape("nobody ever wrote this"))},
		{"ask", func(ctx context.Context) error {
			s := newStream(*index, 1, 0)
			*index++
			o.provider.expect(s)
			return a.ask(ctx, base, s)
		}},
	}
}

// timed makes a request so often and notes its median time and CPU.
func (o *omnichat) timed(ctx context.Context, n int, e errand, values map[string]float64) error {
	if err := e.run(ctx); err != nil { // what is read for the first time is another thing
		return err
	}
	cpu, err := o.replicas.cpu()
	if err != nil {
		return err
	}
	var h histogram
	for range n {
		began := time.Now()
		if err := e.run(ctx); err != nil {
			return err
		}
		h.add(time.Since(began).Microseconds())
	}
	used, err := o.replicas.cpu()
	values[e.kind+"_ms"], values[e.kind+"_cpu_ms"] = h.quantile(0.5), (used-cpu).Seconds()*1000/float64(n)
	return err
}

// insertHistories gives the accounts so many messages each, in the database.
func (o *omnichat) insertHistories(ctx context.Context, counts []int) error {
	driver, dsn := "pgx", o.database
	if dsn == "" {
		driver, dsn = "sqlite", "file:"+filepath.Join(o.dirs[0], "omnichat.db")+"?_pragma=synchronous(OFF)&_time_format=sqlite"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // all is committed
	db.SetMaxOpenConns(1)
	for i, n := range counts {
		if err := o.accounts[i].insertHistory(ctx, db, driver == "pgx", n); err != nil {
			return fmt.Errorf("insert %d messages: %w", n, err)
		}
	}
	return nil
}

// insertHistory makes sessions of so many messages in all.
func (a *account) insertHistory(ctx context.Context, db *sql.DB, numbered bool, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	var id string
	if err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE username = '"+a.name+"'").Scan(&id); err != nil {
		return err
	}
	sessions := inserts{tx: tx, numbered: numbered, into: "sessions (id, user_id, title, model, system_prompt, version, list_version, created_at, updated_at)"}
	messages := inserts{tx: tx, numbered: numbered, into: "messages (id, session_id, parent_id, role, content, reasoning, status, finish_reason, provider, model, seq, version, added, epoch, owner, created_at, finished_at)"}
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Duration(n) * time.Second)
	count := 0
	for done := 0; done < n; {
		length := min(sessionLength, n-done)
		count++
		a.session = hub.NewID()
		last := at.Add(time.Duration(done+length) * time.Second)
		if err := sessions.add(ctx, a.session, id, fmt.Sprintf("Conversation %d about gardens", count), model, "", length, count, at, last); err != nil {
			return err
		}
		if err := sessions.flush(ctx); err != nil { // messages name their session: it goes first
			return err
		}
		var parent any
		for i := range length {
			role, reason, vendor, asked, seq := hub.RoleOfUser, any(nil), "", "", 0
			if i%2 == 1 {
				role, reason, vendor, asked, seq = hub.RoleOfAssistant, "stop", "openai", model, 41
			}
			message, when := hub.NewID(), at.Add(time.Duration(done+i)*time.Second)
			text := fmt.Sprintf("Message %d of conversation %d: %s", i, count, strings.Repeat("what grows where there is shade and little water? ", 4))
			if err := messages.add(ctx, message, a.session, parent, role, text, "", hub.StatusComplete, reason, vendor, asked, seq, i+1, i+1, 1, "", when, when); err != nil {
				return err
			}
			parent = message
		}
		done += length
	}
	if err := messages.flush(ctx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE users SET version = %d WHERE username = '%s'", count, a.name)); err != nil {
		return err
	}
	return tx.Commit()
}
