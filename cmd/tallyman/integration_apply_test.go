package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestApply(t *testing.T) {
	srv, token := registryOf(t)
	p := newProgram(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("acme.token", token+"\n")
	file := write("integrations.yaml", `integrations:
  - name: acme
    url: `+srv.URL()+`
    secret_file: acme.token
    repositories: docker-local; docker-prod
    include: ["team/{a,b}", "lib/*"]
    tags: ["^v[0-9]{1,3}$"]
  - {name: other, url: "http://127.0.0.1:1", username: ci, secret_env: OTHER_SECRET, webhook_secret_env: OTHER_HOOK}
`)
	p.run("", "integration", "apply", "-f", file).want(t, exitError, "OTHER_SECRET is not set")
	p.env["OTHER_SECRET"], p.env["OTHER_HOOK"] = "s3cret", "h00k"
	says := func(want string, args ...string) {
		t.Helper()
		r := p.run("", append([]string{"integration", "apply", "-f", file}, args...)...)
		r.want(t, 0)
		if diff := cmp.Diff(want, r.stdout); diff != "" {
			t.Error(diff)
		}
	}
	says("acme would be added\nother would be added\n", "--dry-run")
	says("acme added\nother added\n")
	says("acme unchanged\nother unchanged\n")
	var list []inventory.Integration
	if err := json.Unmarshal([]byte(p.run("", "integration", "list", "--format", "json").stdout), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || !cmp.Equal(list[0].Repositories, []string{"docker-local", "docker-prod"}) || !list[0].HasSecret ||
		!cmp.Equal(list[0].Include, []string{"team/{a,b}", "lib/*"}) || !list[1].HookSecret {
		t.Errorf("%+v", list)
	}
	// JSON is YAML; what the file does not name stays.
	file = write("one.json", `{"integrations": [{"name": "acme", "url": "`+srv.URL()+`", "repositories": ["docker-local"]}]}`)
	says("acme would be updated\n", "--dry-run")
	says("acme updated\n")
	says("acme unchanged\n")
	p.run("", "integration", "test", "acme").want(t, 0) // the secret is still there
	r := p.run(`integrations: [{name: acme, url: "`+srv.URL()+`", repositories: docker-local}]`, "integration", "apply", "-f", "-")
	if r.want(t, 0); r.stdout != "acme unchanged\n" {
		t.Errorf("from standard input: %s", r.stdout)
	}
}

func TestApplyRefuses(t *testing.T) {
	p := newProgram(t)
	for _, c := range []struct{ text, says string }{
		{"", "names no integrations"},
		{"integrations: [{name: a}]", "name and url are needed"},
		{"integrations: [{name: a, url: http://a.io, secret: x}]", "secret_file"},
		{"integrations: [{name: a, url: http://a.io, secret_file: /does/not/exist}]", "/does/not/exist"},
		{"integrations: [{name: a, url: http://a.io, secret_file: a, secret_env: B}]", "named twice"},
		{"integrations: [{name: a, url: http://a.io}, {name: a, url: http://b.io}]", "twice"},
		{"integrations: {", "standard"},
		{"integrations: [{name: a, url: http://a.io, include: 5, tags: [\"(\"]}]", "regular expression"},
		{strings.Repeat("#", mostApply+1), "longer than"},
	} {
		r := p.run(c.text, "integration", "apply", "-f", "-")
		if r.code != exitError || c.says != "standard" && !strings.Contains(r.stderr, c.says) {
			t.Errorf("%.60q: %d, and it lacks %q: %s", c.text, r.code, c.says, r.stderr)
		}
	}
	p.run("", "integration", "apply").want(t, exitError, "-f FILE")
	p.run("", "integration", "apply", "-f", "/does/not/exist").want(t, exitError, "/does/not/exist")
}
