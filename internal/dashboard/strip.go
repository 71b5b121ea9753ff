package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// fresh is how long one reading of the ledger's sums serves all pages.
const fresh = time.Second

// tally keeps the last reading of the ledger's sums.
type tally struct {
	mu     sync.Mutex
	at     time.Time
	status inventory.Status
	mark   string // changes when something that the pages show does
	paces  paces
}

// status reads the sums, at most once in a while for everybody together.
func (d *Dashboard) status(ctx context.Context) (inventory.Status, string, error) {
	t := &d.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.at) >= fresh {
		st, err := d.Store.Status(ctx)
		if err != nil {
			return st, "", fmt.Errorf("status: %w", err)
		}
		t.status, t.at, t.mark = st, now, mark(st)
		t.paces.note(now, st)
	}
	return t.status, t.mark, nil
}

// mark is a short hash of what changes when an open page should; counts of requests
// and times of looks do not count.
func mark(st inventory.Status) string {
	h := fnv.New64a()
	enc := json.NewEncoder(h)
	_ = enc.Encode([]any{sums(st.Tally), st.Advisories.Records, st.Advisories.Newest})
	for _, in := range st.Integrations {
		_ = enc.Encode([]any{in.Name, in.State, sums(in.Tally), in.Problems})
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

func sums(t inventory.Tally) [7]int {
	return [7]int{t.TagsSeen, t.Analysed, t.Failed, t.Unsupported, t.Waiting, t.NotSelected, t.Gone}
}

// strip is the state of knowledge, on every page.
type strip struct {
	inventory.Tally
	Connected  bool
	Coverage   string // "99.9 %"
	Complete   bool
	Advisories inventory.AdvisoryStatus
	Age        string // of the advisories
	Stale      bool
	Lag        string // p95 from push to report
	Reconcile  *time.Time
	Mark       string
}

// stale is when advisories are too old to be trusted without a word.
const stale = 48 * time.Hour

func (d *Dashboard) strip(ctx context.Context) (*strip, error) {
	st, mark, err := d.status(ctx)
	if err != nil {
		return nil, err
	}
	s := &strip{
		Tally: st.Tally, Connected: len(st.Integrations) > 0, Coverage: share(st.Analysed, st.TagsSeen),
		Complete: st.TagsSeen == st.Analysed, Advisories: st.Advisories, Mark: mark,
	}
	if st.Advisories.AgeS != nil {
		old := time.Duration(*st.Advisories.AgeS) * time.Second
		s.Age, s.Stale = span(old), old > stale
	}
	var worst int64 = -1
	for _, in := range st.Integrations {
		if in.LagP95 != nil {
			worst = max(worst, *in.LagP95)
		}
		if in.LastReconcile != nil && (s.Reconcile == nil || in.LastReconcile.Before(*s.Reconcile)) {
			s.Reconcile = in.LastReconcile
		}
	}
	if worst >= 0 {
		s.Lag = lag(worst)
	}
	return s, nil
}

// lag writes milliseconds: 8.4 s.
func lag(ms int64) string {
	if ms < 10_000 {
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return span(time.Duration(ms) * time.Millisecond)
}

// share writes a part of a whole in per cent, and never 100 when something is missing.
func share(part, whole int) string {
	if whole == 0 {
		return "unknown"
	}
	p := math.Floor(1000*float64(part)/float64(whole)) / 10
	if part == whole {
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", p)
}
