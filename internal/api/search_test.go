package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// plainJudge orders versions by their bytes.
type plainJudge struct{}

func (plainJudge) Compare(ecosystem, a, b string) (int, error) {
	if ecosystem == "" {
		return 0, inventory.ErrUnsupported
	}
	return strings.Compare(a, b), nil
}

func (plainJudge) KeysOf(p inventory.Package) []inventory.AffectedKey {
	return []inventory.AffectedKey{{Ecosystem: p.Ecosystem, Name: p.Name}}
}

func (plainJudge) Verdicts(packages []inventory.Package, candidates map[inventory.AffectedKey][]inventory.Advisory) []inventory.Verdict {
	var out []inventory.Verdict
	for _, p := range packages {
		for _, a := range candidates[inventory.AffectedKey{Ecosystem: p.Ecosystem, Name: p.Name}] {
			out = append(out, inventory.Verdict{PURL: p.PURL, ID: a.ID, AdvisoryID: a.ID, Severity: inventory.High})
		}
	}
	return out
}

func (plainJudge) Explain(p inventory.Package, a inventory.Advisory) inventory.Judgement {
	return inventory.Judgement{PURL: p.PURL, Advisory: a.ID, Known: true, Reason: "not affected: as the test wants it"}
}

// Candidates names package a of the image in two advisories, one of which hits.
func (l *ledger) Candidates(_ context.Context, keys []inventory.AffectedKey) (map[inventory.AffectedKey][]inventory.Advisory, error) {
	out := map[inventory.AffectedKey][]inventory.Advisory{}
	for _, key := range keys {
		if key.Name == "a" {
			out[key] = []inventory.Advisory{{ID: "GHSA-1", Aliases: []string{"CVE-2026-1"}}, {ID: "GHSA-2", Aliases: []string{"CVE-2026-2"}}}
		}
	}
	return out, l.broken
}

func (l *ledger) Advisory(_ context.Context, id string) (inventory.Advisory, error) {
	if id != "DEBIAN-CVE-2026-3" {
		return inventory.Advisory{}, inventory.ErrNotFound
	}
	return inventory.Advisory{ID: id, Affected: []inventory.Affected{{Name: "openssl", Ecosystem: "Debian:12"}}}, nil
}

