package index

import (
	"regexp"
	"strings"
)

// requirement is a line that pins one version: "name[extra]==1.2".
var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*={2,3}\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*)\s*(?:$|[;#\\]|--)(.*)$`)

// requirements reads the pinned lines of a requirements.txt.
func requirements(b []byte) []pkg {
	var out []pkg
	for _, line := range strings.Split(string(b), "\n") {
		m := requirement.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || !plainVersion(m[2]) || otherSystem(m[3]) {
			continue
		}
		out = append(out, pkg{Type: "pypi", Name: m[1], Version: m[2], Declared: true})
	}
	return out
}

// otherSystem says whether an environment marker asks for something that no image
// here is.
func otherSystem(marker string) bool {
	for _, s := range [...]string{"win32", "Windows", "darwin", "Darwin", "cygwin"} {
		if i := strings.Index(marker, s); i >= 0 && !strings.Contains(marker[:i], "!=") {
			return true
		}
	}
	return false
}

// yarnOptional names what no other package needs but as an option: Yarn writes
// the builds for all platforms into its lock file and installs one.
func yarnOptional(b []byte) map[nameVersion]bool {
	optional, needed, conditional := map[string]bool{}, map[string]bool{}, map[nameVersion]bool{}
	versions := map[string][]string{}
	name, section := "", ""
	for _, line := range strings.Split(string(b), "\n") {
		text := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case text == "" || text[0] == '#':
		case indent == 0:
			name, section = yarnName(text), ""
		case indent == 2:
			key, value, _ := strings.Cut(text, " ")
			section = strings.TrimSuffix(key, ":")
			switch section {
			case "version":
				versions[name] = append(versions[name], strings.Trim(value, `"`))
			case "conditions":
				if v := versions[name]; len(v) > 0 {
					conditional[nameVersion{name, v[len(v)-1]}] = true
				}
			}
		case indent == 4 && section == "optionalDependencies":
			optional[yarnKey(text)] = true
		case indent == 4 && section == "dependencies":
			needed[yarnKey(text)] = true
		case indent == 4 && section == "dependenciesMeta":
			section = "dependenciesMeta " + yarnKey(text)
		case indent == 6 && text == "optional: true":
			if dep, ok := strings.CutPrefix(section, "dependenciesMeta "); ok {
				optional[dep] = true
				delete(needed, dep)
			}
		}
	}
	for dep := range optional {
		for _, v := range versions[dep] {
			if !needed[dep] {
				conditional[nameVersion{dep, v}] = true
			}
		}
	}
	return conditional
}

// yarnName is the package of an entry's head: `"@a/b@^1.0", "@a/b@^1.1":`.
func yarnName(head string) string {
	head, _, _ = strings.Cut(strings.Trim(head, `":`), ",")
	if i := strings.Index(head[min(1, len(head)):], "@"); i >= 0 {
		return head[:i+1]
	}
	return head
}

func yarnKey(line string) string {
	if rest, ok := strings.CutPrefix(line, `"`); ok {
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	name, _, _ := strings.Cut(line, " ")
	return strings.TrimSuffix(name, ":")
}

// pnpmOptional names the entries that are for one platform, or optional.
func pnpmOptional(b []byte) map[nameVersion]bool {
	out := map[nameVersion]bool{}
	var at nameVersion
	for _, line := range strings.Split(string(b), "\n") {
		text := strings.TrimSpace(line)
		switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
		case indent == 2 && strings.HasSuffix(strings.TrimSuffix(text, " {}"), ":"):
			at = pnpmKey(strings.TrimSuffix(strings.TrimSuffix(text, " {}"), ":"))
		case indent == 4 && at.version != "":
			if strings.HasPrefix(text, "os:") || strings.HasPrefix(text, "cpu:") || strings.HasPrefix(text, "libc:") || text == "optional: true" {
				out[at] = true
			}
		}
	}
	return out
}

// pnpmKey reads "/@a/b@1.0(peer@2)", "'@a/b@1.0'" and, of old, "/@a/b/1.0_peer".
func pnpmKey(s string) nameVersion {
	s = strings.TrimPrefix(strings.Trim(s, `'"`), "/")
	s, _, _ = strings.Cut(s, "(")
	i := strings.LastIndex(s, "@")
	if i <= 0 {
		i = strings.LastIndex(s, "/")
	}
	if i <= 0 {
		return nameVersion{}
	}
	version, _, _ := strings.Cut(s[i+1:], "_")
	return nameVersion{s[:i], version}
}

// bunEntry is one package on its line, with what comes after its name.
var bunEntry = regexp.MustCompile(`(?m)^\s*"[^"]*":\s*\["(@?[^@"]+)@([^"]+)",(.*)$`)

func bunOptional(b []byte) map[nameVersion]bool {
	out := map[nameVersion]bool{}
	for _, m := range bunEntry.FindAllSubmatch(b, -1) {
		if rest := string(m[3]); strings.Contains(rest, `"os":`) || strings.Contains(rest, `"cpu":`) {
			out[nameVersion{string(m[1]), string(m[2])}] = true
		}
	}
	return out
}
