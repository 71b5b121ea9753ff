package dashboard_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TagCounts is what the real ledger counts in one question.
func (f *fleet) TagCounts(ctx context.Context, q inventory.TagFilter) (c inventory.Counts, err error) {
	count := func(severity string, fixable bool) int {
		one := q
		one.Severity, one.Fixable, one.After, one.Limit = severity, fixable, "", 1
		page, _ := f.Tags(ctx, one)
		return page.Total
	}
	for i, to := range []*int{&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unspecified} {
		*to, c.FixableBy[i] = count(inventory.Severities[i], q.Fixable), count(inventory.Severities[i], true)
		c.Fixable += c.FixableBy[i]
	}
	return c, nil
}

func (f *fleet) Places(_ context.Context, d string, _ int) ([]inventory.Place, error) {
	var out []inventory.Place
	for _, t := range f.tags {
		if t.Digest == d {
			out = append(out, inventory.Place{Integration: t.Integration, Repository: inventory.Repository{Key: t.RepositoryKey, Image: t.Image}, Tag: t.Tag, Reference: t.Reference, From: t.FirstSeen, To: t.Gone})
		}
	}
	return out, nil
}

func (f *fleet) RetryImage(_ context.Context, d string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.tags {
		if f.tags[i].Digest == d && f.tags[i].State == inventory.StateFailed {
			f.tags[i].State, f.tags[i].Problem = inventory.StateWaiting, ""
			return 1, nil
		}
	}
	return 0, inventory.Errorf(inventory.ErrConflict, "nothing of image %s has failed", d)
}

// flaws are those of the image that is known in detail, each as far as it reaches there.
func (f *fleet) flaws() []inventory.Flaw {
	out := []inventory.Flaw{}
	for _, one := range f.findings[digest("checkout-amd64")] {
		i := slices.IndexFunc(out, func(x inventory.Flaw) bool { return x.ID == one.ID })
		if i >= 0 {
			out[i].Packages = append(out[i].Packages, one.Package)
			continue
		}
		out = append(out, inventory.Flaw{
			ID: one.ID, Severity: one.Severity, SeveritySource: one.SeveritySource, CVSS: one.CVSS, EPSS: one.EPSS, KEV: one.KEV, KEVDue: one.KEVDue,
			Fixable: len(one.FixedVersions) > 0, Packages: []string{one.Package}, Images: 2, Repositories: 1, FirstSeen: one.FirstSeen, Summary: one.Summary,
		})
	}
	return out
}

func (f *fleet) FleetFlaws(_ context.Context, q inventory.FlawFilter) (page inventory.FlawPage, err error) {
	for _, one := range f.flaws() {
		words := strings.ToLower(one.ID + " " + strings.Join(one.Packages, " "))
		if q.Fixable && !one.Fixable || q.KEV && !one.KEV || !strings.Contains(words, strings.ToLower(q.Text)) {
			continue
		}
		*[]*int{&page.Severity.Critical, &page.Severity.High, &page.Severity.Medium, &page.Severity.Low, &page.Severity.Unspecified}[inventory.SeverityRank(one.Severity)]++
		if q.Severity == "" || q.Severity == one.Severity {
			page.Rows = append(page.Rows, one)
		}
	}
	page.Total = len(page.Rows)
	if q.Limit > 0 && len(page.Rows) > q.Limit {
		page.Rows, page.Next = page.Rows[:q.Limit], "next"
	}
	return page, nil
}

func (f *fleet) Flaw(_ context.Context, id string) (inventory.FlawDetail, error) {
	for _, one := range f.flaws() {
		if one.ID != id {
			continue
		}
		d := inventory.FlawDetail{
			Flaw: one, Aliases: []string{"GHSA-83qj-6fr2-vhqg", hostile}, Published: ptr(now().Add(-90 * 24 * time.Hour)), Modified: ptr(now().Add(-time.Hour)),
			Details: strings.Repeat("A request that names a file in pieces can write where it should not. "+hostile+"\n\n", 60), Links: []string{"https://nvd.nist.gov/vuln/detail/" + id, "javascript:alert(1)"},
		}
		for _, x := range f.findings[digest("checkout-amd64")] {
			if x.ID == id {
				d.Affected = append(d.Affected, inventory.FlawPackage{
					Package: inventory.Package{PURL: x.PURL, Name: x.Package, Version: x.Version, Ecosystem: "Maven"}, Severity: x.Severity, SeveritySource: x.SeveritySource,
					CVSS: x.CVSS, Fixed: x.FixedVersions, Advisory: x.Advisory, Why: x.Why, FirstSeen: x.FirstSeen, Images: 2,
				})
			}
		}
		return d, nil
	}
	return inventory.FlawDetail{}, inventory.Errorf(inventory.ErrNotFound, "no image has %s", id)
}

