package dashboard_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/dashboard"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// serveReal starts the pages over a real ledger of people.
func serveReal(t *testing.T, people *store.Store) *httptest.Server {
	t.Helper()
	return serve(t, sample(), func(o *dashboard.Options) { o.Accounts = people })
}

// cookieOf is the session that an answer sets.
func cookieOf(t *testing.T, h http.Header) string {
	t.Helper()
	m := regexp.MustCompile(`tallyman_session=([^;]+);`).FindStringSubmatch(h.Get("Set-Cookie"))
	if m == nil {
		t.Fatalf("no session in %q", h.Get("Set-Cookie"))
	}
	return m[1]
}

func TestFirstStart(t *testing.T) {
	people := realStore(t)
	srv := serveReal(t, people)
	link, err := people.CreateSigninLink(t.Context(), "", now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, body := get(t, srv, "", "/signin"); !strings.Contains(body, "Not set up yet") || strings.Contains(body, `name="password"`) {
		t.Error("the sign-in page asks for a password that nobody has")
	}
	if status, _, body := get(t, srv, "", "/setup/guessed"); status != http.StatusUnauthorized || strings.Contains(body, "Create the administrator") {
		t.Errorf("a guessed setup link: %d", status)
	}
	for range 2 { // looking does not use it up
		if status, _, body := get(t, srv, "", "/setup/"+link); status != http.StatusOK || !strings.Contains(body, "Create the administrator") {
			t.Fatalf("the setup page: %d", status)
		}
	}
	for _, bad := range []url.Values{{"user": {"ada"}, "password": {"short"}}, {"user": {"a b"}, "password": {goodPassword}}, {"user": {""}, "password": {goodPassword}}} {
		status, _, body := post(t, srv, "", "/setup/"+link, bad)
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, "Refused") || strings.Contains(body, goodPassword) {
			t.Errorf("%v: %d", bad, status)
		}
	}
	status, header, _ := post(t, srv, "", "/setup/"+link, url.Values{"user": {"ada"}, "password": {goodPassword}})
	if status != http.StatusSeeOther || header.Get("Location") != "/" {
		t.Fatalf("set up: %d to %q", status, header.Get("Location"))
	}
	if status, _, body := get(t, srv, cookieOf(t, header), "/settings/users"); status != http.StatusOK || !strings.Contains(body, "ada") {
		t.Errorf("the administrator's first page: %d", status)
	}
	if status, _, _ := post(t, srv, "", "/setup/"+link, url.Values{"user": {"eve"}, "password": {goodPassword}}); status != http.StatusUnauthorized {
		t.Errorf("the link again: %d", status)
	}
}

