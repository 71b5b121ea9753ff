package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/dashboard"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestChannelsAreAddedChangedAndTried(t *testing.T) {
	told := sampleTeller()
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Teller = told })
	const root = "/settings/notifications"
	form := url.Values{
		"kind": {"mail"}, "name": {"ops"}, "server": {"smtp.example.com:465"}, "from": {"a@example.com"}, "to": {"b@example.com\nc@example.com"}, "secret": {"very-secret"},
		"on-a": {"new", "kev"}, "least-a": {"critical"}, "in-a": {"docker-prod/**"}, "least-b": {"high"}, "on-c": {"feed_stale"}, "least-c": {"high"},
	}
	status, header, _ := post(t, srv, "admin", root+"/new", form)
	if status != http.StatusSeeOther || header.Get("Location") != root+"?done=added" {
		t.Errorf("add: %d to %q", status, header.Get("Location"))
	}
	want := inventory.ChannelChange{
		Name: "ops", Kind: "mail", Secret: "very-secret", Mail: &inventory.Mail{Server: "smtp.example.com:465", From: "a@example.com", To: []string{"b@example.com", "c@example.com"}},
		Rules: []inventory.Rule{{Events: []string{"new", "kev"}, Repository: "docker-prod/**", Severity: "critical"}, {Events: []string{"feed_stale"}, Severity: "high"}},
	}
	if diff := cmp.Diff(want, told.changes[0]); diff != "" {
		t.Error(diff)
	}
	form.Set("name", "team")
	status, _, body := post(t, srv, "admin", root+"/new", form)
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "there is a channel &#34;team&#34; already") || !strings.Contains(body, "smtp.example.com:465") || strings.Contains(body, "very-secret") {
		t.Errorf("a name that is taken: %d, %.2000s", status, body)
	}
	if _, _, body := post(t, srv, "admin", root+"/siem/test", nil); !strings.Contains(body, "siem.example answered 503") || !strings.Contains(body, "look at the receiver") {
		t.Errorf("a test that fails says not why: %.2000s", body)
	}
	if _, _, body := get(t, srv, "admin", root+"/team?event=kev"); !strings.Contains(body, "critical CVE-2021-44228 &lt;!channel&gt;") {
		t.Errorf("the preview does not read: %.4000s", body)
	}
	post(t, srv, "admin", root+"/replay", url.Values{"id": {"evt_dead"}})
	post(t, srv, "admin", root+"/replay", url.Values{"channel": {"siem"}, "of": {"siem"}})
	if diff := cmp.Diff([]inventory.DeliveryFilter{{ID: "evt_dead"}, {Channel: "siem"}}, told.replayed); diff != "" {
		t.Error(diff)
	}
	post(t, srv, "admin", root+"/team/remove", nil)
	if _, _, body := get(t, srv, "admin", root); strings.Contains(body, "hooks.slack.com") || !strings.Contains(body, "evt_dead") {
		t.Error("removed, and still there; or no messages")
	}
	for _, path := range []string{root, root + "/team"} {
		if status, _, _ := get(t, srv, "editor", path); status != http.StatusForbidden {
			t.Errorf("%s as editor: %d", path, status)
		}
	}
}

func TestExceptionsArePreviewedThenSaved(t *testing.T) {
	kept := sampleExcepter()
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Exceptions = kept })
	form := url.Values{
		"cve": {"CVE-2025-24813"}, "where": {"repository"}, "repository": {"docker-prod/*"}, "image": {"sha256:ignored"}, "status": {"affected"},
		"justification": {"component_not_present"}, "until": {"2026-12-31"}, "act": {"preview"},
	}
	if _, _, body := post(t, srv, "editor", "/exceptions", form); !strings.Contains(body, "14 findings") || !strings.Contains(body, "1 known to be exploited") || len(kept.list) != 2 {
		t.Errorf("preview: %d kept, %.3000s", len(kept.list), body)
	}
	form.Set("act", "save")
	status, _, _ := post(t, srv, "editor", "/exceptions", form)
	if status != http.StatusSeeOther || len(kept.list) != 3 {
		t.Fatalf("save: %d, %d kept", status, len(kept.list))
	}
	got := kept.list[2]
	if got.Image != "" || got.All || got.Repository != "docker-prod/*" || got.Justification != "" || got.Author != "e.dit" || got.Expires.Format("2006-01-02") != "2026-12-31" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []url.Values{{"where": {"all"}, "act": {"save"}}, {"cve": {"CVE-1"}, "where": {"all"}, "until": {"tomorrow"}, "act": {"save"}}} {
		if status, _, body := post(t, srv, "editor", "/exceptions", bad); status != http.StatusUnprocessableEntity || !strings.Contains(body, "Not saved") {
			t.Errorf("%v: %d", bad, status)
		}
	}
	post(t, srv, "editor", "/exceptions/1/remove", nil)
	if len(kept.list) != 2 {
		t.Errorf("%d left", len(kept.list))
	}
	if status, _, body := get(t, srv, "viewer", "/exceptions"); status != 200 || strings.Contains(body, "New exception") {
		t.Errorf("viewer: %d, with a form", status)
	}
	if status, _, _ := post(t, srv, "viewer", "/exceptions", form); status != http.StatusForbidden {
		t.Errorf("a viewer excepts: %d", status)
	}
}

