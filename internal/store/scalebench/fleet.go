package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	distros  = 100
	teams    = 5000
	repos    = 5000
	osCount  = 300 // packages of a distribution
	teamHas  = 80
	ownHas   = 18
	upgraded = 20 // packages that an image which rewrites the database upgrades
)

// fleet makes images, the same ones every time.
type fleet struct {
	images int
	bases  [][]inventory.ChainRecord // by distribution
	teams  [][]inventory.ChainRecord // the whole stack of a team's base
	began  time.Time
}

func digest(words ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(words...)))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func newFleet(images int) *fleet {
	f := &fleet{images: images, began: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for d := range distros {
		var all []inventory.Occurrence
		for p := range osCount {
			all = append(all, osPackage(d, p, 0))
		}
		f.bases = append(f.bases, []inventory.ChainRecord{chain(nil, digest("distro", d), all, nil)})
	}
	for t := range min(teams, max(images/20, 1)) {
		rng := rand.New(rand.NewPCG(1, uint64(t))) //nolint:gosec // the same fleet every time
		base := f.bases[t%distros]
		var all []inventory.Occurrence
		for range teamHas {
			all = append(all, library(rng))
		}
		f.teams = append(f.teams, append(base[:1:1], chain(&base[0], digest("team", t), all, nil)))
	}
	return f
}

// osPackage is a package of a distribution. Several share a release of it: the version of
// the first few is the same in a third of all.
func osPackage(distro, p, upgrade int) inventory.Occurrence {
	group := distro / (1 + p%10)
	if p < 10 {
		group = min(distro, 35) / 35
	}
	name, version := fmt.Sprint("os-package-", p), fmt.Sprintf("%d.%d-%d", 1+group, p%7, 1+upgrade)
	return inventory.Occurrence{Package: inventory.Package{
		PURL: "pkg:deb/debian/" + name + "@" + version + "?arch=amd64&distro=debian-12", Name: name, Version: version,
		Ecosystem: "Debian:12", SourceName: name, SourceVersion: version, Arch: "amd64", Licenses: []string{"MIT"},
	}, Location: "var/lib/dpkg/status"}
}

// library is a package of npm: few are everywhere, most are rare. There are some 40,000
// names of up to ten versions.
func library(rng *rand.Rand) inventory.Occurrence {
	x := rng.Float64()
	n := int(40_000 * x * x * x)
	return npm(fmt.Sprint("library-", n), fmt.Sprintf("1.%d.0", rng.IntN(10)))
}

func npm(name, version string) inventory.Occurrence {
	return inventory.Occurrence{Package: inventory.Package{
		PURL: "pkg:npm/" + name + "@" + version, Name: name, Version: version, Ecosystem: "npm", Licenses: []string{"Apache-2.0"},
	}, Location: "app/node_modules/" + name + "/package.json"}
}

func chain(on *inventory.ChainRecord, diffID string, added, removed []inventory.Occurrence) inventory.ChainRecord {
	rec := inventory.ChainRecord{ChainID: diffID, DiffID: diffID, Indexer: 1, Added: unique(added), Removed: removed}
	if on != nil {
		rec.Parent, rec.Depth, rec.ChainID = on.ChainID, on.Depth+1, digest(on.ChainID, " ", diffID)
	}
	return rec
}

func unique(list []inventory.Occurrence) []inventory.Occurrence {
	seen := map[string]bool{}
	var out []inventory.Occurrence
	for _, o := range list {
		if !seen[o.PURL] {
			seen[o.PURL] = true
			out = append(out, o)
		}
	}
	return out
}

// image is the n-th image with its stack.
func (f *fleet) image(n int) (inventory.Image, []inventory.ChainRecord) {
	rng := rand.New(rand.NewPCG(2, uint64(n))) //nolint:gosec // the same fleet every time
	t := rng.IntN(len(f.teams))
	stack := f.teams[t]
	added := []inventory.Occurrence{npm(fmt.Sprint("application-", n%400_000), "1.0.0")}
	for range ownHas {
		added = append(added, library(rng))
	}
	var removed []inventory.Occurrence
	switch rng.IntN(20) {
	case 0:
		for range upgraded {
			p := rng.IntN(osCount)
			old := osPackage(t%distros, p, 0)
			added, removed = append(added, osPackage(t%distros, p, 1+rng.IntN(3))), append(removed, old)
		}
	case 1:
		for range 3 {
			removed = append(removed, osPackage(t%distros, rng.IntN(osCount), 0))
		}
	}
	own := chain(&stack[len(stack)-1], digest("own", n), added, unique(removed))
	all := append(stack[:len(stack):len(stack)], own)
	img := inventory.Image{
		Digest: digest("image", n), MediaType: "application/vnd.oci.image.manifest.v1+json", Kind: inventory.ImageKind, Platform: "linux/amd64",
		Indexer: 1, Size: 50_000_000, ChainID: own.ChainID, Distro: inventory.Distro{ID: "debian", Version: "12"},
		Config: inventory.Config{Env: []string{"PATH=<redacted>"}, Labels: map[string]string{"org.opencontainers.image.source": "https://git.example/team"}},
		Origin: inventory.Origin{Source: "https://git.example/team", Revision: fmt.Sprintf("%040x", n)},
	}
	for i, c := range all {
		img.Layers = append(img.Layers, inventory.ImageLayer{Index: i, DiffID: c.DiffID, Digest: digest("blob", c.DiffID), Size: 1_000_000, CreatedBy: "COPY . /app", ChainID: c.ChainID})
	}
	return img, all
}

func (f *fleet) sighting(n int) inventory.Sighting {
	at := f.began.Add(time.Duration(n) * time.Second)
	repo := n % repos
	return inventory.Sighting{
		Key: fmt.Sprint("docker-", repo%50), Image: fmt.Sprintf("team%d/application%d", repo%500, repo), Tag: fmt.Sprint("1.", n/repos),
		Digest: digest("image", n), MediaType: "application/vnd.oci.image.manifest.v1+json", Created: at, Pushed: at, At: at,
	}
}
