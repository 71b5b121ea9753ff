package discover_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestCosts(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 500)
	w.push("docker-hub", "library/alpine", "3")
	if r := w.poll(); r.New != 501 {
		t.Errorf("first look: %+v", r)
	}
	w.agree("first look")
	w.wantState(inventory.IntegrationConnected, "")
	w.requests()
	w.pass(time.Hour)
	w.poll()
	w.wantRequests("idle poll", map[string]int64{"aql": 1})

	w.pass(time.Minute)
	w.push("docker-local", "app-new", "1")
	if r := w.poll(); r.New != 1 || r.Queued != 1 {
		t.Errorf("one new tag: %+v", r)
	}
	w.wantRequests("one new tag", map[string]int64{"aql": 1})

	w.pass(time.Minute)
	must(t, w.sim.Retag("docker-local", "app-new", "1", "2"))
	if r := w.poll(); r.New != 1 {
		t.Errorf("retag: %+v", r)
	}
	w.wantRequests("retag", map[string]int64{"aql": 1})
	w.agree("in the end")

	st, err := w.store.Status(t.Context())
	must(t, err)
	if st.Requests["aql"] != 4 || st.Requests["ping"] == 0 {
		t.Errorf("the ledger counts %v", st.Requests)
	}
}

func TestMoved(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "latest")
	w.poll()
	for _, pause := range []time.Duration{time.Second, time.Minute, 3 * time.Hour} {
		w.pass(pause)
		w.push("docker-local", "app", "latest")
		if r := w.poll(); r.Moved != 1 || r.New != 0 {
			t.Errorf("after %s: %+v", pause, r)
		}
		w.agree("moved")
	}
}

// Promotion keeps the dates of the source: no time window shows it.
func TestPromotion(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "1")
	w.push("docker-local", "app", "2")
	w.push("docker-local", "other", "1")
	w.pass(48 * time.Hour)
	w.poll()
	w.pass(time.Hour)
	must(t, w.sim.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod", Copy: true}))
	w.poll()
	if _, seen := w.live()["docker-prod/app:1"]; seen {
		t.Log("the poll saw it: this simulator does not keep dates")
	}
	w.pass(time.Minute)
	w.reconcile()
	w.agree("copied, then reconciled")

	must(t, w.sim.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "2", ToRepo: "docker-prod"}))
	w.pass(time.Minute)
	r := w.hint(inventory.Hint{Key: "docker-local", Image: "app", Tag: "2"}, inventory.Hint{Key: "docker-prod", Image: "app", Tag: "2"})
	if r.New != 1 || r.Gone != 1 {
		t.Errorf("%+v", r)
	}
	w.agree("moved, then hinted")
}

func TestDeleted(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 20)
	w.push("docker-prod", "solo", "1")
	w.push("docker-hub", "library/alpine", "3")
	w.push("docker-hub", "library/alpine", "2")
	w.poll()
	w.pass(time.Minute)
	for _, tag := range w.someTags("docker-local", 2) {
		w.sim.DeleteTag(tag.Repo, tag.Image, tag.Tag)
	}
	w.sim.DeleteTag("docker-prod", "solo", "1")
	w.sim.DeleteTag("docker-hub", "library/alpine", "2")
	w.poll()
	if len(w.live()) != 23 {
		t.Error("a poll declared something gone")
	}
	if r := w.reconcile(); r.Gone != 4 {
		t.Errorf("%+v", r)
	}
	w.agree("reconciled")
	w.wantState(inventory.IntegrationConnected, "")
	if got := w.requests()["upstream"]; got != 0 {
		t.Errorf("%d requests to the upstream of a remote", got)
	}
	w.pass(time.Minute)
	w.push("docker-prod", "solo", "1")
	w.poll()
	w.agree("pushed again")
}

// A withdrawn permission looks like a deletion, and is none.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	for _, hide := range []bool{false, true} {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("hide=%v,named=%v", hide, named), func(t *testing.T) {
				t.Parallel()
				w := begin(t, func(in *inventory.Integration) {
					if named {
						in.Repositories = []string{"docker-local", "docker-prod"}
					}
				}, func(sw *artifactorytest.Switches) { sw.HideUnauthorized = hide })
				w.many("docker-local", "app", 5)
				w.push("docker-prod", "app", "1")
				w.poll()
				for _, key := range []string{"docker-prod", artifactorytest.AllRepos} {
					w.pass(time.Hour)
					w.sim.Withdraw("alice", key)
					w.poll()
					w.reconcile()
					w.hint(inventory.Hint{Key: "docker-prod", Image: "app", Tag: "1"})
					w.restart()
					w.reconcile()
					w.agree("withdrawn from " + key)
					if key == "docker-prod" {
						w.wantState(inventory.IntegrationDegraded, "repository access failed for: docker-prod")
					} else {
						w.wantState(inventory.IntegrationError, "")
					}
					w.sim.Restore("alice", key)
				}
				w.pass(time.Hour)
				w.push("docker-prod", "app", "2")
				w.reconcile()
				w.agree("restored")
				w.wantState(inventory.IntegrationConnected, "")
			})
		}
	}
}

