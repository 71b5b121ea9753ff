package advisory_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const good = `{"schema_version":"1.7.0","id":"DEBIAN-CVE-2023-0286","modified":"2023-07-14T07:39:10Z","published":"2023-02-07T00:00:00Z",
"upstream":["CVE-2023-0286"],"related":["X-1"],"summary":"a \"quoted\" \u00e9 \ud83d\ude00 word","details":"line\nline",
"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H"}],
"affected":[{"package":{"ecosystem":"Debian:11","name":"openssl","purl":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.1.1n-0+deb11u4"}]},
{"type":"GIT","repo":"r","events":[{"introduced":"abc"}]}],"ecosystem_specific":{"urgency":"low"},"database_specific":{"x":[1,{"y":null}]}}],
"references":[{"type":"WEB","url":"https://example.com/1"}],"database_specific":{"severity":"HIGH","severity_source":"somebody"},"credits":[{"name":"n"}]}`

func day(s string) *time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return &t
}

func TestParseRecord(t *testing.T) {
	got, err := advisory.ParseRecord([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	got.Raw = nil
	want := inventory.Advisory{
		ID: "DEBIAN-CVE-2023-0286", Modified: *day("2023-07-14T07:39:10Z"), Published: day("2023-02-07T00:00:00Z"),
		Aliases: []string{}, Upstream: []string{"CVE-2023-0286"}, Related: []string{"X-1"},
		Summary: "a \"quoted\" é 😀 word", Details: "line\nline",
		Severity: []inventory.Severity{
			{Type: "CVSS_V3", Score: "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H", Source: "somebody"}, {Type: "word", Score: "HIGH", Source: "somebody"},
		},
		Affected: []inventory.Affected{{
			Ecosystem: "Debian:11", Name: "openssl", Versions: []string{}, Severity: []inventory.Severity{}, Urgency: "low",
			Ranges: []inventory.Range{{Type: "ECOSYSTEM", Events: []inventory.Event{{Introduced: "0"}, {Fixed: "1.1.1n-0+deb11u4"}}}},
		}},
		Links: []string{"https://example.com/1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRecordTakesWhatDecides(t *testing.T) {
	for name, raw := range map[string]string{
		"wrong types beside":    `{"id":"A-1","modified":"2023-07-14T07:39:10Z","aliases":"CVE-1","severity":"high","references":{},"details":7,"summary":null,"database_specific":[]}`,
		"null arrays":           `{"id":"A-1","affected":null,"aliases":null,"related":null}`,
		"unknown fields":        `{"id":"A-1","later":{"a":[[[]]]},"affected":[{"package":{"ecosystem":"npm","name":"x"},"later":true}]}`,
		"an event of two edges": `{"id":"A-1","affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0","fixed":"1"}]}]}]}`,
		"only a commit range":   `{"id":"A-1","affected":[{"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}]}`,
	} {
		if _, err := advisory.ParseRecord([]byte(raw)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":            ``,
		"not JSON":           `<html>`,
		"cut off":            good[:200],
		"two values":         `{"id":"A-1"}{"id":"A-2"}`,
		"no id":              `{"modified":"2023-07-14T07:39:10Z"}`,
		"id with a slash":    `{"id":"../../etc"}`,
		"id with a control":  `{"id":"A\u001b1"}`,
		"long id":            `{"id":"` + strings.Repeat("A", 300) + `"}`,
		"modified no time":   `{"id":"A-1","modified":"yesterday"}`,
		"withdrawn no time":  `{"id":"A-1","withdrawn":"yes"}`,
		"withdrawn a number": `{"id":"A-1","withdrawn":1}`,
		"affected an object": `{"id":"A-1","affected":{}}`,
		"version a number":   `{"id":"A-1","affected":[{"versions":[1.0]}]}`,
		"event a number":     `{"id":"A-1","affected":[{"ranges":[{"events":[{"fixed":2}]}]}]}`,
		"long version":       `{"id":"A-1","affected":[{"ranges":[{"events":[{"fixed":"` + strings.Repeat("1", 2000) + `"}]}]}]}`,
		"deep nesting":       `{"id":"A-1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"raw control":        "{\"id\":\"A-1\",\"summary\":\"a\x01\"}",
		"bad escape":         `{"id":"A-1","summary":"\x"}`,
	} {
		if _, err := advisory.ParseRecord([]byte(raw)); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// makeZip packs records as the public bucket does.
func makeZip(t testing.TB, records map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, raw := range records {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(raw))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func record(id string) string {
	return `{"id":"` + id + `","modified":"2024-01-02T03:04:05Z","affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`
}

func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const (
	kevJSON = `{"title":"t","catalogVersion":"1","vulnerabilities":[{"cveID":"CVE-2024-3094","dateAdded":"2024-04-01","dueDate":"2024-04-22"},{"cveID":"nonsense"}]}`
	epssCSV = "#model_version:v1,score_date:2026-01-01T00:00:00Z\ncve,epss,percentile\nCVE-2024-3094,0.5,0.99\nCVE-2024-0001,2,0.1\n"
)

func TestImportRecognisesByContent(t *testing.T) {
	zipped := makeZip(t, map[string]string{"A-1.json": record("A-1"), "sub/A-2.json": record("A-2"), "README.txt": "x", "bad.json": "{"})
	for name, tc := range map[string]struct {
		content                       []byte
		records, kev, epss, malformed int
	}{
		"zip":          {zipped, 2, 0, 0, 1},
		"one record":   {[]byte(" \n" + record("A-1")), 1, 0, 0, 0},
		"a list":       {[]byte("[" + record("A-1") + "," + record("A-2") + "]"), 2, 0, 0, 0},
		"JSON lines":   {[]byte(record("A-1") + "\n" + record("A-2") + "\n{\"id\":\"\"}\n"), 2, 0, 0, 1},
		"API answer":   {[]byte(`{"vulns":[` + record("A-1") + `]}`), 1, 0, 0, 0},
		"gzipped JSON": {gzipped(t, record("A-1")), 1, 0, 0, 0},
		"BOM":          {[]byte("\xef\xbb\xbf" + record("A-1")), 1, 0, 0, 0},
		"KEV":          {[]byte(kevJSON), 0, 1, 0, 1},
		"EPSS":         {[]byte(epssCSV), 0, 0, 1, 1},
		"gzipped EPSS": {gzipped(t, epssCSV), 0, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			into := &sink{keep: true}
			got, err := advisory.Import(t.Context(), file(t, "feed.bin", tc.content), into)
			if err != nil {
				t.Fatal(err)
			}
			if got.Records != tc.records || got.KEV != tc.kev || got.EPSS != tc.epss || got.Malformed != tc.malformed {
				t.Errorf("got %+v", got)
			}
			if len(into.records) != tc.records || len(into.kev) != tc.kev || len(into.epss) != tc.epss || len(got.Problems) != tc.malformed {
				t.Errorf("sink has %d, %d, %d; %d problems", len(into.records), len(into.kev), len(into.epss), len(got.Problems))
			}
		})
	}
}

func TestImportRefusesWithoutTaking(t *testing.T) {
	whole := makeZip(t, map[string]string{"A-1.json": record("A-1") + strings.Repeat(" ", 500), "A-2.json": record("A-2")})
	flipped := bytes.Clone(whole)
	flipped[60] ^= 0xff
	for name, content := range map[string][]byte{
		"half a zip":     whole[:len(whole)/2],
		"a flipped bit":  flipped,
		"empty":          nil,
		"text":           []byte("hello"),
		"a page":         []byte("<!doctype html>"),
		"no record":      []byte(`{"a":1}`),
		"half a list":    []byte("[" + record("A-1") + ","),
		"half a record":  []byte(record("A-1")[:50]),
		"half EPSS":      gzipped(t, epssCSV)[:30],
		"EPSS of no row": []byte("cve,epss,percentile\n"),
		"KEV of no CVE":  []byte(`{"vulnerabilities":[{"cveID":"x"}]}`),
		"KEV a number":   []byte(`{"vulnerabilities":7}`),
		"empty zip":      makeZip(t, nil),
	} {
		t.Run(name, func(t *testing.T) {
			into := &sink{keep: true}
			if _, err := advisory.Import(t.Context(), file(t, "feed", content), into); !errors.Is(err, inventory.ErrInvalid) {
				t.Errorf("got %v", err)
			}
			if len(into.records)+len(into.kev)+len(into.epss) != 0 {
				t.Errorf("something was taken: %+v", into)
			}
		})
	}
	if _, err := advisory.Import(t.Context(), filepath.Join(t.TempDir(), "none"), &sink{}); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("missing file: %v", err)
	}
}

func TestImportDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"npm/all.zip": makeZip(t, map[string]string{"A-1.json": record("A-1")}), "one.json": []byte(record("A-2")),
		"kev.json": []byte(kevJSON), "epss.csv": []byte(epssCSV), "README": []byte("text"), ".hidden": []byte("x"),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := advisory.Import(t.Context(), dir, &sink{})
	if err != nil || got.Records != 2 || got.KEV != 1 || got.EPSS != 1 || got.Malformed != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestImportTellsOfTheSink(t *testing.T) {
	full := errors.New("disk full")
	for _, content := range []string{record("A-1"), kevJSON, epssCSV} {
		if _, err := advisory.Import(t.Context(), file(t, "f", []byte(content)), &sink{fail: full}); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(record("A-1")))
	f.Add([]byte(`{"id":"A-1","summary":"\ud800\u0041\\"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := advisory.ParseRecord(raw)
		if err != nil {
			if !errors.Is(err, inventory.ErrInvalid) {
				t.Errorf("not a kind: %v", err)
			}
			return
		}
		if a.ID == "" || len(a.ID) > 256 {
			t.Errorf("id %q", a.ID)
		}
	})
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(kevJSON))
	f.Add([]byte(epssCSV))
	f.Add([]byte("[" + record("A-1") + "]"))
	f.Add(makeZip(f, map[string]string{"A-1.json": record("A-1")}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = advisory.Import(t.Context(), file(t, "feed", raw), &sink{})
	})
}
