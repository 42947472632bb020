package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/repo"
	"github.com/omnichat/omnichat/repo/redisbus"
	"github.com/omnichat/omnichat/transport"
	"github.com/omnichat/omnichat/web"
)

// noticeAfter is how long a replica that goes away still answers, for the proxy
// before it to see that it is not ready any more.
const noticeAfter = 2 * time.Second

// run serves until ctx ends, then drains, and returns once all is stored and
// closed. It writes the address to open to out.
func run(ctx context.Context, cfg Config, out io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
	seal, err := sealKey(cfg)
	if err != nil {
		return err
	}
	db, err := repo.Open(ctx, repo.Options{
		DatabaseURL: cfg.DatabaseURL, DataDir: cfg.DataDir, Shared: cfg.RedisURL != "", FilesDir: cfg.FilesDir, SealKey: seal, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	key, err := secretOf(ctx, cfg, db)
	if err != nil {
		return err
	}
	vendors := newVendors(cfg, log)
	vendors.added = db
	options := hub.Options{
		DefaultModel: cfg.Model, MaxRunning: cfg.MaxRunning, FileBytes: cfg.FileBytes, FilesPerPrompt: cfg.FilesEach,
		AnswerBytes: cfg.AnswerMax, PromptImageBytes: cfg.ImageBytes,
		DailyTokens: cfg.DayTokens, DailyCost: hub.Dollars(cfg.DayCost), UserBytes: cfg.UserBytes, Builtin: vendors.infos, Logger: log,
	}
	if cfg.TitleModel != "off" {
		options.TitleModel = cfg.TitleModel
	}
	if cfg.RedisURL != "" {
		bus, busErr := redisbus.Open(ctx, cfg.RedisURL, log)
		if busErr != nil {
			return busErr
		}
		defer func() { err = errors.Join(err, bus.Close()) }()
		options.Bus, options.Leases = bus, db
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	h := hub.New(db, db, vendors, options)
	if err := h.Start(ctx); err != nil {
		h.Close()
		return err
	}
	defer h.Close()

	metrics, metricsServed, err := serveMetrics(cfg, exported(h), log)
	if err != nil {
		return err
	}
	defer metricsServed()
	var warnings []transport.Warning
	if cfg.keyInClear() {
		warnings = append(warnings, transport.Warning{Code: "signing_key_in_clear", Detail: keyInClear})
	}
	server := transport.New(h, db, transport.Options{
		Secret: key, Origins: cfg.Origins, TrustedProxies: cfg.Proxies, Hosts: cfg.hosts(), FileLimit: cfg.FileBytes, SpoolDir: spoolDir(cfg), Web: web.Dist(), Logger: log,
		BodyLimit: cfg.BodyLimit, Heartbeat: cfg.Heartbeat, AuthTimeout: cfg.AuthWait, MaxSockets: cfg.MaxSockets,
		LoginLifetime: cfg.LoginLife, Warnings: warnings,
		Metrics: metrics, MetricsToken: cfg.MetricsTok,
		Ready: func(ctx context.Context) error {
			if h.Draining() {
				return &hub.Error{Code: hub.CodeUnavailable, Msg: "the server is going away"}
			}
			return db.Ping(ctx)
		},
		Degraded: h.Degraded,
	})
	web := &http.Server{
		Handler: server.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: headersMax,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	var background sync.WaitGroup
	trimming, stopTrimming := context.WithCancel(context.Background())
	defer background.Wait()
	defer stopTrimming()
	background.Go(func() { trim(trimming) })
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	fmt.Fprintf(out, "OmniChat is ready: open http://%s\n", listener.Addr())

	limit := cfg.Drain
	var lost error
	select {
	case err = <-served:
		return fmt.Errorf("serve: %w", err)
	case lost = <-db.Lost():
		limit = 0 // the other one has the answers
	case <-ctx.Done():
	}
	log.Info("draining", "limit", limit)
	drain, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	noticed := time.After(noticeAfter)
	if options.Bus != nil {
		h.Refuse()
		server.SendElsewhere(drain) // another replica takes over at once
	}
	h.Drain(drain)
	if options.Bus != nil {
		<-noticed
	}
	last, cancelLast := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancelLast()
	server.Shutdown(last)
	err = web.Shutdown(last)
	if err != nil {
		err = errors.Join(web.Close())
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return errors.Join(lost, err)
}

// serveMetrics serves the metrics on an address of their own if there is one,
// until close; it returns what the server itself is to serve.
func serveMetrics(cfg Config, metrics http.Handler, log *slog.Logger) (here http.Handler, closed func(), err error) {
	if cfg.MetricsAt == "" {
		return metrics, func() {}, nil
	}
	listener, err := net.Listen("tcp", cfg.MetricsAt)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for OMNICHAT_METRICS_ADDR: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", transport.Guarded(metrics, cfg.MetricsTok))
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: headersMax,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	log.Info("metrics are served", "address", listener.Addr())
	return nil, func() {
		if err := errors.Join(srv.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serve the metrics", "err", err)
		}
	}, nil
}

// headersMax bounds a request's headers, which nobody has to log in to send and
// which are held until they are whole, in bytes.
const headersMax = 64 << 10

// spoolDir is where uploads lie until all of them is there. The system's folder
// may be in memory.
func spoolDir(cfg Config) string {
	switch {
	case cfg.FilesDir != "":
		return cfg.FilesDir
	case cfg.DatabaseURL == "":
		return cfg.DataDir
	}
	return ""
}

func asGauge(on bool) int {
	if on {
		return 1
	}
	return 0
}

// exported exposes the process and what the hub has under way.
func exported(h *hub.Hub) http.Handler {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, of func(hub.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "omnichat", Name: name, Help: help},
			func() float64 { return float64(of(h.Stats())) })
	}
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("answers_running", "Answers being generated.", func(s hub.Stats) int { return s.Running }),
		gauge("bus_down", "1 while the bus between the replicas does not answer.", func(s hub.Stats) int { return asGauge(s.BusDown) }),
		gauge("log_late", "1 while answers are shown before the log has them, because it does not answer.", func(s hub.Stats) int { return asGauge(s.Late) }),
		gauge("lease_lost", "1 while the database has not renewed this replica's lease.", func(s hub.Stats) int { return asGauge(s.LeaseLost) }),
		gauge("feeds", "Feeds that somebody follows or an answer lives in.", func(s hub.Stats) int { return s.Feeds }),
		gauge("subscriptions", "Subscriptions of clients to feeds and streams.", func(s hub.Stats) int { return s.Viewers }),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
