package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Key is one repository key that the demo pushes to.
type Key struct {
	Name        string
	PackageType string // "docker" or "oci"
	Description string
}

// Keys are the repository keys that the registry must have before Push.
func Keys() []Key {
	return []Key{
		{keyBase, "docker", "base images"},
		{keyDev, "docker", "every build of the main branch"},
		{keyProd, "docker", "what runs in production"},
		{keyEdge, "oci", "images of the edge team"},
	}
}

// Options say what the images are made of.
type Options struct {
	// Now is what the dates of the images lie before; zero is the present. The same
	// Now, with the same executable, makes the same digests.
	Now time.Time
	// Executable is put into one image as it is; empty leaves that image out.
	Executable string
}

// Target is a registry to push to, in repository path mode: HOST/KEY/image:tag.
type Target struct {
	Registry  string // host and port
	Username  string
	Password  string
	PlainHTTP bool
	Transport http.RoundTripper // nil is the registry library's own
}

// Tag is one tag of the fleet and the digest it points to in the end.
type Tag struct {
	Key, Image, Tag string
	Digest          string
}

// Fleet is all images of the demo, made and ready to be pushed.
type Fleet struct {
	tags []published
	late []published
}

// New makes the images, in memory: a few megabytes, and the compressed executable.
func New(opts Options) (*Fleet, error) {
	b := &baker{now: opts.Now.UTC(), exe: opts.Executable}
	if opts.Now.IsZero() {
		b.now = time.Now().UTC()
	}
	b.bases()
	b.storefront()
	b.catalog()
	b.payments()
	b.backoffice()
	b.gateway()
	b.itself()
	b.collector()
	b.bridge()
	if b.err != nil {
		return nil, fmt.Errorf("make the demo's images: %w", b.err)
	}
	return &Fleet{tags: b.out, late: b.late}, nil
}

// Tags are the tags that Push leaves behind, in the order of the pushes.
func (f *Fleet) Tags() ([]Tag, error) { return settled(f.tags) }

// LateTags are the tags that PushLate adds or moves.
func (f *Fleet) LateTags() ([]Tag, error) { return settled(f.late) }

// settled keeps the last push of each tag.
func settled(pushes []published) ([]Tag, error) {
	at := map[Tag]int{}
	var tags []Tag
	for _, p := range pushes {
		digest, err := p.content.Digest()
		if err != nil {
			return nil, fmt.Errorf("digest of %s/%s:%s: %w", p.key, p.image, p.tag, err)
		}
		tag := Tag{Key: p.key, Image: p.image, Tag: p.tag}
		if i, ok := at[tag]; ok {
			tags[i].Digest = digest.String()
			continue
		}
		at[tag] = len(tags)
		tag.Digest = digest.String()
		tags = append(tags, tag)
	}
	return tags, nil
}

// Push pushes every image over HTTP, oldest first, as builds would have.
func (f *Fleet) Push(ctx context.Context, to Target) error {
	return push(ctx, to, f.tags)
}

// PushLate pushes one new build of an application and moves its latest tag to it.
// It returns the reference of the new tag, without the registry.
func (f *Fleet) PushLate(ctx context.Context, to Target) (string, error) {
	if err := push(ctx, to, f.late); err != nil {
		return "", err
	}
	return f.late[0].reference(), nil
}

func (p published) reference() string { return p.key + "/" + p.image + ":" + p.tag }

func push(ctx context.Context, to Target, tags []published) error {
	options := []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuth(&authn.Basic{Username: to.Username, Password: to.Password}),
		remote.WithUserAgent("tallyman-demo"),
	}
	if to.Transport != nil {
		options = append(options, remote.WithTransport(to.Transport))
	}
	var naming []name.Option
	if to.PlainHTTP {
		naming = append(naming, name.Insecure)
	}
	// One pusher: it signs in once for each repository and remembers which blobs it sent.
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return fmt.Errorf("prepare pushes to %s: %w", to.Registry, err)
	}
	for _, p := range tags {
		ref, err := name.NewTag(to.Registry+"/"+p.reference(), naming...)
		if err != nil {
			return fmt.Errorf("name %s: %w", p.reference(), err)
		}
		if err := pusher.Push(ctx, ref, p.content); err != nil {
			return fmt.Errorf("push %s to %s: %w", p.reference(), to.Registry, err)
		}
	}
	return nil
}
