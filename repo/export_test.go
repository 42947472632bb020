package repo

import "context"

// JournalRows counts what is left in the journal.
func (r *Repo) JournalRows(ctx context.Context) (int64, error) {
	return r.db.NewSelect().Model((*journalRow)(nil)).Count(ctx)
}

// Formed waits until the texts of before have their forms.
func (r *Repo) Formed() { <-r.former.done }
