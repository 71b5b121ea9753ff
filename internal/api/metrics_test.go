package api_test

import (
	"context"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// measured is a ledger whose status says something.
type measured struct{ *ledger }

func (measured) Status(context.Context) (inventory.Status, error) {
	lag, age, at := int64(1500), int64(60), time.Unix(1_790_000_000, 0).UTC()
	return inventory.Status{
		Integrations: []inventory.IntegrationStatus{{
			Name: `odd "name"`, State: inventory.IntegrationDegraded, LagP95: &lag, LastPoll: &at,
			Tally: inventory.Tally{TagsSeen: 12, Analysed: 7, Failed: 1, Unsupported: 1, Waiting: 3, Requests: map[string]int64{"aql": 5}, LayerBytes: 1 << 40},
		}},
		Advisories: inventory.AdvisoryStatus{Records: 3, AgeS: &age, Feeds: []inventory.Feed{{Name: "kev", AgeS: &age, Stale: true}}},
	}, nil
}

type jobCounts []inventory.JobCount

func (c jobCounts) Counts(context.Context) ([]inventory.JobCount, error) { return c, nil }

func TestMetrics(t *testing.T) {
	o := newLedger().options(t)
	o.Store = measured{newLedger()}
	o.Jobs = jobCounts{{Kind: "index", Waiting: 4}}
	srv := httptest.NewServer(api.New(o))
	defer srv.Close()
	for token, want := range map[string]int{"": 401, "ingest-token": 403, "nonsense": 401} {
		if status, _, body := call(t, srv, caller{token: token}, "GET", "/metrics", ""); status != want || strings.Contains(body, "tallyman_") {
			t.Errorf("token %q: %d %s", token, status, body)
		}
	}
	status, header, body := call(t, srv, caller{token: "read-token"}, "GET", "/metrics", "")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v", status, header)
	}
	for _, line := range []string{
		`tallyman_integration_up{integration="odd \"name\"",state="degraded"} 0`,
		`tallyman_tags{integration="odd \"name\"",state="waiting"} 3`,
		`tallyman_lag_seconds{integration="odd \"name\"",quantile="0.95"} 1.5`,
		`tallyman_last_look_timestamp_seconds{integration="odd \"name\"",kind="poll"} 1790000000`,
		`tallyman_registry_requests_total{integration="odd \"name\"",class="aql"} 5`,
		`tallyman_layer_bytes_total{integration="odd \"name\""} 1099511627776`,
		`tallyman_jobs{kind="index",state="waiting"} 4`,
		`tallyman_advisories_age_seconds 60`,
		`tallyman_feed_stale{feed="kev"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(body, `quantile="0.5"`) {
		t.Error("what is not known is told")
	}
	sample := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? -?[0-9.]+)$`)
	for line := range strings.Lines(body) {
		if !sample.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("not in the form of the exposition: %q", line)
		}
	}
}
