package dashboard_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// hostile is text that a registry or an image may send.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`

// sample is a believable fleet: several integrations, repositories in every state and
// one image that is known in detail.
func sample() *fleet {
	f := newFleet()
	f.advisories = inventory.AdvisoryStatus{Records: 301_000, Newest: ptr(now().Add(-14 * time.Minute)), AgeS: ptr(int64(840))}
	f.integrations = []inventory.Integration{
		{
			ID: 1, Name: "acme-main", Kind: "artifactory", URL: "https://acme.jfrog.io", Registry: "acme.jfrog.io", HasSecret: true, HookSecret: true,
			Repositories: []string{"docker-prod-local", "docker-local", "docker-remote"}, State: "connected", LastPoll: ptr(now().Add(-12 * time.Second)), LastReconcile: ptr(now().Add(-90 * time.Minute)),
			Keys: []inventory.RepositoryKey{{Key: "docker-prod-local", OK: true, Class: "local"}, {Key: "docker-local", OK: true, Class: "local"}, {Key: "docker-remote", OK: true, Class: "remote"}},
		},
		{
			ID: 2, Name: "berlin-dc", Kind: "artifactory", URL: "https://artifacts.ber.acme.example/artifactory", Registry: "artifacts.ber.acme.example", HasSecret: true, Username: "svc-tallyman",
			Repositories: []string{"team-edge-local", "docker-legacy"}, State: "degraded", Problem: "repository access failed for: docker-legacy",
			Remedy: "Give svc-tallyman Read on docker-legacy, then test again.", LastPoll: ptr(now().Add(-40 * time.Second)),
			Keys: []inventory.RepositoryKey{{Key: "team-edge-local", OK: true, Class: "local"}, {Key: "docker-legacy", Class: "local", Error: "403 Forbidden", Remedy: "Give svc-tallyman Read on docker-legacy."}},
		},
		{
			ID: 3, Name: "partner-mirror", Kind: "artifactory", URL: "https://partner.jfrog.io", State: "error", Problem: "authentication failed: invalid credentials or insufficient permissions",
			Remedy: "Replace the token.", HasSecret: true, LastPoll: ptr(now().Add(-6 * time.Hour)), Keys: []inventory.RepositoryKey{{Key: "docker", Error: "401 Unauthorized"}},
		},
		{ID: 4, Name: "sandbox", Kind: "artifactory", URL: "https://sandbox.acme.example/artifactory", State: "paused", HasSecret: true, LastPoll: ptr(now().Add(-96 * time.Hour))},
		{ID: 5, Name: "dublin-2024", Kind: "artifactory", URL: "https://dub.acme.example/artifactory", State: "disconnected", LastPoll: ptr(now().Add(-7000 * time.Hour))},
		{ID: 6, Name: "new-york", Kind: "artifactory", URL: "https://ny.acme.example/artifactory", State: "connected", HasSecret: true},
	}
	f.secrets[1] = inventory.Secrets{Password: "saved-token"}
	f.repositories()
	f.checkout()
	return f
}

type repo struct {
	integration, key, image, tag, state, problem, base string
	counts                                             [5]int
	fixable                                            [5]int
	hours                                              int
}

