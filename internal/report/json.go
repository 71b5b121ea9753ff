package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// whole makes every array of a report be there: consumers never meet null.
func whole(r inventory.Report) inventory.Report {
	r.Findings = bySeverity(r.Findings)
	if r.Findings == nil {
		r.Findings = []inventory.Finding{}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		for _, list := range []*[]string{&f.Aliases, &f.FixedVersions, &f.Locations} {
			if *list == nil {
				*list = []string{}
			}
		}
	}
	if r.Unknown == nil {
		r.Unknown = []inventory.Unknown{}
	}
	return r
}

func writeJSON(w io.Writer, r inventory.Report) error { return encode(w, whole(r)) }

// encode writes indented JSON. Text keeps its characters; none of it is meant for a page.
func encode(w io.Writer, value any) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return out.Flush()
}

// writeJSONLines writes one finding a line, each with the image that it is of.
func writeJSONLines(w io.Writer, r inventory.Report) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	r = whole(r)
	for _, f := range r.Findings {
		line := struct {
			Reference string `json:"reference"`
			Digest    string `json:"digest"`
			Platform  string `json:"platform,omitempty"`
			inventory.Finding
		}{r.Reference, r.Digest, r.Platform, f}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("write JSON lines: %w", err)
		}
	}
	for _, u := range r.Unknown {
		line := struct {
			Reference string            `json:"reference"`
			Digest    string            `json:"digest"`
			Unknown   inventory.Unknown `json:"unknown"`
		}{r.Reference, r.Digest, u}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("write JSON lines: %w", err)
		}
	}
	return out.Flush()
}
