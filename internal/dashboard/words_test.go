package dashboard

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// FuzzReportFilter: whatever an address says, the filter read from it writes an address
// that reads as the same filter.
func FuzzReportFilter(f *testing.F) {
	for _, seed := range []string{"ref=a&severity=low,critical,low&layer=3,1,x&page=2", "layer=" + strings.Repeat("1,", 300), "text=%00&sort=since&origin=base&kev=1", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		first := readReportFilter(q)
		again := readReportFilter(first.query())
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%q:\n%s", raw, diff)
		}
		if len(first.Layers) > mostChosen {
			t.Errorf("%d layers", len(first.Layers))
		}
	})
}

func TestWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 16, 0, 0, time.UTC)
	for got, want := range map[string]string{
		number(0):                           "0",
		number(999):                         "999",
		number(12304):                       "12,304",
		number(int64(-1234567)):             "-1,234,567",
		size(999):                           "999 B",
		size(28_200_000):                    "28.2 MB",
		size(999_999):                       "1.0 MB",
		age(now, now.Add(-41*24*time.Hour)): "41 d",
		age(now, now.Add(-90*time.Second)):  "90 s",
		age(now, (*time.Time)(nil)):         "unknown",
		ago(now, time.Time{}):               "never",
		ago(now, now.Add(time.Hour)):        "just now",
		day(now):                            "22 Nov 2026 02:16",
		chance(.94):                         "94 %",
		chance(.011):                        "1.1 %",
		chance(.0004):                       "< 0.1 %",
		share(12287, 12304):                 "99.8 %",
		share(99999, 100000):                "99.9 %",
		share(5, 5):                         "100 %",
		share(0, 0):                         "unknown",
		webLink("javascript:alert(1)"):      "",
		webLink("https://x.example/a"):      "https://x.example/a",
		shortName("acme.example/key/a/b:1"): "a/b:1",
		shortName("debian:12-slim"):         "debian:12-slim",
		cell("=1+1"):                        "'=1+1",
		cell("plain"):                       "plain",
		flawLink("CVE-2026-1"):              "https://osv.dev/vulnerability/CVE-2026-1",
		flawLink("../../evil"):              "",
		fill(0, 9):                          "",
		fill(1, 1000):                       "f1",
		fill(999, 1000):                     "f9",
		fill(7, 7):                          "f10",
		some(1, "tag", "tags"):              "1 tag",
		bareAddress("https://github.com/acme/app"): "acme/app",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestSmallPartsAreSeen: three failures among thousands have a part of the bar.
func TestSmallPartsAreSeen(t *testing.T) {
	b := coverageBar(inventory.Tally{Analysed: 12287, Failed: 3, Unsupported: 6, Waiting: 8})
	end := 0.0
	for _, p := range b.Parts {
		x, err := strconv.ParseFloat(strings.TrimSuffix(p.X, "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		w, err := strconv.ParseFloat(strings.TrimSuffix(p.W, "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		if w < 1 || x < end {
			t.Errorf("%s: from %v, %v wide", p.Word, x, w)
		}
		end = x + w
	}
	if len(b.Parts) != 4 || end > 100 || end < 99 || b.Label != "12,287 analysed, 3 failed, 6 unsupported, 8 waiting" {
		t.Errorf("%d parts up to %v: %s", len(b.Parts), end, b.Label)
	}
}
