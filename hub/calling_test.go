package hub

import (
	"testing"

	"github.com/omnichat/omnichat/hub/room"
)

// TestArgumentsWithoutANameAreBounded has a provider send arguments, and never say of what.
func TestArgumentsWithoutANameAreBounded(t *testing.T) {
	c := calling{st: &stream{limit: 1 << 10, held: room.New[UserID](1<<20, 1<<20)}, shown: true}
	for n := range 1000 {
		if !c.write(ToolDelta{Arguments: "0123456789"}) {
			if n < 100 {
				t.Errorf("no room after %d pieces", n)
			}
			return
		}
	}
	t.Error("there is no bound")
}

// TestCallsGrowByTheirParts writes calls as providers do, where old replicas cannot read
// them: with repeated names, out of order, and without ids.
func TestCallsGrowByTheirParts(t *testing.T) {
	type call = [3]string // id, tool, arguments
	for name, tt := range map[string]struct {
		rounds [][]ToolDelta
		want   []call
	}{
		"two at once, names repeated": {
			[][]ToolDelta{{{Index: 0, ID: "a", Name: "f", Arguments: `{"x"`}, {Index: 1, ID: "b", Name: "g"}, {Index: 0, ID: "a", Name: "f", Arguments: `:1`}, {Index: 0, ID: "a", Name: "f", Arguments: `}`}}},
			[]call{{"a", "f", `{"x":1}`}, {"b", "g", ""}},
		},
		"indexes that cannot be": {[][]ToolDelta{{{Index: -1, Name: "f"}, {Index: 1 << 40, Name: "f"}}}, nil},
		"arguments before a name": {
			[][]ToolDelta{{{Index: 0, Arguments: "{"}, {Index: 0, Name: "f", Arguments: "}"}}}, []call{{"call_1", "f", "{}"}},
		},
		"no name": {[][]ToolDelta{{{Index: 1, Arguments: "{}"}}}, []call{{"call_1", "", "{}"}}},
		"the same id in every round": {
			[][]ToolDelta{{{ID: "a", Name: "f"}}, {{ID: "a", Name: "g"}}, {{Name: "h"}}}, []call{{"a", "f", ""}, {"a_2", "g", ""}, {"call_3", "h", ""}},
		},
	} {
		c := calling{st: &stream{limit: 1 << 20, held: room.New[UserID](1<<20, 1<<20)}}
		for _, round := range tt.rounds {
			c.begin()
			for _, d := range round {
				if !c.write(d) {
					t.Errorf("%s: no room", name)
				}
			}
			c.written()
		}
		var got []call
		for _, k := range c.all {
			got = append(got, call{k.ID, k.Tool, k.Arguments})
		}
		if len(got) != len(tt.want) {
			t.Fatalf("%s: %v", name, got)
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: %v, want %v", name, got[i], tt.want[i])
			}
		}
	}
}
