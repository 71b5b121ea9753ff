package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// HubStore is what the hub keeps integrations in.
type HubStore interface {
	Integrations(ctx context.Context) ([]inventory.Integration, error)
	Integration(ctx context.Context, name string) (inventory.Integration, error)
	AddIntegration(ctx context.Context, in inventory.Integration, s inventory.Secrets) (int64, error)
	UpdateIntegration(ctx context.Context, in inventory.Integration, s *inventory.Secrets) error
	SetIntegrationState(ctx context.Context, id int64, state, problem, remedy string) error
	SaveKeys(ctx context.Context, id int64, keys []inventory.RepositoryKey) error
	Secrets(ctx context.Context, id int64) (inventory.Secrets, error)
	Disconnect(ctx context.Context, name string) error
	DeleteIntegration(ctx context.Context, name string) error
}

// Connector tries a connection for somebody who waits for the answer. What is wrong
// with the registry or the account is told in the result, never as an error, and the
// body of a registry's answer in neither.
type Connector interface {
	Test(ctx context.Context, in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error)
}

// Hub connects, changes and disconnects integrations, for the API and for the pages.
// Nudge may be nil; it is called with the id of an integration that wants a look soon.
type Hub struct {
	Store     HubStore
	Connector Connector
	Nudge     func(ctx context.Context, integration int64) error
	// AcceptLoss, which may be nil, lets the next look record that many tags are gone.
	AcceptLoss func(ctx context.Context, integration int64) error
	// WantBaseline makes what the next full listing finds the baseline of an integration.
	WantBaseline func(ctx context.Context, integration int64) error
	// AllowLinkLocal lets integrations point at link-local addresses, where clouds
	// keep the credentials of the machine.
	AllowLinkLocal bool
	Log            *slog.Logger
}

// List answers every integration, disconnected ones too.
func (h *Hub) List(ctx context.Context) ([]inventory.Integration, error) {
	return h.Store.Integrations(ctx)
}

// Get answers one integration; ErrNotFound when there is none of that name.
func (h *Hub) Get(ctx context.Context, name string) (inventory.Integration, error) {
	in, err := h.Store.Integration(ctx, name)
	if errors.Is(err, inventory.ErrNotFound) {
		return in, inventory.Errorf(inventory.ErrNotFound, "there is no integration %q", name).
			WithRemedy("tallyman integration list shows them")
	}
	return in, err
}

// Add saves an integration and asks for its first look. It does not test it.
func (h *Hub) Add(ctx context.Context, change inventory.IntegrationChange) (inventory.Integration, error) {
	change.Watcher = "" // a far watcher registers what it watches itself
	in, err := h.checked(ctx, change.Integration)
	if err != nil {
		return in, err
	}
	in.State = inventory.IntegrationConnected
	id, err := h.Store.AddIntegration(ctx, in, change.Secrets())
	if errors.Is(err, inventory.ErrConflict) {
		return in, inventory.Errorf(inventory.ErrConflict, "there is an integration %q already", in.Name).
			WithRemedy("choose another name, or change that one")
	}
	if err != nil {
		return in, fmt.Errorf("add integration %s: %w", in.Name, err)
	}
	h.nudge(ctx, id)
	return h.Get(ctx, in.Name)
}

// Update changes the integration name. Blank secrets keep the saved ones, unless the
// credentials would reach another place than they were given for.
func (h *Hub) Update(ctx context.Context, name string, change inventory.IntegrationChange) (inventory.Integration, error) {
	old, err := h.Get(ctx, name)
	if err != nil {
		return old, err
	}
	if err := near(old); err != nil {
		return old, err
	}
	change.Watcher = ""
	if change.Name == "" {
		change.Name = old.Name
	}
	if change.Name != old.Name {
		return old, inventory.Errorf(inventory.ErrInvalid, "an integration keeps its name: %s", old.Name)
	}
	in, err := h.checked(ctx, change.Integration)
	if err != nil {
		return in, err
	}
	if change.Secret == "" && old.HasSecret {
		if err := samePlace(old, in); err != nil {
			return in, err
		}
	}
	in.ID, in.State, in.Problem, in.Remedy, in.Keys = old.ID, old.State, old.Problem, old.Remedy, old.Keys
	secrets := change.Secrets()
	if err := h.Store.UpdateIntegration(ctx, in, &secrets); err != nil {
		return in, fmt.Errorf("update integration %s: %w", name, err)
	}
	if err := h.reconnect(ctx, old, change.Secret); err != nil {
		return in, err
	}
	h.nudge(ctx, in.ID)
	return h.Get(ctx, name)
}

