package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// settingUp marks an integration whose first watch has not come so far as to look.
const settingUp = "watching has not begun yet"

// Adopt saves an integration that a watcher watches, near or far, or its settings anew.
// With baseline, what is there at its first look is left alone until it differs.
func (h *Hub) Adopt(ctx context.Context, in inventory.Integration, secrets inventory.Secrets, baseline bool) (int64, error) {
	old, err := h.Store.Integration(ctx, in.Name)
	switch {
	case errors.Is(err, inventory.ErrNotFound):
		in.State, in.Problem = inventory.IntegrationPaused, settingUp // nobody may look before the baseline is asked for
		if in.ID, err = h.Store.AddIntegration(ctx, in, secrets); err != nil {
			return 0, err
		}
	case err != nil:
		return 0, err
	case in.Watcher == "" && old.Watcher != "":
		return 0, near(old)
	case in.Watcher == "" && old.State == inventory.IntegrationPaused && old.Problem != settingUp:
		return 0, inventory.Errorf(inventory.ErrConflict, "%s is paused", in.Name).WithRemedy("tallyman integration resume %s", in.Name)
	default:
		in.ID = old.ID
		keepUntyped(&in, old)
		if err := h.Store.UpdateIntegration(ctx, in, &secrets); err != nil {
			return 0, err
		}
		if old.Problem != settingUp {
			return in.ID, nil
		}
	}
	if baseline {
		if err := h.WantBaseline(ctx, in.ID); err != nil {
			return 0, fmt.Errorf("ask for the baseline of %s: %w", in.Name, err)
		}
	}
	return in.ID, h.Store.SetIntegrationState(ctx, in.ID, inventory.IntegrationConnected, "", "")
}

// keepUntyped keeps the settings that only `integration` can change.
func keepUntyped(in *inventory.Integration, old inventory.Integration) {
	if in.CAFile == "" {
		in.CAFile = old.CAFile
	}
	if in.Proxy == "" {
		in.Proxy = old.Proxy
	}
	in.AuthHosts = old.AuthHosts
}
