package artifactorytest

import "time"

// Access is how image references reach a repository.
type Access string

// The ways of access. The direct API path works in every one of them.
const (
	PathAccess      Access = "path"      // HOST/KEY/image
	SubdomainAccess Access = "subdomain" // KEY.HOST/image
	AnyAccess       Access = "any"       // the host name first, then the path
)

// Envelope is the shape of a webhook's body.
type Envelope string

// The envelopes seen in the wild.
const (
	EnvelopeNew       Envelope = "new"       // seven fields
	EnvelopeOld       Envelope = "old"       // five fields
	EnvelopeUnwrapped Envelope = "unwrapped" // the data alone, with event_type in it
)

// Switches is every behaviour that differs between installations, or that
// sources disagree about. A profile sets them; Change changes them at run time.
type Switches struct {
	// The product.
	Version         string
	Revision        string
	License         bool // the version names a licence (not on OSS and JCR)
	Router          bool // /router and readiness are there (7.x)
	PingOpen        bool // ping needs no credentials
	PingBody        string
	ReferenceTokens bool
	OCI             bool // repositories of type oci can be listed
	ProREST         bool // repository configuration and file lists are there

	// Addresses.
	Context        string // "/artifactory"; "" where a proxy strips it
	Access         Access
	CustomBaseURL  string // what answers name instead of the address that was asked
	CatchAllUI     bool   // unknown paths answer the user interface with 200
	StrictTypePath bool   // api/docker serves docker only, api/oci oci only
	RealmPath      string // of the docker challenge; "" is where the request came in
	RealmScheme    string // "" is the scheme of the request

	// Identities.
	Anonymous         bool
	HideUnauthorized  bool
	CatalogOmits      bool          // the catalogue of a repository that may not be read is empty, not refused
	LockAfter         int           // failures in a row; 0 never locks
	LockFor           time.Duration // of the first lock; the next ones are longer
	LockWords         string        // "request failures" or "login failures"
	BadBasicBearer    bool          // a bad Basic on /v2 is challenged with Bearer
	TagsRefuseBearer  bool          // tag lists refuse the docker token
	TokenExpiresIn    int           // seconds; 0 leaves the field out
	CredentialCache   time.Duration // a revoked credential goes on working for so long
	PrivateTargets    bool          // webhooks to loopback and private addresses are allowed
	Webhooks          bool
	Envelope          Envelope
	EmptyOrigin       bool // no custom base URL: jpd_origin is empty
	SubManifestEvents bool // members of an index fire "pushed" as well
	PromoteFiresPush  bool // the target of a promotion fires "pushed"

	// Docker.
	LinkWithoutKey  bool // Link lacks the repository key in path mode
	NumericLast     bool // Link's last is a number
	FilterDigests   bool // tag lists leave digest folders out
	LingeringImages bool // images without tags stay in the catalogue
	RemoteCatalog   bool // a remote's catalogue lists its cache
	ListWins        bool // of both manifests of a tag the list is served; else the newer
	StrictAccept    bool // an index is not served to who accepts single manifests only
	Referrers       bool
	MissingIs401    bool // a missing permission on the docker path is 401, not 403
	XrayAsStatus    bool // Xray's refusal comes in the REST shape of errors
	Redirects       bool // blobs of every repository are redirected, not only where Repo says so
	RedirectExpiry  time.Duration
	RedirectStatus  int

	// AQL.
	NoSort         bool          // open source edition
	AQLParallel    int           // queries at a time; 0 is unbounded
	AQLPending     time.Duration // how long one more waits before 429
	AQLDelay       time.Duration // how long a query takes
	AQLTimeout     time.Duration // longer than that is a 408
	AQLMaxRows     int           // the hard limit of the Cloud; 0 is none
	AQLTruncate    int           // the answer ends after so many rows, without range; 0 never
	AQLDepth       bool          // depth is among the default fields
	PropsModified  bool          // item.infos.props_modified can be asked for
	AQLFilterFirst bool          // permissions are applied before limit (not known of any version)

	// Time.
	Zone            *time.Location
	UploadLag       time.Duration // between the start of an upload (modified) and its commit (created)
	ReadableAfter   time.Duration // a row is listed so long before it can be pulled
	Overwrite       Overwrite
	RevalidateAfter time.Duration // age at which a cached tag is asked for upstream again
}

// Overwrite is what a push over a tag does to the dates.
type Overwrite string

// What sources say about overwriting.
const (
	OverwriteInPlace Overwrite = "in-place" // created stays
	OverwriteCreates Overwrite = "recreate" // delete and write: created is now
	OverwriteSkips   Overwrite = "skip"     // identical content changes nothing; else in place
)
