package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

func newImages(a *app) *cobra.Command {
	var f inventory.TagFilter
	var format, tag, asOf string
	cmd := &cobra.Command{
		Use:   "images",
		Short: "The inventory: one row a tag",
		Long: `Prints the tags that are there, with what is known of their images.

With --as-of the tags are those of that moment (of a date: its end, UTC) with what they
pointed to then; states and findings are by what is known today.`,
		Example: `  tallyman images
  tallyman images --repository docker-local --state failed
  tallyman images --as-of 2026-03-01
  tallyman images --format jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json", "jsonl"); err != nil {
				return err
			}
			if err := oneState(f.State); err != nil {
				return err
			}
			if asOf != "" {
				at, err := moment(asOf)
				if err != nil {
					return err
				}
				f.AsOf = &at
				a.say("tags as they were at %s; states and findings by what is known today", at.Format(time.RFC3339))
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return a.printImages(onlyTag(api.Images(cmd.Context(), f), tag), format)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.Integration, "integration", "", "only of this integration")
	fl.StringVar(&f.Key, "repository", "", "only of this repository key")
	fl.StringVar(&f.Name, "name", "", "only where the repository or tag contains this")
	fl.StringVar(&tag, "tag", "", "only tags of exactly this name")
	fl.StringVar(&f.State, "state", "", "waiting, analysed, failed or unsupported")
	fl.BoolVar(&f.Gone, "gone", false, "gone tags too")
	fl.StringVar(&asOf, "as-of", "", "the tags as they were then: 2026-03-01, or with the time")
	fl.StringVar(&format, "format", "table", "table, json or jsonl")
	return cmd
}

// onlyTag keeps the rows of one tag's name; empty keeps all.
func onlyTag(rows iter.Seq2[inventory.TagRow, error], tag string) iter.Seq2[inventory.TagRow, error] {
	return func(yield func(inventory.TagRow, error) bool) {
		for row, err := range rows {
			if (err != nil || tag == "" || row.Tag == tag) && !yield(row, err) {
				return
			}
		}
	}
}

func oneState(state string) error {
	switch state {
	case "", inventory.StateWaiting, inventory.StateAnalysed, inventory.StateFailed, inventory.StateUnsupported:
		return nil
	}
	return inventory.Errorf(inventory.ErrInvalid, "unknown state %q", state).
		WithRemedy("use waiting, analysed, failed or unsupported")
}

func (a *app) printImages(rows iter.Seq2[inventory.TagRow, error], format string) error {
	if format != "table" {
		return writeJSON(a.stdout, rows, format == "jsonl")
	}
	all := []inventory.TagRow{}
	for row, err := range rows {
		if err != nil {
			return err
		}
		all = append(all, row)
	}
	if len(all) == 0 {
		fmt.Fprintln(a.stderr, "no tags: `tallyman integration list` shows what is connected, `tallyman status` what was seen")
		return nil
	}
	return report.ImagesTable(a.stdout, all, a.colour(a.stdout))
}

// writeJSON streams rows as one array, or as a line each.
func writeJSON[T any](w io.Writer, rows iter.Seq2[T, error], lines bool) error {
	open, between, end := "[", ",\n", "]\n"
	if lines {
		open, between, end = "", "\n", "\n"
	}
	n := 0
	for row, err := range rows {
		if err != nil {
			return err
		}
		b, err := json.Marshal(row)
		if err != nil {
			return err
		}
		sep := between
		if n == 0 {
			sep = open
		}
		if _, err := fmt.Fprintf(w, "%s%s", sep, b); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		if lines {
			return nil
		}
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}
