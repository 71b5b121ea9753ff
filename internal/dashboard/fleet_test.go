package dashboard_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/dashboard"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// now is fixed, so that ages on pages can be compared.
func now() time.Time { return time.Date(2026, 11, 22, 2, 16, 0, 0, time.UTC) }

func ptr[T any](v T) *T { return &v }

// digest makes a well-formed digest out of any text.
func digest(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

// people has another name than the method that it holds.
type people = dashboard.Accounts

// fleet is a ledger in memory: what the pages and the hub ask of a store, and no more.
type fleet struct {
	people       // what is not below: the tests of accounts bring the real one
	mu           sync.Mutex
	integrations []inventory.Integration
	secrets      map[int64]inventory.Secrets
	tags         []inventory.TagRow
	moves        map[int64][]inventory.TagMove
	images       map[string]inventory.Image
	placed       map[string][]inventory.Placed
	bases        map[string][]inventory.Base
	findings     map[string][]inventory.Finding
	links        map[string]string // one-time secret -> role
	sessions     map[string]inventory.User
	advisories   inventory.AdvisoryStatus
	test         func(inventory.Integration, inventory.Secrets) (inventory.TestResult, error)
	broken       error // what Status answers, when set
}

func newFleet() *fleet {
	return &fleet{
		secrets: map[int64]inventory.Secrets{}, moves: map[int64][]inventory.TagMove{}, images: map[string]inventory.Image{},
		placed: map[string][]inventory.Placed{}, bases: map[string][]inventory.Base{}, findings: map[string][]inventory.Finding{},
		links:    map[string]string{"setup-link": "admin"},
		sessions: map[string]inventory.User{"viewer": {Name: "v.iew", Role: "viewer"}, "editor": {Name: "e.dit", Role: "editor"}, "admin": {Name: "m.okafor", Role: "admin"}},
		test: func(inventory.Integration, inventory.Secrets) (inventory.TestResult, error) {
			return inventory.TestResult{OK: true}, nil
		},
	}
}

func (f *fleet) Status(context.Context) (inventory.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := inventory.Status{Integrations: []inventory.IntegrationStatus{}, Advisories: f.advisories}
	for _, in := range f.integrations {
		one := inventory.IntegrationStatus{Name: in.Name, State: in.State, LastPoll: in.LastPoll, LastReconcile: in.LastReconcile, Problems: []inventory.TagProblem{}}
		one.Requests = map[string]int64{"aql": 128, "manifest": 40, "blob": 81}
		one.LayersRead, one.LayerBytes = 81, 1_412_000_000
		if in.State == inventory.IntegrationConnected {
			one.LagP95 = ptr(int64(8400))
		}
		for _, t := range f.tags {
			if t.Integration != in.Name {
				continue
			}
			if t.Gone != nil {
				one.Gone++
				continue
			}
			one.TagsSeen++
			switch t.State {
			case inventory.StateAnalysed:
				one.Analysed++
			case inventory.StateFailed:
				one.Failed++
			case inventory.StateUnsupported:
				one.Unsupported++
			default:
				one.Waiting++
			}
		}
		if in.State != inventory.IntegrationDisconnected {
			st.TagsSeen += one.TagsSeen
			st.Analysed += one.Analysed
			st.Failed += one.Failed
			st.Unsupported += one.Unsupported
			st.Waiting += one.Waiting
			st.LayersRead += one.LayersRead
			st.LayerBytes += one.LayerBytes
		}
		st.Gone += one.Gone
		st.Integrations = append(st.Integrations, one)
	}
	return st, f.broken
}

func (f *fleet) Tags(_ context.Context, q inventory.TagFilter) (inventory.TagPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rows []inventory.TagRow
	for _, t := range f.tags {
		if keeps(q, t) {
			rows = append(rows, t)
		}
	}
	slices.SortStableFunc(rows, func(a, b inventory.TagRow) int { return orderTags(q.Sort, a, b) })
	if q.Newest {
		seen := map[string]bool{}
		rows = slices.DeleteFunc(rows, func(t inventory.TagRow) bool {
			key := t.Integration + "/" + t.RepositoryKey + "/" + t.Image
			was := seen[key]
			seen[key] = true
			return was
		})
	}
	page := inventory.TagPage{Total: len(rows)}
	from, _ := strconv.Atoi(q.After)
	rows = rows[min(from, len(rows)):]
	if q.Limit > 0 && len(rows) > q.Limit {
		rows, page.Next = rows[:q.Limit], strconv.Itoa(from+q.Limit)
	}
	page.Rows = rows
	return page, nil
}

func keeps(q inventory.TagFilter, t inventory.TagRow) bool {
	counts := inventory.Counts{}
	if t.Findings != nil {
		counts = *t.Findings
	}
	if q.Severity != "" {
		rank := inventory.SeverityRank(q.Severity)
		n := []int{counts.Critical, counts.High, counts.Medium, counts.Low, counts.Unspecified}[rank]
		if n == 0 || q.Fixable && counts.FixableBy[rank] == 0 {
			return false
		}
	}
	name := t.RepositoryKey + "/" + t.Image + ":" + t.Tag
	return (q.Integration == "" || q.Integration == t.Integration) && (q.Key == "" || q.Key == t.RepositoryKey) &&
		(q.Image == "" || q.Image == t.Image) && (q.State == "" || q.State == t.State) && (q.Gone || t.Gone == nil) &&
		(!q.Fixable || counts.Fixable > 0) && strings.Contains(name, q.Name)
}

func orderTags(by string, a, b inventory.TagRow) int {
	switch by {
	case "pushed":
		return b.Pushed.Compare(*a.Pushed)
	case "severity":
		return slices.Compare(rank(b), rank(a))
	}
	return cmp.Compare(a.Reference, b.Reference)
}

func rank(t inventory.TagRow) []int {
	if t.Findings == nil {
		return []int{-1}
	}
	return []int{t.Findings.Critical, t.Findings.High, t.Findings.Medium, t.Findings.Low}
}

func (f *fleet) TagHistory(_ context.Context, id int64) ([]inventory.TagMove, error) {
	return slices.Clone(f.moves[id]), nil
}

func (f *fleet) Resolve(_ context.Context, ref string) (inventory.TagRow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tags {
		if t.Reference == ref || t.Digest == ref {
			return t, nil
		}
	}
	return inventory.TagRow{}, inventory.Errorf(inventory.ErrNotFound, "there is no image %q", ref)
}

func (f *fleet) Image(_ context.Context, d string) (inventory.Image, error) {
	img, ok := f.images[d]
	if !ok {
		return img, inventory.ErrNotFound
	}
	return img, nil
}

func (f *fleet) Placed(_ context.Context, chain string, _ int) ([]inventory.Placed, error) {
	return f.placed[chain], nil
}

func (f *fleet) Bases(_ context.Context, chain string) ([]inventory.Base, error) {
	return f.bases[chain], nil
}

func (f *fleet) Findings(_ context.Context, d string) ([]inventory.Finding, error) {
	return f.findings[d], nil
}

func (f *fleet) Integrations(context.Context) ([]inventory.Integration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.integrations), nil
}

