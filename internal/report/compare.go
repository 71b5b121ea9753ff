package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Comparison is how an image differs from another: from A (what was) to B (what is).
type Comparison struct {
	A         Side                `json:"a"`
	B         Side                `json:"b"`
	Fixed     []inventory.Finding `json:"fixed"`     // of A, no longer in B
	New       []inventory.Finding `json:"new"`       // of B, not in A
	Unchanged []inventory.Finding `json:"unchanged"` // as they are in B
	Packages  []PackageChange     `json:"packages"`
	Config    []ConfigChange      `json:"config"`
	// Unknown is how many packages of each could not be assessed.
	UnknownA int `json:"unknown_a"`
	UnknownB int `json:"unknown_b"`
}

// Side is one of the two images.
type Side struct {
	Reference string           `json:"reference"`
	Digest    string           `json:"digest"`
	Platform  string           `json:"platform,omitempty"`
	Packages  int              `json:"packages"`
	Size      int64            `json:"size"` // compressed bytes
	Summary   inventory.Counts `json:"summary"`
}

// PackageChange is a package that came, went or has another version.
type PackageChange struct {
	Change string   `json:"change"` // added, removed, changed
	Type   string   `json:"type"`   // of the purl
	Name   string   `json:"name"`
	Before []string `json:"before"` // versions in A
	After  []string `json:"after"`  // versions in B
}

