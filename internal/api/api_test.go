package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func call(t *testing.T, srv *httptest.Server, who caller, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	who.put(req)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

var reader, administrator = caller{token: "read-token"}, caller{token: "admin-token"} //nolint:gochecknoglobals // constants of the tests

// matrix is who may use each route: the weakest of signed-in, read, edit and admin. It
// is written here a second time on purpose.
func matrix() map[string]string {
	return map[string]string{
		"GET /api/v1/integrations":                    "read",
		"POST /api/v1/integrations":                   "edit",
		"GET /api/v1/integrations/{name}":             "read",
		"PUT /api/v1/integrations/{name}":             "edit",
		"DELETE /api/v1/integrations/{name}":          "admin",
		"POST /api/v1/integrations/{name}/test":       "edit",
		"POST /api/v1/integrations/{name}/pause":      "edit",
		"POST /api/v1/integrations/{name}/resume":     "edit",
		"POST /api/v1/integrations/{name}/disconnect": "edit",
		"POST /api/v1/test-connection":                "edit",
		"GET /api/v1/images":                          "read",
		"GET /api/v1/images/{digest}":                 "read",
		"GET /api/v1/tag":                             "read",
		"GET /api/v1/history":                         "read",
		"GET /api/v1/sbom":                            "read",
		"GET /api/v1/cves":                            "read",
		"GET /api/v1/status":                          "read",
		"GET /api/v1/payload":                         "read",
		"GET /api/v1/trend":                           "read",
		"GET /api/v1/who-has":                         "read",
		"GET /api/v1/explain":                         "read",
		"POST /api/v1/assess":                         "read",
		"GET /api/v1/recommendations":                 "read",
		"GET /api/v1/watches":                         "read",
		"POST /api/v1/watches":                        "edit",
		"DELETE /api/v1/watches/{name}":               "edit",
		"GET /api/v1/exceptions":                      "read",
		"POST /api/v1/exceptions":                     "edit",
		"DELETE /api/v1/exceptions/{id}":              "edit",
		"GET /api/v1/advisories":                      "read",
		"POST /api/v1/advisories/import":              "admin",
		"POST /api/v1/advisories/sync":                "edit",
		"GET /api/v1/tokens":                          "admin",
		"POST /api/v1/tokens":                         "admin",
		"DELETE /api/v1/tokens/{name}":                "admin",
		"POST /api/v1/tokens/{name}/requeue":          "admin",
		"POST /api/v1/signin-links":                   "admin",
		"GET /api/v1/channels":                        "admin",
		"POST /api/v1/channels":                       "admin",
		"PUT /api/v1/channels/{name}":                 "admin",
		"DELETE /api/v1/channels/{name}":              "admin",
		"POST /api/v1/channels/{name}/test":           "admin",
		"GET /api/v1/channels/{name}/preview":         "admin",
		"GET /api/v1/messages":                        "admin",
		"POST /api/v1/messages/replay":                "admin",
		"GET /api/v1/users":                           "admin",
		"POST /api/v1/users":                          "admin",
		"PUT /api/v1/users/{name}":                    "admin",
		"DELETE /api/v1/users/{name}":                 "admin",
		"GET /api/v1/users/{name}/sessions":           "admin",
		"DELETE /api/v1/users/{name}/sessions":        "admin",
		"GET /api/v1/audit":                           "admin",
		"GET /api/v1/me":                              "signed-in",
		"GET /api/v1/version":                         "signed-in",
		"GET /api/v1/openapi.json":                    "signed-in",

		"POST /api/v1/ingest/{watcher}":                             "ingest",
		"DELETE /api/v1/ingest/{watcher}":                           "ingest",
		"GET /api/v1/ingest/{watcher}/status":                       "ingest",
		"PUT /api/v1/ingest/{watcher}/integrations/{name}":          "ingest",
		"POST /api/v1/ingest/{watcher}/integrations/{name}/looks":   "ingest",
		"GET /api/v1/ingest/{watcher}/integrations/{name}/tags":     "ingest",
		"GET /api/v1/ingest/{watcher}/integrations/{name}/images":   "ingest",
		"GET /api/v1/ingest/{watcher}/integrations/{name}/baseline": "ingest",
		"PUT /api/v1/ingest/{watcher}/integrations/{name}/keys":     "ingest",
		"PUT /api/v1/ingest/{watcher}/integrations/{name}/state":    "ingest",
		"POST /api/v1/ingest/{watcher}/integrations/{name}/hints":   "ingest",
		"POST /api/v1/ingest/{watcher}/errands":                     "ingest",
		"POST /api/v1/ingest/{watcher}/outcomes":                    "ingest",
		"POST /api/v1/ingest/{watcher}/layers":                      "ingest",
		"POST /api/v1/ingest/{watcher}/layers/missing":              "ingest",
		"POST /api/v1/ingest/{watcher}/layers/bodies":               "ingest",
		"POST /api/v1/ingest/{watcher}/blobs":                       "ingest",
		"POST /api/v1/ingest/{watcher}/chains":                      "ingest",
		"POST /api/v1/ingest/{watcher}/images":                      "ingest",
	}
}

func TestAuthorisationMatrix(t *testing.T) {
	reach := map[string]int{"signed-in": 1, "read": 2, "edit": 3, "admin": 4}
	callers := map[string]struct {
		caller
		reach int
	}{
		"anonymous":        {caller{}, 0},
		"unknown token":    {caller{token: "guessed"}, 0},
		"ingest token":     {caller{token: "ingest-token"}, 1},
		"read token":       {caller{token: "read-token"}, 2},
		"admin token":      {caller{token: "admin-token"}, 4},
		"viewer":           {caller{session: "viewer"}, 2},
		"editor":           {caller{session: "editor"}, 3},
		"admin":            {caller{session: "admin"}, 4},
		"somebody strange": {caller{session: "owner"}, 0},
	}
	for line, need := range matrix() {
		method, path, _ := strings.Cut(line, " ")
		path = strings.NewReplacer("{name}", "nobody", "{digest}", digest("0")).Replace(path)
		for name, who := range callers {
			srv := httptest.NewServer(api.New(newLedger().options(t)))
			status, _, body := call(t, srv, who.caller, method, path, "")
			srv.Close()
			want := "let in"
			switch {
			case who.reach == 0:
				want = "401"
			case need == "ingest" && name != "ingest token":
				want = "403" // nor an administrator's: what is written carries the token's name
			case who.reach < reach[need]:
				want = "403"
			}
			got := "let in"
			if status == http.StatusUnauthorized {
				got = "401"
			}
			if status == http.StatusForbidden {
				got = "403"
			}
			if got != want {
				t.Errorf("%s as %s: %s (%d %.80s), want %s", line, name, got, status, body, want)
			}
		}
	}
}

func TestOpenAPIIsTheRoutes(t *testing.T) {
	srv := serve(t, newLedger())
	_, _, body := call(t, srv, reader, "GET", "/api/v1/openapi.json", "")
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	want, got, ids := matrix(), map[string]string{}, map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			line := strings.ToUpper(method) + " " + path
			got[line] = want[line]
			if ids[op.OperationID] != "" {
				t.Errorf("%s and %s share the operation id %s", ids[op.OperationID], line, op.OperationID)
			}
			ids[op.OperationID] = line
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented and known routes differ (-known +documented):\n%s", diff)
	}
	for part := range strings.SplitSeq(body, `"$ref":"#/components/`) {
		name, ok := strings.CutPrefix(part, "schemas/")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, `"`)
		if _, ok := doc.Components.Schemas[name]; !ok {
			t.Errorf("schema %s is named and not there", name)
		}
	}
	// What is answered has no field that the document lacks.
	_, _, image := call(t, srv, reader, "GET", "/api/v1/images", "")
	var page struct {
		Images []map[string]any `json:"images"`
	}
	if err := json.Unmarshal([]byte(image), &page); err != nil || len(page.Images) == 0 {
		t.Fatal(err, image)
	}
	for field := range page.Images[0] {
		if _, ok := doc.Components.Schemas["TagRow"].Properties[field]; !ok {
			t.Errorf("field %s of an image is not documented", field)
		}
	}
}

