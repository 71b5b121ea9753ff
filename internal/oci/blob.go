package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// resumes is how often a cut download is taken up again without a byte of
// progress between.
const resumes = 4

// getRange asks for a blob from an offset on. A server may ignore the range and
// send the whole (200).
func (r *Remote) getRange(ctx context.Context, what, p string, from, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Base+p, nil)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the registry's address is no URL")
	}
	// A transport that unpacks on its own would break digest and size.
	req.Header.Set("Accept-Encoding", "identity")
	if from == 0 {
		return r.do(what, req, http.StatusOK)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, size-1))
	resp, err := r.do(what, req, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)) {
			resp.Body.Close()
			return nil, inventory.Errorf(inventory.ErrInvalid, "the registry resumed %s at another place than asked", what)
		}
		return resp, nil
	}
	if _, err := io.CopyN(io.Discard, resp.Body, from); err != nil {
		resp.Body.Close()
		return nil, transportError(what, err)
	}
	return resp, nil
}

// blobReader streams one blob, takes a cut connection up again, and checks size
// and digest of the whole.
type blobReader struct {
	open   func(from int64) (*http.Response, error)
	wait   func(time.Duration) error
	want   Descriptor
	verify *verifier
	body   io.ReadCloser
	tries  int
	failed error
}

func (b *blobReader) dial() error {
	resp, err := b.open(b.verify.n) //nolint:bodyclose // blobReader.Close closes it
	if err != nil {
		return err
	}
	b.body = resp.Body
	return nil
}

func (b *blobReader) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	for {
		n, err := b.body.Read(p)
		if n > 0 {
			b.tries = 0
			b.failed = b.verify.write(p[:n], b.want)
			return n, b.failed
		}
		if err == nil {
			continue
		}
		if b.verify.n == b.want.Size && errors.Is(err, io.EOF) {
			b.failed = b.verify.end(b.want)
			return 0, b.failed
		}
		if err := b.resume(err); err != nil {
			b.failed = err
			return 0, err
		}
	}
}

// resume dials again after a cut until it works, the server refuses for good, or
// patience ends.
func (b *blobReader) resume(cause error) error {
	what := "blob " + b.want.Digest
	for b.tries < resumes {
		b.tries++
		b.body.Close()
		if err := b.wait(time.Duration(b.tries) * 200 * time.Millisecond); err != nil {
			return err
		}
		err := b.dial()
		if err == nil {
			return nil
		}
		b.body = http.NoBody
		if !errors.Is(err, inventory.ErrUnavailable) {
			return err
		}
		cause = err
	}
	if errors.Is(cause, io.EOF) {
		return inventory.Errorf(inventory.ErrUnavailable, "the registry sent %d of %d bytes of %s, again and again", b.verify.n, b.want.Size, what)
	}
	return transportError(what, cause)
}

func (b *blobReader) Close() error { return b.body.Close() }

// sleeper waits as long as ctx allows.
func sleeper(ctx context.Context) func(time.Duration) error {
	return func(d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// verifier holds a stream to its descriptor.
type verifier struct {
	h hash.Hash
	n int64
}

func newVerifier() *verifier { return &verifier{h: sha256.New()} }

func (v *verifier) write(p []byte, want Descriptor) error {
	v.h.Write(p)
	v.n += int64(len(p))
	if v.n > want.Size {
		return inventory.Errorf(inventory.ErrInvalid, "blob %s is longer than the %d bytes its manifest says", want.Digest, want.Size)
	}
	return nil
}

func (v *verifier) end(want Descriptor) error {
	if v.n != want.Size {
		return inventory.Errorf(inventory.ErrInvalid, "blob %s has %d bytes, its manifest says %d", want.Digest, v.n, want.Size)
	}
	if got := "sha256:" + hex.EncodeToString(v.h.Sum(nil)); got != want.Digest {
		return inventory.Errorf(inventory.ErrInvalid, "blob %s is corrupt: what came has digest %s", want.Digest, got)
	}
	return io.EOF
}

// verified holds any stream to its descriptor.
type verified struct {
	io.ReadCloser
	want   Descriptor
	verify *verifier
	failed error
}

func verifyStream(rc io.ReadCloser, d Descriptor) io.ReadCloser {
	return &verified{ReadCloser: rc, want: d, verify: newVerifier()}
}

func (v *verified) Read(p []byte) (int, error) {
	if v.failed != nil {
		return 0, v.failed
	}
	n, err := v.ReadCloser.Read(p)
	if werr := v.verify.write(p[:n], v.want); werr != nil {
		v.failed = werr
		return n, werr
	}
	if errors.Is(err, io.EOF) {
		v.failed = v.verify.end(v.want)
		return n, v.failed
	}
	return n, err
}
