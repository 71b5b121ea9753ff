package report

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// WriteExplained tells in words why an image has a flaw, or why it has not.
func WriteExplained(out io.Writer, format string, x inventory.Explained, o Options) error {
	switch format {
	case "json":
		return encode(out, x)
	case "text":
	default:
		return inventory.Errorf(inventory.ErrInvalid, "unknown format %q", format).WithRemedy("choose one of text, json")
	}
	w := bufio.NewWriter(out)
	line := func(name, value string) {
		if value != "" {
			_, _ = w.WriteString("  " + name + strings.Repeat(" ", max(12-len(name), 1)) + inventory.Printable(value) + "\n")
		}
	}
	_, _ = w.WriteString(paint(inventory.Printable(x.Reason), bold, o.Color) + "\n")
	line("image", strings.TrimSpace(x.Digest+" "+x.Platform))
	if x.AdvisoriesAsOf != nil {
		line("advisories", "as of "+minute(*x.AdvisoriesAsOf)+" UTC")
	}
	for _, b := range x.Findings {
		f := b.Finding
		_, _ = w.WriteString("\n" + paint(inventory.Printable(f.Package+" "+f.Version), bold, o.Color) + "\n")
		line("because", strings.TrimPrefix(b.Reason, "affected: "))
		line("severity", strings.TrimSpace(f.Severity+" "+sourced(f)))
		line("fixed in", strings.Join(f.FixedVersions, ", "))
		if len(f.FixedVersions) == 0 {
			line("fixed in", "no version that is known")
		}
		line("summary", f.Summary)
		line("aliases", strings.Join(f.Aliases, ", "))
		line("note", note(f).text)
		if f.EPSS != nil {
			line("exploited", strconv.FormatFloat(f.EPSS.Score*100, 'f', 2, 64)+" % likely within 30 days (EPSS)")
		}
		for _, path := range f.Locations {
			line("file", path)
		}
		line("layer", itoa(f.Layer)+" "+f.LayerDiffID)
		line("made by", b.Instruction)
		line("from", fromWhere(b))
		line("purl", f.PURL)
		line("first seen", day(f.FirstSeen))
		line("more", link(f.ID))
	}
	if len(x.Others) > 0 {
		_, _ = w.WriteString("\n" + paint("Packages that it names and that do not have it:", bold, o.Color) + "\n")
	}
	for _, j := range x.Others {
		line("-", j.PURL)
		line("", j.Reason)
	}
	return w.Flush()
}

func fromWhere(b inventory.Because) string {
	switch {
	case b.Base != "":
		return "base image " + b.Base
	case b.Origin == "base":
		return "base image"
	}
	return "the image's own layers"
}
