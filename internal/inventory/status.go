package inventory

import "time"

// Status is the coverage ledger, as `status --format json` prints it:
// tags_seen = analysed + failed + unsupported + waiting.
type Status struct {
	Tally
	Integrations []IntegrationStatus `json:"integrations"`
	Advisories   AdvisoryStatus      `json:"advisories"`
}

// Tally is the sums, of one integration or of all.
type Tally struct {
	TagsSeen    int `json:"tags_seen"`
	Analysed    int `json:"analysed"`
	Failed      int `json:"failed"`
	Unsupported int `json:"unsupported"`
	Waiting     int `json:"waiting"`
	NotSelected int `json:"not_selected"`
	Gone        int `json:"gone"`
	// Requests by class: ping, aql, catalog, tags, manifest, config, blob, repositories, token, other.
	Requests   map[string]int64 `json:"requests"`
	LayerBytes int64            `json:"layer_bytes"`
	LayersRead int64            `json:"layers_read"`
}

// Add adds another tally to t.
func (t *Tally) Add(more Tally) {
	t.TagsSeen += more.TagsSeen
	t.Analysed += more.Analysed
	t.Failed += more.Failed
	t.Unsupported += more.Unsupported
	t.Waiting += more.Waiting
	t.NotSelected += more.NotSelected
	t.Gone += more.Gone
	t.LayerBytes += more.LayerBytes
	t.LayersRead += more.LayersRead
	if t.Requests == nil {
		t.Requests = map[string]int64{}
	}
	for class, n := range more.Requests {
		t.Requests[class] += n
	}
}

// IntegrationStatus is one integration's part of the ledger.
type IntegrationStatus struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Tally
	LastPoll      *time.Time   `json:"last_poll,omitempty"`
	LastReconcile *time.Time   `json:"last_reconcile,omitempty"`
	LagP50        *int64       `json:"lag_p50_ms,omitempty"`
	LagP95        *int64       `json:"lag_p95_ms,omitempty"`
	Problems      []TagProblem `json:"problems"`
}

// TagProblem is a tag that failed or is unsupported, and why.
type TagProblem struct {
	Reference string `json:"reference"`
	Problem   string `json:"problem"`
}

// AdvisoryStatus is what is known of advisories.
type AdvisoryStatus struct {
	Records int        `json:"records"`
	Newest  *time.Time `json:"newest,omitempty"`
	AgeS    *int64     `json:"age_s,omitempty"` // seconds since the last sync or import that brought advisories
	Stale   bool       `json:"stale"`           // a feed is, or that age is
	Feeds   []Feed     `json:"feeds"`
}
