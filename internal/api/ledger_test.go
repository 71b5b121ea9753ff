package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const ref = "acme.example/docker-local/team/app:1.0"

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// ledger is a store in memory with one integration and one image.
type ledger struct {
	watches []inventory.Watch
	spotted []string
	content inventory.ImageContent
	bound   map[string][]string
	mu      sync.Mutex
	in      []inventory.Integration
	secrets map[int64]inventory.Secrets
	tags    []inventory.TagRow
	images  map[string]inventory.Image
	tokens  map[string]inventory.Token
	hints   []inventory.Hint
	test    func(inventory.Integration, inventory.Secrets) (inventory.TestResult, error)
	slow    chan struct{} // when set, AddHint waits for it
	broken  error
	except  []inventory.Exception
	users   []inventory.Account
	audited []inventory.AuditEntry
}

func newLedger() *ledger {
	l := &ledger{
		secrets: map[int64]inventory.Secrets{1: {Password: "saved-token", Webhook: "hook-secret"}},
		images:  map[string]inventory.Image{},
		tokens:  map[string]inventory.Token{"read-token": {Name: "r", Scope: "read"}, "admin-token": {Name: "a", Scope: "admin"}, "ingest-token": {Name: "i", Scope: "ingest"}},
		test: func(inventory.Integration, inventory.Secrets) (inventory.TestResult, error) {
			return inventory.TestResult{OK: true}, nil
		},
	}
	l.in = []inventory.Integration{{ID: 1, Name: "main", Kind: "artifactory", URL: "https://acme.example", Registry: "acme.example", State: "connected", HasSecret: true, HookSecret: true}}
	for i, tag := range []string{"1.0", "1.1", "waiting", "broken"} {
		row := inventory.TagRow{
			ID: int64(i), Integration: "main", Registry: "acme.example", RepositoryKey: "docker-local", Image: "team/app", Tag: tag,
			Reference: "acme.example/docker-local/team/app:" + tag, Digest: digest(string(rune('a' + i))), Platforms: []string{"linux/amd64"}, State: "analysed", Findings: &inventory.Counts{High: 1},
		}
		l.tags = append(l.tags, row)
		l.images[row.Digest] = inventory.Image{Digest: row.Digest, Kind: "image", Platform: "linux/amd64", State: "analysed", ChainID: "chain", Layers: []inventory.ImageLayer{{Index: 0}, {Index: 1}}}
	}
	l.tags[2].State = "waiting"
	delete(l.images, l.tags[2].Digest)
	l.tags[3].State, l.tags[3].Problem = "failed", "layer 2 is not a tar archive"
	l.images[l.tags[3].Digest] = inventory.Image{Digest: l.tags[3].Digest, Kind: "image", State: "failed", Problem: "layer 2 is not a tar archive"}
	l.images[l.tags[1].Digest] = inventory.Image{Digest: l.tags[1].Digest, Kind: "index", State: "analysed", Members: []inventory.IndexMember{
		{Digest: digest("e"), Kind: "image", Platform: "linux/arm64/v8"}, {Digest: digest("a"), Kind: "image", Platform: "linux/amd64"}, {Digest: digest("f"), Kind: "attestation"},
	}}
	return l
}

func (l *ledger) Integrations(context.Context) ([]inventory.Integration, error) {
	return l.in, l.broken
}

func (l *ledger) find(name string) (*inventory.Integration, error) {
	for i := range l.in {
		if l.in[i].Name == name {
			return &l.in[i], nil
		}
	}
	return nil, inventory.ErrNotFound
}

func (l *ledger) Integration(_ context.Context, name string) (inventory.Integration, error) {
	in, err := l.find(name)
	if err != nil {
		return inventory.Integration{}, err
	}
	return *in, nil
}

func (l *ledger) AddIntegration(_ context.Context, in inventory.Integration, s inventory.Secrets) (int64, error) {
	if _, err := l.find(in.Name); err == nil {
		return 0, inventory.ErrConflict
	}
	in.ID, in.HasSecret = int64(len(l.in)+1), s.Password != ""
	l.secrets[in.ID] = s
	l.in = append(l.in, in)
	return in.ID, nil
}

func (l *ledger) UpdateIntegration(_ context.Context, in inventory.Integration, _ *inventory.Secrets) error {
	old, err := l.find(in.Name)
	if err == nil {
		in.HasSecret = old.HasSecret
		*old = in
	}
	return err
}

func (l *ledger) SetIntegrationState(_ context.Context, id int64, state, problem, remedy string) error {
	for i := range l.in {
		if l.in[i].ID == id {
			l.in[i].State, l.in[i].Problem, l.in[i].Remedy = state, problem, remedy
		}
	}
	return nil
}

func (l *ledger) SaveKeys(context.Context, int64, []inventory.RepositoryKey) error { return nil }

func (l *ledger) Secrets(_ context.Context, id int64) (inventory.Secrets, error) {
	return l.secrets[id], nil
}

func (l *ledger) Disconnect(_ context.Context, name string) error {
	in, err := l.find(name)
	if err == nil {
		in.State, in.HasSecret = "disconnected", false
	}
	return err
}

func (l *ledger) DeleteIntegration(_ context.Context, name string) error {
	l.in = slices.DeleteFunc(l.in, func(in inventory.Integration) bool { return in.Name == name })
	return nil
}

func (l *ledger) Resolve(_ context.Context, ref string) (inventory.TagRow, error) {
	for _, t := range l.tags {
		if t.Reference == ref {
			return t, nil
		}
	}
	return inventory.TagRow{}, inventory.Errorf(inventory.ErrNotFound, "there is no image %s", ref).WithRemedy("tallyman images lists them")
}

