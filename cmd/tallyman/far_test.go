package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// serving is a server, and the program with which it is asked.
type serving struct {
	*program
	running

	url string
}

// serveAt runs a server on its own data directory until the test ends.
func serveAt(t *testing.T, p *program, port string) serving {
	t.Helper()
	s := serving{program: p, url: "http://127.0.0.1:" + port}
	s.running = p.start(t, "serve", "--listen", "127.0.0.1:"+port)
	s.says(t, "tallyman serves")
	return s
}

// tokenFile makes a token and a file with it.
func (s serving) tokenFile(t *testing.T, args ...string) string {
	t.Helper()
	r := s.run("", append([]string{"token", "create"}, args...)...)
	r.want(t, 0)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// farOf is a program that watches for a server.
func (s serving) farOf(t *testing.T, token string) *program {
	t.Helper()
	far := newProgram(t)
	far.env["TALLYMAN_SERVER"], far.env["TALLYMAN_TOKEN_FILE"] = s.url, token
	far.env["TALLYMAN_ARTIFACTORY_API_USER"], far.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"
	return far
}

func TestWatchFar(t *testing.T) {
	srv, _ := registryOf(t)
	s := serveAt(t, newProgram(t), freePort(t))
	far := s.farOf(t, s.tokenFile(t, "edge", "--scope", "ingest"))
	push(t, srv, "old", "1")
	once := []string{"watch", "--registry", spec(srv), "--once"}

	far.run("", once...).want(t, 0, "0 tags are followed, 1 are left out")
	s.wantStates(t, "the first start", map[string]string{})
	push(t, srv, "new", "1")
	push(t, srv, "old", "2")
	r := far.run("", once...)
	r.want(t, 0, "2 tags are followed, 1 are left out")
	s.wantStates(t, "caught up", map[string]string{"new:1": "analysed", "old:2": "analysed"})
	far.run("", append(once, "--all-images")...).want(t, 0)
	all := map[string]string{"new:1": "analysed", "old:2": "analysed", "old:1": "analysed"}
	s.wantStates(t, "all images", all)
	srv.ResetCounts()
	far.run("", once...).want(t, 0, "3 tags are followed, 0 are left out")
	s.wantStates(t, "what was brought in stays", all)
	if n := srv.Counts()[artifactorytest.ClassManifestGet].Requests; n != 0 {
		t.Errorf("%d manifests were read again", n)
	}
	if files, err := filepath.Glob(filepath.Join(far.env["TALLYMAN_DATA"], "*.db*")); err != nil || len(files) != 0 {
		t.Errorf("the watcher keeps a ledger of its own: %v, %v", files, err)
	}

	// The server shows it as one of its own, and leaves looking to the watcher.
	status := s.run("", "status", "--format", "json")
	if !strings.Contains(status.stdout, `"layers_read":3`) && !strings.Contains(status.stdout, `"layers_read": 3`) {
		t.Errorf("what was asked of the registry is not told: %s", status.stdout)
	}
	list := s.run("", "integration", "list", "--format", "json").stdout
	if !strings.Contains(list, `"watcher":"edge"`) && !strings.Contains(list, `"watcher": "edge"`) {
		t.Errorf("who watches it is not told: %s", list)
	}
	if strings.Contains(list, "hunter2") || strings.Contains(list, `"has_secret":true`) {
		t.Errorf("credentials came along: %s", list)
	}
}

func TestWatchFarGoesOn(t *testing.T) {
	srv, _ := registryOf(t)
	port := freePort(t)
	home := newProgram(t)
	s := serveAt(t, home, port)
	far := s.farOf(t, s.tokenFile(t, "edge", "--scope", "ingest"))
	far.env["TALLYMAN_LOG_LEVEL"] = "info"
	push(t, srv, "app", "1")
	w := far.start(t, "watch", "--registry", spec(srv), "--all-images", "--interval", "1")
	s.eventually(t, "the first pass", map[string]string{"app:1": "analysed"})

	// The server goes, an image comes, the server comes back.
	s.stop()
	push(t, srv, "app", "2")
	w.says(t, "it is sent again until it does")
	s = serveAt(t, home, port)
	s.eventually(t, "after the outage", map[string]string{"app:1": "analysed", "app:2": "analysed"})
	w.says(t, "the server answers again")

	// A second one of the name is refused, also from another data directory.
	second := s.farOf(t, far.env["TALLYMAN_TOKEN_FILE"])
	second.run("", "watch", "--registry", spec(srv), "--once").want(t, exitError, "a watcher named edge is alive already")
	far.run("", "watch", "--registry", spec(srv), "--once").want(t, exitError, "already works on the data directory")

	// Paused on the server, it does not look; resumed, it finds what came meanwhile.
	name := strings.TrimSpace(strings.Split(must(integrationName(t, s)), "\n")[0])
	s.run("", "integration", "pause", name).want(t, 0)
	time.Sleep(1500 * time.Millisecond) // a look that runs may still be told
	push(t, srv, "app", "3")
	s.run("", "integration", "update", name, "--repositories", "x").want(t, exitError, "watched from afar, by edge")
	s.run("", "integration", "test", name).want(t, exitError, "watched from afar, by edge")
	if got := s.states(t); len(got) != 2 {
		t.Errorf("it looked while paused: %v", got)
	}

	// Revoked, it ends.
	s.run("", "integration", "resume", name).want(t, 0)
	if r := w.stop(); r.code != 0 {
		t.Errorf("it ended with %d: %s", r.code, r.stderr)
	}
	second.run("", "watch", "--registry", spec(srv), "--once").want(t, 0) // the name is free
	s.wantStates(t, "after the pause", map[string]string{"app:1": "analysed", "app:2": "analysed", "app:3": "analysed"})
	s.run("", "token", "revoke", "edge", "--requeue").want(t, 0, "3 images are indexed again")
	second.run("", "watch", "--registry", spec(srv), "--once").want(t, exitError, "token is unknown, revoked or expired")
	third := s.farOf(t, s.tokenFile(t, "edge", "--scope", "ingest"))
	srv.ResetCounts()
	third.run("", "watch", "--registry", spec(srv), "--once").want(t, 0)
	if n := srv.Counts()[artifactorytest.ClassManifestGet].Requests; n < 3 {
		t.Errorf("only %d manifests were read again", n)
	}
}

func integrationName(t *testing.T, s serving) (string, error) {
	t.Helper()
	return field(s.run("", "integration", "list", "--format", "json").stdout, "name"), nil
}

// field is the first value of a text field in JSON.
func field(text, name string) string {
	_, rest, _ := strings.Cut(strings.ReplaceAll(text, `": "`, `":"`), `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func TestFarTokens(t *testing.T) {
	srv, _ := registryOf(t)
	push(t, srv, "app", "1")
	s := serveAt(t, newProgram(t), freePort(t))
	once := []string{"watch", "--registry", spec(srv), "--all-images", "--once"}
	s.run("", "token", "create", "x", "--scope", "read", "--integration", "a").want(t, exitError, "only a token of scope ingest")

	reading := s.farOf(t, s.tokenFile(t, "reading", "--scope", "read"))
	reading.run("", once...).want(t, exitError, "scope ingest")
	other := s.farOf(t, s.tokenFile(t, "other", "--scope", "ingest", "--integration", "elsewhere"))
	other.run("", once...).want(t, exitError, "token other may not write to integration")

	name := field(newProgram(t).localNames(t, srv), "name")
	bound := s.farOf(t, s.tokenFile(t, "bound", "--scope", "ingest", "--integration", name))
	bound.run("", once...).want(t, 0)
	s.wantStates(t, "a token that is bound", map[string]string{"app:1": "analysed"})
	tokens := s.run("", "token", "list")
	if !strings.Contains(tokens.stdout, name) {
		t.Errorf("what it is bound to is not listed: %s", tokens.stdout)
	}
	log := s.run("", "audit", "--format", "json").stdout
	if !strings.Contains(log, "integration added") || !strings.Contains(log, "token bound") || strings.Contains(log, "/looks") || strings.Contains(log, "/layers") {
		t.Errorf("the log of changes has %s", log)
	}
	// One with a watcher's name does not take over what another watches.
	thief := s.farOf(t, s.tokenFile(t, "thief", "--scope", "ingest"))
	thief.run("", once...).want(t, exitError, "is watched by watcher")
	s.wantStates(t, "after all that", map[string]string{"app:1": "analysed"})
}

// localNames lists the integrations of a watch with the local store.
func (p *program) localNames(t *testing.T, srv *artifactorytest.Server) string {
	t.Helper()
	p.env["TALLYMAN_ARTIFACTORY_API_USER"], p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"
	p.run("", "watch", "--registry", spec(srv), "--once").want(t, 0)
	return p.run("", "integration", "list", "--format", "json").stdout
}

func TestFarDryRun(t *testing.T) {
	srv, _ := registryOf(t)
	push(t, srv, "app", "1")
	s := serveAt(t, newProgram(t), freePort(t))
	far := s.farOf(t, s.tokenFile(t, "edge", "--scope", "ingest"))
	r := far.run("", "watch", "--registry", spec(srv), "--all-images", "--dry-run")
	if r.want(t, 0); !strings.Contains(r.stdout, "1 of 1 tags would be indexed") {
		t.Errorf("%s", r.stdout)
	}
	if diff := cmp.Diff("[]\n", s.run("", "integration", "list", "--format", "json").stdout); diff != "" {
		t.Errorf("it left something behind: %s", diff)
	}
	far.run("", "watch", "--registry", spec(srv), "--all-images", "--once").want(t, 0)
	if r := far.run("", "watch", "--registry", spec(srv), "--all-images", "--dry-run"); !strings.Contains(r.stdout, "0 of 1 tags would be indexed") {
		t.Errorf("%s", r.stdout)
	}
}
