package discover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Store is what this stage needs of the ledger.
type Store interface {
	// RecordLook saves what a look saw in one transaction. An older sighting
	// never overwrites a newer one; the same look twice changes nothing.
	RecordLook(ctx context.Context, look inventory.Look) (inventory.LookResult, error)
	// LiveTags is what the ledger believes is there in one repository.
	LiveTags(ctx context.Context, integration int64, key string) ([]inventory.LiveTag, error)
	// Cursor is a value saved with an earlier look; "" if there is none.
	Cursor(ctx context.Context, integration int64, name string) (string, error)
	// Baseline is what was there when watching began and was not sighted since.
	Baseline(ctx context.Context, integration int64) ([]inventory.LiveTag, error)
	SaveKeys(ctx context.Context, integration int64, keys []inventory.RepositoryKey) error
	SetIntegrationState(ctx context.Context, integration int64, state, problem, remedy string) error
	AddRequests(ctx context.Context, integration int64, byClass map[string]int64, layerBytes, layersRead int64) error
}

// Cursors that looks save.
const (
	CursorPoll      = "poll"      // server time up to which changes are known
	CursorReconcile = "reconcile" // server time of the last full listing
	// CursorAcceptLoss, set to anything, lets the next reconcile record the loss
	// of many tags at once; it is then emptied.
	CursorAcceptLoss = "accept-loss"
)

// overlap is how far a poll reaches back behind the last one: a push shows when
// it is committed, with the date at which its upload began.
const overlap = 15 * time.Minute

// Options of a Discoverer. The zero value is usable.
type Options struct {
	Indexer int  // version of the indexer: images indexed by an older one are queued again
	Force   bool // queue every digest that is seen, known or not
	// ReconcileEvery is how old the last full listing of this process may be before
	// a poll makes one; an hour. It is measured by our clock, not the registry's.
	ReconcileEvery time.Duration
	// Baseline makes the first full listing the baseline, unless one is recorded:
	// what is there is left alone until it differs. A recorded one always holds.
	Baseline bool
	// All takes everything once, past the baseline; what it brings in stays tracked.
	All bool
	// Fixed keeps to the repositories and images of the first full listing of this
	// process. What joins is found by the next process.
	Fixed  bool
	Logger *slog.Logger
	Now    func() time.Time
}

// Discoverer looks at one integration's registry. Looks are made one after the
// other, however many ask for one.
type Discoverer struct {
	in     inventory.Integration
	client *artifactory.Client
	store  Store
	filter *Filter
	opts   Options

	turn     chan struct{} // held during a look; guards what follows
	selected []inventory.RepositoryKey
	listed   time.Time                 // when everything was listed, by our clock
	known    []inventory.RepositoryKey // as last saved
	past     past
	state    trouble
	lasting  trouble // what the last reconcile found; a good poll does not cure it
}

// trouble is a state of the integration and why.
type trouble struct{ state, problem, remedy string }

// New makes a discoverer for an integration. It fails if a filter is no pattern.
func New(in inventory.Integration, client *artifactory.Client, store Store, o Options) (*Discoverer, error) {
	filter, err := NewFilter(in)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ReconcileEvery <= 0 {
		o.ReconcileEvery = time.Hour
	}
	return &Discoverer{
		in: in, client: client, store: store, filter: filter, opts: o, turn: make(chan struct{}, 1),
		known: in.Keys, state: trouble{in.State, in.Problem, in.Remedy}, lasting: trouble{state: inventory.IntegrationConnected},
	}, nil
}