func TestGreatLoss(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 20)
	w.many("docker-prod", "app", 4)
	w.poll()
	w.pass(time.Minute)
	for _, tag := range append(w.someTags("docker-local", 5), w.someTags("docker-prod", 4)...) {
		w.sim.DeleteTag(tag.Repo, tag.Image, tag.Tag)
	}
	for range 3 {
		w.pass(time.Hour)
		if r := w.reconcile(); r.Gone != 0 {
			t.Errorf("%+v", r)
		}
	}
	w.wantState(inventory.IntegrationDegraded, "5 of 20 tags vanished at once")
	if in := w.state(); !strings.Contains(in.Keys[1].Error+in.Keys[2].Error+in.Keys[0].Error, "fell silent") {
		t.Errorf("%+v", in.Keys)
	}
	w.poll()
	w.wantState(inventory.IntegrationDegraded, "")
	_, err := w.store.RecordLook(t.Context(), inventory.Look{Integration: w.in.ID, Cursors: map[string]string{discover.CursorAcceptLoss: "yes"}})
	must(t, err)
	if r := w.poll(); r.Gone != 9 {
		t.Errorf("accepted: %+v", r)
	}
	w.agree("accepted")
	w.wantState(inventory.IntegrationConnected, "")
	if v, err := w.store.Cursor(t.Context(), w.in.ID, discover.CursorAcceptLoss); err != nil || v != "" {
		t.Errorf("accepting goes on: %q %v", v, err)
	}
}

// Where nobody answers for a tag, two complete listings without it decide.
func TestTwoListings(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 20)
	w.poll()
	w.pass(time.Minute)
	gone := w.someTags("docker-local", 1)[0]
	w.sim.DeleteTag(gone.Repo, gone.Image, gone.Tag)
	defer w.sim.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultUnavailable, Classes: []string{artifactorytest.ClassManifestHead}})()
	if r := w.reconcile(); r.Gone != 0 {
		t.Errorf("after one listing: %+v", r)
	}
	w.pass(time.Hour)
	if r := w.reconcile(); r.Gone != 1 {
		t.Errorf("after two listings: %+v", r)
	}
	w.agree("after two listings")
}

func TestOutage(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 10)
	w.poll()
	for _, kind := range []artifactorytest.FaultKind{
		artifactorytest.FaultBadGateway, artifactorytest.FaultMaintenance, artifactorytest.FaultOffline, artifactorytest.FaultEOF, artifactorytest.FaultRedirect,
	} {
		w.pass(time.Hour)
		undo := w.sim.Inject(artifactorytest.Fault{Kind: kind})
		for _, look := range []func() error{
			func() error { _, err := w.d.Poll(t.Context()); return err },
			func() error { _, err := w.d.Reconcile(t.Context()); return err },
			func() error { _, err := w.d.Hint(t.Context(), "docker-local", "app-0000"); return err },
		} {
			if look() == nil {
				t.Errorf("%s: no error", kind)
			}
		}
		w.agree(string(kind))
		w.wantState(inventory.IntegrationError, "")
		undo()
		w.poll()
		w.wantState(inventory.IntegrationConnected, "")
	}
}

func TestCutListingDeletesNothing(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 10)
	w.poll()
	w.pass(time.Hour)
	w.sim.Change(func(sw *artifactorytest.Switches) { sw.AQLTruncate = 9 })
	if _, err := w.d.Reconcile(t.Context()); err == nil {
		t.Error("a cut answer was taken")
	}
	w.agree("cut")
}

// Where queries are refused, catalogue and tag lists find the same.
func TestWithoutQueries(t *testing.T) {
	t.Parallel()
	w := begin(t, func(in *inventory.Integration) { in.Repositories = []string{"docker-local", "docker-prod"} })
	w.sim.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultNotFound, Classes: []string{artifactorytest.ClassAQL}})
	w.many("docker-local", "app", 10)
	w.poll()
	w.agree("first look")
	w.pass(time.Hour)
	w.push("docker-local", "app-0000", "latest")
	w.poll()
	w.pass(time.Hour)
	w.push("docker-local", "app-0000", "latest")
	must(t, w.sim.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "app-0000", Tag: "latest", ToRepo: "docker-prod", Copy: true}))
	w.poll()
	w.agree("moved and promoted")
	gone := w.someTags("docker-local", 1)[0]
	w.sim.DeleteTag(gone.Repo, gone.Image, gone.Tag)
	w.pass(time.Hour)
	w.reconcile()
	w.agree("deleted")
}

