package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/transport"
)

// errHelp says that the settings were listed and nothing is to be run.
var errHelp = errors.New("help")

// Config is every setting, read from the environment once.
type Config struct {
	Addr       string        `env:"OMNICHAT_ADDR" envDefault:"127.0.0.1:8080" help:"address to listen on"`
	DataDir    string        `env:"OMNICHAT_DATA_DIR" envDefault:"data" help:"folder of the embedded database and the signing key"`
	JWTSecret  string        `env:"OMNICHAT_JWT_SECRET" help:"key that signs access tokens, 32 bytes or more; made on first start and kept in the data folder if empty"`
	LoginLife  time.Duration `env:"OMNICHAT_LOGIN_LIFETIME" envDefault:"720h" help:"how long a login lasts at most, however much it is used"`
	Origins    []string      `env:"OMNICHAT_ORIGINS" help:"other origins whose pages may use this server, as https://chat.example.org, separated by commas"`
	Hosts      []string      `env:"OMNICHAT_HOSTS" help:"names that the server answers to, as chat.example.org, *.example.org or *, separated by commas; always to addresses, names without a dot, this machine's own name and those of OMNICHAT_ORIGINS"`
	Proxies    []string      `env:"OMNICHAT_TRUSTED_PROXIES" help:"networks or addresses whose X-Forwarded-For and -Proto are believed, as 10.0.0.0/8, separated by commas"`
	MetricsTok string        `env:"OMNICHAT_METRICS_TOKEN" help:"bearer token that /metrics needs, 16 bytes or more; if empty, /metrics is for this machine alone"`
	MetricsAt  string        `env:"OMNICHAT_METRICS_ADDR" help:"another address to serve /metrics at, as :9090, and there alone"`
	Model      string        `env:"OMNICHAT_DEFAULT_MODEL" help:"provider/model asked when none is chosen"`
	MaxRunning int           `env:"OMNICHAT_MAX_RUNNING" envDefault:"256" help:"running answers of one user"`
	MaxSockets int           `env:"OMNICHAT_MAX_SOCKETS" envDefault:"500" help:"WebSockets of one user"`
	BodyLimit  int64         `env:"OMNICHAT_BODY_LIMIT" envDefault:"1048576" help:"size of a request's JSON at most, in bytes"`
	Heartbeat  time.Duration `env:"OMNICHAT_HEARTBEAT" envDefault:"20s" help:"silence after which event streams get a comment and WebSockets a ping"`
	AuthWait   time.Duration `env:"OMNICHAT_AUTH_TIMEOUT" envDefault:"5s" help:"how long a new WebSocket may take to say who it is"`
	Drain      time.Duration `env:"OMNICHAT_DRAIN" envDefault:"30s" help:"how long running answers may go on after SIGTERM"`
	FirstByte  time.Duration `env:"OMNICHAT_FIRST_BYTE_TIMEOUT" envDefault:"0s" help:"how long a provider may take to begin an answer; 0: 120s, and 5m for Ollama and for servers in a private network, which may load a model first"`
	Idle       time.Duration `env:"OMNICHAT_IDLE_TIMEOUT" envDefault:"60s" help:"how long a provider may be silent within an answer"`
	Demo       string        `env:"OMNICHAT_DEMO" envDefault:"auto" help:"the demo provider: on, off, or auto for when no other is set"`
	TitleModel string        `env:"OMNICHAT_TITLE_MODEL" envDefault:"auto" help:"provider/model that makes titles; off; or auto: the small model of the vendor that is asked, at its own address"`
	FileBytes  int64         `env:"OMNICHAT_FILE_BYTES" envDefault:"10485760" help:"size of an attached file at most"`
	FilesEach  int           `env:"OMNICHAT_FILES_PER_MESSAGE" envDefault:"8" help:"attached files of one message at most"`
	ImageBytes int64         `env:"OMNICHAT_PROMPT_IMAGE_BYTES" envDefault:"20971520" help:"size of the images of one prompt together; of more, the oldest are left out"`
	AnswerMax  int64         `env:"OMNICHAT_ANSWER_BYTES" envDefault:"4194304" help:"size of an answer at most, thinking and all; a longer one ends there"`
	FilesDir   string        `env:"OMNICHAT_FILES_DIR" help:"folder of attached files, which replicas must share; in the database if empty"`
	DayTokens  int64         `env:"OMNICHAT_DAILY_TOKENS" envDefault:"0" help:"tokens that one user may use in a day, UTC; 0: no limit"`
	DayCost    float64       `env:"OMNICHAT_DAILY_COST" envDefault:"0" help:"US dollars that one user may spend in a day, UTC; 0: no limit"`
	UserBytes  int64         `env:"OMNICHAT_USER_BYTES" envDefault:"10737418240" help:"size of one user's files and messages together; over it, files and questions are refused until something is deleted; 0: no limit"`
	KeySecret  string        `env:"OMNICHAT_KEY_SECRET" help:"encrypts API keys that are added in the page, and the signing key where replicas share it in the database, 32 bytes or more; made from the signing key if empty, but for replicas that share that in the database"`
	LogLevel   slog.Level    `env:"OMNICHAT_LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`

	DatabaseURL   string `env:"DATABASE_URL" help:"postgres://… ; the embedded SQLite if empty"`
	RedisURL      string `env:"REDIS_URL" help:"redis://… ; makes this one of several replicas on one PostgreSQL"`
	OpenAIKey     string `env:"OPENAI_API_KEY" help:"turns the provider openai on"`
	OpenAIBaseURL string `env:"OPENAI_BASE_URL" help:"any OpenAI-compatible server, with or without a key"`

	AnthropicKey     string            `env:"ANTHROPIC_API_KEY" help:"turns the provider anthropic on"`
	AnthropicBaseURL string            `env:"ANTHROPIC_BASE_URL" help:"where it is, if not at Anthropic"`
	GeminiKey        string            `env:"GEMINI_API_KEY" help:"turns the provider gemini on"`
	GeminiBaseURL    string            `env:"GEMINI_BASE_URL" help:"where it is, if not at Google"`
	OllamaHost       string            `env:"OLLAMA_HOST" help:"turns the provider ollama on, as http://127.0.0.1:11434"`
	Endpoints        map[string]string `env:"OMNICHAT_ENDPOINTS" envKeyValSeparator:"=" help:"more OpenAI-compatible servers, as groq=https://api.groq.com/openai/v1, separated by commas; the key of each is OMNICHAT_ENDPOINT_<NAME>_KEY"`
}

