// Command image builds the container image: a static binary and the certificate
// authorities of this machine, from scratch, without any daemon.
//
// The module's source flows in; a directory in OCI layout and an archive for
// `podman load` or `docker load` flow out. It must never put anything else of this
// machine into the image.
package main

import (
	"context"
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// options say what goes into the image and where it is written.
type options struct {
	out, roots, arch, version string
	created                   time.Time
}

func main() {
	var o options
	var created int64
	flag.StringVar(&o.out, "o", "dist", "directory to write to")
	flag.StringVar(&o.roots, "roots", "/etc/ssl/certs/ca-certificates.crt", "PEM bundle of certificate authorities")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture, as Go names it")
	flag.StringVar(&o.version, "version", "", "version; empty = as the Go tool stamps it")
	flag.Int64Var(&created, "created", 0, "date of the image in seconds since 1970; a commit's makes it reproducible")
	flag.Parse()
	o.created = time.Unix(created, 0).UTC()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run builds the program and the image, and says on w what it wrote.
func run(ctx context.Context, o options, w io.Writer) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", o.out, err)
	}
	binary := filepath.Join(o.out, "tallyman-linux-"+o.arch)
	if err := build(ctx, binary, o.arch); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read what was built: %w", err)
	}
	if o.version == "" && info.Main.Version != "(devel)" {
		o.version = info.Main.Version
	}
	img, err := assemble(contents{binary: binary, roots: o.roots}, about{
		version: o.version, revision: setting(info, "vcs.revision"), arch: o.arch, created: o.created,
	})
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("digest of the image: %w", err)
	}
	if err := write(o, img); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s holds localhost/tallyman:%s %s\n", o.out, strings.Join(tags(o.version), ", :"), digest)
	return nil
}

// build makes a binary that needs nothing of the system it runs on.
func build(ctx context.Context, to, arch string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, "./cmd/tallyman")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build for linux/%s: %w", arch, err)
	}
	return nil
}

func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// tags are the names that the image gets: its major version and its version.
func tags(version string) []string {
	version = regexp.MustCompile(`[^A-Za-z0-9._-]`).ReplaceAllString(version, "-")
	version = strings.TrimLeft(version, ".-")
	const most = 128 // characters of a tag
	major := "v0"
	if m := regexp.MustCompile(`^v?(\d+)\.`).FindStringSubmatch(version); m != nil {
		major = "v" + m[1]
	}
	if version == "" || version == major || len(version) > most {
		return []string{major}
	}
	return []string{major, version}
}

// write puts the image into a directory in OCI layout and into an archive.
func write(o options, img v1.Image) error {
	dir := filepath.Join(o.out, "image")
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty %s: %w", dir, err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	refs := map[name.Reference]v1.Image{}
	for _, t := range tags(o.version) {
		err := path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": t}),
			layout.WithPlatform(v1.Platform{OS: "linux", Architecture: o.arch}))
		if err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
		ref, err := name.NewTag("localhost/tallyman:" + t)
		if err != nil {
			return fmt.Errorf("name the image: %w", err)
		}
		refs[ref] = img
	}
	archive := filepath.Join(o.out, "tallyman-image.tar")
	if err := tarball.MultiRefWriteToFile(archive, refs); err != nil {
		return fmt.Errorf("write %s: %w", archive, err)
	}
	return nil
}
