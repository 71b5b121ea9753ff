package dashboard_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// hidden finds the value of a hidden field of a form.
func hidden(t *testing.T, body, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("the form has no hidden field %s", name)
	}
	return m[1]
}

func TestConnectTestsBeforeItSaves(t *testing.T) {
	f := newFleet()
	f.test = func(in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
		if s.Password != "right" {
			return inventory.TestResult{}, inventory.Errorf(inventory.ErrUnauthorized, "authentication failed: invalid credentials or insufficient permissions").WithRemedy("check the token")
		}
		r := inventory.TestResult{OK: true}
		for _, key := range in.Repositories {
			k := inventory.RepositoryKey{Key: key, OK: key != "docker-legacy", Class: "local", PackageType: "docker"}
			if !k.OK {
				k.Error, k.Remedy = "403 Forbidden", "Give the account Read on docker-legacy."
				r.OK, r.Error = false, "repository access failed for: docker-legacy"
			}
			r.Repositories = append(r.Repositories, k)
		}
		return r, nil
	}
	srv := serve(t, f)
	form := url.Values{"name": {"main"}, "url": {"https://acme.jfrog.io/"}, "kind": {"artifactory"}, "repositories": {"docker-local\ndocker-legacy"}, "secret": {"wrong-secret"}, "act": {"test"}}

	_, _, body := post(t, srv, "editor", "/connect", form)
	if !strings.Contains(body, "authentication failed: invalid credentials or insufficient permissions") || !strings.Contains(body, "check the token") {
		t.Error("a wrong token is not told in the sentence that people search for")
	}
	if strings.Contains(body, "wrong-secret") || len(f.integrations) != 0 {
		t.Error("the page holds the secret, or a test saved")
	}

	form.Set("secret", "right")
	_, _, body = post(t, srv, "editor", "/connect", form)
	for _, want := range []string{"repository access failed for: docker-legacy", "1 of 2 keys", "Give the account Read on docker-legacy.", "can be saved now"} {
		if !strings.Contains(body, want) {
			t.Errorf("the result lacks %q", want)
		}
	}

	// The secret need not be typed again: the page carries a name for it, and it is
	// the one who typed it that may use it.
	form.Del("secret")
	form.Set("draft", hidden(t, body, "draft"))
	form.Set("repositories", "docker-local")
	_, _, stolen := post(t, srv, "admin", "/connect", form)
	if !strings.Contains(stolen, "authentication failed") {
		t.Error("somebody else can use a secret that was typed")
	}
	_, _, body = post(t, srv, "editor", "/connect", form)
	if !strings.Contains(body, "The connection works.") {
		t.Error("the fixed form does not test well")
	}
	form.Set("draft", hidden(t, body, "draft"))
	form.Set("act", "save")
	status, header, _ := post(t, srv, "editor", "/connect", form)
	if status != http.StatusSeeOther || header.Get("Location") != "/integrations/main/progress?done=added" {
		t.Fatalf("saving: %d to %q", status, header.Get("Location"))
	}
	if f.secrets[1].Password != "right" || f.integrations[0].Registry != "acme.jfrog.io" {
		t.Errorf("saved %+v", f.integrations[0])
	}
}

func TestFormErrorsKeepWhatWasTyped(t *testing.T) {
	f := sample()
	srv := serve(t, f)
	for want, form := range map[string]url.Values{
		"is not a name for an integration": {"name": {"a b"}, "url": {"https://acme.jfrog.io"}},
		"the URL is not an address":        {"name": {"main"}, "url": {"ftp://acme"}},
		"is not a repository key":          {"name": {"main"}, "url": {"https://acme.jfrog.io"}, "repositories": {"docker-local/team"}},
		"is not a regular expression":      {"name": {"main"}, "url": {"https://acme.jfrog.io"}, "tags": {"(v"}},
		"is a link-local address":          {"name": {"main"}, "url": {"http://169.254.169.254/artifactory"}},
		"there is an integration":          {"name": {"acme-main"}, "url": {"https://acme.jfrog.io"}},
		"only an administrator may name":   {"name": {"main"}, "url": {"https://acme.jfrog.io"}, "ca_file": {"/etc/passwd"}},
	} {
		form.Set("include", "team/kept-"+form.Get("name"))
		form.Set("secret", "typed-secret")
		for _, act := range []string{"save", "test"} {
			if want == "there is an integration" && act == "test" {
				continue
			}
			form.Set("act", act)
			status, _, body := post(t, srv, "editor", "/connect", form)
			if status != http.StatusUnprocessableEntity || !strings.Contains(body, want) || !strings.Contains(body, "team/kept-") || strings.Contains(body, "typed-secret") {
				t.Errorf("%s %v: %d, told = %v", act, want, status, strings.Contains(body, want))
			}
		}
	}
}

