package notify

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	// mostSingle is how many flaws of one kind become messages of their own; more come
	// in one.
	mostSingle = 5
	// mostListed is how many flaws one message lists.
	mostListed = 50
	// mostReferences is how many images one message names.
	mostReferences = 5
)

// composer makes the drafts for one channel.
type composer struct {
	store   Store
	channel inventory.Channel
	now     time.Time
}

// flawNews is everything that one batch says of one flaw.
type flawNews struct {
	id, severity, was string
	purls             []string
}

func (c composer) compose(ctx context.Context, news []inventory.News) ([]inventory.Draft, error) {
	var drafts []inventory.Draft
	flaws := map[string]map[string]*flawNews{}
	var failed, spotted []inventory.News
	for _, one := range news {
		if len(c.rules(one.Kind)) == 0 {
			continue
		}
		switch {
		case one.Kind == inventory.NewsImageFailed:
			failed = append(failed, one)
		case one.Kind == inventory.NewsWatch:
			spotted = append(spotted, one)
		case one.Kind == inventory.NewsNew && one.Digest != "":
			made, err := c.arrival(ctx, one)
			if err != nil {
				return nil, err
			}
			drafts = append(drafts, made...)
		case one.Flaw != "":
			if flaws[one.Kind] == nil {
				flaws[one.Kind] = map[string]*flawNews{}
			}
			gather(flaws[one.Kind], one)
		default:
			drafts = append(drafts, c.platform(one))
		}
	}
	for _, kind := range inventory.NewsKinds {
		made, err := c.flaws(ctx, kind, flaws[kind])
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, made...)
	}
	made, err := c.failures(ctx, failed)
	if err != nil {
		return nil, err
	}
	more, err := c.spotted(ctx, spotted)
	return slices.Concat(drafts, made, more), err
}

func gather(byID map[string]*flawNews, one inventory.News) {
	f := byID[one.Flaw]
	if f == nil {
		f = &flawNews{id: one.Flaw, severity: one.Severity, was: one.Was}
		byID[one.Flaw] = f
	}
	if inventory.SeverityRank(one.Severity) < inventory.SeverityRank(f.severity) {
		f.severity, f.was = one.Severity, one.Was
	}
	f.purls = append(f.purls, one.PURL)
}

// rules are those that ask for a kind of news.
func (c composer) rules(kind string) []inventory.Rule {
	var out []inventory.Rule
	for _, r := range c.channel.Rules {
		if slices.Contains(r.Events, kind) {
			out = append(out, r)
		}
	}
	return out
}

// enough says that a severity is what a rule asks for.
func enough(r inventory.Rule, severity string) bool {
	least := cmp.Or(r.Severity, inventory.High)
	return inventory.SeverityRank(severity) <= inventory.SeverityRank(least)
}

// matches says that a rule looks at a repository. A pattern without a slash is one on
// the repository key.
func matches(r inventory.Rule, repository string) bool {
	if r.Repository == "" {
		return true
	}
	if !strings.Contains(r.Repository, "/") {
		repository, _, _ = strings.Cut(repository, "/")
	}
	ok, err := doublestar.Match(r.Repository, repository)
	return ok && err == nil
}

func within(rules []inventory.Rule) func(string) bool {
	return func(repository string) bool {
		return slices.ContainsFunc(rules, func(r inventory.Rule) bool { return matches(r, repository) })
	}
}

// worst is the severity that counts for a rule: what is exploited is critical whatever
// its score, and a flaw that was critical is of interest when it no longer is.
func (f flawNews) worst(kind string) string {
	switch {
	case kind == inventory.NewsKEV:
		return inventory.Critical
	case f.was != "" && inventory.SeverityRank(f.was) < inventory.SeverityRank(f.severity):
		return f.was
	}
	return f.severity
}

func (f flawNews) subject(kind string) string {
	if kind == inventory.NewsSeverity {
		return kind + "|" + f.id + "|" + f.severity
	}
	return kind + "|" + f.id
}

