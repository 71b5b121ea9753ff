package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// hello begins a watcher's work, or tells it how things are.
func (g *ingest) hello(s session, w http.ResponseWriter, r *http.Request) error {
	var hello inventory.WatcherHello
	if err := readFar(w, r, &hello); err != nil {
		return err
	}
	if err := g.version(hello.Indexer); err != nil {
		return err
	}
	if err := g.countAll(r.Context(), s, hello.Requests); err != nil {
		return err
	}
	state := inventory.WatcherState{LeaseS: int(watcherLease / time.Second)}
	own, err := g.own(r.Context(), s)
	if err != nil {
		return err
	}
	for _, in := range own {
		one, err := g.watched(r.Context(), in)
		if err != nil {
			return err
		}
		state.Integrations = append(state.Integrations, one)
	}
	if state.Due, state.Waiting, err = g.Store.Errands(r.Context(), s.watcher); err != nil {
		return err
	}
	return farReply(w, r, state)
}

// watched is an integration as its watcher is told of it.
func (g *ingest) watched(ctx context.Context, in inventory.Integration) (one inventory.Watched, err error) {
	one = inventory.Watched{
		Name: in.Name, State: in.State, Problem: in.Problem, Remedy: in.Remedy, Keys: in.Keys, LastPoll: in.LastPoll, LastReconcile: in.LastReconcile,
	}
	if one.Cursors, err = g.Store.Cursors(ctx, in.ID); err != nil {
		return one, err
	}
	one.Hints, err = g.Store.Hints(ctx, in.ID)
	return one, err
}

// register makes an integration known, or its settings new.
func (g *ingest) register(s session, w http.ResponseWriter, r *http.Request) error {
	var reg inventory.Registration
	if err := readFar(w, r, &reg); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.may(name); err != nil {
		return err
	}
	in, err := g.hub.checked(r.Context(), inventory.Integration{
		Name: name, Kind: reg.Kind, URL: reg.URL, Registry: reg.Registry, Repositories: reg.Repositories,
		Include: reg.Include, Exclude: reg.Exclude, Tags: reg.Tags, SubdomainMode: reg.SubdomainMode, Watcher: s.watcher,
	})
	if err != nil {
		return err
	}
	old, err := g.hub.Store.Integration(r.Context(), name)
	takes := err == nil && old.Watcher != "" && len(s.bound) > 0 // a token that is bound to it may pass it on
	switch {
	case errors.Is(err, inventory.ErrNotFound):
	case err != nil:
		return err
	case old.Watcher != s.watcher && !takes:
		return notItsOwn(old, s.watcher)
	case old.State == inventory.IntegrationDisconnected:
		return inventory.Errorf(inventory.ErrConflict, "%s was disconnected on the server", name).WithRemedy("connect it there again: tallyman integration resume %s", name)
	}
	ctx := r.Context()
	if old.Watcher != s.watcher { // somebody new watches it
		ctx = inventory.WithActor(ctx, &inventory.Actor{Name: s.token, Via: inventory.ViaToken})
	}
	if _, err := g.hub.Adopt(ctx, in, inventory.Secrets{}, reg.Baseline); err != nil {
		return err
	}
	if in, err = g.hub.Get(r.Context(), name); err != nil {
		return err
	}
	one, err := g.watched(r.Context(), in)
	if err != nil {
		return err
	}
	return farReply(w, r, one)
}

// look takes what a look saw.
func (g *ingest) look(s session, w http.ResponseWriter, r *http.Request) error {
	release, err := g.big(r.Context())
	if err != nil {
		return err
	}
	defer release()
	var report inventory.LookReport
	if err := readFar(w, r, &report); err != nil {
		return err
	}
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	if err := g.checkLook(report.Look); err != nil {
		return err
	}
	report.Integration = in.ID
	var taken inventory.LookTaken
	if taken.Result, err = g.Store.RecordLook(r.Context(), report.Look); err != nil {
		return err
	}
	if err := g.count(r.Context(), in.ID, report.Requests); err != nil {
		return err
	}
	if report.Partial {
		return farReply(w, r, taken)
	}
	if in, err = g.hub.Get(r.Context(), in.Name); err != nil {
		return err
	}
	if taken.Watched, err = g.watched(r.Context(), in); err != nil {
		return err
	}
	if taken.Due, _, err = g.Store.Errands(r.Context(), s.watcher); err != nil {
		return err
	}
	return farReply(w, r, taken)
}

// maxWord bounds the names in a look: of a repository key, an image, a tag.
const maxWord = 1024

