package inventory

import "time"

// Kinds of look at a registry.
const (
	LookPoll      = "poll"      // what changed since the cursor
	LookReconcile = "reconcile" // everything, so that absence means something
	LookHint      = "hint"      // one repository, because a webhook named it
)

// Look is what one look at a registry saw, recorded in one transaction.
type Look struct {
	Integration int64             `json:"-"`
	Kind        string            `json:"kind"`
	Sightings   []Sighting        `json:"sightings"`
	Baseline    []Sighting        `json:"baseline"`              // there before anybody watched: kept apart, not recorded as tags and not queued, until they are sighted
	Gone        []LiveTag         `json:"gone"`                  // known to be gone by this look
	Missed      []LiveTag         `json:"missed"`                // absent from this complete listing but not yet known gone: their Missed goes up by one; a sighting sets it back to 0
	NotSelected int               `json:"not_selected"`          // tags that filters left out; of a reconcile
	Cursors     map[string]string `json:"cursors"`               // name -> value, saved with the sightings
	At          time.Time         `json:"at,omitzero"`           // server time of the request
	HintsUpTo   int64             `json:"hints_up_to,omitempty"` // hints with an id up to this are answered
	Indexer     int               `json:"indexer"`               // images indexed by an older version are queued again
	Force       bool              `json:"force,omitempty"`       // queue every sighted digest, known or not
	// Partial: the look is too long for one call and more of it follows, with what is
	// saved once (cursors, answered hints, when it was) in its last part.
	Partial bool `json:"partial,omitempty"`
}

// LookResult is what a look changed.
type LookResult struct {
	New    int `json:"new"`   // tags never seen before
	Moved  int `json:"moved"` // tags that point elsewhere now
	Gone   int `json:"gone"`
	Queued int `json:"queued"` // digests queued for indexing
}

// LiveTag is a tag that the ledger believes is there.
type LiveTag struct {
	Key    string    `json:"key"`
	Image  string    `json:"image"`
	Tag    string    `json:"tag"`
	Digest string    `json:"digest,omitempty"`
	Seen   time.Time `json:"seen,omitzero"`    // server time of the newest sighting
	Missed int       `json:"missed,omitempty"` // complete listings in a row it was absent from
}

// Hint is what a webhook said happened: only a reason to look sooner.
type Hint struct {
	ID    int64  `json:"id,omitempty"`
	Key   string `json:"key"`
	Image string `json:"image"`
	Tag   string `json:"tag,omitempty"`
}

// Scopes of a token, narrowest first.
const (
	ScopeIngest = "ingest"
	ScopeRead   = "read"
	ScopeAdmin  = "admin"
)

// Token is a machine's credential, without its secret.
type Token struct {
	Name     string     `json:"name"`
	Scope    string     `json:"scope"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	// Integrations that a token of scope ingest is bound to; none = those of the watcher
	// that has the token's name.
	Integrations []string `json:"integrations"`
}
