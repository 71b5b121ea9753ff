package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// serving runs serve until the test ends; the function answers what advisories it knows.
func (p *program) serving(t *testing.T, args ...string) (advisories func() inventory.AdvisoryStatus) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		env := func(name string) (string, bool) { v, ok := p.env[name]; return v, ok }
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)
		done <- run(ctx, args, env, strings.NewReader(""), &strings.Builder{}, &strings.Builder{})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-done; code != 0 {
			t.Errorf("serve ended with %d", code)
		}
	})
	return func() (st inventory.AdvisoryStatus) {
		if err := json.Unmarshal([]byte(p.run("", "advisories", "status", "--format", "json").stdout), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
}

// watched is a program whose store holds one image with a Debian package.
func watched(t *testing.T) *program {
	t.Helper()
	srv, _ := registryOf(t)
	p := newProgram(t)
	p.env["DOCKER_SCOUT_ARTIFACTORY_API_USER"], p.env["DOCKER_SCOUT_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"
	push(t, srv, "app", "1")
	p.run("", "watch", "--registry", spec(srv), "--once", "--all-images").want(t, 0)
	p.env["TALLYMAN_ADVISORIES_EVERY"] = "1h"
	p.env["TALLYMAN_ADVISORIES_KEV"], p.env["TALLYMAN_ADVISORIES_EPSS"] = "off", "off"
	return p
}

func feedNamed(st inventory.AdvisoryStatus, name string) inventory.Feed {
	for _, f := range st.Feeds {
		if f.Name == name {
			return f
		}
	}
	return inventory.Feed{}
}

func awaitFeed(t *testing.T, advisories func() inventory.AdvisoryStatus, status string) inventory.Feed {
	t.Helper()
	for range 600 {
		if f := feedNamed(advisories(), "osv/Debian"); f.Status == status && (f.Problem != "" || !f.Synced.IsZero()) {
			return f
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the feed did not become %s: %+v", status, advisories())
	return inventory.Feed{}
}

// TestServeSynchronises: nobody asks for the feeds of what the inventory holds.
func TestServeSynchronises(t *testing.T) {
	p := watched(t)
	p.env["TALLYMAN_ADVISORIES_URL"] = bucket(t)
	f := awaitFeed(t, p.serving(t), inventory.FeedFull)
	if *f.Records == 0 || f.Stale || f.Problem != "" || f.AgeS == nil || f.Tried == nil {
		t.Errorf("feed %+v", f)
	}
}

// TestServeWithoutNetwork: a source that cannot be reached is told at its feed, with
// what to do, and breaks nothing.
func TestServeWithoutNetwork(t *testing.T) {
	p := watched(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	p.env["TALLYMAN_ADVISORIES_URL"] = gone.URL
	advisories := p.serving(t)
	f := awaitFeed(t, advisories, inventory.FeedFailed)
	if !f.Stale || f.Remedy == "" || !strings.Contains(f.Problem, gone.URL) {
		t.Errorf("feed %+v", f)
	}
	if st := advisories(); !st.Stale || st.AgeS != nil {
		t.Errorf("status %+v", st)
	}
	p.run("", "advisories", "status").want(t, 0)
	p.run("", "status").want(t, 0)
}

// TestFeedsThatAreDue: what fails is tried sooner, what came is let be.
func TestFeedsThatAreDue(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	for _, tc := range []struct {
		name  string
		state inventory.FeedState
		want  bool
	}{
		{"never tried", inventory.FeedState{}, true},
		{"fresh", inventory.FeedState{Status: inventory.FeedFull, Tried: ago(time.Hour)}, false},
		{"its time has come", inventory.FeedState{Status: inventory.FeedUnchanged, Tried: ago(6 * time.Hour)}, true},
		{"failed just now", inventory.FeedState{Status: inventory.FeedFailed, Tried: ago(time.Minute)}, false},
		{"failed a while ago", inventory.FeedState{Status: inventory.FeedFailed, Tried: ago(time.Hour)}, true},
		{"not there", inventory.FeedState{Status: inventory.FeedAbsent, Tried: ago(time.Hour)}, false},
		{"held back", inventory.FeedState{Status: inventory.FeedHeld, Tried: ago(time.Hour)}, false},
	} {
		if got := (feeding{every: 6 * time.Hour}).late(tc.state, now); got != tc.want {
			t.Errorf("%s: due %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestImagesBeforeAdvisories: unknown is absent, and never zero.
func TestImagesBeforeAdvisories(t *testing.T) {
	p := watched(t)
	findings := func() (out []map[string]any) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.run("", "images", "--format", "json").stdout), &out); err != nil || len(out) != 1 {
			t.Fatalf("%v %v", out, err)
		}
		return out
	}
	if row := findings()[0]; row["state"] != "analysed" || row["findings"] != nil {
		t.Errorf("nothing is known, and it says %v", row["findings"])
	}
	dir := t.TempDir()
	write := func(name, ecosystem string) {
		t.Helper()
		record := `{"id":"` + name + `","modified":"2024-01-02T03:04:05Z","affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"nobody-has-it"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		p.run("", "advisories", "import", filepath.Join(dir, name+".json")).want(t, 0)
	}
	write("X-1", "Debian:11")
	if row := findings()[0]; row["findings"] != nil {
		t.Errorf("nothing is known of Debian 12, and it says %v", row["findings"])
	}
	p.run("", "images").want(t, 0)
	write("X-2", "Debian:12")
	if row := findings()[0]; row["findings"] == nil {
		t.Error("what is known is not said")
	}
}
