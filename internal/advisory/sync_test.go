package advisory_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// bucket is a server in the layout of OSV's public one.
type bucket struct {
	mu    sync.Mutex
	files map[string][]byte
	etags map[string]string
	asked []string
	auth  []string
	cut   bool // bodies end early
}

func (b *bucket) put(path string, content []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[path] = content
	b.etags[path] = fmt.Sprintf("%q", fmt.Sprint(len(b.etags), len(content), path, time.Now().UnixNano()))
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r.URL.Path)
	b.auth = append(b.auth, r.Header.Get("Authorization"))
	content, ok := b.files[r.URL.Path]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Header.Get("If-None-Match") == b.etags[r.URL.Path]:
		w.WriteHeader(http.StatusNotModified)
	case b.cut:
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:len(content)/2])
	default:
		w.Header().Set("ETag", b.etags[r.URL.Path])
		_, _ = w.Write(content)
	}
}

func newBucket(t *testing.T) (*bucket, string) {
	t.Helper()
	b := &bucket{files: map[string][]byte{}, etags: map[string]string{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, server.URL
}

// memory is a State.
type memory map[string]inventory.FeedState

func (m memory) FeedState(_ context.Context, feed string) (inventory.FeedState, error) {
	return m[feed], nil
}

func (m memory) SaveFeedState(_ context.Context, feed string, s inventory.FeedState) error {
	m[feed] = s
	return nil
}

func many(n int) (records map[string]string, list string) {
	records = map[string]string{}
	var lines strings.Builder
	for i := range n {
		id := fmt.Sprintf("A-%d", i)
		records[id+".json"] = record(id)
		fmt.Fprintf(&lines, "2024-01-02T03:04:05Z,%s\n", id)
	}
	return records, lines.String()
}

func options(base string) advisory.Options {
	return advisory.Options{Base: base, Ecosystems: []string{"npm"}, Retry: time.Millisecond}
}

func only(t *testing.T, o advisory.Options, state memory, into *sink) advisory.FeedResult {
	t.Helper()
	results, err := advisory.Sync(t.Context(), o, state, into)
	if err != nil || len(results) != 1 {
		t.Fatalf("got %v, %v", results, err)
	}
	return results[0]
}

func TestSyncFullThenDelta(t *testing.T) {
	b, base := newBucket(t)
	records, list := many(100)
	b.put("/npm/all.zip", makeZip(t, records))
	b.put("/npm/modified_id.csv", []byte(list))
	state, into := memory{}, &sink{keep: true}

	if got := only(t, options(base), state, into); got.Status != inventory.FeedFull || got.Records != 100 {
		t.Fatalf("first: %+v", got)
	}
	if got := only(t, options(base), state, into); got.Status != inventory.FeedUnchanged {
		t.Fatalf("second: %+v", got)
	}
	if got := only(t, options(base), state, into); got.Status != inventory.FeedUnchanged {
		t.Fatalf("third: %+v", got)
	}
	b.asked = nil
	b.put("/npm/A-new.json", []byte(record("A-new")))
	b.put("/npm/modified_id.csv", []byte("2024-05-01T00:00:00Z,A-new\n2024-04-01T00:00:00Z,A-lost\n"+list))
	into.records = nil
	got := only(t, options(base), state, into)
	if got.Status != inventory.FeedDelta || got.Records != 1 || got.Malformed != 1 || len(into.records) != 1 || into.records[0].ID != "A-new" {
		t.Errorf("delta: %+v", got)
	}
	for _, path := range b.asked {
		if path == "/npm/all.zip" {
			t.Error("the whole feed was fetched for one record")
		}
	}
	if got := only(t, options(base), state, into); got.Status != inventory.FeedUnchanged {
		t.Errorf("after the delta: %+v", got)
	}
}

func TestSyncWithoutList(t *testing.T) {
	b, base := newBucket(t)
	records, _ := many(3)
	b.put("/npm/all.zip", makeZip(t, records))
	state := memory{}
	if got := only(t, options(base), state, &sink{}); got.Status != inventory.FeedFull {
		t.Fatalf("first: %+v", got)
	}
	if got := only(t, options(base), state, &sink{}); got.Status != inventory.FeedUnchanged {
		t.Errorf("second: %+v", got)
	}
}

// taken is a state without how the last try went.
func taken(s inventory.FeedState) inventory.FeedState {
	s.Status, s.Tried, s.Problem, s.Remedy = "", nil, "", ""
	return s
}

// TestSyncTellsAnAbsentFeed: a source that has no feed of an ecosystem which nobody
// asked for by name is no failure; what it would judge is not assessed.
func TestSyncTellsAnAbsentFeed(t *testing.T) {
	_, base := newBucket(t)
	o, state := options(base), memory{}
	o.Optional = true
	if got := only(t, o, state, &sink{}); got.Status != inventory.FeedAbsent || got.Problem == "" {
		t.Errorf("got %+v", got)
	}
	if kept := state["osv/npm"]; kept.Status != inventory.FeedAbsent || !kept.Synchronised.IsZero() {
		t.Errorf("kept %+v", kept)
	}
}

func TestSyncHoldsBackWhatShrank(t *testing.T) {
	b, base := newBucket(t)
	records, list := many(100)
	b.put("/npm/all.zip", makeZip(t, records))
	b.put("/npm/modified_id.csv", []byte(list))
	state := memory{}
	only(t, options(base), state, &sink{})
	before := map[string]inventory.FeedState{"osv/npm": taken(state["osv/npm"])}

	records, list = many(69)
	b.put("/npm/all.zip", makeZip(t, records))
	b.put("/npm/modified_id.csv", []byte(list))
	into := &sink{}
	got := only(t, options(base), state, into)
	if got.Status != inventory.FeedHeld || !strings.Contains(got.Problem, "had 100 records and has 69") || into.batches != 0 {
		t.Errorf("by its list: %+v", got)
	}
	delete(b.files, "/npm/modified_id.csv")
	if got = only(t, options(base), state, into); got.Status != inventory.FeedHeld || into.batches != 0 {
		t.Errorf("by its zip: %+v", got)
	}
	if held := state["osv/npm"]; held.Status != inventory.FeedHeld || held.Problem == "" || held.Remedy == "" {
		t.Errorf("nobody is told: %+v", held)
	}
	if diff := cmp.Diff(before["osv/npm"], taken(state["osv/npm"])); diff != "" {
		t.Errorf("a feed that was held back is remembered as taken: %s", diff)
	}
	o := options(base)
	o.TakeShrunk = true
	if got = only(t, o, state, into); got.Status != inventory.FeedFull || got.Records != 69 {
		t.Errorf("told to take it: %+v", got)
	}
}

func TestSyncFailuresChangeNothing(t *testing.T) {
	records, list := many(60)
	for name, tc := range map[string]struct {
		spoil func(*bucket)
		kind  error
	}{
		"not there":       {func(b *bucket) { delete(b.files, "/npm/all.zip") }, inventory.ErrNotFound},
		"cut off":         {func(b *bucket) { b.cut = true }, inventory.ErrUnavailable},
		"a page":          {func(b *bucket) { b.put("/npm/all.zip", []byte("<html>sign in</html>")) }, inventory.ErrInvalid},
		"half a zip":      {func(b *bucket) { b.put("/npm/all.zip", b.files["/npm/all.zip"][:500]) }, inventory.ErrInvalid},
		"nothing good":    {func(b *bucket) { b.put("/npm/all.zip", makeZip(t, map[string]string{"a.json": "{"})) }, inventory.ErrInvalid},
		"no feed at all":  {func(b *bucket) { clear(b.files) }, inventory.ErrNotFound},
		"an empty answer": {func(b *bucket) { b.put("/npm/all.zip", nil) }, inventory.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			b, base := newBucket(t)
			b.put("/npm/all.zip", makeZip(t, records))
			b.put("/npm/modified_id.csv", []byte(list))
			tc.spoil(b)
			state, into := memory{}, &sink{}
			got := only(t, options(base), state, into)
			if got.Status != inventory.FeedFailed || !errors.Is(got.Err, tc.kind) || got.Problem == "" {
				t.Errorf("got %+v", got)
			}
			if into.batches != 0 {
				t.Errorf("something changed: %d batches", into.batches)
			}
			kept := state["osv/npm"]
			if kept.Status != inventory.FeedFailed || kept.Problem != got.Problem || kept.Remedy == "" || kept.Tried == nil || strings.Contains(kept.Problem, "tallyman-feed-") {
				t.Errorf("nobody is told: %+v", kept)
			}
			if diff := cmp.Diff(inventory.FeedState{SourceAddress: base + "/npm"}, taken(kept)); diff != "" {
				t.Errorf("it is remembered as taken: %s", diff)
			}
		})
	}
}

func TestSyncBadList(t *testing.T) {
	for name, list := range map[string]string{
		"no time": "yesterday,A-1\n", "no id": "2024-01-02T03:04:05Z,\n", "a page": "<html>\n", "an id that climbs": "2030-01-02T03:04:05Z,../../x\n", "empty": "\n",
	} {
		b, base := newBucket(t)
		records, _ := many(60)
		b.put("/npm/all.zip", makeZip(t, records))
		state, into := memory{}, &sink{}
		only(t, options(base), state, into)
		b.put("/npm/modified_id.csv", []byte(list))
		if got := only(t, options(base), state, into); got.Status != inventory.FeedFailed || !errors.Is(got.Err, inventory.ErrInvalid) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSyncSendsCredentialsToTheBaseOnly(t *testing.T) {
	records, _ := many(3)
	other, elsewhere := newBucket(t)
	other.put("/npm/all.zip", makeZip(t, records))
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "reader" || password != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusFound)
	}))
	defer b.Close()
	o := options(b.URL)
	if got := only(t, o, memory{}, &sink{}); !errors.Is(got.Err, inventory.ErrUnauthorized) {
		t.Errorf("without credentials: %+v", got)
	}
	o.Username, o.Secret = "reader", "s3cret"
	if got := only(t, o, memory{}, &sink{}); got.Status != inventory.FeedFull {
		t.Errorf("with credentials: %+v", got)
	}
	for _, sent := range other.auth {
		if sent != "" {
			t.Errorf("credentials went elsewhere: %q", sent)
		}
	}
}

