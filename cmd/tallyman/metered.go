package main

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// metered counts the layers that one job reads, and their bytes.
type metered struct {
	oci.Source
	layers, bytes atomic.Int64
}

// Blob implements oci.Source. Configs and attestations come marked as such and do not count.
func (m *metered) Blob(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	body, err := m.Source.Blob(ctx, d)
	if err != nil || inventory.RequestClass(ctx) != "" {
		return body, err
	}
	m.layers.Add(1)
	return &counted{body, &m.bytes}, nil
}

type counted struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}
