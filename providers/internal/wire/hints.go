package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/omnichat/omnichat/hub"
)

// Hints is what a server says of one of its models. Each is read by itself, and of
// a type that it should not have is as if it were absent.
type Hints map[string]any

// ListMax is how many models of a provider are read. A list is whatever a server
// says that a user names.
const ListMax = 5000

// reading lets few lists be taken apart at a time: that takes many times the
// memory that the list has bytes.
var reading = make(chan struct{}, 2)

// Entries finds the models in a server's list: the value of the first of the keys
// that has some, or the whole answer if that is a list. A model that is only named
// has an id alone; what is neither is left out, and so is what is more than ListMax.
func Entries(raw []byte, keys ...string) ([]Hints, error) {
	var whole any
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, Fail(hub.CodeProviderError, fmt.Errorf("malformed list: %w", err))
	}
	if e, ok := parseError(raw); ok {
		return nil, inBand(e)
	}
	list, isList := whole.([]any)
	object, isObject := whole.(map[string]any)
	if !isList && !isObject {
		return nil, Fail(hub.CodeProviderError, fmt.Errorf("malformed list: %.80q", raw))
	}
	for _, key := range keys {
		if some, _ := object[key].([]any); len(list) == 0 {
			list = some
		}
	}
	var out []Hints
	for _, entry := range list[:min(len(list), ListMax)] {
		switch e := entry.(type) {
		case string:
			out = append(out, Hints{"id": e})
		case map[string]any:
			out = append(out, e)
		}
	}
	return out, nil
}

// Text is the first of the hints that is a text, without the space around it.
func (h Hints) Text(keys ...string) string {
	for _, key := range keys {
		if s, _ := h[key].(string); strings.TrimSpace(s) != "" {
			return strings.TrimSpace(s)
		}
	}
	return ""
}

// Number is the first of the hints that is a number above 0, in quotes or not.
func (h Hints) Number(keys ...string) int64 {
	for _, key := range keys {
		f, _ := h[key].(float64)
		if s, ok := h[key].(string); ok {
			f, _ = strconv.ParseFloat(strings.TrimSpace(s), 64)
		}
		if f = math.Round(f); f > 0 && f < 1e15 {
			return int64(f)
		}
	}
	return 0
}

// Amount is a price or another number that is not whole, in quotes or not.
func (h Hints) Amount(key string) (float64, bool) {
	f, ok := h[key].(float64)
	if s, isText := h[key].(string); isText {
		var err error
		f, err = strconv.ParseFloat(strings.TrimSpace(s), 64)
		ok = err == nil
	}
	return f, ok && f >= 0 && f < 1e9
}

// Bool is a hint that is true or false, in quotes or not, or nil.
func (h Hints) Bool(key string) *bool {
	b, ok := h[key].(bool)
	if s, isText := h[key].(string); isText {
		var err error
		b, err = strconv.ParseBool(strings.TrimSpace(s))
		ok = err == nil
	}
	if !ok {
		return nil
	}
	return &b
}

// Of is a hint that has hints itself.
func (h Hints) Of(key string) Hints {
	inner, _ := h[key].(map[string]any)
	return inner
}

// Texts are the texts of a hint that is a list, or the keys of one that says of each
// that it is true.
func (h Hints) Texts(key string) []string {
	var out []string
	switch v := h[key].(type) {
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
	case map[string]any:
		for name := range v {
			if yes := Hints(v).Bool(name); yes != nil && *yes {
				out = append(out, name)
			}
		}
	}
	return out
}

// List asks for a server's list of models. It also returns what stands beside it.
func (c *Client) List(ctx context.Context, path string, header http.Header, keys ...string) (list []Hints, beside Hints, err error) {
	var raw json.RawMessage
	if err := c.JSON(ctx, http.MethodGet, path, header, nil, &raw); err != nil {
		return nil, nil, err
	}
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	case <-ctx.Done():
		return nil, nil, c.asked(path, Fail(hub.CodeProviderTimeout, ctx.Err()))
	}
	if list, err = Entries(raw, keys...); err != nil {
		return nil, nil, c.asked(path, err)
	}
	_ = json.Unmarshal(raw, &beside) // a bare list has nothing
	return list, beside, nil
}
