package repo

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

// keepOrder stores with what an answer is generated, if anything is set.
func (r *Repo) keepOrder(ctx context.Context, tx bun.Tx, id hub.MessageID, o hub.Order) error {
	if o == (hub.Order{}) {
		return nil
	}
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("parameters: %w", err)
	}
	text := string(b)
	_, err = tx.NewInsert().Model(&answerRow{MessageID: id, Parameters: &text}).Exec(ctx)
	return err
}

// readOrders adds to orphans with what they were asked for. One that cannot be read is as
// if nothing were set.
func (r *Repo) readOrders(ctx context.Context, tx bun.Tx, orphans map[hub.MessageID]*hub.Orphan) error {
	ids := make([]hub.MessageID, 0, len(orphans))
	for id := range orphans {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	var rows []answerRow
	if err := tx.NewSelect().Model(&rows).Column("message_id", "parameters").Where("message_id IN (?) AND parameters IS NOT NULL", bun.List(ids)).Scan(ctx); err != nil {
		return err
	}
	for _, row := range rows {
		if err := json.Unmarshal([]byte(*row.Parameters), &orphans[row.MessageID].Order); err != nil {
			r.log.Error("read the parameters of an answer", "message", row.MessageID, "err", err)
		}
	}
	return nil
}
