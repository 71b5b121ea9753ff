package dashboard_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/dashboard"
)

// pageMatrix is who may open each page and send each form: the weakest role, "" for
// everybody. It is written here a second time on purpose.
func pageMatrix() map[string]string {
	return map[string]string{
		"GET /signin":                                "",
		"POST /signin":                               "",
		"GET /signin/openid":                         "",
		"GET /signin/openid/back":                    "",
		"GET /signin/{secret}":                       "",
		"GET /setup/{secret}":                        "",
		"POST /setup/{secret}":                       "",
		"POST /signout":                              "",
		"POST /theme":                                "",
		"GET /{$}":                                   "viewer",
		"GET /images":                                "viewer",
		"GET /repository":                            "viewer",
		"GET /image":                                 "viewer",
		"GET /compare":                               "viewer",
		"GET /vulnerabilities":                       "viewer",
		"GET /vulnerability":                         "viewer",
		"GET /packages":                              "viewer",
		"GET /bases":                                 "viewer",
		"GET /base":                                  "viewer",
		"GET /find":                                  "viewer",
		"GET /activity":                              "viewer",
		"GET /search":                                "viewer",
		"POST /activity/jobs/{id}/retry":             "editor",
		"POST /activity/retry":                       "editor",
		"GET /integrations":                          "viewer",
		"GET /connect":                               "editor",
		"POST /connect":                              "editor",
		"GET /integrations/{name}":                   "editor",
		"POST /integrations/{name}":                  "editor",
		"POST /integrations/{name}/test":             "editor",
		"POST /integrations/{name}/pause":            "editor",
		"POST /integrations/{name}/resume":           "editor",
		"POST /integrations/{name}/webhook":          "editor",
		"GET /integrations/{name}/disconnect":        "editor",
		"POST /integrations/{name}/disconnect":       "editor",
		"GET /integrations/{name}/delete":            "admin",
		"POST /integrations/{name}/delete":           "admin",
		"GET /settings/notifications":                "admin",
		"GET /settings/notifications/new":            "admin",
		"POST /settings/notifications/new":           "admin",
		"POST /settings/notifications/replay":        "admin",
		"GET /settings/notifications/{name}":         "admin",
		"POST /settings/notifications/{name}":        "admin",
		"POST /settings/notifications/{name}/test":   "admin",
		"POST /settings/notifications/{name}/remove": "admin",
		"GET /settings/advisories":                   "viewer",
		"POST /settings/advisories/sync":             "editor",
		"GET /exceptions":                            "viewer",
		"POST /exceptions":                           "editor",
		"POST /exceptions/{id}/remove":               "editor",
		"GET /watches":                               "viewer",
		"POST /watches":                              "editor",
		"POST /watches/{name}/remove":                "editor",
		"GET /settings":                              "viewer",
		"GET /settings/account":                      "viewer",
		"POST /settings/account/password":            "viewer",
		"POST /settings/account/sessions":            "viewer",
		"GET /settings/users":                        "admin",
		"POST /settings/users":                       "admin",
		"POST /settings/users/{name}":                "admin",
		"GET /settings/users/{name}/remove":          "admin",
		"GET /settings/tokens":                       "admin",
		"POST /settings/tokens":                      "admin",
		"POST /settings/tokens/{name}/revoke":        "admin",
		"GET /settings/audit":                        "admin",
		"GET /settings/redaction":                    "viewer",
		"GET /live":                                  "viewer",
		"GET /integrations/{name}/progress":          "viewer",
		"GET /integrations/{name}/progress/live":     "viewer",
		"GET /integrations/{name}/sent":              "editor",
		"/":                                          "viewer",
	}
}

func TestPageMatrix(t *testing.T) {
	d := dashboardOf(t, sample())
	got := map[string]string{}
	for _, r := range d.Table() {
		got[r.Pattern] = r.Role
	}
	if diff := cmp.Diff(pageMatrix(), got); diff != "" {
		t.Fatalf("known and real pages differ (-known +real):\n%s", diff)
	}
	reach := map[string]int{"": 0, "viewer": 1, "editor": 2, "admin": 3}
	srv := httptest.NewServer(d)
	defer srv.Close()
	defer d.Close()
	for _, r := range d.Table() {
		method, path, ok := strings.Cut(r.Pattern, " ")
		if !ok {
			method, path = http.MethodGet, "/nothing"
		}
		if strings.HasSuffix(path, "/live") {
			continue // a stream that does not end, as TestNobodySeesAPageWithoutSignIn knows
		}
		path = strings.NewReplacer("{$}", "", "{name}", "nobody", "{id}", "99", "{secret}", "guessed").Replace(path)
		for _, who := range []string{"", "forged", "bearer", "viewer", "editor", "admin"} {
			if r.Pattern == "POST /signout" && reach[who] > 0 {
				continue // the others still need the session
			}
			status, body := ask(t, srv, who, method, path)
			switch {
			case r.Role == "":
				if strings.Contains(body, "checkout-api") || strings.Contains(body, `class="top"`) && reach[who] == 0 {
					t.Errorf("%s as %q shows the fleet", r.Pattern, who)
				}
			case reach[who] == 0 && status != http.StatusUnauthorized:
				t.Errorf("%s as %q: %d, want 401", r.Pattern, who, status)
			case reach[who] > 0 && reach[who] < reach[r.Role] && status != http.StatusForbidden:
				t.Errorf("%s as %s: %d, want 403", r.Pattern, who, status)
			case reach[who] >= reach[r.Role] && (status == http.StatusUnauthorized || status == http.StatusForbidden || status >= 500):
				t.Errorf("%s as %s: %d, want to be let in", r.Pattern, who, status)
			}
		}
	}
}

// ask calls as somebody: with the session of a role, one that is none, or a token of
// scope admin, which is for the API alone.
func ask(t *testing.T, srv *httptest.Server, who, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	session := who
	if who == "bearer" {
		session = ""
		req.Header.Set("Authorization", "Bearer admin-token")
	}
	res, err := browse(session).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// dashboardOf makes the pages over f.
func dashboardOf(t *testing.T, f *fleet, change ...func(*dashboard.Options)) *dashboard.Dashboard {
	t.Helper()
	if f.people == nil {
		f.people = samplePeople(t)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	o := dashboard.Options{
		Store: f, Accounts: f, Reader: &api.Reader{Store: f}, Hub: &api.Hub{Store: f, Connector: f, Log: log}, Search: f, Teller: sampleTeller(), Exceptions: sampleExcepter(), Watches: sampleAsker(), Jobs: &jobBoard{}, Feeds: &syncer{}, Log: log,
		Version: "1.4.0", Now: now, SBOMFormats: []string{"cyclonedx", "spdx"},
	}
	for _, do := range change {
		do(&o)
	}
	d, err := dashboard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
