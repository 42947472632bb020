package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

// settings are the environment of one test, whatever the machine's has.
func settings(t *testing.T, env map[string]string) {
	t.Helper()
	for f := range reflect.TypeFor[Config]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		t.Setenv(name, "") // for its return
		os.Unsetenv(name)
	}
	for k, v := range env {
		t.Setenv(k, v)
	}
}

func TestWrongSettingIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string // the error's parts
	}{
		"address":              {env: map[string]string{"OMNICHAT_ADDR": "8080"}, want: []string{"OMNICHAT_ADDR:", "8080"}},
		"no duration":          {env: map[string]string{"OMNICHAT_DRAIN": "abc"}, want: []string{"OMNICHAT_DRAIN:", `"abc"`, "duration"}},
		"no time":              {env: map[string]string{"OMNICHAT_DRAIN": "0s"}, want: []string{"OMNICHAT_DRAIN:", "above 0"}},
		"no number":            {env: map[string]string{"OMNICHAT_MAX_RUNNING": "many"}, want: []string{"OMNICHAT_MAX_RUNNING:", `"many"`, "whole number"}},
		"too few":              {env: map[string]string{"OMNICHAT_MAX_RUNNING": "0"}, want: []string{"OMNICHAT_MAX_RUNNING:", "at least 1"}},
		"log level":            {env: map[string]string{"OMNICHAT_LOG_LEVEL": "loud"}, want: []string{"OMNICHAT_LOG_LEVEL:", `"loud"`, "debug, info, warn or error"}},
		"two at once":          {env: map[string]string{"OMNICHAT_DRAIN": "x", "OMNICHAT_MAX_SOCKETS": "y"}, want: []string{"OMNICHAT_DRAIN:", "OMNICHAT_MAX_SOCKETS:"}},
		"model alone":          {env: map[string]string{"OMNICHAT_DEFAULT_MODEL": "gpt"}, want: []string{"OMNICHAT_DEFAULT_MODEL:", "provider/model"}},
		"provider that is off": {env: map[string]string{"OMNICHAT_DEFAULT_MODEL": "openai/gpt"}, want: []string{"OMNICHAT_DEFAULT_MODEL:", `"openai"`, "not turned on"}},
		"demo that is off":     {env: map[string]string{"OMNICHAT_DEFAULT_MODEL": "demo/m", "OPENAI_API_KEY": "x"}, want: []string{"OMNICHAT_DEFAULT_MODEL:", `"demo"`}},
		"FTP":                  {env: map[string]string{"OPENAI_BASE_URL": "ftp://x"}, want: []string{"OPENAI_BASE_URL:", "not a URL"}},
		"no host":              {env: map[string]string{"OPENAI_BASE_URL": "localhost:1234"}, want: []string{"OPENAI_BASE_URL:", "not a URL"}},
		"name in a URL":        {env: map[string]string{"OPENAI_BASE_URL": "https://ann:secret@x/v1"}, want: []string{"OPENAI_BASE_URL:", "without a name"}},
		"query in a URL":       {env: map[string]string{"GEMINI_BASE_URL": "https://x/?key=secret"}, want: []string{"GEMINI_BASE_URL:", "query"}},
		"fragment in a URL":    {env: map[string]string{"ANTHROPIC_BASE_URL": "https://x/#secret"}, want: []string{"ANTHROPIC_BASE_URL:", "fragment"}},
		"name in a host":       {env: map[string]string{"OLLAMA_HOST": "ann:secret@localhost:11434"}, want: []string{"OLLAMA_HOST:", "without a name"}},
		"name in Ollama's URL": {env: map[string]string{"OLLAMA_HOST": "http://secret@localhost"}, want: []string{"OLLAMA_HOST:", "without a name"}},
		"name in another URL":  {env: map[string]string{"OMNICHAT_ENDPOINTS": "groq=https://ann:secret@x/v1"}, want: []string{"OMNICHAT_ENDPOINTS:", `"groq"`, "without a name"}},
		"query in another URL": {env: map[string]string{"OMNICHAT_ENDPOINTS": "groq=https://x/v1?key=secret"}, want: []string{"OMNICHAT_ENDPOINTS:", `"groq"`, "query"}},
		"URL without a name":   {env: map[string]string{"OMNICHAT_ENDPOINTS": "https://ann:secret@x/v1"}, want: []string{"OMNICHAT_ENDPOINTS:", "name=URL"}},
		"URL for a name":       {env: map[string]string{"OMNICHAT_ENDPOINTS": "https://ann:secret@x/v1?a=b"}, want: []string{"OMNICHAT_ENDPOINTS:", "small letters"}},
		"name of a vendor":     {env: map[string]string{"OMNICHAT_ENDPOINTS": "openai=https://x/v1"}, want: []string{"OMNICHAT_ENDPOINTS:", `"openai"`}},
		"demo":                 {env: map[string]string{"OMNICHAT_DEMO": "yes"}, want: []string{"OMNICHAT_DEMO:", `"yes"`}},
		"database":             {env: map[string]string{"DATABASE_URL": "mysql://x"}, want: []string{"DATABASE_URL:"}},
		"Redis alone":          {env: map[string]string{"REDIS_URL": "redis://x"}, want: []string{"REDIS_URL:", "DATABASE_URL"}},
		"short secret":         {env: map[string]string{"OMNICHAT_JWT_SECRET": "short"}, want: []string{"OMNICHAT_JWT_SECRET:"}},
		"host with a port":     {env: map[string]string{"OMNICHAT_HOSTS": "a.example.org,b.example.org:443"}, want: []string{"OMNICHAT_HOSTS:", `"b.example.org:443"`}},
		"host in a URL":        {env: map[string]string{"OMNICHAT_HOSTS": "https://a.example.org"}, want: []string{"OMNICHAT_HOSTS:"}},
		"proxy":                {env: map[string]string{"OMNICHAT_TRUSTED_PROXIES": "10.0.0.0/40"}, want: []string{"OMNICHAT_TRUSTED_PROXIES:", "10.0.0.0/8"}},
		"short token":          {env: map[string]string{"OMNICHAT_METRICS_TOKEN": "x"}, want: []string{"OMNICHAT_METRICS_TOKEN:", "16 bytes"}},
		"metrics' address":     {env: map[string]string{"OMNICHAT_METRICS_ADDR": "9090"}, want: []string{"OMNICHAT_METRICS_ADDR:", "host:port"}},
		"body limit":           {env: map[string]string{"OMNICHAT_BODY_LIMIT": "1"}, want: []string{"OMNICHAT_BODY_LIMIT:"}},
		"heartbeat":            {env: map[string]string{"OMNICHAT_HEARTBEAT": "-1s"}, want: []string{"OMNICHAT_HEARTBEAT:"}},
		"time for auth":        {env: map[string]string{"OMNICHAT_AUTH_TIMEOUT": "soon"}, want: []string{"OMNICHAT_AUTH_TIMEOUT:", `"soon"`}},
		"sockets":              {env: map[string]string{"OMNICHAT_MAX_SOCKETS": "0"}, want: []string{"OMNICHAT_MAX_SOCKETS:"}},
		"cost that is none":    {env: map[string]string{"OMNICHAT_DAILY_COST": "NaN"}, want: []string{"OMNICHAT_DAILY_COST:", "to 1000000000"}},
		"endless cost":         {env: map[string]string{"OMNICHAT_DAILY_COST": "+Inf"}, want: []string{"OMNICHAT_DAILY_COST:"}},
		"too high a cost":      {env: map[string]string{"OMNICHAT_DAILY_COST": "1e10"}, want: []string{"OMNICHAT_DAILY_COST:"}},
		"too small a cost":     {env: map[string]string{"OMNICHAT_DAILY_COST": "1e-10"}, want: []string{"OMNICHAT_DAILY_COST:", "0.000000001"}},
		"cost below 0":         {env: map[string]string{"OMNICHAT_DAILY_COST": "-1"}, want: []string{"OMNICHAT_DAILY_COST:"}},
		"tokens below 0":       {env: map[string]string{"OMNICHAT_DAILY_TOKENS": "-1"}, want: []string{"OMNICHAT_DAILY_TOKENS:"}},
		"quota below 0":        {env: map[string]string{"OMNICHAT_USER_BYTES": "-1"}, want: []string{"OMNICHAT_USER_BYTES:"}},
		"files' size":          {env: map[string]string{"OMNICHAT_FILE_BYTES": "0"}, want: []string{"OMNICHAT_FILE_BYTES:"}},
		"too few files":        {env: map[string]string{"OMNICHAT_FILES_PER_MESSAGE": "0"}, want: []string{"OMNICHAT_FILES_PER_MESSAGE:"}},
	} {
		t.Run(name, func(t *testing.T) {
			settings(t, tt.env)
			_, err := parseConfig(nil, io.Discard)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q repeats a secret", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q does not say %q in one line", err, part)
				}
			}
		})
	}
}

