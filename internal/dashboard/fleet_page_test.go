package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/dashboard"
)

func TestSearchLeadsToWhatIsMeant(t *testing.T) {
	srv := serve(t, sample())
	for q, want := range map[string]string{
		"cve-2025-24813":              "/vulnerability?id=CVE-2025-24813",
		"ghsa-M425-mq94-257g":         "/vulnerability?id=GHSA-m425-mq94-257g",
		"openssl <3.0.12":             "/find?q=openssl+%3C3.0.12",
		"lodash@4.17.20":              "/find?q=lodash%404.17.20",
		"pkg:npm/lodash@4.17.20":      "/find?q=pkg%3Anpm%2Flodash%404.17.20",
		digest("checkout-index"):      "/image?ref=",
		digest("a file"):              "/find?q=sha256%3A",
		checkoutRef:                   "/image?ref=",
		"payments/checkout-api":       "/images?name=payments%2Fcheckout-api",
		"storefront":                  "/images?name=storefront",
		"":                            "/images",
		"libsmall":                    "",
		"<script>alert(1)</script>":   "/images?name=%3Cscript%3E",
		"https://evil.example/?q=<1":  "",
		"acme.jfrog.io/nothing/x:1.0": "",
	} {
		status, header, _ := get(t, srv, "viewer", "/search?q="+url.QueryEscape(q))
		at := header.Get("Location")
		if want == "" && status != http.StatusOK || want != "" && (status != http.StatusSeeOther || !strings.HasPrefix(at, want)) {
			t.Errorf("%q: %d to %q, want %q", q, status, at, want)
		}
	}
}

func TestFleetPages(t *testing.T) {
	srv := serve(t, sample())
	for path, want := range map[string]struct{ has, lacks string }{
		"/vulnerabilities?severity=critical": {"CVE-2023-45853", "CVE-2025-48734"},
		"/vulnerabilities?kev=1":             {"CVE-2025-27363", "CVE-2025-48734"},
		"/vulnerabilities?fixable=1":         {"CVE-2025-24813", "CVE-2023-45853"},
		"/vulnerabilities?text=LIBXML2":      {"CVE-2025-49794", "CVE-2025-24813"},
		"/vulnerabilities?text=nothing":      {"No flaw matches this filter", "CVE-2025-24813"},
		"/vulnerability?id=CVE-2025-24813":   {"payments/checkout-api", "Something went wrong"},
		"/vulnerability?id=CVE-1":            {"no image has CVE-1", "Something went wrong"},
		"/vulnerability":                     {"no flaw is named", "Something went wrong"},
		"/packages?text=tomcat":              {"tomcat-embed-core", "libxml2"},
		"/packages?ecosystem=Debian":         {"libxml2", "tomcat-embed-core"},
		"/bases":                             {"12 images", "Something went wrong"},
		"/find?q=openssl+%3C%3C3":            {"is no range", "Something went wrong"},
		"/find?q=openssl&as_of=yesterday":    {"That is no date", "Something went wrong"},
		"/compare?a=x":                       {"two tags are compared", "Something went wrong"},
		comparePath():                        {"The same packages in the same versions", "Something went wrong"},
		imagePath(""):                        {"Where this image is and was", "Something went wrong"},
	} {
		_, _, body := get(t, srv, "viewer", path)
		if !strings.Contains(body, want.has) || strings.Contains(body, want.lacks) {
			t.Errorf("%s: has %q = %v, has %q = %v", path, want.has, strings.Contains(body, want.has), want.lacks, strings.Contains(body, want.lacks))
		}
	}
	for path, want := range map[string]string{"/vulnerabilities?format=csv&severity=critical": "CVE-2025-24813", "/packages?format=csv": "tomcat-embed-core", "/find?q=openssl&format=csv": "pkg:deb/debian/openssl"} {
		_, header, body := get(t, srv, "viewer", path)
		if !strings.Contains(header.Get("Content-Disposition"), "attachment") || !strings.Contains(body, want) {
			t.Errorf("%s: %q lacks %q", path, header.Get("Content-Disposition"), want)
		}
	}
}

// TestSearchLists: what is not clear is listed by kind.
func TestSearchLists(t *testing.T) {
	srv := serve(t, sample())
	_, _, body := get(t, srv, "viewer", "/search?q=tomcat")
	for _, want := range []string{"No repository or tag is called so", "tomcat-embed-core", "CVE-2025-24813"} {
		if !strings.Contains(body, want) {
			t.Errorf("the search lacks %q", want)
		}
	}
	if _, _, body := get(t, srv, "viewer", "/search?q=no-such-thing-anywhere"); !strings.Contains(body, "Nothing here has that in its name") {
		t.Error("nothing is found, and nothing is said")
	}
}

func TestJobsAreTriedAgain(t *testing.T) {
	board := &jobBoard{}
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Jobs = board })
	_, _, body := get(t, srv, "editor", "/activity")
	for _, want := range []string{"6,685", "503 Service Unavailable", "Given up", "partner-mirror", "what the registry holds of it is damaged", "Nothing to do: it is counted as unsupported"} {
		if !strings.Contains(body, want) {
			t.Errorf("Activity lacks %q", want)
		}
	}
	for path, want := range map[string]int{"/activity/jobs/7/retry": http.StatusSeeOther, "/activity/jobs/9/retry": http.StatusNotFound, "/activity/jobs/x/retry": http.StatusNotFound} {
		if status, _, _ := post(t, srv, "editor", path, nil); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, _ := post(t, srv, "viewer", "/activity/jobs/7/retry", nil); status != http.StatusForbidden || len(board.retried) != 1 {
		t.Errorf("a viewer: %d; retried %v", status, board.retried)
	}
}

func TestRetry(t *testing.T) {
	f := sample()
	srv := serve(t, f)
	form := url.Values{"digest": {digest("data/gpu-train")}}
	if status, _, _ := post(t, srv, "viewer", "/activity/retry", form); status != http.StatusForbidden {
		t.Errorf("a viewer retries: %d", status)
	}
	if _, _, body := get(t, srv, "viewer", "/activity"); strings.Contains(body, "/activity/retry") {
		t.Error("a viewer is offered to retry")
	}
	if status, _, _ := post(t, srv, "editor", "/activity/retry", form); status != http.StatusSeeOther {
		t.Errorf("retry: %d", status)
	}
	if status, _, _ := post(t, srv, "editor", "/activity/retry", form); status != http.StatusConflict {
		t.Errorf("what waits is retried: %d", status)
	}
	if status, _, _ := post(t, srv, "editor", "/activity/retry", url.Values{"digest": {"x"}}); status != http.StatusBadRequest {
		t.Errorf("nothing is retried: %d", status)
	}
}

func TestFindWithoutASearcher(t *testing.T) {
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Search = nil })
	if _, _, body := get(t, srv, "viewer", "/find?q=openssl"); !strings.Contains(body, "cannot search packages") {
		t.Error("the page does not say that it cannot search")
	}
}
