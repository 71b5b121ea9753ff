package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// setupView is the first page of all: it makes the administrator.
type setupView struct {
	Action  string
	Name    string
	Problem string
	Remedy  string
}

// setupPage shows the form to whoever has the link that the server printed. Looking at
// it does not use the link up.
func (d *Dashboard) setupPage(w http.ResponseWriter, r *http.Request) {
	if err := d.Accounts.CheckSetupLink(r.Context(), r.PathValue("secret")); err != nil {
		d.signedIn(w, r, signinView{}, "", err)
		return
	}
	d.showSetup(w, r, http.StatusOK, setupView{Name: "admin"})
}

func (d *Dashboard) showSetup(w http.ResponseWriter, r *http.Request, status int, p setupView) {
	p.Action = d.Base + "/setup/" + url.PathEscape(r.PathValue("secret"))
	if err := d.show(w, r, visit{at: d.Now()}, status, "setup", frame{Title: "Set up Tallyman"}, p); err != nil {
		d.signedIn(w, r, signinView{}, "", err)
	}
}

func (d *Dashboard) setup(w http.ResponseWriter, r *http.Request) {
	if d.tooMany(w, r, signinView{}, "setup") {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p := setupView{Name: strings.TrimSpace(r.PostFormValue("user"))}
	err := inventory.CheckUserName(p.Name)
	session := ""
	if err == nil {
		session, err = d.Accounts.SetUp(r.Context(), r.PathValue("secret"), p.Name, r.PostFormValue("password"), visitor(r))
	}
	var told *inventory.Error
	if errors.As(err, &told) && (errors.Is(err, inventory.ErrInvalid) || errors.Is(err, inventory.ErrConflict)) {
		p.Problem, p.Remedy = sentence(told.Msg), sentence(told.Remedy)
		d.showSetup(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	d.signedIn(w, r, signinView{}, session, err)
}