func TestExplain(t *testing.T) {
	srv := serve(t, newLedger())
	for _, tt := range []struct {
		id              string
		affected, known bool
		findings, other int
		reason          string
	}{
		{"CVE-2026-1", true, true, 1, 0, "affected: "},
		{"cve-2026-2", false, true, 0, 1, "not affected by cve-2026-2"},
		{"CVE-2026-3", false, true, 0, 0, "it names openssl (Debian:12), and the image has none of it"},
		{"CVE-2026-4", false, false, 0, 0, "no advisory at hand"},
	} {
		status, _, body := call(t, srv, reader, "GET", "/api/v1/explain?id="+tt.id+"&ref="+ref, "")
		var x inventory.Explained
		if err := json.Unmarshal([]byte(body), &x); err != nil || status != 200 {
			t.Fatalf("%s: %d %v %s", tt.id, status, err, body)
		}
		if x.Affected != tt.affected || x.Known != tt.known || len(x.Findings) != tt.findings || len(x.Others) != tt.other || !strings.Contains(x.Reason, tt.reason) {
			t.Errorf("%s: %+v", tt.id, x)
		}
	}
	for _, path := range []string{"/api/v1/explain?ref=" + ref, "/api/v1/explain?id=CVE-1"} {
		if status, _, _ := call(t, srv, reader, "GET", path, ""); status != 400 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// PackagesNamed answers three versions of whatever is asked for, and one that cannot be compared.
func (l *ledger) PackagesNamed(_ context.Context, q inventory.PackageQuery) ([]inventory.Package, error) {
	name := strings.TrimPrefix(q.PURL, "pkg:npm/")
	if q.PURL == "" {
		name = q.Names[0]
	}
	var out []inventory.Package
	for _, v := range []string{"1.0", "1.5", "2.0"} {
		out = append(out, inventory.Package{PURL: "pkg:npm/" + name + "@" + v, Name: name, Version: v, Ecosystem: "npm"})
	}
	return append(out, inventory.Package{PURL: "pkg:generic/" + name + "@1.1", Name: name, Version: "1.1"}), l.broken
}

func (l *ledger) PackagesWithFlaw(_ context.Context, id string) ([]inventory.Package, error) {
	if id != "CVE-2026-1" {
		return nil, nil
	}
	return []inventory.Package{{PURL: "pkg:npm/a@1", Version: "1"}}, nil
}

// Holders answers one row for each purl, the last first.
func (l *ledger) Holders(_ context.Context, q inventory.HolderQuery, reach func(inventory.Reach) error, each func(inventory.Holding) error) error {
	if q.File != "" {
		q.PURLs = []string{"file"}
	}
	n := len(q.PURLs)
	if err := reach(inventory.Reach{Packages: n, Images: n, Tags: n}); err != nil {
		return err
	}
	for i := n - 1; i >= 0; i-- {
		if err := each(inventory.Holding{Reference: "acme.example/a:" + q.PURLs[i], PURL: q.PURLs[i], State: "present", Since: time.Unix(1, 0).UTC()}); err != nil {
			return err
		}
	}
	return nil
}

func TestWhoHas(t *testing.T) {
	srv := serve(t, newLedger())
	for _, tt := range []struct {
		q, more string
		want    string // versions
		note    string
	}{
		{"lodash <1.5", "", "1.0", "1 versions cannot be compared"},
		{"lodash <= 1.5", "&ecosystem=npm", "1.0 1.5", ""},
		{"lodash >1.0, <2", "&ecosystem=NPM", "1.5", ""},
		{"lodash >1.0 <2", "&ecosystem=npm", "1.5", ""},
		{"lodash", "", "1.0 1.1 1.5 2.0", ""},
		{"lodash@1.5", "", "1.5", ""},
		{"lodash = 1.1", "", "1.1", ""},
		{"@scope/lodash !=1.5", "&ecosystem=npm", "1.0 2.0", ""},
		{"pkg:npm/lodash@1.5", "", "1.5", ""},
		{"pkg:npm/lodash >=1.5", "&ecosystem=npm", "1.5 2.0", ""},
		{"pkg:npm/lodash", "&ecosystem=npm&limit=2", "1.5 2.0", ""},
		{"cve-2026-1", "", "1", ""},
		{"CVE-2026-1", "&as_of=2026-03-01", "1", "findings by what is known today"},
		{"CVE-2026-404", "", "", ""},
	} {
		status, _, body := call(t, srv, reader, "GET", "/api/v1/who-has?q="+url.QueryEscape(tt.q)+tt.more, "")
		var got inventory.Holders
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Errorf("%s: %d %v %s", tt.q, status, err, body)
			continue
		}
		var versions []string
		for _, h := range got.Holders {
			versions = append(versions, h.PURL[strings.LastIndex(h.PURL, "@")+1:])
		}
		// "pkg:generic" comes before "pkg:npm" in the order of references
		if diff := strings.Join(versions, " "); !sameWords(diff, tt.want) || !strings.Contains(got.Note, tt.note) {
			t.Errorf("%s%s: %q with note %q, want %q", tt.q, tt.more, diff, got.Note, tt.want)
		}
	}
	for _, bad := range []string{"", " ", "openssl <", "openssl ~>1.0", "openssl ^1.0", "sha256:abc", "<1", "openssl <>1", "pkg:npm/x@", "a " + strings.Repeat("<1,", 40)} {
		if status, _, body := call(t, srv, reader, "GET", "/api/v1/who-has?q="+url.QueryEscape(bad), ""); status != 400 {
			t.Errorf("%q: %d %s", bad, status, body)
		}
	}
	if status, _, _ := call(t, srv, reader, "GET", "/api/v1/who-has?q=a&as_of=yesterday", ""); status != 400 {
		t.Errorf("as of yesterday: %d", status)
	}
}

func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) {
		return false
	}
	have := map[string]bool{}
	for _, w := range x {
		have[w] = true
	}
	for _, w := range y {
		if !have[w] {
			return false
		}
	}
	return true
}

func TestWhoHasStreams(t *testing.T) {
	srv := serve(t, newLedger())
	_, header, body := call(t, srv, reader, "GET", "/api/v1/who-has?format=jsonl&q=lodash", "")
	var last string
	n := 0
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); n++ {
		var h inventory.Holding
		if err := json.Unmarshal(s.Bytes(), &h); err != nil || h.Reference < last {
			t.Errorf("line %q: %v", s.Text(), err)
		}
		last = h.Reference
	}
	if n != 4 || header.Get(api.HeaderReach) != "packages=4, images=4, tags=4" {
		t.Errorf("%d lines, reach %q", n, header.Get(api.HeaderReach))
	}
	l := newLedger()
	l.broken = errors.New("disk")
	if status, _, body := call(t, serve(t, l), reader, "GET", "/api/v1/who-has?format=jsonl&q=lodash", ""); status != 500 || strings.Contains(body, "disk") {
		t.Errorf("broken: %d %s", status, body)
	}
}
