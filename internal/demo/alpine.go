package demo

import (
	"crypto/sha1" // apk names packages by this sum; it guards nothing here
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// alpinePackage is one package of an Alpine image.
type alpinePackage struct {
	name, origin, licence, version string
}

// alpineSets reads sets of packages as a release of Alpine had them: 3.18.4, 3.20.0
// and 3.20.3 are the oldest, middle and newest.
func alpineSets(release age, sets ...string) ([]alpinePackage, error) {
	var packages []alpinePackage
	for _, set := range sets {
		rows, err := table("alpine.txt", set, 7)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			version := ""
			for when := oldest; when <= release; when++ {
				if r[3+when] != "" {
					version = r[3+when]
				}
			}
			if version != "-" {
				packages = append(packages, alpinePackage{name: r[0], origin: r[1], licence: r[2], version: version})
			}
		}
	}
	return packages, nil
}

// apkInstalled writes the packages as apk's database.
func apkInstalled(packages []alpinePackage, arch string) string {
	var out strings.Builder
	for _, p := range packages {
		sum := sha1.Sum([]byte(p.name + p.version + arch))
		fmt.Fprintf(&out, "C:Q1%s\nP:%s\nV:%s\nA:%s\n", base64.StdEncoding.EncodeToString(sum[:]), p.name, p.version, arch)
		fmt.Fprintf(&out, "S:%d\nI:%d\nT:%s as Alpine packages it\nU:https://pkgs.alpinelinux.org/\n", 900*len(p.name), 3100*len(p.name), p.name)
		fmt.Fprintf(&out, "L:%s\no:%s\nm:Alpine Developers <alpine-devel@lists.alpinelinux.org>\nt:1717200000\n\n", p.licence, p.origin)
	}
	return out.String()
}

// alpineVersion is the full version of a release.
func alpineVersion(release age) string { return [...]string{"3.18.4", "3.20.0", "3.20.3"}[release] }

func osReleaseAlpine(release age) string {
	version := alpineVersion(release)
	minor := version[:strings.LastIndex(version, ".")]
	return fmt.Sprintf("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=%s\nPRETTY_NAME=\"Alpine Linux v%s\"\nHOME_URL=\"https://alpinelinux.org/\"\nBUG_REPORT_URL=\"https://gitlab.alpinelinux.org/alpine/aports/-/issues\"\n", version, minor)
}

// apkArch is apk's name of an architecture.
func apkArch(arch string) string {
	if arch == "arm64" {
		return "aarch64"
	}
	return "x86_64"
}

// alpineRoot is the layer of a minimal Alpine.
func alpineRoot(media types.MediaType, packages []alpinePackage, release age, arch string) (*layer, error) {
	return newLayer(media,
		file{path: "etc/os-release", link: "../usr/lib/os-release"},
		file{path: "usr/lib/os-release", body: osReleaseAlpine(release)},
		file{path: "etc/alpine-release", body: alpineVersion(release) + "\n"},
		file{path: "etc/apk/arch", body: apkArch(arch) + "\n"},
		file{path: "lib/apk/db/installed", body: apkInstalled(packages, apkArch(arch))},
	)
}

// alpineChange is the layer of an apk add that leaves these packages behind.
func alpineChange(media types.MediaType, packages []alpinePackage, arch string, extra ...file) (*layer, error) {
	files := append([]file{{path: "lib/apk/db/installed", body: apkInstalled(packages, apkArch(arch))}}, extra...)
	return newLayer(media, files...)
}
