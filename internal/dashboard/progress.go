package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// How a first discovery stands.
const (
	phaseList = "list" // the registry is listed
	phaseRead = "read" // layers are read
	phaseDone = "done" // nothing waits
	phaseStop = "stop" // paused, disconnected, or nothing can be read
)

// progress is how far an integration is, in words that a page shows as they are; the
// names of the fields are those of the places that a script fills.
type progress struct {
	Phase  string `json:"phase"`
	Words  string `json:"words"`
	Tags   string `json:"tags"`
	Done   string `json:"done"`
	Share  string `json:"share"`
	Layers string `json:"layers"`
	Bytes  string `json:"bytes"`
	Rate   string `json:"rate"`
	Pace   string `json:"pace"` // tags a minute
	Left   string `json:"left"`
	Value  int    `json:"value"` // tags accounted for
	Max    int    `json:"max"`
}

// paces remembers what was counted when, to tell how fast it goes.
type paces struct {
	mu   sync.Mutex
	kept map[string][]sample
}

type sample struct {
	at    time.Time
	done  int
	bytes int64
}

// paceOver is how far back the rate looks.
const paceOver = 30 * time.Second

// note adds what is counted now, of every integration that is not through.
func (p *paces) note(at time.Time, st inventory.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[string][]sample{}
	}
	for _, in := range st.Integrations {
		if in.Waiting == 0 {
			delete(p.kept, in.Name)
			continue
		}
		list := p.kept[in.Name]
		for len(list) > 1 && at.Sub(list[0].at) > paceOver {
			list = list[1:]
		}
		p.kept[in.Name] = append(list, sample{at, in.TagsSeen - in.Waiting, in.LayerBytes})
	}
}

// since answers what was counted first of what is remembered.
func (p *paces) since(name string) (first sample, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.kept[name]
	if len(list) < 2 || list[len(list)-1].at.Sub(list[0].at) < 2*time.Second {
		return first, false
	}
	return list[0], true
}

// progressOf tells how far an integration is.
func (d *Dashboard) progressOf(in inventory.Integration, st inventory.IntegrationStatus) progress {
	done := st.TagsSeen - st.Waiting
	p := progress{
		Phase: phaseRead, Tags: number(st.TagsSeen), Done: number(done), Share: share(done, st.TagsSeen), Layers: number(st.LayersRead), Bytes: size(st.LayerBytes),
		Rate: "unknown", Pace: "unknown", Left: "unknown", Value: done, Max: max(st.TagsSeen, 1),
	}
	listed := in.LastReconcile != nil || in.LastPoll != nil
	switch {
	case in.State == inventory.IntegrationPaused, in.State == inventory.IntegrationDisconnected, in.State == inventory.IntegrationError:
		p.Phase, p.Words = phaseStop, "It does not go on: "+in.State+"."
	case !listed:
		p.Phase, p.Words = phaseList, "The registry is being listed; tags appear as they are found."
	case st.Waiting == 0:
		p.Phase, p.Words = phaseDone, fmt.Sprintf("%s accounted for, none waits.", some(st.TagsSeen, "tag", "tags"))
	default:
		p.Words = fmt.Sprintf("%s of %s accounted for; results appear as they come.", number(done), some(st.TagsSeen, "tag", "tags"))
	}
	if p.Phase == phaseRead {
		d.pace(&p, in, st, done)
	}
	return p
}

// pace fills in how fast it goes: over the last half minute, or since the beginning
// when nobody has looked on that long.
func (d *Dashboard) pace(p *progress, in inventory.Integration, st inventory.IntegrationStatus, done int) {
	now := time.Now()
	from, ok := d.tally.paces.since(in.Name)
	if !ok {
		if in.CreatedAt.IsZero() || now.Sub(in.CreatedAt) > 24*time.Hour {
			return
		}
		from = sample{at: in.CreatedAt}
	}
	took := now.Sub(from.at).Seconds()
	if took <= 0 {
		return
	}
	p.Rate = size(int64(float64(st.LayerBytes-from.bytes)/took)) + "/s"
	tags := float64(done-from.done) / took
	p.Pace = number(int(60*tags)) + " a minute"
	if tags > 0 {
		p.Left = "about " + span(time.Duration(float64(st.Waiting)/tags*float64(time.Second)))
	}
}

// progressPage is the first discovery of an integration, while it happens.
type progressPage struct {
	progress
	Card  card
	Live  string
	Told  string
	Short bool   // the webhook's secret is short
	Hook  string // where the webhook is set up
	Keys  []inventory.RepositoryKey
	Bad   int
}

func (d *Dashboard) progressNow(ctx context.Context, name string) (inventory.Integration, inventory.Status, progress, error) {
	in, err := d.Hub.Get(ctx, name)
	if err != nil {
		return in, inventory.Status{}, progress{}, err
	}
	st, _, err := d.status(ctx)
	if err != nil {
		return in, st, progress{}, err
	}
	var of inventory.IntegrationStatus
	for _, one := range st.Integrations {
		if one.Name == in.Name {
			of = one
		}
	}
	return in, st, d.progressOf(in, of), nil
}

func (d *Dashboard) discovery(w http.ResponseWriter, r *http.Request, v visit) error {
	in, st, now, err := d.progressNow(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	p := progressPage{progress: now, Card: d.cards([]inventory.Integration{in}, st)[0], Keys: in.Keys}
	p.Live = p.Card.Edit + "/progress/live"
	if in.Kind == inventory.KindArtifactory && !in.HookSecret && v.role >= editor {
		p.Hook = p.Card.Edit + "#h-w"
	}
	if r.URL.Query().Get("done") == "added" {
		p.Told = in.Name + " is connected."
		p.Short = r.URL.Query().Get("short") != ""
	}
	for _, k := range in.Keys {
		if !k.OK {
			p.Bad++
		}
	}
	f := frame{Title: "Discovery of " + in.Name, Menu: "integrations"}
	if now.Phase == phaseList || now.Phase == phaseRead {
		f.Refresh = 5
	}
	return d.show(w, r, v, http.StatusOK, "progress", f, p)
}

// progressLive streams how far an integration is, once a second, until it is through.
func (d *Dashboard) progressLive(w http.ResponseWriter, r *http.Request, _ visit) error {
	name := r.PathValue("name")
	if _, err := d.Hub.Get(r.Context(), name); err != nil {
		return err
	}
	return d.stream(w, r, func(ctx context.Context, last string) (message, now string, err error) {
		_, _, p, err := d.progressNow(ctx, name)
		if err != nil {
			return "", last, err
		}
		text, err := json.Marshal(p)
		if err != nil || string(text) == last {
			return "", last, err
		}
		return "event: progress\ndata: " + string(text) + "\n\n", string(text), nil
	})
}

// toProgress leads to the discovery of an integration that was just connected.
func (d *Dashboard) toProgress(w http.ResponseWriter, r *http.Request, name string, short bool) error {
	q := url.Values{"done": {"added"}}
	if short {
		q.Set("short", "1")
	}
	return d.to(w, r, "/integrations/"+url.PathEscape(name)+"/progress?"+q.Encode())
}
