// Package oidc is the door to an OpenID provider: people sign in there, and come back
// with who they are and, where it is told how to read one, a role. In goes the
// provider's address and our credentials there, out comes an inventory.External.
//
// It must never keep a token of the provider's, believe a redirect that does not bring
// the state, nonce and PKCE verifier of the flow that it began, or put a secret into a
// log or an error. It knows nothing of sessions, cookies or pages.
package oidc

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// patience bounds every call to the provider: somebody waits for the page.
const patience = 15 * time.Second

// Options say which provider, and what to make of what it says. Issuer, ClientID and
// Redirect are needed.
type Options struct {
	Issuer   string // https://id.example.com, exactly as the provider calls itself
	ClientID string
	Secret   string   // of the client; empty for a public one
	Redirect string   // where the provider sends the browser back to
	Label    string   // "Sign in with …"; empty = the host of the issuer
	Scopes   []string // besides openid; none = profile, email and groups
	// Claim is the claim whose values Roles maps; a dot reaches into an object
	// (realm_access.roles). Empty = groups.
	Claim string
	// Roles are the values of the claim that give each role; the strongest wins. None at
	// all = roles are given here.
	Roles map[string][]string
	// Default is the role of whoever no value gives one: empty = they are refused, or,
	// when no roles are mapped, viewers.
	Default string
}

// Provider signs people in. It asks the provider for its description when it is first
// needed, so that Tallyman starts while the provider is down.
type Provider struct {
	o      Options
	client *http.Client

	mu    sync.Mutex
	found *oidc.Provider // guarded by mu
}

// New makes a Provider. A nil transport means one of the standard library's.
func New(o Options, transport http.RoundTripper) *Provider {
	if o.Label == "" {
		if u, err := url.Parse(o.Issuer); err == nil {
			o.Label = u.Host
		}
	}
	if len(o.Scopes) == 0 {
		o.Scopes = []string{"profile", "email", "groups"}
	}
	o.Claim = cmp.Or(o.Claim, "groups")
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience, ForceAttemptHTTP2: true}
	}
	return &Provider{o: o, client: &http.Client{Transport: transport, Timeout: patience}}
}

// Name is what the provider is called on the sign-in page.
func (p *Provider) Name() string { return p.o.Label }

func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	// The library keeps the context for the keys that it reads later.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.o.Issuer)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrUnavailable, "the OpenID provider %s does not answer as one: %w", p.o.Issuer, err).
			WithRemedy("check the issuer, and that this machine reaches it")
	}
	p.found = found
	return found, nil
}

func (p *Provider) config(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.Secret, RedirectURL: p.o.Redirect,
		Endpoint: found.Endpoint(), Scopes: append([]string{oidc.ScopeOpenID}, p.o.Scopes...),
	}
}

// Begin starts a sign-in: it answers where to send the browser, and what must come back.
func (p *Provider) Begin(ctx context.Context) (string, inventory.SigninFlow, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", inventory.SigninFlow{}, err
	}
	flow := inventory.SigninFlow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return p.config(found).AuthCodeURL(flow.State, oidc.Nonce(flow.Nonce), oauth2.S256ChallengeOption(flow.Verifier)), flow, nil
}

// Finish takes what the browser brought back and answers who it is. It is
// ErrUnauthorized when that does not belong to the flow or the provider says no, and
// ErrForbidden when whoever it is has no role here.
func (p *Provider) Finish(ctx context.Context, flow inventory.SigninFlow, query map[string][]string) (inventory.External, error) {
	back := url.Values(query)
	if flow.State == "" || flow.Nonce == "" || flow.Verifier == "" || subtle.ConstantTimeCompare([]byte(back.Get("state")), []byte(flow.State)) != 1 {
		return inventory.External{}, inventory.Errorf(inventory.ErrUnauthorized, "this is not the answer to the sign-in that this browser began").WithRemedy("try again")
	}
	if said := back.Get("error"); said != "" {
		return inventory.External{}, inventory.Errorf(inventory.ErrUnauthorized, "the OpenID provider refused: %s", word(said)).WithRemedy("try again, or ask who runs it")
	}
	claims, err := p.redeem(ctx, flow, back.Get("code"))
	if err != nil {
		return inventory.External{}, err
	}
	return p.person(claims)
}

// redeem exchanges the code for an ID token and reads the claims of one that is sound.
func (p *Provider) redeem(ctx context.Context, flow inventory.SigninFlow, code string) (map[string]any, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), patience)
	defer cancel()
	config := p.config(found)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return nil, notRedeemed(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "the OpenID provider sent no ID token").WithRemedy("allow the scope openid for this client there")
	}
	id, err := found.Verifier(&oidc.Config{ClientID: p.o.ClientID}).Verify(ctx, raw)
	if err != nil {
		// The cause may hold parts of the token.
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "the ID token of the OpenID provider is not sound").WithRemedy("check the clock of this machine, and the client's id")
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(flow.Nonce)) != 1 {
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "the ID token of the OpenID provider belongs to another sign-in").WithRemedy("try again")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "the claims of the ID token cannot be read")
	}
	claims["iss"], claims["sub"] = id.Issuer, id.Subject
	return claims, nil
}

// notRedeemed tells a refusal, of which the library repeats the body, from an outage.
func notRedeemed(err error) error {
	var said *oauth2.RetrieveError
	if errors.As(err, &said) {
		return inventory.Errorf(inventory.ErrUnauthorized, "the OpenID provider did not take the code: %s", word(cmp.Or(said.ErrorCode, said.Response.Status))).
			WithRemedy("try again; if it stays, check the client's id and secret")
	}
	return inventory.Errorf(inventory.ErrUnavailable, "the OpenID provider cannot be reached: %w", err)
}

// word is what a provider says, short and harmless.
func word(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return inventory.Printable(s)
}

// person makes somebody of claims.
func (p *Provider) person(claims map[string]any) (inventory.External, error) {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	who := inventory.External{Issuer: text("iss"), Subject: text("sub")}
	for _, claim := range []string{"preferred_username", "email", "name", "sub"} {
		if who.Name = inventory.CleanUserName(text(claim)); who.Name != "" {
			break
		}
	}
	if len(p.o.Roles) == 0 {
		who.First = cmp.Or(p.o.Default, inventory.RoleViewer)
		return who, nil
	}
	held := values(claims, p.o.Claim)
	who.Role = p.o.Default
	for _, role := range inventory.Roles { // the strongest is last
		if slices.ContainsFunc(p.o.Roles[role], func(v string) bool { return slices.Contains(held, v) }) {
			who.Role = role
		}
	}
	if who.Role == "" {
		return who, inventory.Errorf(inventory.ErrForbidden, "%s has no role here", who.Name).
			WithRemedy("ask an administrator for a group that gives one")
	}
	return who, nil
}

// values are those of a claim: a string, or a list of them. The claim itself is looked
// for before a dot in its name is taken for a step into an object.
func values(claims map[string]any, name string) []string {
	switch v := claims[name].(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	outer, rest, ok := strings.Cut(name, ".")
	if inner, is := claims[outer].(map[string]any); ok && is {
		return values(inner, rest)
	}
	return nil
}

// String names the provider without its secret.
func (o Options) String() string { return fmt.Sprintf("openid(%s, client %s)", o.Issuer, o.ClientID) }
