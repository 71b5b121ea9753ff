package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestPipelinePage runs every command of docs/ci.md against a server that has the demo's
// fleet: with an image that has findings each gate ends with 2, with a clean one with 0.
func TestPipelinePage(t *testing.T) {
	if testing.Short() {
		t.Skip("long: runs the whole program")
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		var steps map[string]any
		if err := yaml.Unmarshal([]byte(block[1]), &steps); err != nil || len(steps) == 0 {
			t.Errorf("not YAML: %v in\n%s", err, block[1])
		}
	}
	p := newProgram(t)
	p.run("", "demo", "--once", "--data", p.env["TALLYMAN_DATA"]).want(t, 0)
	q := questions{p}
	bad, good := q.reference(t, "docker-dev-local/shop/payments:3.1.0"), q.reference(t, "docker-base-local/alpine:3.20")
	dir := t.TempDir()
	r := p.run("", "sbom", bad, "--format", "cyclonedx", "--output", filepath.Join(dir, "app.cdx.json"))
	r.want(t, 0)
	secret := p.run("", "token", "create", "ci", "--scope", "read")
	secret.want(t, 0)
	server := p.start(t, "serve", "--listen", "127.0.0.1:0")
	address := listening(t, server)
	ci := &program{t: t, env: map[string]string{"TALLYMAN_SERVER": address, "TALLYMAN_TOKEN": strings.TrimSpace(secret.stdout), "HOME": t.TempDir()}}
	lines := regexp.MustCompile(`(?m)(?:^    \$ |- |run: |^ +|sh ')(tallyman (?:cves|compare|token) [^'\n]*)`).FindAllStringSubmatch(page, -1)
	if len(lines) < 14 {
		t.Fatalf("the page shows %d commands only", len(lines))
	}
	for _, line := range lines {
		if strings.Contains(line[1], "token create") || strings.Contains(line[1], "archive:") {
			continue // the one was run above; the other is an image as any, and elsewhere_test.go has it
		}
		for image, code := range map[string]int{bad: 2, good: 0} {
			command, _, _ := strings.Cut(line[1], " >> ")
			running := good
			for old, now := range map[string]string{
				"$IMAGE": image, "$RUNNING": running, "sbom:": "sbom:" + dir + "/", "--output ": "--output " + dir + "/",
			} {
				command = strings.ReplaceAll(command, old, now)
			}
			want := code
			switch {
			case strings.Contains(command, "sbom:"):
				want = 2
			case !strings.Contains(command, "--exit-") || strings.Contains(command, "--ignore-base"): // the demo's npm packages are elsewhere
				want = 0
			}
			if r := ci.run("", shellWords(command)[1:]...); r.code != want {
				t.Errorf("%s: exit code %d, want %d\n%s%s", command, r.code, want, r.stdout, r.stderr)
			}
		}
	}
	for _, name := range []string{"gl-container-scanning-report.json", "tallyman.sarif", "tallyman.html"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 200 {
			t.Errorf("%s is not written: %v", name, err)
		}
	}
}

// listening waits until a server says where it listens.
func listening(t *testing.T, r running) string {
	t.Helper()
	said := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	for range 600 {
		if at := said.FindString(r.said()); at != "" {
			return at
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the server does not say where it is: %s", r.said())
	return ""
}

// TestNoAdvisories: where nothing can be said, a gate does not pass.
func TestNoAdvisories(t *testing.T) {
	p := newProgram(t)
	p.run(`{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"lodash","version":"4.0.0","purl":"pkg:npm/lodash@4.0.0"}]}`,
		"cves", "sbom:-", "--exit-code").want(t, exitIncomplete, "no advisories are known", "advisories sync")
	r := p.run(`{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"lodash","version":"4.0.0","purl":"pkg:npm/lodash@4.0.0"}]}`,
		"cves", "sbom:-", "--format", "json")
	r.want(t, 0, "1 packages are not assessed")
	if got := decoded[inventory.Report](t, r); len(got.Unknown) != 1 {
		t.Errorf("%+v", got)
	}
}
