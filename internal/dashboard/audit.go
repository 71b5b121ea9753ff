package dashboard

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// auditView is the log of who changed what.
type auditView struct {
	Filter  inventory.AuditFilter
	Entries []auditRow
	Next    string // address of the next page
	First   string // address of the first page, on a later one
}

type auditRow struct {
	inventory.AuditEntry
	How     string // they came in
	Changes []fieldChange
}

// fieldChange is one field before and after; empty = it was not there.
type fieldChange struct{ Field, Before, After string }

const auditRows = 50

// auditKinds are the words that actions begin with.
func auditKinds() []string {
	return []string{"signed in", "user", "token", "sign-in link", "sessions", "integration", "connection", "channel", "messages", "exception", "watch", "image"}
}

func (d *Dashboard) audit(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	f := inventory.AuditFilter{
		Actor: strings.TrimSpace(q.Get("actor")), Subject: strings.TrimSpace(q.Get("subject")), Action: q.Get("action"), Limit: auditRows,
	}
	if n, err := strconv.ParseInt(q.Get("after"), 10, 64); err == nil && n > 0 {
		f.After = n
	}
	page, err := d.Accounts.AuditLog(r.Context(), f)
	if err != nil {
		return err
	}
	p := auditView{Filter: f}
	for _, e := range page.Entries {
		p.Entries = append(p.Entries, auditRow{e, howWord(e.Via), changesOf(e)})
	}
	at := func(after int64) string {
		q := url.Values{}
		for name, value := range map[string]string{"actor": f.Actor, "subject": f.Subject, "action": f.Action} {
			if value != "" {
				q.Set(name, value)
			}
		}
		if after > 0 {
			q.Set("after", strconv.FormatInt(after, 10))
		}
		return d.Base + "/settings/audit?" + q.Encode()
	}
	if page.Next > 0 {
		p.Next = at(page.Next)
	}
	if f.After > 0 {
		p.First = at(0)
	}
	return d.setting(w, r, v, http.StatusOK, "audit", "Audit log", p)
}

// howWord says how somebody came in.
func howWord(via string) string {
	words := map[string]string{inventory.ViaSession: "in the browser", inventory.ViaToken: "with a token", inventory.ViaCommand: "by command", inventory.ViaSignin: "signing in"}
	return cmp.Or(words[via], via)
}

// changesOf is the fields of an entry side by side, in order of their names.
func changesOf(e inventory.AuditEntry) []fieldChange {
	var names []string
	for name := range e.Before {
		names = append(names, name)
	}
	for name := range e.After {
		if _, both := e.Before[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []fieldChange
	for _, name := range names {
		c := fieldChange{name, shown(e.Before[name]), shown(e.After[name])}
		if c.Before != c.After {
			out = append(out, c)
		}
	}
	return out
}

// shown writes a value as people read it; what is empty is nothing.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return day(t)
		}
		return shorten(v)
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, shown(one))
		}
		return shorten(strings.Join(all, ", "))
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return shorten(string(text))
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
