package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// debian is the release whose packages the images are made of.
const debian = "bookworm"

// machineSources is how this machine reaches Debian's archive, as deb822 stanzas:
// the suite alone, and the suite with its updates and security fixes. Both are
// empty where the machine has no such file; mmdebstrap then chooses by itself.
func machineSources(t *testing.T) (plain, all string) {
	t.Helper()
	raw, err := os.ReadFile("/etc/apt/sources.list.d/debian.sources")
	if err != nil {
		return "", ""
	}
	for stanza := range strings.SplitSeq(string(raw), "\n\n") {
		var head, suites, body []string
		for line := range strings.SplitSeq(stanza, "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, "Suites:"):
				for suite := range strings.FieldsSeq(strings.TrimPrefix(line, "Suites:")) {
					if suite == debian || strings.HasPrefix(suite, debian+"-") {
						suites = append(suites, suite)
					}
				}
				head = append(head, line)
			default:
				body = append(body, line)
			}
		}
		if len(head) == 0 || len(suites) == 0 {
			continue
		}
		rest := strings.Join(body, "\n") + "\n\n"
		all += "Suites: " + strings.Join(suites, " ") + "\n" + rest
		if suites[0] == debian {
			plain += "Suites: " + debian + "\n" + rest
		}
	}
	return plain, all
}

// bootstrap makes a root file system of Debian's packages: a tar file, and the
// directory it was unpacked to.
func bootstrap(ctx context.Context, t *testing.T, dir, name, sources string, packages ...string) (tarFile, root string) {
	t.Helper()
	tarFile, root = filepath.Join(dir, name+".tar"), filepath.Join(dir, name)
	args := []string{"--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"}
	if len(packages) > 0 {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	args = append(args, debian, tarFile)
	if sources != "" {
		list := filepath.Join(dir, name+".sources")
		write(t, list, sources)
		args = append(args, list)
	}
	run(ctx, t, dir, "mmdebstrap", args...)
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(ctx, t, dir, "tar", "-xpf", tarFile, "--numeric-owner", "-C", root)
	return tarFile, root
}

func write(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

// debs is what dpkg-query says is installed: name, version, architecture, and the
// source package with its version.
func debs(ctx context.Context, t *testing.T, root string) []string {
	t.Helper()
	const format = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t${source:Version}\\n"
	var list []string
	for _, line := range lines(run(ctx, t, root, "dpkg-query", "--admindir="+root+"/var/lib/dpkg", "-W", "-f", format)) {
		status, rest, _ := strings.Cut(line, "\t")
		if strings.TrimSpace(status) == "ii" {
			list = append(list, strings.ReplaceAll(rest, "\t", " "))
		}
	}
	return list
}

// pythons is what Python itself finds installed in a root file system.
func pythons(ctx context.Context, t *testing.T, root string) []string {
	t.Helper()
	const script = `
import importlib.metadata
for d in importlib.metadata.distributions():
    print(d.metadata["Name"].lower().replace("_", "-").replace(".", "-"), d.version)
`
	return lines(run(ctx, t, "/", "chroot", root, "/usr/bin/python3", "-c", script))
}

// rubies is what RubyGems itself finds installed in a root file system.
func rubies(ctx context.Context, t *testing.T, root string) []string {
	t.Helper()
	const script = `Gem::Specification.each { |s| puts "#{s.name} #{s.version}" }`
	return lines(run(ctx, t, "/", "chroot", root, "/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C", "ruby", "-e", script))
}
