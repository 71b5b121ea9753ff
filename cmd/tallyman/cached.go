package main

import (
	"context"
	"io"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// cacheSource reads of a remote repository only what it has cached: to read more
// would fill the cache, at the upstream's cost.
type cacheSource struct {
	oci.Source
	cache       *artifactory.Cache
	digest, tag string // what is indexed, and by which tag it is reached
}

// cachedOnly wraps src where its content lies in a cache.
func cachedOnly(ctx context.Context, c *artifactory.Client, src oci.Source, s inventory.Source, key inventory.RepositoryKey, digest string) (oci.Source, error) {
	cache, err := c.CacheOf(ctx, key, s.Image, s.Tag)
	if err != nil || cache == nil {
		return src, err
	}
	return &cacheSource{Source: src, cache: cache, digest: digest, tag: s.Tag}, nil
}

// ownFirst puts what lies in a remote's cache behind what the registry itself holds,
// where all of it can be read.
func (f *fetcher) ownFirst(ctx context.Context, sources []inventory.Source) ([]inventory.Source, error) {
	var own, cached []inventory.Source
	keys := map[int64]inventory.Integration{}
	for _, s := range sources {
		in, ok := keys[s.Integration]
		if !ok {
			var err error
			if in, err = f.registries.desk.IntegrationByID(ctx, s.Integration); err != nil {
				return nil, err
			}
			keys[s.Integration] = in
		}
		if class := keyOf(in, s.Key).Class; class == artifactory.ClassRemote || class == artifactory.ClassVirtual {
			cached = append(cached, s)
		} else {
			own = append(own, s)
		}
	}
	return append(own, cached...), nil
}

// Manifest implements oci.Source.
func (s *cacheSource) Manifest(ctx context.Context, ref string) (oci.Manifest, error) {
	tag := ""
	if ref == s.digest {
		tag = s.tag
	}
	if err := s.cache.Manifest(ctx, ref, tag); err != nil {
		return oci.Manifest{}, err
	}
	return s.Source.Manifest(ctx, ref)
}

// Blob implements oci.Source.
func (s *cacheSource) Blob(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if err := s.cache.Blob(ctx, d.Digest); err != nil {
		return nil, err
	}
	return s.Source.Blob(ctx, d)
}

// Referrers implements oci.Source: the question would go to the upstream.
func (s *cacheSource) Referrers(context.Context, string) ([]oci.Descriptor, error) { return nil, nil }
