package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// TestDemoOnce runs the main job, and holds that every layer was downloaded once.
func TestDemoOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("long: runs the whole program")
	}
	p := newProgram(t)
	st := p.demo(t, "--data", p.env["TALLYMAN_DATA"])
	var rows []inventory.TagRow
	if err := json.Unmarshal([]byte(p.run("", "images", "--format", "json").stdout), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != st.TagsSeen || len(rows) < 60 {
		t.Errorf("%d rows of images for %d tags", len(rows), st.TagsSeen)
	}
	repositories := map[inventory.Repository]bool{}
	layers := map[string]bool{}
	for _, r := range rows {
		repositories[inventory.Repository{Key: r.RepositoryKey, Image: r.Image}] = true
		for _, platform := range r.Platforms {
			var doc inventory.SBOM
			out := p.run("", "sbom", r.Reference, "--platform", platform, "--format", "json")
			if err := json.Unmarshal([]byte(out.stdout), &doc); err != nil {
				t.Fatalf("sbom %s of %s: %v\n%s", r.Reference, platform, err, out.stderr)
			}
			for _, l := range doc.Layers {
				layers[l.Digest] = true
			}
		}
	}
	if len(repositories) < 12 {
		t.Errorf("%d repositories, want 12 or more", len(repositories))
	}
	if st.LayersRead != int64(len(layers)) {
		t.Errorf("%d layers were downloaded, the images have %d different ones", st.LayersRead, len(layers))
	}
}

// TestDemoOnPostgres is the same on the other database.
func TestDemoOnPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("long: runs the whole program")
	}
	p := newProgram(t)
	st := p.demo(t, "--database", storetest.Postgres(t))
	if st.TagsSeen < 60 {
		t.Errorf("%d tags", st.TagsSeen)
	}
}

func (p *program) demo(t *testing.T, args ...string) inventory.Status {
	t.Helper()
	// Whatever the settings say, a demo fetches no advisories.
	outside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it asked for %s", r.URL) }))
	defer outside.Close()
	p.env["TALLYMAN_ADVISORIES_EVERY"] = "1m"
	for _, name := range []string{"URL", "KEV", "EPSS"} {
		p.env["TALLYMAN_ADVISORIES_"+name] = outside.URL
	}
	r := p.run("", append([]string{"demo", "--once", "--format", "json"}, args...)...)
	r.want(t, 0)
	var st inventory.Status
	if err := json.Unmarshal([]byte(r.stdout), &st); err != nil {
		t.Fatalf("%v\n%s", err, r.stdout)
	}
	if st.Waiting != 0 || st.Failed != 0 || st.Analysed != st.TagsSeen || st.Advisories.Records < 40 {
		t.Errorf("tally %+v, %d advisories", st.Tally, st.Advisories.Records)
	}
	return st
}
