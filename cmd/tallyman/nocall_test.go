package main

import (
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// What the ledger holds is answered from it, while the registry is there to be asked; an
// image that only the registry has is read from it on the spot.
func TestQuestionsAboutTheLedgerCallNoRegistry(t *testing.T) {
	srv, _ := registryOf(t)
	p := newProgram(t)
	p.env["TALLYMAN_ARTIFACTORY_API_USER"], p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"
	push(t, srv, "app", "1")
	p.run("", "watch", "--registry", spec(srv), "--once", "--all-images").want(t, 0)
	rows := decoded[[]inventory.TagRow](t, p.run("", "images", "--format", "json"))
	if len(rows) != 1 {
		t.Fatalf("%d tags, want one", len(rows))
	}
	ref := rows[0].Reference
	requests := func() (n int) {
		for _, class := range srv.Counts() {
			n += int(class.Requests)
		}
		return n
	}
	srv.ResetCounts()
	for _, args := range [][]string{{"cves", ref}, {"sbom", ref}, {"quickview", ref}, {"compare", ref, ref}, {"explain", ref, "CVE-2021-44228"}, {"recommendations", ref}} {
		p.run("", args...).want(t, 0)
		if n := requests(); n != 0 {
			t.Errorf("%s made %d requests to the registry", args[0], n)
			srv.ResetCounts()
		}
	}
	push(t, srv, "later", "1")
	later := srv.Host() + "/docker-local/later:1"
	for _, args := range [][]string{{"cves", later}, {"sbom", later}, {"quickview", later}, {"compare", ref, later}} {
		srv.ResetCounts()
		p.run("hunter2", append(args, "--plain-http", "--username", "reader", "--secret-stdin")...).want(t, 0)
		if requests() == 0 {
			t.Errorf("%s answered about an image that it cannot know", args[0])
		}
	}
	if rows := decoded[[]inventory.TagRow](t, p.run("", "images", "--format", "json")); len(rows) != 1 {
		t.Errorf("the ledger has %d tags: what was asked on the spot was kept", len(rows))
	}
}
