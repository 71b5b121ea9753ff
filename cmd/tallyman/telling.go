package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/notify"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
)

const (
	// jobClock looks for what nothing else brings about: advisories grow old by themselves.
	jobClock   = "notify-clock"
	clockEvery = 10 * time.Minute
	// feedAge is how old the newest advisories may be before channels are told.
	feedAge = 48 * time.Hour
	// keepNotices is how long messages that were sent stay to be looked at.
	keepNotices = 30 * 24 * time.Hour
	// sendAttempts are spread over more than two hours.
	sendAttempts = 36
)

// teller is what the API needs of notifications: what is kept, and what is sent.
type teller struct {
	*store.Store
	*notify.Notifier
}

func newTeller(st *store.Store, log *slog.Logger) teller {
	return teller{st, notify.New(st, notify.Options{Client: notify.NewClient(), Log: log})}
}

// handlers do the jobs that tell people.
func (t teller) handlers() queue.Handlers {
	return queue.Handlers{
		store.JobNotify: {Do: t.collect, Again: true, Workers: 2, Timeout: 30 * time.Minute},
		store.JobSend:   {Do: t.send, Failed: t.giveUp, Workers: 4, Timeout: time.Minute, MaxAttempts: sendAttempts},
		jobClock:        {Do: t.clock, Again: true, Workers: 1, Timeout: time.Minute},
	}
}

// collect makes messages of news, and comes again for what has not settled yet.
func (t teller) collect(ctx context.Context, w queue.Work) error {
	var args store.NotifyArgs
	if err := json.Unmarshal(w.Args, &args); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "notify job: %w", err)
	}
	again, err := t.Collect(ctx, args.Settled)
	if err != nil || again == 0 {
		return err
	}
	return t.Enqueue(ctx, store.NotifyJob(args.Settled, time.Now().Add(again)))
}

func (t teller) send(ctx context.Context, w queue.Work) error {
	id, err := messageOf(w)
	if err != nil {
		return err
	}
	return t.Send(ctx, id)
}

func (t teller) giveUp(ctx context.Context, w queue.Work, cause error) error {
	id, err := messageOf(w)
	if err != nil {
		return err
	}
	return t.GiveUp(ctx, id, cause)
}

func messageOf(w queue.Work) (string, error) {
	var args store.SendArgs
	if err := json.Unmarshal(w.Args, &args); err != nil {
		return "", inventory.Errorf(inventory.ErrInvalid, "send job: %w", err)
	}
	return args.ID, nil
}

// startClock plans the first round of the clock; a round that is planned already stays.
func (t teller) startClock(ctx context.Context) error {
	return t.Enqueue(ctx, queue.Job{Kind: jobClock, Args: struct{}{}, Unique: "clock"})
}

// clock checks the age of the advisories, forgets old messages, and makes messages of
// whatever news a job that was given up left behind.
func (t teller) clock(ctx context.Context, _ queue.Work) error {
	now := time.Now()
	err := errors.Join(t.CheckFeeds(ctx, feedAge), t.PruneNotices(ctx, now.Add(-keepNotices)))
	return errors.Join(err, t.Enqueue(ctx,
		store.NotifyJob(false, time.Time{}), store.NotifyJob(true, time.Time{}),
		queue.Job{Kind: jobClock, Args: struct{}{}, Unique: "clock", At: now.Add(clockEvery)}))
}
