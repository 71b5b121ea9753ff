package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/dashboard"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/oidc"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// platform is the packages tied together over one ledger:
//
//	Artifactory ─▶ discover ─▶ queue ─▶ index (oci) ─▶ match (advisory) ; api, dashboard read what is stored.
type platform struct {
	cfg        config.Config
	log        *slog.Logger
	store      *store.Store
	matcher    *match.Matcher
	registries *registries
	dashboard  *dashboard.Dashboard
	api        *api.API
	teller     teller
	hub        *api.Hub
	letGo      func() error // of the sealing key
}

// openPlatform opens the ledger that the settings name and ties everything to it.
func (a *app) openPlatform(ctx context.Context) (*platform, error) {
	a.sayEmpty()
	key, letGo, err := a.sealKey(ctx)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, store.Options{
		Dir: a.cfg.Data, URL: a.cfg.Database, Key: key, Logger: a.log, KeysOf: match.KeysOf, Covers: covers,
	})
	if err != nil {
		return nil, errors.Join(err, letGo())
	}
	p := &platform{letGo: letGo, cfg: a.cfg, log: a.log, store: st, matcher: match.New(st), registries: newRegistries(st, a.log, a.cfg.Bandwidth())}
	hub := &api.Hub{Store: st, Connector: connector{a.log}, Nudge: p.nudge, AcceptLoss: p.acceptLoss, WantBaseline: p.wantBaseline, Log: a.log}
	p.hub = hub
	p.teller = newTeller(st, a.log)
	reader := &api.Reader{Store: st, Coverage: coverage(st), Exceptions: st.Exceptions}
	formats := sbomFormats()
	v := buildVersion()
	// What pages do besides reading, they ask of the API, as the commands do.
	asks := client.Local(api.AsLocal(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.api.ServeHTTP(w, r) }), operator()))
	openID, err := openIDOf(a.cfg)
	if err != nil {
		p.close()
		return nil, err
	}
	if p.dashboard, err = dashboard.New(dashboard.Options{
		OpenID: openID, Base: a.cfg.Base(), PublicURL: a.cfg.PublicURL, Secure: a.cfg.Secure(),
		Store: st, Accounts: st, Reader: reader, Hub: hub, Search: asks, Teller: asks, Exceptions: asks, Watches: asks, Feeds: asks, Jobs: jobBoard{st}, Log: a.log, Version: v.Version, SBOMFormats: slices.Sorted(maps.Keys(formats)),
	}); err != nil {
		p.close()
		return nil, err
	}
	p.api = api.New(api.Options{
		Store: st, Hub: hub, Reader: reader, Judge: judge{}, Log: a.log, SignedIn: p.dashboard.SignedIn, Ready: st.Ping, Hook: readHook,
		Origin: origin(a.cfg.PublicURL), Import: p.importUpload, Sync: p.syncNow, TempDir: a.cfg.Data, SBOM: formats, Teller: p.teller, Jobs: jobBoard{st},
		Example: &api.Example{Reader: reader, Bodies: st.LayerBodies, Describe: func(body []byte) (any, error) { return index.Describe(body) }},
		Far:     &api.Far{Store: st, Indexer: index.Version, Holder: store.FarHolder},
		Version: inventory.Version{Version: v.Version, Commit: v.Revision, Go: v.Go},
	})
	return p, nil
}

// sayEmpty explains a database file without content: SQLite takes it for a new one.
func (a *app) sayEmpty() {
	if a.cfg.Database != "" {
		return
	}
	path := filepath.Join(a.cfg.Data, store.FileName)
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		a.say("%s is empty: a new ledger begins in it; if it held one, bring it back from a backup", path)
	}
}

