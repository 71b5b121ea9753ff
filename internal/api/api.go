package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Store is what the API itself reads and writes; HubStore and ReaderStore are what
// its two parts do.
type Store interface {
	HubStore
	ReaderStore
	SearchStore
	AssessStore
	AdviceStore
	ExceptionStore
	WatchStore
	AccountStore
	BindingStore
	Tags(ctx context.Context, f inventory.TagFilter) (inventory.TagPage, error)
	TagHistory(ctx context.Context, tagID int64) ([]inventory.TagMove, error)
	Trend(ctx context.Context, since time.Time) ([]inventory.TrendPoint, error)
	AddHint(ctx context.Context, integration int64, h inventory.Hint) error

	CreateSigninLink(ctx context.Context, user string, expires time.Time) (secret string, err error)
	CreateToken(ctx context.Context, name, scope string, expires *time.Time) (secret string, err error)
	Token(ctx context.Context, secret string) (inventory.Token, error)
	Tokens(ctx context.Context) ([]inventory.Token, error)
	RevokeToken(ctx context.Context, name string) error
}

// HookReader checks a webhook's secret and reads what it says. It answers
// ErrUnauthorized when the secret is wrong or none is set, ErrInvalid when the body
// cannot be read, and no hints for an event that asks for nothing, such as a test.
type HookReader func(header http.Header, body []byte, secret string) ([]inventory.Hint, error)

// Importer imports advisories from a file whose content says what it is.
type Importer func(ctx context.Context, path string) error

// SBOMWriter writes a bill of materials in one format.
type SBOMWriter struct {
	ContentType string
	Extension   string // of a file of that format: "cdx.json"
	Write       func(w io.Writer, s inventory.SBOM) error
}

// Options is what the composition root gives. Store, Hub, Reader, Judge and Log are needed;
// what else is nil makes its routes answer that it is not there.
type Options struct {
	Store   Store
	Hub     *Hub
	Reader  *Reader
	Judge   Judge
	Log     *slog.Logger
	Version inventory.Version

	// SignedIn answers who is signed in to the dashboard with this request;
	// ErrUnauthorized when nobody is.
	SignedIn func(*http.Request) (inventory.User, error)
	// Origin is what browsers take us for (https://tally.example.com) where a proxy hides
	// it from us; empty = as they called us.
	Origin string
	// Ready answers nil when the server can do its work.
	Ready func(context.Context) error
	// Hook reads the webhooks of Artifactory.
	Hook HookReader
	// Import imports advisories that were uploaded; files are spooled in TempDir ("" =
	// the system's) and refused above MaxImport bytes (0 = 4 GiB).
	Import    Importer
	TempDir   string
	MaxImport int64
	// Sync lets the advisory feeds be brought up to date soon; it does not wait for it.
	Sync func(ctx context.Context) error
	// SBOM are the formats besides json, by name.
	SBOM map[string]SBOMWriter
	// Teller keeps and reaches the channels of notifications.
	Teller Teller
	// Jobs counts the queue for /metrics.
	Jobs JobCounter
	// Far takes what far watchers send.
	Far *Far
	// Example shows what they send.
	Example *Example
}

// API serves /api/v1, /hooks, /metrics, /healthz and /readyz.
type API struct {
	store       Store
	hub         *Hub
	reader      *Reader
	judge       Judge
	log         *slog.Logger
	version     inventory.Version
	signedIn    func(*http.Request) (inventory.User, error)
	ready       func(context.Context) error
	hook        HookReader
	importer    Importer
	tempDir     string
	maxImport   int64
	sync        func(context.Context) error
	sbom        map[string]SBOMWriter
	teller      Teller
	jobs        JobCounter
	ingest      *ingest // nil = none
	example     *Example
	crossOrigin *http.CrossOriginProtection
	openAPI     map[string]any
	mux         *http.ServeMux
}

// New makes the handler.
func New(o Options) *API {
	a := &API{
		store: o.Store, hub: o.Hub, reader: o.Reader, judge: o.Judge, log: o.Log, version: o.Version, signedIn: o.SignedIn,
		ready: o.Ready, hook: o.Hook, importer: o.Import, tempDir: o.TempDir, maxImport: o.MaxImport, sync: o.Sync, sbom: o.SBOM, teller: o.Teller, jobs: o.Jobs,
		crossOrigin: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
	}
	if a.maxImport == 0 {
		a.maxImport = 4 << 30
	}
	a.example = o.Example
	if o.Far != nil {
		a.ingest = newIngest(o.Far, o.Hub)
	}
	a.version.SBOMFormats = a.sbomFormats()
	if o.Origin != "" {
		// A setting that is no origin is refused where settings are read.
		_ = a.crossOrigin.AddTrustedOrigin(o.Origin)
	}
	table := routes()
	a.openAPI = describe(table, a.version)
	for _, rt := range table {
		a.mux.HandleFunc(rt.method+" "+rt.path, a.guarded(rt))
	}
	a.mux.HandleFunc("GET /healthz", a.health)
	a.mux.HandleFunc("GET /readyz", a.readiness)
	a.mux.HandleFunc("GET /metrics", a.guarded(route{need: Read, serve: (*API).serveMetrics}))
	a.mux.HandleFunc("POST /hooks/artifactory/{integration}", a.receiveHook)
	a.mux.HandleFunc("/", a.unknownRoute)
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	a.mux.ServeHTTP(w, r)
}

// guarded lets through who may use a route, and tells what goes wrong in it.
func (a *API) guarded(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := a.allow(r, rt.need)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		r, actor := id.acting(r)
		if err := rt.serve(a, w, r); err != nil {
			a.fail(w, r, err)
			return
		}
		if rt.changes() && !actor.Noted() {
			a.note(r, rt.method+" "+rt.path)
		}
	}
}

// changes says that a route is for changing something: those that only answer a question
// may be used by viewers, and what watchers deliver is told by the ledger itself.
func (rt route) changes() bool {
	return rt.method != http.MethodGet && rt.need >= Edit && rt.need != Ingest
}

// note puts into the log of changes what nothing else put there.
func (a *API) note(r *http.Request, action string) {
	var subject []string
	for _, name := range pathParameters(r.Pattern) {
		subject = append(subject, r.PathValue(name))
	}
	if err := a.store.Audit(r.Context(), action, strings.Join(subject, " "), nil); err != nil {
		a.log.ErrorContext(r.Context(), "change not noted", slog.String("action", action), slog.Any("error", err))
	}
}

// unknownRoute tells a wrong path only to those who may know the right ones.
func (a *API) unknownRoute(w http.ResponseWriter, r *http.Request) {
	if _, err := a.allow(r, SignedIn); err != nil {
		a.fail(w, r, err)
		return
	}
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := a.mux.Handler(probe); pattern != "/" {
			w.Header().Add("Allow", method)
		}
	}
	if w.Header().Get("Allow") != "" {
		a.fail(w, r, errMethod())
		return
	}
	a.fail(w, r, inventory.Errorf(inventory.ErrNotFound, "there is no route %s", shorten(r.URL.Path)).
		WithRemedy("GET /api/v1/openapi.json lists them"))
}

func (a *API) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

func (a *API) readiness(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if a.ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := a.ready(ctx); err != nil {
			a.log.WarnContext(r.Context(), "not ready", slog.Any("error", err))
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "not ready\n")
			return
		}
	}
	_, _ = io.WriteString(w, "ready\n")
}
