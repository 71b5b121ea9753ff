package match

import (
	"strconv"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// rating is how bad a flaw is and who says so.
type rating struct {
	severity string
	source   string
	vector   string
	score    float64
}

// rated is one record's word on a flaw, with the entry that spoke of the package.
type rated struct {
	advisory *inventory.Advisory
	entry    *inventory.Affected // may be nil
}

// rate chooses the rating: the distribution's own, else CVSS (v4, v3, v2, a bare
// score), else the word of another source, else none. Vector and score stay beside the
// distribution's rating. from is in order of preference.
func rate(base string, from []rated) rating {
	best := byCVSS(from)
	if familyOf(base).distro {
		for _, r := range from {
			if own := distroWord(base, r); own != "" {
				best.severity, best.source = own, base
				return best
			}
		}
	}
	if best.severity != inventory.Unspecified {
		return best
	}
	for _, r := range from {
		for _, s := range r.all("word") {
			if severity := wordSeverity(s.Score); severity != "" {
				best.severity, best.source = severity, sourceName(r.advisory, s)
				return best
			}
		}
	}
	return best
}

func byCVSS(from []rated) rating {
	for _, kind := range [...]string{"CVSS_V4", "CVSS_V3", "CVSS_V2", "score"} {
		for _, r := range from {
			for _, s := range r.all(kind) {
				score, version, ok := scoreOf(kind, s.Score)
				if !ok {
					continue
				}
				found := rating{severity: scoreSeverity(version, score), score: score, source: "CVSS " + version + " (" + sourceName(r.advisory, s) + ")"}
				if kind == "score" {
					found.source = "CVSS score (" + sourceName(r.advisory, s) + ")"
				} else {
					found.vector = s.Score
				}
				return found
			}
		}
	}
	return rating{severity: inventory.Unspecified}
}

// all are the ratings of one kind, the entry's before the record's.
func (r rated) all(kind string) []inventory.Severity {
	var out []inventory.Severity
	if r.entry != nil {
		for _, s := range r.entry.Severity {
			if s.Type == kind {
				out = append(out, s)
			}
		}
	}
	for _, s := range r.advisory.Severity {
		if s.Type == kind {
			out = append(out, s)
		}
	}
	return out
}

// scoreOf computes a vector's score and says which version of CVSS it is.
func scoreOf(kind, text string) (score float64, version string, ok bool) {
	switch {
	case kind == "score":
		v, err := strconv.ParseFloat(text, 64)
		return v, "", err == nil && v > 0 && v <= 10
	case strings.HasPrefix(text, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(text)
		if err != nil {
			return 0, "", false
		}
		return v.Score(), "4.0", true
	case strings.HasPrefix(text, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(text)
		if err != nil {
			return 0, "", false
		}
		return v.BaseScore(), "3.1", true
	case strings.HasPrefix(text, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(text)
		if err != nil {
			return 0, "", false
		}
		return v.BaseScore(), "3.0", true
	case kind == "CVSS_V2":
		v, err := gocvss20.ParseVector(strings.Trim(text, "()"))
		if err != nil {
			return 0, "", false
		}
		return v.BaseScore(), "2.0", true
	}
	return 0, "", false
}

func scoreSeverity(version string, score float64) string {
	switch {
	case version == "2.0" && score >= 7:
		return inventory.High
	case score >= 9:
		return inventory.Critical
	case score >= 7:
		return inventory.High
	case score >= 4:
		return inventory.Medium
	case score > 0:
		return inventory.Low
	}
	return inventory.Unspecified
}

// distroWord is a distribution's own rating, "" when it has none (yet).
func distroWord(base string, r rated) string {
	if r.entry == nil {
		return ""
	}
	if own, _ := split(r.entry.Ecosystem); own != base {
		return ""
	}
	if severity := wordSeverity(r.entry.Urgency); severity != "" {
		return severity
	}
	for _, kind := range [...]string{base, "word"} {
		for _, s := range r.all(kind) {
			if severity := wordSeverity(s.Score); severity != "" {
				return severity
			}
		}
	}
	return ""
}

// wordSeverity reads the words that sources use.
func wordSeverity(word string) string {
	switch strings.ToLower(strings.TrimRight(word, "*")) {
	case "critical":
		return inventory.Critical
	case "high", "important":
		return inventory.High
	case "medium", "moderate":
		return inventory.Medium
	case "low", "minor", "negligible", "unimportant":
		return inventory.Low
	}
	return ""
}

// sourceName names the database of a record.
func sourceName(a *inventory.Advisory, s inventory.Severity) string {
	if s.Source != "" {
		return clip(s.Source)
	}
	prefix, _, _ := strings.Cut(a.ID, "-")
	switch prefix {
	case "GHSA":
		return "GitHub"
	case "GO":
		return "Go"
	case "PYSEC":
		return "PyPA"
	case "RUSTSEC":
		return "RustSec"
	case "CVE":
		return "NVD"
	case "DEBIAN", "DSA", "DLA", "DTSA":
		return "Debian"
	case "UBUNTU", "USN":
		return "Ubuntu"
	case "ALPINE":
		return "Alpine"
	case "RHSA", "RHBA", "RHEA":
		return "Red Hat"
	case "ALSA", "ALBA", "ALEA":
		return "AlmaLinux"
	case "RLSA", "RXSA":
		return "Rocky Linux"
	}
	return a.ID
}
