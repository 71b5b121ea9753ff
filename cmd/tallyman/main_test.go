package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// program runs the real program over one data directory.
type program struct {
	t   *testing.T
	env map[string]string
}

func newProgram(t *testing.T) *program {
	t.Helper()
	return &program{t: t, env: map[string]string{"TALLYMAN_DATA": t.TempDir(), "HOME": t.TempDir(), "TALLYMAN_LOG_LEVEL": "error", "TALLYMAN_ADVISORIES_EVERY": "off"}}
}

// result is what one run left behind.
type result struct {
	code           int
	stdout, stderr string
}

func (p *program) run(stdin string, args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	env := func(name string) (string, bool) { v, ok := p.env[name]; return v, ok }
	code := run(ctx, args, env, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// want fails unless the run ended with code and said each of the words on stderr.
func (r result) want(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.stdout, r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("stderr lacks %q:\n%s", w, r.stderr)
		}
	}
}

// registryOf starts a simulator with one docker and one npm repository, and answers it
// with the token of a user that may read both.
func registryOf(t *testing.T) (srv *artifactorytest.Server, token string) {
	t.Helper()
	srv = artifactorytest.New(artifactorytest.Options{})
	if err := srv.AddRepo(artifactorytest.Repo{Key: "docker-local"}, artifactorytest.Repo{Key: "npm-local", Type: "npm"}); err != nil {
		t.Fatal(err)
	}
	srv.AddUser(artifactorytest.User{Name: "reader", Password: "hunter2", Rules: []artifactorytest.Rule{
		{Repo: "docker-local"}, {Repo: "npm-local"},
	}})
	if err := srv.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv, srv.IssueToken(artifactorytest.Token{User: "reader"})
}

func TestUsage(t *testing.T) {
	p := newProgram(t)
	for _, c := range []struct {
		args []string
		say  string
	}{
		{[]string{"--colour"}, "unknown flag"},
		{[]string{"frobnicate"}, "unknown command"},
		{[]string{"images", "--format", "xml"}, `unknown format "xml"`},
		{[]string{"images", "--state", "sleeping"}, `unknown state "sleeping"`},
		{[]string{"cves"}, "takes REF"},
		{[]string{"cves", "a/b:c", "--format", "pdf"}, `unknown format "pdf"`},
		{[]string{"cves", "a/b:c", "--only-package", "("}, "regular expression"},
		{[]string{"sbom", "a", "b"}, "takes REF"},
		{[]string{"serve", "--role", "king"}, `unknown role "king"`},
		{[]string{"token", "create", "x", "--scope", "god"}, `unknown scope "god"`},
		{[]string{"images", "--server", "gopher://x"}, "--server"},
		{[]string{"images", "--server", "http://127.0.0.1:1"}, "no token"},
		{[]string{"images", "--database", "mysql://x"}, "--database"},
		{[]string{"images", "--config", "/does/not/exist"}, "/does/not/exist"},
		{[]string{"integration", "delete", "x"}, "--yes"},
		{[]string{"integration", "test"}, "--url"},
		{[]string{"integration", "nosuch"}, "unknown command"},
		{[]string{"advisories", "nosuch"}, "unknown command"},
		{[]string{"exception", "nosuch"}, "unknown command"},
		{[]string{"integration", "add", "x"}, "--url is missing"},
		{[]string{"demo", "--once", "--server", "http://127.0.0.1:1"}, "not on --server"},
	} {
		p.run("", c.args...).want(t, exitError, c.say)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	p := newProgram(t)
	root := newRoot(&app{})
	for _, cmd := range root.Commands() {
		r := p.run("", cmd.Name(), "--help")
		r.want(t, 0)
		if !strings.Contains(r.stdout, "Usage:") || cmd.Short == "" {
			t.Errorf("%s: no help: %s", cmd.Name(), r.stdout)
		}
	}
}

func TestEmptyStore(t *testing.T) {
	p := newProgram(t)
	p.run("", "images").want(t, 0, "no tags")
	if r := p.run("", "images", "--format", "json"); r.stdout != "[]\n" {
		t.Errorf("images of an empty store: %q", r.stdout)
	}
	p.run("", "integration", "list").want(t, 0, "no integrations yet")
	p.run("", "cves", "docker-local/app:1").want(t, exitError, "docker-local/app:1")
	var st inventory.Status
	if err := json.Unmarshal([]byte(p.run("", "status", "--format", "json").stdout), &st); err != nil {
		t.Fatal(err)
	}
	if st.TagsSeen != 0 || st.Integrations == nil {
		t.Errorf("status of an empty store: %+v", st)
	}
}

func TestIntegration(t *testing.T) {
	srv, token := registryOf(t)
	p := newProgram(t)
	p.run("wrong", "integration", "add", "acme", "--url", srv.URL(), "--secret-stdin", "--repositories", "docker-local").
		want(t, exitError, "authentication failed: invalid credentials or insufficient permissions", "try:")
	srv.Unlock()
	p.run(token, "integration", "add", "acme", "--url", srv.URL(), "--secret-stdin", "--repositories", "docker-locl;npm-local").
		want(t, exitError, "repository access failed for: docker-locl, npm-local", "docker-local", "npm")
	p.run("", "integration", "add", "acme", "--url", "http://127.0.0.1:1", "--secret-stdin").want(t, exitError, "standard input")
	p.run(token, "integration", "add", "acme", "--url", "http://127.0.0.1:1", "--secret-stdin").want(t, exitError, "127.0.0.1:1")
	p.run(token, "integration", "add", "acme", "--url", srv.URL(), "--secret-stdin", "--repositories", "docker-local").want(t, 0)
	p.run(token, "integration", "add", "acme", "--url", srv.URL(), "--secret-stdin", "--repositories", "docker-local").
		want(t, exitError, "already", "integration update acme")
	r := p.run("", "integration", "list", "--format", "json")
	var list []inventory.Integration
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != "acme" || !list[0].HasSecret {
		t.Errorf("list: %s", r.stdout)
	}
	for _, where := range []string{r.stdout, r.stderr, everyByte(t, p)} {
		if strings.Contains(where, token) {
			t.Error("the token is shown, or lies unsealed in the store")
		}
	}
	p.run("", "integration", "test", "acme").want(t, 0)
	p.run("", "integration", "update", "acme", "--include", "team/*").want(t, 0)
	p.run("", "integration", "disconnect", "acme").want(t, 0)
	p.run("", "integration", "test", "acme").want(t, exitError, "disconnected")
	p.run("", "integration", "delete", "acme", "--yes").want(t, 0)
	p.run("", "integration", "test", "acme").want(t, exitError, "acme")
}

// everyByte is every byte of the data directory.
func everyByte(t *testing.T, p *program) string {
	t.Helper()
	var all strings.Builder
	files, err := filepath.Glob(filepath.Join(p.env["TALLYMAN_DATA"], "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			all.Write(b)
		}
	}
	return all.String()
}

func TestSecondServe(t *testing.T) {
	p := newProgram(t)
	release, err := queue.Lock(p.env["TALLYMAN_DATA"])
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	p.run("", "serve", "--listen", "127.0.0.1:0").want(t, exitError, p.env["TALLYMAN_DATA"], fmt.Sprint(os.Getpid()), "try:")
	p.run("", "images").want(t, 0) // others share it
}

func TestUnwritableData(t *testing.T) {
	p := newProgram(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.env["TALLYMAN_DATA"] = filepath.Join(file, "below")
	p.run("", "images").want(t, exitError, file, "--data")
	p.run("", "serve").want(t, exitError, file, "--data")
}
