package dashboard

import (
	"net/http"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// inviteTime is how long a link waits that lets somebody in for the first time.
const inviteTime = 24 * time.Hour

// usersView is everybody who may sign in.
type usersView struct {
	Users  []inventory.Account
	Roles  []string
	Form   inventory.NewAccount // as typed, without the password
	Link   string               // a one-time link that was just made
	For    string               // whom it lets in
	Until  time.Time
	OpenID string
	Result result
}

func (d *Dashboard) users(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.showUsers(w, r, v, http.StatusOK, usersView{Result: done(r, map[string]string{
		"added": "The user is added.", "changed": "The user is changed, and signed out everywhere.", "removed": "The user is removed, and signed out everywhere.",
		"signed-out": "The user is signed out everywhere.",
	})})
}

func (d *Dashboard) showUsers(w http.ResponseWriter, r *http.Request, v visit, status int, p usersView) (err error) {
	if p.Users, err = d.Accounts.Accounts(r.Context()); err != nil {
		return err
	}
	p.Roles = inventory.Roles[:]
	if p.Form.Role == "" {
		p.Form.Role = inventory.RoleViewer
	}
	if d.OpenID != nil {
		p.OpenID = d.OpenID.Name()
	}
	return d.setting(w, r, v, status, "users", "Users", p)
}

func (d *Dashboard) addUser(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	want := inventory.NewAccount{Name: strings.TrimSpace(r.PostFormValue("name")), Role: r.PostFormValue("role"), Password: r.PostFormValue("password")}
	err := inventory.CheckUserName(want.Name)
	if err == nil {
		_, err = d.Accounts.AddAccount(r.Context(), want)
	}
	if err != nil {
		came, ok := refused(err)
		if !ok {
			return err
		}
		form := want
		form.Password = ""
		return d.showUsers(w, r, v, http.StatusUnprocessableEntity, usersView{Form: form, Result: came})
	}
	if want.Password == "" {
		return d.invite(w, r, v, want.Name)
	}
	return d.to(w, r, "/settings/users?done=added")
}

// invite makes a one-time link and shows it this once.
func (d *Dashboard) invite(w http.ResponseWriter, r *http.Request, v visit, name string) error {
	until := v.at.Add(inviteTime)
	secret, err := d.Accounts.CreateSigninLink(r.Context(), name, until)
	if err != nil {
		return err
	}
	return d.showUsers(w, r, v, http.StatusOK, usersView{Link: d.address(r) + "/signin/" + secret, For: name, Until: until})
}

// changeUser does one of the acts that the row of a user has.
func (d *Dashboard) changeUser(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name, word := r.PathValue("name"), ""
	var err error
	switch r.PostFormValue("act") {
	case "role":
		word = "changed"
		_, err = d.Accounts.ChangeAccount(r.Context(), name, inventory.AccountChange{Role: r.PostFormValue("role")}, "")
	case "sign-out":
		word = "signed-out"
		_, err = d.Accounts.EndSessions(r.Context(), name, "", "")
	case "remove":
		word = "removed"
		err = d.Accounts.RemoveAccount(r.Context(), name)
	case "link":
		return d.invite(w, r, v, name)
	default:
		err = inventory.Errorf(inventory.ErrInvalid, "the form says nothing to do")
	}
	if came, ok := refused(err); ok {
		return d.showUsers(w, r, v, http.StatusUnprocessableEntity, usersView{Result: came})
	}
	if err != nil {
		return err
	}
	return d.to(w, r, "/settings/users?done="+word)
}

// removeUserPage asks once more.
func (d *Dashboard) removeUserPage(w http.ResponseWriter, r *http.Request, v visit) error {
	who, err := d.Accounts.Account(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "user-remove", frame{Title: "Remove " + who.Name, Menu: "settings", Tab: "users"}, who)
}