func (f *fleet) FlawPlaces(context.Context, string, string, int) (inventory.FlawPlaces, error) {
	row := inventory.FlawRepository{Integration: "acme-main", Repository: inventory.Repository{Key: "docker-prod-local", Image: "payments/checkout-api"}}
	for i := range 9 {
		row.Tags = append(row.Tags, inventory.FlawTag{Name: fmt.Sprintf("4.18.%d", 9-i), Reference: checkoutRef, Layer: i, Origin: []string{"own", "base"}[i%2], Pushed: ptr(now()), Since: now()})
	}
	return inventory.FlawPlaces{Rows: []inventory.FlawRepository{row, {Integration: "berlin-dc", Repository: inventory.Repository{Key: "k", Image: hostile}}}, Total: 40, Next: "next"}, nil
}

func (f *fleet) FleetPackages(_ context.Context, q inventory.PackageFilter) (page inventory.PackagePage, err error) {
	for _, p := range f.placed["chain-9"] {
		if strings.Contains(p.Name, q.Text) && strings.HasPrefix(p.Ecosystem, q.Ecosystem) {
			page.Rows = append(page.Rows, inventory.PackageRow{
				Name: p.Name, Ecosystem: p.Ecosystem, Licenses: []string{"Apache-2.0", hostile}, Images: 3,
				Versions: []inventory.PackageVersion{{Version: p.Version, PURL: p.PURL, Images: 3}, {Version: "0.1", PURL: p.PURL}},
			})
		}
	}
	page.Total = len(page.Rows)
	if q.Limit > 0 && len(page.Rows) > q.Limit {
		page.Rows, page.Next = page.Rows[:q.Limit], map[bool]string{true: "next"}[q.After == ""]
	}
	return page, nil
}

func (f *fleet) PackageEcosystems(context.Context) ([]string, error) {
	return []string{"Debian", "Maven"}, nil
}

func (f *fleet) BaseImages(context.Context) ([]inventory.BaseRow, error) {
	if len(f.tags) == 0 {
		return nil, nil
	}
	at := ptr(now().Add(-70 * time.Hour))
	return []inventory.BaseRow{
		{Integration: "acme-main", Repository: inventory.Repository{Key: "docker-local", Image: "base/java-21"}, Tag: "2026.11", Reference: "acme.jfrog.io/docker-local/base/java-21:2026.11", Pushed: at, Children: 38, Stale: 12},
		{Integration: "acme-main", Repository: inventory.Repository{Key: "docker-local", Image: "base/node-22"}, Tag: "latest", Reference: "acme.jfrog.io/docker-local/base/node-22:latest", Pushed: at, Children: 1},
	}, nil
}

// WhoHas answers for one package, and refuses what it does not understand.
func (f *fleet) WhoHas(_ context.Context, ask inventory.WhoHas, _ int) (inventory.Holders, error) {
	if strings.HasPrefix(ask.Query, "openssl <<") {
		return inventory.Holders{}, inventory.Errorf(inventory.ErrInvalid, "%q is no range", ask.Query).WithRemedy("write openssl <3.0.12")
	}
	out := inventory.Holders{Query: ask.Query, Reach: inventory.Reach{Packages: 1, Images: 1, Tags: 2}, Note: "findings by what is known today"}
	for _, tag := range []string{"4.18.2", "4.18.1"} {
		out.Holders = append(out.Holders, inventory.Holding{
			Reference: "acme.jfrog.io/docker-prod-local/payments/checkout-api:" + tag, Digest: digest("checkout-index"), Platform: "linux/amd64",
			PURL: "pkg:deb/debian/openssl@3.0.9", Version: "3.0.9", Layer: 1, Location: hostile, State: inventory.HoldingPresent, Since: now().Add(-time.Hour),
		})
	}
	return out, nil
}
