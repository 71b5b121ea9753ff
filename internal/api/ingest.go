package api

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// IngestStore is what far watchers write to.
type IngestStore interface {
	Tokens(ctx context.Context) ([]inventory.Token, error)
	HoldWatcher(ctx context.Context, name, holder string, lasts time.Duration) error
	FreeWatcher(ctx context.Context, name, holder string) error
	TokenBindings(ctx context.Context) (map[string][]string, error)

	RecordLook(ctx context.Context, look inventory.Look) (inventory.LookResult, error)
	LiveTags(ctx context.Context, integration int64, key string) ([]inventory.LiveTag, error)
	Baseline(ctx context.Context, integration int64) ([]inventory.LiveTag, error)
	Cursors(ctx context.Context, integration int64) (map[string]string, error)
	Hints(ctx context.Context, integration int64) ([]inventory.Hint, error)
	AddHint(ctx context.Context, integration int64, h inventory.Hint) error
	Tags(ctx context.Context, f inventory.TagFilter) (inventory.TagPage, error)
	Status(ctx context.Context) (inventory.Status, error)
	AddRequests(ctx context.Context, integration int64, byClass map[string]int64, layerBytes, layersRead int64) error

	TakeErrands(ctx context.Context, watcher string, held []string, limit int) ([]inventory.Errand, error)
	Errands(ctx context.Context, watcher string) (due, all int, err error)
	EndErrand(ctx context.Context, watcher, digest string) error
	PutOffErrand(ctx context.Context, watcher, digest string, due time.Time) error
	WatcherHas(ctx context.Context, watcher, digest string) (bool, error)

	MissingLayers(ctx context.Context, diffIDs []string, indexer int, holder string) ([]string, error)
	LayerBodies(ctx context.Context, diffIDs []string, indexer int) (map[string][]byte, error)
	KnownLayers(ctx context.Context, diffIDs []string, indexer int) (map[string]bool, error)
	SaveLayer(ctx context.Context, rec inventory.LayerRecord) error
	VerifiedDiffID(ctx context.Context, blobDigests []string) (map[string]string, error)
	KnownChains(ctx context.Context, chainIDs []string, indexer int) (map[string]bool, error)
	SaveImage(ctx context.Context, img inventory.Image, chains []inventory.ChainRecord) error
	FailImage(ctx context.Context, digest, problem string, retry bool) error
}

// Far is what the server needs to take what far watchers send.
type Far struct {
	Store   IngestStore
	Indexer int    // version of the indexer: records of a newer one are refused
	Holder  string // begins the holders of leases that far watchers have
}

const (
	// watcherLease is how long a watcher may be silent before its name is free.
	watcherLease = 2 * time.Minute
	// renewAfter spares the ledger a write with every call.
	renewAfter = 15 * time.Second
	// bigBodies is how many large bodies are unpacked at a time.
	bigBodies = 3
)

// ingest is the receiving end of far watchers.
type ingest struct {
	*Far
	hub   *Hub
	slots chan struct{} // of large bodies

	mu      sync.Mutex
	renewed map[string]time.Time // by name and holder; guarded by mu
}

func newIngest(far *Far, hub *Hub) *ingest {
	return &ingest{Far: far, hub: hub, slots: make(chan struct{}, bigBodies), renewed: map[string]time.Time{}}
}

// session is a watcher that calls.
type session struct {
	watcher, holder, token string
	bound                  []string // integrations that the token is bound to
}

// leaseHolder is its name on leases of layers.
func (g *ingest) leaseHolder(s session) string { return g.Holder + s.watcher + "/" + s.holder }

// far serves a route to a far watcher: it makes sure who calls, that both speak the same
// version, and that no other process is that watcher.
func far(serve func(*ingest, session, http.ResponseWriter, *http.Request) error) func(*API, http.ResponseWriter, *http.Request) error {
	return func(a *API, w http.ResponseWriter, r *http.Request) error {
		if a.ingest == nil {
			return inventory.Errorf(inventory.ErrUnsupported, "this server takes nothing from far watchers")
		}
		s, err := a.ingest.session(a, r)
		if err != nil {
			return err
		}
		// Layers and looks may be large, lines slow: the server's time limits are for others.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(10 * time.Minute))
		// What a watcher delivers the ledger itself tells: it is no entry in the log of changes.
		return serve(a.ingest, s, w, r.WithContext(inventory.WithActor(r.Context(), nil)))
	}
}

