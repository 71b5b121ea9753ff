package demo

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Repository keys of the demo.
const (
	keyBase = "docker-base-local"
	keyDev  = "docker-dev-local"
	keyProd = "docker-prod-local"
	keyEdge = "team-edge-oci"
)

// FakeSecret stands for a credential that somebody left in images: in variables,
// build arguments, history and provenance. It must not appear in anything that is
// recorded; tests look for it.
const FakeSecret = "demo-not-a-real-secret-4f1d7c"

// project is what an image is built from.
type project struct {
	name   string
	source string
}

// published is content under one tag.
type published struct {
	key, image, tag string
	content         taggable
}

// taggable is an image or an index of images.
type taggable interface {
	remote.Taggable
	Digest() (v1.Hash, error)
}

// baker makes images. The first error stays in err and everything after it is
// empty, so that recipes read as recipes; bake looks at err in the end.
type baker struct {
	now  time.Time
	exe  string
	out  []published
	late []published
	err  error
}

// ago is a moment before now.
func (b *baker) ago(days, hours int) time.Time {
	return b.now.Add(-time.Duration(days*24+hours) * time.Hour).Truncate(time.Second)
}

func (b *baker) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *baker) layer(l *layer, err error) *layer {
	b.keep(err)
	return l
}

func (b *baker) files(f []file, err error) []file {
	b.keep(err)
	return f
}

func (b *baker) text(s string, err error) string {
	b.keep(err)
	return s
}

func (b *baker) debs(p []debianPackage, err error) []debianPackage {
	b.keep(err)
	return p
}

func (b *baker) apks(p []alpinePackage, err error) []alpinePackage {
	b.keep(err)
	return p
}

// image finishes a build; nil once anything failed.
func (b *baker) image(made build) v1.Image {
	if b.err != nil {
		return nil
	}
	img, err := made.image()
	if err != nil {
		b.keep(fmt.Errorf("build an image of %s: %w", made.created.Format(time.DateOnly), err))
		return nil
	}
	return img
}

// publish puts content under tags of one repository, in the order given.
func (b *baker) publish(key, image string, content taggable, tags ...string) {
	for _, tag := range tags {
		b.out = append(b.out, published{key: key, image: image, tag: tag, content: content})
	}
}
