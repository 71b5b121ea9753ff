package client

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// WatcherOptions say who a far watcher is.
type WatcherOptions struct {
	Name    string // one process at a time is the watcher of a name
	Holder  string // names this process; letters and digits, 8 to 64
	Indexer int    // version of its indexer
	// Patience is how long a call is repeated while the server cannot be reached; 0 = until
	// its context ends.
	Patience time.Duration
	Logger   *slog.Logger
	// Sent is shown every body before it is sent, once however often it is repeated.
	Sent func(method, path string, body []byte)
}

// Watcher is the ledger of a server, as the stages of a far watcher write to it. All of
// its calls may be repeated, so each one repeats itself, with growing pauses, while the
// server cannot be reached. It keeps nothing that the server lacks: a watcher that is
// killed begins where the server is. It is safe for use by several goroutines.
type Watcher struct {
	c    *Client
	opts WatcherOptions
	log  *slog.Logger

	bodies bodies

	mu      sync.Mutex // guards what follows
	ids     map[string]int64
	watched []watched // by id - 1
	hello   map[string]inventory.Watched
	waiting int           // errands, as last told
	wanted  chan struct{} // holds one while errands are due
	down    bool          // the server could not be reached by the last call
}

// watched is what is known of one integration without asking.
type watched struct {
	inventory.Integration
	cursors map[string]string
	hints   []inventory.Hint
	told    time.Time // when the server told all that
	absent  bool      // the server does not have it, and nobody asked it to
	// uncounted is what was asked of the registry and is not reported yet.
	uncounted inventory.RequestCount
}

// Watcher begins the work of a far watcher: ErrConflict while another process is the
// watcher of that name, ErrForbidden if the token is not for it, ErrUnsupported if server
// and client do not speak the same version.
func (c *Client) Watcher(ctx context.Context, o WatcherOptions) (*Watcher, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{c: c, opts: o, log: o.Logger, ids: map[string]int64{}, hello: map[string]inventory.Watched{}, wanted: make(chan struct{}, 1)}
	return w, w.Refresh(ctx)
}

func (w *Watcher) path(rest string) string {
	return "/api/v1/ingest/" + url.PathEscape(w.opts.Name) + rest
}

func (w *Watcher) of(name, rest string) string {
	return w.path("/integrations/" + url.PathEscape(name) + rest)
}

// Refresh says that the watcher lives and learns how its integrations are. It needs to
// be called at least once a minute unless other calls are made; see Stale.
func (w *Watcher) Refresh(ctx context.Context) error {
	hello := inventory.WatcherHello{Indexer: w.opts.Indexer, Requests: w.takeCounts()}
	st, err := send[inventory.WatcherState](ctx, w, http.MethodPost, w.path(""), hello)
	if err != nil {
		return w.returnCounts(hello.Requests, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = st.Waiting
	w.signal(st.Due)
	there := map[string]bool{}
	for _, one := range st.Integrations {
		there[one.Name] = true
		w.hello[one.Name] = one
		if id, ok := w.ids[one.Name]; ok {
			w.watched[id-1].take(one)
		}
	}
	for i := range w.watched {
		if !there[w.watched[i].Name] && !w.watched[i].absent {
			w.watched[i].State = inventory.IntegrationDisconnected // deleted there
		}
	}
	return nil
}

// Stale is how long ago the server told of the integration of which it told least lately.
func (w *Watcher) Stale() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	oldest := time.Duration(0)
	for i := range w.watched {
		oldest = max(oldest, time.Since(w.watched[i].told))
	}
	return oldest
}

// Wanted gives something while the server has images to index; ask for Errands then.
func (w *Watcher) Wanted() <-chan struct{} { return w.wanted }

func (w *Watcher) signal(due int) {
	if due == 0 {
		return
	}
	select {
	case w.wanted <- struct{}{}:
	default: // it is known
	}
}

// Waiting is how many images the server last said wait to be indexed, with those that
// were put off.
func (w *Watcher) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting
}

