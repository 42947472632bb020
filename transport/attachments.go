package transport

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

// uploadTimeout is how long an upload may take.
const uploadTimeout = 5 * time.Minute

// filePolicy makes of a file that is opened by itself a page that may nothing.
const filePolicy = "sandbox; default-src 'none'"

// Bytes of files that clients are still reading, of all and of each user.
const (
	downloadsAll  = 256 << 20
	downloadsEach = 64 << 20
)

// files is the calls about attached files. It is safe for concurrent use.
type files struct {
	hub       *hub.Hub
	intake    *intake
	fileLimit int64
	downloads *budget // of files, until clients have them
}

// createAttachment is POST /attachments.
func (fi *files) createAttachment(c echo.Context, who identity) error {
	name := c.QueryParam("name")
	switch {
	case name == "":
		return hub.Invalid("name", "is required")
	case strings.ContainsFunc(name, unicode.IsControl):
		return hub.Invalid("name", "must not contain control characters")
	}
	tooLarge := &hub.Error{Code: hub.CodeTooLarge, Field: "file", Msg: "the file is over " + sizeOf(fi.fileLimit)}
	data, done, err := fi.intake.spool(c, who, fi.fileLimit, tooLarge)
	if err != nil {
		return err
	}
	defer done()
	f, err := fi.hub.CreateFile(c.Request().Context(), who.Access, name, data)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, f)
}

// sizeOf says a limit as people know it.
func sizeOf(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// getAttachment is GET /attachments/{id}.
func (fi *files) getAttachment(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "attachment")
	if err != nil {
		return err
	}
	f, data, err := fi.hub.File(c.Request().Context(), who.Access, hub.FileID(id))
	if err != nil {
		return err
	}
	held := fi.downloads.of(string(who.User)) // until a client that reads slowly has it
	defer held.release()
	if err := held.grow(int64(len(data))); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", filePolicy)
	h.Set("Content-Disposition", disposition(f.Name))
	return c.Blob(http.StatusOK, contentType(f), data)
}

// contentType names what a file may be shown as: a picture or plain text.
// Anything else is bytes.
func contentType(f hub.File) string {
	switch f.MediaType {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return f.MediaType
	case "text/plain":
		return "text/plain; charset=utf-8"
	}
	return echo.MIMEOctetStream
}

// disposition gives a file its name (RFC 6266), as RFC 8187, which has replaced
// RFC 5987, encodes it.
func disposition(name string) string {
	// What QueryEscape leaves is a part of the RFC's attr-char, but for the +.
	return "inline; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

// deleteAttachment is DELETE /attachments/{id}.
func (fi *files) deleteAttachment(c echo.Context, who identity) error {
	id, err := pathID(c, "id", "attachment")
	if err != nil {
		return err
	}
	if err := fi.hub.DeleteFile(c.Request().Context(), who.Access, hub.FileID(id)); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
