package index

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	rpmdb "github.com/erikvarga/go-rpmdb/pkg"
	// The rpm extractor brings the SQLite driver that rpmdb opens rpmdb.sqlite with.
	_ "github.com/google/osv-scalibr/extractor/filesystem/os/rpm"
)

func isRpm(c candidate) bool {
	switch c.base {
	case "rpmdb.sqlite", "Packages.db", "Packages":
	default:
		return false
	}
	switch c.dir {
	case "var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/", "usr/lib/rpm-db/", "var/lib/rpmdb/":
		return true
	}
	return strings.HasSuffix(c.dir, "/var/lib/rpm/") || strings.HasPrefix(c.dir, "var/lib/rpmmanifest/")
}

// readRpm reads a database of any of the three kinds. The reader wants a file
// with a name; it lies alone in a directory that goes at the end.
func readRpm(ctx context.Context, in *input) (found, error) {
	dir, err := os.MkdirTemp(in.dir, "tallyman-rpm-")
	if err != nil {
		return found{}, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, filepath.Base(in.path))
	if err := copyTo(name, in); err != nil {
		return found{}, err
	}
	db, err := rpmdb.Open(name)
	if err != nil {
		return found{}, fmt.Errorf("open the rpm database: %w", err)
	}
	defer func() { _ = db.Close() }()
	list, err := db.ListPackagesWithContext(ctx)
	if err != nil {
		return found{}, fmt.Errorf("read the rpm database: %w", err)
	}
	var f found
	ex := extractors()
	for _, p := range list {
		if p.Name == "" || p.Name == "gpg-pubkey" { // keys are no packages
			continue
		}
		q := rpmPackage(p)
		f.pkgs = append(f.pkgs, q)
		if o := rpmFiles(p, ex); len(o.Hashes) > 0 {
			f.owns = append(f.owns, o)
		}
	}
	return f, nil
}

func copyTo(name string, in *input) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, io.NewSectionReader(in.data, 0, in.size)); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func rpmPackage(p *rpmdb.PackageInfo) pkg {
	q := pkg{
		Type: "rpm", Name: p.Name, Version: p.Version + "-" + p.Release, Arch: p.Arch, Epoch: p.EpochNum(),
		Licenses: oneLicense(p.License), Extra: p.Modularitylabel,
	}
	src := strings.TrimSuffix(strings.TrimSuffix(p.SourceRpm, ".src.rpm"), ".nosrc.rpm")
	// name-version-release, cut from the right
	if i := strings.LastIndex(src, "-"); i > 0 {
		if j := strings.LastIndex(src[:i], "-"); j > 0 {
			q.SourceName, q.SourceVersion = src[:j], src[j+1:]
		}
	}
	return q
}

func rpmFiles(p *rpmdb.PackageInfo, ex []extractor) owned {
	o := owned{Name: p.Name, Arch: p.Arch}
	names, err := p.InstalledFileNames()
	if err != nil {
		return o // a package without a file list owns nothing
	}
	for _, n := range names {
		n = strings.TrimPrefix(n, "/")
		if claimable(ex, n) {
			o.Hashes = append(o.Hashes, pathHash(n))
		}
	}
	o.Hashes = sortedHashes(o.Hashes)
	return o
}
