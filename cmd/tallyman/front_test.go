package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/config"
)

func TestFront(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr, " ", r.URL.Path, " ", r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Forwarded"))
	})
	for name, tt := range map[string]struct {
		cfg        config.Config
		peer, path string
		header     map[string]string
		want       string
	}{
		"nobody is trusted": {
			config.Config{},
			"203.0.113.5:1", "/images",
			map[string]string{"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https", "Forwarded": "for=1.1.1.1"},
			"203.0.113.5:1 /images ",
		},
		"a trusted proxy": {
			config.Config{TrustedProxies: []string{"10.0.0.0/8"}},
			"10.0.0.2:1", "/",
			map[string]string{"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"},
			"203.0.113.5:0 / https",
		},
		"what the caller adds in front is not believed": {
			config.Config{TrustedProxies: []string{"10.0.0.2", "10.0.0.3"}},
			"10.0.0.2:1", "/",
			map[string]string{"X-Forwarded-For": "1.2.3.4, 203.0.113.5, 10.0.0.3"},
			"203.0.113.5:0 / ",
		},
		"nonsense in the list": {
			config.Config{TrustedProxies: []string{"10.0.0.2"}},
			"10.0.0.2:1", "/",
			map[string]string{"X-Forwarded-For": "1.2.3.4, unknown"},
			"10.0.0.2:1 / ",
		},
		"IPv6 that is IPv4": {
			config.Config{TrustedProxies: []string{"10.0.0.0/8"}},
			"[::ffff:10.0.0.2]:1", "/",
			map[string]string{"X-Forwarded-For": "2001:db8::7"},
			"[2001:db8::7]:0 / ",
		},
		"a path that the proxy leaves on":  {config.Config{PublicURL: "https://a.example/tally"}, "10.0.0.2:1", "/tally/images", nil, "10.0.0.2:1 /images "},
		"a path that the proxy takes off":  {config.Config{PublicURL: "https://a.example/tally/"}, "10.0.0.2:1", "/images", nil, "10.0.0.2:1 /images "},
		"the path alone":                   {config.Config{PublicURL: "https://a.example/tally"}, "10.0.0.2:1", "/tally", nil, "10.0.0.2:1 / "},
		"a path that only begins the same": {config.Config{PublicURL: "https://a.example/tally"}, "10.0.0.2:1", "/tallyman", nil, "10.0.0.2:1 /tallyman "},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := front(echo, tt.cfg, false)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, http.NoBody)
			r.RemoteAddr = tt.peer
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Body.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if hsts := w.Header().Get("Strict-Transport-Security") != ""; hsts != tt.cfg.Secure() {
				t.Errorf("Strict-Transport-Security is there: %v", hsts)
			}
		})
	}
}
