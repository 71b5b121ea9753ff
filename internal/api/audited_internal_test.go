package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// audited is a real ledger with a token of scope admin.
func audited(t *testing.T) (s *store.Store, token string) {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(t.Context(), store.Options{Dir: t.TempDir(), Key: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if token, err = s.CreateToken(t.Context(), "deploy", inventory.ScopeAdmin, nil); err != nil {
		t.Fatal(err)
	}
	return s, token
}

// TestEveryChangeIsNoted: each route that changes something leaves an entry in the log
// under the caller's name, even when its handler notes nothing; one that notes by itself
// leaves that one alone.
func TestEveryChangeIsNoted(t *testing.T) {
	s, token := audited(t)
	a := New(Options{Store: s, Log: slog.New(slog.DiscardHandler), TempDir: t.TempDir()})
	var silent []string
	for _, rt := range routes() {
		if rt.method == http.MethodGet {
			continue
		}
		if !rt.changes() {
			if rt.need != Ingest {
				silent = append(silent, rt.method+" "+rt.path)
			}
			continue
		}
		for _, own := range []bool{false, true} {
			before := entries(t, s, "deploy")
			rt.serve = func(a *API, _ http.ResponseWriter, r *http.Request) error {
				if own {
					return a.store.Audit(r.Context(), "noted by itself", "x", nil)
				}
				return nil
			}
			mux := http.NewServeMux()
			mux.HandleFunc(rt.method+" "+rt.path, a.guarded(rt))
			r := httptest.NewRequestWithContext(t.Context(), rt.method, strings.NewReplacer("{", "", "}", "").Replace(rt.path), nil)
			r.Header.Set("Authorization", "Bearer "+token)
			mux.ServeHTTP(httptest.NewRecorder(), r)
			after := entries(t, s, "deploy")
			if len(after) != len(before)+1 {
				t.Errorf("%s %s left %d entries", rt.method, rt.path, len(after)-len(before))
				continue
			}
			want := rt.method + " " + rt.path
			if own {
				want = "noted by itself"
			}
			if after[0].Action != want || after[0].Via != inventory.ViaToken {
				t.Errorf("%s %s left %+v", rt.method, rt.path, after[0])
			}
		}
	}
	// These only answer a question that is too long for an address.
	answers := []string{"POST /api/v1/assess"}
	slices.Sort(silent)
	if diff := cmp.Diff(answers, silent); diff != "" {
		t.Errorf("routes that leave no entry (-known +real):\n%s", diff)
	}
}

func entries(t *testing.T, s *store.Store, actor string) []inventory.AuditEntry {
	t.Helper()
	page, err := s.AuditLog(t.Context(), inventory.AuditFilter{Actor: actor, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}

// TestWhatPagesAskIsNotedUnderWhoLooks: a page that asks the API in the same process acts
// for the person who is signed in, not for whoever started the server.
func TestWhatPagesAskIsNotedUnderWhoLooks(t *testing.T) {
	s, _ := audited(t)
	h := AsLocal(New(Options{Store: s, Log: slog.New(slog.DiscardHandler), TempDir: t.TempDir(), Sync: func(context.Context) error { return nil }}), "local")
	for _, act := range []struct{ method, path, body, action string }{
		{"POST", "/api/v1/watches", `{"name":"old","query":"openssl <3"}`, "watch saved"},
		{"DELETE", "/api/v1/watches/old", "", "watch removed"},
		{"POST", "/api/v1/exceptions", `{"exceptions":[{"cve":"CVE-2026-1","all":true,"status":"affected","reason":"internal"}]}`, "exception saved"},
		{"DELETE", "/api/v1/exceptions/1", "", "exception removed"},
		{"POST", "/api/v1/advisories/sync", "", "POST /api/v1/advisories/sync"},
	} {
		ctx := inventory.WithActor(t.Context(), &inventory.Actor{Name: "ada", Via: inventory.ViaSession, Address: "192.0.2.7"})
		before := time.Now()
		r := httptest.NewRequestWithContext(ctx, act.method, act.path, strings.NewReader(act.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= http.StatusBadRequest {
			t.Errorf("%s %s: %d %s", act.method, act.path, w.Code, w.Body)
			continue
		}
		if got := entries(t, s, "ada"); len(got) == 0 || got[0].Action != act.action || got[0].At.Before(before.Truncate(time.Second).Add(-time.Second)) {
			t.Errorf("%s %s left %+v", act.method, act.path, got)
		}
		if act.action == "watch saved" {
			if all, err := s.Watches(t.Context()); err != nil || len(all) != 1 || all[0].Author != "ada" {
				t.Errorf("watches: %+v %v", all, err)
			}
		}
		if act.action == "exception saved" {
			if all, err := s.Exceptions(t.Context()); err != nil || len(all) != 1 || all[0].Author != "ada" {
				t.Errorf("exceptions: %+v %v", all, err)
			}
		}
	}
	if got := entries(t, s, "local"); len(got) > 0 {
		t.Errorf("under the server's name: %+v", got)
	}
}