// flaws makes one message for each flaw, or one for all of them when they are many.
func (c composer) flaws(ctx context.Context, kind string, byID map[string]*flawNews) ([]inventory.Draft, error) {
	var subjects []string
	for _, f := range byID {
		subjects = append(subjects, f.subject(kind))
	}
	if len(subjects) == 0 {
		return nil, nil
	}
	told, err := c.store.Told(ctx, c.channel.ID, subjects)
	if err != nil {
		return nil, err
	}
	var fresh []flawHit
	for _, f := range byID {
		if told[f.subject(kind)] {
			continue
		}
		hit, err := c.hit(ctx, kind, *f)
		if err != nil {
			return nil, err
		}
		if hit.spread.Images > 0 {
			fresh = append(fresh, hit)
		}
	}
	slices.SortFunc(fresh, func(a, b flawHit) int {
		return cmp.Or(cmp.Compare(inventory.SeverityRank(a.severity), inventory.SeverityRank(b.severity)), strings.Compare(b.id, a.id))
	})
	if err := c.describe(ctx, fresh); err != nil {
		return nil, err
	}
	if len(fresh) > mostSingle {
		draft, err := c.together(ctx, kind, fresh)
		return []inventory.Draft{draft}, err
	}
	drafts := make([]inventory.Draft, 0, len(fresh))
	for _, f := range fresh {
		n := c.notice(kind, []inventory.NoticeFlaw{f.flaw}, f.spread)
		drafts = append(drafts, inventory.Draft{Channel: c.channel.ID, Subjects: []string{f.subject(kind)}, Notice: n})
	}
	return drafts, nil
}

// flawHit is a flaw that a channel is to be told of.
type flawHit struct {
	flawNews
	rules  []inventory.Rule
	spread inventory.Spread
	flaw   inventory.NoticeFlaw
}

// hit finds out which images of interest a flaw hits.
func (c composer) hit(ctx context.Context, kind string, f flawNews) (flawHit, error) {
	hit := flawHit{flawNews: f}
	for _, r := range c.rules(kind) {
		if enough(r, f.worst(kind)) {
			hit.rules = append(hit.rules, r)
		}
	}
	if len(hit.rules) == 0 {
		return hit, nil
	}
	flaws, purls := hit.ask(kind)
	var err error
	hit.spread, err = c.store.Spread(ctx, flaws, purls, within(hit.rules))
	return hit, err
}

// ask is what the images of a flaw are found by: what was withdrawn, nothing has any more.
func (h flawHit) ask(kind string) (flaws, purls []string) {
	if kind == inventory.NewsWithdrawn {
		return nil, h.purls
	}
	return []string{h.id}, nil
}

// describe fills in what is known of the first of the flaws.
func (c composer) describe(ctx context.Context, hits []flawHit) error {
	ids := make([]string, 0, mostListed)
	for _, h := range hits[:min(len(hits), mostListed)] {
		ids = append(ids, h.id)
	}
	known, err := c.store.Flaws(ctx, ids)
	if err != nil {
		return err
	}
	for i := range hits {
		h := &hits[i]
		h.flaw = known[h.id]
		h.flaw.ID, h.flaw.Severity, h.flaw.Was = h.id, cmp.Or(h.flaw.Severity, h.severity), h.was
	}
	return nil
}

// together makes one message of many flaws.
func (c composer) together(ctx context.Context, kind string, hits []flawHit) (inventory.Draft, error) {
	draft := inventory.Draft{Channel: c.channel.ID}
	var list []inventory.NoticeFlaw
	var flaws, purls []string
	var rules []inventory.Rule
	for _, h := range hits {
		list = append(list, h.flaw)
		draft.Subjects = append(draft.Subjects, h.subject(kind))
		f, p := h.ask(kind)
		flaws, purls, rules = append(flaws, f...), append(purls, p...), append(rules, h.rules...)
	}
	spread, err := c.store.Spread(ctx, flaws, purls, within(unique(rules)))
	draft.Notice = c.notice(kind, list, spread)
	return draft, err
}

func unique(rules []inventory.Rule) []inventory.Rule {
	var out []inventory.Rule
	for _, r := range rules {
		if !slices.ContainsFunc(out, func(o inventory.Rule) bool { return o.Repository == r.Repository }) {
			out = append(out, r)
		}
	}
	return out
}