// Close reports what was not counted yet and frees the watcher's name.
func (w *Watcher) Close(ctx context.Context) error {
	if w.uncounted() {
		if err := w.Refresh(ctx); err != nil {
			return err
		}
	}
	res, err := w.request(ctx, http.MethodDelete, w.path(""), nil)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (w *Watcher) uncounted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.watched, func(one watched) bool { return len(one.uncounted.ByClass) > 0 || one.uncounted.LayersRead > 0 })
}

// take keeps what the server tells of an integration.
func (in *watched) take(one inventory.Watched) {
	in.State, in.Problem, in.Remedy, in.Keys = one.State, one.Problem, one.Remedy, one.Keys
	in.LastPoll, in.LastReconcile = one.LastPoll, one.LastReconcile
	in.cursors, in.hints, in.told = one.Cursors, one.Hints, time.Now()
}

// Adopt registers an integration, without its secrets, and gives it an id that holds as
// long as this Watcher. With baseline, what is there at its first look is left alone
// until it differs.
func (w *Watcher) Adopt(ctx context.Context, in inventory.Integration, _ inventory.Secrets, baseline bool) (int64, error) {
	one, err := send[inventory.Watched](ctx, w, http.MethodPut, w.of(in.Name, ""), inventory.Registration{
		Kind: in.Kind, URL: publicURL(in.URL), Registry: in.Registry, Repositories: in.Repositories, Include: in.Include, Exclude: in.Exclude,
		Tags: in.Tags, SubdomainMode: in.SubdomainMode, Baseline: baseline,
	})
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	in.ID = w.idOf(in.Name)
	w.watched[in.ID-1] = watched{Integration: in}
	w.watched[in.ID-1].take(one)
	return in.ID, nil
}

// Peek gives an integration an id without registering it: if the server has it, what is
// read of it is what the server knows, else nothing.
func (w *Watcher) Peek(in inventory.Integration) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	in.ID = w.idOf(in.Name)
	one := watched{Integration: in, absent: true}
	if told, ok := w.hello[in.Name]; ok {
		one.absent = false
		one.take(told)
	}
	w.watched[in.ID-1] = one
	return in.ID
}

// idOf is the id of a name, a new one if it has none.
func (w *Watcher) idOf(name string) int64 {
	id, ok := w.ids[name]
	if !ok {
		w.watched = append(w.watched, watched{})
		id = int64(len(w.watched))
		w.ids[name] = id
	}
	return id
}

// publicURL is an address without what may be secret in it.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// IntegrationByID answers an integration as the server told of it last.
func (w *Watcher) IntegrationByID(_ context.Context, id int64) (inventory.Integration, error) {
	var in inventory.Integration
	err := w.with(id, func(one *watched) { in = one.Integration })
	return in, err
}

// with does something to one integration under the lock.
func (w *Watcher) with(id int64, do func(*watched)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id < 1 || id > int64(len(w.watched)) {
		return inventory.Errorf(inventory.ErrNotFound, "there is no integration %d", id)
	}
	do(&w.watched[id-1])
	return nil
}

func (w *Watcher) name(id int64) (name string, err error) {
	err = w.with(id, func(one *watched) { name = one.Name })
	return name, err
}

// Status answers the coverage ledger of the watcher's integrations.
func (w *Watcher) Status(ctx context.Context) (Status, error) {
	return fetch[Status](ctx, w, w.path("/status"))
}

// Tags answers the tags of one integration in a state; nothing else of f is used.
func (w *Watcher) Tags(ctx context.Context, f TagFilter) (all TagPage, err error) {
	for {
		q := url.Values{"state": {f.State}, "after": {f.After}}
		page, err := fetch[TagPage](ctx, w, w.of(f.Integration, "/images?"+q.Encode()))
		if err != nil {
			return all, err
		}
		all.Rows, all.Total = append(all.Rows, page.Rows...), page.Total
		if f.After = page.Next; f.After == "" {
			return all, nil
		}
	}
}