func TestPasswordSignin(t *testing.T) {
	people := realStore(t)
	srv := serveReal(t, people)
	if _, err := people.AddAccount(t.Context(), inventory.NewAccount{Name: "ada", Role: "admin", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, wrong := range []url.Values{{"user": {"ada"}, "password": {"something else entirely"}}, {"user": {"nobody"}, "password": {goodPassword}}} {
		status, header, body := post(t, srv, "", "/signin", wrong)
		if status != http.StatusUnauthorized || header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %d, %q", wrong, status, header.Get("Set-Cookie"))
		}
		said = append(said, strings.ReplaceAll(body, wrong.Get("user"), "USER"))
	}
	if said[0] != said[1] {
		t.Error("a wrong password and an unknown name can be told apart")
	}
	for to, want := range map[string]string{
		"/images?by=tag": "/images?by=tag", "": "/", "//evil.example/": "/", "https://evil.example": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "/\t/evil.example": "/", "images": "/",
	} {
		// Each from a browser of its own: the limits of sign-in are not what is tried here.
		srv := serveReal(t, people)
		status, header, _ := post(t, srv, "", "/signin", url.Values{"user": {" ada "}, "password": {goodPassword}, "to": {to}})
		if status != http.StatusSeeOther || header.Get("Location") != want {
			t.Errorf("to %q: %d to %q", to, status, header.Get("Location"))
		}
	}
	if _, _, body := get(t, srv, "", "/images?name=web&by=tag"); !strings.Contains(body, `name="to" value="/images?name=web&amp;by=tag"`) {
		t.Error("the sign-in page forgets where somebody wanted to go")
	}
}

func TestSigninIsLimited(t *testing.T) {
	people := realStore(t)
	srv := serveReal(t, people)
	if _, err := people.AddAccount(t.Context(), inventory.NewAccount{Name: "ada", Role: "admin", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	limited := false
	for range 8 {
		status, header, body := post(t, srv, "", "/signin", url.Values{"user": {"ada"}, "password": {"a guess that is wrong"}})
		if status != http.StatusTooManyRequests {
			continue
		}
		limited = true
		if wait, err := strconv.Atoi(header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 || !strings.Contains(body, "too many tries") {
			t.Errorf("Retry-After %q", header.Get("Retry-After"))
		}
	}
	if !limited {
		t.Error("eight guesses in a row were all taken")
	}
	if status, _, _ := post(t, srv, "", "/signin", url.Values{"user": {"ada"}, "password": {goodPassword}}); status != http.StatusTooManyRequests {
		t.Errorf("the right password while the account waits: %d; it must not be tried", status)
	}
	if status, _, _ := post(t, srv, "", "/signin", url.Values{"user": {"bob"}, "password": {goodPassword}}); status != http.StatusUnauthorized {
		t.Errorf("another account: %d", status)
	}
}

func TestUsersPage(t *testing.T) {
	people := samplePeople(t)
	srv := serveReal(t, people)
	link, err := people.CreateSigninLink(t.Context(), "m.okafor", now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	_, header, _ := get(t, srv, "", "/signin/"+link)
	me := cookieOf(t, header)
	role := func(name string) string {
		a, err := people.Account(t.Context(), name)
		if err != nil {
			return ""
		}
		return a.Role
	}
	// An invitation is a link that works once.
	_, _, body := post(t, srv, me, "/settings/users", url.Values{"name": {"new"}, "role": {"editor"}})
	m := regexp.MustCompile(`readonly>(http://[^<]+)/signin/([^<]+)</textarea>`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no link on the page:\n%s", body)
	}
	_, header, _ = get(t, srv, "", "/signin/"+m[2])
	guest := cookieOf(t, header)
	if status, _, body := get(t, srv, guest, "/settings/account"); status != http.StatusOK || !strings.Contains(body, "came by a one-time link") {
		t.Errorf("the guest's own page: %d", status)
	}
	if status, _, _ := post(t, srv, guest, "/settings/account/password", url.Values{"new": {goodPassword}}); status != http.StatusSeeOther {
		t.Errorf("the guest's first password: %d", status)
	}
	if status, _, body := post(t, srv, guest, "/settings/account/password", url.Values{"old": {"wrong wrong wrong"}, "new": {"entirely other words"}}); status != http.StatusUnprocessableEntity || !strings.Contains(body, "current password is wrong") {
		t.Errorf("another password without the old one: %d", status)
	}
	for _, tt := range []struct {
		form   url.Values
		status int
		want   string
	}{
		{url.Values{"act": {"role"}, "role": {"viewer"}}, http.StatusSeeOther, "viewer"},
		{url.Values{"act": {"role"}, "role": {"owner"}}, http.StatusUnprocessableEntity, "viewer"},
		{url.Values{"act": {"dance"}}, http.StatusUnprocessableEntity, "viewer"},
		{url.Values{"act": {"sign-out"}}, http.StatusSeeOther, "viewer"},
		{url.Values{"act": {"remove"}}, http.StatusSeeOther, ""},
		{url.Values{"act": {"remove"}}, http.StatusUnprocessableEntity, ""},
	} {
		if status, _, _ := post(t, srv, me, "/settings/users/new", tt.form); status != tt.status || role("new") != tt.want {
			t.Errorf("%v: %d, and the role is %q", tt.form, status, role("new"))
		}
	}
	if status, _, _ := get(t, srv, guest, "/"); status != http.StatusUnauthorized {
		t.Errorf("the session of somebody who was removed: %d", status)
	}
	if status, _, body := post(t, srv, me, "/settings/users/m.okafor", url.Values{"act": {"remove"}}); status != http.StatusUnprocessableEntity || !strings.Contains(body, "last administrator") {
		t.Errorf("the last administrator: %d", status)
	}
	_, _, log := get(t, srv, me, "/settings/audit?subject=new")
	for _, want := range []string{"user added", "user changed", "user removed", "sign-in link made", "signed in", "<del>editor</del>", "<ins>viewer</ins>", "(replaced)", "127.0.0.1"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %q", want)
		}
	}
	if strings.Contains(log, goodPassword) || strings.Contains(log, "argon2") {
		t.Error("the audit log tells a password")
	}
}

func TestTokensPage(t *testing.T) {
	srv := serve(t, sample())
	_, _, body := post(t, srv, "admin", "/settings/tokens", url.Values{"name": {"deploy"}, "scope": {"read"}, "days": {"30"}})
	if !strings.Contains(body, "tally_") || !strings.Contains(body, "Shown once") {
		t.Fatalf("no token on the page:\n%s", body)
	}
	if _, _, again := get(t, srv, "admin", "/settings/tokens"); strings.Contains(again, "tally_") || !strings.Contains(again, "deploy") || !strings.Contains(again, "22 Dec 2026") {
		t.Error("the token is shown again, or is not there")
	}
	for _, bad := range []url.Values{{"name": {"deploy"}, "scope": {"read"}}, {"name": {"x"}, "scope": {"god"}}, {"name": {"x"}, "scope": {"read"}, "days": {"-1"}}, {"name": {""}, "scope": {"read"}}} {
		if status, _, body := post(t, srv, "admin", "/settings/tokens", bad); status != http.StatusUnprocessableEntity || strings.Contains(body, "tally_") {
			t.Errorf("%v: %d", bad, status)
		}
	}
	for _, want := range []int{http.StatusSeeOther, http.StatusUnprocessableEntity} {
		if status, _, _ := post(t, srv, "admin", "/settings/tokens/deploy/revoke", nil); status != want {
			t.Errorf("revoke: %d, want %d", status, want)
		}
	}
}

func TestIngestTokensAreBoundAndRequeued(t *testing.T) {
	people := realStore(t)
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Accounts = people })
	if _, err := people.AddAccount(t.Context(), inventory.NewAccount{Name: "ada", Role: "admin", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	session, err := people.SignIn(t.Context(), "ada", goodPassword, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"name": {"agent-7"}, "scope": {"ingest"}, "integrations": {"berlin-dc, paris-dc"}}
	for field, bad := range map[string]string{"scope": "read", "integrations": "berlin dc, <x>"} {
		was := form.Get(field)
		form.Set(field, bad)
		if status, _, body := post(t, srv, session, "/settings/tokens", form); status != http.StatusUnprocessableEntity || strings.Contains(body, "tally_") {
			t.Errorf("%s %q: %d", field, bad, status)
		}
		form.Set(field, was)
	}
	if status, _, body := post(t, srv, session, "/settings/tokens", form); status != http.StatusOK || !strings.Contains(body, "tally_") || !strings.Contains(body, "for berlin-dc, paris-dc") {
		t.Fatalf("make: %d %s", status, body)
	}
	bound, err := people.TokenBindings(t.Context())
	if diff := cmp.Diff(map[string][]string{"agent-7": {"berlin-dc", "paris-dc"}}, bound); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if status, header, _ := post(t, srv, session, "/settings/tokens/agent-7/revoke", url.Values{"requeue": {"1"}}); status != http.StatusSeeOther || !strings.Contains(header.Get("Location"), "done=requeued") {
		t.Errorf("revoke: %d %v", status, header)
	}
	page, err := people.AuditLog(t.Context(), inventory.AuditFilter{Actor: "ada", Subject: "agent-7"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range page.Entries {
		got = append(got, e.Action)
	}
	if diff := cmp.Diff([]string{"queued again what a token vouched for", "token revoked", "token bound", "token created"}, got); diff != "" {
		t.Errorf("the log of ada (-want +got):\n%s", diff)
	}
}

func TestOwnSessions(t *testing.T) {
	people := realStore(t)
	srv := serveReal(t, people)
	if _, err := people.AddAccount(t.Context(), inventory.NewAccount{Name: "ada", Role: "viewer", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	var mine []string
	for range 3 {
		_, header, _ := post(t, srv, "", "/signin", url.Values{"user": {"ada"}, "password": {goodPassword}})
		mine = append(mine, cookieOf(t, header))
	}
	if status, _, body := get(t, srv, mine[0], "/settings/account"); status != http.StatusOK || strings.Count(body, "This browser") != 1 || strings.Contains(body, mine[1]) {
		t.Errorf("own sessions: %d", status)
	}
	post(t, srv, mine[0], "/settings/account/sessions", url.Values{"id": {people.SessionID(mine[1])}})
	for i, want := range []int{200, 401, 200} {
		if status, _, _ := get(t, srv, mine[i], "/settings/account"); status != want {
			t.Errorf("session %d: %d, want %d", i, status, want)
		}
	}
	post(t, srv, mine[0], "/settings/account/sessions", nil)
	if status, _, _ := get(t, srv, mine[2], "/"); status != http.StatusUnauthorized {
		t.Errorf("another session after all were ended: %d", status)
	}
	if status, _, _ := post(t, srv, mine[0], "/settings/account/password", url.Values{"old": {goodPassword}, "new": {"entirely other words"}}); status != http.StatusSeeOther {
		t.Errorf("change of the password: %d", status)
	}
	if status, _, _ := get(t, srv, mine[0], "/"); status != http.StatusOK {
		t.Errorf("the browser that changed it: %d", status)
	}
}

// TestEveryFormIsNoted: what no change of the ledger tells, the page itself notes.
func TestEveryFormIsNoted(t *testing.T) {
	people := samplePeople(t)
	f := sample()
	f.people = people
	srv := serve(t, f, func(o *dashboard.Options) { o.Accounts = sessionsOf{people, f} })
	newest := func() inventory.AuditEntry {
		page, err := people.AuditLog(t.Context(), inventory.AuditFilter{Limit: 1})
		if err != nil || len(page.Entries) == 0 {
			t.Fatalf("no entry: %v", err)
		}
		return page.Entries[0]
	}
	post(t, srv, "editor", "/integrations/acme-main/pause", nil)
	if e := newest(); e.Actor != "e.dit" || e.Via != "session" || e.Subject != "acme-main" || !strings.Contains(e.Action, "pause") {
		t.Errorf("pause: %+v", e)
	}
	post(t, srv, "editor", "/connect", url.Values{"act": {"test"}, "name": {"x"}, "url": {"https://u.example/path"}, "secret": {"hunter2"}})
	if e := newest(); e.Action != "connection tested" || e.Subject != "https://u.example" || e.After["ok"] != true {
		t.Errorf("test: %+v", e)
	}
	before := newest().ID
	post(t, srv, "viewer", "/integrations/acme-main/resume", nil)
	post(t, srv, "editor", "/connect", url.Values{"act": {"save"}, "name": {"not a name"}, "url": {"https://u.example"}})
	get(t, srv, "editor", "/integrations/acme-main")
	if e := newest(); e.ID != before {
		t.Errorf("what was refused, failed or only looked at is noted: %+v", e)
	}
}

// sessionsOf is real people who are signed in by the names of their roles.
type sessionsOf struct {
	*store.Store
	fleet *fleet
}

// Session is that of the fleet's.
func (s sessionsOf) Session(ctx context.Context, secret string) (inventory.User, error) {
	return s.fleet.Session(ctx, secret)
}