// parseConfig reads and checks the settings. All that is wrong is said at once.
func parseConfig(args []string, out io.Writer) (Config, error) {
	var cfg Config
	if len(args) > 0 {
		if a := args[0]; a == "--help" || a == "-h" || a == "help" {
			printHelp(out)
			return cfg, errHelp
		}
		return cfg, fmt.Errorf("unknown argument %q; --help lists the settings", args[0])
	}
	if err := env.Parse(&cfg); err != nil {
		return cfg, unreadable(err)
	}
	var wrong []string
	bad := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	if _, _, err := net.SplitHostPort(cfg.Addr); err != nil {
		bad("OMNICHAT_ADDR: %q is not host:port", cfg.Addr)
	}
	if n := len(cfg.JWTSecret); n > 0 && n < 32 {
		bad("OMNICHAT_JWT_SECRET: is shorter than 32 bytes")
	}
	for _, o := range cfg.Origins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("OMNICHAT_ORIGINS: %q is not an origin such as https://chat.example.org", o)
		}
	}
	for _, p := range cfg.Proxies {
		if _, err := transport.ParseNetwork(p); err != nil {
			bad("OMNICHAT_TRUSTED_PROXIES: %q is not a network such as 10.0.0.0/8", p)
		}
	}
	for _, h := range cfg.Hosts {
		if !transport.ValidHost(h) {
			bad("OMNICHAT_HOSTS: %q is not a host name such as chat.example.org, without a port", h)
		}
	}
	if n := len(cfg.MetricsTok); n > 0 && n < 16 {
		bad("OMNICHAT_METRICS_TOKEN: is shorter than 16 bytes")
	}
	if _, _, err := net.SplitHostPort(cfg.MetricsAt); cfg.MetricsAt != "" && err != nil {
		bad("OMNICHAT_METRICS_ADDR: %q is not host:port", cfg.MetricsAt)
	}
	for _, v := range []struct {
		name  string
		value time.Duration
	}{
		{"OMNICHAT_DRAIN", cfg.Drain}, {"OMNICHAT_IDLE_TIMEOUT", cfg.Idle},
		{"OMNICHAT_HEARTBEAT", cfg.Heartbeat}, {"OMNICHAT_AUTH_TIMEOUT", cfg.AuthWait}, {"OMNICHAT_LOGIN_LIFETIME", cfg.LoginLife},
	} {
		if v.value <= 0 {
			bad("%s: must be above 0", v.name)
		}
	}
	if cfg.FirstByte < 0 {
		bad("OMNICHAT_FIRST_BYTE_TIMEOUT: must not be below 0")
	}
	if cfg.MaxRunning < 1 {
		bad("OMNICHAT_MAX_RUNNING: must be at least 1")
	}
	if cfg.MaxSockets < 1 {
		bad("OMNICHAT_MAX_SOCKETS: must be at least 1")
	}
	if cfg.BodyLimit < bodyLimitMin || cfg.BodyLimit > bodyLimitMax {
		bad("OMNICHAT_BODY_LIMIT: must be from %d to %d", bodyLimitMin, bodyLimitMax)
	}
	if cfg.Demo != "on" && cfg.Demo != "off" && cfg.Demo != "auto" {
		bad("OMNICHAT_DEMO: %q is not on, off or auto", cfg.Demo)
	}
	if cfg.DatabaseURL != "" {
		if u, err := url.Parse(cfg.DatabaseURL); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			bad("DATABASE_URL: must begin with postgres://")
		}
	}
	for _, v := range []struct{ name, value string }{
		{"OPENAI_BASE_URL", cfg.OpenAIBaseURL}, {"ANTHROPIC_BASE_URL", cfg.AnthropicBaseURL}, {"GEMINI_BASE_URL", cfg.GeminiBaseURL},
		{"OLLAMA_HOST", ollamaURL(cfg.OllamaHost)},
	} {
		if v.value != "" && !hub.ValidBaseURL(v.value) {
			bad("%s: is not %s", v.name, hub.BaseURLRule)
		}
	}
	for name, v := range cfg.Endpoints {
		switch {
		case !hub.ValidEndpointName(name): // which may be a URL in its place
			bad("OMNICHAT_ENDPOINTS: a name must be small letters, digits or -")
		case slices.Contains(vendorNames, name):
			bad("OMNICHAT_ENDPOINTS: %q is the name of a vendor", name)
		case !hub.ValidBaseURL(v):
			bad("OMNICHAT_ENDPOINTS: that of %q is not %s", name, hub.BaseURLRule)
		}
	}
	if cfg.FileBytes < 1 || cfg.FileBytes > fileBytesMax {
		bad("OMNICHAT_FILE_BYTES: must be from 1 to %d", fileBytesMax)
	}
	if cfg.ImageBytes < 1 || cfg.ImageBytes > fileBytesMax {
		bad("OMNICHAT_PROMPT_IMAGE_BYTES: must be from 1 to %d", fileBytesMax)
	}
	if cfg.AnswerMax < answerBytesMin || cfg.AnswerMax > hub.AnswerMax {
		bad("OMNICHAT_ANSWER_BYTES: must be from %d to %d", answerBytesMin, hub.AnswerMax)
	}
	if cfg.FilesEach < 1 {
		bad("OMNICHAT_FILES_PER_MESSAGE: must be at least 1")
	}
	if cfg.DayTokens < 0 {
		bad("OMNICHAT_DAILY_TOKENS: must not be below 0")
	}
	if within := cfg.DayCost >= dayCostMin && cfg.DayCost <= dayCostMax; cfg.DayCost != 0 && !within { // as is NaN
		bad("OMNICHAT_DAILY_COST: must be 0, or from %.9f to %.0f", dayCostMin, dayCostMax)
	}
	if cfg.UserBytes < 0 {
		bad("OMNICHAT_USER_BYTES: must not be below 0")
	}
	if n := len(cfg.KeySecret); n > 0 && n < 32 {
		bad("OMNICHAT_KEY_SECRET: is shorter than 32 bytes")
	}
	if t := cfg.TitleModel; t != hub.TitleAuto && t != "off" && !strings.Contains(t, "/") {
		bad("OMNICHAT_TITLE_MODEL: %q is not provider/model, auto or off", t)
	}
	if cfg.RedisURL != "" {
		if u, err := url.Parse(cfg.RedisURL); err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
			bad("REDIS_URL: must begin with redis:// or rediss://")
		}
		if cfg.DatabaseURL == "" {
			bad("REDIS_URL: needs DATABASE_URL: several replicas share one PostgreSQL")
		}
	}
	if why := cfg.checkModel(); why != "" && len(wrong) == 0 { // it depends on the others
		bad("OMNICHAT_DEFAULT_MODEL: %s", why)
	}
	if len(wrong) > 0 {
		return cfg, errors.New(strings.Join(wrong, "; "))
	}
	return cfg, nil
}