// take waits for the turn to look.
func (d *Discoverer) take(ctx context.Context) (release func(), err error) {
	select {
	case d.turn <- struct{}{}:
		return func() { <-d.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Poll records what changed since the last look: one query, however many tags
// there are. The first poll of a process reconciles instead, and so does one
// that comes when a full listing is due or when a great loss was accepted.
func (d *Discoverer) Poll(ctx context.Context) (inventory.LookResult, error) {
	release, err := d.take(ctx)
	if err != nil {
		return inventory.LookResult{}, err
	}
	defer release()
	since, err := d.since(ctx)
	if err != nil {
		return inventory.LookResult{}, err
	}
	accept, err := d.store.Cursor(ctx, d.in.ID, CursorAcceptLoss)
	if err != nil {
		return inventory.LookResult{}, fmt.Errorf("poll %s: %w", d.in.Name, err)
	}
	if since.IsZero() || d.selected == nil || accept != "" || d.opts.Now().Sub(d.listed) >= d.opts.ReconcileEvery {
		return d.reconcile(ctx)
	}
	look, err := d.changes(ctx, since)
	if err != nil {
		return inventory.LookResult{}, d.failed(ctx, "poll", err)
	}
	d.leaveOut(&look, nil)
	return d.record(ctx, look)
}

// since is the server time that the last look reached, zero if there was none.
func (d *Discoverer) since(ctx context.Context) (time.Time, error) {
	value, err := d.store.Cursor(ctx, d.in.ID, CursorPoll)
	if err != nil {
		return time.Time{}, fmt.Errorf("poll %s: %w", d.in.Name, err)
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // no cursor, or one that nobody can read: everything is looked at
	}
	return t, nil
}

func (d *Discoverer) changes(ctx context.Context, since time.Time) (inventory.Look, error) {
	l, err := d.client.Tags(ctx, artifactory.Ask{Keys: d.selected, Since: since.Add(-overlap), Images: d.filter.exactImages()})
	if err != nil {
		return inventory.Look{}, err
	}
	look := d.look(inventory.LookPoll, l.At)
	look.Sightings, _ = d.filter.keep(l.Tags)
	at := l.At
	if at.Before(since) {
		at = since // a node whose clock is behind does not turn it back
	}
	if len(l.Problems) == 0 { // else what changed there would be skipped
		look.Cursors = map[string]string{CursorPoll: at.Format(time.RFC3339)}
	}
	t := d.lasting
	if key, err := firstProblem(l.Problems); err != nil {
		t = trouble{inventory.IntegrationDegraded, fmt.Sprintf("%s: %v", key, message(err)), remedy(err)}
	}
	return look, d.setState(ctx, t)
}

func (d *Discoverer) look(kind string, at time.Time) inventory.Look {
	return inventory.Look{Integration: d.in.ID, Kind: kind, At: at, Indexer: d.opts.Indexer, Force: d.opts.Force}
}

func (d *Discoverer) record(ctx context.Context, look inventory.Look) (inventory.LookResult, error) {
	result, err := d.store.RecordLook(ctx, look)
	if err != nil {
		return result, fmt.Errorf("record a look at %s: %w", d.in.Name, err)
	}
	d.recorded(look)
	d.opts.Logger.DebugContext(ctx, "look recorded", "integration", d.in.Name, "kind", look.Kind, "sightings", len(look.Sightings),
		"new", result.New, "moved", result.Moved, "gone", result.Gone, "queued", result.Queued)
	return result, d.countRequests(ctx)
}

// countRequests moves the client's counts to the ledger.
func (d *Discoverer) countRequests(ctx context.Context) error {
	u := d.client.Take()
	if len(u.Requests) == 0 {
		return nil
	}
	if err := d.store.AddRequests(ctx, d.in.ID, u.Requests, 0, 0); err != nil {
		return fmt.Errorf("count the requests to %s: %w", d.in.Name, err)
	}
	return nil
}

// failed records that a look failed as a whole, and returns why.
func (d *Discoverer) failed(ctx context.Context, act string, err error) error {
	err = fmt.Errorf("%s %s: %w", act, d.in.Name, err)
	if ctx.Err() != nil {
		return err // we were stopped; that says nothing about the registry
	}
	state := d.setState(ctx, trouble{inventory.IntegrationError, message(err), remedy(err)})
	return errors.Join(err, state, d.countRequests(ctx))
}

// setState tells the ledger, if there is something new to tell.
func (d *Discoverer) setState(ctx context.Context, t trouble) error {
	if t == d.state {
		return nil
	}
	if err := d.store.SetIntegrationState(ctx, d.in.ID, t.state, t.problem, t.remedy); err != nil {
		return fmt.Errorf("set the state of %s: %w", d.in.Name, err)
	}
	d.state = t
	return nil
}

func firstProblem(problems map[string]error) (string, error) {
	keys := make([]string, 0, len(problems))
	for key := range problems {
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return "", nil
	}
	first := slices.Min(keys)
	return first, problems[first]
}

// message and remedy split an error for people.
func message(err error) string {
	var e *inventory.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return strings.TrimSpace(err.Error())
}

func remedy(err error) string {
	var e *inventory.Error
	if errors.As(err, &e) {
		return e.Remedy
	}
	return ""
}
