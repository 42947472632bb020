package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	strict "github.com/go-json-experiment/json" // it refuses what encoding/json lets pass
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// What reading a request's body may cost.
const (
	bodyTimeout  = 30 * time.Second // to read all of it
	drainTimeout = 5 * time.Second  // to read what nobody wants
	drainMax     = 16 << 20         // bytes of that
	strangerMax  = 16 << 10         // bytes of a body that comes without a login
)

// userKey is the key of a request's context under which its user is.
const userKey = "user"

// depthMax bounds how deep JSON may be nested. The library's own bound is 10000.
const depthMax = 32

// readBody reads a request's body, which must be of the media type. The body is bounded by
// the server's limit, by most, and by what its sender may hold at a time. A request without
// a body needs no type.
func (ik *intake) readBody(c echo.Context, media string, most int64) ([]byte, error) {
	given := c.Request().Header.Get("Content-Type")
	if given == "" && c.Request().ContentLength == 0 {
		return nil, nil
	}
	got, _, err := mime.ParseMediaType(given)
	if err != nil || got != media {
		return nil, &hub.Error{Code: codeUnsupported, Msg: "the body must be " + media}
	}
	limit := min(ik.bodyLimit, most)
	share := ik.strangers.of("network " + ik.edge.networkOf(c))
	if who, ok := c.Get(userKey).(hub.UserID); ok {
		share = ik.bodies.of("user "+string(who), "network "+ik.edge.networkOf(c))
	}
	// The request holds it for as long as it takes to decode; what it asks for is
	// counted elsewhere.
	defer share.release()
	tooLarge := &hub.Error{Code: hub.CodeTooLarge, Msg: fmt.Sprintf("the body is over %d bytes", limit)}
	if c.Request().ContentLength > limit {
		return nil, tooLarge // it need not be read for that
	}
	in := &paced{c: c, share: share, began: time.Now(), rate: uploadSlow, most: bodyTimeout}
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err := bodyRead(c, err); err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, tooLarge
	}
	return body, nil
}

// bodyRead is called when a body has been read, with the error of that.
func bodyRead(c echo.Context, err error) error {
	setReadDeadline(c, time.Time{}) // net/http watches the connection by reading on
	renewDeadline(c)
	var refused *hub.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &hub.Error{Code: codeTimeout, Msg: "the body took too long"}
	}
	return &hub.Error{Code: hub.CodeInvalid, Msg: "the body broke off", Err: err}
}

func setReadDeadline(c echo.Context, at time.Time) {
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(at) // a writer without one has no slow peer
}

// drain reads what is left of the body of a request that is refused, since many
// clients send all of it before they look for an answer, and a connection that
// is closed on them breaks. It is closed after that answer. A client that waits
// for 100 Continue has sent nothing.
func drain(c echo.Context, code hub.Code) {
	r := c.Request()
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	c.Response().Header().Set("Connection", "close")
	if code == codeTimeout || r.Header.Get("Expect") != "" {
		return
	}
	setReadDeadline(c, time.Now().Add(drainTimeout))
	n, err := io.Copy(io.Discard, io.LimitReader(r.Body, drainMax))
	setReadDeadline(c, time.Time{})
	if n == 0 && err == nil {
		c.Response().Header().Del("Connection") // all had been read
	}
}

// readJSON reads a request's body into a struct, strictly.
func (ik *intake) readJSON(c echo.Context, into any) error {
	most := ik.bodyLimit
	if c.Get(userKey) == nil {
		most = strangerMax
	}
	body, err := ik.readBody(c, "application/json", most)
	if err != nil {
		return err
	}
	return decode(body, into)
}

// readOptionalJSON is readJSON for a body that may be left out.
func (ik *intake) readOptionalJSON(c echo.Context, into any) error {
	body, err := ik.readBody(c, "application/json", ik.bodyLimit)
	if err != nil || len(body) == 0 {
		return err
	}
	return decode(body, into)
}

// decode reads one JSON object into a struct, strictly (RFC 8259 and RFC 7493): names are
// exactly those of the struct's fields, and each is given once. What is wrong names its
// field.
func decode(body []byte, into any) error {
	bad := func(msg string) error { return &hub.Error{Code: hub.CodeInvalid, Msg: msg} }
	if !utf8.Valid(body) {
		return bad("the body is not valid UTF-8")
	}
	if b := trimJSON(body); len(b) == 0 || b[0] != '{' && json.Valid(b) {
		return bad("the body must be a JSON object")
	}
	if err := checkTokens(body); err != nil {
		return err
	}
	// Half a surrogate pair, as of an emoji that was cut, becomes U+FFFD.
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowInvalidUTF8(true))
	err := strict.UnmarshalDecode(d, into, strict.RejectUnknownMembers(true))
	var wrong *strict.SemanticError
	var broken *jsontext.SyntacticError
	switch {
	case err == nil && len(trimJSON(body[d.InputOffset():])) > 0:
		return bad("there is more after the JSON object")
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &broken):
		return hub.Invalid(fieldAt(broken.JSONPointer), "is given twice")
	case errors.As(err, &wrong) && errors.Is(wrong.Err, strict.ErrUnknownName):
		return hub.Invalid(fieldAt(wrong.JSONPointer), "is not a field of this request")
	case wrong != nil && wrong.JSONPointer == "":
		return bad("the body must be a JSON object")
	case wrong != nil && wrong.GoType != nil:
		field, _, _ := strings.Cut(fieldAt(wrong.JSONPointer), ".") // of what is in a list or a map, the field has
		return hub.Invalid(field, "must be "+kindOf(wrong.GoType.Kind().String())+", not "+valueOf(wrong))
	}
	return bad("the body is not valid JSON")
}

