package inventory

import "time"

// Watch is a question to who-has that is asked of every image that comes later.
type Watch struct {
	ID        int64      `json:"-"`
	Name      string     `json:"name"`
	Query     string     `json:"query"`
	Ecosystem string     `json:"ecosystem,omitempty"`
	Author    string     `json:"author,omitempty"`
	Created   time.Time  `json:"created,omitzero"` // by the server
	Images    int        `json:"images"`           // later ones that have it
	Last      *time.Time `json:"last,omitempty"`   // when the newest of them was analysed
}

// ImageContent is what questions are asked of: what one image holds.
type ImageContent struct {
	Digest   string
	Analysed time.Time // when first; zero = not yet, or it is an index
	Packages []Package
	// Flaws are the ids of flaws and advisories, and their aliases, of packages that count.
	Flaws map[string]bool
	// Files are the SHA-256 (64 hex) of the files that were read, those asked for alone.
	Files map[string]bool
}
