package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the table: medians, and ratios with their spread.
func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "\n%s\n", r.title)
	if len(r.runs) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads := []string{"", "n"}
	for _, c := range r.columns {
		heads = append(heads, c.head)
	}
	for _, c := range r.columns {
		if c.ratio {
			heads = append(heads, "× "+c.head)
		}
	}
	heads = append(heads, "missing", "twice", "out of order")
	fmt.Fprintln(w, strings.Join(heads, "\t")+"\t")
	var bad faults
	for _, row := range r.rows() {
		var f faults
		rounds := 0
		for _, n := range r.runs {
			if n.row == row {
				f.add(n.faults)
				rounds++
			}
		}
		cells := []string{row, fmt.Sprint(rounds)}
		for _, c := range r.columns {
			s, ok := spreadOf(r.of(row, c.key))
			cells = append(cells, cell(ok, "%.*f", c.digit, s.Median))
		}
		for _, c := range r.columns {
			if c.ratio {
				s, ok := r.ratio(row, c.key)
				cells = append(cells, cell(ok, "%.2f (%.2f–%.2f)", s.Median, s.Least, s.Most))
			}
		}
		cells = append(cells, fmt.Sprint(f.Missing), fmt.Sprint(f.Duplicated), fmt.Sprint(f.Misplaced))
		fmt.Fprintln(w, strings.Join(cells, "\t")+"\t")
		bad.add(f)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad.any() {
		fmt.Fprintf(out, "NOT EXACT: %d tokens missing, %d twice, %d out of order; %d viewers without finish; %d answers not in the history\n",
			bad.Missing, bad.Duplicated, bad.Misplaced, bad.Unended, bad.Unstored)
		for _, n := range bad.Notes {
			fmt.Fprintln(out, "  "+n)
		}
	}
	return nil
}

func cell(ok bool, format string, a ...any) string {
	if !ok {
		return "–"
	}
	return fmt.Sprintf(format, a...)
}

// MarshalJSON has what the table has, and every round.
func (r *report) MarshalJSON() ([]byte, error) {
	type jsonRun struct {
		Round  int                `json:"round"`
		Values map[string]float64 `json:"values"`
		Faults faults             `json:"faults"`
	}
	type jsonRow struct {
		Name    string            `json:"name"`
		Medians map[string]spread `json:"medians"`
		Ratios  map[string]spread `json:"ratios"` // to the first row
		Runs    []jsonRun         `json:"runs"`
	}
	rows := []jsonRow{}
	for _, name := range r.rows() {
		row := jsonRow{Name: name, Medians: map[string]spread{}, Ratios: map[string]spread{}}
		for _, c := range r.columns {
			if s, ok := spreadOf(r.of(name, c.key)); ok {
				row.Medians[c.key] = s
			}
			if s, ok := r.ratio(name, c.key); ok && c.ratio {
				row.Ratios[c.key] = s
			}
		}
		for _, n := range r.runs {
			if n.row == name {
				row.Runs = append(row.Runs, jsonRun{n.round, n.values, n.faults})
			}
		}
		rows = append(rows, row)
	}
	return json.Marshal(struct {
		Title string    `json:"title"`
		Exact bool      `json:"exact"`
		Rows  []jsonRow `json:"rows"`
	}{r.title, r.exact(), rows})
}