func TestEditSendsASavedSecretNowhereElse(t *testing.T) {
	f := sample()
	sent := ""
	f.test = func(in inventory.Integration, s inventory.Secrets) (inventory.TestResult, error) {
		sent = s.Password + " to " + in.URL
		return inventory.TestResult{OK: true}, nil
	}
	srv := serve(t, f)
	for _, form := range []url.Values{
		{"url": {"https://evil.example"}},
		{"url": {"http://acme.jfrog.io"}},
		{"url": {"https://acme.jfrog.io"}, "proxy": {"http://evil.example:3128"}},
		{"url": {"https://acme.jfrog.io"}, "auth_hosts": {"evil.example"}},
	} {
		for _, act := range []string{"test", "save"} {
			form.Set("act", act)
			status, _, body := post(t, srv, "admin", "/integrations/acme-main", form)
			if status != http.StatusUnprocessableEntity || !strings.Contains(body, "the saved secret is not sent there") || sent != "" {
				t.Errorf("%s %v: %d, sent %q", act, form, status, sent)
			}
		}
	}
	if _, _, body := post(t, srv, "admin", "/integrations/acme-main", url.Values{"url": {"https://acme.jfrog.io/artifactory"}, "act": {"test"}}); !strings.Contains(body, "The connection works.") || sent != "saved-token to https://acme.jfrog.io/artifactory" {
		t.Errorf("the same host: sent %q", sent)
	}
}

func TestLifeOfAnIntegration(t *testing.T) {
	f := sample()
	srv := serve(t, f)
	state := func() string { return f.integrations[0].State }
	post(t, srv, "editor", "/integrations/acme-main/pause", nil)
	if state() != "paused" {
		t.Errorf("after pause: %s", state())
	}
	post(t, srv, "editor", "/integrations/acme-main/resume", nil)
	if state() != "connected" {
		t.Errorf("after resume: %s", state())
	}
	_, _, body := post(t, srv, "editor", "/integrations/acme-main/webhook", nil)
	secret := f.secrets[1].Webhook
	if len(secret) != 64 || !strings.Contains(body, secret) || !strings.Contains(body, "/hooks/artifactory/acme-main") || f.secrets[1].Password != "saved-token" {
		t.Errorf("webhook secret of %d characters, shown = %v", len(secret), strings.Contains(body, secret))
	}
	if _, _, again := get(t, srv, "editor", "/integrations/acme-main"); strings.Contains(again, secret) {
		t.Error("the webhook's secret is shown again")
	}
	if _, _, body := post(t, srv, "editor", "/integrations/acme-main/webhook", url.Values{"own": {"short-of-mine"}}); f.secrets[1].Webhook != "short-of-mine" || !strings.Contains(body, "13 characters. It is taken") {
		t.Errorf("a short secret: kept %q, warned: %v", f.secrets[1].Webhook, strings.Contains(body, "It is taken"))
	}
	if _, _, body := get(t, srv, "editor", "/integrations/acme-main"); strings.Contains(body, "short-of-mine") || !strings.Contains(body, "THE SECRET") {
		t.Error("the typed secret is shown again, or the subscription is not there")
	}
	get(t, srv, "editor", "/integrations/acme-main/disconnect")
	if state() != "connected" {
		t.Error("asking disconnects")
	}
	post(t, srv, "editor", "/integrations/acme-main/disconnect", nil)
	if state() != "disconnected" || f.secrets[1].Password != "" {
		t.Errorf("after disconnect: %s", state())
	}
	if status, _, _ := post(t, srv, "admin", "/integrations/acme-main/delete", url.Values{"name": {"acme"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong name deletes: %d", status)
	}
	if status, _, _ := post(t, srv, "admin", "/integrations/acme-main/delete", url.Values{"name": {"acme-main"}}); status != http.StatusSeeOther || f.at("acme-main") >= 0 {
		t.Errorf("delete: %d", status)
	}
}

func TestCardTestRecordsWhatItFinds(t *testing.T) {
	f := sample()
	f.test = func(inventory.Integration, inventory.Secrets) (inventory.TestResult, error) {
		return inventory.TestResult{Error: "repository access failed for: b", Repositories: []inventory.RepositoryKey{{Key: "a", OK: true}, {Key: "b"}}}, nil
	}
	srv := serve(t, f)
	_, _, body := post(t, srv, "editor", "/integrations/acme-main/test", nil)
	if in := f.integrations[0]; in.State != "degraded" || in.Problem != "repository access failed for: b" || !strings.Contains(body, in.Problem) {
		t.Errorf("state %s, problem %q", in.State, in.Problem)
	}
}