// arrival makes a message of what an image brought that neither its repository had nor
// the channel was told of.
func (c composer) arrival(ctx context.Context, one inventory.News) ([]inventory.Draft, error) {
	a, err := c.store.Arrival(ctx, one.Digest)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	spread := inventory.Spread{Images: 1}
	for _, p := range a.Places {
		news := false
		for _, r := range c.rules(inventory.NewsNew) {
			if !matches(r, p.Repository) {
				continue
			}
			for _, f := range a.Flaws {
				if enough(r, f.Severity) && !p.Had[f.ID] {
					wanted[f.ID], news = true, true
				}
			}
		}
		if news && len(spread.References) < mostReferences {
			spread.References = append(spread.References, p.Reference)
		}
	}
	var subjects []string
	var list []inventory.NoticeFlaw
	for _, f := range a.Flaws {
		if wanted[f.ID] {
			subjects = append(subjects, inventory.NewsNew+"|"+f.ID)
		}
	}
	told, err := c.store.Told(ctx, c.channel.ID, subjects)
	if err != nil {
		return nil, err
	}
	for _, f := range a.Flaws {
		if wanted[f.ID] && !told[inventory.NewsNew+"|"+f.ID] {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	n := c.notice(inventory.NewsNew, list, spread)
	n.Title = arrivalTitle(spread.References[0], list)
	return []inventory.Draft{{Channel: c.channel.ID, Subjects: subjects, Notice: n}}, nil
}

// notice makes a message about flaws, the worst of which come first.
func (c composer) notice(kind string, list []inventory.NoticeFlaw, spread inventory.Spread) inventory.Notice {
	n := inventory.Notice{
		ID: newID(), Event: kind, At: c.now, Severity: list[0].Severity, Title: flawTitle(kind, list, spread.Images),
		Images: spread.Images, References: spread.References, Findings: list,
	}
	if len(list) > mostListed {
		n.Findings, n.More = list[:mostListed], len(list)-mostListed
	}
	for i := range n.Findings {
		f := &n.Findings[i]
		f.Packages, f.Fixed = append([]string{}, f.Packages...), append([]string{}, f.Fixed...)
	}
	n.References = append([]string{}, n.References...)
	return n
}

// failures makes one message of all images that could not be analysed.
func (c composer) failures(ctx context.Context, failed []inventory.News) ([]inventory.Draft, error) {
	draft, err := c.images(ctx, inventory.NewsImageFailed, failed)
	n := &draft.Notice
	if err != nil || n.Images == 0 {
		return nil, err
	}
	n.Title = failureTitle(n.Images, n.References[0])
	return []inventory.Draft{draft}, nil
}

// spotted makes one message for each watch, of all later images that have what it asks for.
func (c composer) spotted(ctx context.Context, hits []inventory.News) ([]inventory.Draft, error) {
	var names []string
	byWatch := map[string][]inventory.News{}
	for _, one := range hits {
		if byWatch[one.Watch] == nil {
			names = append(names, one.Watch)
		}
		byWatch[one.Watch] = append(byWatch[one.Watch], one)
	}
	var drafts []inventory.Draft
	for _, name := range names {
		draft, err := c.images(ctx, inventory.NewsWatch, byWatch[name])
		if err != nil {
			return nil, err
		}
		if n := &draft.Notice; n.Images > 0 {
			n.Title = watchTitle(name, byWatch[name][0].Query, n.Images, n.References[0])
			drafts = append(drafts, draft)
		}
	}
	return drafts, nil
}

// images makes the draft of a message about images as such, without its title; Images
// is 0 when the channel need not be told of any.
func (c composer) images(ctx context.Context, kind string, news []inventory.News) (inventory.Draft, error) {
	draft := inventory.Draft{Channel: c.channel.ID, Notice: inventory.Notice{
		ID: newID(), Event: kind, At: c.now, References: []string{}, Findings: []inventory.NoticeFlaw{},
	}}
	n := &draft.Notice
	accept := within(c.rules(kind))
	for _, one := range news {
		subject := kind + "|" + one.Digest
		if one.Watch != "" {
			subject += "|" + one.Watch
		}
		told, err := c.store.Told(ctx, c.channel.ID, []string{subject})
		if err != nil {
			return draft, err
		}
		places, err := c.store.ImagePlaces(ctx, one.Digest)
		if err != nil {
			return draft, err
		}
		at := slices.IndexFunc(places, func(p inventory.ArrivalPlace) bool { return accept(p.Repository) })
		if told[subject] || at < 0 {
			continue
		}
		draft.Subjects = append(draft.Subjects, subject)
		n.Images++
		if len(n.References) < mostReferences {
			n.References = append(n.References, places[at].Reference)
		}
		n.Problem = cmp.Or(n.Problem, one.Problem)
	}
	return draft, nil
}

// platform makes a message of what befell Tallyman itself. The same trouble is told at
// most once an hour.
func (c composer) platform(one inventory.News) inventory.Draft {
	return inventory.Draft{
		Channel:  c.channel.ID,
		Subjects: []string{strings.Join([]string{one.Kind, one.Reference, one.At.UTC().Truncate(time.Hour).Format(time.RFC3339)}, "|")},
		Notice: inventory.Notice{
			ID: newID(), Event: one.Kind, At: c.now, Title: platformTitle(one), References: []string{}, Findings: []inventory.NoticeFlaw{},
			Problem: one.Problem, Remedy: one.Remedy,
		},
	}
}