func (g *ingest) checkLook(look inventory.Look) error {
	switch look.Kind {
	case inventory.LookPoll, inventory.LookReconcile, inventory.LookHint:
	default:
		return invalid("%q is not a kind of look", shorten(look.Kind))
	}
	if look.Indexer != 0 {
		if err := g.version(look.Indexer); err != nil {
			return err
		}
	}
	check := func(key, image, tag string) error {
		if key == "" && image == "" || tag == "" || max(len(key), len(image), len(tag)) > maxWord {
			return invalid("a tag in the look has no name, or one of more than %d bytes", maxWord)
		}
		return nil
	}
	for _, list := range [][]inventory.Sighting{look.Sightings, look.Baseline} {
		for _, sg := range list {
			if err := check(sg.Key, sg.Image, sg.Tag); err != nil {
				return err
			}
		}
	}
	for _, list := range [][]inventory.LiveTag{look.Gone, look.Missed} {
		for _, t := range list {
			if err := check(t.Key, t.Image, t.Tag); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *ingest) count(ctx context.Context, id int64, c inventory.RequestCount) error {
	for _, n := range c.ByClass {
		if n < 0 {
			return invalid("a count of requests is negative")
		}
	}
	if c.LayerBytes < 0 || c.LayersRead < 0 || len(c.ByClass) > 32 {
		return invalid("the counts of requests cannot be right")
	}
	return g.Store.AddRequests(ctx, id, c.ByClass, c.LayerBytes, c.LayersRead)
}

// countAll counts what was asked of several registries. An integration that was deleted
// meanwhile has nothing to count any more.
func (g *ingest) countAll(ctx context.Context, s session, requests map[string]inventory.RequestCount) error {
	for name, n := range requests {
		in, err := g.mine(ctx, s, name)
		if errors.Is(err, inventory.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := g.count(ctx, in.ID, n); err != nil {
			return err
		}
	}
	return nil
}

func (g *ingest) liveTags(s session, w http.ResponseWriter, r *http.Request) error {
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	tags, err := g.Store.LiveTags(r.Context(), in.ID, r.URL.Query().Get("repository"))
	if err != nil {
		return err
	}
	return farLines(w, r, tags)
}

func (g *ingest) baseline(s session, w http.ResponseWriter, r *http.Request) error {
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	tags, err := g.Store.Baseline(r.Context(), in.ID)
	if err != nil {
		return err
	}
	return farLines(w, r, tags)
}

func (g *ingest) saveKeys(s session, w http.ResponseWriter, r *http.Request) error {
	var keys []inventory.RepositoryKey
	if err := readFar(w, r, &keys); err != nil {
		return err
	}
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	for i := range keys {
		keys[i].Error, keys[i].Remedy, keys[i].Description = oneLine(keys[i].Error), oneLine(keys[i].Remedy), oneLine(keys[i].Description)
	}
	return g.hub.Store.SaveKeys(r.Context(), in.ID, keys)
}

func (g *ingest) setState(s session, w http.ResponseWriter, r *http.Request) error {
	var health inventory.IntegrationHealth
	if err := readFar(w, r, &health); err != nil {
		return err
	}
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	switch health.State {
	case inventory.IntegrationConnected, inventory.IntegrationDegraded, inventory.IntegrationError:
	default:
		return invalid("%q is not a state that a watcher tells", shorten(health.State))
	}
	if in.State == inventory.IntegrationPaused {
		return nil // whoever paused it decides
	}
	return g.hub.Store.SetIntegrationState(r.Context(), in.ID, health.State, oneLine(health.Problem), oneLine(health.Remedy))
}

// addHints keeps what a webhook told the watcher, until a look answers it.
func (g *ingest) addHints(s session, w http.ResponseWriter, r *http.Request) error {
	var hints []inventory.Hint
	if err := readFar(w, r, &hints); err != nil {
		return err
	}
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	for _, h := range hints {
		if max(len(h.Key), len(h.Image), len(h.Tag)) > maxWord {
			return invalid("a hint has a name of more than %d bytes", maxWord)
		}
		if err := g.Store.AddHint(r.Context(), in.ID, h); err != nil {
			return fmt.Errorf("keep a hint for integration %s: %w", in.Name, err)
		}
	}
	all, err := g.Store.Hints(r.Context(), in.ID)
	if err != nil {
		return err
	}
	return farReply(w, r, all)
}

// status is the coverage ledger of the watcher's own integrations.
func (g *ingest) status(s session, w http.ResponseWriter, r *http.Request) error {
	own, err := g.own(r.Context(), s)
	if err != nil {
		return err
	}
	all, err := g.Store.Status(r.Context())
	if err != nil {
		return err
	}
	st := inventory.Status{Advisories: all.Advisories}
	for _, one := range all.Integrations {
		if slices.ContainsFunc(own, func(in inventory.Integration) bool { return in.Name == one.Name }) {
			st.Integrations = append(st.Integrations, one)
			st.Add(one.Tally)
		}
	}
	return farReply(w, r, st)
}

// farPage is how many tags a page for a watcher has.
const farPage = 1000

func (g *ingest) images(s session, w http.ResponseWriter, r *http.Request) error {
	in, err := g.mine(r.Context(), s, r.PathValue("name"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	page, err := g.Store.Tags(r.Context(), inventory.TagFilter{Integration: in.Name, State: q.Get("state"), After: q.Get("after"), Limit: farPage})
	if err != nil {
		return err
	}
	return farReply(w, r, page)
}
