// Package oidc_test signs people in to the whole program at a real OpenID provider: dex,
// as a library. It is a module of its own, so that Tallyman does not depend on one.
package oidc_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gosundheit "github.com/AppsFlyer/go-sundheit"
	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/authflow"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/server/tokens"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/dexidp/dex/web"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"
)

const (
	clientID     = "tallyman"
	clientSecret = "planted-client-secret-4711"
	password     = "four plain words here"
)

// provider is dex with people in it, each with groups.
type provider struct {
	url     string
	storage storage.Storage
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var dex *server.Server
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { dex.ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	p := &provider{url: front.URL, storage: memory.New(log)}
	must(t, p.storage.CreateConnector(t.Context(), storage.Connector{ID: "local", Type: "local", Name: "Password"}))
	keys := signer.LocalConfig{KeysRotationPeriod: "6h"}
	sign, err := keys.Open(t.Context(), p.storage, time.Hour, time.Now, log)
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	dex, err = server.NewServer(ctx, server.Config{
		Issuer: p.url, Storage: p.storage, Web: server.WebConfig{WebFS: web.FS()}, Logger: log, Signer: sign,
		PrometheusRegistry: prometheus.NewRegistry(), HealthChecker: gosundheit.New(), SkipApprovalScreen: true,
		PKCE: authflow.PKCEConfig{Enforce: true}, RefreshTokenPolicy: tokens.NewRefreshStrategy(true, 0, 0, 0, time.Now),
	})
	must(t, err)
	return p
}

// expect makes the provider know Tallyman at its address.
func (p *provider) expect(t *testing.T, redirect string) {
	t.Helper()
	must(t, p.storage.CreateClient(t.Context(), storage.Client{ID: clientID, Secret: clientSecret, Name: "Tallyman", RedirectURIs: []string{redirect}}))
}

func (p *provider) add(t *testing.T, name string, groups ...string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	must(t, err)
	must(t, p.storage.CreatePassword(t.Context(), storage.Password{
		Email: name + "@example.com", Hash: hash, Username: name, PreferredUsername: name, UserID: "id-of-" + name, Groups: groups,
	}))
}

// move puts somebody into other groups.
func (p *provider) move(t *testing.T, name string, groups ...string) {
	t.Helper()
	must(t, p.storage.UpdatePassword(t.Context(), name+"@example.com", func(old storage.Password) (storage.Password, error) {
		old.Groups = groups
		return old, nil
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
