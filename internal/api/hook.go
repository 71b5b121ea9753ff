package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	maxHook = 1 << 20
	// hookTime keeps the receiver within a second: Artifactory waits, and drops what it
	// cannot deliver.
	hookTime = 900 * time.Millisecond
)

// receiveHook takes a webhook of Artifactory. It proves nothing and changes nothing
// but when the next look happens, so whatever it names is only looked at.
func (a *API) receiveHook(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), hookTime)
	defer cancel()
	if err := a.hooked(ctx, w, r); err != nil {
		if ctx.Err() != nil && r.Context().Err() == nil {
			err = inventory.Errorf(inventory.ErrUnavailable, "the hint could not be kept in time: %w", err).
				WithRemedy("send it again")
		}
		a.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (a *API) hooked(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	if a.hook == nil {
		return inventory.Errorf(inventory.ErrNotFound, "this server receives no webhooks")
	}
	in, err := a.store.Integration(ctx, r.PathValue("integration"))
	if errors.Is(err, inventory.ErrNotFound) || err == nil && in.State == inventory.IntegrationDisconnected {
		return inventory.Errorf(inventory.ErrNotFound, "there is no integration of that name here").
			WithRemedy("compare the URL of the webhook with the one on the integration's page")
	}
	if err != nil {
		return fmt.Errorf("find the integration of a webhook: %w", err)
	}
	secrets, err := a.store.Secrets(ctx, in.ID)
	if err != nil {
		return fmt.Errorf("read the secrets of integration %s: %w", in.Name, err)
	}
	if secrets.Webhook == "" {
		return hookDenied()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return inventory.Errorf(inventory.ErrInvalid, "the webhook's body was cut off")
	}
	hints, err := a.hook(r.Header, body, secrets.Webhook)
	switch {
	case errors.Is(err, inventory.ErrUnauthorized), errors.Is(err, inventory.ErrForbidden):
		return hookDenied()
	case err != nil:
		return err
	}
	if in.State == inventory.IntegrationPaused {
		return nil // what is missed now, the first look after the pause finds
	}
	for _, hint := range hints {
		if err := a.store.AddHint(ctx, in.ID, hint); err != nil {
			return fmt.Errorf("keep a hint for integration %s: %w", in.Name, err)
		}
	}
	return nil
}

// hookDenied does not tell a wrong secret from one that was never set.
func hookDenied() error {
	return inventory.Errorf(inventory.ErrUnauthorized, "the webhook's secret is wrong, or none is set here").
		WithRemedy("set the same secret in Artifactory and on the integration's page")
}
