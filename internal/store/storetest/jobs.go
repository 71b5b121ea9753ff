package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func jobTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"commit with what calls for them": testJobsAtomic,
		"worked, retried, given up":       testJobOutcomes,
		"time-outs and panics":            testJobLimits,
		"doubles":                         testJobDoubles,
		"sooner":                          testJobSooner,
		"again while it runs":             testJobAgain,
		"stopping gives them back":        testJobStop,
		"list and retry by hand":          testJobList,
		"soon after they are queued":      testJobLatency,
		"a hint makes a look":             testHintJob,
	}
}

// work runs handlers until stop is called.
func work(t *testing.T, s *store.Store, handlers queue.Handlers) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		err := s.Queue().Run(ctx, handlers, 2)
		if ctx.Err() == nil {
			t.Errorf("Run ended by itself: %v", err)
		}
		done <- err
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func enqueue(t *testing.T, s *store.Store, jobs ...queue.Job) {
	t.Helper()
	if err := s.Enqueue(t.Context(), jobs...); err != nil {
		t.Fatal(err)
	}
}

func stats(t *testing.T, s *store.Store, kind string) queue.Stats {
	t.Helper()
	all, err := s.Queue().Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range all {
		if st.Kind == kind {
			return st
		}
	}
	return queue.Stats{Kind: kind}
}

func testJobsAtomic(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	// A look that fails after its sightings were written leaves neither them nor jobs.
	_, err := s.RecordLook(ctx, inventory.Look{
		Integration: id, Kind: inventory.LookPoll, At: Start, Sightings: []inventory.Sighting{Sight("local/a:1", Digest("x"), Start)},
		Cursors: map[string]string{"bad\x00name": "PostgreSQL refuses"}, HintsUpTo: 1,
	})
	if err != nil { // SQLite takes any text
		if got := stats(t, s, store.JobIndex); got.Waiting != 0 {
			t.Errorf("jobs without their sightings: %+v", got)
		}
		if page, err := s.Tags(ctx, inventory.TagFilter{}); err != nil || page.Total != 0 {
			t.Errorf("%+v, %v", page, err)
		}
	}
	// An image whose second chain cannot be saved leaves neither chains nor a match.
	img, chains := Build("app", base, app)
	chains[1].Added[0].PURL = ""
	if err := s.SaveImage(ctx, img, chains); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("SaveImage: %v", err)
	}
	chains[1].Added[0].PURL, chains[1].DiffID = "pkg:npm/x@1", "nonsense"
	if err := s.SaveImage(ctx, img, chains); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("SaveImage: %v", err)
	}
	if size, err := s.Size(ctx); err != nil || size["chain"]+size["package"]+size["chain_package"] != 0 {
		t.Errorf("%v, %v", size, err)
	}
	if got := stats(t, s, store.JobMatch); got.Waiting != 0 {
		t.Errorf("a match of nothing: %+v", got)
	}
	Index(t, s, "app", base)
	if got := stats(t, s, store.JobMatch); got.Waiting != 1 {
		t.Errorf("no match: %+v", got)
	}
}

func testJobOutcomes(t *testing.T, s *store.Store) {
	var tries, gaveUp, told atomic.Int64
	enqueue(t, s,
		queue.Job{Kind: "kind", Args: "good"}, queue.Job{Kind: "kind", Args: "flaky"}, queue.Job{Kind: "kind", Args: "bad"}, queue.Job{Kind: "kind", Args: "down"})
	work(t, s, queue.Handlers{"kind": {
		MaxAttempts: 2,
		Do: func(_ context.Context, w queue.Work) error {
			switch string(w.Args) {
			case `"flaky"`:
				if tries.Add(1) == 1 {
					return fmt.Errorf("get: %w", inventory.Errorf(inventory.ErrUnavailable, "no answer"))
				}
			case `"bad"`:
				return inventory.Errorf(inventory.ErrUnsupported, "cannot be")
			case `"down"`:
				return inventory.Errorf(inventory.ErrUnavailable, "down for ever")
			}
			return nil
		},
		Failed: func(_ context.Context, w queue.Work, cause error) error {
			gaveUp.Add(1)
			if string(w.Args) == `"bad"` && told.Add(1) == 1 {
				return errors.New("the failure could not be recorded")
			}
			if !strings.Contains(cause.Error(), "cannot be") && !strings.Contains(cause.Error(), "down for ever") {
				t.Errorf("told of %v", cause)
			}
			return nil
		},
	}})
	waitFor(t, "all done", func() bool { st := stats(t, s, "kind"); return st.Done == 2 && st.Failed == 2 })
	if tries.Load() != 2 || gaveUp.Load() != 3 || told.Load() != 2 {
		t.Errorf("flaky tried %d times, given up %d times, bad told %d times", tries.Load(), gaveUp.Load(), told.Load())
	}
}

