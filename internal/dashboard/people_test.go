package dashboard_test

import (
	"context"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
)

const goodPassword = "four plain words here"

// realStore is a ledger with nobody in it.
func realStore(t *testing.T) *store.Store {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Key: key, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// samplePeople is a real ledger with people of every kind, tokens, and a log of changes.
func samplePeople(t *testing.T) *store.Store {
	t.Helper()
	s := realStore(t)
	ctx := inventory.WithActor(t.Context(), &inventory.Actor{Name: "m.okafor", Via: inventory.ViaSession, Address: "192.0.2.7"})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []inventory.NewAccount{{Name: "m.okafor", Role: "admin"}, {Name: "e.dit", Role: "editor"}, {Name: "v.iew", Role: "viewer"}} {
		_, err := s.AddAccount(ctx, one)
		must(err)
	}
	link, err := s.CreateSigninLink(ctx, "m.okafor", now().Add(time.Hour))
	must(err)
	_, err = s.UseSigninLink(ctx, link, inventory.Visitor{Address: "198.51.100.20", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 " + hostile})
	must(err)
	_, err = s.SignInExternal(ctx, inventory.External{Issuer: "https://id.acme.example", Subject: "1", Name: "grace@acme.example", Role: "viewer"}, inventory.Visitor{Address: "2001:db8::12"})
	must(err)
	expires, gone := now().Add(90*24*time.Hour), now().Add(-time.Hour)
	for name, until := range map[string]*time.Time{"ci": &expires, "watcher-berlin": nil, "old-script": &gone} {
		scope := map[string]string{"ci": "read", "watcher-berlin": "ingest", "old-script": "admin"}[name]
		_, err := s.CreateToken(ctx, name, scope, until)
		must(err)
	}
	must(s.BindToken(ctx, "watcher-berlin", []string{"berlin-dc", "paris-dc"}))
	in := inventory.Integration{Name: "acme-main", Kind: "artifactory", URL: "https://acme.jfrog.io", Repositories: []string{"docker-local"}}
	_, err = s.AddIntegration(ctx, in, inventory.Secrets{Password: "saved-token"})
	must(err)
	in.Repositories, in.Exclude = []string{"docker-local", "docker-prod-local"}, []string{"*/scratch-*"}
	must(s.UpdateIntegration(ctx, in, &inventory.Secrets{Password: "saved-token-2"}))
	_, err = s.ChangeAccount(ctx, "e.dit", inventory.AccountChange{Role: "viewer"}, "")
	must(err)
	_, err = s.ChangeAccount(ctx, "e.dit", inventory.AccountChange{Role: "editor"}, "")
	must(err)
	return s
}

// standInProvider is an OpenID provider by name only: the buttons that lead to one. That
// people come back from a real one, internal/e2e/oidc shows.
type standInProvider struct{}

func (standInProvider) Name() string { return "Acme ID" }

func (standInProvider) Begin(context.Context) (string, inventory.SigninFlow, error) {
	return "https://id.acme.example/auth", inventory.SigninFlow{State: "s", Nonce: "n", Verifier: "v"}, nil
}

func (standInProvider) Finish(context.Context, inventory.SigninFlow, map[string][]string) (inventory.External, error) {
	return inventory.External{}, inventory.Errorf(inventory.ErrUnauthorized, "the OpenID provider refused")
}
