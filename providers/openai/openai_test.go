package openai

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/chat"
	"github.com/omnichat/omnichat/providers/internal/wire"
	"github.com/omnichat/omnichat/providers/providertest"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

func TestMain(m *testing.M) {
	// Idle connections of clients that nobody uses any more end by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func open(opt wire.Options) hub.Provider {
	return New(Options{APIKey: opt.APIKey, BaseURL: opt.BaseURL, FirstByte: opt.FirstByte, Idle: opt.Idle, Guarded: opt.Guarded, Logger: opt.Logger})
}

func TestConformance(t *testing.T) { providertest.Run(t, fake.OpenAI, open) }

func FuzzDecoder(f *testing.F) { providertest.Fuzz(f, fake.OpenAI, chat.NewDecoder) }

func BenchmarkDecoder(b *testing.B) { providertest.Benchmark(b, fake.OpenAI, chat.NewDecoder) }