func TestHealthNeedsNobody(t *testing.T) {
	l := newLedger()
	o := l.options(t)
	var state error
	o.Ready = func(context.Context) error { return state }
	srv := httptest.NewServer(api.New(o))
	defer srv.Close()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200} {
		if status, _, _ := call(t, srv, caller{}, "GET", path, ""); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	state = errors.New("secret reason")
	if status, _, body := call(t, srv, caller{}, "GET", "/readyz", ""); status != 503 || strings.Contains(body, "secret") {
		t.Errorf("not ready: %d %q", status, body)
	}
}

func TestProblems(t *testing.T) {
	srv := serve(t, newLedger())
	for _, tt := range []struct {
		method, path, body string
		status             int
		kind, detail       string
	}{
		{"GET", "/api/v1/integrations/nothing", "", 404, "not-found", "there is no integration"},
		{"GET", "/api/v1/cves", "", 400, "invalid", "ref is missing"},
		{"GET", "/api/v1/cves?ref=nothing", "", 404, "not-found", "there is no image nothing"},
		{"GET", "/api/v1/cves?ref=acme.example/docker-local/team/app:waiting", "", 503, "unavailable", "waits for its analysis"},
		{"GET", "/api/v1/sbom?ref=acme.example/docker-local/team/app:broken", "", 422, "unsupported", "layer 2 is not a tar archive"},
		{"GET", "/api/v1/sbom?ref=x&format=word", "", 400, "invalid", "is not a format"},
		{"GET", "/api/v1/cves?platform=linux/s390x&ref=" + ref, "", 404, "not-found", "has no platform linux/s390x"},
		{"GET", "/api/v1/images?state=lost", "", 400, "invalid", "is not a state"},
		{"GET", "/api/v1/images?limit=5000", "", 400, "invalid", "limit is not"},
		{"GET", "/api/v1/images?image=app", "", 400, "invalid", "image needs repository"},
		{"GET", "/api/v1/images?gone=perhaps", "", 400, "invalid", "gone is neither"},
		{"POST", "/api/v1/integrations", `{"name":"main","url":"https://acme.example"}`, 409, "conflict", "already"},
		{"POST", "/api/v1/integrations", `{"name":"x","url":"https://u:p@acme.example"}`, 400, "invalid", "holds credentials"},
		{"POST", "/api/v1/integrations", `{"name":"x","secret":["hidden"]}`, 400, "invalid", `field "secret"`},
		{"POST", "/api/v1/integrations", `{"nme":"x"}`, 400, "invalid", `unknown field "nme"`},
		{"POST", "/api/v1/integrations", `{"secret":"hidden`, 400, "invalid", "not well-formed"},
		{"POST", "/api/v1/integrations", `{"name":"x","url":"http://169.254.169.254"}`, 403, "forbidden", "link-local"},
		{"POST", "/api/v1/test-connection", `{"url":"http://[fe80::1]:8081/artifactory"}`, 403, "forbidden", "link-local"},
		{"POST", "/api/v1/integrations", strings.Repeat(" ", 1<<20) + `{}`, 413, "too-large", "larger"},
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"root"}`, 400, "invalid", "is not a scope"},
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"read","expires":"2001-01-01T00:00:00Z"}`, 400, "invalid", "expired already"},
		{"POST", "/api/v1/tokens", `{"name":"a","scope":"read"}`, 409, "conflict", "there is a token"},
		{"DELETE", "/api/v1/tokens/nothing", "", 404, "not-found", "there is no token"},
		{"GET", "/api/v1/nothing", "", 404, "not-found", "there is no route"},
	} {
		status, header, body := call(t, srv, administrator, tt.method, tt.path, tt.body)
		var p api.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s %s: %v in %q", tt.method, tt.path, err, body)
			continue
		}
		if status != tt.status || p.Status != status || p.Type != "urn:tallyman:problem:"+tt.kind || !strings.Contains(p.Detail, tt.detail) || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.60s: %d %+v, want %d %s with %q", tt.method, tt.path, status, p, tt.status, tt.kind, tt.detail)
		}
		if strings.Contains(body, "hidden") {
			t.Errorf("%s: the answer repeats what was sent", tt.path)
		}
	}
}

