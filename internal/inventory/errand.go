package inventory

// Errand is an image that a far watcher has to index.
type Errand struct {
	Digest  string   `json:"digest"`
	Attempt int      `json:"attempt"` // 1 for the first
	Sources []Source `json:"sources"` // where its watcher can pull it from, the newest first
}
