package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// card is one integration as its card shows it.
type card struct {
	inventory.Integration
	Status  inventory.IntegrationStatus
	Bar     bar
	Off     bool
	Waiting bool // no look has ended yet
	Lag     string
	Sync    any // the newest time of a look
	Read    int // keys that can be read
	Edit    string
	Images  string
	// Progress leads to the discovery while tags wait.
	Progress string
}

type integrationsPage struct {
	Cards []card
	Done  string // what was just done, in words
}

func (d *Dashboard) cards(list []inventory.Integration, st inventory.Status) []card {
	byName := map[string]inventory.IntegrationStatus{}
	for _, s := range st.Integrations {
		byName[s.Name] = s
	}
	out := make([]card, 0, len(list))
	for _, in := range list {
		s := byName[in.Name]
		c := card{
			Integration: in, Status: s, Bar: coverageBar(s.Tally), Off: in.State == inventory.IntegrationDisconnected,
			Edit: d.Base + "/integrations/" + url.PathEscape(in.Name), Images: d.Base + "/images?by=tag&integration=" + url.QueryEscape(in.Name),
		}
		if s.LagP95 != nil {
			c.Lag = lag(*s.LagP95)
		}
		last := in.LastPoll
		if in.LastReconcile != nil && (last == nil || in.LastReconcile.After(*last)) {
			last = in.LastReconcile
		}
		c.Sync = last
		c.Waiting = last == nil && in.State == inventory.IntegrationConnected
		for _, k := range in.Keys {
			if k.OK {
				c.Read++
			}
		}
		if c.Waiting || s.Waiting > 0 {
			c.Progress = c.Edit + "/progress"
		}
		if c.Off {
			c.Bar = layBar([]part{{Class: "x-uns", Word: "tags kept, not counted in coverage", Count: s.Gone + s.TagsSeen}})
		}
		out = append(out, c)
	}
	return out
}

func (d *Dashboard) integrations(w http.ResponseWriter, r *http.Request, v visit) error {
	list, err := d.Hub.List(r.Context())
	if err != nil {
		return fmt.Errorf("integrations: %w", err)
	}
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	p := integrationsPage{Cards: d.cards(list, st), Done: doneWords(r.URL.Query())}
	return d.show(w, r, v, http.StatusOK, "integrations", frame{Title: "Integrations", Menu: "integrations"}, p)
}

// doneWords turns the address after an act into a sentence.
func doneWords(q url.Values) string {
	name := q.Get("name")
	switch q.Get("done") {
	case "saved":
		return name + " is saved."
	case "paused":
		return name + " is paused. New pushes are not seen until it resumes; then nothing is missed."
	case "resumed":
		return name + " is looked at again."
	case "disconnected":
		return name + " is disconnected. Its credentials are erased, its data is kept."
	case "deleted":
		return name + " and its data are deleted."
	}
	return ""
}

func (d *Dashboard) toIntegrations(w http.ResponseWriter, r *http.Request, done, name string) error {
	return d.to(w, r, "/integrations?"+url.Values{"done": {done}, "name": {name}}.Encode())
}

func (d *Dashboard) pause(w http.ResponseWriter, r *http.Request, _ visit) error {
	in, err := d.Hub.Pause(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return d.toIntegrations(w, r, "paused", in.Name)
}

func (d *Dashboard) resume(w http.ResponseWriter, r *http.Request, _ visit) error {
	in, err := d.Hub.Resume(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return d.toIntegrations(w, r, "resumed", in.Name)
}

// confirmPage asks before something that cannot be taken back.
type confirmPage struct {
	Delete  bool
	Card    card
	Problem string
}

func (d *Dashboard) confirm(w http.ResponseWriter, r *http.Request, v visit, status int, p confirmPage) error {
	in, err := d.Hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	p.Card = d.cards([]inventory.Integration{in}, st)[0]
	verb := "Disconnect "
	if p.Delete {
		verb = "Delete "
	}
	return d.show(w, r, v, status, "confirm", frame{Title: verb + in.Name, Menu: "integrations"}, p)
}

func (d *Dashboard) disconnectPage(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.confirm(w, r, v, http.StatusOK, confirmPage{})
}

func (d *Dashboard) disconnect(w http.ResponseWriter, r *http.Request, _ visit) error {
	in, err := d.Hub.Disconnect(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return d.toIntegrations(w, r, "disconnected", in.Name)
}

func (d *Dashboard) deletePage(w http.ResponseWriter, r *http.Request, v visit) error {
	return d.confirm(w, r, v, http.StatusOK, confirmPage{Delete: true})
}

// delete wants the name typed: the data of years is a click away from here.
func (d *Dashboard) delete(w http.ResponseWriter, r *http.Request, v visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name := r.PathValue("name")
	if strings.TrimSpace(r.PostFormValue("name")) != name {
		return d.confirm(w, r, v, http.StatusUnprocessableEntity, confirmPage{Delete: true, Problem: "Type the name exactly as it is written above."})
	}
	if err := d.Hub.Delete(r.Context(), name); err != nil {
		return err
	}
	return d.toIntegrations(w, r, "deleted", name)
}