func (g *ingest) session(a *API, r *http.Request) (session, error) {
	s := session{watcher: r.PathValue("watcher"), holder: r.Header.Get(inventory.HolderHeader)}
	id, err := a.identify(r)
	if err != nil {
		return s, err
	}
	s.token = id.watcher
	if v := r.Header.Get(inventory.IngestHeader); v != inventory.IngestProtocol {
		return s, inventory.Errorf(inventory.ErrUnsupported, "this server speaks version %s of the watchers' protocol, not %q", inventory.IngestProtocol, shorten(v)).
			WithRemedy("run the same version of Tallyman on both sides (header %s: %s)", inventory.IngestHeader, inventory.IngestProtocol)
	}
	if !validName(s.watcher) {
		return s, invalid("%q is not a name for a watcher", shorten(s.watcher)).WithRemedy("use letters, digits, '-', '_' and '.', at most %d", maxName)
	}
	if len(s.holder) < 8 || !validName(s.holder) {
		return s, invalid("the header %s does not name the process", inventory.HolderHeader).WithRemedy("send 8 to %d letters and digits that no other process has", maxName)
	}
	bindings, err := g.Store.TokenBindings(r.Context())
	if err != nil {
		return s, err
	}
	s.bound = bindings[s.token]
	if len(s.bound) == 0 && s.token != s.watcher {
		return s, inventory.Errorf(inventory.ErrForbidden, "token %s is for the watcher of that name, not for %s", s.token, s.watcher).
			WithRemedy("make one with: tallyman token create %s --scope ingest; or bind one to integrations with --integration", s.watcher)
	}
	return s, g.hold(r.Context(), s)
}

// hold lets the watcher live on, unless another process does under its name.
func (g *ingest) hold(ctx context.Context, s session) error {
	key := s.watcher + "/" + s.holder + "/" + s.token
	g.mu.Lock()
	last := g.renewed[key]
	g.mu.Unlock()
	if time.Since(last) < renewAfter {
		return nil
	}
	if err := g.claims(ctx, s); err != nil {
		return err
	}
	if err := g.Store.HoldWatcher(ctx, s.watcher, s.holder, watcherLease); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for other, at := range g.renewed {
		if time.Since(at) > watcherLease {
			delete(g.renewed, other)
		}
	}
	g.renewed[key] = time.Now()
	return nil
}

// claims refuses a token that is for certain integrations the name of a watcher that
// watches others too, or that has a token of its own.
func (g *ingest) claims(ctx context.Context, s session) error {
	if len(s.bound) == 0 || s.token == s.watcher {
		return nil
	}
	taken := func(why string) error {
		return inventory.Errorf(inventory.ErrForbidden, "token %s may not be watcher %s, %s", s.token, s.watcher, why).
			WithRemedy("give this watcher a name of its own")
	}
	all, err := g.hub.List(ctx)
	if err != nil {
		return err
	}
	for _, in := range all {
		if in.Watcher == s.watcher && s.may(in.Name) != nil {
			return taken("which watches integrations that the token is not for")
		}
	}
	tokens, err := g.Store.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.Name == s.watcher && t.Scope == inventory.ScopeIngest {
			return taken("which has a token of its own")
		}
	}
	return nil
}

// silent makes a route that answers nothing.
func silent(do func(*ingest, session, http.ResponseWriter, *http.Request) error) func(*ingest, session, http.ResponseWriter, *http.Request) error {
	return func(g *ingest, s session, w http.ResponseWriter, r *http.Request) error {
		if err := do(g, s, w, r); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// free lets go of the watcher's name.
func (g *ingest) free(s session, _ http.ResponseWriter, r *http.Request) error {
	g.mu.Lock()
	delete(g.renewed, s.watcher+"/"+s.holder+"/"+s.token)
	g.mu.Unlock()
	return g.Store.FreeWatcher(r.Context(), s.watcher, s.holder)
}

// big waits for room to unpack a large body.
func (g *ingest) big(ctx context.Context) (release func(), err error) {
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// version refuses records of an indexer that this server does not know.
func (g *ingest) version(indexer int) error {
	if indexer >= 1 && indexer <= g.Indexer {
		return nil
	}
	return inventory.Errorf(inventory.ErrUnsupported, "this server knows the records of indexer %d and older ones, not those of %d", g.Indexer, indexer).
		WithRemedy("bring the server up to the watcher's version first")
}

// mine finds an integration that this watcher watches and its token may write to.
func (g *ingest) mine(ctx context.Context, s session, name string) (inventory.Integration, error) {
	in, err := g.hub.Get(ctx, name)
	if err != nil {
		return in, err
	}
	if err := s.may(name); err != nil {
		return in, err
	}
	if in.Watcher != s.watcher {
		return in, notItsOwn(in, s.watcher)
	}
	return in, nil
}

// may says whether the token may write to an integration at all.
func (s session) may(name string) error {
	if len(s.bound) > 0 && !slices.Contains(s.bound, name) {
		return inventory.Errorf(inventory.ErrForbidden, "token %s may not write to integration %s", s.token, name).
			WithRemedy("make one that may: tallyman token create NAME --scope ingest --integration %s", name)
	}
	return nil
}

func notItsOwn(in inventory.Integration, watcher string) error {
	by := "this server"
	if in.Watcher != "" {
		by = "watcher " + in.Watcher
	}
	return inventory.Errorf(inventory.ErrForbidden, "integration %s is watched by %s, not by watcher %s", in.Name, by, watcher).
		WithRemedy("give what is watched another name, or delete that integration first")
}

// own are the watcher's integrations that its token may write to.
func (g *ingest) own(ctx context.Context, s session) ([]inventory.Integration, error) {
	all, err := g.hub.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(in inventory.Integration) bool {
		return in.Watcher != s.watcher || s.may(in.Name) != nil
	}), nil
}
