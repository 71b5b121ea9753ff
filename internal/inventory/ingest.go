package inventory

import "time"

// What far watchers and servers say to each other.

// IngestProtocol is its version; both sides name it in the header IngestHeader, and
// refuse another.
const IngestProtocol = "1"

// Headers of every call of a far watcher.
const (
	IngestHeader = "Tallyman-Ingest"
	HolderHeader = "Tallyman-Holder" // names the process: one process at a time is a watcher
)

// WatcherHello begins a watcher's work, or says that it still lives.
type WatcherHello struct {
	Indexer int `json:"indexer"` // version of its indexer
	// Requests of the registries that no report has told of yet, by integration.
	Requests map[string]RequestCount `json:"requests"`
}

// WatcherState is what a server tells a watcher.
type WatcherState struct {
	LeaseS       int       `json:"lease_s"` // how long without a call until its name is free
	Integrations []Watched `json:"integrations"`
	Due          int       `json:"due"`     // errands that it should take
	Waiting      int       `json:"waiting"` // errands, with those that were put off
}

// Watched is one integration of a far watcher as the server has it.
type Watched struct {
	Name          string            `json:"name"`
	State         string            `json:"state"`
	Problem       string            `json:"problem,omitempty"`
	Remedy        string            `json:"remedy,omitempty"`
	Keys          []RepositoryKey   `json:"keys"`
	Cursors       map[string]string `json:"cursors"`
	Hints         []Hint            `json:"hints"`
	LastPoll      *time.Time        `json:"last_poll,omitempty"`
	LastReconcile *time.Time        `json:"last_reconcile,omitempty"`
}

// Registration is what a server learns of an integration that a far watcher watches: no
// credentials, and no path or proxy of the watcher's machine.
type Registration struct {
	Kind          string   `json:"kind"`
	URL           string   `json:"url"`
	Registry      string   `json:"registry"`
	Repositories  []string `json:"repositories"`
	Include       []string `json:"include"`
	Exclude       []string `json:"exclude"`
	Tags          []string `json:"tags"`
	SubdomainMode bool     `json:"subdomain_mode"`
	// Baseline makes what is there at the first full listing the baseline.
	Baseline bool `json:"baseline"`
}

// LookReport is one look, and what was asked of the registry since the last report.
type LookReport struct {
	Look
	Requests RequestCount `json:"requests"`
}

// RequestCount is what was asked of a registry.
type RequestCount struct {
	ByClass    map[string]int64 `json:"by_class"`
	LayerBytes int64            `json:"layer_bytes"`
	LayersRead int64            `json:"layers_read"`
}

// LookTaken answers a LookReport.
type LookTaken struct {
	Result  LookResult `json:"result"`
	Watched Watched    `json:"watched"`
	Due     int        `json:"due"`
}

// IntegrationHealth is how an integration fares.
type IntegrationHealth struct {
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// ErrandsAsked asks for images to index.
type ErrandsAsked struct {
	Held  []string `json:"held"` // digests that are being indexed
	Limit int      `json:"limit"`
}

// Outcome is what became of an errand. Without a problem the image is saved.
type Outcome struct {
	Digest  string `json:"digest"`
	Problem string `json:"problem,omitempty"`
	// Retry: the problem may pass, so the next reconcile tries again. With AgainS it is
	// not given up: the errand is due again after that many seconds.
	Retry  bool `json:"retry,omitempty"`
	AgainS int  `json:"again_s,omitempty"`
	// Requests of the registries that were asked, by integration.
	Requests map[string]RequestCount `json:"requests"`
}

// OutcomeTaken answers an Outcome.
type OutcomeTaken struct {
	Waiting int `json:"waiting"`
}

// LayersAsked names layers by diff ID, blobs by digest, or stacks by chain ID.
type LayersAsked struct {
	Digests []string `json:"digests"`
	Indexer int      `json:"indexer"`
}

// ImageReport is an image and the stacks of layers that were not known.
type ImageReport struct {
	Image  Image         `json:"image"`
	Retry  bool          `json:"retry,omitempty"` // its problem may pass
	Chains []ChainRecord `json:"chains"`
}

// Requeued says how many images are indexed again.
type Requeued struct {
	Images int `json:"images"`
}

// FarBody bounds one body of a far watcher, in bytes: as it is sent, and unpacked.
const (
	FarBody         = 64 << 20
	FarBodyUnpacked = 192 << 20
)
