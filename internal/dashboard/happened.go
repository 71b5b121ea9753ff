package dashboard

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// happening is one line of what changed: events of one kind and flaw, whatever packages
// they are about.
type happening struct {
	At    time.Time
	Word  string // "Became fixable"
	What  string // a flaw or a reference
	Link  string
	Note  string
	count int
}

// happenings puts events together that differ by nothing but the package.
func (d *Dashboard) happenings(events []inventory.FleetEvent) []happening {
	type same struct{ kind, flaw, severity string }
	at := map[same]int{}
	var out []happening
	for _, e := range events {
		word, known := eventWords()[e.Kind]
		if !known {
			continue
		}
		key := same{e.Kind, e.Flaw, e.Severity}
		if i, again := at[key]; again && e.Flaw != "" {
			out[i].count++
			continue
		}
		at[key] = len(out)
		h := happening{At: e.At, Word: word, What: e.Flaw, Note: e.Severity, count: 1}
		if e.Flaw != "" {
			h.Link = d.vulnerabilityLink(e.Flaw)
		}
		if e.Was != "" {
			h.Note = "was " + e.Was + ", is " + e.Severity
		}
		if e.Problem != "" {
			h.Note = e.Problem
		}
		out = append(out, h)
	}
	for i := range out {
		if out[i].What != "" && out[i].count > 1 {
			out[i].Note += fmt.Sprintf(" · %s package versions", number(out[i].count))
		}
	}
	return out
}

// eventWords are the events that pages tell, in words.
func eventWords() map[string]string {
	return map[string]string{
		"finding_appeared": "New", "became_fixable": "Can be fixed now", "severity_changed": "Rated differently",
		"finding_withdrawn": "Withdrawn", "entered_kev": "Known exploited now",
		"image_indexed": "Analysed", "image_failed": "Failed",
	}
}
