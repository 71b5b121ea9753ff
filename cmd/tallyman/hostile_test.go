package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"iter"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
	"github.com/tallyman-dev/tallyman/internal/sbom"
)

// hostile is what whoever pushes an image, writes an advisory or answers as a server may
// put into any name: every control character, marks that reorder text, sequences that
// write the clipboard or hide a link, line breaks, formulas, markup.
func hostile() string {
	var s strings.Builder
	s.WriteString("=cmd|'/C calc'!A0")
	for r := rune(0); r <= 0x9f; r++ {
		if unicode.IsControl(r) {
			s.WriteRune(r)
		}
	}
	s.WriteString("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
	s.WriteString("\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\ \x1b]52;c;ZXZpbA==\a \x9b31m \x9d52;c;ZXZpbA==\x9c")
	s.WriteString("\tADDED COLUMN\r\nADDED LINE\n- item\n# title\n<script>alert(1)</script><img src=x onerror=alert(1)>")
	s.WriteString("| [x](javascript:alert(1)) ![y](https://evil.example/p.png) @everyone `code` **bold** \" onload=\"x ]]> </details>")
	return s.String()
}

// fill makes every text in v hostile, and lets nothing be empty.
func fill[T any](v T) T {
	fillValue(reflect.ValueOf(&v).Elem(), 0)
	return v
}

func fillValue(v reflect.Value, depth int) {
	if v.Type() == reflect.TypeFor[time.Time]() || !v.CanSet() || depth > 8 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile())
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillValue(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Interface {
			value.Set(reflect.ValueOf(hostile()))
		} else {
			fillValue(value, depth+1)
		}
		v.SetMapIndex(reflect.ValueOf(hostile()).Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i), depth+1)
		}
	}
}

func one[T any]() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var v T
		yield(fill(v), nil)
	}
}

// shown is everything that commands write for people, by what it is.
func shown(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	write := func(name string, with func(w io.Writer) error) {
		t.Helper()
		var out bytes.Buffer
		if err := with(&out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out.Len() < 40 {
			t.Errorf("%s writes only %q", name, out.String())
		}
		all[name] = out.String()
	}
	command := func(name string, with func(a *app) error) {
		t.Helper()
		write(name, func(w io.Writer) error { return with(&app{stdout: w, stderr: w}) })
	}
	found := fill(inventory.Report{})
	plain := report.Options{Details: true, Locations: true, EPSS: true}
	for _, format := range []string{"table", "markdown", "html", "csv"} {
		write("cves "+format, func(w io.Writer) error { return report.Write(w, format, found, plain) })
	}
	dossier := fill(inventory.Dossier{})
	other := fill(inventory.Dossier{})
	other.SBOM.Packages[0].Name += "2"
	quick := report.QuickviewOf(dossier, &other)
	quick.Updated = fill(quick.Updated)
	for _, format := range []string{"text", "markdown"} {
		write("compare "+format, func(w io.Writer) error {
			return report.WriteComparison(w, format, fill(report.Comparison{}), plain)
		})
		write("compare two "+format, func(w io.Writer) error {
			return report.WriteComparison(w, format, report.Compare(dossier, other), plain)
		})
		write("quickview "+format, func(w io.Writer) error { return report.WriteQuickview(w, format, quick, plain) })
		write("recommendations "+format, func(w io.Writer) error {
			return report.WriteAdvice(w, format, fill(inventory.Advice{}), plain)
		})
	}
	write("explain", func(w io.Writer) error { return report.WriteExplained(w, "text", fill(inventory.Explained{}), plain) })
	write("images", func(w io.Writer) error { return report.ImagesTable(w, fill([]inventory.TagRow{}), false) })
	write("status", func(w io.Writer) error { return report.StatusTable(w, fill(inventory.Status{}), false) })
	write("sbom list", func(w io.Writer) error { return sbom.Write(w, fill(inventory.SBOM{}), "list") })
	write("who-has", func(w io.Writer) error { return report.HoldersTable(w, one[inventory.Holding](), false) })
	write("watches", func(w io.Writer) error { return report.WatchesTable(w, fill([]inventory.Watch{}), false) })
	command("who-has head", func(a *app) error { a.say("%s", report.ReachLine(fill(inventory.Holders{}))); return nil })
	command("exception list", func(a *app) error { return a.exceptionTable(fill([]inventory.Exception{})) })
	command("audit", func(a *app) error { return a.auditTable(fill([]inventory.AuditEntry{})) })
	command("integration list", func(a *app) error { return a.integrationTable(fill([]inventory.Integration{})) })
	command("advisories status", func(a *app) error { return a.advisoryLines(fill(inventory.AdvisoryStatus{})) })
	command("token list", func(a *app) error { return a.tokenTable(fill([]inventory.Token{})) })
	command("user list", func(a *app) error { return a.userTable(fill([]inventory.Account{})) })
	command("user sessions", func(a *app) error { return a.sessionTable(fill([]inventory.Session{})) })
	command("advisories sync", func(a *app) error {
		if err := a.printFeeds(fill([]advisory.FeedResult{}), "table"); err == nil {
			t.Error("a feed that is in no known state is up to date")
		}
		return nil
	})
	command("integration test", func(a *app) error {
		result := fill(inventory.TestResult{})
		result.Repositories = append(result.Repositories, inventory.RepositoryKey{OK: true, Key: hostile(), Class: hostile()})
		a.exit(printTest(a.stdout, "table", result))
		return nil
	})
	return all
}

// What others named steers no terminal, moves no text, and adds no line, wherever it is shown.
func TestHostileTextIsInertWhereverItIsShown(t *testing.T) {
	t.Parallel()
	for name, text := range shown(t) {
		if !strings.Contains(text, "evil.example") && !strings.Contains(text, "evil&#46;example") {
			t.Errorf("%s does not show what it was given: %q", name, text)
		}
		for _, r := range text {
			if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029') {
				t.Errorf("%s lets %U through", name, r)
			}
		}
		for line := range strings.Lines(text) {
			if name == "cves html" {
				continue // a line break is a space there
			}
			if strings.HasPrefix(strings.TrimSpace(line), "ADDED LINE") || strings.HasPrefix(line, "# title") {
				t.Errorf("%s: a name became a line: %q", name, line)
			}
		}
	}
}

