package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

const (
	unfinished = "new-"      // begins the name of a file that is being written
	owned      = "database-" // begins the name of the file that says whose the folder is

	sweepEach = time.Hour
	sweepKeep = time.Hour // a file may be that much older than its row
)

// fileFolder keeps the bytes of files outside the database. Each is written
// before its row and removed after it, so that no row is without its bytes;
// what a crash leaves behind is swept.
type fileFolder struct {
	dir   string
	swept atomic.Int64 // when, in Unix seconds
}

// openFiles takes a folder for this database, and in embedded mode sweeps it.
func (r *Repo) openFiles(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of files: %w", err)
	}
	id, err := r.SharedSecret(ctx, "files_folder", []byte(hub.NewID()))
	if err != nil {
		return err
	}
	r.files = &fileFolder{dir: dir}
	if err := r.files.take(owned + string(id)); err != nil {
		return fmt.Errorf("take the folder of files: %w", err)
	}
	if r.gate != nil {
		r.files.sweepIsDue()
		r.sweepFiles(ctx, time.Now().Add(2*sweepKeep)) // nobody else is writing
	}
	return nil
}

// take marks the folder as this database's. What has no row in it is removed,
// so it must not be another's, too.
func (d *fileFolder) take(mark string) error {
	for range 2 { // once more with the mark: somebody else may be taking it, too
		entries, err := os.ReadDir(d.dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), owned) && e.Name() != mark {
				return fmt.Errorf("%s says that it keeps the files of another database", filepath.Join(d.dir, e.Name()))
			}
		}
		f, err := os.OpenFile(filepath.Join(d.dir, mark), os.O_CREATE|os.O_RDONLY, 0o600)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// path is where a file lies: under the end of its id, as the beginning is the
// time.
func (d *fileFolder) path(id hub.FileID) string {
	return filepath.Join(d.dir, string(id[len(id)-2:]), string(id))
}

// write keeps a file that is not there yet; once it returns nil, it survives a
// crash.
func (d *fileFolder) write(id hub.FileID, data []byte) error {
	path := d.path(id)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, os.ErrExist)
	}
	dir := filepath.Dir(path)
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = syncFolder(d.dir)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	f, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

// syncFolder makes the names in a folder survive a crash.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *fileFolder) read(id hub.FileID) ([]byte, error) {
	if d == nil {
		return nil, errors.New("it lies in a folder, and no folder for files is set")
	}
	return os.ReadFile(d.path(id))
}

// sweepIsDue says so to one caller in an hour.
func (d *fileFolder) sweepIsDue() bool {
	last, at := d.swept.Load(), time.Now().Unix()
	return at-last >= int64(sweepEach/time.Second) && d.swept.CompareAndSwap(last, at)
}

// removeFiles removes files whose rows are gone from the folder. Those that lie
// in the database are not in it.
func (r *Repo) removeFiles(ids []hub.FileID) {
	if r.files == nil {
		return
	}
	for _, id := range ids {
		if err := ignoreMissing(os.Remove(r.files.path(id))); err != nil {
			r.log.Warn("an attachment stays in the folder until it is swept", "err", err)
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// sweepFiles removes what is in the folder without a row and was written before
// a time, and at least a while ago.
func (r *Repo) sweepFiles(ctx context.Context, before time.Time) {
	dirs, err := os.ReadDir(r.files.dir)
	for _, d := range dirs {
		if d.IsDir() && len(d.Name()) == 2 {
			err = errors.Join(err, r.sweepOne(ctx, filepath.Join(r.files.dir, d.Name()), before.Add(-sweepKeep)))
		}
	}
	if err != nil {
		r.log.Warn("the folder of files is not swept", "err", err)
	}
}

func (r *Repo) sweepOne(ctx context.Context, dir string, before time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var ids []hub.FileID
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), unfinished) {
			if err := ignoreMissing(os.Remove(path)); err != nil {
				return err
			}
		}
		if id, ok := hub.ParseID(e.Name()); ok && r.files.path(hub.FileID(id)) == path {
			ids = append(ids, hub.FileID(id))
		}
	}
	for part := range slices.Chunk(ids, rowsMax) {
		var known []hub.FileID
		if err := r.db.NewRaw("SELECT id FROM files WHERE id IN (?)", bun.List(part)).Scan(ctx, &known); err != nil {
			return err
		}
		r.removeFiles(slices.DeleteFunc(part, func(id hub.FileID) bool { return slices.Contains(known, id) }))
	}
	return nil
}
