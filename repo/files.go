package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// filePartMax bounds the bytes in one transaction: a file must not hold
// SQLite's one writer for long.
const filePartMax = 1 << 20

type fileRow struct {
	bun.BaseModel `bun:"table:files"`

	ID        hub.FileID `bun:",pk"`
	UserID    hub.UserID
	Name      string
	MediaType string
	Size      int64
	SHA256    []byte `bun:"sha256"`
	CreatedAt time.Time
	InFolder  bool
}

func (f *fileRow) file() hub.File {
	return hub.File{ID: f.ID, Name: f.Name, MediaType: f.MediaType, Size: f.Size}
}

// CreateFile is hub.FileStore's. What it leaves in the database when it fails
// half-way is dropped as unbound: nobody knows its id.
func (r *Repo) CreateFile(ctx context.Context, who hub.Access, f hub.File, data []byte) error {
	sum := sha256.Sum256(data)
	row := fileRow{
		ID: f.ID, UserID: who.User, Name: f.Name, MediaType: f.MediaType, Size: f.Size, SHA256: sum[:], CreatedAt: now(), InFolder: r.files != nil,
	}
	if row.InFolder {
		err := r.files.write(f.ID, data)
		if errors.Is(err, os.ErrExist) {
			return conflict("id")
		}
		if err != nil {
			return &hub.Error{Code: hub.CodeUnavailable, Msg: "the file cannot be kept now; try again", Err: err}
		}
	}
	err := r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
	switch {
	case err != nil:
		r.removeFiles([]hub.FileID{f.ID})
	case !row.InFolder:
		err = r.createParts(ctx, f.ID, data)
	}
	if taken(err) {
		return conflict("id")
	}
	return err
}

func (r *Repo) createParts(ctx context.Context, id hub.FileID, data []byte) error {
	for i := 0; len(data) > 0; i++ {
		n := min(len(data), filePartMax)
		err := r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, "INSERT INTO file_parts (file_id, part, data) VALUES ($1, $2, $3)", r.binary(string(id), i, data[:n])...)
			return err
		})
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// File is hub.FileStore's.
func (r *Repo) File(ctx context.Context, who hub.Access, id hub.FileID) (hub.File, []byte, error) {
	var row fileRow
	var data []byte
	err := r.snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		err := tx.NewSelect().Model(&row).Where("id = ? AND ?", id, within(who, "user_id", "session_id")).Scan(ctx)
		if err != nil {
			return found(err, "attachment")
		}
		if !row.InFolder {
			data, err = r.readParts(ctx, tx, row)
		}
		return err
	})
	if err != nil {
		return hub.File{}, nil, err
	}
	if row.InFolder {
		data, err = r.files.read(id)
	}
	if sum := sha256.Sum256(data); err == nil && !bytes.Equal(sum[:], row.SHA256) {
		err = errors.New("its bytes are not those that were brought")
	}
	if err != nil {
		return hub.File{}, nil, &hub.Error{Code: hub.CodeUnavailable, Msg: "the attachment cannot be read now", Err: err}
	}
	return row.file(), data, nil
}

// Files is hub.FileStore's.
func (r *Repo) Files(ctx context.Context, who hub.Access, ids []hub.FileID) ([]hub.File, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []fileRow
	err := r.db.NewSelect().Model(&rows).Where("id IN (?) AND ?", bun.List(ids), within(who, "user_id", "session_id")).Scan(ctx)
	out := make([]hub.File, len(rows))
	for i := range rows {
		out[i] = rows[i].file()
	}
	return out, fail(err)
}

func (r *Repo) readParts(ctx context.Context, tx bun.Tx, f fileRow) ([]byte, error) {
	rows, err := tx.Tx.QueryContext(ctx, "SELECT data FROM file_parts WHERE file_id = $1 ORDER BY part", r.binary(string(f.ID))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	data := make([]byte, 0, f.Size)
	var part sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&part); err != nil {
			return nil, err
		}
		data = append(data, part...)
	}
	return data, rows.Err()
}

// binary are the arguments of a query in which bytes go as they are: bun and
// pgx, as it is set, would make them text of twice the length.
func (r *Repo) binary(args ...any) []any {
	if r.gate != nil {
		return args
	}
	return append([]any{pgx.QueryExecModeDescribeExec}, args...)
}

