package advisory

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const attempts = 3

// client sends credentials to the base's host only: a redirect elsewhere loses them.
func client(o Options, base *url.URL) *http.Client {
	from := o.Client
	if from == nil {
		from = &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			IdleConnTimeout:       time.Minute,
			ForceAttemptHTTP2:     true,
		}}
	}
	made := *from
	if o.Secret != "" {
		next := from.Transport
		if next == nil {
			next = &http.Transport{Proxy: http.ProxyFromEnvironment}
		}
		made.Transport = &signer{next: next, base: base, user: o.Username, secret: o.Secret}
	}
	return &made
}

type signer struct {
	next   http.RoundTripper
	base   *url.URL
	user   string
	secret string
}

func (s *signer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Authorization") // net/http carries it to subdomains of where it was for
	if r.URL.Scheme == s.base.Scheme && r.URL.Host == s.base.Host {
		if s.user != "" {
			r.SetBasicAuth(s.user, s.secret)
		} else {
			r.Header.Set("Authorization", "Bearer "+s.secret)
		}
	}
	return s.next.RoundTrip(r)
}

// answer is what a conditional download brought.
type answer struct {
	unchanged bool
	etag      string
	modified  string
}

// get downloads to path unless the server says that nothing changed. A download that
// is cut off is an error. What may pass is tried again.
func (s *syncer) get(ctx context.Context, address, path, etag, modified string) (answer, error) {
	pause := s.Retry
	for n := 1; ; n++ {
		got, err := s.once(ctx, address, path, etag, modified)
		if err == nil || n == attempts || !errors.Is(err, inventory.ErrUnavailable) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, fmt.Errorf("download %s: %w", bare(address), ctx.Err())
		case <-time.After(pause):
			pause *= 4
		}
	}
}

func (s *syncer) once(ctx context.Context, address, path, etag, modified string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, inventory.Errorf(inventory.ErrInvalid, "not an address: %q", bare(address))
	}
	request.Header.Set("User-Agent", "tallyman")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	} else if modified != "" {
		request.Header.Set("If-Modified-Since", modified)
	}
	response, err := s.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return answer{}, fmt.Errorf("download %s: %w", bare(address), ctx.Err())
		}
		return answer{}, inventory.Errorf(inventory.ErrUnavailable, "download %s: %w", bare(address), unwrapURL(err))
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNotModified:
		return answer{unchanged: true}, nil
	case http.StatusOK:
		got := answer{etag: response.Header.Get("ETag"), modified: response.Header.Get("Last-Modified")}
		return got, s.save(response, bare(address), path)
	}
	return answer{}, refused(bare(address), response)
}

// save writes a body to a file, whole or not at all.
func (s *syncer) save(response *http.Response, address, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("download %s: %w", address, err)
	}
	n, err := io.Copy(file, io.LimitReader(response.Body, s.MaxBytes+1))
	if err == nil && n > s.MaxBytes {
		err = inventory.Errorf(inventory.ErrInvalid, "larger than %d bytes", s.MaxBytes)
	}
	if err == nil && response.ContentLength > 0 && n != response.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	var local *os.PathError
	shut := file.Close()
	switch {
	case errors.As(err, &local), errors.Is(err, inventory.ErrInvalid):
		return fmt.Errorf("download %s: %w", address, err)
	case err != nil:
		return inventory.Errorf(inventory.ErrUnavailable, "download %s: cut off after %d bytes: %w", address, n, err)
	case shut != nil:
		return fmt.Errorf("download %s: %w", address, shut)
	}
	return nil
}

// refused says what a status means.
func refused(address string, response *http.Response) error {
	status := strconv.Itoa(response.StatusCode)
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized:
		return inventory.Errorf(inventory.ErrUnauthorized, "download %s: HTTP %s", address, status).
			WithRemedy("give credentials for the source of advisories")
	case code == http.StatusForbidden:
		return inventory.Errorf(inventory.ErrForbidden, "download %s: HTTP %s", address, status).
			WithRemedy("let the account read the source of advisories")
	case code == http.StatusNotFound:
		return inventory.Errorf(inventory.ErrNotFound, "download %s: HTTP %s", address, status).
			WithRemedy("check the address and the name of the ecosystem")
	case code == http.StatusTooManyRequests || code >= 500:
		return inventory.Errorf(inventory.ErrUnavailable, "download %s: HTTP %s", address, status)
	}
	return inventory.Errorf(inventory.ErrInvalid, "download %s: HTTP %s", address, status)
}

// bare is an address without what may be secret in it.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the given address"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// unwrapURL leaves out the address that net/http puts into its errors: it may hold a
// password or a signed query.
func unwrapURL(err error) error {
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// countRecords reads only a zip's directory.
func countRecords(path string) (int, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return 0, damaged(path, err)
	}
	defer func() { _ = z.Close() }()
	n := 0
	for _, entry := range z.File {
		if isRecord(entry) {
			n++
		}
	}
	return n, nil
}
