package transport

import (
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"time"
)

// Options has what a [Server] can be told. All but Secret have defaults.
type Options struct {
	Secret         []byte                          // signs access tokens
	Origins        []string                        // other origins whose pages may use the server
	TrustedProxies []string                        // networks or addresses whose X-Forwarded headers are believed
	Hosts          []string                        // names it answers to, beside addresses, names without a dot and those of Origins
	AccessTTL      time.Duration                   // 15 min
	RefreshTTL     time.Duration                   // of a refresh token that is not used; 30 days
	LoginLifetime  time.Duration                   // of a login, however much it is used; 30 days
	Grace          time.Duration                   // for a refresh token just replaced; 10 s
	BodyLimit      int64                           // bytes; 1 MiB
	SpoolDir       string                          // where uploads lie until all of them is there; the system's if empty
	FileLimit      int64                           // bytes of an attached file, the hub's; 10 MiB
	Heartbeat      time.Duration                   // 20 s
	AuthTimeout    time.Duration                   // of a WebSocket; 5 s
	Recheck        time.Duration                   // how often the database is asked which of the logins in use hold; 4 s
	MaxSockets     int                             // WebSockets of one user; 500
	CallTimeout    time.Duration                   // of all that one request or command calls; 8 s
	Web            fs.FS                           // the built page
	Ready          func(ctx context.Context) error // why no question can be asked
	Degraded       func() error                    // what is away although questions are answered
	Metrics        http.Handler                    // GET /metrics
	MetricsToken   string                          // that the metrics need; this machine alone may read them if empty
	Warnings       []Warning                       // for the admin, known at the start
	Logger         *slog.Logger

	passwords argonCost        // what hashing a password costs; OWASP's
	now       func() time.Time // the clock of failed logins
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() Options {
	o.AccessTTL = cmp.Or(o.AccessTTL, 15*time.Minute)
	o.RefreshTTL = cmp.Or(o.RefreshTTL, 30*24*time.Hour)
	o.LoginLifetime = cmp.Or(o.LoginLifetime, 30*24*time.Hour)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.Heartbeat = cmp.Or(o.Heartbeat, 20*time.Second)
	o.AuthTimeout = cmp.Or(o.AuthTimeout, 5*time.Second)
	o.Recheck = cmp.Or(o.Recheck, 4*time.Second)
	o.CallTimeout = cmp.Or(o.CallTimeout, 8*time.Second)
	o.MaxSockets = cmp.Or(o.MaxSockets, 500)
	o.BodyLimit = cmp.Or(o.BodyLimit, 1<<20)
	o.FileLimit = cmp.Or(o.FileLimit, 10<<20)
	o.passwords = cmp.Or(o.passwords, owasp)
	if o.now == nil {
		o.now = time.Now
	}
	if o.Web == nil {
		o.Web = noPage{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}