// DeleteFile is hub.FileStore's.
func (r *Repo) DeleteFile(ctx context.Context, who hub.Access, id hub.FileID) error {
	err := r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewDelete().Model((*fileRow)(nil)).Where("id = ? AND session_id IS NULL AND ?", id, within(who, "user_id", "session_id")).Exec(ctx)
		return someRow(res, err, "attachment")
	})
	if err == nil {
		r.removeFiles([]hub.FileID{id})
	}
	return err
}

// UnboundFiles is hub.FileStore's.
func (r *Repo) UnboundFiles(ctx context.Context, who hub.Access) (count int, size int64, err error) {
	err = r.db.NewRaw("SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM files WHERE user_id = ? AND session_id IS NULL", who.User).Scan(ctx, &count, &size)
	return count, size, fail(err)
}

// DropUnboundFiles is hub.FileStore's. Once in a while it removes, too, what
// the folder has without a row.
func (r *Repo) DropUnboundFiles(ctx context.Context, before time.Time) error {
	skip := ""
	if r.gate == nil {
		skip = " FOR UPDATE SKIP LOCKED" // by who binds it or drops it, too
	}
	var ids []hub.FileID
	err := r.write(ctx, false, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`DELETE FROM files WHERE id IN (
			SELECT id FROM files WHERE session_id IS NULL AND created_at < ?`+skip+`
		) RETURNING id`, before).Scan(ctx, &ids)
	})
	if err != nil {
		return err
	}
	r.removeFiles(ids)
	if r.files != nil && r.files.sweepIsDue() {
		r.sweepFiles(ctx, before)
	}
	return nil
}

// fileIDs brings ids to their canonical form, each once.
func fileIDs(ids []hub.FileID) ([]hub.FileID, error) {
	var out []hub.FileID
	for _, id := range ids {
		canonical, ok := hub.ParseID(string(id))
		if !ok {
			return nil, noAttachment()
		}
		if id = hub.FileID(canonical); !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

func noAttachment() error {
	err := hub.NotFound("attachment")
	err.Field = "attachments"
	return err
}

// sameFiles says whether the ids are the files', in their order.
func sameFiles(ids []hub.FileID, files []hub.File) bool {
	return slices.EqualFunc(ids, files, func(id hub.FileID, f hub.File) bool { return f.ID == id })
}

// bindFiles makes the files that a question brings its session's. The user's
// row is locked: no two questions of a user wait for each other's files.
func bindFiles(ctx context.Context, tx bun.Tx, q hub.StoredQuestion) ([]hub.File, error) {
	if len(q.Files) == 0 {
		return nil, nil
	}
	var rows []fileRow
	err := tx.NewRaw(`UPDATE files SET session_id = ? WHERE id IN (?) AND ? AND (session_id IS NULL OR session_id = ?)
		RETURNING id, name, media_type, size`, q.Session, bun.List(q.Files), within(q.Who, "user_id", "session_id"), q.Session).Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	if len(rows) < len(q.Files) {
		return nil, noAttachment()
	}
	files := make([]hub.File, len(rows))
	for i := range rows {
		files[slices.Index(q.Files, rows[i].ID)] = rows[i].file()
	}
	return files, nil
}

// deleteUnnamed deletes the files of a session, whose row is locked, that no
// message names any more.
func deleteUnnamed(ctx context.Context, tx bun.Tx, session hub.SessionID) ([]hub.FileID, error) {
	var unnamed []hub.FileID
	if err := tx.NewRaw("SELECT id FROM files WHERE session_id = ?", session).Scan(ctx, &unnamed); err != nil || len(unnamed) == 0 {
		return nil, err
	}
	var rows []messageRow
	err := tx.NewSelect().Model(&rows).Column("attachments").Where("session_id = ? AND attachments IS NOT NULL", session).Scan(ctx)
	if err != nil {
		return nil, err
	}
	named := map[hub.FileID]bool{}
	for _, m := range rows {
		for _, f := range m.Attachments {
			named[f.ID] = true
		}
	}
	unnamed = slices.DeleteFunc(unnamed, func(id hub.FileID) bool { return named[id] })
	for part := range slices.Chunk(unnamed, rowsMax) {
		if _, err := tx.NewDelete().Model((*fileRow)(nil)).Where("id IN (?)", bun.List(part)).Exec(ctx); err != nil {
			return nil, err
		}
	}
	return unnamed, nil
}
