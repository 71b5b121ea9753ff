package artifactory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want artifactory.Address
	}{
		{"acme.jfrog.io", artifactory.Address{URL: "https://acme.jfrog.io", Host: "acme.jfrog.io"}},
		{" https://Acme.JFrog.io/ ", artifactory.Address{URL: "https://acme.jfrog.io", Host: "acme.jfrog.io"}},
		{"http://artifactory.internal:8082", artifactory.Address{URL: "http://artifactory.internal:8082", Host: "artifactory.internal:8082", Insecure: true}},
		{"https://acme.com/repo/", artifactory.Address{URL: "https://acme.com/repo", Host: "acme.com"}},
		{"https://acme.com/artifactory", artifactory.Address{URL: "https://acme.com/artifactory", Host: "acme.com", Exact: true}},
		{"https://acme.com/x/artifactory//?a=b#c", artifactory.Address{URL: "https://acme.com/x/artifactory", Host: "acme.com", Exact: true}},
		{"https://acme.com/ui/native/docker-local", artifactory.Address{URL: "https://acme.com", Host: "acme.com", Key: "docker-local"}},
		{"https://acme.com/ui/repos/tree/General/dl/team/app", artifactory.Address{URL: "https://acme.com", Host: "acme.com", Key: "dl"}},
		{"https://acme.com/ui/admin/repositories", artifactory.Address{URL: "https://acme.com", Host: "acme.com"}},
		{"https://acme.com/ctx/webapp/#/home", artifactory.Address{URL: "https://acme.com/ctx", Host: "acme.com"}},
		{"https://acme.com/artifactory/webapp/#/artifacts", artifactory.Address{URL: "https://acme.com/artifactory", Host: "acme.com", Exact: true}},
		{"https://acme.com/artifactory/api/docker/dl/v2/x", artifactory.Address{URL: "https://acme.com/artifactory", Host: "acme.com", Exact: true, Key: "dl"}},
		{"https://acme.com/artifactory/dl/team", artifactory.Address{URL: "https://acme.com/artifactory", Host: "acme.com", Exact: true, Key: "dl"}},
		{"https://acme.com/v2/dl/app/tags/list", artifactory.Address{URL: "https://acme.com", Host: "acme.com", Key: "dl"}},
		{"acme.io/dl/team/app:1.0", artifactory.Address{URL: "https://acme.io", Host: "acme.io", Key: "dl", Image: "team/app"}},
		{"acme.io:8443/dl/app@sha256:ab", artifactory.Address{URL: "https://acme.io:8443", Host: "acme.io:8443", Key: "dl", Image: "app"}},
		{"[::1]:8082", artifactory.Address{URL: "https://[::1]:8082", Host: "[::1]:8082"}},
	} {
		got, err := artifactory.ParseAddress(tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
		} else if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q: %s", tc.in, diff)
		}
	}
	for _, in := range []string{
		"", "  ", "https://", "ftp://acme.io", "https://u:s3cret@acme.io", "u:s3cret@acme.io", "https://a b", "https://acme.io:99999x", "https://acme.io:", "https:///x",
	} {
		if got, err := artifactory.ParseAddress(in); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"docker-local", "docker-prod", "x"}, artifactory.ParseKeys(" docker-local, docker-prod;;x,docker-local\n")); diff != "" {
		t.Error(diff)
	}
	for in, want := range map[string]string{
		"docker-local": "", "acme.io/dl/app:1": "dl", "https://acme.io/artifactory/dl/app": "dl", "dl/app": "dl", "localhost/dl/app": "dl", "acme.io/dl:1": "dl", "/": "",
	} {
		if got, ok := artifactory.SuggestKey(in); ok != (want != "") || got != want {
			t.Errorf("%q: %q %v", in, got, ok)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("https://acme.io/artifactory/api/docker/dl/v2/x?y#z")
	f.Add("acme.io:8443/dl/app@sha256:ab")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := artifactory.ParseAddress(s)
		if err != nil {
			return
		}
		again, err := artifactory.ParseAddress(a.URL)
		if err != nil || again.Host != a.Host || again.Insecure != a.Insecure {
			t.Errorf("%q gave %+v, and that %+v, %v", s, a, again, err)
		}
	})
}
