package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// memory is the budget that all layers being read share.
type memory struct {
	left atomic.Int64
}

func newMemory(n int64) *memory {
	m := &memory{}
	m.left.Store(n)
	return m
}

// take asks for n bytes; false means: use a file.
func (m *memory) take(n int64) bool {
	if m.left.Add(-n) >= 0 {
		return true
	}
	m.left.Add(n)
	return false
}

func (m *memory) give(n int64) { m.left.Add(n) }

// contents is one spooled file.
type contents interface {
	io.Reader
	io.ReaderAt
	io.Seeker
}

// spool holds one file of a layer at a time: in a buffer that is used again, or
// in a temporary file that has no name.
type spool struct {
	mem  *memory
	dir  string
	buf  []byte
	held int64 // bytes of the budget that buf has
}

// keep reads size bytes. release must be called before the next keep.
func (s *spool) keep(r io.Reader, size int64) (c contents, sum [32]byte, release func(), err error) {
	if size > int64(cap(s.buf)) {
		s.grow(size)
	}
	if size <= int64(cap(s.buf)) {
		b := s.buf[:size]
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, sum, nil, err
		}
		return bytes.NewReader(b), sha256.Sum256(b), func() {}, nil
	}
	return s.toFile(r, size)
}

// grow asks the budget for a larger buffer, in powers of two.
func (s *spool) grow(size int64) {
	want := int64(64 << 10)
	for want < size {
		want *= 2
	}
	s.drop()
	if s.mem.take(want) {
		s.held, s.buf = want, make([]byte, want)
	}
}

// drop gives the buffer back.
func (s *spool) drop() {
	s.mem.give(s.held)
	s.held, s.buf = 0, nil
}

func (s *spool) toFile(r io.Reader, size int64) (contents, [32]byte, func(), error) {
	var sum [32]byte
	f, err := os.CreateTemp(s.dir, "tallyman-spool-")
	if err != nil {
		return nil, sum, nil, spoolError(size, err)
	}
	os.Remove(f.Name())
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), r, size); err != nil {
		f.Close()
		return nil, sum, nil, spoolError(size, err)
	}
	h.Sum(sum[:0])
	return f, sum, func() { f.Close() }, nil
}

// spoolError tells our own disk's trouble, which may pass, from the layer's.
func spoolError(size int64, err error) error {
	var own *fs.PathError
	if errors.As(err, &own) {
		return inventory.Errorf(inventory.ErrUnavailable, "a temporary file of %d bytes cannot be written: %w", size, own.Err).
			WithRemedy("free space for temporary files")
	}
	return err
}
