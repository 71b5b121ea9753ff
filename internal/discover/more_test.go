package discover_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	w := begin(t, func(in *inventory.Integration) { in.Include, in.Exclude = []string{"*/app"}, []string{"tmp/*"} })
	w.push("docker-local", "app", "1")
	w.poll()
	w.pass(time.Minute)
	w.push("docker-local", "app", "2")
	w.push("docker-local", "tmp/app", "1")
	w.push("docker-local", "x", "1")
	plan, err := w.d.Plan(t.Context())
	must(t, err)
	var got []string
	for _, p := range plan {
		got = append(got, fmt.Sprintf("%s:%s %v %v %s", p.Image, p.Tag, p.Selected, p.Known, p.Rule))
	}
	want := "app:1 true true include */app|app:2 true false include */app|tmp/app:1 false false exclude tmp/*|x:1 false false no include matches"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	if len(w.live()) != 1 {
		t.Error("a dry run recorded something")
	}
}

// TestVanishedRepository: all that can be read is wanted, and one repository is
// deleted as a whole.
func TestVanishedRepository(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	w.many("docker-local", "app", 5)
	w.push("docker-prod", "app", "1")
	w.poll()
	w.pass(time.Hour)
	w.sim.DeleteRepo("docker-prod")
	w.sim.DeleteRepo("docker-hub") // nothing was ever in it
	w.reconcile()
	w.wantState(inventory.IntegrationDegraded, "repository access failed for: docker-prod: not listed any more")
	if n := len(w.live()); n != 6 {
		t.Errorf("%d tags", n)
	}
	_, err := w.store.RecordLook(t.Context(), inventory.Look{Integration: w.in.ID, Cursors: map[string]string{discover.CursorAcceptLoss: "yes"}})
	must(t, err)
	w.reconcile()
	w.agree("accepted")
	w.wantState(inventory.IntegrationConnected, "")
}

// TestPlainRegistry: catalogue, tag lists and HEAD against a registry that is not
// Artifactory.
func TestPlainRegistry(t *testing.T) {
	t.Parallel()
	for _, images := range [][]string{nil, {"team/app"}} {
		catalog := len(images) == 0
		handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		reg := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/_catalog") && !catalog {
				rw.WriteHeader(http.StatusUnauthorized) // as public registries do
				return
			}
			handler.ServeHTTP(rw, r)
		}))
		t.Cleanup(reg.Close)
		host := strings.TrimPrefix(reg.URL, "http://")
		write := func(image, tag string) {
			ref, err := name.NewTag(host+"/"+image+":"+tag, name.Insecure)
			must(t, err)
			must(t, remote.Write(ref, newImage(t)))
		}
		write("team/app", "1")
		write("team/app", "2")
		w := begin(t, func(in *inventory.Integration) {
			in.Kind, in.URL, in.Registry, in.Username, in.Include = inventory.KindOCI, reg.URL, host, "", images
		})
		r := w.poll()
		if r.New != 2 {
			t.Fatalf("%+v", r)
		}
		w.wantState(inventory.IntegrationConnected, "")
		write("team/app", "3")
		write("team/app", "1")
		time.Sleep(1100 * time.Millisecond) // this registry has the real clock, in seconds
		if r := w.poll(); r.New != 1 || r.Moved != 1 {
			t.Errorf("%+v", r)
		}
		ref, err := name.NewTag(host+"/team/app:2", name.Insecure)
		must(t, err)
		must(t, remote.Delete(ref))
		time.Sleep(1100 * time.Millisecond)
		if r := w.reconcile(); r.Gone != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// memory is the least ledger there can be, for more tags than a test has time to
// write to disk.
type memory struct {
	tags    map[string]int
	cursors map[string]string
}

func (m *memory) RecordLook(_ context.Context, l inventory.Look) (r inventory.LookResult, _ error) {
	for _, s := range l.Sightings {
		if m.tags[s.Image]++; m.tags[s.Image] == 1 {
			r.New++
		}
	}
	for k, v := range l.Cursors {
		m.cursors[k] = v
	}
	return r, nil
}

func (m *memory) LiveTags(context.Context, int64, string) ([]inventory.LiveTag, error) {
	return nil, nil
}

func (m *memory) Cursor(_ context.Context, _ int64, name string) (string, error) {
	return m.cursors[name], nil
}

func (m *memory) Baseline(context.Context, int64) ([]inventory.LiveTag, error) { return nil, nil }

func (m *memory) SaveKeys(context.Context, int64, []inventory.RepositoryKey) error { return nil }

func (m *memory) SetIntegrationState(context.Context, int64, string, string, string) error {
	return nil
}

func (m *memory) AddRequests(context.Context, int64, map[string]int64, int64, int64) error {
	return nil
}

// TestHundredThousand: an idle poll is one query, however many tags there are.
func TestHundredThousand(t *testing.T) {
	t.Parallel()
	if testing.Short() || underRace {
		t.Skip("takes some seconds, and under the race detector a minute")
	}
	sim := artifactorytest.New(artifactorytest.Options{})
	must(t, sim.AddRepo(artifactorytest.Repo{Key: "docker-local"}))
	clock := time.Now().Truncate(time.Second)
	sim.SetClock(clock)
	must(t, sim.Start(""))
	t.Cleanup(func() { must(t, sim.Close()) })
	must(t, sim.FillTags(artifactorytest.Fill{Repo: "docker-local", Prefix: "app", Images: 1000, Tags: 100, From: newImage(t)}))
	c, err := artifactory.New(artifactory.Options{URL: sim.URL(), Username: artifactorytest.AdminName, Secret: artifactorytest.AdminPassword, Proxy: "none"})
	must(t, err)
	m := &memory{tags: map[string]int{}, cursors: map[string]string{}}
	d, err := discover.New(inventory.Integration{Name: "big", Repositories: []string{"docker-local"}}, c, m, discover.Options{})
	must(t, err)
	began := time.Now()
	_, err = d.Poll(t.Context())
	must(t, err)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("100,000 tags in %s, %d MiB of heap, simulator included", time.Since(began).Round(time.Millisecond), mem.HeapAlloc>>20)
	if m.tags["app-0000"] != 100 || len(m.tags) != 1000 {
		t.Errorf("%d images", len(m.tags))
	}
	sim.SetClock(clock.Add(time.Hour))
	sim.ResetCounts()
	_, err = d.Poll(t.Context())
	must(t, err)
	var total int64
	for _, n := range sim.Counts() {
		total += n.Requests
	}
	if total != 1 || sim.Counts()[artifactorytest.ClassAQL].Requests != 1 {
		t.Errorf("an idle poll asks %v", sim.Counts())
	}
}