// sealKey is the key from the environment, else the file in the data directory, which is
// held until letGo. Where there is none it is made, unless that would open nothing.
func (a *app) sealKey(ctx context.Context) (key seal.Key, letGo func() error, err error) {
	text, err := config.Secret(a.env, "TALLYMAN_KEY")
	if err != nil {
		return seal.Key{}, nil, err
	}
	if text != "" {
		key, err = seal.ParseKey(text)
		return key, func() error { return nil }, err
	}
	if err := os.MkdirAll(a.cfg.Data, 0o700); err != nil {
		return seal.Key{}, nil, inventory.Errorf(inventory.ErrForbidden, "data directory %s: %w", a.cfg.Data, err).
			WithRemedy("give a directory that this user (uid %d) may write to with --data", os.Getuid())
	}
	if err := a.keyIsGone(ctx); err != nil {
		return seal.Key{}, nil, err
	}
	if letGo, err = seal.Hold(a.cfg.Data); err != nil {
		return seal.Key{}, nil, err
	}
	if key, err = seal.LoadOrCreate(a.cfg.Data); err != nil {
		return seal.Key{}, nil, errors.Join(err, letGo())
	}
	return key, letGo, nil
}

// keyIsGone refuses to go on without the key of what the database keeps sealed.
func (a *app) keyIsGone(ctx context.Context) error {
	file := filepath.Join(a.cfg.Data, seal.FileName)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) || !a.hasDatabase() {
		return nil
	}
	sealed, err := store.HasSealed(ctx, store.Options{Dir: a.cfg.Data, URL: a.cfg.Database, Logger: a.log, KeysOf: match.KeysOf})
	if err != nil || !sealed {
		return err
	}
	return inventory.Errorf(inventory.ErrInvalid, "the database keeps sealed credentials, and their key is not there: no file %s, no TALLYMAN_KEY", file).
		WithRemedy("bring the key file back from a backup, or give the key of the other servers of this database with TALLYMAN_KEY")
}

// hasDatabase tells whether there may be a database already.
func (a *app) hasDatabase() bool {
	_, err := os.Stat(filepath.Join(a.cfg.Data, store.FileName))
	return a.cfg.Database != "" || err == nil
}

// local is the API in this process, as the administrator of this machine.
func (p *platform) local() *client.Client { return client.Local(api.AsLocal(p.api, operator())) }

// operator is who calls a command, by the name that the system knows.
func operator() string {
	if who, err := user.Current(); err == nil && who.Username != "" {
		return who.Username
	}
	return "local"
}

// openIDOf is the provider that the settings name; nil when they name none.
func openIDOf(cfg config.Config) (dashboard.OpenID, error) {
	o := cfg.OpenID
	if o.Issuer == "" {
		return nil, nil //nolint:nilnil // no provider is no fault
	}
	secret, err := o.ClientSecret()
	if err != nil {
		return nil, err
	}
	return oidc.New(oidc.Options{
		Issuer: o.Issuer, ClientID: o.ClientID, Secret: secret, Label: o.Name, Scopes: o.Scopes, Claim: o.Claim, Roles: o.Roles(),
		Default: o.DefaultRole, Redirect: strings.TrimRight(cfg.PublicURL, "/") + "/signin/openid/back",
	}, nil), nil
}

// origin is scheme, host and port of an address; empty for none.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// handler is everything that serve listens for.
func (p *platform) handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/api/", "/hooks/", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, p.api)
	}
	mux.Handle("/", p.dashboard)
	return mux
}

// nudge makes the next look at an integration happen now.
func (p *platform) nudge(ctx context.Context, integration int64) error {
	return p.store.Enqueue(ctx, store.LookJob(integration, time.Now()))
}

// acceptLoss lets the next look record that many tags are gone at once.
func (p *platform) acceptLoss(ctx context.Context, integration int64) error {
	_, err := p.store.RecordLook(ctx, inventory.Look{
		Integration: integration, Kind: inventory.LookHint, Cursors: map[string]string{discover.CursorAcceptLoss: "yes"},
	})
	return err
}

// wantBaseline makes what the next full listing finds the baseline.
func (p *platform) wantBaseline(ctx context.Context, integration int64) error {
	_, err := p.store.RecordLook(ctx, inventory.Look{
		Integration: integration, Kind: inventory.LookHint, Cursors: map[string]string{discover.CursorBaseline: discover.BaselineWanted},
	})
	return err
}

func (p *platform) close() {
	if p.dashboard != nil {
		p.dashboard.Close()
	}
	if err := errors.Join(p.store.Close(), p.letGo()); err != nil {
		p.log.Warn("close", slog.Any("error", err))
	}
}

// scratch is where large temporary files go: beside the store, which has room.
func (p *platform) scratch() string { return filepath.Join(p.cfg.Data, "tmp") }