// fileBytesMax bounds the setting: a file is held in memory.
const fileBytesMax = 100 << 20

// answerBytesMin bounds the setting: less is no answer.
const answerBytesMin = 1 << 10

// Bounds of a day's dollars, which are counted in billionths: less would be
// none, and so no limit, and much more would not fit.
const (
	dayCostMin = 1e-9
	dayCostMax = 1e9
)

// Bounds of a request's size: below, questions do not fit; it is held in memory.
const (
	bodyLimitMin = 1 << 10
	bodyLimitMax = 64 << 20
)

// ollamaURL is a URL of what OLLAMA_HOST may be: a host, with a port or without.
func ollamaURL(host string) string {
	if host == "" || strings.Contains(host, "://") {
		return host
	}
	return "http://" + host
}

// hosts is the names that are set, and the machine's own.
func (cfg Config) hosts() []string {
	name, err := os.Hostname()
	if err != nil || !transport.ValidHost(name) {
		return cfg.Hosts
	}
	return append(slices.Clone(cfg.Hosts), name, name+".local")
}

// checkModel says what is wrong with the default model.
func (cfg Config) checkModel() string {
	if cfg.Model == "" {
		return ""
	}
	provider, model, ok := strings.Cut(cfg.Model, "/")
	if !ok || provider == "" || model == "" {
		return fmt.Sprintf("%q is not provider/model", cfg.Model)
	}
	if slices.Contains(vendorNames, provider) && newVendors(cfg, slog.New(slog.DiscardHandler)).settings[provider] == nil {
		return fmt.Sprintf("the provider %q is not turned on", provider) // others may be added in the page
	}
	return ""
}

