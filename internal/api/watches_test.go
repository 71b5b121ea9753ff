package api_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func (l *ledger) Watches(context.Context) ([]inventory.Watch, error) {
	return append([]inventory.Watch{}, l.watches...), l.broken
}

func (l *ledger) AddWatch(_ context.Context, w inventory.Watch) (inventory.Watch, error) {
	l.watches = append(l.watches, w)
	return w, l.broken
}

func (l *ledger) RemoveWatch(_ context.Context, name string) error {
	for i, w := range l.watches {
		if w.Name == name {
			l.watches = append(l.watches[:i], l.watches[i+1:]...)
			return nil
		}
	}
	return inventory.ErrNotFound
}

func (l *ledger) Content(context.Context, string, []string) (inventory.ImageContent, error) {
	return l.content, l.broken
}

func (l *ledger) Spotted(_ context.Context, w inventory.Watch, _ string) error {
	l.spotted = append(l.spotted, w.Name)
	return nil
}

func TestWatchesBothWays(t *testing.T) {
	h := api.New(newLedger().options(t))
	srv := httptest.NewServer(h)
	defer srv.Close()
	remote, err := client.New(srv.URL, "admin-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	for way, c := range map[string]*client.Client{"http": remote, "local": client.Local(api.AsLocal(h, "root"))} {
		w, err := c.AddWatch(t.Context(), client.Watch{Name: "old-openssl", Query: "openssl <3.0.12", Ecosystem: "Debian"})
		if err != nil || w.Author == "" {
			t.Errorf("%s: %+v %v", way, w, err)
		}
		all, err := c.Watches(t.Context())
		if err != nil || len(all) != 1 || all[0].Query != "openssl <3.0.12" {
			t.Errorf("%s: %+v %v", way, all, err)
		}
		if err := c.RemoveWatch(t.Context(), "old-openssl"); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		for _, bad := range []client.Watch{{Name: "", Query: "a"}, {Name: "a b", Query: "a"}, {Name: "a", Query: ""}, {Name: "a", Query: "a ~1"}} {
			if _, err := c.AddWatch(t.Context(), bad); err == nil {
				t.Errorf("%s: took %+v", way, bad)
			}
		}
	}
}

func TestAskWatches(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	content := inventory.ImageContent{
		Analysed: at, Flaws: map[string]bool{"CVE-2026-1": true}, Files: map[string]bool{digest("f")[7:]: true},
		Packages: []inventory.Package{
			{PURL: "pkg:deb/debian/libssl3@3.0.11?arch=amd64", Name: "libssl3", Version: "3.0.11", Ecosystem: "Debian:12", SourceName: "openssl", SourceVersion: "3.0.11"},
			{PURL: "pkg:maven/org.apache/log4j-core@2.14.1", Name: "org.apache:log4j-core", Version: "2.14.1", Ecosystem: "Maven"},
			{PURL: "pkg:pypi/foo-bar@1", Name: "foo-bar", Version: "1", Ecosystem: "PyPI"},
		},
	}
	for query, want := range map[string]bool{
		"openssl <3.0.12": true, "openssl >=3.0.12": false, "libssl3": true, "libssl": false, "log4j-core <2.17": true, "j-core": false,
		"Foo_Bar": true, "pkg:maven/org.apache/log4j-core": true, "pkg:maven/org.apache/log4j": false, "pkg:pypi/foo-bar@2": false,
		"CVE-2026-1": true, "CVE-2026-2": false, "sha256:" + digest("f")[7:]: true, "sha256:" + digest("e")[7:]: false,
	} {
		for when, w := range map[string]inventory.Watch{"before": {Created: at.Add(-time.Hour)}, "after": {Created: at.Add(time.Hour)}} {
			l := newLedger()
			w.Name, w.Query = query, query
			l.watches, l.content = []inventory.Watch{w, {Name: "unreadable", Query: "a ~1"}}, content
			if err := api.New(l.options(t)).AskWatches(t.Context(), digest("0")); err != nil {
				t.Fatal(err)
			}
			expect := []string(nil)
			if want && when == "before" {
				expect = []string{query}
			}
			if diff := cmp.Diff(expect, l.spotted); diff != "" {
				t.Errorf("%s, saved %s the image came: %s", query, when, diff)
			}
		}
	}
}