func (f *fleet) at(name string) int {
	return slices.IndexFunc(f.integrations, func(in inventory.Integration) bool { return in.Name == name })
}

func (f *fleet) Integration(_ context.Context, name string) (inventory.Integration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.at(name); i >= 0 {
		return f.integrations[i], nil
	}
	return inventory.Integration{}, inventory.ErrNotFound
}

func (f *fleet) AddIntegration(_ context.Context, in inventory.Integration, s inventory.Secrets) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at(in.Name) >= 0 {
		return 0, inventory.ErrConflict
	}
	in.ID, in.HasSecret, in.HookSecret = int64(len(f.integrations)+1), s.Password != "", s.Webhook != ""
	f.secrets[in.ID] = s
	f.integrations = append(f.integrations, in)
	return in.ID, nil
}

func (f *fleet) UpdateIntegration(_ context.Context, in inventory.Integration, s *inventory.Secrets) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.secrets[in.ID]
	if s != nil && s.Password != "" {
		kept.Password = s.Password
	}
	if s != nil && s.Webhook != "" {
		kept.Webhook = s.Webhook
	}
	f.secrets[in.ID] = kept
	in.HasSecret, in.HookSecret = kept.Password != "", kept.Webhook != ""
	f.integrations[f.at(in.Name)] = in
	return nil
}

func (f *fleet) SetIntegrationState(_ context.Context, id int64, state, problem, remedy string) error {
	return f.set(id, func(in *inventory.Integration) { in.State, in.Problem, in.Remedy = state, problem, remedy })
}

func (f *fleet) SaveKeys(_ context.Context, id int64, keys []inventory.RepositoryKey) error {
	return f.set(id, func(in *inventory.Integration) { in.Keys = keys })
}

func (f *fleet) set(id int64, do func(*inventory.Integration)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.integrations {
		if f.integrations[i].ID == id {
			do(&f.integrations[i])
		}
	}
	return nil
}

func (f *fleet) Secrets(_ context.Context, id int64) (inventory.Secrets, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.secrets[id], nil
}

func (f *fleet) Disconnect(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := &f.integrations[f.at(name)]
	delete(f.secrets, in.ID)
	in.State, in.HasSecret, in.Disconnected = inventory.IntegrationDisconnected, false, ptr(now())
	return nil
}

func (f *fleet) DeleteIntegration(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.integrations = slices.Delete(f.integrations, f.at(name), f.at(name)+1)
	f.tags = slices.DeleteFunc(f.tags, func(t inventory.TagRow) bool { return t.Integration == name })
	return nil
}

// NeedsSetup and the others of dashboard.Accounts are those that every page needs.
func (f *fleet) NeedsSetup(context.Context) (bool, error) { return false, nil }

func (f *fleet) Audit(context.Context, string, string, any) error { return nil }

func (f *fleet) UseSigninLink(_ context.Context, secret string, _ inventory.Visitor) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	session, ok := f.links[secret]
	delete(f.links, secret)
	if !ok {
		return "", inventory.ErrNotFound
	}
	return session, nil
}

func (f *fleet) Session(_ context.Context, secret string) (inventory.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u, ok := f.sessions[secret]; ok {
		return u, nil
	}
	return inventory.User{}, inventory.ErrNotFound
}

func (f *fleet) EndSession(_ context.Context, secret string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, secret)
	return nil
}

// Test is the connector.
func (f *fleet) Test(_ context.Context, in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
	return f.test(in, s)
}

// serve starts the pages over f, on real HTTP.
func serve(t *testing.T, f *fleet, change ...func(*dashboard.Options)) *httptest.Server {
	t.Helper()
	d := dashboardOf(t, f, change...)
	srv := httptest.NewServer(d)
	t.Cleanup(func() { d.Close(); srv.Close() })
	return srv
}

// browse makes a client that is signed in with a session of the fleet and does not
// follow redirects.
func browse(session string) *http.Client {
	return &http.Client{
		Transport:     withCookie{session},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       10 * time.Second,
	}
}

type withCookie struct{ session string }

func (c withCookie) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if c.session != "" {
		r.AddCookie(&http.Cookie{Name: "tallyman_session", Value: c.session})
	}
	r.Header.Set("Accept", "text/html")
	return http.DefaultTransport.RoundTrip(r)
}

var errBroken = errors.New("the disk is gone")