func testJobLimits(t *testing.T, s *store.Store) {
	var slow atomic.Int64
	failed := make(chan error, 10)
	enqueue(t, s, queue.Job{Kind: "slow"}, queue.Job{Kind: "panics"})
	remember := func(_ context.Context, _ queue.Work, cause error) error { failed <- cause; return nil }
	work(t, s, queue.Handlers{
		"slow": {Timeout: 50 * time.Millisecond, MaxAttempts: 2, Failed: remember, Do: func(ctx context.Context, _ queue.Work) error {
			slow.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}},
		"panics": {Failed: remember, Do: func(context.Context, queue.Work) error { panic("boom") }},
	})
	for range 2 {
		select {
		case err := <-failed:
			if !strings.Contains(err.Error(), "took longer than 50ms") && !strings.Contains(err.Error(), "panicked: boom") {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nobody was told")
		}
	}
	if slow.Load() != 2 {
		t.Errorf("a time-out was tried %d times", slow.Load())
	}
}

func testJobDoubles(t *testing.T, s *store.Store) {
	ctx := t.Context()
	job := queue.Job{Kind: "kind", Args: map[string]string{"digest": "x"}, Unique: "x"}
	enqueue(t, s, job, job)
	enqueue(t, s, job, queue.Job{Kind: "kind", Args: "other args", Unique: "x"}, queue.Job{Kind: "kind", Unique: "y"}, queue.Job{Kind: "other", Unique: "x"})
	if got := stats(t, s, "kind"); got.Waiting != 2 {
		t.Errorf("%+v", got)
	}
	drain(t, s, "kind")
	waitFor(t, "done", func() bool { return stats(t, s, "kind").Done == 2 })
	enqueue(t, s, job) // what was done may have to be done again
	if got := stats(t, s, "kind"); got.Waiting != 1 || got.Done != 2 {
		t.Errorf("%+v", got)
	}
	rows, err := s.Queue().List(ctx, "kind", queue.StateWaiting, 10)
	if err != nil || len(rows) != 1 || string(rows[0].Args) != `{"digest":"x"}` && string(rows[0].Args) != `{"digest": "x"}` {
		t.Errorf("%+v, %v", rows, err)
	}
}

func testJobSooner(t *testing.T, s *store.Store) {
	done := make(chan struct{}, 10)
	enqueue(t, s, queue.Job{Kind: "kind", Unique: "x", At: time.Now().Add(time.Hour)})
	enqueue(t, s, queue.Job{Kind: "kind", Unique: "x", At: time.Now().Add(2 * time.Hour), Sooner: true}) // later is not sooner
	work(t, s, queue.Handlers{"kind": {Do: func(context.Context, queue.Work) error { done <- struct{}{}; return nil }}})
	select {
	case <-done:
		t.Fatal("planned for later, done now")
	case <-time.After(300 * time.Millisecond):
	}
	enqueue(t, s, queue.Job{Kind: "kind", Unique: "x", At: time.Now()})
	if got := stats(t, s, "kind"); got.Planned != 1 {
		t.Errorf("without Sooner it moved: %+v", got)
	}
	enqueue(t, s, queue.Job{Kind: "kind", Unique: "x", Sooner: true})
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("not brought forward")
	}
}

func testJobAgain(t *testing.T, s *store.Store) {
	begun, finish := make(chan int64, 10), make(chan struct{})
	job := queue.Job{Kind: "kind", Unique: "x"}
	enqueue(t, s, job)
	work(t, s, queue.Handlers{"kind": {Again: true, Workers: 1, Do: func(_ context.Context, w queue.Work) error {
		begun <- w.ID
		<-finish
		return nil
	}}})
	first := <-begun
	enqueue(t, s, job, job)
	enqueue(t, s, job)
	if got := stats(t, s, "kind"); got.Waiting != 1 || got.Running != 1 {
		t.Errorf("%+v", got)
	}
	close(finish)
	if second := <-begun; second == first {
		t.Error("the same job again")
	}
	waitFor(t, "both done", func() bool { return stats(t, s, "kind").Done == 2 })
}

