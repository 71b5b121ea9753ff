package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// How long one-time links into the dashboard wait to be used: one that signs in, and one
// that sets up, which is good for nothing once there is an administrator.
const (
	linkTime  = 15 * time.Minute
	setupTime = 24 * time.Hour
)

func (a *API) getAdvisories(w http.ResponseWriter, r *http.Request) error {
	st, err := a.store.Status(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, st.Advisories)
}

// importAdvisories spools an upload to a file, because archives are read from their end.
func (a *API) importAdvisories(w http.ResponseWriter, r *http.Request) error {
	if a.importer == nil {
		return inventory.Errorf(inventory.ErrUnsupported, "this server imports no advisories")
	}
	// An import takes as long as it takes: the server's time limits are for others.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	file, err := os.CreateTemp(a.tempDir, "tallyman-advisories-*")
	if err != nil {
		return fmt.Errorf("spool an upload: %w", err)
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	if _, err := io.Copy(file, http.MaxBytesReader(w, r.Body, a.maxImport)); err != nil {
		return uploadError(err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("spool an upload: %w", err)
	}
	if err := a.importer(r.Context(), file.Name()); err != nil {
		return err
	}
	return a.getAdvisories(w, r)
}

func (a *API) syncAdvisories(w http.ResponseWriter, r *http.Request) error {
	if a.sync == nil {
		return inventory.Errorf(inventory.ErrUnsupported, "this server fetches no advisories")
	}
	if err := a.sync(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func uploadError(err error) error {
	var tooLarge *http.MaxBytesError
	var path *os.PathError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case errors.As(err, &path):
		return inventory.Errorf(inventory.ErrUnavailable, "the upload could not be spooled to disk: %w", err).
			WithRemedy("make room in the server's temporary directory and send it again")
	}
	return inventory.Errorf(inventory.ErrInvalid, "the upload was cut off").WithRemedy("send it again")
}

func (a *API) listTokens(w http.ResponseWriter, r *http.Request) error {
	tokens, err := a.store.Tokens(r.Context())
	if err == nil {
		tokens, err = a.bindingsOf(r.Context(), tokens)
	}
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, tokens)
}

func (a *API) createToken(w http.ResponseWriter, r *http.Request) error {
	var want inventory.NewToken
	if err := readJSON(w, r, &want); err != nil {
		return err
	}
	if !validName(want.Name) {
		return invalid("%q is not a name for a token", shorten(want.Name)).
			WithRemedy("use letters, digits, '-', '_' and '.', at most %d", maxName)
	}
	switch want.Scope {
	case inventory.ScopeIngest, inventory.ScopeRead, inventory.ScopeAdmin:
	default:
		return invalid("%q is not a scope", shorten(want.Scope)).WithRemedy("use ingest, read or admin")
	}
	if err := checkBinding(want); err != nil {
		return err
	}
	if want.Expires != nil && !want.Expires.After(time.Now()) {
		return invalid("the token would be expired already").WithRemedy("give a time that lies ahead")
	}
	secret, err := a.store.CreateToken(r.Context(), want.Name, want.Scope, want.Expires)
	if errors.Is(err, inventory.ErrConflict) {
		return inventory.Errorf(inventory.ErrConflict, "there is a token %q already", want.Name).
			WithRemedy("choose another name, or revoke that one")
	}
	if err == nil {
		err = a.store.BindToken(r.Context(), want.Name, want.Integrations) // nobody has the secret yet
	}
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, inventory.TokenSecret{Name: want.Name, Scope: want.Scope, Secret: secret})
}

func (a *API) revokeToken(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	err := a.store.RevokeToken(r.Context(), name)
	if errors.Is(err, inventory.ErrNotFound) {
		return inventory.Errorf(inventory.ErrNotFound, "there is no token %q", shorten(name))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) createSigninLink(w http.ResponseWriter, r *http.Request) error {
	var want inventory.NewSigninLink
	if err := readJSON(w, r, &want); err != nil {
		return err
	}
	path, lasts := "/signin/", linkTime
	if want.User == "" {
		path, lasts = "/setup/", setupTime
	}
	expires := time.Now().UTC().Add(lasts).Truncate(time.Second)
	secret, err := a.store.CreateSigninLink(r.Context(), want.User, expires)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, inventory.SigninLink{Path: path + secret, Expires: expires})
}

func (a *API) getCaller(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	names := map[Permission]string{SignedIn: "ingest", Read: "read", Edit: "edit", Admin: "admin"}
	me := inventory.Caller{Name: id.String(), Reach: names[id.reach]}
	if id.watcher != "" {
		bound, err := a.store.TokenBindings(r.Context())
		if err != nil {
			return err
		}
		me.Integrations = bound[id.watcher]
	}
	return reply(w, r, http.StatusOK, me)
}

func (a *API) getVersion(w http.ResponseWriter, r *http.Request) error {
	return reply(w, r, http.StatusOK, a.version)
}

func (a *API) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return reply(w, r, http.StatusOK, a.openAPI)
}

func errMethod() error {
	return inventory.Errorf(inventory.ErrInvalid, "this route does not take that method").
		WithRemedy("the header Allow names those it takes")
}
