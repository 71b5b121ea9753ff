package dashboard

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// flowCookie holds what a browser must bring back from the OpenID provider. It belongs to
// the browser that began, so nobody can be signed in as somebody else by a link.
const (
	flowCookie = "tallyman_signin"
	flowTime   = 600 // seconds
)

// keptFlow is the flow, and where to go afterwards.
type keptFlow struct {
	Flow inventory.SigninFlow
	To   string
}

func (d *Dashboard) flow(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: flowCookie, Value: value, Path: d.Base + "/signin/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure(r),
	}
}

// toProvider sends the browser to the OpenID provider.
func (d *Dashboard) toProvider(w http.ResponseWriter, r *http.Request) {
	p := signinView{To: localPath(r.URL.Query().Get("to"))}
	if d.OpenID == nil {
		d.signedIn(w, r, p, "", inventory.Errorf(inventory.ErrNotFound, "no OpenID provider is set up here"))
		return
	}
	if d.tooMany(w, r, p, "to the provider from "+network(visitor(r).Address)) {
		return
	}
	location, flow, err := d.OpenID.Begin(r.Context())
	if err != nil {
		d.providerFailed(w, r, p, err)
		return
	}
	text, err := json.Marshal(keptFlow{flow, p.To})
	if err != nil {
		d.signedIn(w, r, p, "", err)
		return
	}
	http.SetCookie(w, d.flow(r, base64.RawURLEncoding.EncodeToString(text), flowTime))
	http.Redirect(w, r, location, http.StatusSeeOther)
}

// fromProvider takes the browser back.
func (d *Dashboard) fromProvider(w http.ResponseWriter, r *http.Request) {
	var kept keptFlow
	if c, err := r.Cookie(flowCookie); err == nil && len(c.Value) <= 4096 {
		if text, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil {
			_ = json.Unmarshal(text, &kept) // what is not ours holds no state, and is refused below
		}
	}
	http.SetCookie(w, d.flow(r, "", -1)) // it is good once
	p := signinView{To: kept.To}
	if d.OpenID == nil || kept.Flow.State == "" {
		d.signedIn(w, r, p, "", inventory.Errorf(inventory.ErrUnauthorized, "the sign-in was not begun in this browser, or took too long").WithRemedy("try again"))
		return
	}
	who, err := d.OpenID.Finish(r.Context(), kept.Flow, r.URL.Query())
	if err != nil {
		d.providerFailed(w, r, p, err)
		return
	}
	session, err := d.Accounts.SignInExternal(r.Context(), who, visitor(r))
	d.signedIn(w, r, p, session, err)
}

// providerFailed tells people what they may know, and the log the rest.
func (d *Dashboard) providerFailed(w http.ResponseWriter, r *http.Request, p signinView, err error) {
	d.Log.WarnContext(r.Context(), "sign-in with the OpenID provider failed", slog.String("address", visitor(r).Address), slog.Any("error", err))
	d.signedIn(w, r, p, "", err)
}