func (f *fleet) repositories() {
	for i, r := range []repo{
		{"berlin-dc", "team-edge-local", "gateway/authz", "0.22.0", "waiting", "", "", [5]int{}, [5]int{}, 0},
		{"acme-main", "docker-prod-local", "payments/ledger", "2.9.0", "analysed", "", "base/java-21", [5]int{1, 6, 19, 38, 0}, [5]int{1, 5, 9, 3, 0}, 10},
		{"acme-main", "docker-prod-local", "search/indexer", "7.0.4", "analysed", "", "base/python-3.12", [5]int{2, 21, 40, 29, 1}, [5]int{2, 19, 31, 9, 0}, 39},
		{"acme-main", "docker-prod-local", "search/query", "7.0.4", "analysed", "", "base/python-3.12", [5]int{0, 9, 22, 29, 1}, [5]int{0, 9, 15, 9, 0}, 40},
		{"acme-main", "docker-prod-local", "web/storefront", "2026.47.1", "analysed", "", "base/node-22", [5]int{0, 4, 12, 8, 0}, [5]int{0, 4, 12, 5, 0}, 41},
		{"acme-main", "docker-prod-local", "web/admin", "1.3.0", "analysed", "", "base/node-22", [5]int{0, 0, 3, 6, 0}, [5]int{0, 0, 3, 1, 0}, 50},
		{"acme-main", "docker-local", "base/java-21", "2026.11", "analysed", "", "debian:12-slim", [5]int{1, 5, 16, 41, 1}, [5]int{0, 2, 9, 3, 0}, 70},
		{"acme-main", "docker-local", "tools/netprobe", "0.4.1", "unsupported", "Distribution not supported: void linux", "", [5]int{}, [5]int{}, 72},
		{"acme-main", "docker-local", "data/spark-runner", "3.5.6-b2", "analysed", "", "", [5]int{4, 38, 96, 112, 6}, [5]int{3, 30, 51, 20, 0}, 96},
		{"acme-main", "docker-local", "data/gpu-train", "12.4", "failed", "Layer 7: digest does not match", "", [5]int{}, [5]int{}, 97},
		{"acme-main", "docker-remote", "library/postgres", "17.2", "analysed", "", "debian:12-slim", [5]int{0, 2, 9, 31, 0}, [5]int{0, 2, 4, 0, 0}, 120},
		{"acme-main", "docker-remote", "grafana/grafana", "12.1.0", "analysed", "", "alpine:3.22", [5]int{0, 1, 2, 1, 0}, [5]int{0, 1, 2, 1, 0}, 190},
		{"berlin-dc", "team-edge-local", "gateway/envoy", "1.35.3-acme4", "analysed", "", "distroless/cc", [5]int{0, 0, 0, 2, 0}, [5]int{}, 200},
		{"berlin-dc", "team-edge-local", hostile, "v1", "failed", "manifest says " + hostile, "", [5]int{}, [5]int{}, 201},
	} {
		row := inventory.TagRow{
			ID: int64(100 + i), Integration: r.integration, Registry: "acme.jfrog.io", RepositoryKey: r.key, Image: r.image, Tag: r.tag,
			Reference: "acme.jfrog.io/" + r.key + "/" + r.image + ":" + r.tag, Digest: digest(r.image), Platforms: []string{"linux/amd64"},
			Pushed: ptr(now().Add(-time.Duration(r.hours) * time.Hour)), FirstSeen: now().Add(-time.Duration(r.hours) * time.Hour), LastSeen: now(),
			State: r.state, Problem: r.problem, Base: r.base,
		}
		if r.state == "analysed" {
			c := r.counts
			row.Packages = 210
			row.Findings = &inventory.Counts{Critical: c[0], High: c[1], Medium: c[2], Low: c[3], Unspecified: c[4], FixableBy: r.fixable}
			for _, n := range r.fixable {
				row.Findings.Fixable += n
			}
		}
		f.tags = append(f.tags, row)
	}
}