func TestSyncSecretsStayOutOfErrors(t *testing.T) {
	o := advisory.Options{KEV: "http://user:pa55word@127.0.0.1:1/kev.json?token=pa55word", Retry: time.Millisecond}
	got := only(t, o, memory{}, &sink{})
	if !errors.Is(got.Err, inventory.ErrUnavailable) || strings.Contains(got.Problem, "pa55word") {
		t.Errorf("got %+v", got)
	}
}

func TestSyncScores(t *testing.T) {
	b, base := newBucket(t)
	b.put("/kev.json", []byte(kevJSON))
	b.put("/epss.csv.gz", gzipped(t, epssCSV))
	o := advisory.Options{KEV: base + "/kev.json", EPSS: base + "/epss.csv.gz", Retry: time.Millisecond}
	state, into := memory{}, &sink{}
	for _, want := range []string{inventory.FeedFull, inventory.FeedUnchanged} {
		results, err := advisory.Sync(t.Context(), o, state, into)
		if err != nil || len(results) != 2 || results[0].Status != want || results[1].Status != want {
			t.Fatalf("want %s: %+v, %v", want, results, err)
		}
	}
	if len(into.kev) != 1 || len(into.epss) != 1 {
		t.Errorf("sink has %+v", into)
	}
}

func TestSyncStopsWhenTheSinkFails(t *testing.T) {
	b, base := newBucket(t)
	records, _ := many(3)
	b.put("/npm/all.zip", makeZip(t, records))
	full, state := errors.New("disk full"), memory{}
	if _, err := advisory.Sync(t.Context(), options(base), state, &sink{fail: full}); !errors.Is(err, full) || len(state) != 0 {
		t.Errorf("got %v, %v", err, state)
	}
	o := options("ftp://example.com")
	if _, err := advisory.Sync(t.Context(), o, state, &sink{}); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
