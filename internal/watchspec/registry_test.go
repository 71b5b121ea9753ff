package watchspec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/watchspec"
)

// documented is the example of Docker's documentation, as it stands there.
const documented = "type=artifactory,registry=example.jfrog.io,api=https://example.jfrog.io/artifactory," +
	"include=*/frontend*,exclude=*/dta/*,repository=docker-local,port=9000,subdomain-mode=true"

func TestParseRegistry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in     string
		repositories []string
		want         inventory.Integration
		port         int
		note         string
	}{
		{
			name: "the documentation's example", in: documented, port: 9000,
			want: inventory.Integration{
				Name: "example.jfrog.io-docker-local", Kind: "artifactory", URL: "https://example.jfrog.io/artifactory",
				Registry: "example.jfrog.io", Repositories: []string{"docker-local"}, Include: []string{"*/frontend*"},
				Exclude: []string{"*/dta/*"}, SubdomainMode: true,
			},
		},
		{
			name: "other spellings, quoted lists",
			in:   `type=artifactory, registry=acme.io:8082 ,api=http://acme.io:8082,repository="a,b;c",includes="x/*,y/*",excludes=*/legacy/*`,
			want: inventory.Integration{
				Name: "acme.io-8082-a-b-c", Kind: "artifactory", URL: "http://acme.io:8082", Registry: "acme.io:8082",
				Repositories: []string{"a", "b", "c"}, Include: []string{"x/*", "y/*"}, Exclude: []string{"*/legacy/*"},
			},
		},
		{
			name: "quotes around the whole field", in: `type=artifactory,registry=acme.io,api=acme.io,"repository=a,b"`,
			want: inventory.Integration{
				Name: "acme.io-a-b", Kind: "artifactory", URL: "acme.io", Registry: "acme.io", Repositories: []string{"a", "b"},
			},
		},
		{
			name: "repository from the flag", in: "type=artifactory,registry=acme.io,api=acme.io", repositories: []string{"a,b", "c"},
			want: inventory.Integration{
				Name: "acme.io-a-b-c", Kind: "artifactory", URL: "acme.io", Registry: "acme.io", Repositories: []string{"a", "b", "c"},
			},
		},
		{
			name: "the string wins over the flag", in: "type=artifactory,registry=acme.io,api=acme.io,repository=a", repositories: []string{"b"},
			note: "--repository is not",
			want: inventory.Integration{Name: "acme.io-a", Kind: "artifactory", URL: "acme.io", Registry: "acme.io", Repositories: []string{"a"}},
		},
		{
			name: "plain registry by its host", in: "registry.example.com:5000", repositories: []string{"team/app"},
			want: inventory.Integration{
				Name: "registry.example.com-5000", Kind: "oci", URL: "https://registry.example.com:5000", Registry: "registry.example.com:5000",
				Include: []string{"team/app"},
			},
		},
		{
			name: "plain registry by its type", in: "type=oci,registry=http://localhost:5000,exclude=tmp/**",
			want: inventory.Integration{
				Name: "localhost-5000", Kind: "oci", URL: "http://localhost:5000", Registry: "localhost:5000", Exclude: []string{"tmp/**"},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := watchspec.ParseRegistry(tc.in, tc.repositories)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Integration, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if got.Port != tc.port || !strings.Contains(strings.Join(got.Notes, "\n"), tc.note) {
				t.Errorf("port %d, notes %q", got.Port, got.Notes)
			}
		})
	}
}

func TestParseRegistryRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, says string }{
		{"a required key", "type=artifactory,registry=acme.io,repository=a", "lacks api"},
		{"all required keys", "type=artifactory", "lacks registry, api, repository"},
		{"no registry", "type=oci", "lacks registry"},
		{"harbor, by name", "type=harbor,registry=acme.io", "type=oci,registry=HOST"},
		{"nexus, by name", "type=nexus,registry=acme.io", "type=nexus"},
		{"an unknown type", "type=quay,registry=acme.io", `"quay"`},
		{"an unknown key", "type=oci,registry=acme.io,incldue=x", `"incldue"`},
		{"unquoted list", "type=artifactory,registry=acme.io,api=acme.io,repository=a,b", `repository="a,b"`},
		{"an open quote", `type=oci,registry="acme.io`, "not closed"},
		{"a bad port", documented[:strings.Index(documented, "port=")] + "port=90000", "1 to 65535"},
		{"a bad switch", "type=artifactory,registry=a.io,api=a.io,repository=a,subdomain-mode=maybe", "true or false"},
		{"twice", "type=oci,registry=a.io,registry=b.io", "more than once"},
		{"no host", "type=oci,registry=a b", "no registry host"},
		{"an image for a key", "type=artifactory,registry=a.io,api=a.io,repository=docker-local/app", "no repository key"},
		{"nothing", "", "no registry host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := watchspec.ParseRegistry(tc.in, nil)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q in it", err, tc.says)
			}
			var e *inventory.Error
			if !errors.As(err, &e) {
				t.Errorf("%T is no kind of ours", err)
			}
		})
	}
}

func FuzzParseRegistry(f *testing.F) {
	f.Add(documented, "")
	f.Add(`type=oci,registry=acme.io,repository="a,b"`, "x")
	f.Add("acme.io", "a;b")
	f.Fuzz(func(t *testing.T, s, repository string) {
		spec, err := watchspec.ParseRegistry(s, []string{repository})
		if err != nil {
			return
		}
		in := spec.Integration
		if in.Name == "" || in.Registry == "" || in.URL == "" || strings.ContainsAny(in.Registry, " /\"") {
			t.Errorf("%q gave %+v", s, in)
		}
		again, err := watchspec.ParseRegistry(s, []string{repository})
		if err != nil || again.Integration.Name != in.Name {
			t.Errorf("the name changes: %q, %q, %v", in.Name, again.Integration.Name, err)
		}
	})
}
