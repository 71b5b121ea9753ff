package api

import (
	"context"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func (a *API) listIntegrations(w http.ResponseWriter, r *http.Request) error {
	list, err := a.hub.List(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, list)
}

func (a *API) getIntegration(w http.ResponseWriter, r *http.Request) error {
	in, err := a.hub.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, in)
}

func (a *API) addIntegration(w http.ResponseWriter, r *http.Request) error {
	var change inventory.IntegrationChange
	if err := readJSON(w, r, &change); err != nil {
		return err
	}
	if err := a.mayNameFile(r, "", change.CAFile); err != nil {
		return err
	}
	in, err := a.hub.Add(r.Context(), change)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, in)
}

func (a *API) updateIntegration(w http.ResponseWriter, r *http.Request) error {
	var change inventory.IntegrationChange
	if err := readJSON(w, r, &change); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := a.mayNameFile(r, name, change.CAFile); err != nil {
		return err
	}
	in, err := a.hub.Update(r.Context(), name, change)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, in)
}

func (a *API) deleteIntegration(w http.ResponseWriter, r *http.Request) error {
	if err := a.hub.Delete(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) testConnection(w http.ResponseWriter, r *http.Request) error {
	var test inventory.ConnectionTest
	if err := readJSON(w, r, &test); err != nil {
		return err
	}
	if err := a.mayNameFile(r, test.Saved, test.CAFile); err != nil {
		return err
	}
	result, err := a.hub.Test(r.Context(), test)
	if err != nil {
		return err
	}
	if err := a.store.Audit(r.Context(), "connection tested", origin(test.URL), map[string]bool{"ok": result.OK}); err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, result)
}

func (a *API) testSaved(w http.ResponseWriter, r *http.Request) error {
	result, err := a.hub.TestSaved(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, result)
}

func (a *API) pauseIntegration(w http.ResponseWriter, r *http.Request) error {
	return a.act(w, r, a.hub.Pause)
}

func (a *API) resumeIntegration(w http.ResponseWriter, r *http.Request) error {
	return a.act(w, r, a.hub.Resume)
}

func (a *API) disconnectIntegration(w http.ResponseWriter, r *http.Request) error {
	return a.act(w, r, a.hub.Disconnect)
}

func (a *API) act(w http.ResponseWriter, r *http.Request, do func(context.Context, string) (inventory.Integration, error)) error {
	in, err := do(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, in)
}

// mayNameFile lets only an administrator choose a CA file: it is a path on the server,
// and a test of the connection would tell an editor what is there.
func (a *API) mayNameFile(r *http.Request, saved, path string) error {
	id, err := a.identify(r)
	if err != nil || path == "" || id.reach >= Admin {
		return err
	}
	if saved != "" {
		old, err := a.hub.Get(r.Context(), saved)
		if err != nil {
			return err
		}
		if old.CAFile == path {
			return nil
		}
	}
	return inventory.Errorf(inventory.ErrForbidden, "a CA file is a file on the server: only an administrator may name one")
}
