package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// testTime bounds how long somebody waits for Test Connection.
const testTime = 45 * time.Second

// formPage is the form of an integration, new or saved, with the result of a test.
type formPage struct {
	New      bool
	Saved    inventory.Integration
	Form     integrationForm
	Problem  string // why the form was not taken
	Remedy   string
	Result   *inventory.TestResult
	Took     string
	Tested   time.Time
	Readable int
	Action   string
	Hook     hookPanel
	BadKeys  map[string]bool
}

func (d *Dashboard) connectPage(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.showForm(w, r, v, http.StatusOK, formPage{New: true, Form: integrationForm{Kind: inventory.KindArtifactory}})
}

// connect tests or saves a new integration.
func (d *Dashboard) connect(w http.ResponseWriter, r *http.Request, v visit) error {
	f, err := d.readForm(w, r, v.user.Name)
	if err != nil {
		return err
	}
	p := formPage{New: true, Form: f}
	if err := mayNameFile(v, inventory.Integration{}, f); err != nil {
		return d.refuse(w, r, v, p, err)
	}
	if r.PostForm.Get("act") == "test" {
		return d.tryForm(w, r, v, p, "")
	}
	in, err := d.Hub.Add(r.Context(), f.change())
	if err != nil {
		return d.refuse(w, r, v, p, err)
	}
	return d.toProgress(w, r, in.Name, shortSecret(f.webhook) != "")
}

func (d *Dashboard) editPage(w http.ResponseWriter, r *http.Request, v visit) error {
	in, err := d.Hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return d.showForm(w, r, v, http.StatusOK, formPage{Saved: in, Form: formOf(in)})
}

// edit tests or saves a change of an integration.
func (d *Dashboard) edit(w http.ResponseWriter, r *http.Request, v visit) error {
	in, err := d.Hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	f, err := d.readForm(w, r, v.user.Name)
	if err != nil {
		return err
	}
	f.Name, f.Kind = in.Name, in.Kind
	if v.role < admin {
		f.CAFile = in.CAFile
	}
	p := formPage{Saved: in, Form: f}
	if r.PostForm.Get("act") == "test" {
		return d.tryForm(w, r, v, p, in.Name)
	}
	if _, err := d.Hub.Update(r.Context(), in.Name, f.change()); err != nil {
		return d.refuse(w, r, v, p, err)
	}
	return d.toIntegrations(w, r, "saved", in.Name)
}

// testCard tests a saved integration as it is.
func (d *Dashboard) testCard(w http.ResponseWriter, r *http.Request, v visit) error {
	ctx, cancel := context.WithTimeout(r.Context(), testTime)
	defer cancel()
	started := time.Now()
	result, err := d.Hub.TestSaved(ctx, r.PathValue("name"))
	if err != nil {
		return err
	}
	in, err := d.Hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	p := formPage{Saved: in, Form: formOf(in)}
	p.tested(result, started, v.at)
	return d.showForm(w, r, v, http.StatusOK, p)
}

// tryForm tests what is in the form and shows the form again with the result. What was
// typed stays; the secret is kept aside for the next step.
func (d *Dashboard) tryForm(w http.ResponseWriter, r *http.Request, v visit, p formPage, saved string) error {
	ctx, cancel := context.WithTimeout(r.Context(), testTime)
	defer cancel()
	started := time.Now()
	result, err := d.Hub.Test(ctx, inventory.ConnectionTest{IntegrationChange: p.Form.change(), Saved: saved})
	if err != nil {
		return d.refuse(w, r, v, p, err)
	}
	if err := d.Accounts.Audit(r.Context(), "connection tested", originOf(p.Form.URL), map[string]bool{"ok": result.OK}); err != nil {
		return err
	}
	p.Form.Draft = d.drafts.keep(p.Form.change().Secret, v.user.Name, v.at)
	p.tested(result, started, v.at)
	return d.showForm(w, r, v, http.StatusOK, p)
}

func (p *formPage) tested(result inventory.TestResult, started, at time.Time) {
	p.Result, p.Tested = &result, at
	p.Took = fmt.Sprintf("%.1f s", time.Since(started).Seconds())
	p.BadKeys = map[string]bool{}
	for _, k := range result.Repositories {
		if k.OK {
			p.Readable++
		} else {
			p.BadKeys[k.Key] = true
		}
	}
}

// refuse shows the form again with the reason, when the reason is for people.
func (d *Dashboard) refuse(w http.ResponseWriter, r *http.Request, v visit, p formPage, err error) error {
	var told *inventory.Error
	if !errors.As(err, &told) {
		return err
	}
	p.Form.Draft = d.drafts.keep(p.Form.change().Secret, v.user.Name, v.at)
	p.Problem, p.Remedy = told.Msg, told.Remedy
	return d.showForm(w, r, v, http.StatusUnprocessableEntity, p)
}

func (d *Dashboard) showForm(w http.ResponseWriter, r *http.Request, v visit, status int, p formPage) error {
	title := "Connect a registry"
	p.Action = d.Base + "/connect"
	if !p.New {
		title = "Edit " + p.Saved.Name
		p.Action = d.Base + "/integrations/" + url.PathEscape(p.Saved.Name)
		p.Hook.Set = p.Saved.HookSecret
		p.Hook.URL = d.hookURL(r, p.Saved.Name)
		secret := p.Hook.Secret
		if secret == "" {
			secret = "THE SECRET"
		}
		p.Hook.JSON, p.Hook.Where = subscription(p.Saved, p.Hook.URL, secret), subscriptionsOf(p.Saved)
	}
	return d.show(w, r, v, status, "integration", frame{Title: title, Menu: "integrations"}, p)
}

// mayNameFile lets only an administrator choose a file on the server.
func mayNameFile(v visit, saved inventory.Integration, f integrationForm) error {
	if v.role >= admin || f.CAFile == saved.CAFile {
		return nil
	}
	return inventory.Errorf(inventory.ErrForbidden, "a CA file is a file on the server: only an administrator may name one")
}
