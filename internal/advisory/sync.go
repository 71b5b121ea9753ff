package advisory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Where feeds are when nothing else is said.
const (
	DefaultBase = "https://storage.googleapis.com/osv-vulnerabilities"
	DefaultKEV  = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
	DefaultEPSS = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"
)

const acceptShrunk = "check the source; if it is right, tallyman advisories sync --take-shrunk"

const (
	maxDelta  = 1000 // changed records fetched one by one; beyond, the whole feed is
	shrinkBy  = 30   // per cent; a feed that lost more is held back
	fewEnough = 50   // records; a smaller feed may shrink as it likes
)

// Options say what to synchronise and from where. A blank address leaves that feed out.
type Options struct {
	Base       string   // of the OSV bucket or a mirror of it
	Ecosystems []string // without release: "Debian", "npm"
	KEV        string   // address of CISA's catalogue
	EPSS       string   // address of the scores
	// Username and Secret are sent to Base's host and nowhere else; a secret without
	// a user name is sent as a bearer token.
	Username, Secret string
	Client           *http.Client  // nil = one with sensible limits
	Dir              string        // for downloads; "" = the system's directory for such
	MaxBytes         int64         // of one download; 0 = 8 GiB
	Retry            time.Duration // pause before the first of two retries; 0 = 1 s
	TakeShrunk       bool          // take a feed although it shrank
	Optional         bool          // a feed that is not there is absent, which is no failure
	Log              *slog.Logger  // nil = silent
}

// State remembers feeds by name: "osv/Debian", "kev", "epss".
type State interface {
	FeedState(ctx context.Context, feed string) (inventory.FeedState, error) // the zero value when unknown
	SaveFeedState(ctx context.Context, feed string, state inventory.FeedState) error
}

// FeedResult is what became of one feed.
type FeedResult struct {
	Feed   string `json:"feed"`
	Status string `json:"status"`
	Result
	Problem string `json:"problem,omitempty"` // of a held, absent or failed feed
	Remedy  string `json:"remedy,omitempty"`
	Err     error  `json:"-"` // of a failed feed
}

// Taken tells whether the feed is up to date now.
func (r FeedResult) Taken() bool {
	return r.Status == inventory.FeedUnchanged || r.Status == inventory.FeedDelta || r.Status == inventory.FeedFull
}

// Sync brings each feed up to date and answers what became of each. A feed that cannot
// be read, is incomplete or shrank changes nothing, and the others go on. The error is
// of what stops all: a cancelled context or a sink or state that cannot be written.
func Sync(ctx context.Context, o Options, state State, sink Sink) ([]FeedResult, error) {
	run, err := newSyncer(o, state, sink)
	if err != nil {
		return nil, err
	}
	var results []FeedResult
	add := func(name, address string, do func(context.Context, *feed) (FeedResult, error)) error {
		result, err := run.feed(ctx, name, address, do)
		results = append(results, result)
		return err
	}
	for _, ecosystem := range o.Ecosystems {
		if err := add("osv/"+ecosystem, run.base.JoinPath(ecosystem).String(), run.osv); err != nil {
			return results, err
		}
	}
	if o.KEV != "" {
		if err := add("kev", o.KEV, run.document); err != nil {
			return results, err
		}
	}
	if o.EPSS != "" {
		if err := add("epss", o.EPSS, run.document); err != nil {
			return results, err
		}
	}
	return results, nil
}

type syncer struct {
	Options
	base  *url.URL
	http  *http.Client
	state State
	sink  Sink
}

