package main

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// TestQuestions asks the program about the demo's fleet, which is left in a data directory.
func TestQuestions(t *testing.T) {
	if testing.Short() {
		t.Skip("long: runs the whole program")
	}
	p := newProgram(t)
	p.run("", "demo", "--once", "--data", p.env["TALLYMAN_DATA"]).want(t, 0)
	q := questions{p}
	t.Run("who has", func(t *testing.T) { q.whoHas(t) })
	t.Run("overview", func(t *testing.T) { q.overview(t) })
	t.Run("elsewhere", func(t *testing.T) { q.elsewhere(t) })
	t.Run("explain", func(t *testing.T) { q.explain(t) })
	t.Run("exceptions", func(t *testing.T) { q.exceptions(t) })
}

func (q questions) explain(t *testing.T) {
	ref := q.reference(t, "docker-dev-local/shop/payments:3.1.0")
	x := ask[inventory.Explained](t, q, "explain", ref, "CVE-2021-44228", "--format", "json")
	if !x.Affected || len(x.Findings) != 1 || x.Findings[0].Version != "2.14.1" || x.Findings[0].Instruction == "" || len(x.Findings[0].Locations) == 0 {
		t.Errorf("%+v", x)
	}
	r := q.run("", "explain", ref, "CVE-2021-44228")
	r.want(t, 0)
	for _, word := range []string{"affected: ", "log4j-core 2.14.1", "order of versions", "made by", ".jar", "fixed in", "layer"} {
		if !strings.Contains(r.stdout, word) {
			t.Errorf("the explanation lacks %q:\n%s", word, r.stdout)
		}
	}
	fixed := q.reference(t, "docker-dev-local/shop/payments:3.2.0")
	not := ask[inventory.Explained](t, q, "explain", fixed, "CVE-2021-44228", "--format", "json")
	if not.Affected || !not.Known || len(not.Others) == 0 || !strings.Contains(not.Others[0].Reason, "not affected because") {
		t.Errorf("%+v", not)
	}
	if none := ask[inventory.Explained](t, q, "explain", fixed, "CVE-1999-0001", "--format", "json"); none.Affected || none.Known {
		t.Errorf("%+v", none)
	}
	q.run("", "explain", ref).want(t, exitError, "takes REF CVE")
}

func (q questions) exceptions(t *testing.T) {
	ref := q.reference(t, "docker-dev-local/shop/payments:3.1.0")
	before := ask[inventory.Report](t, q, "cves", ref, "--format", "json")
	add := []string{
		"exception", "add", "--cve", "CVE-2021-44228", "--repository", "docker-dev-local/shop/payments", "--status", "not_affected",
		"--justification", "vulnerable_code_not_in_execute_path", "--reason", "lookups are off", "--author", "sec", "--expires", "90d",
	}
	r := q.run("", append(add, "--dry-run")...)
	r.want(t, 0)
	if !strings.Contains(r.stdout, "would hide 2 findings of 1 flaws in 2 images; 2 of them known to be exploited") {
		t.Errorf("preview: %s", r.stdout)
	}
	res := ask[inventory.ExceptionResult](t, q, append(add, "--format", "json")...)
	if len(res.Saved) != 1 || res.Hides.KEV != 2 || res.Saved[0].Expires == nil {
		t.Fatalf("%+v", res)
	}
	after := ask[inventory.Report](t, q, "cves", ref, "--format", "json")
	if after.Summary.Critical != before.Summary.Critical-1 || len(after.Findings) != len(before.Findings) {
		t.Errorf("before %+v, after %+v", before.Summary, after.Summary)
	}
	q.run("", "cves", ref, "--only-cve-id", "CVE-2021-44228", "--exit-code").want(t, 0)
	for _, row := range ask[[]inventory.TagRow](t, q, "images", "--format", "json") {
		if row.Reference == ref && row.Findings.Critical != after.Summary.Critical {
			t.Errorf("the list says %+v, the report %+v", row.Findings, after.Summary)
		}
	}
	other := q.reference(t, "docker-prod-local/shop/payments:3.1.1")
	q.run("", "cves", other, "--only-cve-id", "CVE-2021-44228", "--exit-code").want(t, 2)
	if r := q.run("", "exception", "list"); !strings.Contains(r.stdout, "CVE-2021-44228") || !strings.Contains(r.stdout, "lookups are off") {
		t.Errorf("list: %s", r.stdout)
	}
	file := filepath.Join(t.TempDir(), "ours.openvex.json")
	q.run("", "exception", "export", "--author", "Acme", "--output", file).want(t, 0)
	q.run("", "exception", "remove", strconv.FormatInt(res.Saved[0].ID, 10)).want(t, 0)
	if again := ask[inventory.Report](t, q, "cves", ref, "--format", "json"); again.Summary != before.Summary {
		t.Errorf("removed: %+v, want %+v", again.Summary, before.Summary)
	}
	q.run("", "exception", "import", file).want(t, 0, "1 exceptions")
	if again := ask[inventory.Report](t, q, "cves", ref, "--format", "json"); again.Summary != after.Summary {
		t.Errorf("imported: %+v, want %+v", again.Summary, after.Summary)
	}
	for _, e := range ask[[]inventory.Exception](t, q, "exception", "list", "--format", "json") {
		q.run("", "exception", "remove", strconv.FormatInt(e.ID, 10)).want(t, 0)
	}
	q.run("", "exception", "add", "--cve", "CVE-1", "--status", "fixed").want(t, exitError, "does not say where")
	q.run("", "exception", "add", "--cve", "CVE-1", "--all", "--status", "fixed", "--expires", "never").want(t, exitError, "is no end")
	q.run("", "exception", "remove", "77").want(t, exitError, "there is no exception 77")
	q.run("", "exception", "import", filepath.Join(t.TempDir(), "none.json")).want(t, exitError, "none.json")
}

