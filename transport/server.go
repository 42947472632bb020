package transport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// Server answers everything that comes from outside. Its methods may be called
// concurrently.
type Server struct {
	opt       Options
	echo      *echo.Echo
	edge      *edge
	door      *door
	people    *people
	chats     *chats
	files     *files
	settings  *settings
	operation *operation
	site      *site
	conns     *connections

	cancel context.CancelFunc // ends what is open
	unhook func()             // ends what the hub tells
	loops  sync.WaitGroup
}

// New returns a server. Its Shutdown must be called.
func New(h *hub.Hub, accounts Accounts, opt Options) *Server {
	opt = opt.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	warnings := &warnings{list: opt.Warnings}
	edge := newEdge(opt, warnings)
	intake := newIntake(opt, edge)
	logins := newLogins(opt.Secret, opt.AccessTTL, accounts)
	door := &door{logins: logins, accounts: accounts, logger: opt.Logger}
	audit := auditLog{opt.Logger}
	site := &site{web: opt.Web, logger: opt.Logger}
	conns := &connections{
		ctx: ctx, hub: h, accounts: accounts, logins: logins, edge: edge, clients: newClients(),
		messages: newBudget(max(bodiesAll, 4*readLimitAfter*opt.BodyLimit), max(bodiesEach, 2*readLimitAfter*opt.BodyLimit)),
		bell:     make(chan struct{}, 1), bodyLimit: opt.BodyLimit, maxSockets: opt.MaxSockets, heartbeat: opt.Heartbeat,
		authTimeout: opt.AuthTimeout, recheck: opt.Recheck, callTimeout: opt.CallTimeout, logger: opt.Logger,
	}
	s := &Server{
		opt: opt, edge: edge, door: door, conns: conns, site: site, cancel: cancel, unhook: func() {},
		people: &people{
			hub: h, accounts: accounts, logins: logins, hasher: newHasher(opt.passwords), lockout: newLockout(opt, accounts, edge),
			signUps: newThrottle(2*time.Second, 30, opt.now), csrf: http.NewCrossOriginProtection(), edge: edge, intake: intake, audit: audit,
			refreshTTL: opt.RefreshTTL, loginLifetime: opt.LoginLifetime, grace: opt.Grace,
		},
		chats: &chats{
			ctx: ctx, hub: h, intake: intake, conns: conns, heavy: newQueue(heavyAll, heavyWaits), pages: newQueue(heavyAll, math.MaxInt),
			heartbeat: opt.Heartbeat, logger: opt.Logger,
		},
		files: &files{
			hub: h, intake: intake, fileLimit: opt.FileLimit,
			downloads: newBudget(max(downloadsAll, 4*opt.FileLimit), max(downloadsEach, 2*opt.FileLimit)),
		},
		settings:  &settings{hub: h, intake: intake, door: door, audit: audit},
		operation: &operation{hub: h, ready: opt.Ready, degraded: opt.Degraded, metrics: opt.Metrics, metricsToken: opt.MetricsToken, warnings: warnings},
	}
	s.echo = s.routes()
	if h != nil { // a page alone needs none
		s.unhook = h.OnRevoked(conns.revoked)
	}
	s.loops.Go(func() { conns.tend(ctx) })
	return s
}

// Handler returns what an http.Server is given.
func (s *Server) Handler() http.Handler { return headAsGet(s.echo) }

// SendElsewhere closes all WebSockets, whose clients then connect to another
// replica, and takes no new ones.
func (s *Server) SendElsewhere(ctx context.Context) { s.conns.clients.sendElsewhere(ctx) }

// Shutdown tells WebSocket clients to go elsewhere, ends the event streams that
// are left, and returns when all of them are gone or ctx has ended.
func (s *Server) Shutdown(ctx context.Context) {
	s.conns.clients.sendElsewhere(ctx)
	s.unhook()
	s.cancel()
	s.conns.clients.finish(ctx)
	s.loops.Wait()
}

// routes says which call answers which request.
func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.handleError
	e.IPExtractor = s.edge.ipExtractor
	e.Use(s.common)
	private, admin := s.door.private, s.door.admin

	e.POST("/users", s.people.register)
	e.GET("/users/me", private(s.people.me))
	e.GET("/users/me/settings", private(s.settings.userSettings))
	e.PATCH("/users/me/settings", private(s.settings.patchUserSettings))
	e.POST("/token", s.people.token)
	e.POST("/token/revoke", s.people.revoke)
	e.GET("/models", private(s.settings.models))
	e.GET("/providers", private(s.settings.listProviders))
	e.PUT("/providers/:name", private(s.settings.putProvider))
	e.DELETE("/providers/:name", private(s.settings.deleteProvider))
	e.GET("/prices", private(s.settings.listPrices))
	e.PUT("/prices/*", admin(s.settings.putPrice))
	e.DELETE("/prices/*", admin(s.settings.deletePrice))
	e.GET("/usage", private(s.settings.usage))
	e.GET("/warnings", admin(s.operation.listWarnings))
	e.GET("/limits", private(s.settings.limits))
	e.POST("/attachments", private(s.files.createAttachment))
	e.GET("/attachments/:id", private(s.files.getAttachment))
	e.DELETE("/attachments/:id", private(s.files.deleteAttachment))
	e.POST("/sessions", private(s.chats.createSession))
	e.GET("/sessions", private(s.chats.listSessions))
	e.GET("/sessions/:id", private(s.chats.getSession))
	e.PATCH("/sessions/:id", private(s.chats.patchSession))
	e.DELETE("/sessions/:id", private(s.chats.deleteSession))
	e.GET("/sessions/:id/messages", private(s.chats.listMessages))
	e.DELETE("/sessions/:id/messages/:message_id", private(s.chats.deleteMessage))
	e.POST("/chat/stream", private(s.chats.ask))
	e.GET("/chat/stream/:message_id", private(s.chats.attach))
	e.DELETE("/chat/stream/:message_id", private(s.chats.stop))
	e.GET("/ws", s.conns.ws)
	e.GET("/healthz", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"status": "ok"}) })
	e.GET("/readyz", s.operation.answerReady)
	if s.opt.Metrics != nil {
		e.GET("/metrics", s.operation.answerMetrics)
	}
	e.GET("/openapi.yaml", specification(openAPI))
	e.GET("/asyncapi.yaml", specification(asyncAPI))
	e.GET("/config.json", s.site.config)
	for _, path := range []string{"/", "/login", "/settings", "/c/:session", "/live", "/live/:token", "/join", "/reset"} {
		e.GET(path, s.site.page)
	}
	e.GET("/assets/*", s.site.asset)
	s.site.topFiles(e)
	return e
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
			s.opt.Logger.Debug("request", "method", c.Request().Method, "path", c.Path(), "took", time.Since(began), "failed", err != nil)
		}()
		c.Response().Writer = waitForSlow(c.Response().Writer)
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", apiPolicy) // the page and files have others
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin") // allowed origins fetch with CORS, which it does not concern
		h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()")
		if s.edge.https(c) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.edge.checkProxy(c)
		if err := s.edge.checkHost(c); err != nil {
			return err
		}
		if s.edge.cors(c) {
			return c.NoContent(http.StatusNoContent)
		}
		done := withDeadline(c, s.opt.CallTimeout)
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
