package report

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// The part of GitLab's container scanning report that it reads, schema 15.
type gitlabReport struct {
	Version         string          `json:"version"`
	Scan            gitlabScan      `json:"scan"`
	Vulnerabilities []gitlabFinding `json:"vulnerabilities"`
	Remediations    []struct{}      `json:"remediations"`
}

type gitlabScan struct {
	Analyzer  gitlabTool `json:"analyzer"`
	Scanner   gitlabTool `json:"scanner"`
	Type      string     `json:"type"`
	StartTime string     `json:"start_time"`
	EndTime   string     `json:"end_time"`
	Status    string     `json:"status"`
	// Messages say what was not assessed.
	Messages []gitlabMessage `json:"messages"`
}

type gitlabMessage struct {
	Level string `json:"level"`
	Value string `json:"value"`
}

type gitlabTool struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Vendor  struct {
		Name string `json:"name"`
	} `json:"vendor"`
}

type gitlabFinding struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Description string             `json:"description"`
	Severity    string             `json:"severity"`
	Solution    string             `json:"solution,omitempty"`
	Location    gitlabLocation     `json:"location"`
	Identifiers []gitlabIdentifier `json:"identifiers"`
	Links       []gitlabLink       `json:"links"`
}

type gitlabLocation struct {
	Dependency struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Version string `json:"version"`
	} `json:"dependency"`
	OperatingSystem string `json:"operating_system"`
	Image           string `json:"image"`
}

type gitlabIdentifier struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
	URL   string `json:"url,omitempty"`
}

type gitlabLink struct {
	URL string `json:"url"`
}

func writeGitLab(w io.Writer, r inventory.Report, o Options) error {
	tool := gitlabTool{ID: "tallyman", Name: "Tallyman", Version: o.Version}
	if tool.Version == "" {
		tool.Version = "unknown"
	}
	tool.Vendor.Name = "Tallyman"
	at := o.time().Format("2006-01-02T15:04:05")
	doc := gitlabReport{
		Version:         "15.0.7",
		Scan:            gitlabScan{tool, tool, "container_scanning", at, at, "success", []gitlabMessage{}},
		Vulnerabilities: []gitlabFinding{}, Remediations: []struct{}{},
	}
	for _, u := range r.Unknown {
		doc.Scan.Messages = append(doc.Scan.Messages, gitlabMessage{"warn", inventory.Printable(u.PURL + ": " + u.Reason)})
	}
	for _, f := range bySeverity(r.Findings) {
		if f.Exception == nil {
			doc.Vulnerabilities = append(doc.Vulnerabilities, gitlabOf(r, f, o))
		}
	}
	return encode(w, doc)
}

func gitlabOf(r inventory.Report, f inventory.Finding, o Options) gitlabFinding {
	id := sha256.Sum256([]byte(r.Reference + "\x00" + f.ID + "\x00" + f.PURL))
	out := gitlabFinding{
		ID:   hex.EncodeToString(id[:]),
		Name: f.ID + " in " + f.Package, Description: f.Summary, Severity: gitlabSeverity(f.Severity),
		Links: []gitlabLink{{link(url.PathEscape(f.ID))}},
	}
	if out.Description == "" {
		out.Description = out.Name
	}
	for _, more := range []string{note(f).text, predicted(f)} {
		if more != "" {
			out.Description += "\n" + more
		}
	}
	if len(f.FixedVersions) > 0 {
		out.Solution = "Upgrade " + f.Package + " from " + f.Version + " to " + f.FixedVersions[0]
	}
	out.Location.Dependency.Package.Name = f.Package
	out.Location.Dependency.Version = f.Version
	out.Location.OperatingSystem = operatingSystem(f.PURL, o)
	out.Location.Image = r.Reference
	for _, id := range append([]string{f.ID}, f.Aliases...) {
		out.Identifiers = append(out.Identifiers, gitlabIdentifier{identifierType(id), id, id, link(url.PathEscape(id))})
	}
	return out
}

func identifierType(id string) string {
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "CVE", "GHSA", "RHSA", "USN", "ELSA":
		return strings.ToLower(kind)
	}
	return "osv"
}

func gitlabSeverity(severity string) string {
	switch severity {
	case inventory.Critical, inventory.High, inventory.Medium, inventory.Low:
		return strings.ToUpper(severity[:1]) + severity[1:]
	}
	return "Unknown"
}

// operatingSystem is "debian 12", of the bill of materials or of the purl.
func operatingSystem(purl string, o Options) string {
	if o.SBOM != nil && o.SBOM.Distro.ID != "" {
		return strings.TrimSpace(o.SBOM.Distro.ID + " " + o.SBOM.Distro.Version)
	}
	if u, err := url.Parse(purl); err == nil {
		if distro := u.Query().Get("distro"); distro != "" {
			return distro
		}
	}
	return "unknown"
}
