package transport

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

const pagePolicy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

// apiPolicy is for what is no page: opened as one it may do nothing.
const apiPolicy = "default-src 'none'; frame-ancestors 'none'"

// site is the files of the page. It is safe for concurrent use.
type site struct {
	web    fs.FS
	logger *slog.Logger
}

// page answers with the page: the routes are the page's own business.
func (st *site) page(c echo.Context) error {
	c.Response().Header().Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	if _, err := fs.Stat(st.web, "index.html"); err != nil {
		return &hub.Error{Code: hub.CodeNotFound, Msg: "the page has not been built into this server"}
	}
	return st.file(c, "index.html", "no-cache")
}

// noRoute says whether an error is of a path, or of a method on a path, that
// the server does not have.
func noRoute(err error) bool {
	var he *echo.HTTPError
	return errors.As(err, &he) && (he.Code == http.StatusNotFound || he.Code == http.StatusMethodNotAllowed)
}

// strayPage answers a browser that was led to a path which does not exist with the page, which
// says so and leads home. For any other client it returns false: that is sent a problem.
func (st *site) strayPage(c echo.Context, status int) bool {
	r, h := c.Request(), c.Response().Header()
	h.Add("Vary", "Accept")
	if r.Method != http.MethodGet || !accepts(strings.Join(r.Header.Values("Accept"), ","), "text/html") {
		return false
	}
	page, err := fs.ReadFile(st.web, "index.html")
	if err != nil {
		return false
	}
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Frame-Options", "DENY")
	if err := c.HTMLBlob(status, page); err != nil {
		st.logger.Debug("write the page", "err", err)
	}
	return true
}

// asset answers with a file whose name changes with its content.
func (st *site) asset(c echo.Context) error {
	return st.file(c, path.Join("assets", path.Clean("/"+c.Param("*"))), "public, max-age=31536000, immutable")
}

// config tells the page where its server is: here.
func (st *site) config(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.JSON(http.StatusOK, map[string]string{"api": ""})
}

// topFiles are the build's other files: the icon, the manifest and such.
func (st *site) topFiles(e *echo.Echo) {
	entries, err := fs.ReadDir(st.web, ".")
	if err != nil {
		return
	}
	for _, f := range entries {
		name := f.Name()
		switch {
		case f.IsDir(), name == "index.html", name == "config.json", strings.HasPrefix(name, "."),
			strings.HasSuffix(name, ".br"), strings.HasSuffix(name, ".gz"):
			continue
		}
		e.GET("/"+name, func(c echo.Context) error { return st.file(c, name, "no-cache") })
	}
}

// file sends a file of the build, compressed beforehand if the client takes it.
func (st *site) file(c echo.Context, name, cache string) error {
	h := c.Response().Header()
	h.Add("Vary", "Accept-Encoding")
	h.Set("Content-Security-Policy", pagePolicy)
	accepted := strings.Join(c.Request().Header.Values("Accept-Encoding"), ",")
	for _, e := range []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !accepts(accepted, e.coding) {
			continue
		}
		if f, err := st.web.Open(name + e.suffix); err == nil {
			h.Set("Content-Encoding", e.coding)
			return serve(c, name, cache, f)
		}
	}
	f, err := st.web.Open(name)
	if err != nil {
		return &hub.Error{Code: hub.CodeNotFound, Msg: "no such file"}
	}
	return serve(c, name, cache, f)
}

// accepts says whether an Accept-Encoding takes a coding (RFC 9110, 12.5.3):
// its own weight counts, or else that of *.
func accepts(header, coding string) bool {
	taken := false
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		name = strings.TrimSpace(name)
		own := strings.EqualFold(name, coding)
		if !own && name != "*" {
			continue
		}
		weight := 1.0
		if _, q, ok := strings.Cut(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64) // what is no number takes nothing
		}
		if taken = weight > 0; own {
			return taken
		}
	}
	return taken
}

// serve sends a file from where it lies: it is not read into memory for each
// client.
func serve(c echo.Context, name, cache string, f fs.File) error {
	defer f.Close()
	content, ok := f.(io.ReadSeeker)
	if info, err := f.Stat(); err != nil || info.IsDir() || !ok {
		return &hub.Error{Code: hub.CodeNotFound, Msg: "no such file"}
	}
	h := c.Response().Header()
	h.Set("Cache-Control", cache)
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		h.Set("Content-Type", t)
	}
	http.ServeContent(c.Response(), c.Request(), name, time.Time{}, content)
	return nil
}

// noPage stands for a page that was not given.
type noPage struct{}

func (noPage) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
