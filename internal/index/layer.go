package index

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// layerReader reads layers. One serves any number of goroutines.
type layerReader struct {
	list   []extractor
	limits Limits
	mem    *memory
	dir    string // temporary files
}

// pass is one reading of one layer.
type pass struct {
	*layerReader
	rec      record
	order    []mark
	links    links
	files    []pending
	byPath   map[string]int           // the newest of files under a path
	again    map[string][]pendingName // hard link target -> wanted names; needs a second reading
	hardTo   map[string]string        // names in rec.Hard, and where they lead
	hashed   map[uint64]bool          // hashes of order[:known], built when a hard link asks
	known    int
	spool    spool
	peek     *bufio.Reader
	lastDir  string // cache: the directory of the entry before, as written
	lastReal string // and resolved
	packages int
	full     bool // a limit on entries was hit; the rest is only verified
}

// mark is one path in the order it was written.
type mark struct {
	hash uint64
	dir  bool
}

// pending is a file that was read and where in the order it was written.
type pending struct {
	file
	seq int
}

// pendingName is a name that a file of the same layer has besides its first.
type pendingName struct {
	name string
	seq  int
}

// maxProblems bounds the problems kept of one layer.
const maxProblems = 200

// read reads a layer in one pass and gives its record and the diff ID of what
// really came. open is called once, and a second time only where a hard link
// gives a file a name that makes it interesting. An error means that the layer as
// a whole is unusable or could not be read to its end.
func (l *layerReader) read(ctx context.Context, open func() (io.ReadCloser, error)) (*record, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.limits.LayerTime, inventory.Errorf(inventory.ErrInvalid, "reading the layer took longer than %s", l.limits.LayerTime))
	defer cancel()
	p := &pass{layerReader: l, links: links{}, byPath: map[string]int{}, again: map[string][]pendingName{}, spool: spool{mem: l.mem, dir: l.dir}, peek: bufio.NewReaderSize(nil, 4096)}
	defer p.spool.drop()
	diffID, err := p.stream(ctx, open, p.entry)
	if err == nil && len(p.again) > 0 {
		var second string
		second, err = p.stream(ctx, open, p.secondEntry)
		if err == nil && second != diffID {
			err = inventory.Errorf(inventory.ErrInvalid, "the layer changed between two readings")
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, "", err
	}
	return p.finish(), diffID, nil
}

// stream reads the layer to its very end: the diff ID covers the padding, the
// digest the bytes after the last block.
func (p *pass) stream(ctx context.Context, open func() (io.ReadCloser, error), entry func(context.Context, *tar.Header, *tar.Reader) error) (string, error) {
	rc, err := open()
	if err != nil {
		return "", err
	}
	defer rc.Close()
	compressed := bufio.NewReaderSize(rc, 256<<10)
	plain, err := decompress(compressed)
	if err != nil {
		return "", streamError(err)
	}
	defer plain.Close()
	sum := &hashReader{r: plain, h: sha256.New(), left: p.limits.LayerBytes, last: p.limits.LayerBytes, done: ctx.Err}
	if err := p.entries(ctx, tar.NewReader(sum), entry); err != nil {
		return "", streamError(err)
	}
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return "", streamError(err)
	}
	if _, err := io.Copy(io.Discard, compressed); err != nil {
		return "", streamError(err)
	}
	return "sha256:" + hex.EncodeToString(sum.h.Sum(nil)), nil
}

// streamError gives a kind to what the decompressor and the tar reader say: the
// bytes were verified, so they will not get better.
func streamError(err error) error {
	var known *inventory.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return inventory.Errorf(inventory.ErrInvalid, "the layer is corrupt: %w", err)
}

func (p *pass) entries(ctx context.Context, tr *tar.Reader, entry func(context.Context, *tar.Header, *tar.Reader) error) error {
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := entry(ctx, h, tr); err != nil {
			return err
		}
	}
}

// hashReader computes the diff ID and holds the limit on bytes.
type hashReader struct {
	r    io.Reader
	h    hash.Hash
	left int64
	done func() error
	last int64 // left, when done was asked last
}

func (r *hashReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.h.Write(p[:n])
	if r.left -= int64(n); r.left < 0 {
		return n, inventory.Errorf(inventory.ErrInvalid, "the layer unpacks to more bytes than the limit allows")
	}
	if err == nil && r.last-r.left > 1<<20 { // now and then: a context costs a lock
		r.last, err = r.left, r.done()
	}
	return n, err
}

