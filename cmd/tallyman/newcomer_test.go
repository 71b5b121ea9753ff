package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewcomer: whatever is mistyped, missing or closed is told in one sentence with a
// remedy, and with exit code 1.
func TestNewcomer(t *testing.T) {
	p := newProgram(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	bom := filepath.Join(dir, "bom.json")
	if err := os.WriteFile(bom, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.5","components":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		says []string
	}{
		{"unknown flag", []string{"cves", "x", "--no-such"}, []string{"--no-such", "try: `tallyman cves --help`"}},
		{"unknown command", []string{"scan"}, []string{`unknown command "scan"`, "try:"}},
		{"unknown format", []string{"cves", "x", "--format", "xml"}, []string{`unknown format "xml"`, "sarif"}},
		{"no argument", []string{"cves"}, []string{"takes REF", "--help"}},
		{"no such image", []string{"cves", "team/app:1"}, []string{"team/app:1", "try:"}},
		{"not a reference", []string{"cves", "a b"}, []string{"a b", "try:"}},
		{"no such file", []string{"cves", "sbom:" + filepath.Join(dir, "none")}, []string{"none", "no such file"}},
		{"a directory for a file", []string{"cves", "sbom:" + dir}, []string{dir}},
		{"not a bill of materials", []string{"cves", "sbom:" + file}, []string{file}},
		{"no such archive", []string{"sbom", "archive:" + filepath.Join(dir, "none.tar")}, []string{"none.tar"}},
		{"not an archive", []string{"sbom", "archive:" + file}, []string{file}},
		{"no such layout", []string{"sbom", "oci-dir:" + filepath.Join(dir, "none")}, []string{"none"}},
		{"no daemon", []string{"cves", "docker:app:1"}, []string{"daemon", "try:"}},
		{"a directory tree", []string{"cves", "fs://" + dir}, []string{"directories are not indexed"}},
		{"no such layer", []string{"cves", "sbom:" + bom, "--layer", "-1"}, []string{"counted from 0"}},
		{"no such severity", []string{"cves", "x", "--only-severity", "grave"}, []string{`"grave"`, "critical"}},
		{"a broken expression", []string{"cves", "x", "--only-package", "("}, []string{"no regular expression"}},
		{"unwritable output", []string{"cves", "sbom:" + bom, "--output", filepath.Join(dir, "no", "dir", "out")}, []string{"no/dir/out", "try:"}},
		{"output is a directory", []string{"cves", "sbom:" + bom, "--output", dir}, []string{dir, "try:"}},
		{"no such platform", []string{"cves", "archive:" + file, "--platform", "x"}, []string{"x"}},
		{"data is a file", []string{"images", "--data", file}, []string{file, "try:"}},
		{"data below a file", []string{"images", "--data", filepath.Join(file, "x")}, []string{file, "try:"}},
		{"no server", []string{"images", "--server", "http://127.0.0.1:9", "--token-file", file}, []string{"127.0.0.1:9", "try:"}},
		{"not a server", []string{"images", "--server", "tally"}, []string{`--server "tally"`}},
		{"no token", []string{"images", "--server", "http://127.0.0.1:9"}, []string{"no token", "token create"}},
		{"no settings", []string{"images", "--config", filepath.Join(dir, "none")}, []string{"none", "try:"}},
		{"a broken database", []string{"images", "--database", "mysql://x"}, []string{"postgres://"}},
		{"no database", []string{"images", "--database", "postgres://u:hunter2@127.0.0.1:9/x"}, []string{"127.0.0.1", "try:"}},
		{"a date", []string{"images", "--as-of", "soon"}, []string{`"soon" is no date`, "2026-03-01"}},
		{"nothing asked", []string{"who-has", ""}, []string{"nothing is asked for"}},
		{"watch looks back", []string{"who-has", "a", "--watch", "w", "--as-of", "2026-01-01"}, []string{"looks ahead"}},
		{"no such watch", []string{"who-has", "--unwatch", "w"}, []string{`no watch "w"`, "--watches"}},
		{"both", []string{"who-has", "a", "--watches"}, []string{"stand alone"}},
		{"no such exception", []string{"exception", "remove", "x"}, []string{"exception list"}},
		{"compare one", []string{"compare", "a"}, []string{"A B"}},
		{"explain nothing", []string{"explain", "sbom:" + bom, "CVE-1"}, []string{"try:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.run("", tt.args...)
			r.want(t, exitError, tt.says...)
			if strings.Contains(r.stderr, "hunter2") || strings.Count(r.stderr, "tallyman: ") != 1 || len(strings.Split(strings.TrimSpace(r.stderr), "\n")) > 3 {
				t.Errorf("not one sentence:\n%s", r.stderr)
			}
			if r.stdout != "" {
				t.Errorf("stdout: %s", r.stdout)
			}
		})
	}
	t.Run("an empty store", func(t *testing.T) {
		p.run("", "images").want(t, 0, "no tags")
		p.run("", "who-has", "openssl").want(t, 0, "in no tag")
		p.run("", "who-has", "--watches").want(t, 0, "no question is saved")
		for _, args := range [][]string{{"images"}, {"who-has", "openssl"}, {"who-has", "--watches"}, {"exception", "list"}, {"integration", "list"}, {"token", "list"}, {"notify", "list"}, {"user", "list"}} {
			if r := p.run("", append(args, "--format", "json")...); r.code != 0 || strings.TrimSpace(r.stdout) != "[]" {
				t.Errorf("%v: %d %q %s", args, r.code, r.stdout, r.stderr)
			}
		}
	})
}

// TestKeyIsGone: a database that keeps sealed credentials does not get another key.
func TestKeyIsGone(t *testing.T) {
	p := newProgram(t)
	data := p.env["TALLYMAN_DATA"]
	key := filepath.Join(data, "tallyman.key")
	p.run("", "images").want(t, 0)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	p.run("", "images").want(t, 0) // nothing was sealed: another key harms nobody
	p.run("https://receiver.example/hook", "notify", "add", "team", "--kind", "slack", "--url-stdin").want(t, 0)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p.run("", "images").want(t, exitError, "their key is not there", "bring the key file back")
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	p.run("", "images").want(t, 0)
}

func TestEmptyDatabase(t *testing.T) {
	p := newProgram(t)
	if err := os.WriteFile(filepath.Join(p.env["TALLYMAN_DATA"], "tallyman.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.run("", "images").want(t, 0, "is empty: a new ledger begins in it")
	if r := p.run("", "images"); strings.Contains(r.stderr, "is empty") {
		t.Errorf("said again: %s", r.stderr)
	}
}