// warnings are about settings that work, but hardly as they were meant.
func (cfg Config) warnings() (out []string) {
	if len(newVendors(cfg, slog.New(slog.DiscardHandler)).settings) == 0 {
		out = append(out, "no provider is turned on, so nothing can be asked until one is added in the page: set a vendor's key, or OMNICHAT_DEMO=on")
	}
	if cfg.keyInClear() {
		out = append(out, keyInClear)
	}
	return out
}

// keyInClear is said where the signing key lies in the database for who reads it.
const keyInClear = "the key that signs access tokens lies in the database as it is: set OMNICHAT_KEY_SECRET, the same for all replicas, to have it encrypted"

func (cfg Config) keyInClear() bool {
	return cfg.RedisURL != "" && cfg.JWTSecret == "" && cfg.KeySecret == ""
}

// unreadable says which settings could not be read, by the names that the
// environment has for them, and what they should look like.
func unreadable(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return fmt.Errorf("settings: %s", oneLine(err))
	}
	var wrong []string
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			wrong = append(wrong, oneLine(err))
			continue
		}
		name := parse.Name
		if f, ok := reflect.TypeFor[Config]().FieldByName(parse.Name); ok {
			name, _, _ = strings.Cut(f.Tag.Get("env"), ",")
		}
		if parse.Type.Kind() == reflect.Map { // of URLs, which may hold a password
			wrong = append(wrong, name+": is not a list of name=URL, separated by commas")
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s: %q is not %s", name, os.Getenv(name), kindOf(parse.Type)))
	}
	return errors.New(strings.Join(wrong, "; "))
}

// kindOf tells a person what a setting of the type is.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 30s"
	case t == reflect.TypeFor[slog.Level]():
		return "debug, info, warn or error"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a " + t.String()
}

// oneLine is an error on one line, as libraries do not always have it.
func oneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
}

// printHelp lists all settings.
func printHelp(out io.Writer) {
	fmt.Fprintln(out, "omnichat runs the OmniChat server; omnichat healthcheck asks a running one whether it takes questions.\nIts settings come from the environment:")
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', 0)
	for f := range reflect.TypeFor[Config]().Fields() {
		text := f.Tag.Get("help")
		if d := f.Tag.Get("envDefault"); d != "" {
			text += " (default " + d + ")"
		}
		fmt.Fprintf(w, "  %s\t%s\n", f.Tag.Get("env"), text)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "omnichat:", err)
	}
}
