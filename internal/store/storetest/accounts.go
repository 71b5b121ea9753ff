package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

const (
	goodPassword  = "four plain words here"
	otherPassword = "entirely another phrase"
)

func accountTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"first start":       testSetUp,
		"sign-in links":     testSignin,
		"passwords":         testPasswords,
		"roles":             testRoles,
		"sessions":          testSessions,
		"OpenID":            testExternal,
		"tokens":            testTokens,
		"who changed what":  testAudit,
		"the log by page":   testAuditPages,
		"changes that fail": testAuditOfFailure,
	}
}

func addUser(t *testing.T, s *store.Store, name, role, password string) {
	t.Helper()
	if _, err := s.AddAccount(t.Context(), inventory.NewAccount{Name: name, Role: role, Password: password}); err != nil {
		t.Fatal(err)
	}
}

func testSetUp(t *testing.T, s *store.Store) {
	ctx := t.Context()
	soon := time.Now().Add(time.Hour)
	link, err := s.CreateSigninLink(ctx, "", soon)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.CreateSigninLink(ctx, "", soon)
	if err != nil {
		t.Fatal(err)
	}
	late, err := s.CreateSigninLink(ctx, "", time.Now().Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseSigninLink(ctx, link, inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("a setup link signs in: %v", err)
	}
	for _, bad := range []string{"", link + "x", late} {
		if err := s.CheckSetupLink(ctx, bad); !errors.Is(err, inventory.ErrUnauthorized) {
			t.Errorf("CheckSetupLink(%.5s) = %v", bad, err)
		}
		if _, err := s.SetUp(ctx, bad, "ada", goodPassword, inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
			t.Errorf("SetUp with a link that is none: %v", err)
		}
	}
	for _, bad := range []string{"", "short", "ada"} {
		if _, err := s.SetUp(ctx, link, "ada", bad, inventory.Visitor{}); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("SetUp with password %q: %v", bad, err)
		}
	}
	if err := s.CheckSetupLink(ctx, link); err != nil {
		t.Errorf("the link after a password that was refused: %v", err)
	}
	session, err := s.SetUp(ctx, link, "ada", goodPassword, inventory.Visitor{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if user, err := s.Session(ctx, session); err != nil || user != (inventory.User{Name: "ada", Role: "admin"}) {
		t.Errorf("Session = %v, %v", user, err)
	}
	if needed, err := s.NeedsSetup(ctx); needed || err != nil {
		t.Errorf("NeedsSetup = %v, %v", needed, err)
	}
	for _, used := range []string{link, second} {
		if _, err := s.SetUp(ctx, used, "eve", goodPassword, inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
			t.Errorf("a second administrator by setup link: %v", err)
		}
	}
	if _, err := s.CreateSigninLink(ctx, "", soon); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("a setup link when all is set up: %v", err)
	}
}

func testSignin(t *testing.T, s *store.Store) {
	ctx := t.Context()
	addUser(t, s, "ada", "admin", "")
	link, err := s.CreateSigninLink(ctx, "ada", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseSigninLink(ctx, link+"x", inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("a wrong link: %v", err)
	}
	session, err := s.UseSigninLink(ctx, link, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseSigninLink(ctx, link, inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("a link used twice: %v", err)
	}
	if user, err := s.Session(ctx, session); err != nil || user != (inventory.User{Name: "ada", Role: "admin"}) {
		t.Errorf("Session = %v, %v", user, err)
	}
	for range 2 {
		if err := s.EndSession(ctx, session); err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range []string{session, link, ""} {
		if _, err := s.Session(ctx, secret); !errors.Is(err, inventory.ErrUnauthorized) {
			t.Errorf("no session any more: %v", err)
		}
	}
	old, err := s.CreateSigninLink(ctx, "ada", time.Now().Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseSigninLink(ctx, old, inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("an expired link: %v", err)
	}
	if _, err := s.CreateSigninLink(ctx, "nobody", time.Now().Add(time.Hour)); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("a link for nobody: %v", err)
	}
}

func testPasswords(t *testing.T, s *store.Store) {
	ctx := t.Context()
	addUser(t, s, "ada", "admin", goodPassword)
	addUser(t, s, "guest", "viewer", "")
	if _, err := s.AddAccount(ctx, inventory.NewAccount{Name: "ada", Role: "viewer"}); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("the same name again: %v", err)
	}
	for _, bad := range []inventory.NewAccount{{Name: "", Role: "viewer"}, {Name: "x", Role: "owner"}, {Name: "x", Role: "viewer", Password: "short"}} {
		if _, err := s.AddAccount(ctx, bad); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("AddAccount(%+v): %v", bad, err)
		}
	}
	session, err := s.SignIn(ctx, "ada", goodPassword, inventory.Visitor{Address: "192.0.2.9", Agent: "a browser\x1b[31m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range [][2]string{{"ada", otherPassword}, {"ada", ""}, {"nobody", goodPassword}, {"guest", ""}, {"guest", goodPassword}, {"", ""}} {
		_, err := s.SignIn(ctx, wrong[0], wrong[1], inventory.Visitor{})
		if !errors.Is(err, inventory.ErrUnauthorized) || !strings.HasSuffix(err.Error(), "user name or password is wrong") {
			t.Errorf("SignIn(%q): %v", wrong, err)
		}
	}
	open, err := s.Sessions(ctx, "ada")
	if err != nil || len(open) != 1 || open[0].ID != s.SessionID(session) || open[0].Address != "192.0.2.9" || strings.Contains(open[0].Agent, "\x1b") {
		t.Errorf("Sessions = %+v, %v", open, err)
	}
	if _, err := s.ChangeAccount(ctx, "ada", inventory.AccountChange{Password: otherPassword}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(ctx, session); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("the session after the password changed: %v", err)
	}
	if _, err := s.SignIn(ctx, "ada", goodPassword, inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("the old password: %v", err)
	}
	kept, err := s.SignIn(ctx, "ada", otherPassword, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	// Whoever changes their own password stays where they are.
	if _, err := s.ChangeAccount(ctx, "ada", inventory.AccountChange{Password: goodPassword}, kept); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(ctx, kept); err != nil {
		t.Errorf("the session that was to be kept: %v", err)
	}
}

func testRoles(t *testing.T, s *store.Store) {
	ctx := t.Context()
	addUser(t, s, "ada", "admin", goodPassword)
	addUser(t, s, "bob", "viewer", goodPassword)
	session, err := s.SignIn(ctx, "bob", goodPassword, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]error{
		"demote the last": func() error {
			_, err := s.ChangeAccount(ctx, "ada", inventory.AccountChange{Role: "editor"}, "")
			return err
		}(),
		"remove the last": s.RemoveAccount(ctx, "ada"),
	}
	for what, err := range refused {
		if !errors.Is(err, inventory.ErrConflict) || !strings.Contains(err.Error(), "last administrator") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.ChangeAccount(ctx, "bob", inventory.AccountChange{Role: "owner"}, ""); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a role that is none: %v", err)
	}
	if a, err := s.ChangeAccount(ctx, "bob", inventory.AccountChange{Role: "admin"}, ""); err != nil || a.Role != "admin" || a.Sessions != 0 {
		t.Errorf("ChangeAccount = %+v, %v", a, err)
	}
	if _, err := s.Session(ctx, session); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("the session after the role changed: %v", err)
	}
	if err := s.RemoveAccount(ctx, "ada"); err != nil {
		t.Errorf("one of two administrators: %v", err)
	}
	if err := s.RemoveAccount(ctx, "ada"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	all, err := s.Accounts(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "bob" || all[0].Source != inventory.SourcePassword {
		t.Errorf("Accounts = %+v, %v", all, err)
	}
}

func testSessions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	addUser(t, s, "ada", "admin", goodPassword)
	addUser(t, s, "bob", "viewer", goodPassword)
	var secrets []string
	for range 3 {
		secret, err := s.SignIn(ctx, "ada", goodPassword, inventory.Visitor{})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	theirs, err := s.SignIn(ctx, "bob", goodPassword, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.EndSessions(ctx, "ada", s.SessionID(theirs), ""); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("somebody else's session: %v", err)
	}
	if n, err := s.EndSessions(ctx, "ada", s.SessionID(secrets[0]), ""); n != 1 || err != nil {
		t.Errorf("one session: %d, %v", n, err)
	}
	if n, err := s.EndSessions(ctx, "ada", "", secrets[1]); n != 1 || err != nil {
		t.Errorf("all others: %d, %v", n, err)
	}
	for i, open := range []bool{false, true, false} {
		if _, err := s.Session(ctx, secrets[i]); (err == nil) != open {
			t.Errorf("session %d: %v", i, err)
		}
	}
	if all, err := s.Sessions(ctx, ""); err != nil || len(all) != 2 {
		t.Errorf("Sessions of everybody = %+v, %v", all, err)
	}
}

func testExternal(t *testing.T, s *store.Store) {
	ctx := t.Context()
	addUser(t, s, "ada", "admin", goodPassword)
	eve := inventory.External{Issuer: "https://id.example", Subject: "1234", Name: "eve", Role: "viewer"}
	session, err := s.SignInExternal(ctx, eve, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	taken := eve
	taken.Subject, taken.Name = "5678", "ada"
	if _, err := s.SignInExternal(ctx, taken, inventory.Visitor{}); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("a name that somebody has: %v", err)
	}
	elsewhere := eve
	elsewhere.Issuer = "https://other.example"
	if _, err := s.SignInExternal(ctx, elsewhere, inventory.Visitor{}); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("the same subject at another provider: %v", err)
	}
	for _, bad := range []inventory.External{{}, {Issuer: "x", Subject: "y", Name: "z", Role: "god"}, {Issuer: "x", Subject: "y", Name: "z"}} {
		if _, err := s.SignInExternal(ctx, bad, inventory.Visitor{}); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("SignInExternal(%+v): %v", bad, err)
		}
	}
	// A role of the provider's is taken over, and ends what the old one opened.
	eve.Role, eve.Name = "editor", "eve-new-name"
	now, err := s.SignInExternal(ctx, eve, inventory.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	if user, err := s.Session(ctx, now); err != nil || user != (inventory.User{Name: "eve", Role: "editor"}) {
		t.Errorf("Session = %v, %v", user, err)
	}
	if _, err := s.Session(ctx, session); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("the session of the old role: %v", err)
	}
	// Without one, the role is ours to give.
	eve.Role, eve.First = "", "viewer"
	if now, err = s.SignInExternal(ctx, eve, inventory.Visitor{}); err != nil {
		t.Fatal(err)
	}
	if user, err := s.Session(ctx, now); err != nil || user.Role != "editor" {
		t.Errorf("Session = %v, %v", user, err)
	}
	if _, err := s.ChangeAccount(ctx, "eve", inventory.AccountChange{Password: goodPassword}, ""); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("a password for somebody of the provider's: %v", err)
	}
	if _, err := s.SignIn(ctx, "eve", "", inventory.Visitor{}); !errors.Is(err, inventory.ErrUnauthorized) {
		t.Errorf("a sign-in past the provider: %v", err)
	}
}

func testAudit(t *testing.T, s *store.Store) {
	addUser(t, s, "nobody-acts", "viewer", "")
	actor := &inventory.Actor{Name: "ada", Via: inventory.ViaSession, Address: "192.0.2.7"}
	ctx := inventory.WithActor(t.Context(), actor)
	in := inventory.Integration{Name: "one", Kind: "artifactory", URL: "https://one.example", Repositories: []string{"a"}}
	if _, err := s.AddIntegration(ctx, in, inventory.Secrets{Password: "hunter2-added"}); err != nil {
		t.Fatal(err)
	}
	in.Repositories = []string{"a", "b"}
	if err := s.UpdateIntegration(ctx, in, &inventory.Secrets{Password: "hunter2-changed", Webhook: "hunter2-hook"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddAccount(ctx, inventory.NewAccount{Name: "bob", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangeAccount(ctx, "bob", inventory.AccountChange{Role: "editor", Password: goodPassword}, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteIntegration(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	page, err := s.AuditLog(t.Context(), inventory.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range page.Entries {
		got = append(got, e.Action+" "+e.Subject)
		if e.Actor != "ada" || e.Via != inventory.ViaSession || e.Address != "192.0.2.7" || time.Since(e.At) > time.Minute {
			t.Errorf("entry %+v", e)
		}
		for _, secret := range []string{"hunter2", goodPassword, "argon2"} {
			if strings.Contains(cmp.Diff(nil, e), secret) {
				t.Errorf("entry %d tells a secret: %+v", e.ID, e)
			}
		}
	}
	want := []string{"integration deleted one", "integration disconnected one", "user changed bob", "user added bob", "integration changed one", "integration added one"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	changed, user := page.Entries[4], page.Entries[2]
	if diff := cmp.Diff([]any{[]any{"a"}, []any{"a", "b"}}, []any{changed.Before["repositories"], changed.After["repositories"]}); diff != "" {
		t.Error(diff)
	}
	if changed.After["secret"] != "(replaced)" || changed.After["webhook_secret"] != "(replaced)" || changed.After["url"] != nil {
		t.Errorf("after the change: %+v", changed.After)
	}
	if diff := cmp.Diff([]map[string]any{{"role": "viewer", "source": "link"}, {"role": "editor", "source": "password", "password": "(replaced)"}}, []map[string]any{user.Before, user.After}); diff != "" {
		t.Error(diff)
	}
	if !actor.Noted() {
		t.Error("the actor does not know that something was noted")
	}
}

func testAuditPages(t *testing.T, s *store.Store) {
	for i, who := range []string{"ada", "bob", "ada", "bob", "ada"} {
		ctx := inventory.WithActor(t.Context(), &inventory.Actor{Name: who, Via: inventory.ViaCommand})
		if err := s.Audit(ctx, "connection tested", string(rune('a'+i)), map[string]bool{"ok": true}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(f inventory.AuditFilter) (subjects string, next int64) {
		t.Helper()
		page, err := s.AuditLog(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			subjects += e.Subject
		}
		return subjects, page.Next
	}
	got, next := read(inventory.AuditFilter{Limit: 2})
	if got != "ed" || next == 0 {
		t.Errorf("first page %q, next %d", got, next)
	}
	if got, next = read(inventory.AuditFilter{Limit: 3, After: next}); got != "cba" || next != 0 {
		t.Errorf("last page %q, next %d", got, next)
	}
	for want, f := range map[string]inventory.AuditFilter{
		"db": {Actor: "bob"}, "c": {Subject: "c"}, "edcba": {Action: "connection"}, "": {Action: "user"},
	} {
		if got, _ := read(f); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
}

// testAuditOfFailure: what did not happen is not in the log.
func testAuditOfFailure(t *testing.T, s *store.Store) {
	addUser(t, s, "ada", "admin", "")
	actor := &inventory.Actor{Name: "bob", Via: inventory.ViaSession}
	ctx := inventory.WithActor(t.Context(), actor)
	if err := s.RemoveAccount(ctx, "ada"); !errors.Is(err, inventory.ErrConflict) {
		t.Fatal(err)
	}
	if _, err := s.CreateToken(ctx, "ci", "nonsense", nil); !errors.Is(err, inventory.ErrInvalid) {
		t.Fatal(err)
	}
	if page, err := s.AuditLog(ctx, inventory.AuditFilter{}); err != nil || len(page.Entries) != 0 || actor.Noted() {
		t.Errorf("AuditLog = %+v, %v", page, err)
	}
}

func testTokens(t *testing.T, s *store.Store) {
	ctx := t.Context()
	secret, err := s.CreateToken(ctx, "ci", inventory.ScopeRead, nil)
	if err != nil || !strings.HasPrefix(secret, store.TokenPrefix) {
		t.Fatal(err)
	}
	if secret, err := s.CreateToken(ctx, "ci", inventory.ScopeAdmin, nil); !errors.Is(err, inventory.ErrConflict) || secret != "" {
		t.Errorf("the same name: %v", err)
	}
	past := time.Now().Add(-time.Minute)
	expired, err := s.CreateToken(ctx, "bygone", inventory.ScopeIngest, &past)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		tok, err := s.Token(ctx, secret)
		if err != nil || tok.Name != "ci" || tok.Scope != inventory.ScopeRead || tok.LastUsed == nil {
			t.Errorf("Token = %+v, %v", tok, err)
		}
	}
	all, err := s.Tokens(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "bygone" || all[1].LastUsed == nil || all[0].LastUsed != nil {
		t.Errorf("Tokens = %+v, %v", all, err)
	}
	if err := s.RevokeToken(ctx, "ci"); err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeToken(ctx, "ci"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	for _, bad := range []string{secret, expired, "", "tally_"} {
		if _, err := s.Token(ctx, bad); !errors.Is(err, inventory.ErrUnauthorized) {
			t.Errorf("Token: %v", err)
		}
	}
	for _, bad := range [][2]string{{"", inventory.ScopeRead}, {"x", "god"}} {
		if _, err := s.CreateToken(ctx, bad[0], bad[1], nil); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
