package oci

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Remote is one repository of a registry, read over HTTP. Base is
// ".../v2/<image>" without a slash at the end; Client adds the credentials and
// keeps them from other hosts.
type Remote struct {
	Base   string
	Client *http.Client
}

var _ Source = (*Remote)(nil)

// accept names all four kinds: a registry asked for one kind only converts or refuses.
const accept = MediaOCIIndex + ", " + MediaDockerList + ", " + MediaOCIManifest + ", " + MediaDockerManifest

// Manifest implements Source.
func (r *Remote) Manifest(ctx context.Context, ref string) (Manifest, error) {
	if !IsDigest(ref) && !tagForm.MatchString(ref) {
		return Manifest{}, inventory.Errorf(inventory.ErrInvalid, "%q is neither a tag nor a sha256 digest", clip(ref, 150))
	}
	what := "manifest " + ref + " of " + r.name()
	resp, err := r.get(ctx, what, "/manifests/"+ref, accept)
	if err != nil {
		return Manifest{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxManifest+1))
	if err != nil {
		return Manifest{}, transportError(what, err)
	}
	if len(raw) > MaxManifest {
		return Manifest{}, inventory.Errorf(inventory.ErrInvalid, "%s has more than %d bytes", what, MaxManifest)
	}
	contentType := resp.Header.Get("Content-Type")
	if strings.HasPrefix(contentType, "text/html") {
		return Manifest{}, inventory.Errorf(inventory.ErrUnavailable, "the registry answered with a web page for %s", what).
			WithRemedy("check the URL: a sign-in or maintenance page stands before the registry")
	}
	want := ref
	if !IsDigest(ref) {
		want = resp.Header.Get("Docker-Content-Digest")
	}
	if got := Digest(raw); IsDigest(want) && got != want {
		return Manifest{}, inventory.Errorf(inventory.ErrInvalid, "%s has digest %s, not %s", what, got, want)
	}
	return ParseManifest(raw, contentType)
}

// Blob implements Source. A cut connection is resumed with a Range request.
func (r *Remote) Blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	if !IsDigest(d.Digest) {
		return nil, inventory.Errorf(inventory.ErrUnsupported, "%q is no sha256 digest", clip(d.Digest, 150))
	}
	b := &blobReader{open: func(from int64) (*http.Response, error) {
		return r.getRange(ctx, "blob "+d.Digest+" of "+r.name(), "/blobs/"+d.Digest, from, d.Size)
	}, wait: sleeper(ctx), want: d, verify: newVerifier()}
	return b, b.dial()
}

// Referrers implements Source: the referrers API, then the tag that stands in for
// it on older registries.
func (r *Remote) Referrers(ctx context.Context, digest string) ([]Descriptor, error) {
	if !IsDigest(digest) {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%q is no sha256 digest", clip(digest, 150))
	}
	what := "referrers of " + digest
	resp, err := r.get(ctx, what, "/referrers/"+digest, MediaOCIIndex)
	if err == nil {
		defer resp.Body.Close()
		var index rawManifest
		if err := json.NewDecoder(io.LimitReader(resp.Body, MaxManifest)).Decode(&index); err == nil {
			return index.Manifests, checkDescriptors(what, index.Manifests)
		}
		return nil, nil // a page that is no index: the registry does not know the question
	}
	if errors.Is(err, inventory.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return nil, err
	}
	m, err := r.Manifest(ctx, strings.Replace(digest, ":", "-", 1))
	if errors.Is(err, inventory.ErrNotFound) || errors.Is(err, inventory.ErrForbidden) || errors.Is(err, inventory.ErrUnsupported) {
		return nil, nil
	}
	return m.Members, err
}

func (r *Remote) get(ctx context.Context, what, p, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Base+p, nil)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the registry's address is no URL")
	}
	req.Header.Set("Accept", accept)
	return r.do(what, req, http.StatusOK)
}

func (r *Remote) do(what string, req *http.Request, want ...int) (*http.Response, error) {
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, transportError(what, withoutURL(err))
	}
	for _, w := range want {
		if resp.StatusCode == w {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	return nil, statusError(what, resp)
}

// name is the repository for sentences, without host and credentials.
func (r *Remote) name() string {
	u, err := url.Parse(r.Base)
	if err != nil {
		return "the repository"
	}
	if _, image, ok := strings.Cut(u.Path, "/v2/"); ok {
		return image
	}
	return path.Base(u.Path)
}

// withoutURL takes the address out of an HTTP error: a signed storage URL in it
// is a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
