package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newAudit(a *app) *cobra.Command {
	var f inventory.AuditFilter
	var format string
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who changed what and when, the newest first",
		Long: `Prints the log of changes: what people did on the pages, machines with their tokens, and
commands on this machine, with the fields that changed. Secrets are never in it; that one
was replaced is.`,
		Example: `  tallyman audit
  tallyman audit --actor ada --action integration
  tallyman audit --limit 1000 --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Limit < 1 {
				return inventory.Errorf(inventory.ErrInvalid, "--limit %d shows nothing", f.Limit).WithRemedy("give 1 or more")
			}
			return show(a, cmd, format, func(api *client.Client, ctx context.Context) ([]inventory.AuditEntry, error) {
				return auditEntries(ctx, api, f)
			}, a.auditTable)
		},
	}
	cmd.Flags().StringVar(&f.Actor, "actor", "", "only what this user or token did")
	cmd.Flags().StringVar(&f.Subject, "subject", "", "only what was done to the thing of this name")
	cmd.Flags().StringVar(&f.Action, "action", "", "only acts that begin with this: user, integration, …")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "how many entries")
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

// auditEntries reads page by page until there are as many as asked for.
func auditEntries(ctx context.Context, api *client.Client, f inventory.AuditFilter) ([]inventory.AuditEntry, error) {
	all := []inventory.AuditEntry{}
	want := f.Limit
	for {
		f.Limit = min(want-len(all), 1000)
		page, err := api.Audit(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Entries...)
		if f.After = page.Next; f.After == 0 || len(all) >= want {
			return all, nil
		}
	}
}

func (a *app) auditTable(list []inventory.AuditEntry) error {
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tWHO\tBY\tDID\tTO\tCHANGES")
	for _, e := range list {
		row(w, e.At.UTC().Format(time.RFC3339), e.Actor, e.Via, e.Action, e.Subject, changesIn(e))
	}
	return w.Flush()
}

// changesIn writes the fields that differ on one line: "role viewer → editor".
func changesIn(e inventory.AuditEntry) string {
	fields := maps.Clone(e.Before)
	if fields == nil {
		fields = map[string]any{}
	}
	maps.Copy(fields, e.After)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		was, is := shortValue(e.Before[name]), shortValue(e.After[name])
		switch {
		case was == is:
		case was == "":
			parts = append(parts, name+" "+is)
		case is == "":
			parts = append(parts, name+" was "+was)
		default:
			parts = append(parts, name+" "+was+" → "+is)
		}
	}
	return strings.Join(parts, ", ")
}

// shortValue is a value as a table shows it; empty for what is nothing.
func shortValue(v any) string {
	if v == nil || v == "" {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		text, err := json.Marshal(v)
		if err != nil || string(text) == "[]" {
			return ""
		}
		s = string(text)
	}
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return s
}
