package discover_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// world is a simulator, a ledger and what looks from one to the other.
type world struct {
	t     *testing.T
	sim   *artifactorytest.Server
	store *store.Store
	d     *discover.Discoverer
	in    inventory.Integration
	clock time.Time
}

// begin makes a world with docker-local, docker-prod and docker-hub (a remote),
// all of which the user may read; change alters the integration.
func begin(t *testing.T, change func(*inventory.Integration), switches ...func(*artifactorytest.Switches)) *world {
	t.Helper()
	w := &world{t: t, sim: artifactorytest.New(artifactorytest.Options{}), clock: time.Now().UTC().Truncate(time.Second)}
	for _, s := range switches {
		w.sim.Change(s)
	}
	must(t, w.sim.AddRepo(
		artifactorytest.Repo{Key: "docker-local"}, artifactorytest.Repo{Key: "docker-prod"},
		artifactorytest.Repo{Key: "docker-hub", Class: artifactorytest.Remote}, artifactorytest.Repo{Key: "npm", Type: "npm"},
	))
	w.sim.AddUser(artifactorytest.User{
		Name: "alice", Password: "wonder",
		Rules: []artifactorytest.Rule{{Repo: "docker-local"}, {Repo: "docker-prod"}, {Repo: "docker-hub"}, {Repo: "npm"}},
	})
	w.sim.SetClock(w.clock)
	must(t, w.sim.Start(""))
	t.Cleanup(func() { must(t, w.sim.Close()) })

	key, err := seal.NewKey()
	must(t, err)
	w.store, err = store.Open(t.Context(), store.Options{Dir: t.TempDir(), Key: key})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	w.in = inventory.Integration{Name: "acme", Kind: inventory.KindArtifactory, URL: w.sim.URL(), Registry: w.sim.Host(), Username: "alice"}
	if change != nil {
		change(&w.in)
	}
	w.in.ID, err = w.store.AddIntegration(t.Context(), w.in, inventory.Secrets{Password: "wonder"})
	must(t, err)
	w.restart()
	return w
}

// restart is what a new process does: a new client, a new discoverer.
func (w *world) restart() {
	w.t.Helper()
	in, err := w.store.IntegrationByID(w.t.Context(), w.in.ID)
	must(w.t, err)
	secrets, err := w.store.Secrets(w.t.Context(), w.in.ID)
	must(w.t, err)
	o := artifactory.OptionsFor(in, secrets)
	o.Backoff, o.Proxy, o.Retries = time.Millisecond, "none", 2
	c, err := artifactory.New(o)
	must(w.t, err)
	w.d, err = discover.New(in, c, w.store, discover.Options{})
	must(w.t, err)
}

// pass lets time pass at the registry.
func (w *world) pass(d time.Duration) {
	w.clock = w.clock.Add(d)
	w.sim.SetClock(w.clock)
}

func (w *world) poll() inventory.LookResult {
	w.t.Helper()
	r, err := w.d.Poll(w.t.Context())
	must(w.t, err)
	return r
}

func (w *world) reconcile() inventory.LookResult {
	w.t.Helper()
	r, err := w.d.Reconcile(w.t.Context())
	must(w.t, err)
	return r
}

func (w *world) hint(hints ...inventory.Hint) inventory.LookResult {
	w.t.Helper()
	r, err := w.d.Hints(w.t.Context(), hints)
	must(w.t, err)
	return r
}

func (w *world) push(repo, image, tag string) string {
	w.t.Helper()
	img := newImage(w.t)
	must(w.t, w.sim.PutImage(repo, image, tag, img))
	d, err := img.Digest()
	must(w.t, err)
	return d.String()
}

func newImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(16, 1)
	must(t, err)
	return img
}

// live is what the ledger believes, by reference.
func (w *world) live() map[string]string {
	w.t.Helper()
	all, err := w.store.LiveTags(w.t.Context(), w.in.ID, "")
	must(w.t, err)
	out := map[string]string{}
	for _, tag := range all {
		out[tag.Key+"/"+tag.Image+":"+tag.Tag] = tag.Digest
	}
	return out
}

// truth is what the registry holds.
func (w *world) truth() map[string]string {
	out := map[string]string{}
	for _, tag := range w.sim.Tags() {
		out[strings.TrimSuffix(tag.Repo, "-cache")+"/"+tag.Image+":"+tag.Tag] = tag.Digest
	}
	return out
}

// agree fails unless ledger and registry hold the same tags.
func (w *world) agree(when string) {
	w.t.Helper()
	if diff := cmp.Diff(w.truth(), w.live()); diff != "" {
		w.t.Fatalf("%s: ledger and registry differ: %s", when, diff)
	}
}

// state is the integration as the ledger has it.
func (w *world) state() inventory.Integration {
	w.t.Helper()
	in, err := w.store.IntegrationByID(w.t.Context(), w.in.ID)
	must(w.t, err)
	return in
}

func (w *world) wantState(state, says string) {
	w.t.Helper()
	if in := w.state(); in.State != state || !strings.Contains(in.Problem, says) {
		w.t.Errorf("state %q: %q (%q), want %q: %q", in.State, in.Problem, in.Remedy, state, says)
	}
}

// requests are the counts of the simulator since the last call, without zeros.
func (w *world) requests() map[string]int64 {
	out := map[string]int64{}
	for class, c := range w.sim.Counts() {
		if c.Requests > 0 {
			out[class] = c.Requests
		}
	}
	w.sim.ResetCounts()
	return out
}

func (w *world) wantRequests(when string, want map[string]int64) {
	w.t.Helper()
	if got := w.requests(); !maps.Equal(got, want) {
		w.t.Errorf("%s: requests %v, want %v", when, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// many pushes n tags of one image.
func (w *world) many(repo, image string, n int) {
	w.t.Helper()
	must(w.t, w.sim.FillTags(artifactorytest.Fill{Repo: repo, Prefix: image, Images: 1, Tags: n, From: newImage(w.t)}))
}

// someTags are n references of a repository, in order.
func (w *world) someTags(repo string, n int) []artifactorytest.TagTruth {
	var out []artifactorytest.TagTruth
	for _, tag := range w.sim.Tags() {
		if tag.Repo == repo && len(out) < n {
			out = append(out, tag)
		}
	}
	if len(out) < n {
		panic(fmt.Sprintf("%s has only %d tags", repo, len(out)))
	}
	return slices.Clip(out)
}
