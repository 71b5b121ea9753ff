package dashboard

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

type comparePage struct {
	report.Comparison
	Sides      []comparedSide
	Fixed      findingPart
	New        findingPart
	Same       findingPart
	Packages   []report.PackageChange
	MoreOf     int // package changes that are not shown
	Config     []report.ConfigChange
	Swap       string
	Repository string
	Name       string
	Key        string
	Ready      bool // both are analysed
}

type comparedSide struct {
	Word string
	report.Side
	Link  string
	Tag   string
	Chips []chip
	State string
	Why   string
}

// findingPart is one of the three lists of findings.
type findingPart struct {
	Rows  []findingRow
	Count int // distinct flaws
	More  int // rows that are not shown
}

// changesShown bounds each list of a comparison, so that the page stays small.
const changesShown = 40

// compare shows what changed from image a to image b.
func (d *Dashboard) compare(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	refs := slices.DeleteFunc([]string{q.Get("a"), q.Get("b")}, func(s string) bool { return s == "" })
	if chosen := q["tag"]; len(refs) == 0 {
		refs = slices.Clone(chosen)
		slices.Reverse(refs) // a repository's page has the newest first
	}
	if len(refs) != 2 {
		return inventory.Errorf(inventory.ErrInvalid, "two tags are compared, and %d were chosen", len(refs)).WithRemedy("choose two on the repository's page")
	}
	a, err := d.Reader.Open(r.Context(), refs[0], q.Get("platform"))
	if err != nil {
		return err
	}
	b, err := d.Reader.Open(r.Context(), refs[1], q.Get("platform"))
	if err != nil {
		return err
	}
	p := comparePage{
		Comparison: report.Compare(a, b), Swap: d.Base + "/compare?" + url.Values{"a": {refs[1]}, "b": {refs[0]}}.Encode(),
		Repository: d.repositoryLink(b.Tag), Name: b.Tag.Image, Key: b.Tag.RepositoryKey,
		Ready: a.Image.State == inventory.StateAnalysed && b.Image.State == inventory.StateAnalysed,
	}
	p.Sides = []comparedSide{d.side("From", p.A, a), d.side("To", p.B, b)}
	p.Fixed, p.New, p.Same = d.partOf(p.Comparison.Fixed), d.partOf(p.Comparison.New), d.partOf(p.Unchanged)
	p.Packages = p.Comparison.Packages[:min(len(p.Comparison.Packages), changesShown)]
	p.MoreOf = len(p.Comparison.Packages) - len(p.Packages)
	p.Config = p.Comparison.Config[:min(len(p.Comparison.Config), changesShown)]
	return d.show(w, r, v, http.StatusOK, "compare", frame{Title: "Compare " + a.Tag.Tag + " with " + b.Tag.Tag, Menu: "images"}, p)
}

func (d *Dashboard) side(word string, s report.Side, of inventory.Dossier) comparedSide {
	out := comparedSide{Word: word, Side: s, Link: d.reportLink(of.Tag.Reference), Tag: of.Tag.Image + ":" + of.Tag.Tag, State: of.Image.State, Why: of.Image.Problem}
	if of.Image.State == inventory.StateAnalysed {
		out.Chips = chips(s.Summary)
	}
	return out
}

func (d *Dashboard) partOf(list []inventory.Finding) findingPart {
	list = slices.Clone(list)
	order(list, "")
	rows := merge(list)
	p := findingPart{Rows: rows[:min(len(rows), changesShown)], Count: inventory.Count(list).Total()}
	p.More = len(rows) - len(p.Rows)
	for i := range p.Rows {
		p.Rows[i].Fleet = d.vulnerabilityLink(p.Rows[i].ID)
	}
	return p
}
