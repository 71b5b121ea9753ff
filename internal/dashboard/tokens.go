package dashboard

import (
	"net/http"
	"strconv"
	"strings"
	"time"

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
	Name, Scope string
	Days        string // "" = until revoked
}

func (d *Dashboard) tokens(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.showTokens(w, r, v, http.StatusOK, tokensView{
		Form: tokenForm{Scope: inventory.ScopeRead, Days: "90"}, Result: done(r, map[string]string{"revoked": "The token is revoked."}),
	})
}

func (d *Dashboard) showTokens(w http.ResponseWriter, r *http.Request, v visit, status int, p tokensView) error {
	all, err := d.Accounts.Tokens(r.Context())
	if err != nil {
		return err
	}
	for _, t := range all {
		p.Tokens = append(p.Tokens, tokenRow{t, t.Expires != nil && !t.Expires.After(v.at)})
	}
	return d.setting(w, r, v, status, "tokens", "Tokens", p)
}

// createToken shows the secret on the page that answers, and nowhere else.
func (d *Dashboard) createToken(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := tokenForm{Name: strings.TrimSpace(r.PostFormValue("name")), Scope: r.PostFormValue("scope"), Days: r.PostFormValue("days")}
	var expires *time.Time
	if f.Days != "" {
		days, err := strconv.Atoi(f.Days)
		if err != nil || days < 1 || days > 3650 {
			return d.showTokens(w, r, v, http.StatusUnprocessableEntity, tokensView{Form: f, Result: result{Problem: "That is no number of days.", Remedy: "Choose one of the list."}})
		}
		t := v.at.AddDate(0, 0, days)
		expires = &t
	}
	err := inventory.CheckUserName(f.Name)
	secret := ""
	if err == nil {
		secret, err = d.Accounts.CreateToken(r.Context(), f.Name, f.Scope, expires)
	}
	if came, ok := refused(err); ok {
		return d.showTokens(w, r, v, http.StatusUnprocessableEntity, tokensView{Form: f, Result: came})
	}
	if err != nil {
		return err
	}
	return d.showTokens(w, r, v, http.StatusOK, tokensView{Form: tokenForm{Scope: f.Scope, Days: f.Days}, Secret: secret, Name: f.Name})
}

func (d *Dashboard) revokeToken(w http.ResponseWriter, r *http.Request, v visit) error {
	err := d.Accounts.RevokeToken(r.Context(), r.PathValue("name"))
	if came, ok := refused(err); ok {
		return d.showTokens(w, r, v, http.StatusUnprocessableEntity, tokensView{Form: tokenForm{Scope: inventory.ScopeRead, Days: "90"}, Result: came})
	}
	if err != nil {
		return err
	}
	return d.to(w, r, "/settings/tokens?done=revoked")
}
