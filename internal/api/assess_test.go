package api_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func (l *ledger) Scores(context.Context, []string) (map[string]inventory.Score, error) {
	return map[string]inventory.Score{"GHSA-1": {KEV: true, EPSS: &inventory.EPSS{Score: 0.5}}}, l.broken
}

func (l *ledger) BasesAmong(_ context.Context, chains []string) ([]inventory.Base, error) {
	if len(chains) == 0 {
		return nil, nil
	}
	return []inventory.Base{{Reference: "acme.example/docker-local/base:1", Layers: 1}}, nil
}

// Siblings are a base of March with one critical finding, and tags around it.
func (l *ledger) Siblings(context.Context, string) ([]inventory.BaseImage, error) {
	at := func(month time.Month) *time.Time { return new(time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)) }
	return []inventory.BaseImage{
		{Tag: "12.0-slim", Same: true, Created: at(3), Size: 100, Findings: inventory.Counts{Critical: 1, High: 4}, Reference: "b:12.0-slim", Digest: digest("0")},
		{Tag: "bookworm-slim", Same: true, Created: at(6), Size: 90, Findings: inventory.Counts{High: 1}, Reference: "b:bookworm-slim", Digest: digest("1")},
		{Tag: "12.5-slim", Created: at(4), Size: 120, Findings: inventory.Counts{High: 2}, Reference: "b:12.5-slim", Digest: digest("2")},
		{Tag: "12-slim", Created: at(4), Size: 120, Findings: inventory.Counts{High: 2}, Reference: "b:12-slim", Digest: digest("2")},
		{Tag: "11-slim", Created: at(1), Reference: "b:11-slim", Digest: digest("3")},
		{Tag: "12.9", Created: at(9), Reference: "b:12.9", Digest: digest("4")},
	}, l.broken
}

func TestAssess(t *testing.T) {
	srv := serve(t, newLedger())
	bom := inventory.SBOM{
		Reference: "elsewhere.example/team/app:1", Layers: []inventory.ImageLayer{{ChainID: digest("a")}, {ChainID: digest("b")}},
		Packages: []inventory.Placed{
			{Package: inventory.Package{PURL: "pkg:npm/a@1?x=%20y", Name: "a", Ecosystem: "npm"}, Layer: 1, LayerDiffID: digest("d"), Locations: []string{"one"}},
			{Package: inventory.Package{PURL: "pkg:npm/a@1?x=%20y", Name: "a", Ecosystem: "npm"}, Layer: 0, LayerDiffID: digest("c"), Locations: []string{"two"}},
			{Package: inventory.Package{PURL: "pkg:npm/a@2", Name: "a", Ecosystem: "npm"}, OwnedBy: "pkg:deb/a@1"},
			{Package: inventory.Package{PURL: "pkg:generic/b@1", Name: "b"}},
		},
	}
	body, err := json.Marshal(bom)
	if err != nil {
		t.Fatal(err)
	}
	status, _, text := call(t, srv, reader, "POST", "/api/v1/assess", string(body))
	var got inventory.Assessment
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 {
		t.Fatal(status, err, text)
	}
	rep := got.Report
	if len(rep.Findings) != 2 || rep.Summary.High != 2 || len(rep.Unknown) != 1 || len(got.Base) != 1 || rep.Reference != bom.Reference {
		t.Fatalf("%+v", got)
	}
	f := rep.Findings[1] // GHSA-1 stands under GHSA-2
	if f.ID != "GHSA-1" || f.PURL != "pkg:npm/a@1?x=%20y" || f.Layer != 0 || f.Origin != "base" || len(f.Locations) != 2 || !f.KEV || f.EPSS == nil {
		t.Errorf("%+v", f)
	}
	for _, bad := range []string{"", "[]", `{"packages":7}`} {
		if status, _, text := call(t, srv, reader, "POST", "/api/v1/assess", bad, "Content-Type", "application/json"); status != 400 {
			t.Errorf("%q: %d %s", bad, status, text)
		}
	}
}

func TestRecommendations(t *testing.T) {
	srv := serve(t, newLedger())
	for _, q := range []string{"base=" + digest("0"), "ref=" + url.QueryEscape("acme.example/docker-local/team/app:1.0")} {
		status, _, text := call(t, srv, reader, "GET", "/api/v1/recommendations?"+q, "")
		var got inventory.Advice
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 {
			t.Fatal(status, err, text)
		}
		if strings.HasPrefix(q, "ref") {
			if got.Base != nil { // the base that the ledger of these tests names has no digest
				t.Errorf("%+v", got)
			}
			continue
		}
		if got.Refresh == nil || got.Refresh.Reference != "b:bookworm-slim" || got.Refresh.Delta.High != -3 || *got.Refresh.SizeDelta != -10 || *got.Refresh.AgeDays < 0 {
			t.Errorf("refresh %+v", got.Refresh)
		}
		if len(got.Updates) != 1 || got.Updates[0].Reference != "b:12.5-slim" || got.Updates[0].Delta.Critical != -1 {
			t.Errorf("updates %+v", got.Updates)
		}
	}
	if status, _, _ := call(t, srv, reader, "GET", "/api/v1/recommendations?base=latest", ""); status != 400 {
		t.Errorf("base=latest: %d", status)
	}
}
