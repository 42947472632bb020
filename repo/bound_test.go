package repo

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/omnichat/omnichat/hub"
)

// written is the values that go to the columns of a statement.
func written(columns string, args []any) map[string]any {
	out := map[string]any{}
	for i, c := range strings.Split(columns, ",") {
		out[strings.TrimSpace(c)] = args[i]
	}
	return out
}

// same compares what is bound with a row's field, which may be a pointer to it.
func same(bound any, field any) bool {
	if s, ok := bound.(sql.NullString); ok {
		bound = s.String
	}
	return fmt.Sprint(reflect.Indirect(reflect.ValueOf(bound))) == fmt.Sprint(reflect.Indirect(reflect.ValueOf(field)))
}

// TestEveryColumnIsWritten holds that the statements which are written out have every
// column of their rows, and each argument in its place.
func TestEveryColumnIsWritten(t *testing.T) {
	db := bun.NewDB(&sql.DB{}, sqlitedialect.New())
	at := time.Now().UTC()
	message := messageRow{
		ID: "id", SessionID: "session", ParentID: new(hub.MessageID("parent")), Role: "role", Content: "content", Reasoning: "reasoning", Status: "status",
		FinishReason: new(hub.Reason("reason")), Provider: "provider", Model: "model", InputTokens: new(int64(1)), OutputTokens: new(int64(2)),
		CachedTokens: new(int64(3)), ReasoningTokens: new(int64(4)), Cost: new(int64(5)), UsageEstimated: true, ErrorCode: new(hub.Code("code")),
		ErrorDetail: new("detail"), ErrorRetryAfter: 6, Attachments: jsonList[hub.File]{{ID: "file"}}, ToolCalls: jsonList[hub.ToolCall]{{ID: "call"}},
		Notices: jsonList[hub.Notice]{{Code: "notice"}}, ThinkingMS: 7, Opaque: jsonList[json.RawMessage]{json.RawMessage("8")}, Seq: 9, Version: 10, Added: 11,
		Epoch: 12, Owner: "owner", CreatedAt: at, FinishedAt: new(at.Add(time.Second)),
	}
	session := sessionRow{
		ID: "id", UserID: "user", Title: "title", Model: "model", SystemPrompt: "prompt", Temperature: new(0.5), MaxTokens: new(1), ReasoningEffort: "effort",
		Version: 2, ListVersion: 3, CreatedAt: at, UpdatedAt: at.Add(time.Second),
	}
	spending := spendingRow{
		ID: "id", UserID: "user", SessionID: "session", Model: "model", InputTokens: 1, OutputTokens: 2, CachedTokens: 3, ReasoningTokens: 4,
		Cost: new(int64(5)), Estimated: true, At: at,
	}
	ended := written(strings.Join(setColumns(t, newBound().endMessage.text), ","), endedMessage(&message, "id", 12))
	for name, tt := range map[string]struct {
		row    any
		values []map[string]any
		later  []string // columns that are written by other statements
	}{
		"session":  {&session, []map[string]any{written(sessionColumns, addedSession(&session))}, nil},
		"spending": {&spending, []map[string]any{written(spendingColumns, bookedSpending(&spending))}, nil},
		"message":  {&message, []map[string]any{written(messageColumns, addedMessage(nil, &message)), ended}, []string{"stop_requested_at"}},
	} {
		t.Run(name, func(t *testing.T) {
			row := reflect.ValueOf(tt.row).Elem()
			for _, f := range db.Table(row.Type()).Fields {
				found := slices.Contains(tt.later, f.Name)
				for _, values := range tt.values {
					if v, ok := values[f.Name]; ok {
						found = true
						if want := f.Value(row).Interface(); !same(v, want) {
							t.Errorf("%s gets %v, want %v", f.Name, v, want)
						}
					}
				}
				if !found {
					t.Errorf("%s is never written", f.Name)
				}
			}
		})
	}
}

// setColumns is the columns that an UPDATE sets, in the order of their numbers, which
// must be 1, 2, 3, …
func setColumns(t *testing.T, text string) (names []string) {
	t.Helper()
	set, _, _ := strings.Cut(text, "WHERE")
	for i, m := range regexp.MustCompile(`(\w+) = (?:coalesce\(nullif\()?\$(\d+)`).FindAllStringSubmatch(set, -1) {
		if m[2] != fmt.Sprint(i+1) {
			t.Errorf("%s is set to $%s, want $%d", m[1], m[2], i+1)
		}
		names = append(names, m[1])
	}
	return names
}
