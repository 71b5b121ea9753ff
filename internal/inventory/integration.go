package inventory

import "time"

// Kinds of registry an integration can speak to.
const (
	KindArtifactory = "artifactory"
	KindOCI         = "oci" // any registry with catalogue and tag lists
)

// States of an integration. Strings, so that stored values survive renumbering.
const (
	IntegrationConnected    = "connected"
	IntegrationDegraded     = "degraded" // part of it cannot be read; the rest goes on
	IntegrationError        = "error"    // nothing can be read
	IntegrationPaused       = "paused"
	IntegrationDisconnected = "disconnected" // credentials erased, data kept
)

// Integration is one connection to one registry. The secret is never in it:
// the store keeps it sealed and hands it out by a call of its own.
type Integration struct {
	ID            int64           `json:"-"`
	Name          string          `json:"name"`
	Kind          string          `json:"kind"`
	URL           string          `json:"url"`
	Registry      string          `json:"registry"` // host[:port] of references, what docker pull takes
	Username      string          `json:"username,omitempty"`
	HasSecret     bool            `json:"has_secret"`
	Repositories  []string        `json:"repositories"` // keys asked for; none = all that can be read
	Include       []string        `json:"include"`      // globs on the image name or KEY/name
	Exclude       []string        `json:"exclude"`
	Tags          []string        `json:"tags"` // regular expressions; none = all
	SubdomainMode bool            `json:"subdomain_mode"`
	CAFile        string          `json:"ca_file,omitempty"`
	Proxy         string          `json:"proxy,omitempty"`
	AuthHosts     []string        `json:"auth_hosts"` // hosts besides the URL's that may be sent credentials
	State         string          `json:"state"`
	Problem       string          `json:"problem,omitempty"`
	Remedy        string          `json:"remedy,omitempty"`
	Keys          []RepositoryKey `json:"keys"`
	CreatedAt     time.Time       `json:"created_at"`
	LastPoll      *time.Time      `json:"last_poll,omitempty"`
	LastReconcile *time.Time      `json:"last_reconcile,omitempty"`
	Disconnected  *time.Time      `json:"disconnected_at,omitempty"`
	HookSecret    bool            `json:"has_webhook_secret"`
	// Watcher is the name of the far watcher that looks at it and has its credentials;
	// empty = this server does.
	Watcher string `json:"watcher,omitempty"`
}

// RepositoryKey is one Artifactory repository as an integration last saw it.
type RepositoryKey struct {
	Key         string `json:"key"`
	OK          bool   `json:"ok"`
	Class       string `json:"class,omitempty"`        // local, remote, virtual, federated
	PackageType string `json:"package_type,omitempty"` // docker, oci, ...
	Description string `json:"description,omitempty"`
	Error       string `json:"error,omitempty"`
	Remedy      string `json:"remedy,omitempty"`
	// Tags is how many the last full listing had; absent = not listed yet.
	Tags *int `json:"tags,omitempty"`
	// Bytes is the compressed size of the analysed images that its tags name, each image
	// once, layers that images share in each of them; absent = none is analysed.
	Bytes   int64      `json:"bytes,omitempty"`
	Checked *time.Time `json:"checked,omitempty"`
	Listed  bool       `json:"-"` // the server lists it to this user now: some right on it is there
}

// TestResult is what Test Connection answers.
type TestResult struct {
	OK           bool            `json:"ok"`
	Error        string          `json:"error,omitempty"`
	Remedy       string          `json:"remedy,omitempty"`
	Warnings     []string        `json:"warnings"`
	Repositories []RepositoryKey `json:"repositories"`
}

// Secrets is what an integration needs and nobody may see again.
type Secrets struct {
	Password string // token, API key or password
	Webhook  string // shared secret of the webhook; empty = the receiver refuses
}
