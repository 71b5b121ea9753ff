package advisory

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	maxEntries  = 5_000_000
	maxUnpacked = 64 << 30 // bytes of one zip, unpacked
	holdBytes   = 64 << 20 // bytes that verifying keeps, so that smaller feeds are unpacked once
)

// source is one file of an import. Verifying a zip may leave its records in held.
type source struct {
	path   string
	zip    bool
	again  bool // held does not have all of it
	held   []unpacked
	bundle *bundle
	opened *zip.ReadCloser // while bundle is in use
}

func (src *source) close() {
	if src.opened != nil {
		_ = src.opened.Close()
	}
}

type unpacked struct {
	name string
	raw  []byte
}

func isZip(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// verify reads every record of a zip once, so that a feed that is cut off or has a
// flipped bit is refused before the first of it is taken. Other files pass. Of budget
// it takes what it holds. With a key, only bundles that it signed pass.
func (src *source) verify(ctx context.Context, key ed25519.PublicKey, budget *int) error {
	f, err := os.Open(src.path)
	if err != nil {
		return fmt.Errorf("import %s: %w", src.path, err)
	}
	head := make([]byte, 4)
	_, err = io.ReadFull(f, head)
	_ = f.Close()
	src.zip = err == nil && isZip(head)
	if src.zip {
		if src.opened, err = zip.OpenReader(src.path); err != nil {
			return damaged(src.path, err)
		}
		src.bundle, err = openBundle(ctx, src.path, &src.opened.Reader, key)
		if err != nil || src.bundle != nil {
			return err
		}
		src.close()
		src.opened = nil
	}
	switch {
	case key != nil:
		return spoiled(src.path, "it is no bundle, and only a bundle can be signed")
	case !src.zip:
		return nil
	}
	return eachRecord(ctx, src.path, func(name string, raw []byte) error {
		if *budget -= len(raw); *budget >= 0 {
			src.held = append(src.held, unpacked{name, bytes.Clone(raw)})
		}
		return nil
	}, func(string, uint64) { *budget = -1 })
}

// zip takes the records of a zip that was verified.
func (run *importer) zip(ctx context.Context, src *source) error {
	if src.again {
		return eachRecord(ctx, src.path, func(name string, raw []byte) error {
			return run.document(ctx, bytes.Clone(raw), name)
		}, run.tooLarge)
	}
	for i := range src.held {
		if err := run.document(ctx, src.held[i].raw, src.held[i].name); err != nil {
			return err
		}
		src.held[i] = unpacked{}
	}
	src.held = nil
	return nil
}

func (run *importer) tooLarge(name string, size uint64) {
	run.result.problem(name, "%d bytes, more than %d", size, maxDocument)
}

// eachRecord calls do for every JSON file of a zip; raw is only good during the call.
// Records larger than allowed are told to large instead.
func eachRecord(ctx context.Context, name string, do func(name string, raw []byte) error, large func(name string, size uint64)) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return damaged(name, err)
	}
	defer func() { _ = z.Close() }()
	if len(z.File) > maxEntries {
		return inventory.Errorf(inventory.ErrInvalid, "import %s: more than %d files", name, maxEntries)
	}
	var total uint64
	var in inflater
	for _, entry := range z.File {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		if !isRecord(entry) {
			continue
		}
		if total += entry.UncompressedSize64; total > maxUnpacked {
			return inventory.Errorf(inventory.ErrInvalid, "import %s: more than %d bytes unpacked", name, int64(maxUnpacked))
		}
		if entry.UncompressedSize64 > maxDocument || entry.CompressedSize64 > maxDocument {
			large(entry.Name, entry.UncompressedSize64)
			continue
		}
		raw, err := in.unpack(entry)
		if err != nil {
			return damaged(name, fmt.Errorf("%s: %w", entry.Name, err))
		}
		if err := do(entry.Name, raw); err != nil {
			return err
		}
	}
	return nil
}

func isRecord(entry *zip.File) bool {
	base := path.Base(entry.Name)
	return strings.HasSuffix(base, ".json") && !strings.HasPrefix(base, ".") && entry.Mode().IsRegular()
}

// inflater unpacks one entry after the other with the same memory: for a feed's
// hundreds of thousands of small records, new buffers would cost more than unpacking.
type inflater struct {
	packed, plain []byte
	from          bytes.Reader
	flate         io.ReadCloser
}

// unpack is an entry's content, good until the next call, checked for size and CRC.
func (d *inflater) unpack(entry *zip.File) ([]byte, error) {
	raw, err := entry.OpenRaw()
	if err != nil {
		return nil, err
	}
	d.packed = grown(d.packed, entry.CompressedSize64)
	if _, err := io.ReadFull(raw, d.packed); err != nil {
		return nil, err
	}
	content := d.packed
	switch entry.Method {
	case zip.Store:
	case zip.Deflate:
		if content, err = d.inflate(entry.UncompressedSize64); err != nil {
			return nil, err
		}
	default:
		return nil, zip.ErrAlgorithm
	}
	if uint64(len(content)) != entry.UncompressedSize64 || crc32.ChecksumIEEE(content) != entry.CRC32 {
		return nil, zip.ErrChecksum
	}
	return content, nil
}

func (d *inflater) inflate(size uint64) ([]byte, error) {
	d.from.Reset(d.packed)
	if again, ok := d.flate.(flate.Resetter); ok {
		if err := again.Reset(&d.from, nil); err != nil {
			return nil, err
		}
	} else {
		d.flate = flate.NewReader(&d.from)
	}
	d.plain = grown(d.plain, size)
	if _, err := io.ReadFull(d.flate, d.plain); err != nil {
		return nil, err
	}
	if n, err := d.flate.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, zip.ErrFormat
	}
	return d.plain, nil
}

func grown(b []byte, size uint64) []byte {
	if uint64(cap(b)) < size {
		return make([]byte, size, size+size/4)
	}
	return b[:size]
}

func damaged(name string, err error) error {
	return inventory.Errorf(inventory.ErrInvalid, "import %s: the zip is damaged or incomplete: %w", name, err).
		WithRemedy("download it again; nothing of it was taken")
}
