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
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// depthMax bounds how deep JSON may be nested.
const depthMax = 32

// What reading a request's body may cost.
const (
	bodyTimeout  = 30 * time.Second // to read all of it
	drainTimeout = 5 * time.Second  // to read what nobody wants
	drainMax     = 16 << 20         // bytes of that
	strangerMax  = 16 << 10         // bytes of a body of who has not logged in
)

// userKey is where a request has the user whose it is.
const userKey = "user"

// readBody reads a request's body of the media type, within the limit and most,
// and within the budget of who sends it. No body at all has no type.
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

// decode reads one JSON object. What is wrong names its field.
func decode(body []byte, into any) error {
	bad := func(msg string) error { return &hub.Error{Code: hub.CodeInvalid, Msg: msg} }
	if !utf8.Valid(body) {
		return bad("the body is not valid UTF-8")
	}
	if err := checkTokens(body, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	if b := bytes.TrimSpace(body); len(b) == 0 || b[0] != '{' {
		return bad("the body must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		field := strings.TrimPrefix(wrong.Field, "askBody.") // a command embeds it
		return hub.Invalid(field, "must be "+kindOf(wrong.Type.Kind().String())+", not "+wrong.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		field := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return hub.Invalid(field, "is not a field of this request")
	}
	return bad("the body is not valid JSON")
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

// UnmarshalJSON is json.Unmarshaler's.
func (o *optional[T]) UnmarshalJSON(b []byte) error {
	o.given = true
	return json.Unmarshal(b, &o.value)
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
