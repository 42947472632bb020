package anthropic

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
	"github.com/omnichat/omnichat/providers/providertest"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

func TestMain(m *testing.M) {
	// Idle connections of clients that nobody uses any more end by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func open(opt wire.Options) hub.Provider { return New(Options(opt)) }

func TestConformance(t *testing.T) { providertest.Run(t, fake.Anthropic, open) }

func FuzzDecoder(f *testing.F) { providertest.Fuzz(f, fake.Anthropic, newDecoder) }

func BenchmarkDecoder(b *testing.B) { providertest.Benchmark(b, fake.Anthropic, newDecoder) }
