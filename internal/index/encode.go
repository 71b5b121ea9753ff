package index

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// encoding is the version of the layer record's form. It changes together with
// Version, so that an old body is never read as a new one.
const encoding = 1

// maxBody bounds what a record may unpack to, in bytes: bodies come from other
// watchers too.
const maxBody = 512 << 20

// codec packs and unpacks records. One serves any number of goroutines.
type codec struct {
	zw *zstd.Encoder
	zr *zstd.Decoder
}

func newCodec() *codec {
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("zstd options: " + err.Error()) // constants above; cannot depend on data
	}
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		panic("zstd options: " + err.Error()) // the same
	}
	return &codec{zw, zr}
}

// encode writes a record: one byte of version, then zstd of varints, strings by
// number in a table, and path hashes as differences.
func (c *codec) encode(r *record) []byte {
	var e encoder
	e.files(r.Files)
	e.hashes(r.Written)
	e.hashes(r.Dirs)
	e.strings(r.Whiteouts)
	e.strings(r.Opaque)
	e.links(r.Links)
	e.links(r.Hard)
	e.uint(uint64(len(r.Problems)))
	for _, p := range r.Problems {
		e.string(p.Path)
		e.string(p.Text)
	}
	return c.zw.EncodeAll(e.b, []byte{encoding})
}

type encoder struct {
	b     []byte
	table map[string]uint64
}

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

// string writes a string, or the number of one that was written before.
func (e *encoder) string(s string) {
	if n, ok := e.table[s]; ok {
		e.uint(n<<1 | 1)
		return
	}
	if e.table == nil {
		e.table = map[string]uint64{}
	}
	e.table[s] = uint64(len(e.table))
	e.uint(uint64(len(s)) << 1)
	e.b = append(e.b, s...)
}

func (e *encoder) strings(ss []string) {
	e.uint(uint64(len(ss)))
	for _, s := range ss {
		e.string(s)
	}
}

func (e *encoder) hashes(hs []uint64) {
	e.uint(uint64(len(hs)))
	var last uint64
	for _, h := range hs {
		e.uint(h - last)
		last = h
	}
}

func (e *encoder) links(ls []link) {
	e.uint(uint64(len(ls)))
	for _, l := range ls {
		e.string(l.Path)
		e.string(l.Target)
	}
}

func (e *encoder) files(fs []file) {
	e.uint(uint64(len(fs)))
	for _, f := range fs {
		e.string(f.Path)
		e.uint(uint64(f.Size))
		e.b = append(e.b, f.SHA256[:]...)
		e.string(f.Reader)
		e.string(f.Text)
		e.uint(uint64(len(f.Pkgs)))
		for _, p := range f.Pkgs {
			e.pkg(p)
		}
		e.uint(uint64(len(f.Owns)))
		for _, o := range f.Owns {
			e.string(o.Name)
			e.string(o.Arch)
			e.hashes(o.Hashes)
		}
	}
}

func (e *encoder) pkg(p pkg) {
	for _, s := range []string{p.Type, p.Name, p.Version, p.Arch, p.SourceName, p.SourceVersion, p.Inside, p.Extra} {
		e.string(s)
	}
	e.uint(uint64(p.Epoch))
	e.strings(p.Licenses)
	if p.Declared {
		e.uint(1)
	} else {
		e.uint(0)
	}
}

var errShort = errors.New("the record ends too early")

// decode reads what encode wrote. It trusts nothing: a record may come from
// another machine.
func (c *codec) decode(body []byte) (*record, error) {
	if len(body) == 0 || body[0] != encoding {
		return nil, inventory.Errorf(inventory.ErrInvalid, "a layer record of another form than %d", encoding)
	}
	raw, err := c.zr.DecodeAll(body[1:], nil)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "a layer record cannot be unpacked: %w", err)
	}
	d := decoder{b: raw}
	r := &record{Files: d.files(), Written: d.hashes(), Dirs: d.hashes(), Whiteouts: d.strings(), Opaque: d.strings(), Links: d.links(), Hard: d.links()}
	for range d.count(2) {
		r.Problems = append(r.Problems, problem{d.string(), d.string()})
	}
	if d.err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "a layer record is damaged: %w", d.err)
	}
	return r, nil
}

type decoder struct {
	b     []byte
	table []string
	err   error
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) fail() {
	d.err, d.b = errShort, nil
}

// count reads the length of a list whose items take at least size bytes each, so
// that a lying length cannot ask for memory.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	v := d.uint()
	if v&1 == 1 {
		if v>>1 >= uint64(len(d.table)) {
			d.fail()
			return ""
		}
		return d.table[v>>1]
	}
	n := v >> 1
	if d.err != nil || n > uint64(len(d.b)) {
		d.fail()
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	d.table = append(d.table, s)
	return s
}

func (d *decoder) strings() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.string())
	}
	return out
}

func (d *decoder) hashes() []uint64 {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	out := make([]uint64, 0, n)
	var last uint64
	for range n {
		last += d.uint()
		out = append(out, last)
	}
	return out
}

func (d *decoder) links() []link {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	out := make([]link, 0, n)
	for range n {
		out = append(out, link{d.string(), d.string()})
	}
	return out
}

func (d *decoder) files() []file {
	n := d.count(38)
	if n == 0 {
		return nil
	}
	out := make([]file, 0, n)
	for range n {
		f := file{Path: d.string(), Size: int64(d.uint() & math.MaxInt64)}
		if len(d.b) < len(f.SHA256) {
			d.fail()
			break
		}
		copy(f.SHA256[:], d.b)
		d.b = d.b[len(f.SHA256):]
		f.Reader, f.Text = d.string(), d.string()
		for range d.count(11) {
			f.Pkgs = append(f.Pkgs, d.pkg())
		}
		for range d.count(3) {
			f.Owns = append(f.Owns, owned{Name: d.string(), Arch: d.string(), Hashes: d.hashes()})
		}
		out = append(out, f)
	}
	return out
}

func (d *decoder) pkg() pkg {
	var p pkg
	for _, s := range []*string{&p.Type, &p.Name, &p.Version, &p.Arch, &p.SourceName, &p.SourceVersion, &p.Inside, &p.Extra} {
		*s = d.string()
	}
	p.Epoch = int(d.uint() & math.MaxInt32)
	p.Licenses = d.strings()
	p.Declared = d.uint() == 1
	return p
}
