package hub

import (
	"context"
	"time"
)

// FileID names an attached file.
type FileID string

// File is an image or a text that was attached to a message.
type File struct {
	ID        FileID `json:"id"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"` // what its content is, whatever its name says
	Size      int64  `json:"size"`       // bytes
}

// IsImage says whether the file is a picture; otherwise it is text.
func (f File) IsImage() bool { return len(f.MediaType) > 6 && f.MediaType[:6] == "image/" }

// FileStore is the part of [Store] that keeps attached files. A file belongs to
// the user who brought it; a question binds it to a session, and it is deleted
// with that.
type FileStore interface {
	CreateFile(ctx context.Context, who Access, f File, data []byte) error
	// File returns a file of the user with its bytes.
	File(ctx context.Context, who Access, id FileID) (File, []byte, error)
	// Files returns those of ids that are the user's, in no order.
	Files(ctx context.Context, who Access, ids []FileID) ([]File, error)
	// DeleteFile deletes a file that no message has; otherwise it is NotFound.
	DeleteFile(ctx context.Context, who Access, id FileID) error
	// UnboundFiles counts the user's files that no session has yet, and their bytes.
	UnboundFiles(ctx context.Context, who Access) (count int, size int64, err error)
	// DropUnboundFiles deletes the files that no session has had since before.
	DropUnboundFiles(ctx context.Context, before time.Time) error
}