func TestSettingsThatWork(t *testing.T) {
	for name, tt := range map[string]struct {
		env      map[string]string
		warnings int
	}{
		"none":                 {},
		"the demo's model":     {env: map[string]string{"OMNICHAT_DEFAULT_MODEL": "demo/poet"}},
		"a provider's model":   {env: map[string]string{"OMNICHAT_DEFAULT_MODEL": "openai/a/b", "OPENAI_BASE_URL": "http://localhost:1234/v1"}},
		"nothing to be asked":  {env: map[string]string{"OMNICHAT_DEMO": "off"}, warnings: 1},
		"a provider, no demo":  {env: map[string]string{"OMNICHAT_DEMO": "off", "OPENAI_API_KEY": "x"}},
		"Ollama's host":        {env: map[string]string{"OLLAMA_HOST": "localhost"}},
		"Ollama's address":     {env: map[string]string{"OLLAMA_HOST": "[::1]:11434"}},
		"Ollama's URL":         {env: map[string]string{"OLLAMA_HOST": "http://127.0.0.1:11434/v1/"}},
		"a day's cost":         {env: map[string]string{"OMNICHAT_DAILY_COST": "2.5"}},
		"no limit of a day":    {env: map[string]string{"OMNICHAT_DAILY_COST": "0"}},
		"larger, longer, more": {env: map[string]string{"OMNICHAT_BODY_LIMIT": "2097152", "OMNICHAT_HEARTBEAT": "15s", "OMNICHAT_AUTH_TIMEOUT": "10s", "OMNICHAT_MAX_SOCKETS": "1000"}},
	} {
		t.Run(name, func(t *testing.T) {
			settings(t, tt.env)
			cfg, err := parseConfig(nil, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.warnings(); len(got) != tt.warnings {
				t.Errorf("warnings %q", got)
			}
		})
	}
}

func TestHelpListsEverySetting(t *testing.T) {
	var out bytes.Buffer
	if _, err := parseConfig([]string{"--help"}, &out); !errors.Is(err, errHelp) {
		t.Error(err)
	}
	for f := range reflect.TypeFor[Config]().Fields() {
		if name := f.Tag.Get("env"); !strings.Contains(out.String(), name+" ") || f.Tag.Get("help") == "" {
			t.Errorf("%s is not explained", name)
		}
	}
}

// TestDatabaseThatRefusesIsOneLine starts the process, as a person does.
func TestDatabaseThatRefusesIsOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = []string{"OMNICHAT_TEST_SERVER=1", "OMNICHAT_ADDR=127.0.0.1:0", "DATABASE_URL=postgres://ann:secret@localhost:" + port + "/x"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if got := stderr.String(); !errors.As(err, &exit) || strings.Count(got, "\n") != 1 || !strings.Contains(got, "connect to PostgreSQL") || strings.Contains(got, "secret") {
		t.Errorf("%v: %q", err, got)
	}
}
