package dashboard_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestProgressIsStreamed: an open page is told how far a discovery is, as it goes on.
func TestProgressIsStreamed(t *testing.T) {
	f := sample()
	srv := serve(t, f)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/integrations/berlin-dc/progress/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := browse("viewer")
	client.Timeout = time.Minute
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s, %s", res.Status, res.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		t.Helper()
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return text
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	if text := next(); !strings.Contains(text, `"phase":"read"`) || !strings.Contains(text, `"done":"2"`) || !strings.Contains(text, `"layers":"81"`) || !strings.Contains(text, `"bytes":"1.4 GB"`) {
		t.Errorf("at first: %s", text)
	}
	f.mu.Lock()
	for i := range f.tags {
		if f.tags[i].State == inventory.StateWaiting {
			f.tags[i].State = inventory.StateAnalysed
		}
	}
	f.mu.Unlock()
	text := next()
	for !strings.Contains(text, `"phase":"done"`) {
		text = next() // the pace may have changed meanwhile
	}
	if !strings.Contains(text, `"value":3,"max":3`) {
		t.Errorf("in the end: %s", text)
	}
	if status, _, _ := get(t, srv, "viewer", "/integrations/nothing/progress/live"); status != http.StatusNotFound {
		t.Errorf("of nothing: %d", status)
	}
}

// TestProgressWithoutScript: a page of what goes on asks again by itself, one of what is
// through does not.
func TestProgressWithoutScript(t *testing.T) {
	srv := serve(t, sample())
	for path, want := range map[string]bool{
		"/integrations/berlin-dc/progress": true, "/integrations/new-york/progress": true, "/integrations/acme-main/progress": false,
		"/integrations/sandbox/progress": false, "/integrations": false,
	} {
		_, _, body := get(t, srv, "viewer", path)
		if got := strings.Contains(body, `<noscript><meta http-equiv="refresh" content="5"></noscript>`); got != want {
			t.Errorf("%s asks again: %v", path, got)
		}
	}
}
