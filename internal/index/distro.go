package index

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// parseOSRelease reads the file that names the distribution.
func parseOSRelease(text string) inventory.Distro {
	v := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			v[key] = clipText(strings.Trim(strings.TrimSpace(value), `"'`), 200)
		}
	}
	return inventory.Distro{ID: strings.ToLower(v["ID"]), Version: v["VERSION_ID"], Name: v["PRETTY_NAME"], IDLike: v["ID_LIKE"], CPEName: v["CPE_NAME"]}
}

var releaseLine = regexp.MustCompile(`(?i)^(CentOS|Red Hat Enterprise Linux|Fedora)[A-Za-z ]* release ([0-9]+(?:\.[0-9]+)*)`)

// parseReleaseFile reads /etc/redhat-release, which is all that old releases have.
func parseReleaseFile(text string) inventory.Distro {
	m := releaseLine.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return inventory.Distro{}
	}
	id := map[string]string{"centos": "centos", "red hat enterprise linux": "rhel", "fedora": "fedora"}[strings.ToLower(m[1])]
	return inventory.Distro{ID: id, Version: m[2], Name: clipText(strings.TrimSpace(text), 200)}
}

// releaseText is what is kept of a file that names the distribution: the lines that do,
// and nothing else that somebody may have written there.
func releaseText(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch key, _, _ := strings.Cut(line, "="); key {
		case "ID", "VERSION_ID", "PRETTY_NAME", "ID_LIKE", "CPE_NAME":
			kept = append(kept, line)
		default:
			if releaseLine.MatchString(line) {
				kept = append(kept, line)
			}
		}
	}
	return strings.Join(kept, "\n")
}

func major(v string) string {
	m, _, _ := strings.Cut(v, ".")
	return m
}

func majorMinor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	if len(parts) < 2 {
		return v
	}
	return parts[0] + "." + parts[1]
}

// digits says whether s is a plain release number.
func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789.") == "" }

// release is the distribution's release at the grain at which its advisories are
// kept. It goes into purls: a finer one would make all packages of a base new
// with each point release.
func release(d inventory.Distro) string {
	switch d.ID {
	case "alpine":
		return majorMinor(d.Version)
	case "debian", "rhel", "centos", "rocky", "almalinux", "ol":
		return major(d.Version)
	case "wolfi", "chainguard":
		return ""
	}
	return d.Version
}

// ecosystem is the distribution as OSV writes it; "" where OSV has none, or the
// release cannot be told: such packages are shown as unknown, never as clean.
func ecosystem(d inventory.Distro) string {
	v := release(d)
	switch d.ID {
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "minimos":
		return "MinimOS"
	case "rhel":
		return redHat(d)
	case "sles", "sled", "sle_hpc", "sles_sap", "opensuse-leap", "opensuse-tumbleweed":
		return suse(d)
	case "openeuler":
		return openEuler(d)
	case "mariner":
		return numbered("Azure Linux:", major(d.Version))
	case "ubuntu":
		return ubuntu(v)
	}
	prefixes := map[string]string{
		"debian": "Debian:", "alpine": "Alpine:v", "rocky": "Rocky Linux:", "almalinux": "AlmaLinux:", "mageia": "Mageia:",
		"azurelinux": "Azure Linux:", "photon": "Photon OS:",
	}
	prefix, ok := prefixes[d.ID]
	if !ok {
		return ""
	}
	if d.ID == "azurelinux" {
		v = major(v)
	}
	return numbered(prefix, v)
}

func numbered(prefix, v string) string {
	if !digits(v) {
		return ""
	}
	return prefix + v
}

// ubuntu tells the long-term releases, which OSV names with a suffix: April of
// even years.
func ubuntu(v string) string {
	if !digits(v) {
		return ""
	}
	year, month, _ := strings.Cut(v, ".")
	if month == "04" && len(year) == 2 && (year[1]-'0')%2 == 0 {
		return "Ubuntu:" + v + ":LTS"
	}
	return "Ubuntu:" + v
}

// redHat takes the variant from the CPE name, as advisories do:
// "cpe:/o:redhat:enterprise_linux:9::baseos".
func redHat(d inventory.Distro) string {
	cpe, ok := strings.CutPrefix(d.CPEName, "cpe:/o:redhat:")
	if !ok {
		return numbered("Red Hat:enterprise_linux:", major(d.Version))
	}
	parts := strings.Split(cpe, ":")
	if len(parts) > 1 {
		parts[1] = major(parts[1])
	}
	return "Red Hat:" + strings.Join(parts, ":")
}

var susePretty = regexp.MustCompile(`^(?:SUSE (Linux .+)|openSUSE (.+))$`)

func suse(d inventory.Distro) string {
	m := susePretty.FindStringSubmatch(d.Name)
	switch {
	case m == nil:
		return ""
	case m[1] != "":
		return "SUSE:" + m[1]
	}
	return "openSUSE:" + m[2]
}

var eulerPretty = regexp.MustCompile(`(?i)^openEuler ([0-9]{2}\.[0-9]{2})(?: \((LTS(?:[- ]SP[0-9]+)?)\))?`)

func openEuler(d inventory.Distro) string {
	m := eulerPretty.FindStringSubmatch(d.Name)
	if m == nil {
		return ""
	}
	if m[2] == "" {
		return "openEuler:" + m[1]
	}
	return "openEuler:" + m[1] + "-" + strings.ReplaceAll(m[2], " ", "-")
}

// namespace is the vendor part of a distribution package's purl.
func namespace(d inventory.Distro) string {
	switch d.ID {
	case "rhel":
		return "redhat"
	case "sles", "sled", "sle_hpc", "sles_sap":
		return "suse"
	case "opensuse-leap", "opensuse-tumbleweed":
		return "opensuse"
	}
	return d.ID
}
