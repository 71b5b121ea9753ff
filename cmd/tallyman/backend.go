package main

import (
	"context"
	"log/slog"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// backend is the API that a command speaks: a server's with --server, else the same
// handler over the local store. The caller closes it.
func (a *app) backend(ctx context.Context) (*client.Client, func(), error) {
	if a.cfg.Server != "" {
		token, err := a.cfg.ServerToken()
		if err != nil {
			return nil, nil, err
		}
		if token == "" {
			return nil, nil, inventory.Errorf(inventory.ErrUnauthorized, "no token for %s", a.cfg.Server).
				WithRemedy("make one there with `tallyman token create NAME --scope read` and give it by --token-file or TALLYMAN_TOKEN")
		}
		c, err := client.New(a.cfg.Server, token, nil)
		return c, func() {}, err
	}
	a.log = slog.New(slog.DiscardHandler) // what goes wrong is printed once, as the command's own sentence
	p, err := a.openPlatform(ctx)
	if err != nil {
		return nil, nil, err
	}
	return p.local(), p.close, nil
}
