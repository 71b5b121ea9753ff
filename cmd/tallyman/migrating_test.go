package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// TestMigrating runs every command of docs/migrating-from-docker-scout.md in its
// order, against a simulated Artifactory in the place of example.jfrog.io.
func TestMigrating(t *testing.T) {
	if testing.Short() {
		t.Skip("long: runs the whole program")
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "migrating-from-docker-scout.md"))
	if err != nil {
		t.Fatal(err)
	}
	srv, token := registryOf(t)
	if err := srv.AddRepo(artifactorytest.Repo{Key: "docker-prod"}); err != nil {
		t.Fatal(err)
	}
	srv.Grant("reader", artifactorytest.Rule{Repo: "docker-prod"})
	push(t, srv, "web/frontend", "1")
	push(t, srv, "web/dta/frontend", "1")
	m := migration{t: t, p: newProgram(t), srv: srv, token: token, dir: t.TempDir()}
	m.p.env["DOCKER_SCOUT_ARTIFACTORY_API_PASSWORD"] = token
	delete(m.p.env, "TALLYMAN_DATA")
	m.write("config.json", `{"agent_id":"acme","artifactory":[{"base_url":"`+srv.URL()+`","username":"reader","password":"hunter2"}]}`)
	m.write("token", token)
	m.write("integrations.yaml", "integrations:\n  - {name: example, url: \""+srv.URL()+"\", repositories: docker-local, secret_file: token}\n")
	lines := regexp.MustCompile(`(?m)^    \$ (.*)$`).FindAllStringSubmatch(string(b), -1)
	if len(lines) < 12 {
		t.Fatalf("the page shows %d commands only", len(lines))
	}
	for _, line := range lines {
		m.run(line[1])
	}
	if got := m.p.states(t)["web/frontend:1"]; got != "analysed" {
		t.Errorf("web/frontend:1 is %q in the end", got)
	}
}

// migration is what the page is run with.
type migration struct {
	t     *testing.T
	p     *program
	srv   *artifactorytest.Server
	token string
	dir   string
}

func (m migration) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs one line of the page. What has no end is stopped when it watches.
func (m migration) run(line string) {
	m.t.Helper()
	command, _, piped := strings.Cut(line, " < token")
	host, err := url.Parse(m.srv.URL())
	if err != nil {
		m.t.Fatal(err)
	}
	for old, now := range map[string]string{
		"https://example.jfrog.io": m.srv.URL(), "registry=example.jfrog.io": "registry=" + host.Host, "port=9000": "port=" + freePort(m.t),
		"/var/opt/artifactory-agent": m.dir, "-f integrations.yaml": "-f " + filepath.Join(m.dir, "integrations.yaml"),
	} {
		command = strings.ReplaceAll(command, old, now)
	}
	args := shellWords(command)[1:]
	stdin := ""
	if piped {
		stdin = m.token
	}
	if endless(args) {
		r := m.p.start(m.t, args...)
		r.says(m.t, "Ctrl-C ends it")
		r.stop().want(m.t, 0)
		return
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 10*time.Minute)
	defer cancel()
	if r := m.p.run(stdin, args...); r.code != 0 || ctx.Err() != nil {
		m.t.Errorf("%s: exit code %d\n%s%s", line, r.code, r.stdout, r.stderr)
	}
}

// endless says that a command goes on until it is stopped.
func endless(args []string) bool {
	all := strings.Join(args, " ")
	return (args[0] == "watch" || args[0] == "agent") &&
		!strings.Contains(all, "--once") && !strings.Contains(all, "--dry-run") && !strings.Contains(all, "--backfill-from")
}

// shellWords splits a line as a shell does where quotes stand around whole words.
func shellWords(line string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	return words
}