// reconnect takes a changed integration out of the states that only a change ends.
func (h *Hub) reconnect(ctx context.Context, old inventory.Integration, secret string) error {
	switch {
	case old.State == inventory.IntegrationPaused, old.State == inventory.IntegrationConnected:
		return nil
	case old.State == inventory.IntegrationDisconnected && secret == "":
		return nil
	}
	if err := h.Store.SetIntegrationState(ctx, old.ID, inventory.IntegrationConnected, "", ""); err != nil {
		return fmt.Errorf("set the state of integration %s: %w", old.Name, err)
	}
	return nil
}

// Test tries a connection that need not be saved.
func (h *Hub) Test(ctx context.Context, test inventory.ConnectionTest) (inventory.TestResult, error) {
	if test.Name == "" {
		test.Name = "test"
	}
	test.Watcher = ""
	in, err := h.checked(ctx, test.Integration)
	if err != nil {
		return inventory.TestResult{}, err
	}
	secrets := test.Secrets()
	if secrets.Password == "" && test.Saved != "" {
		old, err := h.Get(ctx, test.Saved)
		if err != nil {
			return inventory.TestResult{}, err
		}
		if err := samePlace(old, in); err != nil {
			return inventory.TestResult{}, err
		}
		if secrets, err = h.Store.Secrets(ctx, old.ID); err != nil {
			return inventory.TestResult{}, fmt.Errorf("read the secrets of integration %s: %w", old.Name, err)
		}
	}
	return h.try(ctx, in, secrets)
}

// TestSaved tries the connection of a saved integration and records what it found.
func (h *Hub) TestSaved(ctx context.Context, name string) (inventory.TestResult, error) {
	in, err := h.Get(ctx, name)
	if err != nil {
		return inventory.TestResult{}, err
	}
	if err := near(in); err != nil {
		return inventory.TestResult{}, err
	}
	if in.State == inventory.IntegrationDisconnected {
		return inventory.TestResult{}, inventory.Errorf(inventory.ErrInvalid, "integration %s is disconnected", name).
			WithRemedy("give it a secret again: tallyman integration update %s --secret-stdin", name)
	}
	if err := h.refuseAddresses(ctx, in); err != nil {
		return inventory.TestResult{}, err
	}
	secrets, err := h.Store.Secrets(ctx, in.ID)
	if err != nil {
		return inventory.TestResult{}, fmt.Errorf("read the secrets of integration %s: %w", name, err)
	}
	result, err := h.try(ctx, in, secrets)
	if err != nil {
		return result, err
	}
	return result, h.record(ctx, in, result)
}

// record keeps what a test of a saved integration found, so that the card tells it.
func (h *Hub) record(ctx context.Context, in inventory.Integration, result inventory.TestResult) error {
	if len(result.Repositories) > 0 {
		if err := h.Store.SaveKeys(ctx, in.ID, result.Repositories); err != nil {
			return fmt.Errorf("save the keys of integration %s: %w", in.Name, err)
		}
	}
	if in.State == inventory.IntegrationPaused {
		return nil
	}
	state := inventory.IntegrationConnected
	if !result.OK {
		state = inventory.IntegrationError
		readable := func(k inventory.RepositoryKey) bool { return k.OK }
		if slices.ContainsFunc(result.Repositories, readable) {
			state = inventory.IntegrationDegraded
		}
	}
	if err := h.Store.SetIntegrationState(ctx, in.ID, state, result.Error, result.Remedy); err != nil {
		return fmt.Errorf("set the state of integration %s: %w", in.Name, err)
	}
	return nil
}

// try asks the connector and makes sure that an answer is a result.
func (h *Hub) try(ctx context.Context, in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
	result, err := h.Connector.Test(ctx, in, s)
	var told *inventory.Error
	switch {
	case errors.As(err, &told):
		result = inventory.TestResult{Error: told.Msg, Remedy: told.Remedy}
	case err != nil:
		return result, fmt.Errorf("test the connection to %s: %w", in.URL, err)
	}
	result.Error, result.Remedy = oneLine(result.Error), oneLine(result.Remedy)
	if result.Warnings == nil {
		result.Warnings = []string{}
	}
	if result.Repositories == nil {
		result.Repositories = []inventory.RepositoryKey{}
	}
	return result, nil
}

