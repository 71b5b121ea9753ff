package discover_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// restartWith is a new process with options.
func (w *world) restartWith(o discover.Options) {
	w.t.Helper()
	in, err := w.store.IntegrationByID(w.t.Context(), w.in.ID)
	must(w.t, err)
	ao := artifactory.OptionsFor(in, inventory.Secrets{Password: "wonder"})
	ao.Backoff, ao.Proxy, ao.Retries = time.Millisecond, "none", 2
	c, err := artifactory.New(ao)
	must(w.t, err)
	w.d, err = discover.New(in, c, w.store, o)
	must(w.t, err)
}

// wantLive fails unless the ledger follows just these tags.
func (w *world) wantLive(when string, want ...string) {
	w.t.Helper()
	got := map[string]bool{}
	for name := range w.live() {
		got[name] = true
	}
	wanted := map[string]bool{}
	for _, name := range want {
		wanted[name] = true
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		w.t.Errorf("%s: %s", when, diff)
	}
}

func (w *world) notSelected() int {
	w.t.Helper()
	st, err := w.store.Status(w.t.Context())
	must(w.t, err)
	return st.NotSelected
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	w := begin(t, func(in *inventory.Integration) { in.Exclude = []string{"secret"} })
	watch := discover.Options{Baseline: true}
	w.push("docker-local", "app", "1")
	w.push("docker-local", "app", "2")
	w.push("docker-local", "secret", "1")
	w.push("docker-hub", "library/alpine", "3")
	w.restartWith(watch)
	if r := w.poll(); r != (inventory.LookResult{}) {
		t.Errorf("the first look took %+v", r)
	}
	w.wantLive("at the start")
	if n := w.notSelected(); n != 4 {
		t.Errorf("%d not selected, want 4", n)
	}
	// One is pushed anew, one changes, one is named by a webhook and is the same.
	w.pass(time.Minute)
	w.push("docker-local", "app", "3")
	w.push("docker-local", "app", "1")
	if r := w.poll(); r.New != 2 || r.Queued != 2 {
		t.Errorf("poll: %+v", r)
	}
	if r := w.hint(inventory.Hint{Key: "docker-local", Image: "app", Tag: "2"}); r.New != 0 {
		t.Errorf("a hint brought in what was the same: %+v", r)
	}
	w.wantLive("watching", "docker-local/app:1", "docker-local/app:3")
	if r := w.reconcile(); r != (inventory.LookResult{}) {
		t.Errorf("reconcile: %+v", r)
	}

	// While it is down, a digest of old is promoted with its dates, and a tag moves.
	w.pass(time.Hour)
	must(t, w.sim.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "2", ToRepo: "docker-prod", Copy: true}))
	w.push("docker-hub", "library/alpine", "3")
	w.pass(24 * time.Hour)
	w.restartWith(watch)
	if r := w.poll(); r.New != 2 {
		t.Errorf("after the restart: %+v", r)
	}
	want := []string{"docker-local/app:1", "docker-local/app:3", "docker-prod/app:2", "docker-hub/library/alpine:3"}
	w.wantLive("after the restart", want...)
	// Back to the digest of old: it is followed all the same. And a process without
	// the option keeps to what is recorded.
	w.restartWith(discover.Options{})
	w.reconcile()
	w.wantLive("another process", want...)
	if n := w.notSelected(); n != 2 {
		t.Errorf("%d not selected, want 2", n)
	}
}

func TestBaselineOutage(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "1")
	w.push("docker-prod", "app", "1")
	w.sim.Withdraw("alice", "docker-prod")
	in := w.in
	in.Repositories = []string{"docker-local", "docker-prod"}
	must(t, w.store.UpdateIntegration(t.Context(), in, nil))
	w.restartWith(discover.Options{Baseline: true})
	w.reconcile()
	// The key that could not be read has its own first listing.
	w.sim.Restore("alice", "docker-prod")
	w.restartWith(discover.Options{Baseline: true})
	w.pass(time.Minute)
	if r := w.reconcile(); r.New != 0 {
		t.Errorf("%+v", r)
	}
	w.wantLive("restored")
	w.pass(time.Minute)
	w.push("docker-prod", "app", "2")
	w.poll()
	w.wantLive("pushed", "docker-prod/app:2")
}

func TestAllOnce(t *testing.T) {
	t.Parallel()
	w := begin(t, func(in *inventory.Integration) { in.Include = []string{"app"} })
	w.push("docker-local", "app", "1")
	w.push("docker-local", "left", "1")
	w.restartWith(discover.Options{Baseline: true, All: true})
	if r := w.poll(); r.New != 1 || r.Queued != 1 {
		t.Errorf("%+v", r)
	}
	// Pushed while nobody watches: a run without the option catches up, and what
	// was brought in stays.
	w.pass(time.Hour)
	w.push("docker-local", "app", "2")
	w.restartWith(discover.Options{Baseline: true})
	if r := w.poll(); r.New != 1 {
		t.Errorf("%+v", r)
	}
	w.wantLive("caught up", "docker-local/app:1", "docker-local/app:2")

	// After a baseline it goes past it, once.
	w = begin(t, nil)
	w.push("docker-local", "app", "1")
	w.restartWith(discover.Options{Baseline: true})
	w.poll()
	w.wantLive("left alone")
	w.restartWith(discover.Options{Baseline: true, All: true})
	w.poll()
	w.wantLive("brought in", "docker-local/app:1")
	w.restartWith(discover.Options{Baseline: true})
	w.reconcile()
	w.wantLive("tracked", "docker-local/app:1")
}