func testJobStop(t *testing.T, s *store.Store) {
	begun := make(chan int, 10)
	enqueue(t, s, queue.Job{Kind: "kind", Unique: "x"})
	handlers := func(last bool) queue.Handlers {
		return queue.Handlers{"kind": {Do: func(ctx context.Context, w queue.Work) error {
			begun <- w.Attempt
			if !last {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}}
	}
	stop := work(t, s, handlers(false))
	<-begun
	stop()
	if got := stats(t, s, "kind"); got.Waiting != 1 {
		t.Errorf("after stopping: %+v", got)
	}
	work(t, s, handlers(true))
	if attempt := <-begun; attempt != 1 {
		t.Errorf("being stopped counted as attempt %d", attempt)
	}
	waitFor(t, "done", func() bool { return stats(t, s, "kind").Done == 1 })
}

func testJobList(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var broken atomic.Bool
	broken.Store(true)
	enqueue(t, s, queue.Job{Kind: "kind", Args: 1})
	work(t, s, queue.Handlers{"kind": {Do: func(context.Context, queue.Work) error {
		if broken.Load() {
			return errors.New("it is broken")
		}
		return nil
	}}})
	waitFor(t, "failed", func() bool { return stats(t, s, "kind").Failed == 1 })
	rows, err := s.Queue().List(ctx, "", queue.StateFailed, 10)
	if err != nil || len(rows) != 1 || !strings.Contains(rows[0].Error, "it is broken") || rows[0].State != queue.StateFailed || rows[0].Finished == nil {
		t.Fatalf("%+v, %v", rows, err)
	}
	if _, err := json.Marshal(rows); err != nil {
		t.Error(err)
	}
	if _, err := s.Queue().List(ctx, "", "odd", 10); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("an unknown state: %v", err)
	}
	broken.Store(false)
	if err := s.Queue().Retry(ctx, rows[0].ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "done", func() bool { return stats(t, s, "kind").Done == 1 })
	if err := s.Queue().Retry(ctx, 999_999); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("retry of nothing: %v", err)
	}
}

func testJobLatency(t *testing.T, s *store.Store) {
	begun := make(chan time.Time, 1)
	work(t, s, queue.Handlers{"kind": {Do: func(context.Context, queue.Work) error { begun <- time.Now(); return nil }}})
	time.Sleep(300 * time.Millisecond)
	var worst time.Duration
	for range 5 {
		queued := time.Now()
		enqueue(t, s, queue.Job{Kind: "kind"})
		worst = max(worst, (<-begun).Sub(queued))
	}
	t.Logf("worst wait %s", worst)
	if worst > 2*time.Second {
		t.Errorf("a job waited %s", worst)
	}
}

func testHintJob(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	looks := make(chan string, 10)
	work(t, s, queue.Handlers{store.JobLook: {Again: true, Do: func(ctx context.Context, w queue.Work) error {
		var args store.LookArgs
		if err := json.Unmarshal(w.Args, &args); err != nil || args.Integration != id {
			t.Errorf("%s, %v", w.Args, err)
		}
		hints, err := s.Hints(ctx, id)
		if err != nil {
			return err
		}
		looks <- fmt.Sprint(len(hints))
		return s.Enqueue(ctx, store.LookJob(id, time.Now().Add(time.Hour))) // the next regular look
	}}})
	next := func() string {
		t.Helper()
		select {
		case n := <-looks:
			return n
		case <-time.After(10 * time.Second):
			t.Fatal("no look")
			return ""
		}
	}
	got := []string{next()} // the first look of a new integration
	waitFor(t, "the next look planned", func() bool { return stats(t, s, store.JobLook).Planned == 1 })
	if err := s.AddHint(ctx, id, inventory.Hint{Key: "k", Image: "a"}); err != nil {
		t.Fatal(err)
	}
	got = append(got, next())
	if diff := cmp.Diff([]string{"0", "1"}, got); diff != "" {
		t.Error(diff)
	}
}