func TestInternalErrorsTellNothing(t *testing.T) {
	l := newLedger()
	l.broken = errors.New("pq: password authentication failed for user tally")
	srv := serve(t, l)
	status, _, body := call(t, srv, reader, "GET", "/api/v1/status", "")
	if status != 500 || strings.Contains(body, "password") {
		t.Errorf("%d %s", status, body)
	}
}

func TestReadsHaveETags(t *testing.T) {
	srv := serve(t, newLedger())
	for _, path := range []string{"/api/v1/images", "/api/v1/status", "/api/v1/cves?ref=" + ref, "/api/v1/sbom?ref=" + ref, "/api/v1/integrations"} {
		_, header, _ := call(t, srv, reader, "GET", path, "")
		tag := header.Get("ETag")
		if tag == "" {
			t.Errorf("%s has no ETag", path)
		}
		if status, _, body := call(t, srv, reader, "GET", path, "", "If-None-Match", `"other", W/`+tag); status != 304 || body != "" {
			t.Errorf("%s again: %d with %d bytes", path, status, len(body))
		}
	}
}

func TestImagesPagesAndStream(t *testing.T) {
	srv := serve(t, newLedger())
	_, header, body := call(t, srv, reader, "GET", "/api/v1/images?sort=pushed", "")
	var page inventory.TagPage
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Rows) != 2 || page.Total != 4 || page.Next != "2" || header.Get("Link") != `</api/v1/images?after=2&sort=pushed>; rel="next"` {
		t.Errorf("%d of %d rows, next %q, link %q", len(page.Rows), page.Total, page.Next, header.Get("Link"))
	}
	_, header, body = call(t, srv, reader, "GET", "/api/v1/images?format=jsonl", "")
	rows := 0
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); rows++ {
		if !json.Valid(s.Bytes()) {
			t.Errorf("line %q", s.Text())
		}
	}
	if rows != 4 || header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("%d lines of %s", rows, header.Get("Content-Type"))
	}
}

