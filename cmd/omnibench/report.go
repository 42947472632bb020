package main

import (
	"errors"
	"slices"
	"strings"
)

// errInexact says that viewers did not get exactly what was sent.
var errInexact = errors.New("viewers did not get every token once and in order")

// faults are what may not happen.
type faults struct {
	Missing    int64    `json:"missing"`
	Duplicated int64    `json:"duplicated"`
	Misplaced  int64    `json:"out_of_order"`
	Unended    int64    `json:"without_finish"` // viewers
	Unstored   int64    `json:"not_in_history"` // answers
	Notes      []string `json:"notes,omitempty"`
}

const notesMax = 5

func (f *faults) note(err error) {
	if err != nil && len(f.Notes) < notesMax {
		f.Notes = append(f.Notes, err.Error())
	}
}

func (f *faults) add(o faults) {
	f.Missing += o.Missing
	f.Duplicated += o.Duplicated
	f.Misplaced += o.Misplaced
	f.Unended += o.Unended
	f.Unstored += o.Unstored
	f.Notes = append(f.Notes, o.Notes[:min(len(o.Notes), max(0, notesMax-len(f.Notes)))]...)
}

func (f *faults) any() bool {
	return f.Missing+f.Duplicated+f.Misplaced+f.Unended+f.Unstored > 0 || len(f.Notes) > 0
}

// err is the notes as an error.
func (f *faults) err() error {
	if len(f.Notes) == 0 {
		return nil
	}
	return errors.New(strings.Join(f.Notes, "; "))
}

// column is one figure of a table.
type column struct {
	key   string
	head  string
	digit int  // digits after the point
	ratio bool // is compared with the first row's
}

// run is one round of one row.
type run struct {
	row    string
	round  int
	values map[string]float64
	faults faults
}

// report is one table: rows that were measured in turn.
type report struct {
	title   string
	columns []column
	runs    []run
}

func (r *report) add(row string, round int, values map[string]float64, f faults) {
	r.runs = append(r.runs, run{row: row, round: round, values: values, faults: f})
}

// rows are the names in the order in which they first came.
func (r *report) rows() (names []string) {
	for _, n := range r.runs {
		if !slices.Contains(names, n.row) {
			names = append(names, n.row)
		}
	}
	return names
}

// of are a row's values of a column, by round.
func (r *report) of(row, key string) map[int]float64 {
	out := map[int]float64{}
	for _, n := range r.runs {
		if v, ok := n.values[key]; ok && n.row == row {
			out[n.round] = v
		}
	}
	return out
}

// spread is a median with the least and the greatest.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(values map[int]float64) (s spread, ok bool) {
	var all []float64
	for _, v := range values {
		all = append(all, v)
	}
	if len(all) == 0 {
		return s, false
	}
	slices.Sort(all)
	n := len(all)
	return spread{Median: (all[(n-1)/2] + all[n/2]) / 2, Least: all[0], Most: all[n-1]}, true
}

// ratio compares a row with the first one, round by round.
func (r *report) ratio(row, key string) (spread, bool) {
	mine, base := r.of(row, key), r.of(r.rows()[0], key)
	ratios := map[int]float64{}
	for round, v := range mine {
		if b := base[round]; b != 0 {
			ratios[round] = v / b
		}
	}
	return spreadOf(ratios)
}

// exact says whether nothing was amiss in any run.
func (r *report) exact() bool {
	return !slices.ContainsFunc(r.runs, func(n run) bool { return n.faults.any() })
}
