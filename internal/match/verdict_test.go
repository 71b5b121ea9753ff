package match_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
)

var then = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// pkg makes a package of "ecosystem|name|version" or "ecosystem|name|version|source|source version".
func pkg(spec string) inventory.Package {
	part := append(strings.Split(spec, "|"), "", "")
	return inventory.Package{
		PURL: "pkg:test/" + part[1] + "@" + part[2], Ecosystem: part[0], Name: part[1], Version: part[2], SourceName: part[3], SourceVersion: part[4],
	}
}

// entry makes what an advisory says of "ecosystem|name": events such as ">=1", "<2",
// "<=3", "limit 4", or "=5" for a listed version.
func entry(of string, events ...string) inventory.Affected {
	ecosystem, name, _ := strings.Cut(of, "|")
	a := inventory.Affected{Ecosystem: ecosystem, Name: name}
	var list []inventory.Event
	for _, e := range events {
		switch {
		case strings.HasPrefix(e, ">="):
			list = append(list, inventory.Event{Introduced: e[2:]})
		case strings.HasPrefix(e, "<="):
			list = append(list, inventory.Event{LastAffected: e[2:]})
		case strings.HasPrefix(e, "<"):
			list = append(list, inventory.Event{Fixed: e[1:]})
		case strings.HasPrefix(e, "limit "):
			list = append(list, inventory.Event{Limit: e[6:]})
		default:
			a.Versions = append(a.Versions, e[1:])
		}
	}
	if list != nil {
		a.Ranges = []inventory.Range{{Type: "ECOSYSTEM", Events: list}}
	}
	return a
}

func adv(id string, affected ...inventory.Affected) inventory.Advisory {
	return inventory.Advisory{ID: id, Modified: then, Affected: affected}
}

func aliased(a inventory.Advisory, aliases ...string) inventory.Advisory {
	a.Aliases = aliases
	return a
}

func upstream(a inventory.Advisory, ids ...string) inventory.Advisory {
	a.Upstream = ids
	return a
}

