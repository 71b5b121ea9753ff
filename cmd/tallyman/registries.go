package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// registries keeps one client for each integration, so that a credential is probed
// once and its limits hold for all jobs; changed settings make a new one.
type registries struct {
	desk      registryDesk
	log       *slog.Logger
	bandwidth int64
	looks     discover.Options // of every discoverer; set before the first is made

	mu   sync.Mutex
	byID map[int64]registry // guarded by mu
}

// registryDesk is where credentials come from, and where looks and counts go.
type registryDesk interface {
	discover.Store
	IntegrationByID(ctx context.Context, id int64) (inventory.Integration, error)
	Secrets(ctx context.Context, id int64) (inventory.Secrets, error)
}

type registry struct {
	settings [sha256.Size]byte // of what the client was made from
	client   *artifactory.Client
	discover *discover.Discoverer
}

// newRegistries takes bandwidth in bytes a second of one registry's downloads; 0 = no limit.
func newRegistries(d registryDesk, log *slog.Logger, bandwidth int64) *registries {
	return &registries{desk: d, log: log, bandwidth: bandwidth, byID: map[int64]registry{}}
}

// client is the client of an integration as it is now.
func (r *registries) client(ctx context.Context, in inventory.Integration) (*artifactory.Client, error) {
	reg, err := r.registry(ctx, in)
	return reg.client, err
}

// discoverer looks at an integration as it is now.
func (r *registries) discoverer(ctx context.Context, in inventory.Integration) (*discover.Discoverer, error) {
	reg, err := r.registry(ctx, in)
	return reg.discover, err
}

func (r *registries) registry(ctx context.Context, in inventory.Integration) (registry, error) {
	secrets, err := r.desk.Secrets(ctx, in.ID)
	if err != nil {
		return registry{}, fmt.Errorf("secrets of integration %s: %w", in.Name, err)
	}
	b, err := json.Marshal([]any{
		in.Kind, in.URL, in.Registry, in.Username, in.CAFile, in.Proxy, in.AuthHosts, in.SubdomainMode,
		in.Repositories, in.Include, in.Exclude, in.Tags, secrets.Password,
	})
	if err != nil {
		return registry{}, err
	}
	settings := sha256.Sum256(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.byID[in.ID]; ok && have.settings == settings {
		return have, nil
	}
	opts := artifactory.OptionsFor(in, secrets)
	opts.Logger, opts.Bandwidth = r.log, r.bandwidth
	c, err := artifactory.New(opts)
	if err != nil {
		return registry{}, err
	}
	looks := r.looks
	looks.Indexer, looks.Logger = index.Version, r.log
	d, err := discover.New(in, c, r.desk, looks)
	if err != nil {
		return registry{}, err
	}
	reg := registry{settings, c, d}
	r.byID[in.ID] = reg
	return reg, nil
}

// account moves what was asked of an integration's registry into the ledger.
func (r *registries) account(ctx context.Context, id int64, c *artifactory.Client, layerBytes, layersRead int64) error {
	return r.desk.AddRequests(ctx, id, c.Take().Requests, layerBytes, layersRead)
}

// connector tries connections for the hub.
type connector struct{ log *slog.Logger }

// Test implements api.Connector.
func (c connector) Test(ctx context.Context, in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
	opts := artifactory.OptionsFor(in, s)
	opts.Logger = c.log
	cl, err := artifactory.New(opts)
	if err != nil {
		return inventory.TestResult{}, err
	}
	return cl.Test(ctx, in.Repositories), nil
}

// readHook checks a webhook's secret and reads its hints.
func readHook(header http.Header, body []byte, secret string) ([]inventory.Hint, error) {
	if !artifactory.VerifyHook(secret, header.Get(artifactory.HookHeader), body) {
		return nil, inventory.Errorf(inventory.ErrUnauthorized, "the webhook's secret is wrong")
	}
	return artifactory.ParseHook(body)
}
