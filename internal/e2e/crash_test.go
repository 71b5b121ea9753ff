package e2e

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// crashes is how often the server is killed, startCrashes of them from its start on;
// seed decides when.
const (
	crashes      = 10
	startCrashes = 3
	seed         = 20261122
)

// outcome is all that an undisturbed and a disturbed run must agree on.
type outcome struct {
	Seen, Analysed, Failed, Unsupported, Waiting, Gone int
	Images                                             []inventory.TagRow
}

// TestCrashes kills the server again and again while it indexes. What it ends with
// must be what a run without any accident ends with.
func TestCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("long: starts the program a dozen times")
	}
	ctx := t.Context()
	path := built(t)
	server, target := simulator(t, demo.Keys()...)
	fleet, err := demo.New(demo.Options{Executable: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Push(ctx, target); err != nil {
		t.Fatal(err)
	}
	tags, err := fleet.Tags()
	if err != nil {
		t.Fatal(err)
	}
	advisories := t.TempDir() + "/advisories"
	if err := demo.WriteAdvisories(advisories); err != nil {
		t.Fatal(err)
	}

	calm := prepared(ctx, t, path, server, advisories)
	started := time.Now()
	serving := calm.serve(t)
	calm.settled(ctx, t, serving, len(tags))
	t.Logf("seed %d; an undisturbed run took %s", seed, time.Since(started).Round(time.Millisecond))
	serving.stop(t)
	want := calm.outcome(ctx, t)

	// Layers and configs come slowly, so that there is enough to interrupt.
	server.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultSlow, Classes: []string{"blob", "config"}, Delay: 200 * time.Millisecond})
	shaken := prepared(ctx, t, path, server, advisories)
	random := rand.New(rand.NewPCG(seed, 0))
	listing, indexing := 0, 0
	for i := range crashes {
		serving := shaken.serve(t)
		// The first ones fall anywhere after the start, the others while images are indexed.
		if i >= startCrashes {
			serving.ready(t)
			shaken.listed(ctx, t, len(tags))
		}
		after := time.Duration(random.Int64N(int64(time.Second)))
		time.Sleep(after)
		serving.kill(t)
		status := shaken.status(ctx, t)
		t.Logf("crash %d after %s: %d of %d tags seen, %d waiting", i+1, after.Round(time.Millisecond), status.TagsSeen, len(tags), status.Waiting)
		switch {
		case status.TagsSeen < len(tags):
			listing++
		case status.Waiting > 0:
			indexing++
		}
	}
	t.Logf("%d crashes while listing, %d while indexing, %d with nothing left to do", listing, indexing, crashes-listing-indexing)
	if indexing < crashes/3 {
		t.Errorf("only %d of %d crashes hit the indexing", indexing, crashes)
	}
	server.ClearFaults()
	serving = shaken.serve(t)
	serving.ready(t)
	shaken.settled(ctx, t, serving, len(tags))
	serving.stop(t)
	if diff := cmp.Diff(want, shaken.outcome(ctx, t)); diff != "" {
		t.Errorf("the run with crashes ended differently (-calm +shaken):\n%s", diff)
	}
	forgets(t, shaken.data, demo.FakeSecret)
	forgets(t, shaken.data, readerPassword)
	if want.Analysed != len(tags) || want.Failed != 0 {
		t.Errorf("%d of %d tags analysed, %d failed", want.Analysed, len(tags), want.Failed)
	}
}

// listed waits until the ledger knows of all tags.
func (p program) listed(ctx context.Context, t *testing.T, tags int) {
	t.Helper()
	for range 300 {
		if p.status(ctx, t).TagsSeen >= tags {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("fewer than %d tags listed after 30 s", tags)
}

// prepared is a new data directory, connected to the simulator, that knows the
// demo's advisories.
func prepared(ctx context.Context, t *testing.T, path string, server *artifactorytest.Server, advisories string) program {
	t.Helper()
	p := program{path: path, data: t.TempDir()}
	var keys []string
	for _, k := range demo.Keys() {
		keys = append(keys, k.Name)
	}
	p.connect(ctx, t, server.URL(), keys...)
	p.do(ctx, t, "", "advisories", "import", advisories)
	return p
}

// outcome is what the program says of its ledger, times left out.
func (p program) outcome(ctx context.Context, t *testing.T) outcome {
	t.Helper()
	status := p.status(ctx, t)
	o := outcome{
		Seen: status.TagsSeen, Analysed: status.Analysed, Failed: status.Failed,
		Unsupported: status.Unsupported, Waiting: status.Waiting, Gone: status.Gone,
	}
	decode(t, p.do(ctx, t, "", "images", "--format", "json"), &o.Images)
	for i := range o.Images {
		o.Images[i].FirstSeen, o.Images[i].LastSeen = time.Time{}, time.Time{}
	}
	return o
}

// forgets says that a word stands in no file of a directory.
func forgets(t *testing.T, dir, word string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if bytes.Contains(body, []byte(word)) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
