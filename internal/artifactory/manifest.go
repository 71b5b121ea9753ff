package artifactory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// manifestTypes are all the kinds of manifest; to leave one out makes some
// servers answer with a conversion, or not at all. The last is for old ones.
const manifestTypes = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, application/json;q=0.5"

// Head is what a registry says of a tag without sending its manifest.
type Head struct {
	Digest    string
	MediaType string
	Size      int64
	Member    string // the repository behind a virtual that served it; "" = unknown
}

// headMemo makes the next question about a tag conditional.
type headMemo struct {
	etag string
	head Head
}

var digestShape = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Head asks a registry which digest a tag points to now. ErrNotFound: there is
// no such tag. It must not be asked of a remote repository, which may fetch.
func (c *Client) Head(ctx context.Context, r inventory.RepositoryKey, image, tag string) (Head, error) {
	act := fmt.Sprintf("look at %s:%s", joinKey(r.Key, image), tag)
	name := tagName{r.Key, image, tag}
	c.mu.Lock()
	memo := c.etags[name]
	c.mu.Unlock()
	resp, err := c.askManifest(ctx, http.MethodHead, r, image, tag, memo.etag)
	if err != nil {
		return Head{}, fmt.Errorf("%s: %w", act, err)
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusNotModified && memo.head.Digest != "" {
		return memo.head, nil
	}
	if resp.StatusCode != http.StatusOK {
		return Head{}, c.answerProblem(resp, peek(resp), act)
	}
	h := Head{
		Digest: resp.Header.Get("Docker-Content-Digest"), MediaType: mediaType(resp.Header),
		Size: resp.ContentLength, Member: resp.Header.Get("X-Artifactory-Docker-Registry"),
	}
	if !digestShape.MatchString(h.Digest) {
		h.Digest, err = c.hashManifest(ctx, r, image, tag)
		if err != nil {
			return Head{}, fmt.Errorf("%s: %w", act, err)
		}
	}
	c.remember(name, headMemo{etag: resp.Header.Get("Etag"), head: h})
	return h, nil
}

func (c *Client) remember(name tagName, m headMemo) {
	if m.etag == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	const most = 200_000
	if len(c.etags) >= most {
		clear(c.etags)
	}
	c.etags[name] = m
}

func (c *Client) askManifest(ctx context.Context, method string, r inventory.RepositoryKey, image, tag, etag string) (*http.Response, error) {
	base, hc := c.Endpoint(r.Key, r.PackageType, image)
	req, err := http.NewRequestWithContext(ctx, method, base+"/manifests/"+url.PathEscape(tag), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", manifestTypes)
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, c.transportProblem(err)
	}
	return resp, nil
}

// hashManifest reads a manifest, for registries that do not say its digest.
func (c *Client) hashManifest(ctx context.Context, r inventory.RepositoryKey, image, tag string) (string, error) {
	resp, err := c.askManifest(ctx, http.MethodGet, r, image, tag, "")
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return "", c.answerProblem(resp, peek(resp), "read the manifest")
	}
	const most = 8 << 20
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(resp.Body, most+1))
	if err != nil {
		return "", inventory.Errorf(inventory.ErrUnavailable, "read the manifest: %w", err)
	}
	if n > most {
		return "", inventory.Errorf(inventory.ErrInvalid, "the manifest is longer than %d bytes", most)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

func mediaType(h http.Header) string {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.TrimSpace(t)
}

func joinKey(key, image string) string {
	if key == "" {
		return image
	}
	return key + "/" + image
}

// Confirm asks whether a tag that a listing lacks is really gone. There: its
// digest, which is not told for what a remote has cached. Gone: ErrNotFound. Any other error: it could not be found out.
func (c *Client) Confirm(ctx context.Context, r inventory.RepositoryKey, image, tag string) (Head, error) {
	if r.Class != ClassRemote {
		return c.Head(ctx, r, image, tag)
	}
	var folder struct {
		Children []struct {
			URI string `json:"uri"`
		} `json:"children"`
	}
	where := "/api/storage/" + url.PathEscape(r.Key+"-cache") + "/" + escapePath(image) + "/" + url.PathEscape(tag)
	act := fmt.Sprintf("look for %s:%s in the cache", joinKey(r.Key, image), tag)
	if err := c.getJSON(ctx, where, act, 16<<20, &folder); err != nil {
		return Head{}, err
	}
	for _, child := range folder.Children {
		if child.URI == "/manifest.json" || child.URI == "/list.manifest.json" {
			return Head{}, nil
		}
	}
	return Head{}, inventory.Errorf(inventory.ErrNotFound, "%s: it is not there", act)
}
