package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AccountStore keeps people, their sessions and the log of who changed what.
type AccountStore interface {
	Accounts(ctx context.Context) ([]inventory.Account, error)
	AddAccount(ctx context.Context, want inventory.NewAccount) (inventory.Account, error)
	// ChangeAccount ends all sessions of the account but the one of the secret keep.
	ChangeAccount(ctx context.Context, name string, change inventory.AccountChange, keep string) (inventory.Account, error)
	RemoveAccount(ctx context.Context, name string) error
	Sessions(ctx context.Context, name string) ([]inventory.Session, error)
	// EndSessions ends one by its id, or all when it is empty.
	EndSessions(ctx context.Context, name, id, keep string) (int, error)
	NeedsSetup(ctx context.Context) (bool, error)
	// Audit notes what the actor of ctx did.
	Audit(ctx context.Context, action, subject string, what any) error
	AuditLog(ctx context.Context, f inventory.AuditFilter) (inventory.AuditPage, error)
}

func accountRoutes() []route {
	const one = "/api/v1/users/{name}"
	return []route{
		{
			method: "GET", path: "/api/v1/users", need: Admin, summary: "Everybody who may sign in",
			status: 200, reply: []inventory.Account{}, serve: (*API).listUsers,
		},
		{
			method: "POST", path: "/api/v1/users", need: Admin, summary: "Add a user; without a password only a one-time link leads in",
			body: inventory.NewAccount{}, status: 201, reply: inventory.Account{}, serve: (*API).addUser,
		},
		{
			method: "PUT", path: one, need: Admin, summary: "Change a user's role or password, which ends their sessions; what is blank stays",
			body: inventory.AccountChange{}, status: 200, reply: inventory.Account{}, serve: (*API).changeUser,
		},
		{
			method: "DELETE", path: one, need: Admin, summary: "Remove a user; the last administrator stays",
			status: 204, serve: (*API).removeUser,
		},
		{
			method: "GET", path: one + "/sessions", need: Admin, summary: "The browsers that a user is signed in with",
			status: 200, reply: []inventory.Session{}, serve: (*API).listSessions,
		},
		{
			method: "DELETE", path: one + "/sessions", need: Admin, summary: "Sign a user out everywhere, or end one session",
			query:  []parameter{{"id", "string", false, "one session (default: all)"}},
			status: 200, reply: inventory.Ended{}, serve: (*API).endSessions,
		},
		{
			method: "GET", path: "/api/v1/audit", need: Admin, summary: "Who changed what and when, the newest first",
			query: []parameter{
				{"actor", "string", false, "name of a user or token"},
				{"subject", "string", false, "name of what was changed"},
				{"action", "string", false, "beginning of what was done: user, integration, …"},
				{"after", "integer", false, "next of the page before"},
				{"limit", "integer", false, "at most 1000 (default 100)"},
			},
			status: 200, reply: inventory.AuditPage{}, serve: (*API).getAudit,
		},
	}
}

func (a *API) listUsers(w http.ResponseWriter, r *http.Request) error {
	all, err := a.store.Accounts(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, all)
}

func (a *API) addUser(w http.ResponseWriter, r *http.Request) error {
	var want inventory.NewAccount
	if err := readJSON(w, r, &want); err != nil {
		return err
	}
	if err := inventory.CheckUserName(want.Name); err != nil {
		return err
	}
	made, err := a.store.AddAccount(r.Context(), want)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, made)
}

func (a *API) changeUser(w http.ResponseWriter, r *http.Request) error {
	var change inventory.AccountChange
	if err := readJSON(w, r, &change); err != nil {
		return err
	}
	if change == (inventory.AccountChange{}) {
		return invalid("nothing is to be changed").WithRemedy("give a role, a password or both")
	}
	now, err := a.store.ChangeAccount(r.Context(), r.PathValue("name"), change, "")
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, now)
}

func (a *API) removeUser(w http.ResponseWriter, r *http.Request) error {
	if err := a.store.RemoveAccount(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) listSessions(w http.ResponseWriter, r *http.Request) error {
	all, err := a.store.Sessions(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, all)
}

func (a *API) endSessions(w http.ResponseWriter, r *http.Request) error {
	n, err := a.store.EndSessions(r.Context(), r.PathValue("name"), r.URL.Query().Get("id"), "")
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, inventory.Ended{Sessions: n})
}

func (a *API) getAudit(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := inventory.AuditFilter{Actor: q.Get("actor"), Subject: q.Get("subject"), Action: q.Get("action")}
	for name, into := range map[string]func(int64){"after": func(n int64) { f.After = n }, "limit": func(n int64) { f.Limit = int(n) }} {
		s := q.Get(name)
		if s == "" {
			continue
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 || name == "limit" && n > 1000 {
			return invalid("%s is not a number that fits", name).WithRemedy("give after as the page before says it, and limit as 1 to 1000")
		}
		into(n)
	}
	page, err := a.store.AuditLog(r.Context(), f)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, page)
}
