package inventory

import "time"

// States of an image, and so of a tag.
const (
	StateWaiting     = "waiting"
	StateAnalysed    = "analysed"
	StateFailed      = "failed"
	StateUnsupported = "unsupported"
)

// Sighting is one tag as one look at the registry saw it.
type Sighting struct {
	Key       string    `json:"key"`   // repository key
	Image     string    `json:"image"` // image name inside the key, "team/app"
	Tag       string    `json:"tag"`
	Digest    string    `json:"digest"`               // of the manifest or index the tag points to
	MediaType string    `json:"media_type,omitempty"` // empty where the listing does not say
	Size      int64     `json:"size,omitempty"`
	Created   time.Time `json:"created,omitzero"` // zero = unknown
	Pushed    time.Time `json:"pushed,omitzero"`  // when the registry says it was pushed or changed; zero = unknown
	At        time.Time `json:"at,omitzero"`      // the server's time of the request: an older look never overwrites a newer one
	Filled    bool      `json:"filled,omitempty"` // a remote cached something of the image since the last full listing
}

// Repository is key + image name: what a digest is pulled from.
type Repository struct {
	Key   string `json:"repository_key"`
	Image string `json:"image"`
}

// Source is one place a digest can be pulled from.
type Source struct {
	Integration int64  `json:"-"`
	Name        string `json:"integration"` // of the integration
	Repository
	Tag    string    `json:"tag"`
	Pushed time.Time `json:"pushed,omitzero"` // zero = unknown
}

// Counts are distinct flaws of one image, each at its highest severity.
type Counts struct {
	Critical    int `json:"critical"`
	High        int `json:"high"`
	Medium      int `json:"medium"`
	Low         int `json:"low"`
	Unspecified int `json:"unspecified"`
	Fixable     int `json:"fixable"`
	// Fixable of each severity, in the order critical, high, medium, low, unspecified.
	FixableBy [5]int `json:"-"`
}

// Total is the number of distinct flaws.
func (c Counts) Total() int { return c.Critical + c.High + c.Medium + c.Low + c.Unspecified }

// TagRow is one row of the inventory: a tag and what is known of its image.
type TagRow struct {
	ID            int64      `json:"-"`
	Integration   string     `json:"integration"`
	Registry      string     `json:"registry"`
	RepositoryKey string     `json:"repository_key"`
	Image         string     `json:"image"`
	Tag           string     `json:"tag"`
	Reference     string     `json:"reference"` // what docker pull takes
	Digest        string     `json:"digest"`
	MediaType     string     `json:"media_type,omitempty"`
	Platforms     []string   `json:"platforms"`
	Created       *time.Time `json:"created,omitempty"`
	Pushed        *time.Time `json:"pushed,omitempty"`
	FirstSeen     time.Time  `json:"first_seen"`
	LastSeen      time.Time  `json:"last_seen"`
	Gone          *time.Time `json:"gone,omitempty"`
	State         string     `json:"state"`
	Problem       string     `json:"problem,omitempty"`
	Packages      int        `json:"packages"`
	Findings      *Counts    `json:"findings,omitempty"` // absent unless analysed: unknown is not zero
	Base          string     `json:"base,omitempty"`
	Source        string     `json:"source,omitempty"`
	Revision      string     `json:"revision,omitempty"`
}

// TagMove is one entry of a tag's history.
type TagMove struct {
	Digest string     `json:"digest"`
	From   time.Time  `json:"from"`
	To     *time.Time `json:"to,omitempty"` // absent = now
}

// TagFilter narrows a listing of tags. The zero value is every tag that is there now.
type TagFilter struct {
	Integration string
	Key         string
	Image       string // exact image name; needs Key
	Name        string // part of the repository or tag name
	State       string
	Severity    string     // only images that have a finding of this severity
	Fixable     bool       // only images with a fixable finding
	KEV         bool       // only images with a finding that is known to be exploited
	Gone        bool       // gone tags too
	Newest      bool       // only the newest tag of each repository
	AsOf        *time.Time // the tags as they were then, by name; states and findings are of today
	Sort        string     // "name" (default), "pushed", "severity"
	After       string     // cursor: Next of the previous page
	Limit       int        // 0 = all
}

// TagPage is one page of tags.
type TagPage struct {
	Rows  []TagRow `json:"images"`
	Total int      `json:"total"`          // rows without paging
	Next  string   `json:"next,omitempty"` // cursor of the next page; empty on the last
}
