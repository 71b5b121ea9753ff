package watchspec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/watchspec"
)

// sample is the sample configuration of the old agent's documentation.
const sample = `{
  "agent_id": "acme-prod-agent",
  "docker": {
    "organization_name": "acme",
    "username": "mobythewhale",
    "pat": "dckr_pat__dsaCAs_xL3kNyupAa7dwO1alwg"
  },
  "artifactory": [
    {
      "base_url": "https://acme.jfrog.io",
      "username": "acmeagent",
      "password": "hayKMvFKkFp42RAwKz2K",
      "image_filters": [
        {
          "repository": "dev-local",
          "images": ["internal/repo1", "internal/repo2"]
        },
        {
          "repository": "prod-local",
          "images": ["staging/repo1", "prod/repo1"]
        }
      ]
    }
  ]
}
`

func TestParseAgent(t *testing.T) {
	t.Parallel()
	got, err := watchspec.ParseAgent([]byte(sample), "tly_")
	if err != nil {
		t.Fatal(err)
	}
	want := watchspec.Agent{
		ID: "acme-prod-agent", Organization: "acme",
		Registries: []watchspec.AgentRegistry{{
			Integration: inventory.Integration{
				Name: "acme-prod-agent-acme.jfrog.io", Kind: "artifactory", URL: "https://acme.jfrog.io", Registry: "acme.jfrog.io",
				Username: "acmeagent", Repositories: []string{"dev-local", "prod-local"},
				Include: []string{"dev-local/internal/repo1", "dev-local/internal/repo2", "prod-local/staging/repo1", "prod-local/prod/repo1"},
			},
			Secrets: inventory.Secrets{Password: "hayKMvFKkFp42RAwKz2K"},
		}},
		Notes: []string{"docker.pat is not used, stored or sent: the server and its token come from --server and --token-file"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(fmt.Sprintf("%+v", got), "dckr_pat") {
		t.Error("docker.pat was kept")
	}
}

func TestAgentFilters(t *testing.T) {
	t.Parallel()
	entry := func(filters string) string {
		return `{"agent_id":"a","future":1,"artifactory":[{"base_url":"http://art:8082/artifactory","password":"p","image_filters":` + filters + `}]}`
	}
	for _, tc := range []struct {
		name, in      string
		keys, include []string
	}{
		{"none at all is everything", entry("null"), nil, nil},
		{"empty is everything", entry("[]"), nil, nil},
		{"an entry without images is the repository", entry(`[{"repository":"dev"}]`), []string{"dev"}, nil},
		{"with an empty list too", entry(`[{"repository":"dev","images":[]},{"repository":"prod"}]`), []string{"dev", "prod"}, nil},
		{"mixed", entry(`[{"repository":"dev"},{"repository":"prod","images":["a"]}]`), []string{"dev", "prod"}, []string{"dev/**", "prod/a"}},
		{"the whole beats a part", entry(`[{"repository":"dev","images":["a"]},{"repository":"dev"}]`), []string{"dev"}, nil},
		{"names are no patterns", entry(`[{"repository":"dev","images":["a*b"]}]`), []string{"dev"}, []string{`dev/a\*b`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := watchspec.ParseAgent([]byte(tc.in), "")
			if err != nil {
				t.Fatal(err)
			}
			in := got.Registries[0].Integration
			if diff := cmp.Diff(tc.keys, in.Repositories, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.include, in.Include, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if in.Registry != "art:8082" {
				t.Errorf("registry %q", in.Registry)
			}
		})
	}
}

func TestAgentSeveral(t *testing.T) {
	t.Parallel()
	got, err := watchspec.ParseAgent([]byte("\xef\xbb\xbf"+`{"docker":{"pat":"tly_x"},"artifactory":[
		{"base_url":"a.io","password":"1"},{"base_url":"https://a.io/artifactory","password":"2"},{"base_url":"b.io","password":"3"}]}`), "tly_")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range got.Registries {
		names = append(names, r.Integration.Name)
	}
	if diff := cmp.Diff([]string{"agent-a.io", "agent-a.io-2", "agent-b.io"}, names); diff != "" {
		t.Error(diff)
	}
	if got.Token != "tly_x" {
		t.Errorf("our token was dropped: %q", got.Token)
	}
}

func TestParseAgentRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, says string }{
		{"no JSON", "{\n\"agent_id\": \"a\",\n}", "near line 3"},
		{"something behind it", `{"artifactory":[]} {}`, "closing brace"},
		{"no entry", `{"agent_id":"a"}`, "no artifactory entry"},
		{"no address", `{"artifactory":[{"password":"p"}]}`, "artifactory[0].base_url"},
		{"no password", `{"artifactory":{"base_url":"a.io"}}`, "artifactory[0].password"},
		{"a filter without repository", `{"artifactory":[{"base_url":"a.io","password":"p","image_filters":[{"images":["a"]}]}]}`, "image_filters[0].repository"},
		{"blank images", `{"artifactory":[{"base_url":"a.io","password":"p","image_filters":[{"repository":"r","images":[" "]}]}]}`, "names no image"},
		{"another type", `{"artifactory":[{"base_url":5}]}`, "near line 1"},
		{"nothing", "", "near line 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := watchspec.ParseAgent([]byte(tc.in), "tly_")
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q in it", err, tc.says)
			}
		})
	}
}

func FuzzParseAgent(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"artifactory":{"base_url":"a.io","password":"p"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := watchspec.ParseAgent(b, "tly_")
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, r := range a.Registries {
			if names[r.Integration.Name] || r.Secrets.Password == "" {
				t.Errorf("%q gave %+v", b, a)
			}
			names[r.Integration.Name] = true
		}
	})
}
