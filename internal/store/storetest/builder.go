package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// Start is when the suite's stories begin.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// After is d after Start.
func After(d time.Duration) time.Time { return Start.Add(d) }

// Digest makes a digest of a word.
func Digest(word string) string {
	sum := sha256.Sum256([]byte(word))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// KeysOf is a small stand-in for the match stage: packages are matched by ecosystem and
// source name. Those without an ecosystem by nothing.
func KeysOf(p inventory.Package) []inventory.AffectedKey {
	if p.Ecosystem == "" {
		return nil
	}
	base, _, _ := strings.Cut(p.Ecosystem, ":")
	name := p.Name
	if p.SourceName != "" {
		name = p.SourceName
	}
	return []inventory.AffectedKey{{Ecosystem: base, Name: name}}
}

// AdvisoryKeys is KeysOf's other half.
func AdvisoryKeys(a inventory.Advisory) []inventory.AffectedKey {
	var keys []inventory.AffectedKey
	for _, aff := range a.Affected {
		base, _, _ := strings.Cut(aff.Ecosystem, ":")
		keys = append(keys, inventory.AffectedKey{Ecosystem: base, Name: aff.Name})
	}
	return keys
}

// Package makes "npm/left-pad@1.0.0": type, name, version.
func Package(spec string) inventory.Package {
	kind, rest, _ := strings.Cut(spec, "/")
	name, version, _ := strings.Cut(rest, "@")
	ecosystem := map[string]string{"npm": "npm", "deb": "Debian:12", "pypi": "PyPI"}[kind]
	return inventory.Package{
		PURL: "pkg:" + kind + "/" + name + "@" + version, Name: name, Version: version, Ecosystem: ecosystem, Licenses: []string{},
	}
}

// Layer is a layer of a made-up image: a name, and packages that it adds or removes,
// each "type/name@version" with an optional " in PATH" and " of OWNER".
type Layer struct {
	Name   string
	Add    []string
	Remove []string
}

func occurrence(spec string) inventory.Occurrence {
	spec, owner, _ := strings.Cut(spec, " of ")
	spec, location, _ := strings.Cut(spec, " in ")
	p := Package(spec)
	if location == "" {
		location = "files/" + p.Name
	}
	return inventory.Occurrence{Package: p, Location: location, OwnedBy: owner}
}

// Build makes an image of layers, and the chains that its index stage would record.
func Build(name string, layers ...Layer) (inventory.Image, []inventory.ChainRecord) {
	img := inventory.Image{
		Digest: Digest("image " + name), MediaType: "application/vnd.oci.image.manifest.v1+json", Kind: inventory.ImageKind,
		Platform: "linux/amd64", Indexer: 1, Size: int64(1000 * len(layers)),
		Distro: inventory.Distro{ID: "debian", Version: "12"}, Config: inventory.Config{Env: []string{"PATH=<redacted>"}, Labels: map[string]string{"a": "b"}},
		Origin: inventory.Origin{Source: "https://git.example/" + name, Revision: "abc"},
	}
	var chains []inventory.ChainRecord
	parent := ""
	for i, l := range layers {
		rec := inventory.ChainRecord{Parent: parent, DiffID: Digest("layer " + l.Name), Depth: i, Indexer: 1}
		rec.ChainID = rec.DiffID
		if parent != "" {
			rec.ChainID = Digest(parent + " " + rec.DiffID)
		}
		for _, spec := range l.Add {
			rec.Added = append(rec.Added, occurrence(spec))
		}
		for _, spec := range l.Remove {
			rec.Removed = append(rec.Removed, occurrence(spec))
		}
		img.Layers = append(img.Layers, inventory.ImageLayer{
			Index: i, DiffID: rec.DiffID, Digest: Digest("blob " + l.Name), Size: 1000, CreatedBy: "RUN " + l.Name, ChainID: rec.ChainID,
		})
		chains = append(chains, rec)
		parent = rec.ChainID
	}
	img.ChainID = parent
	return img, chains
}

// Sight makes a sighting of "KEY/image:tag".
func Sight(ref, digest string, at time.Time) inventory.Sighting {
	key, rest, _ := strings.Cut(ref, "/")
	image, tag, _ := strings.Cut(rest, ":")
	return inventory.Sighting{Key: key, Image: image, Tag: tag, Digest: digest, MediaType: "m", Pushed: at.Add(-time.Minute), At: at}
}

// Connect adds an integration.
func Connect(t testing.TB, s *store.Store, name string) int64 {
	t.Helper()
	id, err := s.AddIntegration(t.Context(), inventory.Integration{
		Name: name, Kind: inventory.KindArtifactory, URL: "https://" + name + ".example/artifactory", Registry: name + ".example", Username: "reader",
	}, inventory.Secrets{Password: "hunter2-" + name})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Look records sightings.
func Look(t testing.TB, s *store.Store, id int64, at time.Time, sightings ...inventory.Sighting) inventory.LookResult {
	t.Helper()
	res, err := s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookPoll, Sightings: sightings, At: at, Indexer: 1})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Index saves an image and its chains.
func Index(t testing.TB, s *store.Store, name string, layers ...Layer) inventory.Image {
	t.Helper()
	img, chains := Build(name, layers...)
	if err := s.SaveImage(t.Context(), img, chains); err != nil {
		t.Fatal(err)
	}
	return img
}

// Advisory makes an advisory that names packages "Debian/openssl".
func Advisory(id string, modified time.Time, packages ...string) inventory.Advisory {
	a := inventory.Advisory{ID: id, Modified: modified, Aliases: []string{}, Raw: []byte(fmt.Sprintf(`{"id":%q}`, id))}
	for _, p := range packages {
		ecosystem, name, _ := strings.Cut(p, "/")
		a.Affected = append(a.Affected, inventory.Affected{Ecosystem: ecosystem, Name: name})
	}
	return a
}

// Verdict makes a verdict on a package "type/name@version"; fixed may be empty.
func Verdict(pkg, flaw, severity, fixed string) inventory.Verdict {
	v := inventory.Verdict{
		PURL: Package(pkg).PURL, ID: flaw, AdvisoryID: "ADV-" + flaw, Modified: Start, Severity: severity, SeveritySource: "test",
		CVSSVector: "CVSS:3.1/AV:N", CVSSScore: 7.5, Range: ">=0", Comparator: "Test", Aliases: []string{"GHSA-" + flaw}, Summary: "about " + flaw,
	}
	if fixed != "" {
		v.Fixed = []string{fixed}
	}
	return v
}

// Judge saves verdicts on packages that need them and finishes the images.
func Judge(t testing.TB, s *store.Store, digest string, verdicts ...inventory.Verdict) {
	t.Helper()
	unmatched, err := s.UnmatchedPackages(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	purls := make([]string, 0, len(unmatched))
	for _, p := range unmatched {
		purls = append(purls, p.PURL)
	}
	if err := s.SaveVerdicts(t.Context(), purls, verdicts); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishImage(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
}
