package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/client"
)

// both runs a test over HTTP and in the same process: there must be no difference.
func both(t *testing.T, h http.Handler, test func(t *testing.T, c *client.Client)) {
	t.Helper()
	t.Run("local", func(t *testing.T) { test(t, client.Local(h)) })
	t.Run("http", func(t *testing.T) {
		srv := httptest.NewServer(h)
		defer srv.Close()
		c, err := client.New(srv.URL+"/", "a-token\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

func answer(status int, kind, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func TestErrorsKeepKindSentenceAndRemedy(t *testing.T) {
	const problem = "application/problem+json"
	for _, tt := range []struct {
		status     int
		kind, body string
		want       error
		text       string
	}{
		{404, problem, `{"type":"urn:tallyman:problem:not-found","detail":"there is no image x","remedy":"look again"}`, client.ErrNotFound, "there is no image x (look again)"},
		{400, problem, `{"type":"urn:tallyman:problem:invalid","detail":"no"}`, client.ErrInvalid, "no"},
		{409, problem, `{"type":"urn:tallyman:problem:conflict","title":"Conflict"}`, client.ErrConflict, "Conflict"},
		{401, problem, `{"type":"urn:tallyman:problem:unauthorized","detail":"not signed in"}`, client.ErrUnauthorized, "not signed in"},
		{403, problem, `{"type":"urn:tallyman:problem:forbidden","detail":"not you"}`, client.ErrForbidden, "not you"},
		{422, problem, `{"type":"urn:tallyman:problem:unsupported","detail":"odd"}`, client.ErrUnsupported, "odd"},
		{503, problem, `{"type":"urn:tallyman:problem:unavailable","detail":"later"}`, client.ErrUnavailable, "later"},
		{413, problem, `{"type":"urn:tallyman:problem:too-large","detail":"big"}`, client.ErrInvalid, "big"},
		{500, problem, `not JSON`, client.ErrUnavailable, "the server answered 500 Internal Server Error"},
		{404, "text/html", `<html>nginx`, client.ErrNotFound, "check that --server names a Tallyman"},
		{302, "text/html", ``, client.ErrInvalid, "check that --server names a Tallyman"},
		{200, "text/html", `<html>`, client.ErrUnavailable, "cannot be read"},
	} {
		both(t, answer(tt.status, tt.kind, tt.body), func(t *testing.T, c *client.Client) {
			_, err := c.Status(t.Context())
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%d %s: %v", tt.status, tt.body, err)
			}
		})
	}
}

func TestImagesGoesThroughAllPages(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Query().Get("after") {
		case "":
			_, _ = io.WriteString(w, `{"images":[{"tag":"1"},{"tag":"2"}],"total":3,"next":"c"}`)
		case "c":
			_, _ = io.WriteString(w, `{"images":[{"tag":"3"}],"total":3}`)
		}
	})
	both(t, h, func(t *testing.T, c *client.Client) {
		var tags []string
		for row, err := range c.Images(t.Context(), client.TagFilter{Name: "a b&c", Limit: 7, After: "ignored", Gone: true}) {
			if err != nil {
				t.Fatal(err)
			}
			tags = append(tags, row.Tag)
		}
		if got := strings.Join(tags, ""); got != "123" {
			t.Errorf("rows %s", got)
		}
		for range c.Images(t.Context(), client.TagFilter{}) {
			break // an iteration may end early
		}
	})
}

func TestTokenIsSentAndNeverFollowsARedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a-token" {
			t.Errorf("Authorization %q", r.Header.Get("Authorization"))
		}
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, "a-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || strings.Contains(err.Error(), "a-token") {
		t.Errorf("error %v", err)
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, base := range []string{"", "tallyman.example", "ftp://x", "https://user:pw@x", "https://x/?a=b", "://"} {
		if _, err := client.New(base, "", nil); !errors.Is(err, client.ErrInvalid) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestUnreachableServer(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	c, err := client.New(srv.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Status(t.Context()); !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), srv.URL) {
		t.Errorf("%v", err)
	}
}

func TestLocalStreams(t *testing.T) {
	more := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		<-more
		_, _ = io.WriteString(w, "second")
	})
	seen := &watcher{on: func(s string) {
		if s == "first " {
			close(more) // what came first is seen before the handler goes on
		}
	}}
	if err := client.Local(h).WriteSBOM(t.Context(), seen, "x", "", "cyclonedx"); err != nil || seen.seen.String() != "first second" {
		t.Errorf("%q, %v", seen.seen.String(), err)
	}
}

// watcher has no ReadFrom: each write is seen when it happens.
type watcher struct {
	seen bytes.Buffer
	on   func(string)
}

func (w *watcher) Write(p []byte) (int, error) {
	w.on(string(p))
	return w.seen.Write(p)
}

func TestLocalSurvivesAPanicAndACancelledCaller(t *testing.T) {
	panics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tags_seen":`)
		panic(http.ErrAbortHandler)
	})
	if _, err := client.Local(panics).Status(t.Context()); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("a handler that panics: %v", err)
	}
	hangs := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Local(hangs).Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that gives up: %v", err)
	}
}

func TestUpload(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(b) != "the file" {
			t.Errorf("%s with %q", r.Method, b)
		}
		_, _ = io.WriteString(w, `{"records":7}`)
	})
	both(t, h, func(t *testing.T, c *client.Client) {
		st, err := c.ImportAdvisories(t.Context(), strings.NewReader("the file"))
		if err != nil || st.Records != 7 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}