// near refuses what only the far watcher of an integration can do.
func near(in inventory.Integration) error {
	if in.Watcher == "" {
		return nil
	}
	return inventory.Errorf(inventory.ErrConflict, "integration %s is watched from afar, by %s, which has its settings and credentials", in.Name, in.Watcher).
		WithRemedy("change them where that watcher runs")
}

// Pause stops looking at an integration until Resume.
func (h *Hub) Pause(ctx context.Context, name string) (inventory.Integration, error) {
	return h.move(ctx, name, inventory.IntegrationPaused)
}

// Resume looks again at a paused integration; nothing that was pushed meanwhile is missed.
// Of a degraded one it confirms that the tags which vanished at once are really gone.
func (h *Hub) Resume(ctx context.Context, name string) (inventory.Integration, error) {
	in, err := h.Get(ctx, name)
	if err != nil {
		return in, err
	}
	if in.State != inventory.IntegrationDegraded || h.AcceptLoss == nil {
		return h.move(ctx, name, inventory.IntegrationConnected)
	}
	if err := h.AcceptLoss(ctx, in.ID); err != nil {
		return in, fmt.Errorf("confirm the loss of tags of integration %s: %w", name, err)
	}
	h.nudge(ctx, in.ID)
	return h.Get(ctx, name)
}

func (h *Hub) move(ctx context.Context, name, state string) (inventory.Integration, error) {
	in, err := h.Get(ctx, name)
	if err != nil {
		return in, err
	}
	if in.State == inventory.IntegrationDisconnected && in.Watcher != "" {
		in.State, in.Problem, in.Remedy = inventory.IntegrationConnected, "", ""
		return in, h.Store.UpdateIntegration(ctx, in, nil) // its watcher has the credentials, and may begin again
	}
	if in.State == inventory.IntegrationDisconnected {
		return in, inventory.Errorf(inventory.ErrInvalid, "integration %s is disconnected", name).
			WithRemedy("give it a secret again: tallyman integration update %s --secret-stdin", name)
	}
	if state == inventory.IntegrationConnected && in.State != inventory.IntegrationPaused {
		return in, nil
	}
	if err := h.Store.SetIntegrationState(ctx, in.ID, state, "", ""); err != nil {
		return in, fmt.Errorf("set the state of integration %s: %w", name, err)
	}
	h.nudge(ctx, in.ID)
	return h.Get(ctx, name)
}

// Disconnect erases the credentials of an integration and keeps its data.
func (h *Hub) Disconnect(ctx context.Context, name string) (inventory.Integration, error) {
	if _, err := h.Get(ctx, name); err != nil {
		return inventory.Integration{}, err
	}
	if err := h.Store.Disconnect(ctx, name); err != nil {
		return inventory.Integration{}, fmt.Errorf("disconnect integration %s: %w", name, err)
	}
	return h.Get(ctx, name)
}

// Delete removes an integration and the data that no other integration holds.
func (h *Hub) Delete(ctx context.Context, name string) error {
	if _, err := h.Get(ctx, name); err != nil {
		return err
	}
	if err := h.Store.DeleteIntegration(ctx, name); err != nil {
		return fmt.Errorf("delete integration %s: %w", name, err)
	}
	return nil
}

// nudge asks for a look soon. A lost nudge loses nothing but time, so it is told to
// the log and not to the caller.
func (h *Hub) nudge(ctx context.Context, id int64) {
	if h.Nudge == nil {
		return
	}
	if err := h.Nudge(ctx, id); err != nil && h.Log != nil {
		h.Log.WarnContext(ctx, "look not brought forward", slog.Int64("integration", id), slog.Any("error", err))
	}
}

// samePlace refuses to send saved credentials anywhere they were not given for.
func samePlace(old, now inventory.Integration) error {
	what := ""
	switch {
	case !old.HasSecret:
		return nil
	case origin(old.URL) != origin(now.URL):
		what = "the URL names another host"
	case old.Proxy != now.Proxy:
		what = "the proxy changed"
	case old.CAFile != now.CAFile:
		what = "the CA file changed"
	case slices.ContainsFunc(now.AuthHosts, func(s string) bool {
		return !slices.ContainsFunc(old.AuthHosts, func(o string) bool { return strings.EqualFold(o, s) })
	}):
		what = "credentials may go to one more host"
	default:
		return nil
	}
	return inventory.Errorf(inventory.ErrInvalid, "%s: the saved secret is not sent there", what).
		WithRemedy("type the password or token again")
}