func TestRanges(t *testing.T) {
	for _, tc := range []struct {
		name, pkg string
		affected  inventory.Affected
		want      string // range -> fixed; "" = not affected
	}{
		{"below the fix", "npm|a|1.2.3", entry("npm|a", ">=0", "<1.3.0"), "<1.3.0 -> 1.3.0"},
		{"at the fix", "npm|a|1.3.0", entry("npm|a", ">=0", "<1.3.0"), ""},
		{"before it came", "npm|a|0.9.0", entry("npm|a", ">=1.0.0", "<1.3.0"), ""},
		{"where it came", "npm|a|1.0.0", entry("npm|a", ">=1.0.0", "<1.3.0"), ">=1.0.0, <1.3.0 -> 1.3.0"},
		{"open", "npm|a|99.0.0", entry("npm|a", ">=1.0.0"), ">=1.0.0 -> "},
		{"open from the first", "npm|a|99.0.0", entry("npm|a", ">=0"), "all versions -> "},
		{"last affected itself", "npm|a|2.0.0", entry("npm|a", ">=0", "<=2.0.0"), "<=2.0.0 -> "},
		{"after the last affected", "npm|a|2.0.1", entry("npm|a", ">=0", "<=2.0.0"), ""},
		{"second branch", "npm|a|2.1.0", entry("npm|a", ">=1.0.0", "<1.5.0", ">=2.0.0", "<2.2.0"), ">=2.0.0, <2.2.0 -> 2.2.0"},
		{"between branches", "npm|a|1.7.0", entry("npm|a", ">=1.0.0", "<1.5.0", ">=2.0.0", "<2.2.0"), ""},
		{"first branch's own fix", "npm|a|1.1.0", entry("npm|a", ">=1.0.0", "<1.5.0", ">=2.0.0", "<2.2.0"), ">=1.0.0, <1.5.0 -> 1.5.0"},
		{"out of order", "npm|a|2.1.0", entry("npm|a", "<2.2.0", ">=2.0.0", "<1.5.0", ">=1.0.0"), ">=2.0.0, <2.2.0 -> 2.2.0"},
		{"out of order, between", "npm|a|1.7.0", entry("npm|a", "<2.2.0", ">=2.0.0", "<1.5.0", ">=1.0.0"), ""},
		{"closed by last affected, then again", "npm|a|1.0.0", entry("npm|a", ">=0", "<=1.5.0", ">=2.0.0", "<3.0.0"), "<=1.5.0 -> "},
		{"never affected", "Alpine:v3.19|a|1.2.3-r0", entry("Alpine:v3.19|a", ">=0", "<0"), ""},
		{"touching branches", "npm|a|2.0.0", entry("npm|a", ">=1.0.0", "<2.0.0", ">=2.0.0", "<3.0.0"), ">=2.0.0, <3.0.0 -> 3.0.0"},
		{"below the limit", "npm|a|1.0.0", entry("npm|a", ">=0", "limit 2.0.0"), "<2.0.0 -> "},
		{"beyond the limit", "npm|a|2.0.0", entry("npm|a", ">=0", "limit 2.0.0"), ""},
		{"no limit", "npm|a|2.0.0", entry("npm|a", ">=0", "limit *"), "all versions -> "},
		{"pre-release of the fix", "npm|a|1.3.0-rc.1", entry("npm|a", ">=0", "<1.3.0"), "<1.3.0 -> 1.3.0"},
		{"listed", "PyPI|a|1.0", entry("PyPI|a", "=1.0", "=1.1"), "=1.0 -> "},
		{"not listed", "PyPI|a|1.2", entry("PyPI|a", "=1.0", "=1.1"), ""},
		{"listed outside the range, with the next fix", "PyPI|a|1.0", entry("PyPI|a", ">=1.1", "<1.5", "=1.0"), "=1.0 -> 1.5"},
		{"neither range nor list", "npm|a|1.0.0", entry("npm|a"), ""},
		{"a fix that is no version", "Debian:12|a|1.0-1", entry("Debian:12|a", ">=0", "<x:y"), ""},
		{"Go pseudo-version before", "Go|golang.org/x/net|v0.0.0-20220622213112-05595931fe9d", entry("Go|golang.org/x/net", ">=0", "<0.7.0"), "<0.7.0 -> 0.7.0"},
		{"Go pseudo-version after", "Go|a|v1.8.6-0.20230101000000-aaaaaaaaaaaa", entry("Go|a", ">=0", "<1.8.5"), ""},
		{"Go incompatible", "Go|a|v2.1.0+incompatible", entry("Go|a", ">=0", "<2.1.1"), "<2.1.1 -> 2.1.1"},
		{"Go's own library", "Go|stdlib|go1.22.1", entry("Go|stdlib", ">=1.22.0-0", "<1.22.3"), ">=1.22.0-0, <1.22.3 -> 1.22.3"},
		{"Go's own library by another name", "Go|go|1.22.1", entry("Go|stdlib", ">=1.22.0-0", "<1.22.3"), ">=1.22.0-0, <1.22.3 -> 1.22.3"},
		{"Go's own library before its release", "Go|stdlib|go1.22rc1", entry("Go|stdlib", ">=1.22.0-0", "<1.22.0-rc.2"), ">=1.22.0-0, <1.22.0-rc.2 -> 1.22.0-rc.2"},
		{"Go's own library, the pre-release that fixes", "Go|stdlib|go1.22rc2", entry("Go|stdlib", ">=1.22.0-0", "<1.22.0-rc.2"), ""},
		{"Go's own library built with experiments", "Go|stdlib|go1.22.1 X:boringcrypto", entry("Go|stdlib", ">=0", "<1.22.2"), "<1.22.2 -> 1.22.2"},
		{"Go pseudo-version of a major", "Go|a/v2|v2.0.0-20240101000000-aaaaaaaaaaaa", entry("Go|a/v2", ">=2.0.0-20230101000000-bbbbbbbbbbbb", "<2.0.0-20250101000000-cccccccccccc"), ">=2.0.0-20230101000000-bbbbbbbbbbbb, <2.0.0-20250101000000-cccccccccccc -> 2.0.0-20250101000000-cccccccccccc"},
		{"npm with a scope", "npm|@a/b|1.0.0", entry("npm|@a/b", ">=0", "<1.0.1"), "<1.0.1 -> 1.0.1"},
		{"npm, another scope", "npm|@a/b|1.0.0", entry("npm|@c/b", ">=0", "<1.0.1"), ""},
		{"build data does not count", "crates.io|a|1.0.0+zlib.1.2", entry("crates.io|a", ">=0", "<1.0.1"), "<1.0.1 -> 1.0.1"},
		{"crates before 1.0", "crates.io|a|0.10.2", entry("crates.io|a", ">=0.9.0", "<0.10.10"), ">=0.9.0, <0.10.10 -> 0.10.10"},
		{"Packagist with a v", "Packagist|Drupal/Core|v10.2.1", entry("Packagist|drupal/core", ">=10.2.0", "<10.2.2"), ">=10.2.0, <10.2.2 -> 10.2.2"},
		{"Packagist listed with a v", "Packagist|a/b|1.0.0", entry("Packagist|a/b", "=v1.0.0"), "=1.0.0 -> "},
		{"NuGet's fourth number", "NuGet|a|1.0.0", entry("NuGet|A", ">=0", "<1.0.0.1"), "<1.0.0.1 -> 1.0.0.1"},
		{"NuGet listed with fewer numbers", "NuGet|a|1.0", entry("NuGet|A", "=1.0.0"), "=1.0 -> "},
		{"Hex", "Hex|phoenix|1.6.0-rc.0", entry("Hex|phoenix", ">=0", "<1.6.0"), "<1.6.0 -> 1.6.0"},
		{"Pub", "Pub|http|0.13.2", entry("Pub|http", ">=0", "<0.13.3"), "<0.13.3 -> 0.13.3"},
		{"PyPI of a local build", "PyPI|torch|2.0.0+cu118", entry("PyPI|torch", ">=0", "<=2.0.0"), "<=2.0.0 -> "},
		{"PyPI of a local build, listed", "PyPI|torch|2.0.0+cu118", entry("PyPI|torch", "=2.0.0"), "=2.0.0 -> "},
		{"PyPI listed with fewer numbers", "PyPI|flask|1.0.0", entry("PyPI|flask", "=1.0"), "=1.0.0 -> "},
		{"PyPI listed, no version of anything", "PyPI|pywps|trunk", entry("PyPI|pywps", "=4.4.5", "=trunk"), "=trunk -> "},
		{"PyPI, before the epoch", "PyPI|a|2020.1", entry("PyPI|a", ">=0", "<1!1.0"), "<1!1.0 -> 1!1.0"},
		{"gem of a platform", "RubyGems|nokogiri|1.18.2-x86_64-linux-gnu", entry("RubyGems|nokogiri", ">=0", "<1.18.2"), ""},
		{"gem of a platform below the fix", "RubyGems|nokogiri|1.18.1-java", entry("RubyGems|nokogiri", ">=0", "<1.18.2"), "<1.18.2 -> 1.18.2"},
		{"gem before its release", "RubyGems|a|2.0.0-rc1", entry("RubyGems|a", ">=0", "<2.0.0"), "<2.0.0 -> 2.0.0"},
		{"Maven before its release", "Maven|a:b|2.17.0-rc1", entry("Maven|a:b", ">=2.0-beta9", "<2.17.0"), ">=2.0-beta9, <2.17.0 -> 2.17.0"},
		{"Maven with a qualifier", "Maven|a:guava|31.1-jre", entry("Maven|a:guava", ">=0", "<32.0.0-android"), "<32.0.0-android -> 32.0.0-android"},
		{"Bitnami's revision", "Bitnami|nginx|1.24.0-2", entry("Bitnami|nginx", ">=0", "<1.24.0"), ""},
		{"last affected and a fix", "npm|a|1.2.0", entry("npm|a", ">=0", "<=1.2.0", ">=1.3.0", "<1.4.0"), "<=1.2.0 -> "},
		{"a fix above the last affected", "npm|a|1.2.1", entry("npm|a", ">=0", "<=1.2.0", "<1.5.0"), ""},
		{"Go is not Go's tools", "Go|stdlib|1.22.1", entry("Go|toolchain", ">=0"), ""},
		{"PyPI's names", "PyPI|Foo_Bar.baz|1.0", entry("PyPI|foo-bar-baz", ">=0", "<2"), "<2 -> 2"},
		{"NuGet's names", "NuGet|Newtonsoft.Json|12.0.1", entry("NuGet|newtonsoft.json", ">=0", "<13.0.1"), "<13.0.1 -> 13.0.1"},
		{"npm's names", "npm|A|1.0.0", entry("npm|a", ">=0"), ""},
		{"Maven's coordinates", "Maven|org.a/b|1.0", entry("Maven|org.a:b", ">=0", "<1.1"), "<1.1 -> 1.1"},
		{"Maven of a repository", "Maven|org.a:b|1.0", entry("Maven:https://repo.example.com|org.a:b", ">=0", "<1.1"), "<1.1 -> 1.1"},
		{"another ecosystem", "npm|a|1.0.0", entry("PyPI|a", ">=0"), ""},
		{"an ecosystem that begins alike", "Go|a|1.0.0", entry("Gone|a", ">=0"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			for _, v := range match.Verdicts(pkg(tc.pkg), []inventory.Advisory{adv("X-1", tc.affected)}) {
				got += v.Range + " -> " + strings.Join(v.Fixed, ",")
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReleases(t *testing.T) {
	for _, tc := range []struct {
		name, pkg string
		affected  []inventory.Affected
		fixed     string // "-" = not affected
	}{
		{"the release's own", "Debian:12|a|1.0-1", []inventory.Affected{entry("Debian:11|a", ">=0", "<0.5-1"), entry("Debian:12|a", ">=0", "<1.0-2")}, "1.0-2"},
		{"another release only", "Debian:12|a|1.0-1", []inventory.Affected{entry("Debian:11|a", ">=0")}, "-"},
		{"point release", "Debian:12.5|a|1.0-1", []inventory.Affected{entry("Debian:12|a", ">=0")}, ""},
		{"no release in the record", "Debian:12|a|1.0-1", []inventory.Affected{entry("Debian|a", ">=0")}, ""},
		{"release not known", "Debian|a|1.0-1", []inventory.Affected{entry("Debian:12|a", ">=0")}, "-"},
		{"old Debian minor", "Debian:3.1|a|1.0-1", []inventory.Affected{entry("Debian:3.0|a", ">=0")}, "-"},
		{"source package", "Debian:12|libssl3|3.0.11-1|openssl|", []inventory.Affected{entry("Debian:12|openssl", ">=0", "<3.0.13-1")}, "3.0.13-1"},
		{"source version", "Debian:12|libfoo|9-1|foo|1.0-1", []inventory.Affected{entry("Debian:12|foo", ">=0", "<2.0-1")}, "2.0-1"},
		{"not the binary's name", "Debian:12|libssl3|3.0.11-1|openssl|", []inventory.Affected{entry("Debian:12|libssl3", ">=0")}, "-"},
		{"signed kernel", "Debian:12|linux-image-amd64|6.1.52-1|linux-signed-amd64|6.1.52+1", []inventory.Affected{entry("Debian:12|linux", ">=0", "<6.1.55-1")}, "6.1.55-1"},
		{"Alpine branch", "Alpine:v3.19|a|1-r0", []inventory.Affected{entry("Alpine:v3.18|a", ">=0", "<2-r0"), entry("Alpine:v3.19|a", ">=0", "<3-r0")}, "3-r0"},
		{"Alpine full version", "Alpine:3.19.1|a|1-r0", []inventory.Affected{entry("Alpine:v3.19|a", ">=0", "<3-r0")}, "3-r0"},
		{"Alpine edge by the newest", "Alpine:edge|a|1-r0", []inventory.Affected{entry("Alpine:v3.9|a", ">=0", "<5-r0"), entry("Alpine:v3.21|a", ">=0", "<3-r0")}, "3-r0"},
		{"Ubuntu LTS", "Ubuntu:22.04|a|1-1", []inventory.Affected{entry("Ubuntu:22.04:LTS|a", ">=0", "<1-2")}, "1-2"},
		{"Ubuntu plain before Pro", "Ubuntu:22.04:LTS|a|1-1", []inventory.Affected{entry("Ubuntu:Pro:22.04:LTS|a", ">=0", "<1-2esm1"), entry("Ubuntu:22.04:LTS|a", ">=0")}, ""},
		{"Ubuntu with Pro installed", "Ubuntu:22.04|a|1-1esm0", []inventory.Affected{entry("Ubuntu:Pro:22.04:LTS|a", ">=0", "<1-1esm1"), entry("Ubuntu:22.04:LTS|a", ">=0")}, "1-1esm1"},
		{"Ubuntu out of support", "Ubuntu:14.04|a|1-1", []inventory.Affected{entry("Ubuntu:Pro:14.04:LTS|a", ">=0", "<1-2esm1")}, "1-2esm1"},
		{"Ubuntu of another year", "Ubuntu:24.04|a|1-1", []inventory.Affected{entry("Ubuntu:22.04:LTS|a", ">=0")}, "-"},
		{"Ubuntu's special kernels", "Ubuntu:22.04|a|1-1", []inventory.Affected{entry("Ubuntu:Pro:Realtime:22.04:LTS|a", ">=0")}, "-"},
		{"Red Hat channel", "Red Hat:enterprise_linux:9::baseos|a|1-1.el9", []inventory.Affected{entry("Red Hat:enterprise_linux:9::appstream|a", ">=0", "<1-2.el9")}, "1-2.el9"},
		{"Red Hat bare", "Red Hat:9.4|a|1-1.el9", []inventory.Affected{entry("Red Hat:enterprise_linux:9::appstream|a", ">=0", "<1-2.el9")}, "1-2.el9"},
		{"Red Hat extended support", "Red Hat:enterprise_linux:9::baseos|a|1-1.el9", []inventory.Affected{entry("Red Hat:rhel_eus:9.2::appstream|a", ">=0")}, "-"},
		{"Red Hat module and not", "Red Hat:enterprise_linux:8::appstream|nodejs|1:18.1.0-1.el8", []inventory.Affected{entry("Red Hat:enterprise_linux:8::appstream|nodejs", ">=0", "<1:18.2.0-1.module+el8.9.0+1+a")}, "-"},
		{"Red Hat module stream", "Red Hat:enterprise_linux:8::appstream|nodejs|1:16.1.0-1.module+el8.5.0+1+a", []inventory.Affected{entry("Red Hat:enterprise_linux:8::appstream|nodejs", ">=0", "<1:18.2.0-1.module+el8.9.0+1+a")}, "-"},
		{"Red Hat same stream", "Red Hat:enterprise_linux:8::appstream|nodejs|1:18.1.0-1.module+el8.5.0+1+a", []inventory.Affected{entry("Red Hat:enterprise_linux:8::appstream|nodejs", ">=0", "<1:18.2.0-1.module+el8.9.0+1+a")}, "1:18.2.0-1.module+el8.9.0+1+a"},
		{"Rocky major", "Rocky Linux:9.3|a|1-1", []inventory.Affected{entry("Rocky Linux:9|a", ">=0", "<1-2")}, "1-2"},
		{"Oracle", "Oracle Linux:8|a|1-1.el8", []inventory.Affected{entry("Oracle Linux:8|a", ">=0", "<1-2.el8")}, "1-2.el8"},
		{"Amazon", "Amazon Linux:2023|a|1-1.amzn2023", []inventory.Affected{entry("Amazon Linux:2023|a", ">=0", "<1-2.amzn2023")}, "1-2.amzn2023"},
		{"SUSE product and module", "SUSE:Linux Enterprise Server 15 SP5|libopenssl1_1|1-1|openssl-1_1|", []inventory.Affected{entry("SUSE:Linux Enterprise Module for Basesystem 15 SP5|openssl-1_1", ">=0", "<1-2")}, "1-2"},
		{"SUSE by number", "SUSE:15.5|a|1-1", []inventory.Affected{entry("SUSE:Linux Enterprise Server 15 SP5-LTSS|a", ">=0", "<1-2")}, "1-2"},
		{"SUSE another service pack", "SUSE:15.4|a|1-1", []inventory.Affected{entry("SUSE:Linux Enterprise Server 15 SP5|a", ">=0")}, "-"},
		{"SUSE live patching", "SUSE:15.5|a|1-1", []inventory.Affected{entry("SUSE:Linux Enterprise Live Patching 15 SP5|a", ">=0")}, "-"},
		{"openSUSE Leap", "openSUSE:Leap 15.5|a|1-1", []inventory.Affected{entry("openSUSE:Leap 15.5|a", ">=0", "<1-2")}, "1-2"},
		{"Alpine edge's own", "Alpine:edge|a|1-r0", []inventory.Affected{entry("Alpine:edge|a", ">=0", "<2-r0"), entry("Alpine:v3.21|a", ">=0", "<3-r0")}, "2-r0"},
		{"Alpine branch is not edge", "Alpine:v3.19|a|1-r0", []inventory.Affected{entry("Alpine:edge|a", ">=0", "<2-r0")}, "-"},
		{"Alpine branch of two digits", "Alpine:v3.2|a|1-r0", []inventory.Affected{entry("Alpine:v3.20|a", ">=0", "<2-r0")}, "-"},
		{"Ubuntu interim", "Ubuntu:24.10|a|1-1", []inventory.Affected{entry("Ubuntu:24.10|a", ">=0", "<1-2"), entry("Ubuntu:24.04:LTS|a", ">=0", "<1-3")}, "1-2"},
		{"Debian never affected", "Debian:12|a|1-1", []inventory.Affected{entry("Debian:12|a", ">=0", "<0")}, "-"},
		{"Debian last affected", "Debian:12|a|1-1", []inventory.Affected{entry("Debian:12|a", ">=0", "<=1-1")}, ""},
		{"Debian backport", "Debian:12|a|1.0-1~bpo12+1", []inventory.Affected{entry("Debian:12|a", ">=0", "<1.0-1")}, "1.0-1"},
		{"Debian update of a binary only", "Debian:12|a|1.0-1+b2|a|1.0-1", []inventory.Affected{entry("Debian:12|a", ">=0", "<1.0-1")}, "-"},
		{"AlmaLinux binary", "AlmaLinux:9|openssl-libs|1:3.0.7-24.el9|openssl|3.0.7-24.el9", []inventory.Affected{entry("AlmaLinux:9|openssl-libs", ">=0", "<1:3.0.7-25.el9")}, "1:3.0.7-25.el9"},
		{"AlmaLinux, not by the source's name", "AlmaLinux:9|openssl-libs|1:3.0.7-24.el9|openssl|3.0.7-24.el9", []inventory.Affected{entry("AlmaLinux:9|openssl", ">=0")}, "-"},
		{"RPM source gets the epoch", "Rocky Linux:9|openssl|1:3.0.7-28.el9|openssl|3.0.7-28.el9", []inventory.Affected{entry("Rocky Linux:9|openssl", ">=0", "<1:3.0.7-25.el9")}, "-"},
		{"RPM source of another name gets the epoch", "SUSE:15.5|bind-libs|1:9.16.6-2|bind|9.16.6-2", []inventory.Affected{entry("SUSE:15.5|bind", ">=0", "<1:9.16.6-1")}, "-"},
		{"RPM epoch 0 is none", "AlmaLinux:9|a|1-1.el9", []inventory.Affected{entry("AlmaLinux:9|a", ">=0", "<0:1-1.el9")}, "-"},
		{"RPM epoch against none", "AlmaLinux:9|a|5-1.el9", []inventory.Affected{entry("AlmaLinux:9|a", ">=0", "<1:2-1.el9")}, "1:2-1.el9"},
		{"AlmaLinux module", "AlmaLinux:8|nodejs|1:18.1.0-1.module_el8.7.0+1+a", []inventory.Affected{entry("AlmaLinux:8|nodejs", ">=0", "<1:18.9.0-1.module_el8.9.0+2+b")}, "1:18.9.0-1.module_el8.9.0+2+b"},
		{"AlmaLinux module of another stream", "AlmaLinux:8|nodejs|1:16.1.0-1.module_el8.7.0+1+a", []inventory.Affected{entry("AlmaLinux:8|nodejs", ">=0", "<1:18.9.0-1.module_el8.9.0+2+b")}, "-"},
		{"openSUSE Tumbleweed", "openSUSE:Tumbleweed|a|1-1.1", []inventory.Affected{entry("openSUSE:Tumbleweed|a", ">=0", "<1-2.1"), entry("openSUSE:Leap 15.5|a", ">=0", "<1-9")}, "1-2.1"},
		{"openSUSE is not SUSE", "openSUSE:Leap 15.5|a|1-1", []inventory.Affected{entry("SUSE:Linux Enterprise Server 15 SP5|a", ">=0")}, "-"},
		{"Azure Linux", "Azure Linux:3|a|1-1.azl3", []inventory.Affected{entry("Azure Linux:3|a", ">=0", "<1-2.azl3")}, "1-2.azl3"},
		{"openEuler's long-term support", "openEuler:24.03-LTS|a|1-1.oe2403", []inventory.Affected{entry("openEuler:24.03-LTS|a", ">=0", "<1-2.oe2403"), entry("openEuler:24.03-LTS-SP1|a", ">=0", "<1-9")}, "1-2.oe2403"},
		{"Mageia", "Mageia:9|a|1-1.mga9", []inventory.Affected{entry("Mageia:9|a", ">=0", "<1-2.mga9")}, "1-2.mga9"},
		{"Chainguard never affected", "Chainguard|a|1-r0", []inventory.Affected{entry("Chainguard|a", ">=0", "<0")}, "-"},
		{"Chainguard is not Wolfi", "Chainguard|a|1-r0", []inventory.Affected{entry("Wolfi|a", ">=0")}, "-"},
		{"Wolfi subpackage by its own name", "Wolfi|a-dev|1-r0|a|", []inventory.Affected{entry("Wolfi|a-dev", ">=0", "<1-r1")}, "1-r1"},
		{"Wolfi", "Wolfi|libssl3|3.1.0-r0|openssl|", []inventory.Affected{entry("Wolfi|openssl", ">=0", "<3.1.0-r2")}, "3.1.0-r2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := "-"
			for _, v := range match.Verdicts(pkg(tc.pkg), []inventory.Advisory{adv("X-1", tc.affected...)}) {
				got = strings.Join(v.Fixed, ",")
			}
			if got != tc.fixed {
				t.Errorf("got %q, want %q", got, tc.fixed)
			}
		})
	}
}

func TestEpochOfThePURL(t *testing.T) {
	p := pkg("Red Hat:enterprise_linux:9|openssl|3.0.7-24.el9")
	p.PURL += "?arch=x86_64&epoch=1"
	record := adv("RHSA-1", entry("Red Hat:enterprise_linux:9::baseos|openssl", ">=0", "<1:3.0.7-25.el9"), entry("Red Hat:enterprise_linux:9::baseos|openssl", ">=0", "<0:9"))
	got := match.Verdicts(p, []inventory.Advisory{record})
	if len(got) != 1 || got[0].Range != "<1:3.0.7-25.el9" {
		t.Errorf("got %+v", got)
	}
}

func TestOneFlawOneVerdict(t *testing.T) {
	withdrawn := adv("W-1", entry("npm|a", ">=0"))
	withdrawn.Withdrawn = &then
	for _, tc := range []struct {
		name, pkg  string
		candidates []inventory.Advisory
		want       []string // id <- advisory (aliases)
	}{
		{
			"three databases, one CVE", "Go|a|1.0.0",
			[]inventory.Advisory{
				aliased(adv("GHSA-1", entry("Go|a", ">=0", "<1.2.0")), "CVE-2024-0001"),
				aliased(adv("GO-1", entry("Go|a", ">=0", "<1.2.0")), "CVE-2024-0001", "GHSA-1"),
			},
			[]string{"CVE-2024-0001 <- GHSA-1 (GHSA-1 GO-1)"},
		},
		{
			"several CVEs, one each", "npm|a|1.0.0",
			[]inventory.Advisory{aliased(adv("GHSA-1", entry("npm|a", ">=0")), "CVE-2024-0002", "CVE-2024-0001")},
			[]string{"CVE-2024-0001 <- GHSA-1 (GHSA-1)", "CVE-2024-0002 <- GHSA-1 (GHSA-1)"},
		},
		{
			"an alias of an alias", "Go|a|1.0.0",
			[]inventory.Advisory{
				aliased(adv("GHSA-1", entry("Go|a", ">=0", "<0.5.0")), "CVE-2024-0001"),
				aliased(adv("GO-1", entry("Go|a", ">=0", "<1.2.0")), "GHSA-1"),
			},
			[]string{"CVE-2024-0001 <- GO-1 (GHSA-1 GO-1)"},
		},
		{
			"no CVE at all", "npm|a|1.0.0",
			[]inventory.Advisory{aliased(adv("ZZZ-1", entry("npm|a", ">=0")), "GHSA-1"), adv("GHSA-1", entry("npm|a", ">=0"))},
			[]string{"GHSA-1 <- GHSA-1 (ZZZ-1)"},
		},
		{"alone", "npm|a|1.0.0", []inventory.Advisory{adv("MAL-1", entry("npm|a", "=1.0.0"))}, []string{"MAL-1 <- MAL-1 ()"}},
		{
			"related is only a link", "npm|a|1.0.0",
			[]inventory.Advisory{{ID: "X-1", Related: []string{"CVE-2024-0001"}, Affected: []inventory.Affected{entry("npm|a", ">=0")}}},
			[]string{"X-1 <- X-1 ()"},
		},
		{"what is no CVE id is none", "npm|a|1.0.0", []inventory.Advisory{aliased(adv("X-1", entry("npm|a", ">=0")), "CVE-2014-4671A")}, []string{"X-1 <- X-1 (CVE-2014-4671A)"}},
		{"withdrawn", "npm|a|1.0.0", []inventory.Advisory{withdrawn}, nil},
		{
			"distribution's advisory and record of one CVE", "Debian:12|a|1-1",
			[]inventory.Advisory{
				upstream(adv("DEBIAN-CVE-2024-0001", entry("Debian:12|a", ">=0", "<1-2")), "CVE-2024-0001"),
				upstream(adv("DEBIAN-CVE-2024-0002", entry("Debian:12|a", ">=0", "<0-9")), "CVE-2024-0002"),
				upstream(adv("DSA-1", entry("Debian:12|a", ">=0", "<1-3")), "CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003"),
			},
			[]string{
				"CVE-2024-0001 <- DEBIAN-CVE-2024-0001 (DEBIAN-CVE-2024-0001 DSA-1)",
				"CVE-2024-0003 <- DSA-1 (DSA-1)", // 0002 is spared: its own record says that 1-1 is fixed
			},
		},
		{
			"upstream of its kind", "Ubuntu:22.04|a|1-1",
			[]inventory.Advisory{upstream(adv("USN-1", entry("Ubuntu:22.04:LTS|a", ">=0", "<1-2")), "CVE-2024-0001", "CVE-2024-0002", "UBUNTU-CVE-2024-0001", "UBUNTU-CVE-2024-0002")},
			[]string{"CVE-2024-0001 <- USN-1 (UBUNTU-CVE-2024-0001 USN-1)", "CVE-2024-0002 <- USN-1 (UBUNTU-CVE-2024-0002 USN-1)"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, v := range match.Verdicts(pkg(tc.pkg), tc.candidates) {
				got = append(got, v.ID+" <- "+v.AdvisoryID+" ("+strings.Join(v.Aliases, " ")+")")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSeverity(t *testing.T) {
	const (
		v4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
		v3 = "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H"
		v0 = "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"
		v2 = "AV:N/AC:L/Au:N/C:C/I:C/A:C"
	)
	rated := func(id, of string, list ...inventory.Severity) inventory.Advisory {
		a := aliased(adv(id, entry(of, ">=0")), "CVE-2024-0001")
		a.Severity = list
		return a
	}
	urgent := func(word string) inventory.Advisory {
		a := rated("DEBIAN-CVE-2024-0001", "Debian:12|a", inventory.Severity{Type: "CVSS_V3", Score: v3})
		a.Affected[0].Urgency = word
		return a
	}
	for _, tc := range []struct {
		name, pkg  string
		candidates []inventory.Advisory
		want       string
		score      float64
	}{
		{"none", "npm|a|1.0.0", []inventory.Advisory{rated("GHSA-1", "npm|a")}, "unspecified ", 0},
		{"v3", "npm|a|1.0.0", []inventory.Advisory{rated("GHSA-1", "npm|a", inventory.Severity{Type: "CVSS_V3", Score: v3})}, "high CVSS 3.1 (GitHub)", 7.4},
		{"v4 before v3", "npm|a|1.0.0", []inventory.Advisory{rated("GHSA-1", "npm|a", inventory.Severity{Type: "CVSS_V3", Score: v3}, inventory.Severity{Type: "CVSS_V4", Score: v4})}, "critical CVSS 4.0 (GitHub)", 9.3},
		{"v3.0", "npm|a|1.0.0", []inventory.Advisory{rated("PYSEC-1", "npm|a", inventory.Severity{Type: "CVSS_V3", Score: v0})}, "medium CVSS 3.0 (PyPA)", 5.3},
		{"v2 has no critical", "npm|a|1.0.0", []inventory.Advisory{rated("X-1", "npm|a", inventory.Severity{Type: "CVSS_V2", Score: v2})}, "high CVSS 2.0 (X-1)", 10},
		{"a broken vector", "npm|a|1.0.0", []inventory.Advisory{rated("GHSA-1", "npm|a", inventory.Severity{Type: "CVSS_V3", Score: "CVSS:3.1/AV:N"}, inventory.Severity{Type: "word", Score: "MODERATE"})}, "medium GitHub", 0},
		{"a bare score", "npm|a|1.0.0", []inventory.Advisory{rated("RUBYSEC-1", "npm|a", inventory.Severity{Type: "score", Score: "7.5"})}, "high CVSS score (RUBYSEC-1)", 7.5},
		{"distribution's own", "Debian:12|a|1-1", []inventory.Advisory{urgent("unimportant")}, "low Debian", 7.4},
		{"distribution undecided", "Debian:12|a|1-1", []inventory.Advisory{urgent("not yet assigned")}, "high CVSS 3.1 (Debian)", 7.4},
		{"Ubuntu", "Ubuntu:22.04|a|1-1", []inventory.Advisory{rated("UBUNTU-CVE-2024-0001", "Ubuntu:22.04:LTS|a", inventory.Severity{Type: "CVSS_V3", Score: v3}, inventory.Severity{Type: "Ubuntu", Score: "negligible"})}, "low Ubuntu", 7.4},
		{"Red Hat's word", "Red Hat:enterprise_linux:9|a|1-1", []inventory.Advisory{rated("RHSA-1", "Red Hat:enterprise_linux:9::baseos|a", inventory.Severity{Type: "word", Score: "Important"})}, "high Red Hat", 0},
		{"of a record that does not hit", "Go|a|1.0.0", []inventory.Advisory{
			rated("GO-1", "Go|a"),
			func() inventory.Advisory {
				a := rated("GHSA-1", "Go|a", inventory.Severity{Type: "CVSS_V3", Score: v3})
				a.Affected = []inventory.Affected{entry("Go|a", ">=0", "<0.5.0")}
				return a
			}(),
		}, "high CVSS 3.1 (GitHub)", 7.4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := match.Verdicts(pkg(tc.pkg), tc.candidates)
			if len(got) != 1 || got[0].Severity+" "+got[0].SeveritySource != tc.want || got[0].CVSSScore != tc.score {
				t.Errorf("got %+v, want %s %v", got, tc.want, tc.score)
			}
		})
	}
}

func TestBestRecordDecides(t *testing.T) {
	newer := then.AddDate(1, 0, 0)
	open := upstream(adv("DSA-1", entry("Debian:12|a", ">=0", "<1-3")), "CVE-2024-0001", "CVE-2024-0002")
	own := upstream(adv("DEBIAN-CVE-2024-0001", entry("Debian:12|a", ">=0")), "CVE-2024-0001")
	own.Summary, own.Modified, own.Published = "", newer, nil
	open.Summary, open.Published = "words", &then
	got := match.Verdicts(pkg("Debian:12|a|1-1"), []inventory.Advisory{open, own})
	want := inventory.Verdict{
		PURL: "pkg:test/a@1-1", ID: "CVE-2024-0001", Aliases: []string{"DEBIAN-CVE-2024-0001", "DSA-1"}, AdvisoryID: "DEBIAN-CVE-2024-0001",
		Modified: newer, Published: &then, Summary: "words", Severity: "unspecified", Fixed: []string{"1-3"}, Range: "all versions", Comparator: "Debian",
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
}

func TestKeys(t *testing.T) {
	for spec, want := range map[string][]inventory.AffectedKey{
		"Debian:12|libssl3|3|openssl|":     {{Ecosystem: "Debian", Name: "openssl"}},
		"Alpine:v3.19|busybox|1-r0":        {{Ecosystem: "Alpine", Name: "busybox"}},
		"Red Hat:9|openssl-libs|3|openssl": {{Ecosystem: "Red Hat", Name: "openssl-libs"}},
		"Wolfi|libssl3|3|openssl":          {{Ecosystem: "Wolfi", Name: "openssl"}, {Ecosystem: "Wolfi", Name: "libssl3"}},
		"PyPI|Zope..Interface_x|1":         {{Ecosystem: "PyPI", Name: "zope-interface-x"}},
		"Go|github.com/A/b|1":              {{Ecosystem: "Go", Name: "github.com/A/b"}},
		"|x|1":                             nil,
	} {
		if diff := cmp.Diff(want, match.KeysOf(pkg(spec))); diff != "" {
			t.Errorf("%s: %s", spec, diff)
		}
	}
	record := adv("X-1", entry("Debian:11|a"), entry("Debian:12|a"), entry("PyPI|B_b"))
	want := []inventory.AffectedKey{{Ecosystem: "Debian", Name: "a"}, {Ecosystem: "PyPI", Name: "b-b"}}
	if diff := cmp.Diff(want, match.AdvisoryKeys(record)); diff != "" {
		t.Error(diff)
	}
}

func TestCoverage(t *testing.T) {
	c := match.NewCoverage([]string{"Debian:11", "Debian:12", "npm", "Alpine:v3.19", "Go", "Ubuntu:22.04:LTS"})
	for spec, want := range map[string]string{
		"Debian:12|a|1-1":          "",
		"Debian:12.4|a|1-1":        "",
		"Debian:13|a|1-1":          "not assessed: no advisories for Debian:13",
		"Debian|a|1-1":             "not assessed: the release of Debian is not known",
		"Ubuntu:22.04|a|1-1":       "",
		"Alpine:edge|a|1-r0":       "",
		"Alpine:v3.20|a|1-r0":      "not assessed: no advisories for Alpine:v3.20",
		"npm|a|1.0.0":              "",
		"npm|a|":                   "not assessed: its version is not known",
		"Go|a|(devel)":             "not assessed: its version is not known: built from a working copy, (devel)",
		"Go|a|banana":              "not assessed: its version is not a version: banana",
		"PyPI|a|1.0":               "not assessed: no advisories for PyPI",
		"|a|1.0":                   "not assessed: no advisories for packages of type test",
		"Debian:12|a|x:1-1":        "not assessed: its version is not a version: x:1-1",
		"Red Hat:enterprise|a|1-1": "not assessed: no advisories for Red Hat",
	} {
		if got := c.Why(pkg(spec)); got != want {
			t.Errorf("%s: got %q, want %q", spec, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	withdrawn := adv("X-1", entry("npm|a", ">=0"))
	withdrawn.Withdrawn = &then
	for _, tc := range []struct {
		pkg      string
		advisory inventory.Advisory
		want     string
	}{
		{"npm|a|1.0.0", adv("X-1", entry("npm|a", ">=0", "<2.0.0")), "affected: a 1.0.0 is in <2.0.0 of X-1 (npm), by the SemVer order of versions"},
		{"npm|a|2.0.0", adv("X-1", entry("npm|a", ">=0", "<2.0.0")), "not affected because a 2.0.0 is outside of <2.0.0 of X-1 (npm), by the SemVer order of versions"},
		{"npm|a|0.5.0", adv("X-1", entry("npm|a", ">=1.0.0")), "not affected because a 0.5.0 is outside of >=1.0.0 of X-1 (npm), by the SemVer order of versions"},
		{"npm|a|1.0.0", adv("X-1", entry("npm|a", "=1.0.0")), "affected: X-1 lists version 1.0.0 of a (npm)"},
		{"npm|a|1.0.1", adv("X-1", entry("npm|a", "=1.0.0")), "not affected because X-1 does not list version 1.0.1 of a (npm)"},
		{"npm|a|1.0.0", withdrawn, "not affected: X-1 was withdrawn on 2024-01-02"},
		{"npm|a|1.0.0", adv("X-1", entry("npm|b", ">=0"), entry("PyPI|a", ">=0")), "not affected: X-1 names b (npm), a (PyPI), not a (npm)"},
		{"Debian:12|a|1-1", adv("X-1", entry("Debian:11|a", ">=0")), "not affected: X-1 speaks of Debian:11, not of Debian:12"},
		{"Debian:12|a|1-1", adv("X-1", entry("Debian:12|a", ">=0", "<x:y")), `not assessed: a 1-1 cannot be held to X-1: not a version: "x:y"`},
		{"Go|a|(devel)", adv("X-1", entry("Go|a", ">=0")), "not assessed: a (devel) cannot be held to X-1: its version is not known: built from a working copy, (devel)"},
		{"Gentoo|a|1", adv("X-1", entry("Gentoo|a", ">=0")), `not assessed: the order of versions of "Gentoo" is not known`},
	} {
		got := match.Explain(pkg(tc.pkg), tc.advisory)
		if got.Reason != tc.want {
			t.Errorf("got %q, want %q", got.Reason, tc.want)
		}
		if got.Affected != strings.HasPrefix(tc.want, "affected") || got.Known == strings.HasPrefix(tc.want, "not assessed") {
			t.Errorf("%s: %+v", tc.want, got)
		}
	}
}

func FuzzVerdicts(f *testing.F) {
	f.Add("Debian:12", "1.0-1", ">=0", "<2:1~x-1")
	f.Add("PyPI", "1.0rc1", ">=1", "<=2")
	f.Add("Maven", "1-SNAPSHOT", "=1", "limit 3")
	f.Add("Red Hat:enterprise_linux:9::baseos", "1:2-3.el9", ">=0", "<4^5")
	f.Add("Alpine:edge", "1.2_p3-r4", ">=0", "<1.2a")
	f.Fuzz(func(t *testing.T, ecosystem, version, first, second string) {
		for _, e := range []string{first, second} {
			if !strings.HasPrefix(e, ">=") && !strings.HasPrefix(e, "<") && !strings.HasPrefix(e, "limit ") && !strings.HasPrefix(e, "=") {
				return
			}
		}
		p := pkg(strings.ReplaceAll(ecosystem, "|", "") + "|a|" + strings.ReplaceAll(version, "|", ""))
		record := adv("X-1", entry(p.Ecosystem+"|a", first, second))
		got := match.Verdicts(p, []inventory.Advisory{record})
		if why := match.Explain(p, record); why.Affected != (len(got) > 0) {
			t.Errorf("verdicts %+v, but explained as %q", got, why.Reason)
		}
		match.NewCoverage([]string{ecosystem}).Unknown(p)
	})
}
