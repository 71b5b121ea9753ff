package inventory

import "time"

// What became of a feed when it was last synchronised.
const (
	FeedUnchanged = "unchanged"
	FeedDelta     = "delta" // only changed records were fetched
	FeedFull      = "full"
	FeedHeld      = "held"   // it shrank: nothing was taken
	FeedFailed    = "failed" // nothing was taken, or a part that will be taken again
	FeedAbsent    = "absent" // the source has no such feed
)

// FeedStaleAfter is when what was taken from a feed is too old to be trusted without a word.
const FeedStaleAfter = 48 * time.Hour

// FeedState is what is remembered of a feed between two synchronisations.
type FeedState struct {
	ETag          string     `json:"etag,omitempty"`
	LastModified  string     `json:"last_modified,omitempty"`
	ListETag      string     `json:"list_etag,omitempty"` // of the list of changes
	ListModified  string     `json:"list_modified,omitempty"`
	Records       int        `json:"records"`
	Newest        time.Time  `json:"newest"` // changes up to here are taken
	Synchronised  time.Time  `json:"synchronised"`
	SourceAddress string     `json:"source"` // another address starts from nothing
	Status        string     `json:"status,omitempty"`
	Malformed     int        `json:"malformed,omitempty"` // of the last time that anything was fetched
	Tried         *time.Time `json:"tried,omitempty"`
	Problem       string     `json:"problem,omitempty"` // of the last try
	Remedy        string     `json:"remedy,omitempty"`
}

// Feed is one source of advisories: when it was last taken in whole, and for one that is
// synchronised ("osv/Debian", "kev", "epss") how the last try went. Another is the name
// of a file that was imported.
type Feed struct {
	Name      string     `json:"name"`
	Source    string     `json:"source,omitempty"`
	Synced    time.Time  `json:"synced,omitzero"` // zero = never
	AgeS      *int64     `json:"age_s,omitempty"`
	Stale     bool       `json:"stale"`
	Records   *int       `json:"records,omitempty"`
	Malformed int        `json:"malformed,omitempty"`
	Newest    *time.Time `json:"newest,omitempty"`
	Status    string     `json:"status,omitempty"`
	Tried     *time.Time `json:"tried,omitempty"`
	Problem   string     `json:"problem,omitempty"`
	Remedy    string     `json:"remedy,omitempty"`
}
