package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// TestAgentFar: agent_id names the watcher, and docker.pat is a token where it is one of
// ours; else it is neither sent nor stored.
func TestAgentFar(t *testing.T) {
	srv, _ := registryOf(t)
	push(t, srv, "internal/repo1", "1")
	s := serveAt(t, newProgram(t), freePort(t))
	w := newWire(t, s.url)
	a := newOldAgent(t, `null`, srv)
	a.env["TALLYMAN_SERVER"] = w.url
	a.agent("--once").want(t, exitError, "no token for")
	token := s.tokenFile(t, "another", "--scope", "ingest")
	a.agent("--once", "--token-file", token).want(t, exitError, "token another is for the watcher of that name, not for acme-prod-agent", "token create acme-prod-agent --scope ingest")

	secret := strings.TrimSpace(s.run("", "token", "create", "acme-prod-agent", "--scope", "ingest").stdout)
	text := must(os.ReadFile(a.file))
	if err := os.WriteFile(a.file, []byte(strings.Replace(string(text), "dckr_pat_secret", secret, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	a.agent("--once").want(t, 0, "0 tags are followed, 1 are left out")
	push(t, srv, "internal/repo1", "2")
	a.agent("--once").want(t, 0)
	s.wantStates(t, "caught up", map[string]string{"internal/repo1:2": "analysed"})
	list := s.run("", "integration", "list", "--format", "json").stdout
	if got := field(list, "watcher"); got != "acme-prod-agent" {
		t.Errorf("it is watched by %q", got)
	}
	if strings.Contains(w.everything(), "dckr_pat") || strings.Contains(everyByte(t, s.program), secret) {
		t.Error("docker.pat was sent or stored")
	}
	a.agent("--backfill-from=2020-01-01").want(t, 0, "taken as UTC")
	s.wantStates(t, "a backfill", map[string]string{"internal/repo1:2": "analysed", "internal/repo1:1": "analysed"})
	srv.ResetCounts()
	a.agent("--backfill-from=2020-01-01").want(t, 0)
	if n := srv.Counts()[artifactorytest.ClassManifestGet].Requests; n != 0 {
		t.Errorf("a repeated backfill read %d manifests again", n)
	}
	a.agent("--backfill-from=2020-01-01", "--force").want(t, 0)
	if n := srv.Counts()[artifactorytest.ClassLayer].Requests; n != 2 {
		t.Errorf("with --force it read %d layers", n)
	}
}

// TestWatchersShareLayers: what one watcher read, no other reads again.
func TestWatchersShareLayers(t *testing.T) {
	one, _ := registryOf(t)
	two, _ := registryOf(t)
	img := smallImage(t, "3.0.9-1")
	for _, srv := range []*artifactorytest.Server{one, two} {
		if err := srv.PutImage("docker-local", "app", "1", img); err != nil {
			t.Fatal(err)
		}
	}
	s := serveAt(t, newProgram(t), freePort(t))
	var watching []running
	for i, srv := range []*artifactorytest.Server{one, two} {
		srv.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultSlow, Classes: []string{"blob"}, Delay: time.Second})
		far := s.farOf(t, s.tokenFile(t, []string{"first", "second"}[i], "--scope", "ingest"))
		watching = append(watching, far.start(t, "watch", "--registry", spec(srv), "--all-images", "--interval", "1"))
	}
	for _, w := range watching {
		w.says(t, "Ctrl-C ends it")
	}
	s.eventuallyStatus(t, 2)
	if n := one.Counts()[artifactorytest.ClassLayer].Requests + two.Counts()[artifactorytest.ClassLayer].Requests; n != 1 {
		t.Errorf("the one layer was read %d times", n)
	}
}

// eventuallyStatus waits until so many tags are analysed.
func (s serving) eventuallyStatus(t *testing.T, analysed int) {
	t.Helper()
	want := fmt.Sprintf(`"analysed":%d`, analysed)
	for range 300 {
		if got := s.run("", "status", "--format", "json").stdout; strings.Contains(strings.ReplaceAll(got, " ", ""), want) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not %d tags analysed: %s", analysed, s.run("", "status").stdout)
}

// TestAgentNameOnPostgres: on a store that others share, a second live agent of a name
// is refused, also from another data directory.
func TestAgentNameOnPostgres(t *testing.T) {
	url := storetest.Postgres(t)
	srv, _ := registryOf(t)
	a := newOldAgent(t, `null`, srv)
	a.env["TALLYMAN_DATABASE"] = url
	a.env["TALLYMAN_KEY"] = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)) // those who share a database share its key
	data := t.TempDir()
	first := a.start(t, "agent", "--agent-config", a.file, "--data", data)
	first.says(t, "Ctrl-C ends it")
	a.agent("--once", "--data", t.TempDir()).want(t, exitError, "a watcher named acme-prod-agent is alive already")
	if r := first.stop(); r.code != 0 {
		t.Errorf("it ended with %d: %s", r.code, r.stderr)
	}
	a.agent("--once", "--data", data).want(t, 0)
}
