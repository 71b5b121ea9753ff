package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// oldAgent is a program with the old agent's configuration in a directory of its own.
type oldAgent struct {
	*program
	dir, file string
}

// newOldAgent writes the configuration: one entry for each simulator.
func newOldAgent(t *testing.T, filters string, servers ...*artifactorytest.Server) oldAgent {
	t.Helper()
	p := newProgram(t)
	delete(p.env, "TALLYMAN_DATA")
	a := oldAgent{p, t.TempDir(), ""}
	var entries []string
	for _, srv := range servers {
		entries = append(entries, fmt.Sprintf(`{"base_url": %q, "username": "reader", "password": "hunter2", "image_filters": %s}`, srv.URL(), filters))
	}
	a.file = filepath.Join(a.dir, "config.json")
	text := `{"agent_id": "acme-prod-agent", "docker": {"organization_name": "acme", "username": "moby", "pat": "dckr_pat_secret"},
		"artifactory": [` + strings.Join(entries, ",") + `]}`
	if err := os.WriteFile(a.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Reading commands find the state where the agent put it.
	a.env["XDG_DATA_HOME"] = a.dir
	return a
}

func (a oldAgent) agent(args ...string) result {
	a.t.Helper()
	return a.run("", append([]string{"agent", "--agent-config", a.file}, args...)...)
}

func TestAgent(t *testing.T) {
	one, _ := registryOf(t)
	two, _ := registryOf(t)
	push(t, one, "internal/repo1", "1")
	a := newOldAgent(t, `[{"repository": "docker-local", "images": ["internal/repo1", "internal/repo2"]}]`, one, two)
	a.agent("--once").want(t, 0, "docker.pat is not used", "acme is only a label")
	a.wantStates(t, "the first start", map[string]string{})
	push(t, one, "internal/repo1", "2")
	push(t, one, "other", "1")
	push(t, two, "internal/repo2", "1")
	a.agent("--once").want(t, 0)
	want := map[string]string{"internal/repo1:2": "analysed", "internal/repo2:1": "analysed"}
	a.wantStates(t, "caught up", want)
	if strings.Contains(everyFile(t, a.dir+"/tallyman"), "dckr_pat") {
		t.Error("docker.pat was stored")
	}
	// The directory is mounted elsewhere, and the agent goes on where it was.
	moved := filepath.Join(t.TempDir(), "data")
	if err := os.Rename(a.dir, moved); err != nil {
		t.Fatal(err)
	}
	a.dir, a.file, a.env["XDG_DATA_HOME"] = moved, filepath.Join(moved, "config.json"), moved
	a.agent("--once").want(t, 0)
	a.wantStates(t, "moved", want)
}

func everyFile(t *testing.T, dir string) string {
	t.Helper()
	p := program{t: t, env: map[string]string{"TALLYMAN_DATA": dir}}
	all := everyByte(t, &p)
	if all == "" {
		t.Fatalf("nothing lies in %s", dir)
	}
	return all
}

func TestAgentRuns(t *testing.T) {
	srv, _ := registryOf(t)
	a := newOldAgent(t, `null`, srv)
	w := a.start(t, "agent", "--agent-config", a.file, "--interval", "1")
	w.says(t, "Ctrl-C ends it")
	a.agent().want(t, exitError, "already works on the data directory")
	// A repository that is new joins: without filters everything is watched.
	if err := srv.AddRepo(artifactorytest.Repo{Key: "docker-new"}); err != nil {
		t.Fatal(err)
	}
	push(t, srv, "app", "1")
	a.eventually(t, "pushed", map[string]string{"app:1": "analysed"})
	if r := w.stop(); r.code != 0 {
		t.Errorf("it ended with %d: %s", r.code, r.stderr)
	}
}

func TestAgentRefuses(t *testing.T) {
	srv, _ := registryOf(t)
	a := newOldAgent(t, `null`, srv)
	a.agent("--force").want(t, exitError, "--backfill-from")
	a.agent("--backfill-from", "yesterday").want(t, exitError, "ISO 8601")
	a.agent("--data", t.TempDir(), "--server", "https://tally.example").want(t, exitError, "no token for https://tally.example")
	a.run("", "agent").want(t, exitError, "/opt/artifactory-agent/data/config.json", fmt.Sprintf("uid %d", os.Getuid()), "--agent-config")
	a.run("", "agent", "--agent-config", a.dir).want(t, exitError, a.dir, "name a file")
	broken := filepath.Join(a.dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{\n\"agent_id\": }"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.run("", "agent", "--agent-config", broken).want(t, exitError, broken, "near line 2")
	// The state cannot be written: a file lies where its directory should be.
	if err := os.WriteFile(filepath.Join(a.dir, agentState), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.agent().want(t, exitError, filepath.Join(a.dir, agentState), fmt.Sprintf("uid %d", os.Getuid()), "chown", "--data")
	a.agent("--data", t.TempDir(), "--once").want(t, 0)
}

func TestBackfill(t *testing.T) {
	srv, _ := registryOf(t)
	clock := time.Now().UTC().Truncate(time.Second).Add(-100 * time.Hour)
	srv.SetClock(clock)
	push(t, srv, "old", "1")
	if err := srv.AddRepo(artifactorytest.Repo{Key: "docker-prod"}); err != nil {
		t.Fatal(err)
	}
	srv.Grant("reader", artifactorytest.Rule{Repo: "docker-prod"})
	srv.SetClock(clock.Add(48 * time.Hour))
	push(t, srv, "new", "1")
	move := artifactorytest.Move{FromRepo: "docker-local", Image: "old", Tag: "1", ToRepo: "docker-prod", Copy: true}
	if err := srv.Promote(move); err != nil {
		t.Fatal(err)
	}
	srv.Skew(0)
	a := newOldAgent(t, `null`, srv)
	from := clock.Add(24 * time.Hour).Format("2006-01-02T15:04:05")
	r := a.agent("--backfill-from=" + from)
	r.want(t, 0, "taken as UTC", from+"Z")
	if !strings.Contains(r.stdout, "2 tags pushed from "+from+"Z") {
		t.Errorf("stdout: %s", r.stdout)
	}
	want := map[string]string{"new:1": "analysed", "old:1": "analysed"} // the promoted one
	a.wantStates(t, "backfilled", want)

	reads := func(args ...string) int64 {
		t.Helper()
		srv.ResetCounts()
		a.agent(append([]string{"--backfill-from=" + from}, args...)...).want(t, 0)
		return srv.Counts()[artifactorytest.ClassManifestGet].Requests + srv.Counts()[artifactorytest.ClassLayer].Requests
	}
	if n := reads(); n != 0 {
		t.Errorf("a second time it read %d manifests and layers", n)
	}
	if n := reads("--force"); n < 4 {
		t.Errorf("with --force it read %d manifests and layers", n)
	}
	a.wantStates(t, "in the end", want)
	// From then on the agent catches up with what is new.
	push(t, srv, "later", "1")
	a.agent("--once").want(t, 0)
	want["later:1"] = "analysed"
	a.wantStates(t, "watching", want)
}

// TestBackfillUndecided: a registry that does not say when a copy was made.
func TestBackfillUndecided(t *testing.T) {
	srv, _ := registryOf(t)
	srv.Change(func(s *artifactorytest.Switches) { s.PropsModified = false })
	clock := time.Now().UTC().Truncate(time.Second).Add(-100 * time.Hour)
	srv.SetClock(clock)
	push(t, srv, "old", "1")
	srv.SetClock(clock.Add(48 * time.Hour))
	broken := smallImage(t, "0.broken")
	if err := srv.PutImage("docker-local", "broken", "1", broken); err != nil {
		t.Fatal(err)
	}
	layers, err := broken.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	srv.LoseBlob("docker-local", digest.String())
	srv.Skew(0)
	a := newOldAgent(t, `[{"repository": "docker-local"}]`, srv)
	r := a.agent("--backfill-from", clock.Add(24*time.Hour).Format(time.RFC3339))
	r.want(t, exitIncomplete)
	for _, want := range []string{"not decidable: " + srv.Host() + "/docker-local/old:1 (dated ", "failed: " + srv.Host() + "/docker-local/broken:1: "} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("stdout lacks %q: %s", want, r.stdout)
		}
	}
}

func TestContainerArgs(t *testing.T) {
	for in, want := range map[string]string{
		"": "agent", "--backfill-from=2022": "agent --backfill-from=2022", "--force --backfill-from 2022": "agent --force --backfill-from 2022",
		"images --format json": "images --format json", "--help": "--help", "agent --once": "agent --once",
	} {
		if got := strings.Join(containerArgs(strings.Fields(in)), " "); got != want {
			t.Errorf("%q runs %q, want %q", in, got, want)
		}
	}
}

// TestContainer: the image's entry runs commands with their settings and exit codes.
func TestContainer(t *testing.T) {
	p := newProgram(t)
	p.run("", "container").want(t, exitError, "/opt/artifactory-agent/data/config.json")
	p.run("", "container", "--backfill-from=x").want(t, exitError, "ISO 8601")
	r := p.run("", "container", "images", "--format", "json")
	if r.want(t, 0); !json.Valid([]byte(r.stdout)) {
		t.Errorf("stdout: %s", r.stdout)
	}
	p.run("", "container", "frobnicate").want(t, exitError, "unknown command")
}