// questions are asked of a program that has a fleet.
type questions struct{ *program }

// ask runs a command that answers JSON.
func ask[T any](t *testing.T, q questions, args ...string) T {
	t.Helper()
	r := q.run("", args...)
	r.want(t, 0)
	return decoded[T](t, r)
}

func decoded[T any](t *testing.T, r result) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("%v in %.300s\n%s", err, r.stdout, r.stderr)
	}
	return v
}

func (q questions) overview(t *testing.T) {
	old, fixed := q.reference(t, "docker-dev-local/shop/payments:3.1.0"), q.reference(t, "docker-dev-local/shop/payments:3.2.0")
	v := ask[report.Quickview](t, q, "quickview", old, "--format", "json")
	rep := ask[inventory.Report](t, q, "cves", old, "--format", "json")
	if v.Target.Summary != rep.Summary || v.Base == nil || !strings.HasSuffix(v.Base.Reference, "openjdk:17-jre-slim-12.0") || v.Base.Packages == 0 {
		t.Errorf("%+v, base %+v", v, v.Base)
	}
	if v.Updated == nil || v.Updated.Delta == nil || v.Updated.Delta.High >= 0 || !strings.HasSuffix(v.Updated.Reference, "openjdk:17-jre-slim") {
		t.Errorf("updated %+v", v.Updated)
	}
	advice := ask[inventory.Advice](t, q, "recommendations", old, "--format", "json")
	if advice.Base == nil || len(advice.Updates) == 0 || advice.Updates[0].Digest != v.Updated.Digest || advice.Updates[0].AgeDays == nil || advice.Updates[0].SizeDelta == nil {
		t.Errorf("%+v", advice)
	}
	c := ask[report.Comparison](t, q, "compare", old, fixed, "--format", "json")
	if len(c.Fixed) == 0 || len(c.New) != 0 || len(c.Unchanged) == 0 || len(c.Packages) == 0 || c.A.Summary != rep.Summary {
		t.Errorf("%d fixed, %d new, %d unchanged, %d packages", len(c.Fixed), len(c.New), len(c.Unchanged), len(c.Packages))
	}
	q.run("", "compare", old, fixed, "--exit-on", "vulnerability").want(t, 0)
	q.run("", "compare", fixed, old, "--exit-on", "vulnerability").want(t, 2)
	for _, args := range [][]string{{"quickview", old}, {"compare", old, fixed}, {"recommendations", old}} {
		for _, format := range []string{"text", "markdown"} {
			r := q.run("", append(args, "--format", format)...)
			r.want(t, 0)
			if !strings.Contains(r.stdout, "openjdk") && !strings.Contains(r.stdout, "log4j") || (format == "markdown") != strings.Contains(r.stdout, "| --- |") {
				t.Errorf("%v as %s: %.400s", args, format, r.stdout)
			}
		}
	}
}

// reference is the tag in full: the demo's registry has another port each time.
func (q questions) reference(t *testing.T, tail string) string {
	t.Helper()
	for _, row := range ask[[]inventory.TagRow](t, q, "images", "--format", "json") {
		if strings.HasSuffix(row.Reference, tail) {
			return row.Reference
		}
	}
	t.Fatalf("the demo has no %s", tail)
	return ""
}

func (q questions) whoHas(t *testing.T) {
	rows := ask[[]inventory.Holding](t, q, "who-has", "log4j-core <2.17.1", "--format", "json")
	if len(rows) != 3 {
		t.Fatalf("%d tags have an old log4j: %+v", len(rows), rows)
	}
	for _, h := range rows {
		if h.Version != "2.14.1" || h.State != "present" || h.Layer == 0 || !strings.Contains(h.Reference, "shop/payments") {
			t.Errorf("row %+v", h)
		}
	}
	for _, same := range []string{"org.apache.logging.log4j:log4j-core < 2.17.1", "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "CVE-2021-44228"} {
		if got := ask[[]inventory.Holding](t, q, "who-has", same, "--format", "json"); len(got) != len(rows) {
			t.Errorf("%s: %d rows, want %d", same, len(got), len(rows))
		}
	}
	past := time.Now().Add(-48 * time.Hour).Format(time.DateOnly)
	r := q.run("", "who-has", "CVE-2021-44228", "--as-of", past)
	r.want(t, 0, "0 tags", "findings by what is known today")
	if got := ask[[]inventory.Holding](t, q, "who-has", "nothing-of-the-kind", "--format", "json"); len(got) != 0 {
		t.Errorf("%d tags have nothing", len(got))
	}
	all := ask[[]inventory.Holding](t, q, "who-has", "openssl <3.0.12", "--format", "json")
	debian := ask[[]inventory.Holding](t, q, "who-has", "openssl <3.0.12", "--ecosystem", "Debian:12", "--format", "json")
	if len(all) == 0 || len(debian) != len(all) || len(ask[[]inventory.Holding](t, q, "who-has", "openssl", "--ecosystem", "npm", "--format", "json")) != 0 {
		t.Errorf("%d rows, %d of Debian 12", len(all), len(debian))
	}
	lines := strings.Count(q.run("", "who-has", "openssl <3.0.12", "--format", "jsonl").stdout, "\n")
	if lines != len(all) {
		t.Errorf("%d lines, %d rows", lines, len(all))
	}
	q.run("", "who-has", "openssl ~1").want(t, exitError, "is no version")
	q.run("", "who-has", "x", "--as-of", "soon").want(t, exitError, "is no date")
	q.run("", "who-has").want(t, exitError, "takes WHAT")
}
