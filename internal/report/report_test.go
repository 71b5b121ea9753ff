package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

func at(s string) *time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return &t
}

// sample is a report with everything in it, some of it hostile.
func sample() inventory.Report {
	r := inventory.Report{
		Reference: "registry.example.com/docker-local/shop/cart:1.4.2", Digest: "sha256:" + strings.Repeat("ab", 32),
		Platform: "linux/amd64", AdvisoriesAsOf: at("2026-11-20"),
		Findings: []inventory.Finding{
			{
				ID: "CVE-2023-0286", Aliases: []string{"DEBIAN-CVE-2023-0286"}, PURL: "pkg:deb/debian/libssl1.1@1.1.1n-0?distro=debian-11",
				Package: "libssl1.1", Version: "1.1.1n-0", FixedVersions: []string{"1.1.1n-0+deb11u4"}, Severity: inventory.High,
				SeveritySource: "CVSS 3.1 (Debian)", CVSS: &inventory.CVSS{Vector: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H", Score: 7.4},
				EPSS: &inventory.EPSS{Score: 0.5, Percentile: 0.9}, Origin: "base", Locations: []string{"/var/lib/dpkg/status"},
				Advisory: inventory.AdvisoryRef{ID: "DEBIAN-CVE-2023-0286", Modified: *at("2023-07-14")},
				Why:      inventory.Why{Range: "<1.1.1n-0+deb11u4", Comparator: "Debian"}, Published: at("2023-02-07"),
			},
			{
				ID: "GHSA-xxxx-yyyy-zzzz", PURL: "pkg:npm/%40evil/=cmd@1.0.0", Package: "=cmd|' /C calc'!A0\x1b[2J", Version: "1.0.0",
				Severity: inventory.Critical, KEV: true, KEVDue: at("2026-12-01"), Layer: 3, Origin: "own",
				Summary:  "<script>alert(1)</script> | [x](javascript:alert(1)) @everyone\n# title",
				Advisory: inventory.AdvisoryRef{ID: "GHSA-xxxx-yyyy-zzzz"}, Why: inventory.Why{Range: "all versions", Comparator: "SemVer"},
			},
			{
				ID: "CVE-2020-0001", Package: "old", Version: "1", PURL: "pkg:pypi/old@1", Severity: inventory.Low,
				Exception: &inventory.Exception{Status: "not_affected", Reason: "never called"},
			},
		},
		Unknown: []inventory.Unknown{
			{PURL: "pkg:npm/a@1", Ecosystem: "npm", Reason: "not assessed: no advisories for npm"},
			{PURL: "pkg:npm/b@1", Ecosystem: "npm", Reason: "not assessed: no advisories for npm"},
		},
	}
	r.Summary = inventory.Count(r.Findings)
	return r
}

func write(t *testing.T, format string, o report.Options) string {
	t.Helper()
	var out bytes.Buffer
	o.Time = *at("2026-11-22")
	if err := report.Write(&out, format, sample(), o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	want := `Image       registry.example.com/docker-local/shop/cart:1.4.2
Digest      sha256:` + strings.Repeat("ab", 32) + `
Platform    linux/amd64
Advisories  as of 2026-11-20 00:00 UTC
Findings    1 critical, 1 high, 0 medium, 0 low, 0 unspecified; 1 fixable

SEVERITY  ID                   PACKAGE                   VERSION   FIXED IN          LAYER  ORIGIN  NOTE
critical  GHSA-xxxx-yyyy-zzzz  =cmd|' /C calc'!A0�[2J  1.0.0                           3  own     known exploited, due 2026-12-01
high      CVE-2023-0286        libssl1.1               1.1.1n-0  1.1.1n-0+deb11u4      0  base
low       CVE-2020-0001        old                     1                               0          excepted: not_affected

Not assessed: 2 packages
  2 packages: no advisories for npm
`
	want = strings.Replace(want, "PACKAGE                   VERSION", "PACKAGE                 VERSION", 1)
	if diff := cmp.Diff(want, write(t, "table", report.Options{})); diff != "" {
		t.Error(diff)
	}
	if got := write(t, "table", report.Options{Color: true}); !strings.Contains(got, "\x1b[35mcritical\x1b[0m") {
		t.Errorf("no colour: %q", got)
	}
	got := write(t, "table", report.Options{Details: true, Locations: true, EPSS: true})
	for _, part := range []string{"0.5000", "/var/lib/dpkg/status", "<1.1.1n-0+deb11u4 by the Debian order", "7.4 CVSS:3.1/"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, got)
		}
	}
}