// ConfigChange is a setting of the image that is not the same.
type ConfigChange struct {
	Setting string `json:"setting"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

// Compare compares what is known of two images. A flaw is the same when its id and the
// package's name are, whatever version the package has.
func Compare(a, b inventory.Dossier) Comparison {
	c := Comparison{
		A: sideOf(a), B: sideOf(b),
		Packages: comparePackages(a.SBOM.Packages, b.SBOM.Packages), Config: compareConfig(a.Image.Config, b.Image.Config),
		UnknownA: len(a.Report.Unknown), UnknownB: len(b.Report.Unknown),
		Fixed: []inventory.Finding{}, New: []inventory.Finding{}, Unchanged: []inventory.Finding{},
	}
	before, after := flawSet(a.Report.Findings), flawSet(b.Report.Findings)
	for _, f := range bySeverity(a.Report.Findings) {
		if !after[flawKey(f)] {
			c.Fixed = append(c.Fixed, f)
		}
	}
	for _, f := range bySeverity(b.Report.Findings) {
		if before[flawKey(f)] {
			c.Unchanged = append(c.Unchanged, f)
		} else {
			c.New = append(c.New, f)
		}
	}
	return c
}

func sideOf(d inventory.Dossier) Side {
	reference := d.Report.Reference
	if reference == "" {
		reference = d.Tag.Reference
	}
	return Side{
		Reference: reference, Digest: d.Image.Digest, Platform: d.Image.Platform,
		Packages: len(d.SBOM.Packages), Size: d.Image.Size, Summary: d.Report.Summary,
	}
}

func flawKey(f inventory.Finding) [2]string { return [2]string{f.ID, f.Package} }

func flawSet(findings []inventory.Finding) map[[2]string]bool {
	out := make(map[[2]string]bool, len(findings))
	for _, f := range findings {
		out[flawKey(f)] = true
	}
	return out
}

func comparePackages(a, b []inventory.Placed) []PackageChange {
	before, after := versionsOf(a), versionsOf(b)
	out := []PackageChange{}
	for key, versions := range before {
		now := after[key]
		switch {
		case len(now) == 0:
			out = append(out, PackageChange{"removed", key[0], key[1], versions, []string{}})
		case !slices.Equal(versions, now):
			out = append(out, PackageChange{"changed", key[0], key[1], versions, now})
		}
	}
	for key, versions := range after {
		if len(before[key]) == 0 {
			out = append(out, PackageChange{"added", key[0], key[1], []string{}, versions})
		}
	}
	slices.SortFunc(out, func(a, b PackageChange) int {
		return cmp.Or(cmp.Compare(a.Change, b.Change), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// versionsOf are the versions of each package, sorted, each once.
func versionsOf(packages []inventory.Placed) map[[2]string][]string {
	out := map[[2]string][]string{}
	for _, p := range packages {
		kind, _, _ := strings.Cut(strings.TrimPrefix(p.PURL, "pkg:"), "/")
		key := [2]string{kind, p.Name}
		if i, found := slices.BinarySearch(out[key], p.Version); !found {
			out[key] = slices.Insert(out[key], i, p.Version)
		}
	}
	return out
}

func compareConfig(a, b inventory.Config) []ConfigChange {
	out := []ConfigChange{}
	add := func(setting, before, after string) {
		if before != after {
			out = append(out, ConfigChange{setting, before, after})
		}
	}
	add("user", a.User, b.User)
	add("entrypoint", strings.Join(a.Entrypoint, " "), strings.Join(b.Entrypoint, " "))
	add("cmd", strings.Join(a.Cmd, " "), strings.Join(b.Cmd, " "))
	add("working_dir", a.WorkingDir, b.WorkingDir)
	add("ports", strings.Join(a.Ports, " "), strings.Join(b.Ports, " "))
	add("volumes", strings.Join(a.Volumes, " "), strings.Join(b.Volumes, " "))
	for _, name := range keysOf(assignments(a.Env), assignments(b.Env)) {
		add("env "+name, assignments(a.Env)[name], assignments(b.Env)[name])
	}
	for _, name := range keysOf(a.Labels, b.Labels) {
		add("label "+name, a.Labels[name], b.Labels[name])
	}
	return out
}

func assignments(list []string) map[string]string {
	out := make(map[string]string, len(list))
	for _, one := range list {
		name, value, _ := strings.Cut(one, "=")
		out[name] = value
	}
	return out
}

func keysOf(maps ...map[string]string) []string {
	var out []string
	for _, m := range maps {
		for key := range m {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// WriteComparison writes a comparison as text, markdown or json.
func WriteComparison(out io.Writer, format string, c Comparison, o Options) error {
	switch format {
	case "json":
		return encode(out, c)
	case "text", "table", "markdown":
	default:
		return inventory.Errorf(inventory.ErrInvalid, "unknown format %q", format).WithRemedy("choose one of text, markdown, json")
	}
	w := bufio.NewWriter(out)
	s := sheet{w: w, markdown: format == "markdown", color: o.Color}
	s.title("Comparison")
	s.table([]string{"", "A", "B", "CHANGE"}, comparedSides(c))
	for _, part := range []struct {
		name     string
		findings []inventory.Finding
	}{{"Fixed", c.Fixed}, {"New", c.New}} {
		s.title(fmt.Sprintf("%s: %s", part.name, plural(len(part.findings), "finding")))
		s.table([]string{"SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED IN"}, findingRows(part.findings))
	}
	s.title("Unchanged: " + plural(len(c.Unchanged), "finding"))
	s.title("Packages: " + plural(len(c.Packages), "change"))
	rows := [][]cell{}
	for _, p := range c.Packages {
		rows = append(rows, []cell{text(p.Change), text(p.Type), text(p.Name), text(strings.Join(p.Before, ", ")), text(strings.Join(p.After, ", "))})
	}
	s.table([]string{"CHANGE", "TYPE", "PACKAGE", "BEFORE", "AFTER"}, rows)
	s.title("Configuration: " + plural(len(c.Config), "change"))
	rows = rows[:0]
	for _, one := range c.Config {
		rows = append(rows, []cell{text(one.Setting), text(one.Before), text(one.After)})
	}
	s.table([]string{"SETTING", "BEFORE", "AFTER"}, rows)
	return w.Flush()
}

func findingRows(findings []inventory.Finding) [][]cell {
	rows := make([][]cell, 0, len(findings))
	for _, f := range findings {
		rows = append(rows, []cell{
			colored(f.Severity, severityColor(f.Severity)), text(f.ID), text(f.Package), text(f.Version), text(strings.Join(f.FixedVersions, ", ")),
		})
	}
	return rows
}

func comparedSides(c Comparison) [][]cell {
	rows := [][]cell{
		{text("image"), text(c.A.Reference), text(c.B.Reference), {}},
		{text("digest"), text(short(c.A.Digest)), text(short(c.B.Digest)), {}},
		{text("platform"), text(c.A.Platform), text(c.B.Platform), {}},
		{text("size"), text(bytesOf(c.A.Size)), text(bytesOf(c.B.Size)), text(signedBytes(c.B.Size - c.A.Size))},
		numbers("packages", c.A.Packages, c.B.Packages),
	}
	a, b := severityCounts(c.A.Summary), severityCounts(c.B.Summary)
	for i, name := range inventory.Severities {
		rows = append(rows, numbers(name, a[i], b[i]))
	}
	return append(rows, numbers("fixable", c.A.Summary.Fixable, c.B.Summary.Fixable), numbers("not assessed", c.UnknownA, c.UnknownB))
}

func severityCounts(c inventory.Counts) [5]int {
	return [5]int{c.Critical, c.High, c.Medium, c.Low, c.Unspecified}
}

func numbers(name string, a, b int) []cell {
	change := ""
	if a != b {
		change = fmt.Sprintf("%+d", b-a)
	}
	return []cell{text(name), text(itoa(a)), text(itoa(b)), text(change)}
}

func signedBytes(n int64) string {
	switch {
	case n > 0:
		return "+" + bytesOf(n)
	case n < 0:
		return "-" + bytesOf(-n)
	}
	return ""
}
