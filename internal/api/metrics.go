package api

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// JobCounter counts the jobs of the queue by kind.
type JobCounter interface {
	Counts(ctx context.Context) ([]inventory.JobCount, error)
}

// serveMetrics answers what monitoring asks, in the text form of Prometheus. It says no
// more than `status` does.
func (a *API) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	st, err := a.store.Status(r.Context())
	if err != nil {
		return err
	}
	var jobs []inventory.JobCount
	if a.jobs != nil {
		if jobs, err = a.jobs.Counts(r.Context()); err != nil {
			return err
		}
	}
	var m metrics
	m.coverage(st)
	m.queue(jobs)
	m.feeds(st.Advisories)
	m.family("tallyman_build_info", "gauge", "The version that runs.")
	m.sample("tallyman_build_info", 1, "version", a.version.Version, "go", a.version.Go)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(m.text.Bytes())
	return err
}

// metrics is a page in the making.
type metrics struct{ text bytes.Buffer }

// family begins a metric; its samples follow.
func (m *metrics) family(name, kind, help string) {
	fmt.Fprintf(&m.text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample is one value with its labels, name and value in turn.
func (m *metrics) sample(name string, value float64, labels ...string) {
	m.text.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(&m.text, `%s%s="%s"`, sep, labels[i], escapeLabel(labels[i+1]))
	}
	if len(labels) > 0 {
		m.text.WriteByte('}')
	}
	m.text.WriteByte(' ')
	m.text.WriteString(strconv.FormatFloat(value, 'f', -1, 64))
	m.text.WriteByte('\n')
}

func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}

// coverage is the ledger of each integration.
func (m *metrics) coverage(st inventory.Status) {
	all := st.Integrations
	m.family("tallyman_integration_up", "gauge", "1 while everything of an integration can be read, 0 otherwise.")
	for _, in := range all {
		m.sample("tallyman_integration_up", one(in.State == inventory.IntegrationConnected), "integration", in.Name, "state", in.State)
	}
	m.family("tallyman_tags", "gauge", "Tags by what became of them; analysed, failed, unsupported and waiting are all that are seen.")
	for _, in := range all {
		for _, part := range []struct {
			state string
			n     int
		}{
			{inventory.StateAnalysed, in.Analysed},
			{inventory.StateFailed, in.Failed},
			{inventory.StateUnsupported, in.Unsupported},
			{inventory.StateWaiting, in.Waiting},
			{"not_selected", in.NotSelected},
			{"gone", in.Gone},
		} {
			m.sample("tallyman_tags", float64(part.n), "integration", in.Name, "state", part.state)
		}
	}
	m.family("tallyman_lag_seconds", "gauge", "Time from a push to its analysis.")
	for _, in := range all {
		m.optional("tallyman_lag_seconds", in.LagP50, 1000, "integration", in.Name, "quantile", "0.5")
		m.optional("tallyman_lag_seconds", in.LagP95, 1000, "integration", in.Name, "quantile", "0.95")
	}
	m.family("tallyman_last_look_timestamp_seconds", "gauge", "The registry's time of the last look that was recorded.")
	for _, in := range all {
		m.moment("tallyman_last_look_timestamp_seconds", in.LastPoll, "integration", in.Name, "kind", "poll")
		m.moment("tallyman_last_look_timestamp_seconds", in.LastReconcile, "integration", in.Name, "kind", "reconcile")
	}
	m.family("tallyman_registry_requests_total", "counter", "Requests to a registry by class.")
	for _, in := range all {
		for _, class := range slices.Sorted(maps.Keys(in.Requests)) {
			m.sample("tallyman_registry_requests_total", float64(in.Requests[class]), "integration", in.Name, "class", class)
		}
	}
	m.family("tallyman_layer_bytes_total", "counter", "Bytes of layers that were downloaded.")
	for _, in := range all {
		m.sample("tallyman_layer_bytes_total", float64(in.LayerBytes), "integration", in.Name)
	}
	m.family("tallyman_layers_read_total", "counter", "Layers that were downloaded.")
	for _, in := range all {
		m.sample("tallyman_layers_read_total", float64(in.LayersRead), "integration", in.Name)
	}
}

// queue is what waits to be done.
func (m *metrics) queue(jobs []inventory.JobCount) {
	m.family("tallyman_jobs", "gauge", "Jobs of the queue by kind and state.")
	for _, j := range jobs {
		for _, part := range []struct {
			state string
			n     int
		}{{"waiting", j.Waiting}, {"planned", j.Planned}, {"running", j.Running}, {"retrying", j.Retrying}, {"failed", j.Failed}} {
			m.sample("tallyman_jobs", float64(part.n), "kind", j.Kind, "state", part.state)
		}
	}
}

// feeds is how old what is known of flaws is.
func (m *metrics) feeds(a inventory.AdvisoryStatus) {
	m.family("tallyman_advisories", "gauge", "Advisories that images are matched with.")
	m.sample("tallyman_advisories", float64(a.Records))
	m.family("tallyman_advisories_age_seconds", "gauge", "Time since advisories last came in.")
	m.optional("tallyman_advisories_age_seconds", a.AgeS, 1)
	m.family("tallyman_feed_age_seconds", "gauge", "Time since a feed was last taken in.")
	for _, f := range a.Feeds {
		m.optional("tallyman_feed_age_seconds", f.AgeS, 1, "feed", f.Name)
	}
	m.family("tallyman_feed_stale", "gauge", "1 for a feed that is older than it should be.")
	for _, f := range a.Feeds {
		m.sample("tallyman_feed_stale", one(f.Stale), "feed", f.Name)
	}
}

// optional leaves out what is not known.
func (m *metrics) optional(name string, value *int64, per float64, labels ...string) {
	if value != nil {
		m.sample(name, float64(*value)/per, labels...)
	}
}

func (m *metrics) moment(name string, at *time.Time, labels ...string) {
	if at != nil {
		m.sample(name, float64(at.Unix()), labels...)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
