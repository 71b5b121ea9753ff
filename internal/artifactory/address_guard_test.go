package artifactory_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestLinkLocalIsOutOfReach: no address, name or redirect leads to where clouds keep the
// credentials of the machine, and what answers elsewhere is not repeated.
func TestLinkLocalIsOutOfReach(t *testing.T) {
	const planted = "planted-body-4711"
	answers := map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		},
		"a redirect to IPv6": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://[fe80::1]/v2/", http.StatusTemporaryRedirect)
		},
		"plain text": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(planted)) },
		"a plain refusal": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, planted, http.StatusForbidden)
		},
		"a refusal in JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"errors":[{"code":"` + planted + `","message":"` + planted + `"}]}`))
		},
		"a challenge": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/token",service="`+planted+`"`)
			http.Error(w, planted, http.StatusUnauthorized)
		},
		"broken JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`[{"key": ` + planted))
		},
	}
	for name, answer := range answers {
		for _, kind := range []string{inventory.KindArtifactory, inventory.KindOCI} {
			srv := httptest.NewServer(answer)
			got := testAddress(t, srv.URL, kind)
			srv.Close()
			if strings.Contains(got.Error+got.Remedy+strings.Join(got.Warnings, " "), planted) {
				t.Errorf("%s, %s: %+v", name, kind, got)
			}
			for _, r := range got.Repositories {
				if strings.Contains(r.Error+r.Remedy, planted) {
					t.Errorf("%s, %s: %+v", name, kind, r)
				}
			}
			if strings.HasPrefix(name, "a redirect") && !strings.Contains(got.Error, "link-local") {
				t.Errorf("%s, %s: %q does not say why", name, kind, got.Error)
			}
		}
	}
	for _, address := range []string{"http://169.254.169.254", "http://[fe80::1]:80", "http://0.0.0.0:1", "http://[::ffff:169.254.169.254]"} {
		if got := testAddress(t, address, inventory.KindArtifactory); got.OK || !strings.Contains(got.Error, "link-local") {
			t.Errorf("%s: %+v", address, got)
		}
	}
}

func testAddress(t *testing.T, address, kind string) inventory.TestResult {
	t.Helper()
	c, err := artifactory.New(artifactory.OptionsFor(
		inventory.Integration{Name: "x", Kind: kind, URL: address, Repositories: []string{"docker-local"}},
		inventory.Secrets{Password: "s3cret"}))
	if err != nil {
		t.Fatal(err)
	}
	return c.Test(t.Context(), []string{"docker-local"})
}
