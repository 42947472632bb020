package repo

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/omnichat/omnichat/hub"
)

type priceRow struct {
	bun.BaseModel `bun:"table:prices"`

	Model       string `bun:",pk"`
	Input       float64
	CachedInput float64
	Output      float64
}

func (p *priceRow) price() hub.ModelPrice {
	return hub.ModelPrice{Model: p.Model, Custom: true, Price: hub.Price{Input: p.Input, CachedInput: p.CachedInput, Output: p.Output}}
}

// Prices is hub.UsageStore's.
func (r *Repo) Prices(ctx context.Context) ([]hub.ModelPrice, error) {
	var rows []priceRow
	if err := r.db.NewSelect().Model(&rows).Order("model").Scan(ctx); err != nil {
		return nil, fail(err)
	}
	out := make([]hub.ModelPrice, len(rows))
	for i := range rows {
		out[i] = rows[i].price()
	}
	return out, nil
}

// PutPrice is hub.UsageStore's.
func (r *Repo) PutPrice(ctx context.Context, p hub.ModelPrice) error {
	row := priceRow{Model: p.Model, Input: p.Input, CachedInput: p.CachedInput, Output: p.Output}
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (model) DO UPDATE").
			Set("input = excluded.input, cached_input = excluded.cached_input, output = excluded.output").Exec(ctx)
		return err
	})
}

// DeletePrice is hub.UsageStore's.
func (r *Repo) DeletePrice(ctx context.Context, model string) error {
	return r.write(ctx, true, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewDelete().Model((*priceRow)(nil)).Where("model = ?", model).Exec(ctx)
		return someRow(res, err, "price")
	})
}