func TestFixed(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "1")
	fixed := discover.Options{Baseline: true, Fixed: true}
	w.restartWith(fixed)
	w.poll()
	w.pass(time.Minute)
	w.push("docker-local", "app", "2")
	w.push("docker-local", "joined", "1")
	must(t, w.sim.AddRepo(artifactorytest.Repo{Key: "docker-new"}))
	w.sim.Grant("alice", artifactorytest.Rule{Repo: "docker-new"})
	w.push("docker-new", "app", "1")
	w.poll()
	w.hint(inventory.Hint{Key: "docker-local", Image: "joined", Tag: "1"})
	w.reconcile()
	w.wantLive("fixed", "docker-local/app:2")
	w.restartWith(discover.Options{Baseline: true})
	w.poll()
	w.wantLive("the next process", "docker-local/app:2", "docker-local/joined:1", "docker-new/app:1")
}

func TestBaselineWanted(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "1")
	_, err := w.store.RecordLook(t.Context(), inventory.Look{
		Integration: w.in.ID, Kind: inventory.LookHint, Cursors: map[string]string{discover.CursorBaseline: discover.BaselineWanted},
	})
	must(t, err)
	w.restart() // a server, which was not told
	w.poll()
	w.wantLive("left alone")
	w.pass(time.Minute)
	w.push("docker-local", "app", "2")
	w.restart()
	w.poll()
	w.wantLive("watching", "docker-local/app:2")
}

func TestPlanBaseline(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "1")
	for _, o := range []discover.Options{{Baseline: true}, {Baseline: true, All: true}} {
		w.restartWith(o)
		plan, err := w.d.Plan(t.Context())
		must(t, err)
		if len(plan) != 1 || plan[0].Selected != o.All || plan[0].Known {
			t.Errorf("%+v: %+v", o, plan)
		}
	}
	if stamp, err := w.store.Cursor(t.Context(), w.in.ID, discover.CursorBaseline); err != nil || stamp != "" {
		t.Errorf("a plan recorded a baseline: %q, %v", stamp, err)
	}
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		props     bool
		taken     int
		undecided []string
	}{
		{"the copy's date is known", true, 3, nil},
		{"it is not", false, 2, []string{"old:1", "old:2", "old:1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, nil, func(s *artifactorytest.Switches) { s.PropsModified = tc.props })
			w.push("docker-local", "old", "1")
			w.push("docker-local", "old", "2")
			w.pass(48 * time.Hour)
			from := w.clock
			w.pass(time.Hour)
			w.push("docker-local", "new", "1")
			must(t, w.sim.Retag("docker-local", "new", "1", "2"))
			must(t, w.sim.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "old", Tag: "1", ToRepo: "docker-prod", Copy: true}))
			w.pass(time.Hour)
			w.restartWith(discover.Options{Baseline: true})
			b, err := w.d.Backfill(t.Context(), from, false)
			must(t, err)
			var undecided []string
			for _, s := range b.Undecided {
				undecided = append(undecided, s.Image+":"+s.Tag)
			}
			if diff := cmp.Diff(tc.undecided, undecided); diff != "" || len(b.Taken) != tc.taken || b.Result.New != tc.taken {
				t.Errorf("%s; took %d, %+v", diff, len(b.Taken), b.Result)
			}
			w.again(from, tc.taken)
		})
	}
}

// again backfills a second time, with force, and from the future.
func (w *world) again(from time.Time, taken int) {
	w.t.Helper()
	w.restartWith(discover.Options{Baseline: true})
	b, err := w.d.Backfill(w.t.Context(), from, false)
	must(w.t, err)
	if b.Result != (inventory.LookResult{}) || len(b.Taken) != taken {
		w.t.Errorf("a second time: %+v, took %d", b.Result, len(b.Taken))
	}
	b, err = w.d.Backfill(w.t.Context(), w.clock.Add(-90*time.Minute), true)
	must(w.t, err)
	if len(b.Taken) != taken {
		w.t.Errorf("with force: took %d", len(b.Taken))
	}
	if _, err := w.d.Backfill(w.t.Context(), w.clock.Add(time.Hour), false); !errors.Is(err, inventory.ErrInvalid) {
		w.t.Errorf("from the future: %v", err)
	}
	// What was there before is the baseline: watching goes on from here.
	w.pass(time.Minute)
	w.push("docker-local", "later", "1")
	if r := w.poll(); r.New != 1 {
		w.t.Errorf("after it: %+v", r)
	}
}
