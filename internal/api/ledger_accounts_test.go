package api_test

import (
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// What the ledger in memory knows of people: enough to see that the routes reach it. What
// the real one promises, its own tests show.

func (l *ledger) Accounts(context.Context) ([]inventory.Account, error) {
	return append([]inventory.Account{}, l.users...), nil
}

func (l *ledger) at(name string) int {
	return slices.IndexFunc(l.users, func(a inventory.Account) bool { return a.Name == name })
}

func (l *ledger) AddAccount(_ context.Context, want inventory.NewAccount) (inventory.Account, error) {
	if l.at(want.Name) >= 0 {
		return inventory.Account{}, inventory.Errorf(inventory.ErrConflict, "there is a user named %s already", want.Name)
	}
	l.users = append(l.users, inventory.Account{Name: want.Name, Role: want.Role, Source: inventory.SourcePassword})
	return l.users[len(l.users)-1], nil
}

func (l *ledger) ChangeAccount(_ context.Context, name string, change inventory.AccountChange, _ string) (inventory.Account, error) {
	i := l.at(name)
	if i < 0 {
		return inventory.Account{}, noUser(name)
	}
	l.users[i].Role = change.Role
	return l.users[i], nil
}

func noUser(name string) error {
	return inventory.Errorf(inventory.ErrNotFound, "there is no user %s", name)
}

func (l *ledger) RemoveAccount(_ context.Context, name string) error {
	i := l.at(name)
	if i < 0 {
		return noUser(name)
	}
	l.users = slices.Delete(l.users, i, i+1)
	return nil
}

func (l *ledger) Sessions(context.Context, string) ([]inventory.Session, error) {
	return []inventory.Session{{ID: "s1"}, {ID: "s2"}}, nil
}

func (l *ledger) EndSessions(_ context.Context, name, id, _ string) (int, error) {
	if l.at(name) < 0 {
		return 0, noUser(name)
	}
	if id != "" {
		return 1, nil
	}
	return 2, nil
}

func (l *ledger) NeedsSetup(context.Context) (bool, error) { return len(l.users) == 0, nil }

func (l *ledger) Audit(ctx context.Context, action, subject string, what any) error {
	actor := inventory.ActorOf(ctx)
	actor.Note()
	l.mu.Lock()
	defer l.mu.Unlock()
	e := inventory.AuditEntry{ID: int64(len(l.audited) + 1), Actor: actor.Name, Via: actor.Via, Action: action, Subject: subject}
	if ok, is := what.(map[string]bool); is {
		e.After = map[string]any{"ok": ok["ok"]}
	}
	l.audited = append(l.audited, e)
	return nil
}

func (l *ledger) AuditLog(_ context.Context, f inventory.AuditFilter) (inventory.AuditPage, error) {
	page := inventory.AuditPage{Entries: []inventory.AuditEntry{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.audited {
		if f.Actor == "" || f.Actor == e.Actor {
			page.Entries = append(page.Entries, e)
		}
	}
	return page, nil
}
