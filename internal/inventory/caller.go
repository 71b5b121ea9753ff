package inventory

// Caller is who calls the API, as it answers to GET /api/v1/me.
type Caller struct {
	Name  string `json:"name"`
	Reach string `json:"reach"` // ingest, read, edit, admin
	// Integrations that a token of scope ingest is bound to; none = those of the watcher
	// that has the token's name.
	Integrations []string `json:"integrations"`
}

// Version is what runs somewhere.
type Version struct {
	Version     string   `json:"version"`
	Commit      string   `json:"commit,omitempty"`
	Go          string   `json:"go"`
	SBOMFormats []string `json:"sbom_formats"`
}
