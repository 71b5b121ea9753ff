package demo_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"testing"

	"github.com/google/osv-scalibr/semantic"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// records parses every advisory of the demo with the reader of the feeds.
func records(t *testing.T) []inventory.Advisory {
	t.Helper()
	dir, err := demo.Advisories()
	if err != nil {
		t.Fatal(err)
	}
	var list []inventory.Advisory
	err = fs.WalkDir(dir, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".json" || p == "kev.json" {
			return err
		}
		raw, err := fs.ReadFile(dir, p)
		if err != nil {
			return err
		}
		record, err := advisory.ParseRecord(raw)
		if err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if record.ID+".json" != p {
			t.Errorf("%s holds %s", p, record.ID)
		}
		list = append(list, record)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAdvisoriesAreSane(t *testing.T) {
	t.Parallel()
	list := records(t)
	if len(list) < 40 || len(list) > 60 {
		t.Errorf("%d advisories, want 40 to 60", len(list))
	}
	ecosystems, unfixed := map[string]int{}, 0
	for _, r := range list {
		if r.Summary == "" || r.Published == nil || r.Modified.IsZero() || len(r.Links) == 0 {
			t.Errorf("%s lacks a summary, a date or a link", r.ID)
		}
		if len(r.Affected) == 0 {
			t.Errorf("%s names no package", r.ID)
		}
		fixed := false
		for _, a := range r.Affected {
			ecosystems[a.Ecosystem]++
			for _, g := range a.Ranges {
				fixed = checkRange(t, r.ID, a.Ecosystem, g) || fixed
			}
		}
		if !fixed {
			unfixed++
		}
	}
	for _, e := range []string{"Debian:12", "Alpine:v3.18", "Alpine:v3.20", "npm", "PyPI", "Maven", "Go", "RubyGems"} {
		if ecosystems[e] == 0 {
			t.Errorf("no advisory concerns %s", e)
		}
	}
	if unfixed < 3 {
		t.Errorf("%d advisories without a fix, want at least 3", unfixed)
	}
}

// checkRange holds the events of a range to stand in order, and says whether one
// of them is a fix.
func checkRange(t *testing.T, id, ecosystem string, g inventory.Range) (fixed bool) {
	t.Helper()
	if len(g.Events) == 0 || g.Events[0].Introduced == "" {
		t.Errorf("%s: a range does not begin with introduced", id)
		return false
	}
	last := ""
	for _, e := range g.Events {
		version := e.Introduced + e.Fixed + e.LastAffected
		fixed = fixed || e.Fixed != ""
		if last != "" && last != "0" {
			older, err := semantic.Parse(last, ecosystem)
			if err != nil {
				t.Errorf("%s: %s: %v", id, last, err)
				return fixed
			}
			if order, err := older.CompareStr(version); err != nil || order >= 0 {
				t.Errorf("%s: %s does not come before %s (%d, %v)", id, last, version, order, err)
			}
		}
		last = version
	}
	return fixed
}

func TestExploitationDataNamesTheAdvisories(t *testing.T) {
	t.Parallel()
	var flaws []string
	for _, r := range records(t) {
		flaws = append(append(append(flaws, r.Aliases...), r.Upstream...), r.Related...)
	}
	dir, err := demo.Advisories()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := fs.ReadFile(dir, "kev.json")
	if err != nil {
		t.Fatal(err)
	}
	var kev struct {
		Vulnerabilities []struct{ CVEID string }
	}
	if err := json.Unmarshal(raw, &kev); err != nil {
		t.Fatal(err)
	}
	if len(kev.Vulnerabilities) < 3 {
		t.Errorf("%d KEV entries, want at least 3", len(kev.Vulnerabilities))
	}
	for _, v := range kev.Vulnerabilities {
		if !slices.Contains(flaws, v.CVEID) {
			t.Errorf("no advisory concerns %s", v.CVEID)
		}
	}
}

// sink counts what an import brings.
type sink struct{ records, kev, epss int }

func (s *sink) Advisories(_ context.Context, batch []inventory.Advisory) error {
	s.records += len(batch)
	return nil
}

func (s *sink) KEV(_ context.Context, entries []inventory.KEV) error {
	s.kev += len(entries)
	return nil
}

func (s *sink) EPSS(_ context.Context, scores []inventory.EPSS) error {
	s.epss += len(scores)
	return nil
}

// TestAdvisoriesAreImportedAsAFeed holds the directory to be one that the import of
// feeds takes whole.
func TestAdvisoriesAreImportedAsAFeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := demo.WriteAdvisories(dir); err != nil {
		t.Fatal(err)
	}
	var got sink
	result, err := advisory.Import(t.Context(), dir, &got)
	if err != nil {
		t.Fatal(err)
	}
	if want := (sink{records: len(records(t)), kev: 6}); got != want {
		t.Errorf("imported %+v, want %+v; %+v", got, want, result)
	}
	if err := demo.WriteAdvisories(dir); err == nil {
		t.Error("files of the directory were overwritten")
	}
}
