package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// depthMax bounds how deep JSON may be nested.
const depthMax = 32

// readBody reads a request's body of the media type, within the limit.
func (s *Server) readBody(c echo.Context, media string) ([]byte, error) {
	got, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil || got != media {
		return nil, &hub.Error{Code: codeUnsupported, Msg: "the body must be " + media}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, s.opt.BodyLimit))
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return nil, &hub.Error{Code: hub.CodeTooLarge, Msg: fmt.Sprintf("the body is over %d bytes", s.opt.BodyLimit)}
	}
	if err != nil {
		return nil, &hub.Error{Code: hub.CodeInvalid, Msg: "the body broke off", Err: err}
	}
	return body, nil
}

// readJSON reads a request's body into a struct, strictly.
func (s *Server) readJSON(c echo.Context, into any) error {
	body, err := s.readBody(c, "application/json")
	if err != nil {
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