// trimJSON cuts off what JSON takes for spaces, which is less than bytes.TrimSpace does.
func trimJSON(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// checkTokens refuses U+0000 in a string that is no name, since PostgreSQL cannot store it,
// and what is nested too deep. The library has no option for either. Few bodies can have
// them, and no others are read for it.
func checkTokens(body []byte) error {
	opened := bytes.Count(body, []byte("{")) + bytes.Count(body, []byte("["))
	if opened <= depthMax && !bytes.Contains(body, []byte(`\u0000`)) {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowInvalidUTF8(true))
	field := func() string {
		root, _, _ := strings.Cut(fieldAt(d.StackPointer()), ".")
		return root
	}
	for {
		token, err := d.ReadToken()
		if err != nil { // the end, or what decode refuses
			return nil
		}
		in, n := d.StackIndex(d.StackDepth())
		name := in == '{' && n%2 == 1 // names and values take turns
		switch {
		case d.StackDepth() > depthMax:
			return &hub.Error{Code: hub.CodeInvalid, Field: field(), Msg: fmt.Sprintf("the body is nested deeper than %d levels", depthMax)}
		case token.Kind() == '"' && !name && strings.ContainsRune(token.String(), 0):
			return hub.Invalid(field(), "must not contain U+0000")
		}
	}
}

// fieldAt names a value by the names that it is in, as positions.x.
func fieldAt(at jsontext.Pointer) string { return strings.Join(slices.Collect(at.Tokens()), ".") }

// valueOf names a value of a wrong type as JSON does.
func valueOf(wrong *strict.SemanticError) string {
	switch wrong.JSONKind {
	case 'n':
		return "null"
	case 't', 'f':
		return "bool"
	case '"':
		return "string"
	case '0':
		return strings.TrimSpace("number " + cut(string(wrong.JSONValue), 30))
	case '{':
		return "object"
	}
	return "array"
}

// kindOf names a Go kind as JSON does.
func kindOf(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "bool":
		return "true or false"
	case kind == "map", kind == "struct":
		return "an object"
	case kind == "slice":
		return "a list"
	}
	return "a " + kind
}

// queryInt reads a whole number from the query; absent, it is otherwise.
func queryInt(c echo.Context, name string, least, most, otherwise int64) (int64, error) {
	v := c.QueryParam(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most {
		return 0, hub.Invalid(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
	return n, nil
}

// queryBool reads true or false from the query; absent, it is false.
func queryBool(c echo.Context, name string) (bool, error) {
	switch c.QueryParam(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, hub.Invalid(name, "must be true or false")
}

// optional is a field of a body of which absent, null and a value differ.
type optional[T any] struct {
	given bool
	value *T // nil for null
}

// UnmarshalJSONFrom is json.UnmarshalerFrom's.
func (o *optional[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	o.given = true
	return strict.UnmarshalDecode(d, &o.value)
}

// change is what a patch has for the field: nil leaves it as it is, a pointer
// to nil takes it away.
func (o *optional[T]) change() **T {
	if !o.given {
		return nil
	}
	return &o.value
}

// checkText refuses a text that is too long, and null.
func checkText(field string, o optional[string], most int) error {
	switch {
	case o.given && o.value == nil:
		return hub.Invalid(field, "must be a string, not null")
	case o.given && utf8.RuneCountInString(*o.value) > most:
		return hub.Invalid(field, fmt.Sprintf("must have at most %d characters", most))
	}
	return nil
}

// pathText reads a name from the path, which may be URL-encoded. What no name
// can be is not ok.
func pathText(escaped string) (string, bool) {
	v, err := url.PathUnescape(escaped)
	return v, err == nil && v != "" && utf8.ValidString(v) && !strings.ContainsRune(v, 0)
}

// pathID reads an id from the path. What is no UUID names nothing.
func pathID(c echo.Context, name, noun string) (string, error) {
	id, ok := hub.ParseID(c.Param(name))
	if !ok {
		return "", hub.NotFound(noun)
	}
	return id, nil
}

// fieldID reads an optional id from a body.
func fieldID[T ~string](field string, v *string) (*T, error) {
	if v == nil {
		return nil, nil
	}
	id, ok := hub.ParseID(*v)
	if !ok {
		return nil, hub.Invalid(field, "must be a UUID")
	}
	t := T(id)
	return &t, nil
}
