package dashboard_test

import (
	"encoding/csv"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/dashboard"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const checkoutRef = "acme.jfrog.io/docker-prod-local/payments/checkout-api:4.18.2"

func get(t *testing.T, srv *httptest.Server, session, path string) (int, http.Header, string) {
	t.Helper()
	res, err := browse(session).Get(srv.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

func post(t *testing.T, srv *httptest.Server, session, path string, form url.Values) (int, http.Header, string) {
	t.Helper()
	res, err := browse(session).PostForm(srv.URL+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

func imagePath(more string) string { return "/image?ref=" + url.QueryEscape(checkoutRef) + more }

func comparePath() string {
	return "/compare?" + url.Values{"a": {"acme.jfrog.io/docker-prod-local/payments/checkout-api:4.18.1"}, "b": {checkoutRef}}.Encode()
}

// pages are all that somebody can open.
func pages() []string {
	return []string{
		"/", "/images", "/images?by=tag", imagePath(""), imagePath("&packages=all&layer=5"),
		"/repository?repository=docker-prod-local&image=payments/checkout-api", "/activity", "/integrations", "/connect",
		"/vulnerabilities", "/vulnerabilities?severity=critical&kev=1", "/vulnerability?id=CVE-2025-24813", "/packages", "/bases", "/find", "/find?q=openssl+%3C3.0.12",
		"/find?q=openssl+%3C%3C3", comparePath(),
		"/settings/account", "/settings/users", "/settings/users/e.dit/remove", "/settings/tokens", "/settings/audit", "/settings/audit?actor=nobody", "/settings/redaction",
		"/integrations/acme-main", "/integrations/acme-main/disconnect", "/integrations/acme-main/delete",
		"/integrations/acme-main/progress", "/integrations/new-york/progress?done=added&short=1", "/integrations/berlin-dc/progress", "/integrations/partner-mirror/progress",
		"/integrations/acme-main/sent", "/integrations/sandbox/sent",
		"/base?integration=acme-main&repository=docker-local&image=base/java-21&tag=2026.11", "/search?q=tomcat", "/search?q=no-such-thing-anywhere",
		"/?d=30&s=c,h,md,l,u", "/?d=1&s=nothing", "/settings/advisories", "/exceptions", "/watches", "/watches?q=openssl+%3C3&done=saved", "/exceptions?cve=CVE-2025-24813&package=x&repository=docker-prod-local",
		"/settings/notifications", "/settings/notifications?state=dead&channel=siem", "/settings/notifications/new?kind=slack",
		"/settings/notifications/new?kind=webhook", "/settings/notifications/new?kind=mail", "/settings/notifications/boss", "/settings/notifications/team?event=new",
	}
}

func TestNobodySeesAPageWithoutSignIn(t *testing.T) {
	srv := serve(t, sample())
	for _, path := range append(pages(), "/live", "/nothing", imagePath("&format=csv"), "/images?format=csv") {
		for _, session := range []string{"", "forged"} {
			status, _, body := get(t, srv, session, path)
			body = regexp.MustCompile(`(name="to" value|\?to)="?=?[^"]*"`).ReplaceAllString(body, "") // what was asked for
			if status != http.StatusUnauthorized || strings.Contains(body, "checkout") {
				t.Errorf("%s with session %q: status %d, %d bytes; want 401 and nothing of the fleet", path, session, status, len(body))
			}
		}
	}
}

func TestRoles(t *testing.T) {
	srv := serve(t, sample())
	for _, tt := range []struct {
		session, method, path string
		want                  int
	}{
		{"viewer", "GET", "/integrations", 200},
		{"viewer", "GET", "/connect", 403},
		{"viewer", "GET", "/integrations/acme-main", 403},
		{"viewer", "POST", "/integrations/acme-main/pause", 403},
		{"viewer", "POST", "/integrations/acme-main/test", 403},
		{"viewer", "POST", "/integrations/acme-main/disconnect", 403},
		{"editor", "GET", "/connect", 200},
		{"editor", "GET", "/integrations/acme-main/delete", 403},
		{"editor", "POST", "/integrations/acme-main/delete", 403},
		{"admin", "GET", "/integrations/acme-main/delete", 200},
		{"admin", "GET", "/integrations/nothing", 404},
	} {
		status := 0
		if tt.method == "GET" {
			status, _, _ = get(t, srv, tt.session, tt.path)
		} else {
			status, _, _ = post(t, srv, tt.session, tt.path, url.Values{})
		}
		if status != tt.want {
			t.Errorf("%s %s as %s: %d, want %d", tt.method, tt.path, tt.session, status, tt.want)
		}
	}
}

func TestPagesAreSmallEscapedAndStrict(t *testing.T) {
	srv := serve(t, sample())
	for _, path := range pages() {
		status, header, body := get(t, srv, "admin", path)
		if status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
		if len(body) > 100_000 {
			t.Errorf("%s is %d bytes; a page stays under 100 KB", path, len(body))
		}
		for _, bad := range []string{"<script>alert", "<img src=x", `href="javascript:`, " style=", "onclick=", "#ZgotmplZ", "saved-token", "<no value>"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		if strings.Count(body, "<h1") != 1 || !strings.Contains(body, `class="skip"`) {
			t.Errorf("%s has not exactly one h1 and a skip link", path)
		}
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

func TestSignin(t *testing.T) {
	f := sample()
	srv := serve(t, f)
	if status, _, _ := get(t, srv, "", "/signin"); status != http.StatusOK {
		t.Errorf("sign-in page: %d", status)
	}
	ahead, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/signin/setup-link", nil)
	if err != nil {
		t.Fatal(err)
	}
	ahead.Header.Set("Sec-Purpose", "prefetch")
	res, err := browse("").Do(ahead)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	status, header, _ := get(t, srv, "", "/signin/setup-link")
	if status != http.StatusSeeOther || header.Get("Location") != "/" {
		t.Fatalf("link: %d to %q; a prefetch must not use it up", status, header.Get("Location"))
	}
	cookie := header.Get("Set-Cookie")
	for _, want := range []string{"tallyman_session=admin", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	if status, _, body := get(t, srv, "", "/signin/setup-link"); status != http.StatusUnauthorized || !strings.Contains(body, "used already") {
		t.Errorf("second use: %d", status)
	}
	if status, _, _ := post(t, srv, "admin", "/signout", nil); status != http.StatusSeeOther {
		t.Errorf("sign out: %d", status)
	}
	if status, _, _ := get(t, srv, "admin", "/"); status != http.StatusUnauthorized {
		t.Errorf("after sign out: %d", status)
	}
}

func TestSecureCookieAndBase(t *testing.T) {
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Secure, o.Base = true, "/tally" })
	_, header, _ := get(t, srv, "", "/signin/setup-link")
	if c := header.Get("Set-Cookie"); !strings.Contains(c, "Secure") || !strings.Contains(c, "Path=/tally/") {
		t.Errorf("cookie %q", c)
	}
	_, _, body := get(t, srv, "admin", "/images")
	for part := range strings.SplitSeq(body, `href="`) {
		if strings.HasPrefix(part, "/") && !strings.HasPrefix(part, "/tally/") {
			t.Errorf("a link leaves the proxy's path: %.60s", part)
		}
	}
}

func TestCrossOriginPostsAreRefused(t *testing.T) {
	f := sample()
	srv := serve(t, f)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/integrations/acme-main/disconnect", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := browse("admin").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden || f.integrations[0].State != "connected" {
		t.Errorf("status %d, state %s", res.StatusCode, f.integrations[0].State)
	}
}

func TestImagesFilters(t *testing.T) {
	srv := serve(t, sample())
	for query, want := range map[string]struct{ has, lacks string }{
		"severity=critical":   {"search/indexer", "web/admin"},
		"state=failed":        {"data/gpu-train", "search/indexer"},
		"name=storefront":     {"web/storefront", "web/admin"},
		"repository=nothing":  {"Nothing matches this filter", "web/admin"},
		"by=tag&gone=1":       {">4.18.0<", "Nothing matches"},
		"by=tag":              {">4.18.1<", ">4.18.0<"},
		"integration=sandbox": {"Nothing matches", "web/admin"},
		"severity=nonsense":   {"web/admin", "Nothing matches"},
	} {
		_, _, body := get(t, srv, "viewer", "/images?"+query)
		if !strings.Contains(body, want.has) || strings.Contains(body, want.lacks) {
			t.Errorf("%s: has %q = %v, has %q = %v", query, want.has, strings.Contains(body, want.has), want.lacks, strings.Contains(body, want.lacks))
		}
	}
	status, header, _ := get(t, srv, "viewer", "/search?q="+url.QueryEscape(checkoutRef))
	if status != http.StatusSeeOther || !strings.HasPrefix(header.Get("Location"), "/image?ref=") {
		t.Errorf("a whole reference leads to %q", header.Get("Location"))
	}
}

func TestReportFilters(t *testing.T) {
	srv := serve(t, sample())
	for query, want := range map[string]struct{ has, lacks string }{
		"":                         {"CVE-2025-24813", "CVE-2022-10059"},
		"&page=2":                  {"CVE-2022-10059", "CVE-2025-24813"},
		"&severity=critical":       {"CVE-2023-45853", "CVE-2025-48734"},
		"&severity=critical,high":  {"CVE-2025-48734", "CVE-2024-12798"},
		"&fixable=1":               {"CVE-2025-24813", "CVE-2023-45853"},
		"&kev=1":                   {"CVE-2025-27363", "CVE-2025-48734"},
		"&origin=own":              {"CVE-2025-24813", "CVE-2023-45853"},
		"&origin=base":             {"CVE-2023-45853", "CVE-2025-24813"},
		"&layer=4":                 {"CVE-2025-49794", "CVE-2025-24813"},
		"&layer=4,5":               {"CVE-2025-24813", "CVE-2023-45853"},
		"&text=tomcat":             {"CVE-2025-24813", "CVE-2023-45853"},
		"&text=45853":              {"CVE-2023-45853", "CVE-2025-24813"},
		"&package=libxml2":         {"CVE-2025-49794", "CVE-2025-24813"},
		"&type=Maven":              {"CVE-2025-24813", "CVE-2023-45853"},
		"&kev=1&layer=0":           {"No finding matches this filter", "CVE-2025-24813"},
		"&packages=all&text=nope":  {"libxml2", "Something went wrong"},
		"&layer=x,-1,99999&page=z": {"CVE-2025-24813", "Something went wrong"},
	} {
		status, _, body := get(t, srv, "viewer", imagePath(query))
		_, findings, _ := strings.Cut(body, `id="h-v"`)
		if status != http.StatusOK || !strings.Contains(body, want.has) || strings.Contains(findings, want.lacks) {
			t.Errorf("%s: %d, has %q = %v, has %q = %v", query, status, want.has, strings.Contains(body, want.has), want.lacks, strings.Contains(findings, want.lacks))
		}
	}
	_, _, body := get(t, srv, "viewer", imagePath(""))
	if !strings.Contains(body, "libc-bin, libc6") {
		t.Error("packages of one source do not share a row")
	}
	for _, want := range []string{"debian:12-slim", "base/java-21:2026.11", "archive nested too deep", "github.com/acme/checkout/commit/3f9c2ab8", "linux/arm64"} {
		if !strings.Contains(body, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

func TestReportOfWhatIsNotAnalysed(t *testing.T) {
	srv := serve(t, sample())
	for ref, want := range map[string]string{
		"acme.jfrog.io/docker-local/data/gpu-train:12.4":     "Layer 7: digest does not match",
		"acme.jfrog.io/docker-local/tools/netprobe:0.4.1":    "void linux",
		"acme.jfrog.io/team-edge-local/gateway/authz:0.22.0": "waits for its analysis",
		checkoutRef + "&platform=linux/arm64":                "waits for its analysis",
		checkoutRef + "&platform=linux/s390x":                "has no platform linux/s390x",
		"acme.jfrog.io/docker-local/data/nothing:1":          "there is no image",
	} {
		ref, more, _ := strings.Cut(ref, "&")
		_, _, body := get(t, srv, "viewer", "/image?ref="+url.QueryEscape(ref)+"&"+more)
		if !strings.Contains(body, want) || strings.Contains(body, "No findings:") {
			t.Errorf("%s: lacks %q, or claims to be clean", ref, want)
		}
	}
}

func TestExportIsWhatIsShownAndSafeInASpreadsheet(t *testing.T) {
	f := sample()
	f.findings[digest("checkout-amd64")][0].Package = "=cmd|' /C calc'!A0"
	srv := serve(t, f)
	_, header, body := get(t, srv, "viewer", imagePath("&severity=critical&format=csv"))
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 4 || !strings.Contains(header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("%d rows, %v, %q; want a header and 3 critical findings", len(rows), err, header.Get("Content-Disposition"))
	}
	if !strings.Contains(body, "'=cmd|") {
		t.Error("a formula is not defused")
	}
	_, _, body = get(t, srv, "viewer", "/images?state=failed&format=csv")
	rows, err = csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v; want a header and 2 failed images", len(rows), err)
	}
	if rows[1][8] != "" {
		t.Errorf("a failed image has %q critical findings; unknown is empty", rows[1][8])
	}
}

func TestEmptyFleet(t *testing.T) {
	srv := serve(t, newFleet())
	for path, want := range map[string]string{"/": "Nothing connected yet", "/images": "Nothing is connected yet", "/integrations": "Nothing is connected yet", "/activity": "nothing is connected"} {
		if _, _, body := get(t, srv, "admin", path); !strings.Contains(body, want) || !strings.Contains(body, "Coverage <b>unknown</b>") {
			t.Errorf("%s lacks %q", path, want)
		}
	}
}

func TestBrokenStoreTellsNothing(t *testing.T) {
	f := sample()
	f.broken = errBroken
	srv := serve(t, f)
	status, _, body := get(t, srv, "admin", "/images")
	if status != http.StatusInternalServerError || strings.Contains(body, errBroken.Error()) || !strings.Contains(body, "could not be read") {
		t.Errorf("status %d, body %.300s", status, body)
	}
	_ = inventory.ErrNotFound
}

func TestTheme(t *testing.T) {
	srv := serve(t, sample())
	for here, want := range map[string]string{"/images?by=tag": "/images?by=tag", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/"} {
		_, header, _ := post(t, srv, "viewer", "/theme", url.Values{"theme": {"dark"}, "here": {here}})
		if header.Get("Location") != want || !strings.Contains(header.Get("Set-Cookie"), "tallyman_theme=dark") {
			t.Errorf("back to %q: %q, %q", here, header.Get("Location"), header.Get("Set-Cookie"))
		}
	}
}
