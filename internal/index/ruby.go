package index

import (
	"context"
	"regexp"
	"strings"
)

// isGemspec wants the specification that installing a gem writes, not the one
// that lies among its sources: that would list the gem twice.
func isGemspec(c candidate) bool {
	return strings.HasSuffix(c.base, ".gemspec") && (strings.HasSuffix(c.dir, "specifications/") || strings.HasSuffix(c.dir, "specifications/default/"))
}

var (
	gemName     = regexp.MustCompile(`(?m)^\s*\w+\.name\s*=\s*["']([^"']+)["']`)
	gemVersion  = regexp.MustCompile(`(?m)^\s*\w+\.version\s*=\s*(?:Gem::Version\.new\s*\(?\s*)?["']([^"']+)["']`)
	gemLicenses = regexp.MustCompile(`(?m)^\s*\w+\.licenses?\s*=\s*(\[[^\]]*\]|["'][^"']*["'])`)
	gemPlatform = regexp.MustCompile(`(?m)^\s*\w+\.platform\s*=\s*["']([^"']+)["']`)
	rubyString  = regexp.MustCompile(`["']([^"']+)["']`)
	// RubyGems' first line names what follows: "# stub: name version platform paths".
	gemStub = regexp.MustCompile(`(?m)^# stub: (\S+) (\S+) (\S+) `)
)

func readGemspec(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	p := pkg{Type: "gem"}
	if m := gemStub.FindSubmatch(b); m != nil {
		p.Name, p.Version, p.Extra = string(m[1]), string(m[2]), string(m[3])
	} else {
		p.Name, p.Version, p.Extra = submatch(gemName, b), submatch(gemVersion, b), submatch(gemPlatform, b)
	}
	if !plainWord(p.Name) || p.Name == "" || !plainVersion(p.Version) {
		return found{notes: []string{"the gem's name and version are not written out"}}, nil
	}
	if p.Extra == "ruby" {
		p.Extra = ""
	}
	if m := gemLicenses.FindSubmatch(b); m != nil {
		for _, l := range rubyString.FindAllSubmatch(m[1], -1) {
			p.Licenses = append(p.Licenses, oneLicense(strings.TrimSpace(string(l[1])))...)
		}
	}
	return found{pkgs: []pkg{p}}, nil
}

func submatch(re *regexp.Regexp, b []byte) string {
	if m := re.FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return ""
}
