package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/omnichat/omnichat/hub"
)

// level is an object or a list that a reader of JSON is in.
type level struct {
	list bool
	key  bool                    // an object's next token is a key
	name string                  // the last key
	seen map[string]bool         // an object's keys
	of   map[string]reflect.Type // the fields that an object may have; nil for any
}

// tokens checks JSON one token at a time.
type tokens struct {
	levels []level
	into   reflect.Type // of the next value; nil if anything goes
}

// checkTokens refuses what encoding/json lets pass: a name that is not exactly
// a field's, a name given twice, U+0000, and more after the value. Nesting is
// bounded.
func checkTokens(body []byte, into reflect.Type) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	t := tokens{into: into}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &hub.Error{Code: hub.CodeInvalid, Msg: "the body is not valid JSON"}
		}
		if err := t.take(token); err != nil {
			return err
		}
		if len(t.levels) == 0 && len(bytes.TrimSpace(body[d.InputOffset():])) > 0 {
			return &hub.Error{Code: hub.CodeInvalid, Msg: "there is more after the JSON object"}
		}
	}
}

func (t *tokens) take(token json.Token) error {
	switch v := token.(type) {
	case json.Delim:
		if v == '{' || v == '[' {
			return t.enter(v == '[')
		}
		t.levels = t.levels[:len(t.levels)-1]
	case string:
		if n := len(t.levels); n > 0 && t.levels[n-1].key {
			return t.field(&t.levels[n-1], v)
		}
		if strings.ContainsRune(v, 0) {
			return hub.Invalid(t.root(), "must not contain U+0000")
		}
	}
	if n := len(t.levels); n > 0 && !t.levels[n-1].list {
		t.levels[n-1].key = true
	}
	return nil
}

// enter begins an object or a list.
func (t *tokens) enter(list bool) error {
	if len(t.levels) == depthMax {
		return &hub.Error{Code: hub.CodeInvalid, Field: t.root(), Msg: fmt.Sprintf("the body is nested deeper than %d levels", depthMax)}
	}
	l := level{list: list, key: !list}
	if !list {
		l.seen, l.of = map[string]bool{}, fieldsOf(t.into)
	}
	t.levels, t.into = append(t.levels, l), nil
	return nil
}

// field takes an object's next key.
func (t *tokens) field(l *level, name string) error {
	l.name, l.key = name, false
	if l.seen[name] {
		return hub.Invalid(t.path(), "is given twice")
	}
	l.seen[name] = true
	of, ok := l.of[name]
	if l.of != nil && !ok {
		return hub.Invalid(t.path(), "is not a field of this request")
	}
	t.into = of
	return nil
}

// path names the last key with those that it is in, as positions.x.
func (t *tokens) path() string {
	var names []string
	for _, l := range t.levels {
		if !l.list {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, ".")
}

// root is the outermost key.
func (t *tokens) root() string {
	if len(t.levels) == 0 {
		return ""
	}
	return t.levels[0].name
}

// fieldsOf is the fields that encoding/json gives a struct, which here all have
// tags; nil for what is none or reads itself.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields[name] = f.Type
		}
	}
	return fields
}