func (l *ledger) Image(_ context.Context, d string) (inventory.Image, error) {
	img, ok := l.images[d]
	if !ok {
		return img, inventory.ErrNotFound
	}
	return img, nil
}

func (l *ledger) Placed(context.Context, string, int) ([]inventory.Placed, error) {
	return []inventory.Placed{
		{Package: inventory.Package{PURL: "pkg:npm/a@1", Name: "a", Ecosystem: "npm"}},
		{Package: inventory.Package{PURL: "pkg:generic/b@1", Name: "b"}, Layer: 1},
		{Package: inventory.Package{PURL: "pkg:generic/b@1", Name: "b"}, Layer: 1},
	}, nil
}

func (l *ledger) Bases(context.Context, string) ([]inventory.Base, error) {
	return []inventory.Base{{Reference: "acme.example/docker-local/base:1", Layers: 1}}, nil
}

func (l *ledger) Findings(context.Context, string) ([]inventory.Finding, error) {
	return []inventory.Finding{{ID: "CVE-2026-1", PURL: "pkg:npm/a@1", Severity: "high"}}, nil
}

func (l *ledger) Trend(_ context.Context, since time.Time) ([]inventory.TrendPoint, error) {
	return []inventory.TrendPoint{{At: since, TrendNews: inventory.TrendNews{Advisories: []string{}}}}, nil
}

func (l *ledger) Status(context.Context) (inventory.Status, error) {
	return inventory.Status{Integrations: []inventory.IntegrationStatus{}, Advisories: inventory.AdvisoryStatus{Records: 3}}, l.broken
}

func (l *ledger) Tags(_ context.Context, f inventory.TagFilter) (inventory.TagPage, error) {
	if l.broken != nil {
		return inventory.TagPage{}, l.broken
	}
	from, _ := strconv.Atoi(f.After)
	page := inventory.TagPage{Total: len(l.tags), Rows: l.tags[from:]}
	if size := min(f.Limit, 2); len(page.Rows) > size {
		page.Rows, page.Next = page.Rows[:size], strconv.Itoa(from+size)
	}
	return page, nil
}

func (l *ledger) TagHistory(context.Context, int64) ([]inventory.TagMove, error) {
	return []inventory.TagMove{{Digest: digest("a"), From: time.Unix(1, 0).UTC()}}, nil
}

func (l *ledger) AddHint(ctx context.Context, _ int64, h inventory.Hint) error {
	if l.slow != nil {
		select {
		case <-l.slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hints = append(l.hints, h)
	return nil
}

func (l *ledger) CreateSigninLink(context.Context, string, time.Time) (string, error) {
	return "one-time", nil
}

func (l *ledger) CreateToken(_ context.Context, name, scope string, expires *time.Time) (string, error) {
	for _, t := range l.tokens {
		if t.Name == name {
			return "", inventory.ErrConflict
		}
	}
	l.tokens["secret-of-"+name] = inventory.Token{Name: name, Scope: scope, Expires: expires}
	return "secret-of-" + name, nil
}

func (l *ledger) Token(_ context.Context, secret string) (inventory.Token, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.tokens[secret]; ok {
		return t, nil
	}
	return inventory.Token{}, inventory.ErrNotFound
}

func (l *ledger) Tokens(context.Context) ([]inventory.Token, error) { return nil, nil }

func (l *ledger) RevokeToken(_ context.Context, name string) error {
	for secret, t := range l.tokens {
		if t.Name == name {
			delete(l.tokens, secret)
			return nil
		}
	}
	return inventory.ErrNotFound
}

func (l *ledger) BindToken(_ context.Context, token string, integrations []string) error {
	if l.bound == nil {
		l.bound = map[string][]string{}
	}
	l.bound[token] = integrations
	return nil
}

func (l *ledger) TokenBindings(context.Context) (map[string][]string, error) { return l.bound, nil }

func (l *ledger) Requeue(_ context.Context, token string) (int, error) { return len(token), nil }

// Test is the connector.
func (l *ledger) Test(_ context.Context, in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
	return l.test(in, s)
}

// options are what the tests give the API; the session cookie is the role itself.
func (l *ledger) options(t *testing.T) api.Options {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	return api.Options{
		Store: l, Hub: &api.Hub{Store: l, Connector: l, Log: log}, Reader: &api.Reader{Store: l, Exceptions: l.Exceptions}, Judge: plainJudge{}, Log: log, TempDir: t.TempDir(),
		Version: inventory.Version{Version: "1.2.3", Go: "go1.26"},
		SignedIn: func(r *http.Request) (inventory.User, error) {
			c, err := r.Cookie("tallyman_session")
			if err != nil {
				return inventory.User{}, inventory.ErrUnauthorized
			}
			return inventory.User{Name: c.Value, Role: c.Value}, nil
		},
		Import: func(context.Context, string) error { return nil },
		Hook: func(h http.Header, body []byte, secret string) ([]inventory.Hint, error) {
			if h.Get("X-Secret") != secret {
				return nil, inventory.ErrUnauthorized
			}
			if !strings.HasPrefix(string(body), "{") {
				return nil, inventory.Errorf(inventory.ErrInvalid, "the webhook's body is not a JSON object")
			}
			if strings.Contains(string(body), "test") {
				return nil, nil
			}
			return []inventory.Hint{{Key: "docker-local", Image: "team/app", Tag: "2.0"}}, nil
		},
	}
}

func serve(t *testing.T, l *ledger) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(api.New(l.options(t)))
	t.Cleanup(srv.Close)
	return srv
}

// caller is one way to call.
type caller struct{ token, session string }

func (c caller) put(r *http.Request) {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.session != "" {
		r.AddCookie(&http.Cookie{Name: "tallyman_session", Value: c.session})
	}
}
