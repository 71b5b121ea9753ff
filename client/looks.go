package client

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// lookPart is how many tags of a long look go in one call.
const lookPart = 20_000

// RecordLook saves what a look saw and learns how the integration is now. A long look
// goes in parts: what is saved once, such as cursors, with the last, so that a look that
// is cut off is made again.
func (w *Watcher) RecordLook(ctx context.Context, look inventory.Look) (sum inventory.LookResult, err error) {
	name, err := w.name(look.Integration)
	if err != nil {
		return sum, err
	}
	rest := look
	for len(rest.Sightings) > lookPart || len(rest.Baseline) > lookPart {
		part := inventory.Look{Kind: look.Kind, At: look.At, Indexer: look.Indexer, Force: look.Force, Partial: true}
		part.Sightings, rest.Sightings = cut(rest.Sightings)
		part.Baseline, rest.Baseline = cut(rest.Baseline)
		taken, err := send[inventory.LookTaken](ctx, w, http.MethodPost, w.of(name, "/looks"), inventory.LookReport{Look: part})
		if err != nil {
			return sum, err
		}
		sum = plus(sum, taken.Result)
	}
	report := inventory.LookReport{Look: rest}
	err = w.with(look.Integration, func(one *watched) {
		report.Requests, one.uncounted = one.uncounted, inventory.RequestCount{}
	})
	if err != nil {
		return sum, err
	}
	taken, err := send[inventory.LookTaken](ctx, w, http.MethodPost, w.of(name, "/looks"), report)
	if err != nil {
		return sum, w.uncount(look.Integration, report.Requests, err)
	}
	err = w.with(look.Integration, func(one *watched) { one.take(taken.Watched) })
	w.signal(taken.Due)
	return plus(sum, taken.Result), err
}

func cut[T any](list []T) (part, rest []T) {
	n := min(len(list), lookPart)
	return list[:n], list[n:]
}

func plus(a, b inventory.LookResult) inventory.LookResult {
	return inventory.LookResult{New: a.New + b.New, Moved: a.Moved + b.Moved, Gone: a.Gone + b.Gone, Queued: a.Queued + b.Queued}
}

// known is the name of an integration that the server has, "" if it has not.
func (w *Watcher) known(id int64) (name string, err error) {
	err = w.with(id, func(one *watched) {
		if !one.absent {
			name = one.Name
		}
	})
	return name, err
}

// LiveTags is what the ledger believes is there in one repository, or everywhere.
func (w *Watcher) LiveTags(ctx context.Context, integration int64, key string) ([]inventory.LiveTag, error) {
	name, err := w.known(integration)
	if err != nil || name == "" {
		return []inventory.LiveTag{}, err
	}
	path := w.of(name, "/tags")
	if key != "" {
		path += "?" + url.Values{"repository": {key}}.Encode()
	}
	return fetchLines[inventory.LiveTag](ctx, w, path)
}

// Baseline is what was there when watching began and was not sighted since.
func (w *Watcher) Baseline(ctx context.Context, integration int64) ([]inventory.LiveTag, error) {
	name, err := w.known(integration)
	if err != nil || name == "" {
		return []inventory.LiveTag{}, err
	}
	return fetchLines[inventory.LiveTag](ctx, w, w.of(name, "/baseline"))
}

// Cursor is a value saved with an earlier look, as the server told it last.
func (w *Watcher) Cursor(_ context.Context, integration int64, cursor string) (value string, err error) {
	err = w.with(integration, func(one *watched) { value = one.cursors[cursor] })
	return value, err
}

// Hints are those that no look has answered, as the server told them last.
func (w *Watcher) Hints(_ context.Context, integration int64) (hints []inventory.Hint, err error) {
	err = w.with(integration, func(one *watched) { hints = slices.Clone(one.hints) })
	return hints, err
}

// AddHint keeps a hint on the server. It is not repeated when the server cannot be
// reached: whoever hints waits, and hints again.
func (w *Watcher) AddHint(ctx context.Context, integration int64, h inventory.Hint) error {
	name, err := w.name(integration)
	if err != nil {
		return err
	}
	path := w.of(name, "/hints")
	body, err := w.pack(http.MethodPost, path, []inventory.Hint{h})
	if err != nil {
		return err
	}
	return w.once(ctx, http.MethodPost, path, body, func(res *http.Response) error {
		var all []inventory.Hint
		if err := decode(res.Body, path, &all); err != nil {
			return err
		}
		return w.with(integration, func(one *watched) { one.hints = all })
	})
}

// SaveKeys replaces what is known of an integration's repository keys.
func (w *Watcher) SaveKeys(ctx context.Context, integration int64, keys []inventory.RepositoryKey) error {
	name, err := w.name(integration)
	if err != nil {
		return err
	}
	if keys == nil {
		keys = []inventory.RepositoryKey{}
	}
	if err := w.tell(ctx, http.MethodPut, w.of(name, "/keys"), keys); err != nil {
		return err
	}
	return w.with(integration, func(one *watched) { one.Keys = keys })
}

// SetIntegrationState records how an integration fares.
func (w *Watcher) SetIntegrationState(ctx context.Context, integration int64, state, problem, remedy string) error {
	name, err := w.name(integration)
	if err != nil {
		return err
	}
	if err := w.tell(ctx, http.MethodPut, w.of(name, "/state"), inventory.IntegrationHealth{State: state, Problem: problem, Remedy: remedy}); err != nil {
		return err
	}
	return w.with(integration, func(one *watched) {
		if one.State != inventory.IntegrationPaused && one.State != inventory.IntegrationDisconnected {
			one.State, one.Problem, one.Remedy = state, problem, remedy
		}
	})
}

// AddRequests adds to the counts of what was asked of a registry. They go with the next
// look or outcome that is reported.
func (w *Watcher) AddRequests(_ context.Context, integration int64, byClass map[string]int64, layerBytes, layersRead int64) error {
	return w.with(integration, func(one *watched) {
		one.count(inventory.RequestCount{ByClass: byClass, LayerBytes: layerBytes, LayersRead: layersRead})
	})
}

func (in *watched) count(more inventory.RequestCount) {
	sum := &in.uncounted
	sum.LayerBytes, sum.LayersRead = sum.LayerBytes+more.LayerBytes, sum.LayersRead+more.LayersRead
	sum.ByClass = maps.Clone(sum.ByClass)
	if sum.ByClass == nil {
		sum.ByClass = map[string]int64{}
	}
	for class, n := range more.ByClass {
		sum.ByClass[class] += n
	}
}

// takeCounts takes what was not reported yet, by integration.
func (w *Watcher) takeCounts() map[string]inventory.RequestCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]inventory.RequestCount{}
	for i := range w.watched {
		one := &w.watched[i]
		if c := one.uncounted; c.LayersRead > 0 || len(c.ByClass) > 0 {
			out[one.Name], one.uncounted = c, inventory.RequestCount{}
		}
	}
	return out
}

// returnCounts keeps counts that could not be reported for the next report.
func (w *Watcher) returnCounts(counts map[string]inventory.RequestCount, cause error) error {
	for name, c := range counts {
		w.mu.Lock()
		id := w.ids[name]
		w.mu.Unlock()
		cause = w.uncount(id, c, cause)
	}
	return cause
}

// uncount keeps counts that could not be reported for the next report.
func (w *Watcher) uncount(integration int64, c inventory.RequestCount, cause error) error {
	_ = w.with(integration, func(one *watched) { one.count(c) }) // the cause matters
	return cause
}
