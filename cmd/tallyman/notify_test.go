package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestNotifyCommands adds, tries, shows, replays and removes a channel as people do.
func TestNotifyCommands(t *testing.T) {
	p := newProgram(t)
	var mu sync.Mutex
	var bodies []string
	status := http.StatusOK
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(body))
		w.WriteHeader(status)
	}))
	defer receiver.Close()
	address := receiver.URL + "/services/T0/B0/very-secret"

	p.run("", "notify", "add", "team").want(t, 1, "what kind of channel")
	p.run("", "notify", "add", "team", "--kind", "slack").want(t, 1, "URL of the channel")
	p.run(address, "notify", "add", "team", "--kind", "slack", "--url-stdin", "--on", "gossip").want(t, 1, "gossip", "integration_broken")
	p.run(address, "notify", "add", "team", "--kind", "slack", "--url-stdin").want(t, 0)
	p.run(address, "notify", "add", "team", "--kind", "slack", "--url-stdin").want(t, 1, "already", "--replace")
	p.run("", "notify", "add", "team", "--kind", "slack", "--replace", "--on", "new,kev", "--severity", "critical", "--repository", "docker-prod").want(t, 0)

	res := p.run("", "notify", "list")
	res.want(t, 0)
	for _, want := range []string{"team", "slack", "127.0.0.1", "new,kev ≥ critical in docker-prod"} {
		if !strings.Contains(res.stdout, want) {
			t.Errorf("the list lacks %q:\n%s", want, res.stdout)
		}
	}
	var channels []inventory.Channel
	if err := json.Unmarshal([]byte(p.run("", "notify", "list", "--format", "json").stdout), &channels); err != nil {
		t.Fatal(err)
	}
	if len(channels) != 1 || channels[0].Rules[0].Severity != inventory.Critical {
		t.Errorf("%+v", channels)
	}
	for _, args := range [][]string{{"notify", "list"}, {"notify", "list", "--format", "json"}, {"notify", "list", "team"}} {
		if out := p.run("", args...); strings.Contains(out.stdout+out.stderr, "very-secret") {
			t.Errorf("%v shows the address", args)
		}
	}
	p.run("", "notify", "preview", "team", "--event", "kev").want(t, 0)
	if len(bodies) != 0 {
		t.Error("a preview is sent")
	}
	p.run("", "notify", "test", "team").want(t, 0)
	if len(bodies) != 1 || !strings.Contains(bodies[0], `"blocks"`) {
		t.Errorf("%q", bodies)
	}
	status = http.StatusForbidden
	p.run("", "notify", "test", "team").want(t, 1, "answered 403", "make a new incoming webhook")
	p.run("", "notify", "replay").want(t, 1, "nothing is chosen")
	p.run("", "notify", "replay", "evt_0").want(t, 1, "no message")
	p.run("", "notify", "replay", "--channel", "team").want(t, 0)
	p.run("", "notify", "remove", "team").want(t, 0)
	p.run("", "notify", "remove", "team").want(t, 1, "no channel team")
}
