package transport

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/omnichat/omnichat/hub"
)

const (
	spoolMemory  = 32 << 10 // bytes of an upload that wait in memory; more of it lies in a file
	uploadSlow   = 8 << 10  // bytes a second that an upload has to bring, after bodyTimeout
	loadedMax    = 2        // uploads that are in memory as a whole, of all users
	uploadsWhole = 16       // of the largest uploads of one user, what may be under way at a time
)

// spool reads an upload, and returns it once all of it is there: until then it
// lies in a file that has no name. The function returned is called when the bytes
// are not needed any more.
func (ik *intake) spool(c echo.Context, who identity, limit int64, tooLarge *hub.Error) (data []byte, done func(), err error) {
	if c.Request().ContentLength > limit {
		return nil, nil, tooLarge
	}
	share := ik.uploads.of("user "+string(who.User), "network "+ik.edge.networkOf(c))
	defer share.release()
	in := &paced{c: c, share: share, began: time.Now(), rate: uploadSlow, most: uploadTimeout}
	var head bytes.Buffer
	n, err := io.Copy(&head, io.LimitReader(in, min(spoolMemory, limit+1)))
	rest := io.Reader(new(bytes.Buffer))
	if err == nil && n == spoolMemory && limit >= spoolMemory {
		f, fileErr := os.CreateTemp(ik.spoolDir, "omnichat-upload-*")
		if fileErr != nil {
			return nil, nil, fileErr
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil {
			return nil, nil, err
		}
		var more int64
		more, err = io.Copy(onlyWriter{f}, io.LimitReader(in, limit+1-n))
		if n += more; err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		rest = f
	}
	if err := bodyRead(c, err); err != nil {
		return nil, nil, err
	}
	if n > limit {
		return nil, nil, tooLarge
	}
	select {
	case ik.loading <- struct{}{}:
	case <-c.Request().Context().Done():
		return nil, nil, context.Cause(c.Request().Context())
	}
	data = make([]byte, n)
	if _, err = io.ReadFull(io.MultiReader(&head, rest), data); err != nil {
		<-ik.loading
		return nil, nil, err
	}
	return data, func() { <-ik.loading }, nil
}

// onlyWriter keeps io.Copy from splicing, which would pass the pace by.
type onlyWriter struct{ io.Writer }

// paced reads a body that must come at a rate, and counts what has come.
type paced struct {
	c     echo.Context
	share *share
	began time.Time
	rate  int64         // bytes a second, after bodyTimeout
	most  time.Duration // for all of it
}

func (p *paced) Read(b []byte) (int, error) {
	got := time.Duration(p.share.size/p.rate) * time.Second
	setReadDeadline(p.c, p.began.Add(min(bodyTimeout+got, p.most)))
	n, err := p.c.Request().Body.Read(b)
	if full := p.share.grow(int64(n)); full != nil {
		return n, full
	}
	return n, err
}
