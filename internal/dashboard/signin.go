package dashboard

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// sessionCookie is named in the API's document too.
const sessionCookie = "tallyman_session"

// SignedIn answers who is signed in with this request; ErrUnauthorized when nobody is.
func (d *Dashboard) SignedIn(r *http.Request) (inventory.User, error) {
	c, err := r.Cookie(sessionCookie)
	if err != nil || c.Value == "" || len(c.Value) > 512 {
		return inventory.User{}, inventory.Errorf(inventory.ErrUnauthorized, "not signed in")
	}
	user, err := d.Store.Session(r.Context(), c.Value)
	if errors.Is(err, inventory.ErrNotFound) {
		return user, inventory.Errorf(inventory.ErrUnauthorized, "the session is over")
	}
	return user, err
}

// secure says whether the browser speaks TLS to us or to the proxy before us.
func (d *Dashboard) secure(r *http.Request) bool { return d.Secure || r.TLS != nil }

func (d *Dashboard) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: d.Base + "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure(r),
	}
}

type signinView struct {
	Problem string
	Remedy  string
}

// signinPage says how to get in: nobody is asked for anything that could be guessed.
func (d *Dashboard) signinPage(w http.ResponseWriter, r *http.Request) {
	d.showSignin(w, r, http.StatusOK, signinView{})
}

func (d *Dashboard) showSignin(w http.ResponseWriter, r *http.Request, status int, p signinView) {
	if err := d.show(w, r, visit{at: d.Now()}, status, "signin", frame{Title: "Sign in"}, p); err != nil {
		d.Log.ErrorContext(r.Context(), "page failed", slog.Any("error", err))
		http.Error(w, "Something went wrong here.", http.StatusInternalServerError)
	}
}

// askToSignIn answers a page that nobody is signed in for. A stream or a file gets the
// status alone.
func (d *Dashboard) askToSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, "not signed in", http.StatusUnauthorized)
		return
	}
	d.showSignin(w, r, http.StatusUnauthorized, signinView{})
}

// signin uses a one-time link. A browser that only fetches ahead does not use it up.
func (d *Dashboard) signin(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") == "prefetch" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	session, err := d.Store.UseSigninLink(r.Context(), r.PathValue("secret"))
	switch {
	case errors.Is(err, inventory.ErrNotFound), errors.Is(err, inventory.ErrUnauthorized), errors.Is(err, inventory.ErrInvalid):
		d.showSignin(w, r, http.StatusUnauthorized, signinView{
			Problem: "This sign-in link was used already or is too old.", Remedy: "Make a new one as below.",
		})
		return
	case err != nil:
		d.Log.ErrorContext(r.Context(), "sign-in link not checked", slog.Any("error", err))
		d.showSignin(w, r, http.StatusInternalServerError, signinView{Problem: "The link could not be checked.", Remedy: "The log of the server says why."})
		return
	}
	http.SetCookie(w, d.cookie(r, session, 0))
	_ = d.to(w, r, "/")
}

func (d *Dashboard) signout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil && c.Value != "" {
		if err := d.Store.EndSession(r.Context(), c.Value); err != nil && !errors.Is(err, inventory.ErrNotFound) {
			d.Log.ErrorContext(r.Context(), "session not ended", slog.Any("error", err))
		}
	}
	http.SetCookie(w, d.cookie(r, "", -1))
	_ = d.to(w, r, "/signin")
}
