package advisory

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// A bundle carries all that is known of flaws to where no network is: a zip of a few
// files, with a manifest that names each by its digest. The digest of the manifest is
// the bundle's id; a signature over the manifest covers everything.
const (
	bundleFormat   = "tallyman-advisories/1"
	manifestName   = "tallyman-advisories.json"
	signatureName  = manifestName + ".sig"
	recordsName    = "advisories.jsonl"
	kevName        = "kev.json"
	epssName       = "epss.csv"
	maxManifest    = 1 << 20
	maxBundleFiles = 16
)

// Manifest is what a bundle says of itself. It holds no time of its making, so that the
// same knowledge gives the same bundle.
type Manifest struct {
	Format string       `json:"format"`
	Files  []BundleFile `json:"files"`
	Feeds  []BundleFeed `json:"feeds"`
}

// BundleFile is one file of a bundle.
type BundleFile struct {
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
	Bytes   int64  `json:"bytes"`
	Records int    `json:"records"`
}

// BundleFeed is when a feed was last taken in where the bundle was made.
type BundleFeed struct {
	Name   string    `json:"name"`
	Synced time.Time `json:"synced"`
}

// Bundled is a bundle that was written.
type Bundled struct {
	ID string `json:"id"` // sha256:… of the manifest
	Manifest
	Signed bool `json:"signed"`
}

// Knowledge is where a bundle comes from.
type Knowledge interface {
	// EachAdvisory gives every record as it came, in the order of their ids.
	EachAdvisory(ctx context.Context, do func(raw []byte) error) error
	// EachEPSS and AllKEV are in the order of their CVE ids.
	EachEPSS(ctx context.Context, do func(inventory.EPSS) error) error
	AllKEV(ctx context.Context) ([]inventory.KEV, error)
	Feeds(ctx context.Context) ([]inventory.Feed, error)
}

// Export writes a bundle of all that is known, signed when key is not nil.
func Export(ctx context.Context, w io.Writer, from Knowledge, key ed25519.PrivateKey) (Bundled, error) {
	out := Bundled{Manifest: Manifest{Format: bundleFormat, Feeds: []BundleFeed{}}}
	z := &bundleWriter{zip: zip.NewWriter(w)}
	for _, part := range []struct {
		name  string
		write func(io.Writer) (int, error)
	}{
		{recordsName, func(w io.Writer) (int, error) { return exportRecords(ctx, w, from) }},
		{kevName, func(w io.Writer) (int, error) { return exportKEV(ctx, w, from) }},
		{epssName, func(w io.Writer) (int, error) { return exportEPSS(ctx, w, from) }},
	} {
		file, err := z.file(part.name, part.write)
		if err != nil {
			return out, fmt.Errorf("export %s: %w", part.name, err)
		}
		out.Files = append(out.Files, file)
	}
	feeds, err := from.Feeds(ctx)
	if err != nil {
		return out, fmt.Errorf("export: %w", err)
	}
	for _, f := range feeds {
		if !f.Synced.IsZero() {
			out.Feeds = append(out.Feeds, BundleFeed{f.Name, f.Synced.UTC()})
		}
	}
	return out, z.seal(&out, key)
}

type bundleWriter struct{ zip *zip.Writer }

func (b *bundleWriter) file(name string, write func(io.Writer) (int, error)) (BundleFile, error) {
	entry, err := b.zip.Create(name)
	if err != nil {
		return BundleFile{}, err
	}
	sum, size := sha256.New(), &counting{}
	buffered := bufio.NewWriterSize(io.MultiWriter(entry, sum, size), 64<<10)
	records, err := write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	return BundleFile{Name: name, SHA256: fmt.Sprintf("%x", sum.Sum(nil)), Bytes: size.n, Records: records}, err
}

// seal writes the manifest and its signature, and ends the zip.
func (b *bundleWriter) seal(out *Bundled, key ed25519.PrivateKey) error {
	manifest, err := json.MarshalIndent(out.Manifest, "", "  ")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(manifest)
	out.ID = fmt.Sprintf("sha256:%x", sum)
	parts := []unpacked{{manifestName, manifest}}
	if out.Signed = key != nil; out.Signed {
		parts = append(parts, unpacked{signatureName, ed25519.Sign(key, manifest)})
	}
	for _, part := range parts {
		entry, err := b.zip.Create(part.name)
		if err != nil {
			return err
		}
		if _, err := entry.Write(part.raw); err != nil {
			return err
		}
	}
	return b.zip.Close()
}

type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func exportRecords(ctx context.Context, w io.Writer, from Knowledge) (n int, err error) {
	err = from.EachAdvisory(ctx, func(raw []byte) error {
		n++
		if _, err := w.Write(raw); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n")
		return err
	})
	return n, err
}