// entry takes in one entry of the first reading.
func (p *pass) entry(ctx context.Context, h *tar.Header, tr *tar.Reader) error {
	name := p.name(h)
	if name == "" || p.full {
		return nil
	}
	if len(p.order) >= p.limits.LayerFiles {
		p.full = true
		p.problem("", fmt.Sprintf("the layer has more than %d entries; the rest was not looked at", p.limits.LayerFiles))
		return nil
	}
	if p.whiteout(name) {
		return nil
	}
	p.order = append(p.order, mark{pathHash(name), h.Typeflag == tar.TypeDir})
	delete(p.links, name)
	delete(p.hardTo, name)
	switch h.Typeflag {
	case tar.TypeDir:
		if f, ok := nixPackage(name); ok {
			p.keep(f, len(p.order))
		}
	case tar.TypeReg:
		return p.regular(ctx, name, h, tr)
	case tar.TypeSymlink:
		p.links[name] = h.Linkname
		p.lastDir = "\x00" // what was resolved before may lead elsewhere now
	case tar.TypeLink:
		p.hardLink(name, h)
	}
	return nil
}

// name is an entry's path, resolved through the layer's own links; "" for what is
// no file at all.
func (p *pass) name(h *tar.Header) string {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return ""
	}
	name := cleanPath(h.Name)
	if len(name) > p.limits.PathLength {
		p.problem(clipText(name, 100), fmt.Sprintf("its path has %d bytes; at most %d are read", len(name), p.limits.PathLength))
		return ""
	}
	if len(p.links) == 0 {
		return name
	}
	dir, base := path.Split(name)
	if dir != p.lastDir {
		p.lastDir, p.lastReal = dir, p.links.follow(dir)
	}
	return path.Join(p.lastReal, base)
}

// whiteout records a deletion. Names under .wh..wh. are the storage driver's own.
func (p *pass) whiteout(name string) bool {
	base := path.Base(name)
	if !strings.HasPrefix(base, ".wh.") {
		return false
	}
	dir := parentDir(name)
	switch gone := base[len(".wh."):]; {
	case gone == ".wh..opq":
		p.rec.Opaque = append(p.rec.Opaque, dir)
	case strings.HasPrefix(gone, ".wh."):
	case gone != "" && gone != "." && gone != "..":
		p.rec.Whiteouts = append(p.rec.Whiteouts, path.Join(dir, gone))
	}
	return true
}

func (p *pass) problem(where, text string) {
	if len(p.rec.Problems) < maxProblems {
		p.rec.Problems = append(p.rec.Problems, problem{where, clipText(strings.ToValidUTF8(text, "?"), 500)})
	}
}

func (p *pass) regular(ctx context.Context, name string, h *tar.Header, tr *tar.Reader) error {
	c := newCandidate(name, h.Size, h.Mode)
	e := choose(p.list, c)
	if e == nil {
		return nil
	}
	return p.spoolAndRead(ctx, e, []pendingName{{name, len(p.order)}}, h.Size, tr)
}

// spoolAndRead reads one file for one extractor, under one or more names.
func (p *pass) spoolAndRead(ctx context.Context, e *extractor, names []pendingName, size int64, r io.Reader) error {
	if e.exec {
		p.peek.Reset(r)
		magic, err := p.peek.Peek(4)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !executableMagic(magic) {
			return nil
		}
		r = p.peek
	}
	if size > p.limits.SpoolFile {
		p.problem(names[0].name, fmt.Sprintf("it has %d bytes; files up to %d are read", size, p.limits.SpoolFile))
		return nil
	}
	data, sum, release, err := p.spool.keep(r, size)
	if err != nil {
		return err
	}
	defer release()
	for _, n := range names {
		in := &input{path: n.name, size: size, data: data, limits: p.limits, dir: p.dir}
		f := file{Path: n.name, Size: size, SHA256: sum, Reader: e.name}
		p.extract(ctx, e, in, &f)
		p.keep(f, n.seq)
	}
	return nil
}

func (p *pass) keep(f file, seq int) {
	p.byPath[f.Path] = len(p.files)
	p.files = append(p.files, pending{f, seq})
}

// extract runs an extractor so that neither its panic nor its error costs more
// than the one file.
func (p *pass) extract(ctx context.Context, e *extractor, in *input, f *file) {
	ctx, cancel := context.WithTimeout(ctx, p.limits.ExtractTime)
	defer cancel()
	got, err := guarded(ctx, e, in)
	if err != nil {
		p.problem(in.path, e.name+": "+err.Error())
	}
	for _, n := range got.notes {
		p.problem(in.path, n)
	}
	p.packages += len(got.pkgs)
	if p.packages > p.limits.Packages {
		p.problem(in.path, fmt.Sprintf("the layer has more than %d packages; those of this file were left out", p.limits.Packages))
		p.packages -= len(got.pkgs)
		return
	}
	f.Pkgs, f.Owns, f.Text = got.pkgs, got.owns, got.text
}

func guarded(ctx context.Context, e *extractor, in *input) (f found, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the reader broke on this file: %v", v)
		}
	}()
	return e.read(ctx, in)
}
