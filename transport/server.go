package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
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
	MetricsToken   string                          // who has it may read them; this machine alone if empty
	Warnings       []Warning                       // for the admin, known at the start
	Logger         *slog.Logger

	passwords argonCost        // what hashing a password costs; OWASP's
	now       func() time.Time // the clock of failed logins
}

// Bytes of bodies that are under way at a time, of all and of each user and
// network; more where one body may be larger. Of strangers, many may share a
// network.
const (
	bodiesAll     = 64 << 20
	bodiesEach    = 8 << 20
	strangersAll  = 8 << 20
	strangersEach = 1 << 20
)

// Bytes of files that clients are still reading, of all and of each user.
const (
	downloadsAll  = 256 << 20
	downloadsEach = 64 << 20
)

// Server answers everything that comes from outside.
type Server struct {
	hub        *hub.Hub
	accounts   Accounts
	opt        Options
	log        *slog.Logger
	echo       *echo.Echo
	logins     *logins
	hasher     *hasher
	csrf       *http.CrossOriginProtection
	perIP      *throttle
	perAccount *throttle // by account, for who is a stranger to it; by device, for who is none
	perPlace   *throttle // by account and address that it was logged in from
	rightIP    *throttle // logins that succeed: each costs hashing
	rightOne   *throttle // the same, by account
	signUps    *throttle // by address
	bodies     *budget   // of requests
	strangers  *budget   // of requests of who has not logged in
	messages   *budget   // of WebSocket messages
	uploads    *budget   // on disk
	downloads  *budget   // of files, until clients have them
	loading    chan struct{}
	heavy      *line // of calls that read much
	pages      *line // of what they read bit by bit, for which whoever has begun waits as long as the others
	origins    map[string]bool
	proxies    []netip.Prefix
	hosts      *hosts
	warnings   warnings
	clients    *clients
	bell       chan struct{}   // holds one: a login was revoked
	doubt      atomic.Bool     // some may have been that this replica was not told of
	ctx        context.Context // of streams and WebSockets; ended by Shutdown
	cancel     context.CancelFunc
	unhook     func() // ends what the hub tells
	loops      sync.WaitGroup
}

// New returns a server. Its Shutdown must be called.
func New(h *hub.Hub, accounts Accounts, opt Options) *Server {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&opt.AccessTTL, 15*time.Minute)
	set(&opt.RefreshTTL, 30*24*time.Hour)
	set(&opt.LoginLifetime, 30*24*time.Hour)
	set(&opt.Grace, 10*time.Second)
	set(&opt.Heartbeat, 20*time.Second)
	set(&opt.AuthTimeout, 5*time.Second)
	set(&opt.Recheck, 4*time.Second)
	set(&opt.CallTimeout, 8*time.Second)
	if opt.MaxSockets == 0 {
		opt.MaxSockets = 500
	}
	if opt.BodyLimit == 0 {
		opt.BodyLimit = 1 << 20
	}
	if opt.FileLimit == 0 {
		opt.FileLimit = 10 << 20
	}
	if opt.passwords == (argonCost{}) {
		opt.passwords = owasp
	}
	if opt.now == nil {
		opt.now = time.Now
	}
	if opt.Web == nil {
		opt.Web = noPage{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	s := &Server{
		hub: h, accounts: accounts, opt: opt, log: opt.Logger, logins: newLogins(opt.Secret, opt.AccessTTL, accounts),
		hasher: newHasher(opt.passwords), csrf: http.NewCrossOriginProtection(), origins: map[string]bool{}, clients: newClients(),
		proxies: parseNetworks(opt.TrustedProxies), hosts: newHosts(opt.Hosts, opt.Origins), warnings: warnings{list: opt.Warnings},
		perIP: newThrottle(time.Second, 60, opt.now), perAccount: newThrottle(3*time.Second, 10, opt.now),
		perPlace: newThrottle(time.Second, 10, opt.now), signUps: newThrottle(2*time.Second, 30, opt.now),
		rightIP: newThrottle(time.Second/2, 120, opt.now), rightOne: newThrottle(time.Second, 40, opt.now),
		bell:   make(chan struct{}, 1),
		bodies: newBudget(max(bodiesAll, 4*opt.BodyLimit), max(bodiesEach, 2*opt.BodyLimit)), strangers: newBudget(strangersAll, strangersEach),
		messages: newBudget(max(bodiesAll, 4*readLimitAfter*opt.BodyLimit), max(bodiesEach, 2*readLimitAfter*opt.BodyLimit)),
		uploads:  newBudget(8*uploadsWhole*opt.FileLimit, uploadsWhole*opt.FileLimit), loading: make(chan struct{}, loadedMax),
		downloads: newBudget(max(downloadsAll, 4*opt.FileLimit), max(downloadsEach, 2*opt.FileLimit)),
		heavy:     newLine(heavyAll, heavyWaits), pages: newLine(heavyAll, math.MaxInt),
	}
	for _, o := range opt.Origins {
		s.origins[o] = true
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.echo = s.routes()
	s.unhook = func() {}
	if h != nil { // a page alone needs none
		s.unhook = h.OnRevoked(s.revoked)
	}
	s.loops.Go(func() { s.tendClients(s.ctx) })
	return s
}

// Handler returns what an http.Server is given.
func (s *Server) Handler() http.Handler { return headAsGet(s.echo) }

// SendElsewhere closes all WebSockets, whose clients then connect to another
// replica, and takes no new ones.
func (s *Server) SendElsewhere(ctx context.Context) { s.clients.sendElsewhere(ctx) }

// Shutdown tells WebSocket clients to go elsewhere, ends the event streams that
// are left, and returns when all of them are gone or ctx has ended.
func (s *Server) Shutdown(ctx context.Context) {
	s.clients.sendElsewhere(ctx)
	s.unhook()
	s.cancel()
	s.clients.finish(ctx)
	s.loops.Wait()
}

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.handleError
	e.IPExtractor = s.ipExtractor
	e.Use(s.common)

	e.POST("/users", s.register)
	e.GET("/users/me", s.private(s.me))
	e.GET("/users/me/settings", s.private(s.userSettings))
	e.PATCH("/users/me/settings", s.private(s.patchUserSettings))
	e.POST("/token", s.token)
	e.POST("/token/revoke", s.revoke)
	e.GET("/models", s.private(s.models))
	e.GET("/providers", s.private(s.listProviders))
	e.PUT("/providers/:name", s.private(s.putProvider))
	e.DELETE("/providers/:name", s.private(s.deleteProvider))
	e.GET("/prices", s.private(s.listPrices))
	e.PUT("/prices/*", s.admin(s.putPrice))
	e.DELETE("/prices/*", s.admin(s.deletePrice))
	e.GET("/usage", s.private(s.usage))
	e.GET("/warnings", s.admin(s.listWarnings))
	e.GET("/limits", s.private(s.limits))
	e.POST("/attachments", s.private(s.createAttachment))
	e.GET("/attachments/:id", s.private(s.getAttachment))
	e.DELETE("/attachments/:id", s.private(s.deleteAttachment))
	e.POST("/sessions", s.private(s.createSession))
	e.GET("/sessions", s.private(s.listSessions))
	e.GET("/sessions/:id", s.private(s.getSession))
	e.PATCH("/sessions/:id", s.private(s.patchSession))
	e.DELETE("/sessions/:id", s.private(s.deleteSession))
	e.GET("/sessions/:id/messages", s.private(s.listMessages))
	e.DELETE("/sessions/:id/messages/:message_id", s.private(s.deleteMessage))
	e.POST("/chat/stream", s.private(s.ask))
	e.GET("/chat/stream/:message_id", s.private(s.attach))
	e.DELETE("/chat/stream/:message_id", s.private(s.stop))
	e.GET("/ws", s.ws)
	e.GET("/healthz", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"status": "ok"}) })
	e.GET("/readyz", s.ready)
	if s.opt.Metrics != nil {
		e.GET("/metrics", s.metrics)
	}
	e.GET("/openapi.yaml", specification(openAPI))
	e.GET("/asyncapi.yaml", specification(asyncAPI))
	e.GET("/config.json", s.config)
	for _, path := range []string{"/", "/login", "/settings", "/c/:session", "/live", "/live/:token", "/join", "/reset"} {
		e.GET(path, s.page)
	}
	e.GET("/assets/*", s.asset)
	s.topFiles(e)
	return e
}

