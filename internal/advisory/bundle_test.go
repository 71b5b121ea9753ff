package advisory_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// known is all that a ledger knows of flaws.
type known struct {
	records []string
	kev     []inventory.KEV
	epss    []inventory.EPSS
	feeds   []inventory.Feed
}

func (k known) EachAdvisory(_ context.Context, do func([]byte) error) error {
	for _, r := range k.records {
		if err := do([]byte(r)); err != nil {
			return err
		}
	}
	return nil
}

func (k known) EachEPSS(_ context.Context, do func(inventory.EPSS) error) error {
	for _, e := range k.epss {
		if err := do(e); err != nil {
			return err
		}
	}
	return nil
}

func (k known) AllKEV(context.Context) ([]inventory.KEV, error) { return k.kev, nil }
func (k known) Feeds(context.Context) ([]inventory.Feed, error) { return k.feeds, nil }

func much() known {
	due := time.Date(2024, 2, 3, 0, 0, 0, 0, time.UTC)
	k := known{
		kev:   []inventory.KEV{{CVE: "CVE-2024-0001", Added: &due, Due: &due}, {CVE: "CVE-2024-0002"}},
		epss:  []inventory.EPSS{{CVE: "CVE-2024-0001", Score: 0.00001, Percentile: 0.5}},
		feeds: []inventory.Feed{{Name: "osv/npm", Synced: due}, {Name: "osv/never"}},
	}
	records, _ := many(1200)
	for _, name := range slices.Sorted(maps.Keys(records)) {
		k.records = append(k.records, records[name])
	}
	return k
}

func export(t *testing.T, from known, key ed25519.PrivateKey) (path string, b advisory.Bundled) {
	t.Helper()
	var out bytes.Buffer
	b, err := advisory.Export(t.Context(), &out, from, key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "bundle.zip")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, b
}

func keys(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func TestBundle(t *testing.T) {
	from, into := much(), &sink{keep: true}
	public, private := keys(t)
	path, b := export(t, from, private)
	if _, again := export(t, from, private); again.ID != b.ID {
		t.Errorf("the same knowledge is %s and %s", b.ID, again.ID)
	}
	got, err := advisory.ImportSigned(t.Context(), path, public, into)
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != 1200 || got.KEV != 2 || got.EPSS != 1 || got.Malformed != 0 || len(into.records) != 1200 {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(from.kev, into.kev); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(from.epss, into.epss); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]advisory.BundleFeed{{Name: "osv/npm", Synced: from.feeds[0].Synced}}, got.Feeds); diff != "" {
		t.Error(diff)
	}
	if got, err := advisory.Import(t.Context(), path, &sink{}); err != nil || got.Records != 1200 {
		t.Errorf("without asking for a signature: %+v, %v", got, err)
	}
	dir := filepath.Dir(path)
	if got, err := advisory.Import(t.Context(), dir, &sink{}); err != nil || got.Records != 1200 {
		t.Errorf("from a directory: %+v, %v", got, err)
	}
}

func TestBundleOfNothing(t *testing.T) {
	path, b := export(t, known{}, nil)
	if b.Signed || b.ID == "" {
		t.Errorf("bundle %+v", b)
	}
	if _, err := advisory.Import(t.Context(), path, &sink{}); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// rewrite makes a zip of another, its files changed by edit.
func rewrite(t *testing.T, path string, edit func(files map[string][]byte)) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range z.File {
		in, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[entry.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	z.Close()
	edit(files)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entry, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBundleThatCannotBeTrusted: nothing of it is taken.
func TestBundleThatCannotBeTrusted(t *testing.T) {
	const manifest, signature = "tallyman-advisories.json", "tallyman-advisories.json.sig"
	for name, tc := range map[string]struct {
		edit func(files map[string][]byte)
		says string
	}{
		"a record was changed": {func(f map[string][]byte) {
			f["advisories.jsonl"] = bytes.Replace(f["advisories.jsonl"], []byte("A-7"), []byte("A-8"), 1)
		}, "advisories.jsonl is not what"},
		"a record was added":     {func(f map[string][]byte) { f["advisories.jsonl"] = append(f["advisories.jsonl"], record("B-1")...) }, "advisories.jsonl is not what"},
		"a file is missing":      {func(f map[string][]byte) { delete(f, "kev.json") }, `"kev.json" is missing`},
		"a file was added":       {func(f map[string][]byte) { f["more.jsonl"] = []byte(record("B-1")) }, `does not name "more.jsonl"`},
		"not signed":             {func(f map[string][]byte) { delete(f, signature) }, "it is not signed"},
		"signed by another":      {func(f map[string][]byte) { _, other := keys(t); f[signature] = ed25519.Sign(other, f[manifest]) }, "not of the given key"},
		"the manifest's changed": {func(f map[string][]byte) { f[manifest] = append(f[manifest], ' ') }, "not of the given key"},
		"a signature cut off":    {func(f map[string][]byte) { f[signature] = f[signature][:10] }, "not of the given key"},
		"no bundle":              {func(f map[string][]byte) { clear(f); f["A-1.json"] = []byte(record("A-1")) }, "only a bundle can be signed"},
	} {
		t.Run(name, func(t *testing.T) {
			public, private := keys(t)
			path, _ := export(t, much(), private)
			rewrite(t, path, tc.edit)
			into := &sink{}
			_, err := advisory.ImportSigned(t.Context(), path, public, into)
			if !errors.Is(err, inventory.ErrInvalid) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "nothing of it was taken") {
				t.Errorf("error %v", err)
			}
			if into.batches != 0 || into.kev != nil || into.epss != nil {
				t.Error("something was taken")
			}
		})
	}
}

// TestBundleOfAnotherVersion: without a key the manifest is held to its form.
func TestBundleOfAnotherVersion(t *testing.T) {
	for name, manifest := range map[string]string{"later": `{"format":"tallyman-advisories/2"}`, "none": `{`, "a file twice": `{"format":"tallyman-advisories/1","files":[{"name":"a"},{"name":"a"}]}`} {
		path, _ := export(t, much(), nil)
		rewrite(t, path, func(f map[string][]byte) { f["tallyman-advisories.json"] = []byte(manifest) })
		if _, err := advisory.Import(t.Context(), path, &sink{}); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzBundle(f *testing.F) {
	var out bytes.Buffer
	if _, err := advisory.Export(f.Context(), &out, known{records: []string{record("A-1")}, kev: []inventory.KEV{{CVE: "CVE-2024-0001"}}}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(out.Bytes()[:out.Len()/2])
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "b.zip")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		into := &sink{}
		if _, err := advisory.ImportSigned(t.Context(), path, make(ed25519.PublicKey, ed25519.PublicKeySize), into); err == nil || into.batches != 0 {
			t.Errorf("taken although nobody signed it: %v", err)
		}
		_, _ = advisory.Import(t.Context(), path, &sink{})
	})
}
