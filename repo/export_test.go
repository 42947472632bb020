package repo

import "context"

// JournalRows counts what is left in the journal.
func (r *Repo) JournalRows(ctx context.Context) (int64, error) {
	return r.db.NewSelect().Model((*journalRow)(nil)).Count(ctx)
}

// Formed waits until the texts of before have their forms.
func (r *Repo) Formed() { <-r.former.done }

// Exec changes what lies in the database behind everyone's back.
func (r *Repo) Exec(ctx context.Context, query string, args ...any) error {
	_, err := r.writer.NewRaw(query, args...).Exec(ctx)
	return err
}
