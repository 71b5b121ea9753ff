package match

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// pair is one line of truth: does an advisory hit a package version?
type pair struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Source    string `json:"source_name"`
	Version   string `json:"version"`
	ID        string `json:"id"`
	Expected  bool   `json:"expected"`
	Clean     bool   `json:"clean"`
}

// ledger is candidates by key, each record once.
type ledger struct {
	byKey map[inventory.AffectedKey][]inventory.Advisory
	live  map[string]bool // by id; false for what its database has withdrawn since
}

func newLedger() ledger {
	return ledger{map[inventory.AffectedKey][]inventory.Advisory{}, map[string]bool{}}
}

func (l ledger) add(a inventory.Advisory) {
	if _, again := l.live[a.ID]; again {
		return
	}
	l.live[a.ID] = a.Withdrawn == nil
	for _, key := range AdvisoryKeys(a) {
		l.byKey[key] = append(l.byKey[key], a)
	}
}

func (l ledger) of(p inventory.Package) []inventory.Advisory { return candidatesOf(p, l.byKey) }

// Advisories, KEV and EPSS make a ledger what feeds are imported into.
func (l ledger) Advisories(_ context.Context, batch []inventory.Advisory) error {
	for _, a := range batch {
		l.add(a)
	}
	return nil
}

func (l ledger) KEV(context.Context, []inventory.KEV) error   { return nil }
func (l ledger) EPSS(context.Context, []inventory.EPSS) error { return nil }

func load(t testing.TB, path string) ledger {
	t.Helper()
	l := newLedger()
	if _, err := advisory.Import(t.Context(), path, l); err != nil {
		t.Fatal(err)
	}
	return l
}

func readLines[T any](t testing.TB, file string) []T {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, one)
	}
	return out
}

func (p pair) pkg() inventory.Package {
	return inventory.Package{
		PURL: "pkg:generic/" + p.Name + "@" + p.Version, Name: p.Name, Version: p.Version, Ecosystem: p.Ecosystem,
		SourceName: p.Source,
	}
}

// found tells whether a verdict carries the id.
func found(verdicts []inventory.Verdict, id string) bool {
	return slices.ContainsFunc(verdicts, func(v inventory.Verdict) bool {
		return v.ID == id || v.AdvisoryID == id || slices.Contains(v.Aliases, id)
	})
}

// checkPairs demands every pair that is clean, and counts.
func checkPairs(t *testing.T, l ledger, pairs []pair) {
	t.Helper()
	var must, hit, mustNot, reported int
	for _, p := range pairs {
		if !p.Clean {
			continue
		}
		got := found(Verdicts(p.pkg(), l.of(p.pkg())), p.ID)
		switch {
		case p.Expected:
			must++
			if got {
				hit++
			} else {
				t.Errorf("missed: %s %s %s: %s", p.Ecosystem, p.Name, p.Version, p.ID)
			}
		default:
			mustNot++
			if got {
				reported++
				t.Errorf("wrongly reported: %s %s %s: %s", p.Ecosystem, p.Name, p.Version, p.ID)
			}
		}
	}
	t.Logf("must match %d, found %d; must not match %d, reported %d", must, hit, mustNot, reported)
	if must == 0 || mustNot == 0 {
		t.Error("nothing was checked")
	}
}

// TestTruth runs on the full truth, read once.
func TestTruth(t *testing.T) {
	root := truthData(t)
	l := load(t, filepath.Join(root, "osv"))
	t.Run("pairs", func(t *testing.T) { truthPairs(t, root, l) })
	t.Run("lockfiles", func(t *testing.T) { truthLockfiles(t, root, l) })
	t.Run("inventories", func(t *testing.T) { truthInventories(t, root, l) })
}

func truthPairs(t *testing.T, root string, l ledger) {
	checkPairs(t, l, readLines[pair](t, filepath.Join(root, "truth", "eval-pairs.jsonl")))
}

// truthLockfiles demands every id that another tool named for the packages of real
// lock files, as far as its advisory is among those at hand.
func truthLockfiles(t *testing.T, root string, l ledger) {
	type line struct {
		pair
		IDs []string `json:"ids"`
	}
	checked := 0
	for _, one := range readLines[line](t, filepath.Join(root, "truth", "lockfiles-e2e-expected.jsonl")) {
		verdicts := Verdicts(one.pkg(), l.of(one.pkg()))
		for _, id := range one.IDs {
			if !l.live[id] {
				continue
			}
			if checked++; !found(verdicts, id) {
				t.Errorf("%s %s %s: %s is missing", one.Ecosystem, one.Name, one.Version, id)
			}
		}
	}
	if checked == 0 {
		t.Error("nothing was checked")
	}
	t.Logf("%d expectations", checked)
}

// truthInventories demands exactly the expected ids of real images.
func truthInventories(t *testing.T, root string, l ledger) {
	raw, err := os.ReadFile(filepath.Join(root, "inventories", "inventories.json"))
	if err != nil {
		t.Fatal(err)
	}
	var images []struct {
		Image, Ecosystem string
		Packages         []struct {
			Name, Version, Source string
			Expected              []string
		}
	}
	if err := json.Unmarshal(raw, &images); err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		for _, p := range image.Packages {
			pkg := inventory.Package{PURL: p.Name, Name: p.Name, Version: p.Version, SourceName: p.Source, Ecosystem: image.Ecosystem}
			var got []string
			for _, v := range Verdicts(pkg, l.of(pkg)) {
				got = append(got, v.AdvisoryID)
			}
			slices.Sort(got)
			slices.Sort(p.Expected)
			if !slices.Equal(got, p.Expected) {
				t.Errorf("%s: %s %s: got %v, want %v", image.Image, p.Name, p.Version, got, p.Expected)
			}
		}
	}
}
