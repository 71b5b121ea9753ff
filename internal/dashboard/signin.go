package dashboard

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// sessionCookie is named in the API's document too.
const sessionCookie = "tallyman_session"

// SignedIn answers who is signed in with this request; ErrUnauthorized when nobody is.
func (d *Dashboard) SignedIn(r *http.Request) (inventory.User, error) {
	secret := sessionOf(r)
	if secret == "" {
		return inventory.User{}, inventory.Errorf(inventory.ErrUnauthorized, "not signed in")
	}
	user, err := d.Accounts.Session(r.Context(), secret)
	if errors.Is(err, inventory.ErrNotFound) {
		return user, inventory.Errorf(inventory.ErrUnauthorized, "the session is over")
	}
	return user, err
}

// secure says whether the browser speaks TLS to us or to the proxy before us. The header
// is there only when a proxy that we trust set it.
func (d *Dashboard) secure(r *http.Request) bool {
	return d.Secure || r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

func (d *Dashboard) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: d.Base + "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure(r),
	}
}

// signinView is the page that asks who somebody is.
type signinView struct {
	Problem string
	Remedy  string
	User    string // as typed
	To      string // where to go afterwards
	OpenID  string // name of the provider
	Setup   bool   // nobody is an administrator yet
}

func (d *Dashboard) signinPage(w http.ResponseWriter, r *http.Request) {
	d.showSignin(w, r, http.StatusOK, signinView{To: r.URL.Query().Get("to")})
}

func (d *Dashboard) showSignin(w http.ResponseWriter, r *http.Request, status int, p signinView) {
	p.To = localPath(p.To)
	if d.OpenID != nil {
		p.OpenID = d.OpenID.Name()
	}
	setup, err := d.Accounts.NeedsSetup(r.Context())
	if err == nil {
		p.Setup = setup
		err = d.show(w, r, visit{at: d.Now()}, status, "signin", frame{Title: "Sign in"}, p)
	}
	if err != nil {
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
	d.showSignin(w, r, http.StatusUnauthorized, signinView{To: r.URL.RequestURI()})
}

// localPath is a path of ours to go to, "/" when it could lead anywhere else.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	return s
}

// signin takes a name and a password.
func (d *Dashboard) signin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p := signinView{User: strings.TrimSpace(r.PostFormValue("user")), To: r.PostFormValue("to")}
	if d.tooMany(w, r, p, p.User) {
		return
	}
	session, err := d.Accounts.SignIn(r.Context(), p.User, r.PostFormValue("password"), visitor(r))
	if errors.Is(err, inventory.ErrUnauthorized) {
		// Not who: people type passwords where names belong.
		d.Log.WarnContext(r.Context(), "sign-in refused", slog.String("address", visitor(r).Address))
	}
	d.signedIn(w, r, p, session, err)
}

// tooMany answers a try to sign in that comes too soon after others.
func (d *Dashboard) tooMany(w http.ResponseWriter, r *http.Request, p signinView, account string) bool {
	delay := d.limits.wait(visitor(r).Address, account, time.Now())
	if delay == 0 {
		return false
	}
	seconds := int(delay/time.Second) + 1
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	p.Problem, p.Remedy = "There were too many tries.", fmt.Sprintf("Try again in %d seconds.", seconds)
	d.showSignin(w, r, http.StatusTooManyRequests, p)
	return true
}

// signedIn ends every way to sign in: with a session, or with what went wrong.
func (d *Dashboard) signedIn(w http.ResponseWriter, r *http.Request, p signinView, session string, err error) {
	var told *inventory.Error
	switch {
	case err == nil:
		http.SetCookie(w, d.cookie(r, session, 0))
		_ = d.to(w, r, localPath(p.To))
	case errors.Is(err, inventory.ErrUnavailable) || !errors.As(err, &told):
		d.Log.ErrorContext(r.Context(), "sign-in failed", slog.Any("error", err))
		p.Problem, p.Remedy = "This could not be checked.", "The log of the server says why."
		d.showSignin(w, r, http.StatusInternalServerError, p)
	default:
		p.Problem, p.Remedy = sentence(told.Msg), sentence(told.Remedy)
		d.showSignin(w, r, http.StatusUnauthorized, p)
	}
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimRight(s[1:], ".") + "."
}

// signinLink uses a one-time link. A browser that only fetches ahead does not use it up.
func (d *Dashboard) signinLink(w http.ResponseWriter, r *http.Request) {
	if fetchesAhead(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	session, err := d.Accounts.UseSigninLink(r.Context(), r.PathValue("secret"), visitor(r))
	if errors.Is(err, inventory.ErrNotFound) || errors.Is(err, inventory.ErrUnauthorized) || errors.Is(err, inventory.ErrInvalid) {
		err = inventory.Errorf(inventory.ErrUnauthorized, "this sign-in link was used already or is too old").
			WithRemedy("sign in below, or have a new link made")
	}
	d.signedIn(w, r, signinView{}, session, err)
}

func fetchesAhead(r *http.Request) bool {
	return r.Method == http.MethodHead || r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") == "prefetch"
}

func (d *Dashboard) signout(w http.ResponseWriter, r *http.Request) {
	if secret := sessionOf(r); secret != "" {
		if err := d.Accounts.EndSession(r.Context(), secret); err != nil && !errors.Is(err, inventory.ErrNotFound) {
			d.Log.ErrorContext(r.Context(), "session not ended", slog.Any("error", err))
		}
	}
	http.SetCookie(w, d.cookie(r, "", -1))
	_ = d.to(w, r, "/signin")
}
