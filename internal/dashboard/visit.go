package dashboard

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type role int

// Roles, weakest first.
const (
	viewer role = iota + 1
	editor
	admin
)

// visit is one request of somebody who is signed in.
type visit struct {
	user inventory.User
	role role
	at   time.Time
}

func roleOf(name string) role {
	switch name {
	case inventory.RoleAdmin:
		return admin
	case inventory.RoleEditor:
		return editor
	case inventory.RoleViewer:
		return viewer
	}
	return 0
}

// route is one line of the table of pages; need 0 = open to everybody.
type route struct {
	pattern string
	need    role
}

// open registers what nobody has to be signed in for.
func (d *Dashboard) open(pattern string, serve http.HandlerFunc) {
	d.table = append(d.table, route{pattern, 0})
	d.mux.HandleFunc(pattern, serve)
}

// page registers a page that asks for a role. What it changes is noted under the name of
// whoever is signed in.
func (d *Dashboard) page(pattern string, need role, serve func(http.ResponseWriter, *http.Request, visit) error) {
	d.table = append(d.table, route{pattern, need})
	d.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		user, err := d.SignedIn(r)
		if errors.Is(err, inventory.ErrUnauthorized) {
			d.askToSignIn(w, r)
			return
		}
		v := visit{user: user, role: roleOf(user.Role), at: d.Now()}
		if err == nil && v.role < need {
			err = inventory.Errorf(inventory.ErrForbidden, "your role (%s) does not reach this", user.Role).
				WithRemedy("ask an administrator")
		}
		actor := &inventory.Actor{Name: user.Name, Via: inventory.ViaSession, Address: visitor(r).Address}
		r = r.WithContext(inventory.WithActor(r.Context(), actor))
		answer := &answer{ResponseWriter: w}
		if err == nil {
			err = serve(answer, r, v)
		}
		if err != nil {
			d.fail(w, r, v, err)
			return
		}
		if r.Method != http.MethodGet && need >= editor && answer.status < http.StatusBadRequest && !actor.Noted() {
			d.note(r)
		}
	})
}

// answer remembers how a request was answered.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// note puts into the log of changes that a form was sent which changed nothing that is
// noted elsewhere, as a test of a connection does.
func (d *Dashboard) note(r *http.Request) {
	if err := d.Accounts.Audit(r.Context(), r.Pattern, r.PathValue("name"), nil); err != nil {
		d.Log.ErrorContext(r.Context(), "change not noted", slog.String("route", r.Pattern), slog.Any("error", err))
	}
}

// frame is what every page has around its content.
type frame struct {
	Title   string
	Menu    string // which entry of the menu is current
	Tab     string // which page of the settings is
	User    inventory.User
	Editor  bool
	Admin   bool
	Strip   *strip
	Theme   string
	Here    string // path and query, to come back to
	Search  string
	Version string
	Now     time.Time
	Refresh int // seconds after which a page without script asks again; 0 = it does not
}

type view struct {
	Frame frame
	Page  any
}

// show renders a page whole before the first byte is sent.
func (d *Dashboard) show(w http.ResponseWriter, r *http.Request, v visit, status int, name string, f frame, page any) error {
	f.User, f.Editor, f.Admin = v.user, v.role >= editor, v.role >= admin
	f.Theme, f.Version, f.Now = theme(r), d.Version, v.at
	f.Here = r.URL.RequestURI()
	if v.user.Name != "" {
		s, err := d.strip(r.Context())
		if err != nil {
			// The page can be shown without the strip; the strip says that it is missing.
			d.Log.ErrorContext(r.Context(), "state of knowledge not read", slog.Any("error", err))
		}
		f.Strip = s
	}
	var body bytes.Buffer
	if err := d.pages[name].ExecuteTemplate(&body, "layout", view{f, page}); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
	return nil
}

type errorPage struct {
	Status  int
	Message string
	Remedy  string
}

// fail shows what went wrong. Errors that are not for people go to the log alone.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, v visit, err error) {
	if r.Context().Err() != nil {
		return
	}
	p := errorPage{Status: http.StatusInternalServerError, Message: "Something went wrong here.", Remedy: "The log of the server says what."}
	var told *inventory.Error
	for kind, status := range map[error]int{
		inventory.ErrNotFound: http.StatusNotFound, inventory.ErrForbidden: http.StatusForbidden,
		inventory.ErrInvalid: http.StatusBadRequest, inventory.ErrConflict: http.StatusConflict,
		inventory.ErrUnsupported: http.StatusUnprocessableEntity, inventory.ErrUnavailable: http.StatusServiceUnavailable,
	} {
		if errors.Is(err, kind) && errors.As(err, &told) {
			p = errorPage{Status: status, Message: told.Msg, Remedy: told.Remedy}
		}
	}
	if p.Message == "Something went wrong here." && errors.Is(err, inventory.ErrNotFound) {
		p = errorPage{Status: http.StatusNotFound, Message: "There is no such thing here."}
	}
	if p.Status >= http.StatusInternalServerError {
		d.Log.ErrorContext(r.Context(), "page failed", slog.String("route", r.Pattern), slog.Any("error", err))
	}
	title := "Not found"
	if p.Status != http.StatusNotFound {
		title = "This did not work"
	}
	if err := d.show(w, r, v, p.Status, "error", frame{Title: title}, p); err != nil {
		d.Log.ErrorContext(r.Context(), "error page failed", slog.Any("error", err))
		http.Error(w, p.Message, http.StatusInternalServerError)
	}
}

// to sends the browser to another page of ours.
func (d *Dashboard) to(w http.ResponseWriter, r *http.Request, target string) error {
	http.Redirect(w, r, d.Base+target, http.StatusSeeOther)
	return nil
}

const themeCookie = "tallyman_theme"

func theme(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || (c.Value != "light" && c.Value != "dark") {
		return ""
	}
	return c.Value
}

// setTheme keeps light, dark, or what the system says, in a cookie of the browser.
func (d *Dashboard) setTheme(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	value := r.PostFormValue("theme")
	c := &http.Cookie{Name: themeCookie, Path: d.Base + "/", Value: value, MaxAge: 365 * 86400, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure(r)}
	if value != "light" && value != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	http.SetCookie(w, c)
	_ = d.to(w, r, localPath(r.PostFormValue("here")))
}

// parse reads every template: each page is the layout, the parts and itself.
func (d *Dashboard) parse() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(d.words()).ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		own, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		if pages[strings.TrimSuffix(path.Base(name), ".html")], err = own.ParseFS(templateFiles, name); err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
	}
	return pages, nil
}