func newSyncer(o Options, state State, sink Sink) (*syncer, error) {
	if len(o.Ecosystems) > 0 && o.Base == "" {
		o.Base = DefaultBase
	}
	base, err := url.Parse(o.Base)
	if err != nil || len(o.Ecosystems) > 0 && (base.Host == "" || base.Scheme != "http" && base.Scheme != "https") {
		return nil, inventory.Errorf(inventory.ErrInvalid, "not an address of advisories: %q", o.Base).
			WithRemedy("give one such as %s", DefaultBase)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if o.Retry == 0 {
		o.Retry = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &syncer{Options: o, base: base, http: client(o, base), state: state, sink: sink}, nil
}

// feed is one feed while it is synchronised.
type feed struct {
	name    string
	address string
	before  inventory.FeedState
	after   inventory.FeedState
	dir     string
}

// errStop wraps what must stop all feeds.
type errStop struct{ error }

func (e errStop) Unwrap() error { return e.error }

// feed synchronises one feed in a directory of its own, and remembers it when it is done.
func (s *syncer) feed(ctx context.Context, name, address string, do func(context.Context, *feed) (FeedResult, error)) (FeedResult, error) {
	before, err := s.state.FeedState(ctx, name)
	if err != nil {
		return FeedResult{Feed: name, Status: inventory.FeedFailed}, fmt.Errorf("state of feed %s: %w", name, err)
	}
	if before.SourceAddress != address {
		before = inventory.FeedState{SourceAddress: address}
	}
	dir, err := os.MkdirTemp(s.Dir, "tallyman-feed-")
	if err != nil {
		return FeedResult{Feed: name, Status: inventory.FeedFailed}, fmt.Errorf("synchronise %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	f := &feed{name: name, address: address, before: before, after: before, dir: dir}
	result, err := do(ctx, f)
	result.Feed = name
	if stop := new(errStop); errors.As(err, stop) || ctx.Err() != nil {
		result.Status, result.Err = inventory.FeedFailed, err
		return result, fmt.Errorf("synchronise %s: %w", name, err)
	}
	if err != nil {
		result.Status, result.Err = inventory.FeedFailed, err
		if errors.Is(err, inventory.ErrNotFound) && s.Optional {
			result.Status = inventory.FeedAbsent
		}
		result.Problem, result.Remedy = f.words(err)
	}
	if err := s.remember(ctx, f, result); err != nil {
		return result, fmt.Errorf("remember feed %s: %w", name, err)
	}
	return result, nil
}

// remember keeps how the try went; only one that was taken in moves the feed on.
func (s *syncer) remember(ctx context.Context, f *feed, result FeedResult) error {
	now, state := time.Now().UTC(), f.before
	if result.Taken() {
		state, state.Synchronised = f.after, now
		if result.Status != inventory.FeedUnchanged {
			state.Malformed = result.Malformed
		}
	} else {
		s.Log.WarnContext(ctx, "feed not taken", "feed", f.name, "status", result.Status, "problem", result.Problem, "remedy", result.Remedy)
	}
	state.Status, state.Tried, state.Problem, state.Remedy = result.Status, &now, result.Problem, result.Remedy
	return s.state.SaveFeedState(ctx, f.name, state)
}

// words says what went wrong with a feed, and what to do. A downloaded file goes by the
// address that it came from.
func (f *feed) words(err error) (problem, remedy string) {
	remedy = "check that this machine reaches the source (a proxy, a mirror?), or carry files in: tallyman advisories import PATH"
	var known *inventory.Error
	problem = err.Error()
	if errors.As(err, &known) && known.Remedy != "" {
		remedy = known.Remedy
		problem = strings.TrimSuffix(problem, " ("+remedy+")")
	}
	problem = strings.ReplaceAll(problem, filepath.Join(f.dir, "feed"), bare(f.address))
	return strings.ReplaceAll(problem, f.dir, bare(f.address)), remedy
}

// guard marks a sink's failures as what stops all.
type guard struct{ Sink }

func (g guard) Advisories(ctx context.Context, batch []inventory.Advisory) error {
	return stop(g.Sink.Advisories(ctx, batch))
}

func (g guard) KEV(ctx context.Context, entries []inventory.KEV) error {
	return stop(g.Sink.KEV(ctx, entries))
}

func (g guard) EPSS(ctx context.Context, scores []inventory.EPSS) error {
	return stop(g.Sink.EPSS(ctx, scores))
}

func stop(err error) error {
	if err == nil {
		return nil
	}
	return errStop{err}
}

// osv brings one ecosystem up to date: by the list of changes when the feed is known
// and few records changed, else whole.
func (s *syncer) osv(ctx context.Context, f *feed) (FeedResult, error) {
	if f.before.Records > 0 {
		result, done, err := s.delta(ctx, f)
		if done || err != nil {
			return result, err
		}
	}
	return s.whole(ctx, f)
}

// whole fetches all.zip. Changes of records while it downloads are in the next list.
func (s *syncer) whole(ctx context.Context, f *feed) (FeedResult, error) {
	path := filepath.Join(f.dir, "all.zip")
	got, err := s.get(ctx, f.address+"/all.zip", path, f.before.ETag, f.before.LastModified)
	if err != nil {
		return FeedResult{}, err
	}
	if got.unchanged {
		return FeedResult{Status: inventory.FeedUnchanged}, nil
	}
	records, err := countRecords(path)
	if err != nil {
		return FeedResult{}, err
	}
	if problem := s.shrunk(f.before.Records, records); problem != "" {
		return FeedResult{Status: inventory.FeedHeld, Problem: problem, Remedy: acceptShrunk}, nil
	}
	result, err := Import(ctx, path, guard{s.sink})
	if err != nil {
		return FeedResult{Result: result}, err
	}
	f.after.ETag, f.after.LastModified = got.etag, got.modified
	f.after.ListETag, f.after.ListModified = "", ""
	f.after.Records, f.after.Newest = records, result.Newest
	return FeedResult{Status: inventory.FeedFull, Result: result}, nil
}

// shrunk says why a feed is held back, "" when it may be taken.
func (s *syncer) shrunk(before, now int) string {
	if s.TakeShrunk || before < fewEnough || now*100 >= before*(100-shrinkBy) {
		return ""
	}
	return fmt.Sprintf("it had %d records and has %d now; nothing of it was taken", before, now)
}

// delta fetches the records that the list of changes names as newer than what is
// known. done is false when the whole feed must be fetched instead.
func (s *syncer) delta(ctx context.Context, f *feed) (result FeedResult, done bool, err error) {
	path := filepath.Join(f.dir, "modified_id.csv")
	got, err := s.get(ctx, f.address+"/modified_id.csv", path, f.before.ListETag, f.before.ListModified)
	switch {
	case errors.Is(err, inventory.ErrNotFound):
		return result, false, nil // a mirror without lists
	case err != nil:
		return result, false, err
	case got.unchanged:
		return FeedResult{Status: inventory.FeedUnchanged}, true, nil
	}
	list, err := readChanges(path, f.before.Newest)
	if err != nil {
		return result, false, err
	}
	if problem := s.shrunk(f.before.Records, list.total); problem != "" {
		return FeedResult{Status: inventory.FeedHeld, Problem: problem, Remedy: acceptShrunk}, true, nil
	}
	if len(list.ids) > maxDelta {
		return result, false, nil
	}
	f.after.ListETag, f.after.ListModified, f.after.Records = got.etag, got.modified, list.total
	if len(list.ids) == 0 {
		return FeedResult{Status: inventory.FeedUnchanged}, true, nil
	}
	records := filepath.Join(f.dir, "records")
	if err := os.Mkdir(records, 0o700); err != nil {
		return result, false, fmt.Errorf("synchronise %s: %w", f.name, err)
	}
	missing, err := s.getRecords(ctx, f, records, list.ids)
	if err != nil {
		return result, false, err
	}
	result = FeedResult{Status: inventory.FeedDelta}
	if len(missing) < len(list.ids) {
		if result.Result, err = Import(ctx, records, guard{s.sink}); err != nil {
			return result, true, err
		}
	}
	for _, id := range missing {
		result.problem(id, "the list of changes names it, but it is not there")
	}
	f.after.Newest = list.newest
	return result, true, nil
}

// getRecords fetches records one by one and answers those that are not there.
func (s *syncer) getRecords(ctx context.Context, f *feed, dir string, ids []string) (missing []string, err error) {
	for i, id := range ids {
		path := filepath.Join(dir, fmt.Sprintf("%04d.json", i))
		_, err := s.get(ctx, f.address+"/"+url.PathEscape(id+".json"), path, "", "")
		if errors.Is(err, inventory.ErrNotFound) {
			missing = append(missing, id)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// changes is a list of changes: its newest ones, and how many records there are.
type changes struct {
	ids    []string
	total  int
	newest time.Time
}

// readChanges reads lines of time and id, newest first or in any order.
func readChanges(path string, since time.Time) (changes, error) {
	var list changes
	file, err := os.Open(path)
	if err != nil {
		return list, fmt.Errorf("read list of changes: %w", err)
	}
	defer file.Close()
	lines, tomorrow := bufio.NewScanner(file), time.Now().Add(24*time.Hour)
	for lines.Scan() {
		stamp, id, ok := strings.Cut(strings.TrimSpace(lines.Text()), ",")
		at := moment(stamp)
		if !ok || at == nil || id == "" || len(id) > maxID || strings.ContainsFunc(id, odd) {
			return list, inventory.Errorf(inventory.ErrInvalid, "list of changes, line %d: not a time and an id: %q", list.total+1, clip(lines.Text(), 80))
		}
		list.total++
		if at.After(list.newest) && at.Before(tomorrow) {
			list.newest = *at // a date far ahead would hide all changes until then
		}
		if at.After(since) {
			if list.ids = append(list.ids, id); len(list.ids) > maxDelta {
				list.ids = list.ids[:maxDelta+1]
			}
		}
	}
	if err := lines.Err(); err != nil {
		return list, inventory.Errorf(inventory.ErrInvalid, "list of changes: %w", err)
	}
	if list.total == 0 {
		return list, inventory.Errorf(inventory.ErrInvalid, "list of changes: empty")
	}
	return list, nil
}

// document synchronises a feed of one file: KEV or EPSS.
func (s *syncer) document(ctx context.Context, f *feed) (FeedResult, error) {
	path := filepath.Join(f.dir, "feed")
	got, err := s.get(ctx, f.address, path, f.before.ETag, f.before.LastModified)
	if err != nil {
		return FeedResult{}, err
	}
	if got.unchanged {
		return FeedResult{Status: inventory.FeedUnchanged}, nil
	}
	counted := &counter{}
	if _, err := Import(ctx, path, counted); err != nil {
		return FeedResult{}, err
	}
	if problem := s.shrunk(f.before.Records, counted.n); problem != "" {
		return FeedResult{Status: inventory.FeedHeld, Problem: problem, Remedy: acceptShrunk}, nil
	}
	result, err := Import(ctx, path, guard{s.sink})
	if err != nil {
		return FeedResult{Result: result}, err
	}
	f.after.ETag, f.after.LastModified, f.after.Records = got.etag, got.modified, counted.n
	return FeedResult{Status: inventory.FeedFull, Result: result}, nil
}

// counter is a sink that only counts.
type counter struct{ n int }

func (c *counter) Advisories(_ context.Context, batch []inventory.Advisory) error {
	c.n += len(batch)
	return nil
}

func (c *counter) KEV(_ context.Context, entries []inventory.KEV) error {
	c.n += len(entries)
	return nil
}

func (c *counter) EPSS(_ context.Context, scores []inventory.EPSS) error {
	c.n += len(scores)
	return nil
}
