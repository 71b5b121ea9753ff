package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// jobBoard shows the pages what is queued.
type jobBoard struct{ store *store.Store }

// Counts implements dashboard.Jobs.
func (b jobBoard) Counts(ctx context.Context) ([]inventory.JobCount, error) {
	all, err := b.store.Queue().Stats(ctx)
	out := make([]inventory.JobCount, 0, len(all))
	for _, s := range all {
		out = append(out, inventory.JobCount(s))
	}
	return out, err
}

// Troubles implements dashboard.Jobs.
func (b jobBoard) Troubles(ctx context.Context, limit int) ([]inventory.JobTrouble, error) {
	out := []inventory.JobTrouble{}
	for _, state := range []string{queue.StateRetrying, queue.StateFailed} {
		rows, err := b.store.Queue().List(ctx, "", state, limit)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			integration, subject := subjectOf(row)
			if integration != 0 {
				in, err := b.store.IntegrationByID(ctx, integration)
				if err != nil && !errors.Is(err, inventory.ErrNotFound) {
					return nil, err
				}
				subject = in.Name
			}
			out = append(out, inventory.JobTrouble{
				ID: row.ID, Kind: row.Kind, Subject: subject, GivenUp: state == queue.StateFailed,
				Attempt: row.Attempt, Problem: inventory.Printable(row.Error), Next: row.Scheduled,
			})
		}
	}
	return out[:min(len(out), limit)], nil
}

// subjectOf says what a job is about: an integration by its number, or a word.
func subjectOf(row queue.Row) (integration int64, subject string) {
	var args struct {
		Integration int64  `json:"integration"`
		Digest      string `json:"digest"`
		ID          string `json:"id"`
	}
	if json.Unmarshal(row.Args, &args) != nil {
		return 0, ""
	}
	return args.Integration, cmp.Or(args.Digest, args.ID)
}

// Retry implements dashboard.Jobs. Only what failed can be tried again.
func (b jobBoard) Retry(ctx context.Context, id int64) error {
	troubles, err := b.Troubles(ctx, 1000)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(troubles, func(t inventory.JobTrouble) bool { return t.ID == id }) {
		return inventory.Errorf(inventory.ErrNotFound, "there is no failed job %s", fmt.Sprint(id))
	}
	return b.store.Queue().Retry(ctx, id)
}