// ready is GET /readyz. A proxy asks with for=proxy whether requests are to come
// here at all: they are while the database is away, which is away for everyone,
// as answers under way go on and the page and the refusals come from here.
func (s *Server) ready(c echo.Context) error {
	if c.QueryParam("for") == "proxy" {
		if s.hub.Draining() {
			return &hub.Error{Code: hub.CodeUnavailable, Msg: "the server is going away"}
		}
		return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
	}
	if s.opt.Ready != nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
		defer cancel()
		if err := s.opt.Ready(ctx); err != nil {
			p, _ := problemOf(err)
			return &hub.Error{Code: hub.CodeUnavailable, Msg: p.Detail, Err: err}
		}
	}
	if s.opt.Degraded != nil {
		if err := s.opt.Degraded(); err != nil {
			p, _ := problemOf(err) // anybody may ask: what the error says beside is for the log
			return c.JSON(http.StatusOK, map[string]string{"status": "degraded", "detail": p.Detail})
		}
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

// common is around every request: panics, slow clients, the headers that all answers have,
// and what other origins may do.
func (s *Server) common(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		began := time.Now()
		defer func() {
			if r := recover(); r != nil {
				if e, ok := r.(error); ok && errors.Is(e, http.ErrAbortHandler) {
					panic(r)
				}
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
			s.log.Debug("request", "method", c.Request().Method, "path", c.Path(), "took", time.Since(began), "failed", err != nil)
		}()
		c.Response().Writer = patiently(c.Response().Writer)
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", apiPolicy) // the page and files have others
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin") // allowed origins fetch with CORS, which it does not concern
		h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()")
		if s.https(c) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.checkProxy(c)
		if err := s.checkHost(c); err != nil {
			return err
		}
		if s.cors(c) {
			return c.NoContent(http.StatusNoContent)
		}
		done := boundCalls(c, s.opt.CallTimeout)
		defer done()
		return next(c)
	}
}

// headAsGet answers HEAD as GET, whose body net/http then leaves out. A stream
// and a WebSocket have nothing but a body.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && r.URL.Path != "/ws" && !strings.HasPrefix(r.URL.Path, accessPath) {
			get := *r // net/http looks at its own
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}

// cors lets pages of the allowed origins use the server. It returns true for a
// preflight that is answered with that.
func (s *Server) cors(c echo.Context) bool {
	r, h := c.Request(), c.Response().Header()
	if len(s.origins) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !s.origins[origin] {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	return true
}

// noPage stands for a page that was not given.
type noPage struct{}

func (noPage) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