func TestDossier(t *testing.T) {
	srv := serve(t, newLedger())
	index := url.QueryEscape("acme.example/docker-local/team/app:1.1")
	_, _, body := call(t, srv, reader, "GET", "/api/v1/sbom?ref="+index, "")
	var s inventory.SBOM
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	if s.Digest != digest("a") || s.Platform != "linux/amd64" || !s.Layers[0].Base || s.Layers[1].Base {
		t.Errorf("index without a platform: %s %s, layers %+v", s.Digest, s.Platform, s.Layers)
	}
	_, _, body = call(t, srv, reader, "GET", "/api/v1/cves?ref="+index, "")
	var rep inventory.Report
	if err := json.Unmarshal([]byte(body), &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Summary.High != 1 || rep.Platform != "linux/amd64" || len(rep.Unknown) != 1 || rep.Unknown[0].PURL != "pkg:generic/b@1" {
		t.Errorf("report %+v", rep)
	}
	if strings.Contains(body, "null") {
		t.Errorf("an array is null: %s", body)
	}
	for _, platform := range []string{"linux/arm64", "arm64", "linux/arm64/v8"} {
		if status, _, body := call(t, srv, reader, "GET", "/api/v1/cves?ref="+index+"&platform="+platform, ""); status != 503 || !strings.Contains(body, "waits") {
			t.Errorf("%s of an index whose member waits: %d %s", platform, status, body)
		}
	}
}

func TestConnectionTests(t *testing.T) {
	l := newLedger()
	var sent inventory.Secrets
	var asked inventory.Integration
	l.test = func(in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
		asked, sent = in, s
		return inventory.TestResult{}, inventory.Errorf(inventory.ErrUnauthorized, "authentication failed: invalid credentials or insufficient permissions").WithRemedy("check the token")
	}
	srv := serve(t, l)
	editor := caller{session: "editor"}
	status, _, body := call(t, srv, editor, "POST", "/api/v1/test-connection", `{"url":"https://new.example","secret":"typed"}`)
	var result inventory.TestResult
	if err := json.Unmarshal([]byte(body), &result); err != nil {
		t.Fatal(err)
	}
	first := sent.Password
	for typed, want := range map[string]string{"localhost:8082": "https://localhost:8082", "acme.example/docker-local/app:1 ": "https://acme.example/docker-local/app:1"} {
		if call(t, srv, editor, "POST", "/api/v1/test-connection", `{"url":"`+typed+`"}`); asked.URL != want {
			t.Errorf("%q is asked for as %q, want %q", typed, asked.URL, want)
		}
	}
	if status != 200 || result.OK || result.Error != "authentication failed: invalid credentials or insufficient permissions" || result.Remedy != "check the token" || first != "typed" {
		t.Errorf("%d %+v", status, result)
	}
	sent = inventory.Secrets{}
	if status, _, body := call(t, srv, editor, "POST", "/api/v1/test-connection", `{"url":"https://evil.example","saved":"main"}`); status != 400 || sent.Password != "" {
		t.Errorf("the saved secret went to another host: %d %s", status, body)
	}
	if status, _, _ := call(t, srv, editor, "POST", "/api/v1/test-connection", `{"url":"https://acme.example/artifactory","saved":"main"}`); status != 200 || sent.Password != "saved-token" {
		t.Errorf("the saved secret was not used: %d %q", status, sent.Password)
	}
	if status, _, _ := call(t, srv, editor, "POST", "/api/v1/test-connection", `{"url":"https://new.example","ca_file":"/etc/shadow"}`); status != 403 {
		t.Errorf("an editor names a file: %d", status)
	}
	call(t, srv, editor, "POST", "/api/v1/integrations/main/test", "")
	if l.in[0].State != "error" || !strings.HasPrefix(l.in[0].Problem, "authentication failed") {
		t.Errorf("the card says %s: %s", l.in[0].State, l.in[0].Problem)
	}
	l.test = func(inventory.Integration, inventory.Secrets) (inventory.TestResult, error) {
		return inventory.TestResult{}, errors.New("<html>secret body</html>")
	}
	if status, _, body := call(t, srv, editor, "POST", "/api/v1/test-connection", `{"url":"https://new.example"}`); status != 500 || strings.Contains(body, "html") {
		t.Errorf("a response body is told: %d %s", status, body)
	}
}

func TestSessionsAreCheckedForTheirOrigin(t *testing.T) {
	l := newLedger()
	srv := serve(t, l)
	cross := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	if status, _, _ := call(t, srv, caller{session: "admin"}, "DELETE", "/api/v1/integrations/main", "", cross...); status != 403 || len(l.in) != 1 {
		t.Errorf("another site deletes with a session: %d", status)
	}
	if status, _, _ := call(t, srv, administrator, "DELETE", "/api/v1/integrations/main", "", cross...); status != 204 || len(l.in) != 0 {
		t.Errorf("a token is held to its origin: %d", status)
	}
}

func TestWebhooks(t *testing.T) {
	l := newLedger()
	l.in = append(l.in, inventory.Integration{ID: 2, Name: "no-secret", State: "connected"}, inventory.Integration{ID: 3, Name: "off", State: "disconnected"}, inventory.Integration{ID: 1, Name: "paused", State: "paused"})
	srv := serve(t, l)
	for _, tt := range []struct {
		name, secret, body string
		status, hints      int
	}{
		{"main", "hook-secret", `{"event_type":"pushed"}`, 202, 1},
		{"main", "hook-secret", `{"event_type":"test"}`, 202, 0},
		{"main", "wrong", `{}`, 401, 0},
		{"main", "", `{}`, 401, 0},
		{"main", "hook-secret", `not json`, 400, 0},
		{"main", "hook-secret", "{" + strings.Repeat(" ", 1<<20), 413, 0},
		{"no-secret", "", `{}`, 401, 0},
		{"off", "hook-secret", `{}`, 404, 0},
		{"nothing", "hook-secret", `{}`, 404, 0},
		{"paused", "hook-secret", `{"event_type":"pushed"}`, 202, 0},
	} {
		l.hints = nil
		status, _, body := call(t, srv, caller{}, "POST", "/hooks/artifactory/"+tt.name, tt.body, "X-Secret", tt.secret)
		if status != tt.status || len(l.hints) != tt.hints || strings.Contains(body, "hook-secret") {
			t.Errorf("%s with %q, %.20q: %d and %d hints, want %d and %d", tt.name, tt.secret, tt.body, status, len(l.hints), tt.status, tt.hints)
		}
	}
}

func TestWebhooksAnswerWithinASecond(t *testing.T) {
	l := newLedger()
	l.slow = make(chan struct{})
	srv := serve(t, l)
	started := time.Now()
	status, _, _ := call(t, srv, caller{}, "POST", "/hooks/artifactory/main", `{}`, "X-Secret", "hook-secret")
	if took := time.Since(started); status != 503 || took > time.Second {
		t.Errorf("%d after %s; a sender repeats what is answered with 503", status, took)
	}
}

func TestImport(t *testing.T) {
	l := newLedger()
	o := l.options(t)
	o.MaxImport = 100
	var path, content string
	o.Import = func(_ context.Context, p string) error {
		b, err := os.ReadFile(p)
		path, content = p, string(b)
		return err
	}
	srv := httptest.NewServer(api.New(o))
	defer srv.Close()
	status, _, body := call(t, srv, administrator, "POST", "/api/v1/advisories/import", `[{"id":"X"}]`)
	if status != 200 || content != `[{"id":"X"}]` || !strings.Contains(body, `"records":3`) {
		t.Errorf("%d %s, imported %q", status, body, content)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the spooled file stays")
	}
	content = ""
	if status, _, _ := call(t, srv, administrator, "POST", "/api/v1/advisories/import", strings.Repeat("x", 101)); status != 413 || content != "" {
		t.Errorf("too large: %d", status)
	}
}

func TestTokensAndCaller(t *testing.T) {
	srv := serve(t, newLedger())
	_, _, body := call(t, srv, administrator, "POST", "/api/v1/tokens", `{"name":"ci","scope":"read"}`)
	var made inventory.TokenSecret
	if err := json.Unmarshal([]byte(body), &made); err != nil || made.Secret == "" {
		t.Fatalf("%v %s", err, body)
	}
	if _, _, body := call(t, srv, caller{token: made.Secret}, "GET", "/api/v1/me", ""); !strings.Contains(body, `"reach":"read"`) {
		t.Errorf("caller %s", body)
	}
	call(t, srv, administrator, "DELETE", "/api/v1/tokens/ci", "")
	if status, header, _ := call(t, srv, caller{token: made.Secret}, "GET", "/api/v1/me", ""); status != 401 || header.Get("WWW-Authenticate") == "" {
		t.Errorf("revoked: %d", status)
	}
}
