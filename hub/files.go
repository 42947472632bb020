package hub

import (
	"context"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/omnichat/omnichat/hub/picture"
	"github.com/omnichat/omnichat/hub/plain"
)

// What may wait for its question, for each user.
const (
	unboundMax  = 50
	unboundKeep = 24 * time.Hour
)

// CreateFile keeps a file until a question binds it. What it is, its content
// says. A text is kept in UTF-8, whatever it was written in.
func (h *Hub) CreateFile(ctx context.Context, who Access, name string, data []byte) (File, error) {
	if err := who.MayAll(ScopeChat); err != nil {
		return File{}, err
	}
	f := File{ID: FileID(NewID()), Name: path.Base(strings.ReplaceAll(plain.Clean(name), "\\", "/")), Size: int64(len(data))}
	switch {
	case f.Name == "." || f.Name == ".." || f.Name == "/" || utf8.RuneCountInString(f.Name) > 200:
		return f, Invalid("name", "must have 1 to 200 characters")
	case len(data) == 0:
		return f, Invalid("file", "is empty")
	case f.Size > h.opt.FileBytes:
		return f, &Error{Code: CodeTooLarge, Field: "file", Msg: "the file is over " + plain.Size(h.opt.FileBytes)}
	}
	f.MediaType = picture.Type(data)
	if f.IsImage() {
		if err := picture.Check(f.MediaType, data); err != nil {
			return f, Invalid("file", err.Error())
		}
	} else {
		text, ok := plain.Decode(data)
		if !ok {
			return f, Invalid("file", "must be a PNG, JPEG, GIF or WebP image, or text in UTF-8, UTF-16 or Windows-1252")
		}
		data, f.MediaType, f.Size = text, "text/plain", int64(len(text))
	}
	if err := h.store.DropUnboundFiles(ctx, time.Now().Add(-unboundKeep)); err != nil {
		return f, err
	}
	if err := h.limits.withinQuota(ctx, who, f.Size); err != nil {
		return f, err
	}
	n, size, err := h.store.UnboundFiles(ctx, who)
	if err != nil {
		return f, err
	}
	if n >= unboundMax || size+f.Size > unboundMax*h.opt.FileBytes {
		return f, &Error{Code: CodeRateLimited, Msg: "too many files wait for their message; send or remove some", RetryAfter: 10 * time.Second}
	}
	return f, h.store.CreateFile(ctx, who, f, data)
}

// File returns a file with its bytes.
func (h *Hub) File(ctx context.Context, who Access, id FileID) (File, []byte, error) {
	if err := who.May(ScopeRead); err != nil {
		return File{}, nil, err
	}
	return h.store.File(ctx, who, id)
}

// DeleteFile deletes a file that has not been sent yet.
func (h *Hub) DeleteFile(ctx context.Context, who Access, id FileID) error {
	if err := who.MayAll(ScopeChat); err != nil {
		return err
	}
	return h.store.DeleteFile(ctx, who, id)
}
