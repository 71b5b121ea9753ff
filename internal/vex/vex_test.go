package vex_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/vex"
)

const document = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"doc-1","author":"Maker","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[
 {"vulnerability":{"name":"GO-2024-1","aliases":["CVE-2024-1"]},"products":[{"@id":"pkg:golang/x/y","subcomponents":[{"@id":"pkg:golang/helm"}]}],"status":"not_affected","justification":"vulnerable_code_not_in_execute_path","impact_statement":"not called"},
 {"vulnerability":{"name":"CVE-2"},"products":[{"@id":"pkg:oci/app?repository_url=ghcr.io%2Fteam%2Fapp","subcomponents":[{"@id":"pkg:apk/alpine/busybox"}]}],"status":"fixed"},
 {"vulnerability":{"name":"CVE-3"},"products":[{"@id":"pkg:oci/app@sha256%3A1111111111111111111111111111111111111111111111111111111111111111"}],"status":"not_affected"},
 {"vulnerability":{"name":"CVE-4"},"products":[{"@id":"pkg:npm/a@1"}],"status":"under_investigation"},
 {"vulnerability":{"name":"CVE-5"},"products":[{"@id":"pkg:npm/a@1"}],"status":"not_affected","justification":"component_not_present"},
 {"vulnerability":{"name":"CVE-5"},"timestamp":"2026-02-01T00:00:00Z","products":[{"@id":"pkg:npm/a@1"}],"status":"affected","action_statement":"upgrade"},
 {"vulnerability":{"name":"CVE-6"},"products":[{"@id":"https://example.com/app"}],"status":"fixed"}
]}`

func TestRead(t *testing.T) {
	got, err := vex.Read(strings.NewReader(document), "x.json")
	if err != nil {
		t.Fatal(err)
	}
	want := vex.Result{Affected: 2, Unreadable: 1, Exceptions: []inventory.Exception{
		{CVE: "GO-2024-1", Aliases: []string{"CVE-2024-1"}, Package: "pkg:golang/helm", Product: "pkg:golang/x/y", All: true, Status: "not_affected", Justification: "vulnerable_code_not_in_execute_path", Reason: "not called"},
		{CVE: "CVE-2", Package: "pkg:apk/alpine/busybox", Repository: "team/app", Status: "fixed"},
		{CVE: "CVE-3", Image: "sha256:" + strings.Repeat("1", 64), Status: "not_affected", Reason: "the document says so and gives no justification"},
	}}
	for i := range want.Exceptions {
		want.Exceptions[i].Author, want.Exceptions[i].Source = "Maker", "doc-1"
	}
	byCVE := func(list []inventory.Exception) map[string]inventory.Exception {
		out := map[string]inventory.Exception{}
		for _, e := range list {
			out[e.CVE] = e
		}
		return out
	}
	if diff := cmp.Diff(byCVE(want.Exceptions), byCVE(got.Exceptions)); diff != "" || got.Affected != want.Affected || got.Unreadable != want.Unreadable {
		t.Errorf("%d affected, %d unreadable, %s", got.Affected, got.Unreadable, diff)
	}
	for _, bad := range []string{"", "{}", "[]", `{"@context":"https://cyclonedx.org"}`, "<xml/>", `{"@context":"https://openvex.dev/ns/v0.2.0","statements":7}`} {
		if _, err := vex.Read(strings.NewReader(bad), "bad.json"); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestWriteIsReadAgain(t *testing.T) {
	created := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	list := []inventory.Exception{
		{ID: 1, CVE: "CVE-1", Aliases: []string{"GHSA-1"}, Package: "pkg:npm/a@1", All: true, Status: "not_affected", Justification: "component_not_present", Reason: "r"},
		{ID: 2, CVE: "CVE-2", Repository: "docker-local/team/app", Status: "fixed", Reason: "patched"},
		{ID: 3, CVE: "CVE-3", Image: "sha256:" + strings.Repeat("2", 64), Package: "pkg:npm/b", Status: "fixed"},
		{ID: 4, CVE: "CVE-4", All: true, Status: "affected", Reason: "accepted until the move"},
		{ID: 5, CVE: "CVE-5", All: true, Status: "fixed", Expired: true},
	}
	for i := range list {
		list[i].Created = &created
	}
	var out bytes.Buffer
	err := vex.Write(&out, list, vex.Options{Author: "Security", Time: created, Products: map[int64][]string{4: {"pkg:npm/c@1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := vex.Write(&again, list, vex.Options{Author: "Security", Time: created, Products: map[int64][]string{4: {"pkg:npm/c@1"}}}); err != nil || again.String() != out.String() {
		t.Errorf("not the same twice: %v", err)
	}
	if strings.Contains(out.String(), "CVE-5") || !strings.Contains(out.String(), "accepted until the move") || !strings.Contains(out.String(), "pkg:npm/c@1") {
		t.Error(out.String())
	}
	got, err := vex.Read(&out, "x")
	if err != nil || len(got.Exceptions) != 3 || got.Affected != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, e := range got.Exceptions {
		w := list[i]
		if e.CVE != w.CVE || e.Package != w.Package || e.Repository != w.Repository || e.Image != w.Image || e.Status != w.Status || e.Justification != w.Justification || e.Reason != w.Reason {
			t.Errorf("%+v is read again as %+v", w, e)
		}
	}
}

// TestRealDocuments reads documents of real projects, where they are at hand.
func TestRealDocuments(t *testing.T) {
	dir := os.Getenv("TALLYMAN_SHARED_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	files, err := filepath.Glob(filepath.Join(dir, "vex", "*.json"))
	if err != nil || len(files) == 0 {
		t.Skip("no documents of other projects: set TALLYMAN_SHARED_DATA to a directory with vex/*.json")
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := vex.Read(f, filepath.Base(name))
		f.Close()
		if err != nil || len(got.Exceptions) == 0 || got.Unreadable > 0 {
			t.Errorf("%s: %d exceptions, %d unreadable, %v", filepath.Base(name), len(got.Exceptions), got.Unreadable, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"CVE-1","products":["pkg:oci/a?x=%zz"],"status":"fixed"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := vex.Read(bytes.NewReader(raw), "fuzz")
		if err != nil {
			return
		}
		for _, e := range got.Exceptions {
			if e.CVE == "" || e.Status == "" || !e.All && e.Image == "" && e.Repository == "" {
				t.Fatalf("%+v", e)
			}
		}
	})
}