// checkout is the image that is known in detail: an index of two platforms.
func (f *fleet) checkout() {
	const ref = "acme.jfrog.io/docker-prod-local/payments/checkout-api:"
	index, amd, arm := digest("checkout-index"), digest("checkout-amd64"), digest("checkout-arm64")
	created := now().Add(-40 * time.Minute)
	img := inventory.Image{
		Digest: amd, Kind: "image", Platform: "linux/amd64", State: "analysed", ChainID: "chain-9", Indexer: 1, Created: &created, Size: 256_800_000,
		Distro: inventory.Distro{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)"},
		Config: inventory.Config{
			User: "app", Env: []string{"PATH=<redacted>", "JAVA_HOME=<redacted>"}, Entrypoint: []string{"java", "-jar", "app.jar"}, Ports: []string{"8080/tcp"},
			Labels: map[string]string{"org.opencontainers.image.source": "https://github.com/acme/checkout", "evil": hostile, "link": "javascript:alert(1)"},
		},
		Origin:   inventory.Origin{Source: "https://github.com/acme/checkout", Revision: "3f9c2ab81d0e4f5566778899aabbccddeeff0011", Builder: "buildkit", Created: &created, Evidence: "provenance", Dockerfile: "FROM base/java-21\nRUN apt-get update"},
		Problems: []inventory.LayerProblem{{Layer: 8, Path: "static/dist.tar.gz", Problem: "archive nested too deep, not opened"}},
	}
	for i, l := range []struct {
		by   string
		size int64
	}{
		{"# debian.sh --arch 'amd64' out/ 'bookworm' '@1761264000'", 28_200_000},
		{"RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl libfreetype6 tzdata", 11_400_000},
		{"COPY --from=eclipse-temurin:21-jre /opt/java/openjdk /opt/java/openjdk", 142_300_000},
		{"RUN groupadd -r app && useradd -r -g app app", 1100},
		{"RUN apt-get update && apt-get install -y libxml2 libwebp7 fonts-dejavu-core", 6_800_000},
		{"COPY build/libs/dependencies/ ./", 61_300_000},
		{"COPY build/libs/spring-boot-loader/ ./", 300_000},
		{"COPY build/libs/application/ ./", 2_100_000},
		{"COPY --chown=app ui/dist.tar.gz ./static/", 4_400_000},
	} {
		img.Layers = append(img.Layers, inventory.ImageLayer{Index: i, DiffID: digest(l.by), Digest: digest("c" + l.by), Size: l.size, CreatedBy: l.by})
	}
	f.images[amd] = img
	f.images[index] = inventory.Image{Digest: index, Kind: "index", State: "analysed", Members: []inventory.IndexMember{
		{Digest: amd, Kind: "image", Platform: "linux/amd64"}, {Digest: arm, Kind: "image", Platform: "linux/arm64"}, {Digest: digest("att"), Kind: "attestation"},
	}}
	f.bases["chain-9"] = []inventory.Base{
		{Reference: "acme.jfrog.io/docker-local/base/java-21:2026.11", Digest: digest("base/java-21"), Layers: 4},
		{Reference: "debian:12-slim", Digest: digest("debian"), Layers: 1},
	}
	f.findings[amd], f.placed["chain-9"] = checkoutFindings()
	counts := inventory.Count(f.findings[amd])
	for i, tag := range []string{"4.18.2", "4.18.1", "4.18.0", "latest"} {
		at := now().Add(-time.Duration(i*190) * time.Hour)
		row := inventory.TagRow{
			ID: int64(i + 1), Integration: "acme-main", Registry: "acme.jfrog.io", RepositoryKey: "docker-prod-local", Image: "payments/checkout-api", Tag: tag,
			Reference: ref + tag, Digest: index, Platforms: []string{"linux/amd64", "linux/arm64"}, Pushed: &at, FirstSeen: at, LastSeen: now(), State: "analysed",
			Packages: len(f.placed["chain-9"]), Findings: &counts, Base: "base/java-21", Source: img.Origin.Source, Revision: img.Origin.Revision,
		}
		if tag == "4.18.0" {
			row.Gone = ptr(now().Add(-time.Hour))
		}
		f.tags = append(f.tags, row)
		f.moves[row.ID] = []inventory.TagMove{{Digest: index, From: at}}
	}
	f.moves[4] = []inventory.TagMove{{Digest: digest("old"), From: now().Add(-900 * time.Hour), To: ptr(now().Add(-300 * time.Hour))}, {Digest: index, From: now().Add(-300 * time.Hour)}}
}

type flaw struct {
	id, severity         string
	score                float64
	kev                  bool
	epss                 float64
	name, version, fixed string
	layer, days          int
}

