package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// bucket serves the demo's records in the layout of the public OSV bucket.
func bucket(t *testing.T) string {
	t.Helper()
	records, err := demo.Advisories()
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	z := zip.NewWriter(&all)
	names, err := fs.Glob(records, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(records, name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "kev.json" || !bytes.Contains(b, []byte("Debian:12")) {
			continue
		}
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/Debian/all.zip" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"one"`)
		if r.Header.Get("If-None-Match") == `"one"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(all.Bytes())
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestAdvisoriesSync(t *testing.T) {
	p := newProgram(t)
	url := bucket(t)
	sync := func(code int, ecosystems string) []advisory.FeedResult {
		r := p.run("", "advisories", "sync", "--base-url", url, "--kev=", "--epss=", "--ecosystem", ecosystems, "--format", "json")
		r.want(t, code)
		var results []advisory.FeedResult
		if err := json.Unmarshal([]byte(r.stdout), &results); err != nil {
			t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
		}
		return results
	}
	if got := sync(0, "Debian"); len(got) != 1 || got[0].Records == 0 {
		t.Errorf("first: %+v", got)
	}
	if got := sync(0, "Debian"); len(got) != 1 || got[0].Status != "unchanged" {
		t.Errorf("again: %+v", got)
	}
	if got := sync(exitError, "Debian,npm"); len(got) != 2 || got[1].Problem == "" {
		t.Errorf("with a feed that is not there: %+v", got)
	}
	var st inventory.AdvisoryStatus
	if err := json.Unmarshal([]byte(p.run("", "advisories", "status", "--format", "json").stdout), &st); err != nil {
		t.Fatal(err)
	}
	if st.Records == 0 || st.AgeS == nil {
		t.Errorf("status %+v", st)
	}
}

func TestAdvisoriesImport(t *testing.T) {
	p := newProgram(t)
	dir := t.TempDir() + "/feed"
	if err := demo.WriteAdvisories(dir); err != nil {
		t.Fatal(err)
	}
	p.run("", "advisories", "import", dir).want(t, 0, "imported")
	p.run("", "advisories", "import", "/does/not/exist").want(t, exitError, "/does/not/exist")
	p.run("", "advisories", "import").want(t, exitError, "at least 1")
	if r := p.run("", "advisories", "status"); !strings.Contains(r.stdout, "advisories, newest") {
		t.Errorf("status: %s", r.stdout)
	}
}
