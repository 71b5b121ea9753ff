package inventory

import "time"

// Judgement is why an advisory hits a package, or why it does not.
type Judgement struct {
	PURL       string    `json:"purl"`
	Advisory   string    `json:"advisory"`
	Modified   time.Time `json:"modified"` // revision of the advisory
	Affected   bool      `json:"affected"`
	Known      bool      `json:"known"` // false: it could not be judged
	Reason     string    `json:"reason"`
	Ecosystem  string    `json:"ecosystem,omitempty"` // of the entry that decided
	Name       string    `json:"name,omitempty"`      // the package that the entry names
	Version    string    `json:"version,omitempty"`   // the version held against it
	Range      string    `json:"range,omitempty"`
	Fixed      string    `json:"fixed,omitempty"`
	Comparator string    `json:"comparator,omitempty"`
}
