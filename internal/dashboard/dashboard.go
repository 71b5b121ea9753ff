package dashboard

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Store is what the pages read.
type Store interface {
	Status(ctx context.Context) (inventory.Status, error)
	Tags(ctx context.Context, f inventory.TagFilter) (inventory.TagPage, error)
	TagHistory(ctx context.Context, tagID int64) ([]inventory.TagMove, error)
	Resolve(ctx context.Context, ref string) (inventory.TagRow, error)
	// TagCounts counts the tags of a filter by severity; FixableBy those with a fix.
	TagCounts(ctx context.Context, f inventory.TagFilter) (inventory.Counts, error)
	Places(ctx context.Context, digest string, limit int) ([]inventory.Place, error)
	RetryImage(ctx context.Context, digest string) (int, error)

	FleetFlaws(ctx context.Context, f inventory.FlawFilter) (inventory.FlawPage, error)
	Flaw(ctx context.Context, id string) (inventory.FlawDetail, error)
	FlawPlaces(ctx context.Context, id, after string, limit int) (inventory.FlawPlaces, error)
	FleetPackages(ctx context.Context, f inventory.PackageFilter) (inventory.PackagePage, error)
	PackageEcosystems(ctx context.Context) ([]string, error)
	BaseImages(ctx context.Context) ([]inventory.BaseRow, error)
	BaseChildren(ctx context.Context, integration string, repo inventory.Repository, tag string, limit int) (inventory.BaseChildren, error)

	// Trend is the history of the fleet from a time on, the oldest point first; the last is now.
	Trend(ctx context.Context, since time.Time) ([]inventory.TrendPoint, error)
	Feeds(ctx context.Context) ([]inventory.Feed, error)
	Happened(ctx context.Context, limit int) ([]inventory.FleetEvent, error)
	HappenedTo(ctx context.Context, digests []string, findings []inventory.Finding, limit int) ([]inventory.FleetEvent, error)
}

// Reader opens the dossier of a reference.
type Reader interface {
	Open(ctx context.Context, ref, platform string) (inventory.Dossier, error)
}

// Hub connects, changes and disconnects integrations.
type Hub interface {
	List(ctx context.Context) ([]inventory.Integration, error)
	Get(ctx context.Context, name string) (inventory.Integration, error)
	Add(ctx context.Context, change inventory.IntegrationChange) (inventory.Integration, error)
	Update(ctx context.Context, name string, change inventory.IntegrationChange) (inventory.Integration, error)
	Test(ctx context.Context, test inventory.ConnectionTest) (inventory.TestResult, error)
	TestSaved(ctx context.Context, name string) (inventory.TestResult, error)
	Pause(ctx context.Context, name string) (inventory.Integration, error)
	Resume(ctx context.Context, name string) (inventory.Integration, error)
	Disconnect(ctx context.Context, name string) (inventory.Integration, error)
	Delete(ctx context.Context, name string) error
}

// Options is what the composition root gives; all but Search, OpenID, Base, PublicURL,
// Secure and Formats are needed.
type Options struct {
	Store    Store
	Accounts Accounts
	Reader   Reader
	Hub      Hub
	Search   Searcher // nil = packages are not searched
	Teller   Teller
	Jobs     Jobs
	OpenID   OpenID // nil = people sign in here alone
	// Feeds brings the advisory feeds up to date.
	Feeds Syncer
	// Exceptions keeps decisions that findings do not count.
	Exceptions Excepter
	// Watches keeps questions that are asked of every later image.
	Watches Asker
	Log     *slog.Logger
	Version string
	Now     func() time.Time
	// Base is the path that a proxy puts before ours: "" or "/tallyman".
	Base string
	// PublicURL is how others reach us, for the address of the webhook; empty = as the
	// browser did.
	PublicURL string
	// Secure marks the cookie even when the connection here is plain, because a proxy
	// before us speaks TLS.
	Secure bool
	// SBOMFormats are the formats that GET /api/v1/sbom offers, besides json.
	SBOMFormats []string
}

// Dashboard serves the pages.
type Dashboard struct {
	Options
	pages       map[string]*template.Template
	mux         *http.ServeMux
	crossOrigin *http.CrossOriginProtection
	tally       tally
	drafts      drafts
	limits      *limits
	table       []route
	streams     streams
	done        chan struct{}
	close       sync.Once
}

// New parses the templates and makes the handler.
func New(o Options) (*Dashboard, error) {
	o.Base = strings.TrimRight(o.Base, "/")
	if o.Now == nil {
		o.Now = func() time.Time { return time.Now().UTC() }
	}
	d := &Dashboard{
		Options: o, mux: http.NewServeMux(), crossOrigin: http.NewCrossOriginProtection(),
		drafts: drafts{kept: map[string]draft{}}, limits: newLimits(), done: make(chan struct{}),
	}
	if o.PublicURL != "" {
		if err := d.crossOrigin.AddTrustedOrigin(originOf(o.PublicURL)); err != nil {
			return nil, inventory.Errorf(inventory.ErrInvalid, "the public URL is not one: %w", err)
		}
	}
	var err error
	if d.pages, err = d.parse(); err != nil {
		return nil, err
	}
	static, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("embedded files: %w", err)
	}
	d.mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(static))))
	d.routes()
	return d, nil
}

// Close ends the streams of open pages, so that a server can shut down.
func (d *Dashboard) Close() { d.close.Do(func() { close(d.done) }) }

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if err := d.crossOrigin.Check(r); err != nil {
		http.Error(w, "The request comes from another site.", http.StatusForbidden)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// cached lets browsers keep the files that come with the binary for a while.
func cached(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600")
		h.ServeHTTP(w, r)
	})
}
