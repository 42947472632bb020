package transport

import (
	"errors"
	"strings"
	"testing"

	"github.com/omnichat/omnichat/hub"
)

// TestJSONIsReadStrictly names what a body is refused for, and the field.
func TestJSONIsReadStrictly(t *testing.T) {
	for name, tt := range map[string]struct{ body, field, msg string }{
		"nothing":                      {"", "", "the body must be a JSON object"},
		"spaces":                       {" \n", "", "the body must be a JSON object"},
		"a list":                       {`[1]`, "", "the body must be a JSON object"},
		"null":                         {`null`, "", "the body must be a JSON object"},
		"text":                         {`content`, "", "the body is not valid JSON"},
		"an object that is cut off":    {`{"content":"x"`, "", "the body is not valid JSON"},
		"a comma too many":             {`{"content":"x",}`, "", "the body is not valid JSON"},
		"a comment":                    {`{/* */"content":"x"}`, "", "the body is not valid JSON"},
		"two objects":                  {`{"content":"x"}{}`, "", "there is more after the JSON object"},
		"text behind it":               {`{"content":"x"} x`, "", "there is more after the JSON object"},
		"a space of no JSON behind it": {"{\"content\":\"x\"}\v", "", "there is more after the JSON object"},
		"a list that is cut off":       {`[1,`, "", "the body must be a JSON object"},
		"33 levels":                    {`{"parent_id":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", "parent_id", "the body is nested deeper than 32 levels"},
		"20001 levels":                 {`{"content":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", "content", "the body is nested deeper than 32 levels"},
		"invalid UTF-8":                {"{\"content\":\"\xff\"}", "", "the body is not valid UTF-8"},
		"another field":                {`{"question":"x"}`, "question", "is not a field of this request"},
		"another spelling":             {`{"Content":"x"}`, "Content", "is not a field of this request"},
		"a field of the code":          {`{"askBody":{}}`, "askBody", "is not a field of this request"},
		"a name given twice":           {`{"content":"x","content":"x"}`, "content", "is given twice"},
		"the same name, escaped":       {`{"content":"x","\u0063ontent":"x"}`, "content", "is given twice"},
		"twice within a value":         {`{"parent_id":{"a":1,"a":2}}`, "parent_id.a", "is given twice"},
		"U+0000":                       {`{"content":"a\u0000b"}`, "content", "must not contain U+0000"},
		"U+0000 in a list":             {`{"attachments":["a\u0000b"]}`, "attachments", "must not contain U+0000"},
		"a number for a string":        {`{"content":5}`, "content", "must be a string, not number"},
		"true for a string":            {`{"content":true}`, "content", "must be a string, not bool"},
		"an object for a string":       {`{"model":{}}`, "model", "must be a string, not object"},
		"a list for a string":          {`{"model":[]}`, "model", "must be a string, not array"},
		"a string for a number":        {`{"temperature":"x"}`, "temperature", "must be a number, not string"},
		"a string for a whole number":  {`{"max_tokens":"x"}`, "max_tokens", "must be a whole number, not string"},
		"a part of a whole number":     {`{"max_tokens":1.5}`, "max_tokens", "must be a whole number, not number 1.5"},
		"too large a whole number":     {`{"max_tokens":1e400}`, "max_tokens", "must be a whole number, not number 1e400"},
		"too large a number":           {`{"temperature":1e400}`, "temperature", "must be a number, not number 1e400"},
		"a string for a list":          {`{"attachments":"x"}`, "attachments", "must be a list, not string"},
		"a number in a list":           {`{"attachments":[5]}`, "attachments", "must be a string, not number"},
	} {
		t.Run(name, func(t *testing.T) {
			err := decode([]byte(tt.body), &askBody{})
			var e *hub.Error
			if !errors.As(err, &e) || e.Code != hub.CodeInvalid || e.Field != tt.field || strings.TrimPrefix(e.Msg, tt.field+" ") != tt.msg {
				t.Errorf("%v, want %q, %q", err, tt.field, tt.msg)
			}
		})
	}
	for _, body := range []string{`{}`, `{"parent_id":{"a\u0000":1}}`, `{"parent_id":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}", `{"content":"` + strings.Repeat("[", 99) + `"}`, `{"content":"\ud800"}`, ` {"content":null} `, `{"content":"\\u0000"}`, `{"content":"\ud83d\ude00","attachments":[]}`, `{"max_tokens":null}`} {
		if err := decode([]byte(body), &askBody{}); err != nil {
			t.Errorf("%s is refused: %v", body, err)
		}
	}
}