func TestFeedsAreSynchronised(t *testing.T) {
	feeds := &syncer{}
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Feeds = feeds })
	const path = "/settings/advisories/sync"
	if status, _, _ := post(t, srv, "viewer", path, nil); status != http.StatusForbidden || feeds.asked != 0 {
		t.Errorf("a viewer: %d", status)
	}
	if status, header, _ := post(t, srv, "editor", path, nil); status != http.StatusSeeOther || header.Get("Location") != "/settings/advisories?done=sync" {
		t.Errorf("an editor: %d", status)
	}
	feeds.err = inventory.Errorf(inventory.ErrUnsupported, "this server fetches no advisories").WithRemedy("take files in")
	if _, _, body := post(t, srv, "editor", path, nil); !strings.Contains(body, "this server fetches no advisories") || !strings.Contains(body, "take files in") {
		t.Errorf("refused without a word: %.2000s", body)
	}
}

func TestWatchesAreSavedFromAnAnswerAndRemoved(t *testing.T) {
	kept := sampleAsker()
	srv := serve(t, sample(), func(o *dashboard.Options) { o.Watches = kept })
	if _, _, body := get(t, srv, "editor", "/find?q=openssl+%3C3.0.12&ecosystem=Debian"); !strings.Contains(body, "Save as a watch") || !strings.Contains(body, `/watches?ecosystem=Debian&amp;q=openssl&#43;%3C3.0.12#new`) {
		t.Errorf("an answer cannot be saved: %.3000s", body)
	}
	for _, path := range []string{"/find?q=openssl+%3C3.0.12", "/watches"} {
		if status, _, body := get(t, srv, "viewer", path); status != 200 || strings.Contains(body, "Save as a watch") || strings.Contains(body, `name="name"`) {
			t.Errorf("%s as viewer: %d, with a form", path, status)
		}
	}
	form := url.Values{"name": {"zlib"}, "q": {" zlib <1.3 "}, "ecosystem": {"Debian"}}
	if status, _, _ := post(t, srv, "editor", "/watches", form); status != http.StatusSeeOther || len(kept.list) != 3 {
		t.Fatalf("save: %d, %d kept", status, len(kept.list))
	}
	if got := kept.list[2]; got.Name != "zlib" || got.Query != "zlib <1.3" || got.Ecosystem != "Debian" {
		t.Errorf("%+v", got)
	}
	if status, _, body := post(t, srv, "editor", "/watches", form); status != http.StatusUnprocessableEntity || !strings.Contains(body, "There is a watch zlib already.") || !strings.Contains(body, `value="zlib &lt;1.3"`) {
		t.Errorf("the same name again: %d %.3000s", status, body)
	}
	if status, _, _ := post(t, srv, "editor", "/watches/zlib/remove", nil); status != http.StatusSeeOther || len(kept.list) != 2 {
		t.Errorf("remove: %d, %d left", status, len(kept.list))
	}
	if status, _, _ := post(t, srv, "editor", "/watches/zlib/remove", nil); status != http.StatusNotFound {
		t.Errorf("remove what is gone: %d", status)
	}
	if status, _, _ := post(t, srv, "viewer", "/watches", form); status != http.StatusForbidden {
		t.Errorf("a viewer saves: %d", status)
	}
}