func TestJSON(t *testing.T) {
	raw := write(t, "json", report.Options{})
	var back inventory.Report
	if err := json.Unmarshal([]byte(raw), &back); err != nil {
		t.Fatal(err)
	}
	if back.Findings[0].Severity != inventory.Critical || len(back.Findings) != 3 {
		t.Errorf("not sorted or not whole: %+v", back.Findings)
	}
	if strings.Contains(raw, "null") {
		t.Errorf("an array is null:\n%s", raw)
	}
	lines := strings.Split(strings.TrimSpace(write(t, "jsonl", report.Options{})), "\n")
	if len(lines) != 5 {
		t.Errorf("%d lines, want 3 findings and 2 unknown", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestSARIF(t *testing.T) {
	log, err := sarif.FromString(write(t, "sarif", report.Options{Version: "1.2.3"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Validate(); err != nil {
		t.Errorf("against the schema: %v", err)
	}
	run := log.Runs[0]
	if len(run.Results) != 2 || len(run.Tool.Driver.Rules) != 2 {
		t.Errorf("%d results, %d rules; the excepted one must not be there", len(run.Results), len(run.Tool.Driver.Rules))
	}
	if r := run.Results[0]; r.Level != "error" || *r.RuleID != "GHSA-xxxx-yyyy-zzzz" || r.RuleIndex != 0 {
		t.Errorf("first result: %+v", r)
	}
}

func TestCycloneDX(t *testing.T) {
	var bom cdx.BOM
	o := report.Options{SBOM: &inventory.SBOM{Packages: []inventory.Placed{{Package: inventory.Package{PURL: "pkg:deb/debian/bash@5", Name: "bash", Version: "5"}}}}}
	if err := cdx.NewBOMDecoder(strings.NewReader(write(t, "cyclonedx", o)), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if len(*bom.Components) != 6 || // those with flaws, of the bill of materials, and not assessed
		len(*bom.Vulnerabilities) != 3 {
		t.Errorf("%d components, %d vulnerabilities", len(*bom.Components), len(*bom.Vulnerabilities))
	}
	refs := map[string]bool{}
	for _, c := range *bom.Components {
		refs[c.BOMRef] = true
	}
	for _, v := range *bom.Vulnerabilities {
		for _, a := range *v.Affects {
			if !refs[a.Ref] {
				t.Errorf("%s affects %s, which is no component", v.ID, a.Ref)
			}
		}
	}
}

func TestGitLab(t *testing.T) {
	var doc struct {
		Scan            struct{ Type, Status string }
		Vulnerabilities []struct {
			ID, Severity string
			Location     struct {
				Image           string
				OperatingSystem string `json:"operating_system"`
				Dependency      struct{ Package struct{ Name string } }
			}
			Identifiers []struct{ Type, Value string }
		}
	}
	if err := json.Unmarshal([]byte(write(t, "gitlab", report.Options{})), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Scan.Type != "container_scanning" || len(doc.Vulnerabilities) != 2 {
		t.Fatalf("got %+v", doc)
	}
	v := doc.Vulnerabilities[1]
	if v.Severity != "High" || v.Location.OperatingSystem != "debian-11" || v.Identifiers[0].Type != "cve" || v.Location.Dependency.Package.Name != "libssl1.1" {
		t.Errorf("got %+v", v)
	}
}

func TestCSVHasNoFormulas(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(write(t, "csv", report.Options{}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 6 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		for _, field := range row {
			if field != "" && strings.ContainsAny(field[:1], "=+-@|%\t\r") || strings.ContainsAny(field, "\x1b\x00") {
				t.Errorf("unsafe cell %q", field)
			}
		}
	}
}

func TestMarkupIsInert(t *testing.T) {
	page := write(t, "html", report.Options{Details: true})
	if strings.Contains(page, "<script>alert") || !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Errorf("HTML is not escaped:\n%s", page)
	}
	text := write(t, "markdown", report.Options{Details: true})
	for _, bad := range []string{"<script", "](javascript", "@everyone", "\n# title", "calc'!A0|"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is live in\n%s", bad, text)
		}
	}
	// Every row of the table has the same number of columns, whatever the text holds.
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|") != 10 {
			t.Errorf("a cell broke its row: %s", line)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	err := report.Write(&bytes.Buffer{}, "xml", sample(), report.Options{})
	if err == nil || !strings.Contains(err.Error(), "table, json") {
		t.Errorf("got %v", err)
	}
	for _, format := range report.Formats() {
		write(t, format, report.Options{})
	}
}

func TestFilter(t *testing.T) {
	layer := 3
	for _, tc := range []struct {
		name   string
		filter report.Filter
		want   []string
	}{
		{"none", report.Filter{}, []string{"CVE-2023-0286", "GHSA-xxxx-yyyy-zzzz", "CVE-2020-0001"}},
		{"severity", report.Filter{Severities: []string{"HIGH", "low"}}, []string{"CVE-2023-0286", "CVE-2020-0001"}},
		{"fixed", report.Filter{Fixed: true}, []string{"CVE-2023-0286"}},
		{"unfixed", report.Filter{Unfixed: true}, []string{"GHSA-xxxx-yyyy-zzzz", "CVE-2020-0001"}},
		{"package", report.Filter{Package: regexp.MustCompile("^lib")}, []string{"CVE-2023-0286"}},
		{"type", report.Filter{Types: []string{"python", "deb"}}, []string{"CVE-2023-0286", "CVE-2020-0001"}},
		{"alias", report.Filter{IDs: []string{"debian-cve-2023-0286"}}, []string{"CVE-2023-0286"}},
		{"kev", report.Filter{KEV: true}, []string{"GHSA-xxxx-yyyy-zzzz"}},
		{"base", report.Filter{OnlyBase: true}, []string{"CVE-2023-0286"}},
		{"not base", report.Filter{IgnoreBase: true}, []string{"GHSA-xxxx-yyyy-zzzz", "CVE-2020-0001"}},
		{"layer", report.Filter{Layer: &layer}, []string{"GHSA-xxxx-yyyy-zzzz"}},
		{"epss", report.Filter{EPSS: 0.4}, []string{"CVE-2023-0286"}},
		{"all", report.Filter{Severities: []string{"high"}, Unfixed: true}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.filter.Validate(); err != nil {
				t.Fatal(err)
			}
			got := tc.filter.Apply(sample())
			var ids []string
			for _, f := range got.Findings {
				ids = append(ids, f.ID)
			}
			if diff := cmp.Diff(tc.want, ids); diff != "" {
				t.Error(diff)
			}
			if got.Summary != inventory.Count(got.Findings) || len(got.Unknown) != 2 {
				t.Errorf("summary %+v, %d unknown", got.Summary, len(got.Unknown))
			}
		})
	}
	for _, bad := range []report.Filter{{Severities: []string{"dire"}}, {Fixed: true, Unfixed: true}, {OnlyBase: true, IgnoreBase: true}, {EPSS: 2}} {
		if bad.Validate() == nil {
			t.Errorf("took %+v", bad)
		}
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	rows := []inventory.TagRow{
		{Reference: "r/a:1", Digest: "sha256:0123456789abcdef", State: inventory.StateAnalysed, Packages: 12, Findings: &inventory.Counts{High: 2, Fixable: 1}, Pushed: at("2026-11-01")},
		{Reference: "r/b:longer", Digest: "sha256:ffffffffffffffff", State: inventory.StateFailed, Problem: "layer 1:\x1b]0;pwn\a corrupt", Gone: at("2026-11-02")},
	}
	if err := report.ImagesTable(&out, rows, false); err != nil {
		t.Fatal(err)
	}
	want := `REFERENCE   DIGEST        STATE     PACKAGES  C  H  M  L  U  FIXABLE  PUSHED      NOTE
r/a:1       0123456789ab  analysed        12  0  2  0  0  0        1  2026-11-01
r/b:longer  ffffffffffff  failed                                                  gone since 2026-11-02; layer 1:�]0;pwn� corrupt
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	status := inventory.Status{Tally: inventory.Tally{TagsSeen: 3, Analysed: 2, Failed: 1}, Integrations: []inventory.IntegrationStatus{{
		Name: "main", State: "connected", Tally: inventory.Tally{TagsSeen: 3, Analysed: 2, Failed: 1, LayerBytes: 1_500_000, LayersRead: 7},
		Problems: []inventory.TagProblem{{Reference: "r/b:1", Problem: "corrupt layer"}},
	}}}
	if err := report.StatusTable(&out, status, false); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"main", "1.5 MB", "! r/b:1: corrupt layer", "advisories: none"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, out.String())
		}
	}
}

func TestCompare(t *testing.T) {
	a := inventory.Dossier{Report: sample(), Image: inventory.Image{Size: 1000, Config: inventory.Config{User: "root", Env: []string{"A=<redacted>"}}}}
	b := inventory.Dossier{Report: sample(), Image: inventory.Image{Size: 3000, Config: inventory.Config{User: "app"}}}
	a.SBOM.Packages = []inventory.Placed{{Package: inventory.Package{PURL: "pkg:npm/a@1", Name: "a", Version: "1"}}, {Package: inventory.Package{PURL: "pkg:npm/b@1", Name: "b", Version: "1"}}}
	b.SBOM.Packages = []inventory.Placed{{Package: inventory.Package{PURL: "pkg:npm/a@2", Name: "a", Version: "2"}}, {Package: inventory.Package{PURL: "pkg:npm/c@1", Name: "c", Version: "1"}}}
	a.Report.Findings = a.Report.Findings[:2]
	b.Report.Findings = b.Report.Findings[1:]
	c := report.Compare(a, b)
	if len(c.Fixed) != 1 || len(c.New) != 1 || len(c.Unchanged) != 1 || len(c.Packages) != 3 {
		t.Errorf("fixed %d, new %d, unchanged %d, packages %+v", len(c.Fixed), len(c.New), len(c.Unchanged), c.Packages)
	}
	if diff := cmp.Diff([]report.ConfigChange{{"user", "root", "app"}, {"env A", "<redacted>", ""}}, c.Config); diff != "" {
		t.Error(diff)
	}
	for _, format := range []string{"text", "markdown", "json"} {
		var out bytes.Buffer
		if err := report.WriteComparison(&out, format, c, report.Options{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "CVE-2023-0286") && !strings.Contains(out.String(), "CVE&#45;2023&#45;0286") {
			t.Errorf("%s:\n%s", format, out.String())
		}
		out.Reset()
		if err := report.WriteQuickview(&out, format, report.QuickviewOf(a, &b), report.Options{}); err != nil || out.Len() == 0 {
			t.Errorf("%s: %v", format, err)
		}
	}
	if report.WriteComparison(&bytes.Buffer{}, "xml", c, report.Options{}) == nil {
		t.Error("took xml")
	}
}

// TestEveryReportTells: when a flaw is known to be exploited and by when it must be
// gone, how likely it is to be, and which packages nobody could judge.
func TestEveryReportTells(t *testing.T) {
	for _, format := range []string{"table", "json", "jsonl", "sarif", "markdown", "gitlab", "cyclonedx", "csv", "html"} {
		got := write(t, format, report.Options{EPSS: true})
		for _, words := range [][]string{{"2026-12-01"}, {"0.5"}, {"0.9", "90.0 %"}, {"no advisories for npm"}} {
			if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(got, w) }) {
				t.Errorf("%s lacks %q:\n%s", format, words[0], got)
			}
		}
	}
}