func checkoutFindings() ([]inventory.Finding, []inventory.Placed) {
	flaws := []flaw{
		{"CVE-2025-24813", "critical", 9.8, true, .94, "tomcat-embed-core", "10.1.34", "10.1.35", 5, 41},
		{"CVE-2023-45853", "critical", 9.8, false, .011, "zlib1g", "1:1.2.13.dfsg-1", "", 0, 412},
		{"CVE-2025-49794", "critical", 9.1, false, .004, "libxml2", "2.9.14+dfsg-1.3~deb12u2", "2.9.14+dfsg-1.3~deb12u4", 4, 0},
		{"CVE-2025-48734", "high", 8.8, false, .003, "commons-beanutils", "1.9.4", "1.11.0", 5, 41},
		{"CVE-2025-52999", "high", 8.7, false, .001, "jackson-core", "2.14.3", "2.15.0", 5, 41},
		{"CVE-2025-27363", "high", 8.1, true, .76, "libfreetype6", "2.12.1+dfsg-5+deb12u3", "2.12.1+dfsg-5+deb12u4", 1, 41},
		{"CVE-2025-4802", "high", 7.8, false, .001, "libc6", "2.36-9+deb12u10", "2.36-9+deb12u11", 0, 41},
		{"CVE-2025-4802", "high", 7.8, false, .001, "libc-bin", "2.36-9+deb12u10", "2.36-9+deb12u11", 0, 41},
		{"CVE-2024-38819", "high", 7.5, false, .71, "spring-webmvc", "6.1.12", "6.1.14", 5, 96},
		{"CVE-2024-2379", "high", 0, false, .002, "libcurl4", "7.88.1-10+deb12u12", "", 1, 198},
		{"GHSA-m425-mq94-257g", "high", 7.5, false, .001, "org.springframework.cloud:spring-cloud-starter-gateway", "4.1.94.Final", "4.1.100.Final", 5, 41},
		{"CVE-2023-45288", "high", 7.5, false, .001, "github.com/prometheus/client_golang/prometheus", "0.0.0-20230410155749-daa745c078e1", "0.23.0", 5, 41},
		{"CVE-2024-12798", "medium", 6.6, false, .001, "logback-core", "1.5.8", "1.5.13", 5, 41},
		{"CVE-2025-4598", "medium", 6.5, false, .001, "libsystemd0", "252.36-1~deb12u1", "252.38-1~deb12u1", 0, 41},
		{"CVE-2024-7264", "medium", 5.3, false, .005, "libcurl4", "7.88.1-10+deb12u12", "", 1, 198},
		{"TEMP-0000000-ABCDEF", "unspecified", 0, false, 0, "libc6", "2.36-9+deb12u10", "", 0, 300},
	}
	for i := range 60 {
		flaws = append(flaws, flaw{fmt.Sprintf("CVE-2022-%05d", 10000+i), "low", 3.1, false, .0004, fmt.Sprintf("libsmall%d", i%20), "1.0-" + fmt.Sprint(i%20), strings.Repeat("1.1", i%2), i % 4 % 2, 500 + i})
	}
	var findings []inventory.Finding
	placed := map[string]inventory.Placed{}
	for _, x := range flaws {
		eco, kind := "Maven", "maven"
		if x.layer < 5 {
			eco, kind = "Debian:12", "deb/debian"
		}
		p := inventory.Package{PURL: "pkg:" + kind + "/" + x.name + "@" + x.version, Name: x.name, Version: x.version, Ecosystem: eco, Licenses: []string{}}
		placed[p.PURL] = inventory.Placed{Package: p, Layer: x.layer, Locations: []string{"var/lib/dpkg/status"}}
		origin := "own"
		if x.layer < 4 {
			origin = "base"
		}
		one := inventory.Finding{
			ID: x.id, Aliases: []string{}, PURL: p.PURL, Package: x.name, Version: x.version, FixedVersions: []string{}, Severity: x.severity, SeveritySource: "Debian",
			KEV: x.kev, Layer: x.layer, Origin: origin, FirstSeen: ptr(now().Add(-time.Duration(x.days) * 24 * time.Hour)), Summary: "Something that an attacker could use " + hostile,
			Advisory: inventory.AdvisoryRef{ID: "DSA-1", Modified: now().Add(-99 * time.Hour)}, Why: inventory.Why{Range: "<" + x.fixed, Comparator: "Debian"}, Locations: []string{"var/lib/dpkg/status"},
		}
		if x.score > 0 {
			one.CVSS = &inventory.CVSS{Vector: "CVSS:3.1/AV:N/AC:L", Score: x.score}
		}
		if x.epss > 0 {
			one.EPSS = &inventory.EPSS{Score: x.epss}
		}
		if x.fixed != "" {
			one.FixedVersions = []string{x.fixed}
		}
		findings = append(findings, one)
	}
	var list []inventory.Placed
	for _, p := range placed {
		list = append(list, p)
	}
	for i := range 150 {
		list = append(list, inventory.Placed{Package: inventory.Package{PURL: fmt.Sprintf("pkg:maven/clean-%d@1", i), Name: fmt.Sprintf("clean-%d", i), Version: "1", Ecosystem: "Maven"}, Layer: 5})
	}
	list = append(list, inventory.Placed{Package: inventory.Package{PURL: "pkg:generic/blob@1", Name: "blob", Version: "1"}, Layer: 6})
	return findings, list
}