func TestManyHints(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 60)
	w.push("docker-local", "old", "1")
	w.poll()
	w.pass(24 * time.Hour)
	var hints []inventory.Hint
	for i := range 12 {
		name := fmt.Sprintf("fresh-%d", i)
		w.push("docker-local", name, "1")
		hints = append(hints, inventory.Hint{Key: "docker-local", Image: name, Tag: "1"})
	}
	must(t, w.sim.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "old", Tag: "1", ToRepo: "docker-prod"}))
	hints = append(hints, inventory.Hint{Key: "docker-local", Image: "old", Tag: "1"}, inventory.Hint{Key: "docker-prod", Image: "old", Tag: "1"},
		inventory.Hint{Key: "nowhere", Image: "x", Tag: "1"}, inventory.Hint{Key: "docker-hub-cache", Image: "library/x", Tag: "1"})
	w.requests()
	if r := w.hint(hints...); r.New != 13 || r.Gone != 1 {
		t.Errorf("%+v", r)
	}
	w.agree("many hints")
	if got := w.requests(); got["aql"] != 1 || got["upstream"] != 0 {
		t.Errorf("%v", got)
	}
	w.hint(hints...) // once more: nothing changes
	w.agree("the same hints")
}

// Hints are answered even if they name nothing that is watched.
func TestHintsAreAnswered(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-local", "app", "1")
	w.poll()
	must(t, w.store.AddHint(t.Context(), w.in.ID, inventory.Hint{Key: "sample_repo", Image: "sample_arch", Tag: "sample_image"}))
	hints, err := w.store.Hints(t.Context(), w.in.ID)
	must(t, err)
	w.requests()
	w.hint(hints...)
	w.wantRequests("a test event", map[string]int64{})
	if left, err := w.store.Hints(t.Context(), w.in.ID); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestRemoteIsNeverFilled(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.push("docker-hub", "library/alpine", "3")
	must(t, w.sim.PutUpstream("docker-hub", "library/busybox", "1", newImage(t)))
	w.poll()
	w.hint(inventory.Hint{Key: "docker-hub-cache", Image: "library/busybox", Tag: "1"})
	w.reconcile()
	w.agree("what is cached")
	if got := w.requests(); got["upstream"] != 0 {
		t.Errorf("%v", got)
	}
}

func TestSkewedClocks(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-36 * time.Hour, 36 * time.Hour} {
		w := begin(t, nil)
		w.pass(skew)
		w.push("docker-local", "app", "1")
		w.poll()
		w.pass(time.Minute)
		w.push("docker-local", "app", "2")
		w.poll()
		w.agree(skew.String())
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in              inventory.Integration
		key, image, tag string
		want            discover.Decision
	}{
		{inventory.Integration{}, "k", "team/app", "1", discover.Decision{Selected: true, Rule: "no include is given: everything"}},
		{inventory.Integration{Include: []string{"*/frontend*"}}, "k", "team/frontend-web", "1", discover.Decision{Selected: true, Rule: "include */frontend*"}},
		{inventory.Integration{Include: []string{"*/frontend*"}}, "k", "frontend", "1", discover.Decision{Selected: true, Rule: "include */frontend*"}},
		{inventory.Integration{Include: []string{"*/frontend*"}}, "k", "team/backend", "1", discover.Decision{Rule: "no include matches"}},
		{inventory.Integration{Include: []string{"**"}, Exclude: []string{"*/dta/*"}}, "k", "dta/x", "1", discover.Decision{Rule: "exclude */dta/*"}},
		{inventory.Integration{Include: []string{"k/team/app"}}, "k", "team/app", "1", discover.Decision{Selected: true, Rule: "include k/team/app"}},
		{inventory.Integration{Include: []string{"k/team/app"}}, "k", "team/app2", "1", discover.Decision{Rule: "no include matches"}},
		{inventory.Integration{Include: []string{"k/**"}}, "k", "a/b/c", "1", discover.Decision{Selected: true, Rule: "include k/**"}},
		{inventory.Integration{Include: []string{`k/a\*b`}}, "k", "axb", "1", discover.Decision{Rule: "no include matches"}},
		{inventory.Integration{Tags: []string{`^v\d+$`, `^latest$`}}, "k", "a", "latest", discover.Decision{Selected: true, Rule: "tag ^latest$"}},
		{inventory.Integration{Tags: []string{`^v\d+$`}}, "k", "a", "v1-rc", discover.Decision{Rule: "no tag expression matches"}},
	} {
		f, err := discover.NewFilter(tc.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(tc.want, f.Decide(tc.key, tc.image, tc.tag)); diff != "" {
			t.Errorf("%v on %s/%s:%s: %s", tc.in, tc.key, tc.image, tc.tag, diff)
		}
	}
	for _, in := range []inventory.Integration{{Include: []string{"[a"}}, {Exclude: []string{"{a"}}, {Tags: []string{"("}}} {
		if _, err := discover.NewFilter(in); err == nil {
			t.Errorf("%v is taken", in)
		}
	}
}

func TestNotSelected(t *testing.T) {
	t.Parallel()
	w := begin(t, func(in *inventory.Integration) {
		in.Exclude = []string{"tmp/**"}
		in.Tags = []string{`^\d+$`}
	})
	w.push("docker-local", "app", "1")
	w.push("docker-local", "app", "latest")
	w.push("docker-local", "tmp/x", "1")
	w.poll()
	if live := w.live(); len(live) != 1 {
		t.Errorf("%v", live)
	}
	st, err := w.store.Status(t.Context())
	must(t, err)
	if st.NotSelected != 2 {
		t.Errorf("not selected: %d", st.NotSelected)
	}
}
