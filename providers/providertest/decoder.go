package providertest

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/internal/wire"
	"github.com/omnichat/omnichat/providers/providertest/fake"
)

// rich is an answer with everything in it.
var rich = fake.Script{
	Reasoning: []string{"hm", "日本"}, Signature: "sig", Redacted: "red", Tokens: []string{"a", "\"\\\n", "🙂"}, Usage: true,
	Tools: []fake.Tool{{ID: "1", Name: "f", Arguments: []string{`{"a"`, `:1}`}}},
}

// Fuzz holds that any bytes are decoded to an end, and that how they are cut
// into reads changes nothing.
func Fuzz(f *testing.F, d fake.Dialect, decoder func() wire.Decoder) {
	f.Add(fake.Render(d, rich))
	f.Add(bytes.ReplaceAll(fake.Render(d, rich), []byte("\n"), []byte("\r\n")))
	f.Add(fake.Render(d, fake.Script{Tokens: fake.Numbered(3), NoFinish: true}))
	for _, kind := range []fake.Kind{"", fake.QuotaUsedUp, fake.ContextTooLong, fake.Filtered} {
		f.Add([]byte(d.Frame(d.Error(429, kind))))
	}
	f.Add([]byte("event: error\ndata: {}\n\nplain text"))
	f.Add([]byte(d.Whole(rich)))
	f.Add([]byte("data: [" + d.Whole(rich) + "]\n\nerror: " + d.Error(400, fake.ContextTooLong) + "\n"))
	f.Add([]byte(signs[2] + strings.ReplaceAll(string(fake.Render(d, rich)), "}\n\n", "}\n") + "[DONE]\n"))
	f.Add(bytes.ReplaceAll(fake.Render(d, fake.Script{Tokens: []string{"<think>FIRST", "SECOND</think>", "FIRST"}}), []byte("FIRST"), []byte(`\ud83d`)))
	f.Add(fake.Render(d, fake.Script{Tokens: []string{"hm\n", " </th", "ink> \n", "\nHello"}}))
	read := func(r io.Reader) (said []string, code hub.Code) {
		err := wire.Decode(r, decoder(), func(d hub.Delta) bool {
			said = append(said, describe(d))
			return true
		})
		return said, hub.CodeOf(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, code := read(bytes.NewReader(in))
		parts, codeToo := read(iotest.OneByteReader(bytes.NewReader(in)))
		if len(whole) != len(parts) || code != codeToo {
			t.Fatalf("whole: %q %q; in parts: %q %q", whole, code, parts, codeToo)
		}
		for i := range whole {
			if whole[i] != parts[i] {
				t.Errorf("delta %d: whole %s, in parts %s", i, whole[i], parts[i])
			}
		}
	})
}

// Benchmark decodes an answer of 1,000 tokens, and reports the time and the
// allocations of one.
func Benchmark(b *testing.B, d fake.Dialect, decoder func() wire.Decoder) {
	const tokens = 1000
	in := fake.Render(d, fake.Script{Tokens: fake.Numbered(tokens), Usage: true})
	b.SetBytes(int64(len(in)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for b.Loop() {
		n := 0
		err := wire.Decode(bytes.NewReader(in), decoder(), func(hub.Delta) bool { n++; return true })
		if err != nil || n != tokens+1 {
			b.Fatal(n, err)
		}
	}
	runtime.ReadMemStats(&after)
	per := float64(b.N) * tokens
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/per, "ns/token")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/per, "allocs/token")
}

// describe is a delta as text that can be compared.
func describe(d hub.Delta) string {
	s := fmt.Sprintf("%q %q %q %s %q", d.Text, d.Reasoning, d.Past, d.Opaque, d.Finish)
	if d.Tool != nil {
		s += fmt.Sprintf(" %+v", *d.Tool)
	}
	if d.Usage != nil {
		s += fmt.Sprintf(" %+v", *d.Usage)
	}
	return s
}
