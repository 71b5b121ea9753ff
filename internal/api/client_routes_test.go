package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// asked answers whatever the client asks with something that it can read, and notes it.
type asked struct {
	mu    sync.Mutex
	calls []string
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.calls = append(a.calls, r.Method+" "+r.URL.Path)
	a.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body)
	lists := regexp.MustCompile(`/(errands|layers/missing|hints)$`)
	switch {
	case regexp.MustCompile(`/ingest/x/integrations/x/(tags|baseline)$`).MatchString(r.URL.Path):
	case lists.MatchString(r.URL.Path):
		_, _ = io.WriteString(w, "[]")
	default:
		_, _ = io.WriteString(w, "{}")
	}
}

// callAll calls every exported method of v, with arguments made up.
func callAll(t *testing.T, v any, leaveOut ...string) {
	t.Helper()
	val := reflect.ValueOf(v)
	for i := range val.NumMethod() {
		m, name := val.Method(i), val.Type().Method(i).Name
		if slices.Contains(leaveOut, name) {
			continue
		}
		var in []reflect.Value
		for k := range m.Type().NumIn() {
			in = append(in, madeUp(t, m.Type().In(k)))
		}
		for _, out := range m.Call(in) {
			if out.Kind() == reflect.Func && !out.IsNil() && out.Type().NumIn() == 1 { // rows that come as they are ranged over
				yield := reflect.MakeFunc(out.Type().In(0), func([]reflect.Value) []reflect.Value { return []reflect.Value{reflect.ValueOf(false)} })
				out.Call([]reflect.Value{yield})
			}
		}
	}
}

func madeUp(t *testing.T, of reflect.Type) reflect.Value {
	t.Helper()
	switch {
	case of == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(t.Context())
	case of == reflect.TypeFor[io.Reader]():
		return reflect.ValueOf(strings.NewReader("x"))
	case of == reflect.TypeFor[io.Writer]():
		return reflect.ValueOf(io.Discard)
	case of.Kind() == reflect.String:
		return reflect.ValueOf("x").Convert(of)
	case of.Kind() == reflect.Int64 || of.Kind() == reflect.Int:
		return reflect.ValueOf(1).Convert(of)
	case of == reflect.TypeFor[inventory.Integration]():
		return reflect.ValueOf(inventory.Integration{Name: "x"})
	case of == reflect.TypeFor[inventory.TagFilter]():
		return reflect.ValueOf(inventory.TagFilter{Integration: "x"})
	case of == reflect.TypeFor[inventory.Look]():
		return reflect.ValueOf(inventory.Look{Integration: 1})
	case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.String:
		return reflect.ValueOf([]string{"x"})
	}
	return reflect.Zero(of)
}

// TestClientReachesEveryRoute: what the API can do, the Go client can.
func TestClientReachesEveryRoute(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	_, _, body := call(t, serve(t, newLedger()), reader, "GET", "/api/v1/openapi.json", "")
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	seen := &asked{}
	srv := httptest.NewServer(seen)
	defer srv.Close()
	c, err := client.New(srv.URL, "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	callAll(t, c, "Watcher")
	w, err := c.Watcher(t.Context(), client.WatcherOptions{Name: "x", Holder: "holder-x", Indexer: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Adopt(t.Context(), inventory.Integration{Name: "x"}, inventory.Secrets{}, false); err != nil {
		t.Fatal(err)
	}
	callAll(t, w, "Peek")
	slot := regexp.MustCompile(`\{[a-z]+\}`)
	for path, methods := range doc.Paths {
		pattern := regexp.MustCompile("^" + slot.ReplaceAllString(path, "[^/]+") + "$")
		for method := range methods {
			if path == "/api/v1/openapi.json" {
				continue // for other languages
			}
			if !slices.ContainsFunc(seen.calls, func(call string) bool {
				m, p, _ := strings.Cut(call, " ")
				return strings.EqualFold(m, method) && pattern.MatchString(p)
			}) {
				t.Errorf("no call of the client reaches %s %s", strings.ToUpper(method), path)
			}
		}
	}
	for _, call := range seen.calls {
		m, p, _ := strings.Cut(call, " ")
		known := false
		for path, methods := range doc.Paths {
			_, takes := methods[strings.ToLower(m)]
			known = known || takes && regexp.MustCompile("^"+slot.ReplaceAllString(path, "[^/]+")+"$").MatchString(p)
		}
		if !known {
			t.Errorf("the client calls %s, which is no route", call)
		}
	}
}
