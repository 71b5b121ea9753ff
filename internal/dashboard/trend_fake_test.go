package dashboard_test

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Trend is ninety days: an advisory update after a month, a rebuild after two.
func (f *fleet) Trend(_ context.Context, since time.Time) ([]inventory.TrendPoint, error) {
	if len(f.integrations) == 0 {
		return []inventory.TrendPoint{{At: now()}}, nil
	}
	var out []inventory.TrendPoint
	for i := range 91 {
		p := inventory.TrendPoint{At: now().Add(-time.Duration(90-i) * 24 * time.Hour), KEV: 4, Tags: 18, Analysed: 12}
		p.Counts = inventory.Counts{Critical: 24 + i/7, High: 330 + i, Medium: 1197 + i%9, Low: 2204, Unspecified: 96}
		if i >= 30 {
			p.Critical, p.High = p.Critical+9, p.High+120
		}
		if i >= 60 {
			p.High -= 90
		}
		p.Counts.FixableBy = [5]int{p.Critical / 2, p.High / 2, 600 + i, 640, 0}
		for s, n := range p.Counts.FixableBy {
			p.FixableBy[s] = n
			p.Fixable += n
		}
		switch i {
		case 30:
			p.TrendNews = inventory.TrendNews{Appeared: 129, Advisories: []string{"osv/Debian", hostile}}
		case 60:
			p.TrendNews = inventory.TrendNews{Withdrawn: 90, Advisories: []string{"a", "b", "c", "d"}}
		}
		if !p.At.Before(since) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (f *fleet) Feeds(context.Context) ([]inventory.Feed, error) {
	if len(f.integrations) == 0 {
		return nil, nil
	}
	return []inventory.Feed{
		{Name: "epss", Synced: now().Add(-80 * time.Hour)},
		{Name: "osv/Debian", Synced: now().Add(-14 * time.Minute)},
		{Name: "osv/npm", Status: inventory.FeedFailed, Problem: "download " + hostile + ": connection refused", Remedy: "check the network"},
		{Name: "osv/Photon OS", Status: inventory.FeedAbsent, Problem: "HTTP 404"},
	}, nil
}

func (f *fleet) Happened(context.Context, int) ([]inventory.FleetEvent, error) {
	at := now().Add(-time.Hour)
	return []inventory.FleetEvent{
		{Kind: "became_fixable", At: at, Flaw: "CVE-2025-49794", Severity: "critical", PURL: "pkg:deb/debian/libxml2@2"},
		{Kind: "became_fixable", At: at, Flaw: "CVE-2025-49794", Severity: "critical", PURL: "pkg:deb/debian/libxml2-dev@2"},
		{Kind: "severity_changed", At: at, Flaw: hostile, Severity: "high", Was: "low"},
	}, nil
}

func (f *fleet) HappenedTo(_ context.Context, digests []string, _ []inventory.Finding, _ int) ([]inventory.FleetEvent, error) {
	return []inventory.FleetEvent{
		{Kind: "finding_appeared", At: now().Add(-time.Hour), Flaw: "CVE-2025-49794", Severity: "critical"},
		{Kind: "image_indexed", At: now().Add(-2 * time.Hour), Digest: digests[0]},
	}, nil
}

func (f *fleet) BaseChildren(_ context.Context, _ string, _ inventory.Repository, tag string, _ int) (inventory.BaseChildren, error) {
	if tag == "nothing" {
		return inventory.BaseChildren{}, inventory.Errorf(inventory.ErrNotFound, "there is no tag %s", tag)
	}
	child := inventory.BaseChild{
		Integration: "acme-main", Repository: inventory.Repository{Key: "docker-prod-local", Image: "payments/ledger"}, Tag: "2.9.0",
		Reference: "acme.jfrog.io/docker-prod-local/payments/ledger:2.9.0", Pushed: ptr(now().Add(-70 * time.Hour)),
	}
	old := child
	old.Image, old.Stale = hostile, true
	return inventory.BaseChildren{Rows: []inventory.BaseChild{old, child}, Children: 1, Stale: 1}, nil
}