func exportKEV(ctx context.Context, w io.Writer, from Knowledge) (int, error) {
	all, err := from.AllKEV(ctx)
	if err != nil {
		return 0, err
	}
	type entry struct {
		CVE   string `json:"cveID"`
		Added string `json:"dateAdded,omitempty"`
		Due   string `json:"dueDate,omitempty"`
	}
	entries := make([]entry, len(all))
	for i, k := range all {
		entries[i] = entry{k.CVE, date(k.Added), date(k.Due)}
	}
	return len(all), json.NewEncoder(w).Encode(map[string]any{"vulnerabilities": entries})
}

func date(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func exportEPSS(ctx context.Context, w io.Writer, from Knowledge) (n int, err error) {
	if _, err := io.WriteString(w, "cve,epss,percentile\n"); err != nil {
		return 0, err
	}
	err = from.EachEPSS(ctx, func(e inventory.EPSS) error {
		n++
		_, err := fmt.Fprintf(w, "%s,%g,%g\n", e.CVE, e.Score, e.Percentile)
		return err
	})
	return n, err
}

// bundle is one that was opened and found to be what its manifest says.
type bundle struct {
	manifest Manifest
	files    map[string]*zip.File
}

// openBundle answers nil when a zip is no bundle. key, when there is one, must have
// signed it.
func openBundle(ctx context.Context, path string, z *zip.Reader, key ed25519.PublicKey) (*bundle, error) {
	b := &bundle{files: map[string]*zip.File{}}
	for _, entry := range z.File {
		if entry.Name == manifestName {
			b.files[manifestName] = entry
		}
	}
	if b.files[manifestName] == nil {
		return nil, nil //nolint:nilnil // a feed's zip is none, which is no error
	}
	if len(z.File) > maxBundleFiles {
		return nil, spoiled(path, "it holds too many files")
	}
	for _, entry := range z.File {
		if b.files[entry.Name] != nil && entry.Name != manifestName {
			return nil, spoiled(path, "it holds %q twice", clip(entry.Name, 80))
		}
		b.files[entry.Name] = entry
	}
	raw, err := small(b.files[manifestName])
	if err != nil {
		return nil, spoiled(path, "its manifest cannot be read: %v", err)
	}
	if err := b.signed(path, raw, key); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &b.manifest); err != nil || b.manifest.Format != bundleFormat {
		return nil, spoiled(path, "its manifest is not one that this version reads")
	}
	return b, b.verify(ctx, path)
}

// signed demands key's signature over the manifest; without a key none is looked at.
func (b *bundle) signed(path string, manifest []byte, key ed25519.PublicKey) error {
	if key == nil {
		return nil
	}
	if b.files[signatureName] == nil {
		return spoiled(path, "it is not signed")
	}
	signature, err := small(b.files[signatureName])
	if err != nil || !ed25519.Verify(key, manifest, signature) {
		return spoiled(path, "its signature is not of the given key")
	}
	return nil
}

// verify holds every file to its digest, and the manifest to every file.
func (b *bundle) verify(ctx context.Context, path string) error {
	left := map[string]bool{}
	for name := range b.files {
		left[name] = name != manifestName && name != signatureName
	}
	for _, file := range b.manifest.Files {
		entry := b.files[file.Name]
		if entry == nil || !left[file.Name] {
			return spoiled(path, "%q is missing", clip(file.Name, 80))
		}
		left[file.Name] = false
		sum, err := digestOf(ctx, entry, file.Bytes)
		if err != nil || sum != file.SHA256 {
			if ctx.Err() != nil {
				return fmt.Errorf("import %s: %w", path, ctx.Err())
			}
			return spoiled(path, "%s is not what its manifest says", file.Name)
		}
	}
	for name, extra := range left {
		if extra {
			return spoiled(path, "its manifest does not name %q", clip(name, 80))
		}
	}
	return nil
}

func digestOf(ctx context.Context, entry *zip.File, size int64) (string, error) {
	in, err := entry.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	for n := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		m, err := io.CopyN(sum, in, 1<<20)
		if n += m; n > size {
			return "", errors.New("larger than it should be")
		}
		if errors.Is(err, io.EOF) {
			return fmt.Sprintf("%x", sum.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func small(entry *zip.File) ([]byte, error) {
	in, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, maxManifest))
}

func spoiled(path, format string, args ...any) error {
	return inventory.Errorf(inventory.ErrInvalid, "import %s: the bundle cannot be trusted: %s", path, fmt.Sprintf(format, args...)).
		WithRemedy("carry it over again, or ask whoever made it; nothing of it was taken")
}

// bundle takes the files of a bundle, which was verified.
func (run *importer) bundle(ctx context.Context, path string, b *bundle) error {
	for _, file := range b.manifest.Files {
		if file.Records == 0 {
			continue
		}
		in, err := b.files[file.Name].Open()
		if err != nil {
			return damaged(path, err)
		}
		err = run.plain(ctx, bufio.NewReaderSize(in, 64<<10), path+" "+file.Name)
		in.Close()
		if err != nil {
			return err
		}
	}
	run.result.Feeds = append(run.result.Feeds, b.manifest.Feeds...)
	return nil
}
