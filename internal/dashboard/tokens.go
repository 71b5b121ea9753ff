package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// tokensView is the credentials of machines.
type tokensView struct {
	Tokens []tokenRow
	Form   tokenForm
	Secret string // of a token that was just made; shown this once
	Name   string // of that token
	Result result
}

type tokenRow struct {
	inventory.Token
	Over bool // it has expired
}

type tokenForm struct {
	Name, Scope  string
	Days         string // "" = until revoked
	Integrations string // names that an ingest token is bound to
}

func (d *Dashboard) tokens(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.showTokens(w, r, v, http.StatusOK, tokensView{
		Form: tokenForm{Scope: inventory.ScopeRead, Days: "90"}, Result: done(r, map[string]string{
			"revoked": "The token is revoked.", "requeued": "The token is revoked, and what only it vouched for is indexed again.",
		}),
	})
}

func (d *Dashboard) showTokens(w http.ResponseWriter, r *http.Request, v visit, status int, p tokensView) error {
	all, err := d.Accounts.Tokens(r.Context())
	if err != nil {
		return err
	}
	bound, err := d.Accounts.TokenBindings(r.Context())
	if err != nil {
		return err
	}
	for _, t := range all {
		t.Integrations = bound[t.Name]
		p.Tokens = append(p.Tokens, tokenRow{t, t.Expires != nil && !t.Expires.After(v.at)})
	}
	return d.setting(w, r, v, status, "tokens", "Tokens", p)
}

// createToken shows the secret on the page that answers, and nowhere else.
func (d *Dashboard) createToken(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := tokenForm{Name: strings.TrimSpace(r.PostFormValue("name")), Scope: r.PostFormValue("scope"), Days: r.PostFormValue("days"), Integrations: strings.TrimSpace(r.PostFormValue("integrations"))}
	var expires *time.Time
	if f.Days != "" {
		days, err := strconv.Atoi(f.Days)
		if err != nil || days < 1 || days > 3650 {
			return d.showTokens(w, r, v, http.StatusUnprocessableEntity, tokensView{Form: f, Result: result{Problem: "That is no number of days.", Remedy: "Choose one of the list."}})
		}
		t := v.at.AddDate(0, 0, days)
		expires = &t
	}
	secret, err := d.makeToken(r.Context(), f, expires)
	if came, ok := refused(err); ok {
		return d.showTokens(w, r, v, http.StatusUnprocessableEntity, tokensView{Form: f, Result: came})
	}
	if err != nil {
		return err
	}
	return d.showTokens(w, r, v, http.StatusOK, tokensView{Form: tokenForm{Scope: f.Scope, Days: f.Days}, Secret: secret, Name: f.Name})
}

func (d *Dashboard) makeToken(ctx context.Context, f tokenForm, expires *time.Time) (secret string, err error) {
	bound := strings.FieldsFunc(f.Integrations, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(bound) > 0 && f.Scope != inventory.ScopeIngest {
		return "", inventory.Errorf(inventory.ErrInvalid, "only a token of scope ingest is for certain integrations").
			WithRemedy("choose the scope ingest, or leave the integrations empty")
	}
	for _, name := range bound {
		if inventory.CheckUserName(name) != nil {
			return "", inventory.Errorf(inventory.ErrInvalid, "%q is not the name of an integration", shorten(name))
		}
	}
	if err := inventory.CheckUserName(f.Name); err != nil {
		return "", err
	}
	if secret, err = d.Accounts.CreateToken(ctx, f.Name, f.Scope, expires); err != nil || len(bound) == 0 {
		return secret, err
	}
	return secret, d.Accounts.BindToken(ctx, f.Name, bound) // nobody has the secret yet
}

func (d *Dashboard) revokeToken(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := d.Accounts.RevokeToken(r.Context(), r.PathValue("name"))
	if came, ok := refused(err); ok {
		return d.showTokens(w, r, v, http.StatusUnprocessableEntity, tokensView{Form: tokenForm{Scope: inventory.ScopeRead, Days: "90"}, Result: came})
	}
	if err != nil {
		return err
	}
	if r.PostFormValue("requeue") == "" {
		return d.to(w, r, "/settings/tokens?done=revoked")
	}
	if _, err := d.Accounts.Requeue(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	return d.to(w, r, "/settings/tokens?done=requeued")
}
