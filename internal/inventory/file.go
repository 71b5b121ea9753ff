package inventory

// File is a file that an extractor read: executables, archives, package files.
// No other files are recorded.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // 64 hex
	Size   int64  `json:"size"`
}
