package demo_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/omnichat/omnichat/hub"
	"github.com/omnichat/omnichat/providers/demo"
)

func prompt(text string) hub.Prompt {
	return hub.Prompt{Model: "markdown", Turns: []hub.Turn{{Role: hub.RoleOfUser, Content: text}}}
}

func TestDemoStreamsMarkdownAtAHumanPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var text strings.Builder
		var finish hub.Reason
		var usage *hub.Usage
		tokens := 0
		for d, err := range demo.New(demo.Options{}).Stream(t.Context(), prompt("What is this?")) {
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(d.Text)
			if d.Text != "" {
				tokens++
			}
			finish, usage = d.Finish, d.Usage
		}
		if took := time.Since(began); took < 5*time.Second || took > 25*time.Second {
			t.Errorf("it took %s", took)
		}
		if finish != hub.ReasonStop || usage == nil || usage.OutputTokens != int64(tokens) {
			t.Errorf("finish %q, usage %+v, %d tokens", finish, usage, tokens)
		}
		for _, want := range []string{"> What is this?", "demo", "\n## ", "\n1. ", "\n- ", "```go", "| framing", "$$", "OPENAI_API_KEY"} {
			if !strings.Contains("\n"+strings.ReplaceAll(text.String(), "   - ", "- "), want) {
				t.Errorf("the text has no %q", want)
			}
		}
	})
}

func TestDemoStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for range demo.New(demo.Options{}).Stream(ctx, prompt("x")) {
			if n++; n == 3 {
				cancel()
			}
		}
		if n != 3 {
			t.Errorf("%d tokens after the stop at 3", n)
		}
		cancel()
	})
}
