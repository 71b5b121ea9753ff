package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Excepter keeps decisions that findings do not count.
type Excepter interface {
	Exceptions(ctx context.Context) ([]inventory.Exception, error)
	AddExceptions(ctx context.Context, change inventory.ExceptionChange) (inventory.ExceptionResult, error)
	RemoveException(ctx context.Context, id int64) error
}

type exceptionsPage struct {
	Rows           []exceptionRow
	Total          int
	Form           exceptionForm
	Statuses       []choice
	Justifications []choice
	Hides          *inventory.Hides // of what is typed
	Problem        string
	Remedy         string
	Told           string
}

type exceptionRow struct {
	inventory.Exception
	Flaw string // address of the flaw
	In   string // where it holds, in words
	Says string
}

// exceptionForm is what somebody typed.
type exceptionForm struct {
	inventory.Exception
	Where string // all, repository or image
	Until string // a date; "" = for ever
}

// exceptionsShown keeps the page small.
const exceptionsShown = 150

func (d *Dashboard) exceptions(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	p := exceptionsPage{Form: exceptionForm{Where: "repository", Until: v.at.AddDate(0, 3, 0).Format(time.DateOnly)}}
	p.Form.CVE, p.Form.Package, p.Form.Repository = q.Get("cve"), q.Get("package"), q.Get("repository")
	p.Form.Status = inventory.VEXNotAffected
	p.Told = map[string]string{
		"saved":   "The exception holds. Counts follow within seconds.",
		"removed": "The exception is removed: what it hid counts again.",
	}[q.Get("done")]
	return d.showExceptions(w, r, v, http.StatusOK, p)
}

func (d *Dashboard) showExceptions(w http.ResponseWriter, r *http.Request, v visit, status int, p exceptionsPage) error {
	all, err := d.Exceptions.Exceptions(r.Context())
	if err != nil {
		return err
	}
	slices.Reverse(all) // the newest first
	p.Total = len(all)
	for _, e := range all[:min(len(all), exceptionsShown)] {
		row := exceptionRow{Exception: e, In: exceptionWhere(e), Says: strings.ReplaceAll(e.Status, "_", " ")}
		if e.CVE != "" {
			row.Flaw = d.vulnerabilityLink(e.CVE)
		}
		if e.Status == inventory.VEXAffected {
			row.Says = "risk accepted"
		}
		p.Rows = append(p.Rows, row)
	}
	for _, s := range []choice{{Word: "Not affected", Link: inventory.VEXNotAffected}, {Word: "Fixed by a patch that versions do not show", Link: inventory.VEXFixed}, {Word: "Affected, the risk is accepted", Link: inventory.VEXAffected}} {
		s.On = s.Link == p.Form.Status
		p.Statuses = append(p.Statuses, s)
	}
	for _, j := range inventory.VEXJustifications {
		p.Justifications = append(p.Justifications, choice{Word: strings.ReplaceAll(j, "_", " "), Link: j, On: j == p.Form.Justification})
	}
	return d.show(w, r, v, status, "exceptions", frame{Title: "Exceptions", Menu: "settings", Tab: "exceptions"}, p)
}

func exceptionWhere(e inventory.Exception) string {
	switch {
	case e.Image != "":
		return "image " + shortDigest(e.Image)
	case e.Repository != "":
		return "in " + e.Repository
	}
	return "everywhere"
}

func readException(w http.ResponseWriter, r *http.Request) (exceptionForm, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return exceptionForm{}, inventory.Errorf(inventory.ErrInvalid, "the form could not be read")
	}
	get := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f := exceptionForm{Where: get("where"), Until: get("until")}
	f.CVE, f.Package, f.Status, f.Justification, f.Reason = get("cve"), get("package"), get("status"), get("justification"), get("reason")
	f.Repository, f.Image = get("repository"), get("image")
	return f, nil
}

// exception is the form as it is meant: only the place that was chosen counts.
func (f exceptionForm) exception(author string) (inventory.Exception, error) {
	e := f.Exception
	e.Author, e.All = author, f.Where == "all"
	if f.Where != "repository" {
		e.Repository = ""
	}
	if f.Where != "image" {
		e.Image = ""
	}
	if e.Status != inventory.VEXNotAffected {
		e.Justification = ""
	}
	if f.Until == "" {
		return e, nil
	}
	day, err := time.Parse(time.DateOnly, f.Until)
	if err != nil {
		return e, inventory.Errorf(inventory.ErrInvalid, "the last day is no date").WithRemedy("write it as 2026-12-31")
	}
	end := day.Add(24*time.Hour - time.Second)
	e.Expires = &end
	return e, nil
}

// except tells what an exception would hide, or saves it.
func (d *Dashboard) except(w http.ResponseWriter, r *http.Request, v visit) error {
	f, err := readException(w, r)
	if err != nil {
		return err
	}
	p := exceptionsPage{Form: f}
	save := r.PostForm.Get("act") == "save"
	e, err := f.exception(v.user.Name)
	var came inventory.ExceptionResult
	if err == nil {
		came, err = d.Exceptions.AddExceptions(r.Context(), inventory.ExceptionChange{Exceptions: []inventory.Exception{e}, DryRun: !save})
	}
	var told *inventory.Error
	switch {
	case errors.As(err, &told) && !errors.Is(err, inventory.ErrUnavailable):
		p.Problem, p.Remedy = told.Msg, told.Remedy
		return d.showExceptions(w, r, v, http.StatusUnprocessableEntity, p)
	case err != nil:
		return err
	case save:
		return d.to(w, r, "/exceptions?"+url.Values{"done": {"saved"}}.Encode())
	}
	p.Hides = &came.Hides
	return d.showExceptions(w, r, v, http.StatusOK, p)
}

func (d *Dashboard) removeException(w http.ResponseWriter, r *http.Request, _ visit) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return inventory.Errorf(inventory.ErrNotFound, "there is no such exception")
	}
	if err := d.Exceptions.RemoveException(r.Context(), id); err != nil {
		return err
	}
	return d.to(w, r, "/exceptions?done=removed")
}
