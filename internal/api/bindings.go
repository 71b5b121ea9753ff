package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// BindingStore keeps what tokens of far watchers are bound to, and what they vouched for.
type BindingStore interface {
	BindToken(ctx context.Context, token string, integrations []string) error
	TokenBindings(ctx context.Context) (map[string][]string, error)
	Requeue(ctx context.Context, token string) (int, error)
}

// checkBinding refuses integrations that a token cannot be bound to. They need not be
// there yet: their watcher registers them.
func checkBinding(want inventory.NewToken) error {
	if len(want.Integrations) == 0 {
		return nil
	}
	if want.Scope != inventory.ScopeIngest {
		return invalid("only a token of scope ingest is for certain integrations").WithRemedy("use --scope ingest")
	}
	if len(want.Integrations) > maxList {
		return invalid("a token is for at most %d integrations", maxList)
	}
	for _, name := range want.Integrations {
		if !validName(name) {
			return invalid("%q is not the name of an integration", shorten(name))
		}
	}
	return nil
}

// bindingsOf fills in what tokens are bound to.
func (a *API) bindingsOf(ctx context.Context, tokens []inventory.Token) ([]inventory.Token, error) {
	bound, err := a.store.TokenBindings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what tokens are bound to: %w", err)
	}
	for i := range tokens {
		tokens[i].Integrations = bound[tokens[i].Name]
	}
	return tokens, nil
}

func (a *API) requeueToken(w http.ResponseWriter, r *http.Request) error {
	n, err := a.store.Requeue(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, inventory.Requeued{Images: n})
}
