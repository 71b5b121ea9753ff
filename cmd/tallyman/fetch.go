package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// fetcher indexes images from the registries that hold them.
type fetcher struct {
	registries *registries
	log        *slog.Logger
}

// index indexes one digest from the first place that still has it. Without a place it is
// done: gone, paused or disconnected since; a later look asks for it again.
func (f *fetcher) index(ctx context.Context, ix *index.Indexer, sources []inventory.Source, digest string) (err error) {
	if len(sources) > 1 {
		if sources, err = f.ownFirst(ctx, sources); err != nil {
			return err
		}
	}
	for _, s := range sources {
		if err = f.from(ctx, ix, s, digest); err == nil || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, inventory.ErrNotFound) && !errors.Is(err, inventory.ErrUnauthorized) && !errors.Is(err, inventory.ErrForbidden) {
			return err
		}
	}
	return err
}

func (f *fetcher) from(ctx context.Context, ix *index.Indexer, s inventory.Source, digest string) error {
	in, err := f.registries.desk.IntegrationByID(ctx, s.Integration)
	if err != nil {
		return err
	}
	c, err := f.registries.client(ctx, in)
	if err != nil {
		return err
	}
	base, hc := c.Endpoint(s.Key, keyOf(in, s.Key).PackageType, s.Image)
	src := &metered{Source: &oci.Remote{Base: base, Client: hc}}
	from, err := cachedOnly(ctx, c, src, s, keyOf(in, s.Key), digest)
	if err != nil {
		return err
	}
	img, err := ix.Image(ctx, from, digest)
	if accounted := f.registries.account(ctx, in.ID, c, src.bytes.Load(), src.layers.Load()); accounted != nil {
		f.log.WarnContext(ctx, "requests not counted", slog.Any("error", accounted))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Key+"/"+s.Image+":"+s.Tag, err)
	}
	f.log.DebugContext(ctx, "indexed", slog.String("digest", img.Digest), slog.String("state", img.State))
	return nil
}

// keyOf is what the integration knows of a key.
func keyOf(in inventory.Integration, key string) inventory.RepositoryKey {
	for _, k := range in.Keys {
		if k.Key == key {
			return k
		}
	}
	return inventory.RepositoryKey{Key: key}
}
