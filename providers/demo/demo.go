// Package demo is a provider that needs no key and no network: it streams a
// canned Markdown answer at a human pace, and says that it is a demo.
package demo

import (
	"context"
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/omnichat/omnichat/hub"
)

// Options has what a [Provider] can be told; the zero value works.
type Options struct {
	Pace time.Duration // between two tokens; 30 ms if 0
}

// Provider is the demo. All methods may be called concurrently.
type Provider struct{ pace time.Duration }

// New returns the demo provider.
func New(opt Options) *Provider {
	if opt.Pace == 0 {
		opt.Pace = 30 * time.Millisecond
	}
	return &Provider{pace: opt.Pace}
}

var _ hub.Provider = (*Provider)(nil)

// Models lists the one model there is.
func (p *Provider) Models(context.Context) ([]hub.Model, error) {
	return []hub.Model{{ID: "markdown", Name: "Demo (no AI, canned text)"}}, nil
}

// Stream answers with the same text for the same prompt.
func (p *Provider) Stream(ctx context.Context, prompt hub.Prompt) iter.Seq2[hub.Delta, error] {
	return func(yield func(hub.Delta, error) bool) {
		tokens := split(answer(prompt))
		tick := time.NewTicker(p.pace)
		defer tick.Stop()
		for _, token := range tokens {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !yield(hub.Delta{Text: token}, nil) {
				return
			}
		}
		in := 0
		for _, t := range prompt.Turns {
			in += len(split(t.Content))
		}
		yield(hub.Delta{Finish: hub.ReasonStop, Usage: &hub.Usage{InputTokens: int64(in), OutputTokens: int64(len(tokens))}}, nil)
	}
}

// split cuts text into tokens: a word or a sign with the space before it, and
// long words in pieces, about as models do.
func split(text string) []string {
	var tokens []string
	start, size := 0, 0
	for i, r := range text {
		word := unicode.IsLetter(r) || unicode.IsDigit(r)
		if i > start && (unicode.IsSpace(r) || !word || size == 6) {
			tokens = append(tokens, text[start:i])
			start, size = i, 0
		}
		if word {
			size++
		}
	}
	if start < len(text) {
		tokens = append(tokens, text[start:])
	}
	return tokens
}

// answer is the text for a prompt.
func answer(p hub.Prompt) string {
	last := ""
	if n := len(p.Turns); n > 0 {
		last = p.Turns[n-1].Content
	}
	if strings.HasPrefix(last, "Continue exactly") {
		return "\n\n…and here the demo goes on where it stopped. A real model would pick up the thread in mid-sentence; " +
			"this canned text only shows that **a broken answer can be continued**, and that what was shown before is kept."
	}
	first, _, _ := strings.Cut(strings.TrimSpace(last), "\n")
	if r := []rune(first); len(r) > 200 {
		first = string(r[:200]) + "…"
	}
	return "> " + first + "\n\n" + text
}

const text = `## This is a demo

No AI model wrote this: it is **canned text** from OmniChat's built-in demo provider, streamed token by token so that you can try everything else. To talk to a real model, set ` + "`OPENAI_API_KEY`" + ` (or ` + "`OPENAI_BASE_URL`" + ` for any compatible server) and start again.

### What you can try now

1. Open this page in a *second tab*: it follows live.
2. Reload in the middle of the answer: nothing is lost.
3. Press **Stop**, here or in the other tab.
   - What was shown stays.
   - You can continue or regenerate it.

### Some code

` + "```go" + `
// fanOut sends every token to every viewer, in order.
func fanOut(tokens <-chan string, viewers []chan<- string) {
	for token := range tokens {
		for _, v := range viewers {
			v <- token // a real hub never waits here
		}
	}
}
` + "```" + `

### A table

| framing   | used by        | resumes from    |
|-----------|----------------|-----------------|
| SSE       | the asking tab | Last-Event-ID   |
| WebSocket | live viewers   | known positions |

### A formula

The time until $n$ viewers have a token, with $c$ cores and a write of $w$ microseconds:

$$
T(n) = \frac{n \cdot w}{c} + \sum_{i=1}^{k} \epsilon_i
$$

That is all there is. Ask anything else and you will see the same text again.
`