// In Markdown and HTML nothing of it is markup, in CSV nothing a formula.
func TestHostileTextIsNoMarkup(t *testing.T) {
	t.Parallel()
	all := shown(t)
	tags := regexp.MustCompile(`(?i)<(/?script|img)`)
	marks := regexp.MustCompile(`\]\(javascript|!\[|\*\*bold|(^|\W)@everyone`)
	if hit := tags.FindString(all["cves html"]); hit != "" {
		t.Errorf("HTML has %q", hit)
	}
	for _, name := range []string{"cves markdown", "compare markdown", "compare two markdown", "quickview markdown", "recommendations markdown"} {
		if hit := tags.FindString(all[name]) + marks.FindString(all[name]); hit != "" {
			t.Errorf("%s has %q", name, hit)
		}
		columns := 0
		for line := range strings.Lines(all[name]) {
			n := strings.Count(line, "|")
			if n == 0 {
				columns = 0
				continue
			}
			if columns == 0 {
				columns = n
			}
			if n != columns {
				t.Errorf("%s: a name became a cell: %q", name, line)
			}
		}
	}
	rows, err := csv.NewReader(strings.NewReader(all["cves csv"])).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d lines of CSV, want head, finding, not assessed: %v", len(rows), err)
	}
	for _, cell := range append(rows[1], rows[2]...) {
		if strings.IndexAny(strings.TrimSpace(cell), "=+-@") == 0 {
			t.Errorf("a cell is a formula: %q", cell)
		}
	}
}

// What a person or a server says reaches stderr inert, too.
func TestHostileTextOnStderr(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"cves", hostile()},
		{"sbom", "sbom:" + hostile()},
		{"cves", "127.0.0.1:1/" + hostile() + ":1", "--plain-http"},
		{"compare", "archive:" + hostile(), "oci-dir:" + hostile()},
		{"advisories", "import", hostile()},
		{hostile()},
		{"images", "--" + hostile()},
		{"images", "--state", hostile()},
		{"images", "--format", hostile()},
		{"who-has", hostile()},
		{"explain", hostile(), hostile()},
		{"integration", "pause", hostile()},
		{"exception", "remove", hostile()},
		{"integration", "add", hostile(), "--url", hostile()},
		{"--config", hostile(), "images"},
		{"--server", hostile(), "images"},
	} {
		var out, errs bytes.Buffer
		env := func(string) (string, bool) { return "", false }
		code := run(t.Context(), append(args, "--data", t.TempDir()), env, strings.NewReader(""), &out, &errs)
		if code == 0 && errs.Len() == 0 {
			t.Errorf("%.20q says nothing", args)
		}
		for _, r := range out.String() + errs.String() {
			if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Errorf("%.40q lets %U through: %q", args, r, errs.String())
				break
			}
		}
	}
}
