package demo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// analysed indexes every image of the fleet as the program would, by reference.
func analysed(t *testing.T) map[string]index.Result {
	t.Helper()
	f := shared(t)
	host, _ := push(t, f)
	client := &http.Transport{}
	t.Cleanup(client.CloseIdleConnections)
	results, known := map[string]index.Result{}, map[string]index.Result{}
	for _, tag := range tags(t, f) {
		ref := fmt.Sprintf("%s/%s:%s", tag.Key, tag.Image, tag.Tag)
		result, ok := known[tag.Digest]
		if !ok {
			src, err := oci.RemoteFromReference(t.Context(), host+"/"+ref, oci.ReferenceOptions{Transport: client, PlainHTTP: true, Username: "a", Secret: "b"})
			if err != nil {
				t.Fatal(err)
			}
			if result, err = index.Local(t.Context(), src, tag.Tag, "", index.Options{TempDir: t.TempDir()}); err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			known[tag.Digest] = result
		}
		results[ref] = result
	}
	return results
}

func packageNames(r index.Result) []string {
	var names []string
	for _, p := range r.Packages {
		names = append(names, p.Ecosystem+" "+p.Name)
	}
	return names
}

// TestFleetAnalysed indexes the images once for all that is to be said of them.
func TestFleetAnalysed(t *testing.T) {
	t.Parallel()
	results := analysed(t)
	t.Run("without problems", func(t *testing.T) { checkContents(t, results) })
	t.Run("as the story says", func(t *testing.T) { checkStory(t, results) })
	t.Run("every advisory hits", func(t *testing.T) { checkFindings(t, results) })
}

func checkContents(t *testing.T, results map[string]index.Result) {
	for ref, r := range results {
		if len(r.Image.Problems) > 0 {
			t.Errorf("%s: %+v", ref, r.Image.Problems)
		}
		if len(r.Packages) < 14 || r.Image.Distro.ID == "" {
			t.Errorf("%s has %d packages on %q", ref, len(r.Packages), r.Image.Distro.ID)
		}
		for _, p := range r.Packages {
			if p.Ecosystem == "" || p.Version == "" || p.Name == "" {
				t.Errorf("%s: %+v says too little", ref, p.Package)
			}
		}
		recorded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(recorded, []byte(demo.FakeSecret)) {
			t.Errorf("%s: a secret is recorded", ref)
		}
	}
	for ref, want := range map[string]string{
		"docker-base-local/debian:12.0-slim":                 "Debian:12 openssl",
		"docker-base-local/alpine:3.18.4":                    "Alpine:v3.18 libssl3",
		"docker-base-local/node:20.17-bookworm-slim":         "npm npm",
		"docker-dev-local/shop/storefront:latest":            "npm express",
		"docker-dev-local/shop/catalog-api:2.3.0":            "PyPI Flask",
		"docker-dev-local/shop/payments:3.1.0":               "Maven org.springframework:spring-beans",
		"docker-dev-local/shop/backoffice:5.0.0":             "RubyGems activesupport",
		"docker-prod-local/platform/gateway:1.9.0":           "Go stdlib",
		"team-edge-oci/edge/collector:0.6.0":                 "Go github.com/jackc/pgx/v5",
		"docker-prod-local/shop/storefront:1.14.0-build.310": "Debian:12 libc6",
	} {
		if !slices.Contains(packageNames(results[ref]), want) {
			t.Errorf("%s lacks %s: %q", ref, want, packageNames(results[ref]))
		}
	}
}

// checkStory holds the builds to what the demo says of them.
func checkStory(t *testing.T, results map[string]index.Result) {
	const shop = "docker-dev-local/shop/storefront:1.14.0-build."
	if !slices.Contains(packageNames(results[shop+"308"]), "npm ip") {
		t.Error("build 308 lacks ip, which build 309 removes")
	}
	application := func(p inventory.Placed) bool {
		return p.Name == "ip" && p.Locations[0] == "app/node_modules/ip/package.json"
	}
	if slices.ContainsFunc(results[shop+"309"].Packages, application) {
		t.Error("build 309 removed ip, and it is still there")
	}
	layer := func(ref, name string) int {
		for _, p := range results[ref].Packages {
			if p.Name == name {
				return p.Layer
			}
		}
		return -1
	}
	for name, want := range map[string]int{"bash": 0, "libssl3": 2, "express": 3} {
		if got := layer(shop+"305", name); got != want {
			t.Errorf("build 305 has %s from layer %d, want %d", name, got, want)
		}
	}
	origin := results["docker-prod-local/platform/gateway:1.9.0"].Image
	if origin.Origin.Source != "https://git.example.com/platform/gateway" || len(origin.Attached) == 0 {
		t.Errorf("the gateway's origin is %+v with %d attestations", origin.Origin, len(origin.Attached))
	}
}

// checkFindings holds the advisories and the images together: each advisory
// finds a package, and together they show every severity.
func checkFindings(t *testing.T, results map[string]index.Result) {
	list := records(t)
	byKey := map[inventory.AffectedKey][]inventory.Advisory{}
	for _, a := range list {
		for _, key := range match.AdvisoryKeys(a) {
			byKey[key] = append(byKey[key], a)
		}
	}
	world := map[string]inventory.Package{}
	for _, r := range results {
		for _, p := range r.Packages {
			world[p.PURL] = p.Package
		}
	}
	severities, fixable, unfixable := map[string]int{}, 0, 0
	for _, a := range list {
		hit := false
		for _, p := range world {
			hit = hit || len(match.Verdicts(p, []inventory.Advisory{a})) > 0
		}
		if !hit {
			t.Errorf("%s concerns no package of the demo", a.ID)
		}
	}
	var packages []inventory.Package
	for _, p := range world {
		packages = append(packages, p)
	}
	_, verdicts := match.All(packages, byKey)
	for _, v := range verdicts {
		severities[v.Severity]++
		if len(v.Fixed) > 0 {
			fixable++
		} else {
			unfixable++
		}
	}
	for _, s := range inventory.Severities {
		if severities[s] == 0 {
			t.Errorf("no finding is %s: %v", s, severities)
		}
	}
	if fixable == 0 || unfixable == 0 {
		t.Errorf("%d findings have a fix, %d have none", fixable, unfixable)
	}
	t.Logf("%d packages, %d findings: %v, %d without a fix", len(packages), len(verdicts), severities, unfixable)
}
