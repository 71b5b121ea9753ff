package dashboard

import (
	"errors"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// accountView is somebody's own page: password and sessions.
type accountView struct {
	Account  inventory.Account
	Sessions []inventory.Session
	Current  string // id of the session that looks
	Result   result
}

func (d *Dashboard) account(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.showAccount(w, r, v, http.StatusOK, done(r, map[string]string{
		"password": "Your password is changed. Other browsers were signed out.", "session": "The session is ended.", "sessions": "All other sessions are ended.",
	}))
}

func (d *Dashboard) showAccount(w http.ResponseWriter, r *http.Request, v visit, status int, came result) error {
	who, err := d.Accounts.Account(r.Context(), v.user.Name)
	if err != nil {
		return err
	}
	sessions, err := d.Accounts.Sessions(r.Context(), v.user.Name)
	if err != nil {
		return err
	}
	return d.setting(w, r, v, status, "account", "Your account", accountView{who, sessions, d.Accounts.SessionID(sessionOf(r)), came})
}

// changePassword asks for the old one, so that an open browser is not enough. Whoever
// came by a link has none yet.
func (d *Dashboard) changePassword(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	who, err := d.Accounts.Account(r.Context(), v.user.Name)
	if err != nil {
		return err
	}
	if who.Source == inventory.SourcePassword {
		if d.limits.wait(visitor(r).Address, v.user.Name, v.at) > 0 {
			w.Header().Set("Retry-After", "60")
			return d.showAccount(w, r, v, http.StatusTooManyRequests, result{Problem: "There were too many tries.", Remedy: "Try again in a minute."})
		}
		session, err := d.Accounts.SignIn(r.Context(), v.user.Name, r.PostFormValue("old"), visitor(r))
		if errors.Is(err, inventory.ErrUnauthorized) {
			return d.showAccount(w, r, v, http.StatusUnprocessableEntity, result{Problem: "The current password is wrong."})
		}
		if err != nil {
			return err
		}
		if err := d.Accounts.EndSession(r.Context(), session); err != nil {
			return err
		}
	}
	change := inventory.AccountChange{Password: r.PostFormValue("new")}
	if change.Password == "" {
		return d.showAccount(w, r, v, http.StatusUnprocessableEntity, result{Problem: "There is no new password."})
	}
	if _, err := d.Accounts.ChangeAccount(r.Context(), v.user.Name, change, sessionOf(r)); err != nil {
		if came, ok := refused(err); ok {
			return d.showAccount(w, r, v, http.StatusUnprocessableEntity, came)
		}
		return err
	}
	return d.to(w, r, "/settings/account?done=password")
}

// endSessions ends one of one's own sessions, or all others.
func (d *Dashboard) endSessions(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id, word := r.PostFormValue("id"), "session"
	if id == "" {
		word = "sessions"
	}
	if _, err := d.Accounts.EndSessions(r.Context(), v.user.Name, id, sessionOf(r)); err != nil && !errors.Is(err, inventory.ErrNotFound) {
		return err
	}
	return d.to(w, r, "/settings/account?done="+word)
}
