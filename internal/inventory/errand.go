package inventory

// Errand is an image that a far watcher has to index.
type Errand struct {
	Digest  string
	Attempt int      // 1 for the first
	Sources []Source // where its watcher can pull it from, the newest first
}
