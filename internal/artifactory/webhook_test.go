package artifactory_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestParseHook(t *testing.T) {
	t.Parallel()
	one := []inventory.Hint{{Key: "docker-local", Image: "team/app", Tag: "2.0"}}
	for _, tc := range []struct {
		name, body string
		want       []inventory.Hint
	}{
		{"new envelope", `{"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local",
			"path":"team/app/2.0/list.manifest.json","name":"list.manifest.json","sha256":"35c4","size":1206,"image_name":"team/app","tag":"2.0",
			"image_type":"docker","platforms":[{"architecture":"amd64","os":"linux"}]},"subscription_key":"imgscan",
			"jpd_origin":"https://acme.jfrog.io","source":"jfrog/jfrt@01h","userContext":{"id":"ci","isToken":false,"realm":"internal"}}`, one},
		{"old envelope", `{"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local","path":"team/app/2.0/manifest.json",
			"image_name":"team/app","tag":"2.0"},"subscription_key":"s","source":"x"}`, one},
		{"unwrapped", `{"event_type":"pushed","repo_key":"docker-local","path":"team/app/2.0/manifest.json","image_name":"team/app","tag":"2.0"}`, one},
		{"by path only", `{"domain":"artifact","event_type":"deployed","data":{"repo_key":"docker-local","path":"team/app/2.0/manifest.json"}}`, one},
		{"promoted", `{"domain":"docker","event_type":"promoted","data":{"repo_key":"docker-local","image_name":"team/app","tag":"2.0",
			"target_repo":"docker-prod","target_tag":"stable"}}`, append(one[:1:1], inventory.Hint{Key: "docker-prod", Image: "team/app", Tag: "stable"})},
		{
			"moved", `{"domain":"artifact","event_type":"moved","data":{"repo_key":"docker-local","path":"team/app/2.0/manifest.json",
			"source_repo_path":"docker-local/team/app/2.0/manifest.json","target_repo_path":"docker-prod:team/app/2.0"}}`,
			append(one[:1:1], inventory.Hint{Key: "docker-prod", Image: "team/app", Tag: "2.0"}),
		},
		{"a layer", `{"domain":"artifact","event_type":"deployed","data":{"repo_key":"docker-local","path":"team/app/2.0/sha256__ab"}}`, nil},
		{"a sub-manifest", `{"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local","image_name":"team/app","tag":"sha256:ab"}}`, nil},
		{
			"the test button", `{"domain":"docker","event_type":"pushed","data":{"repo_key":"sample_repo","path":"path/sample.txt",
			"image_name":"sample_arch","tag":"sample_image","sha256":"sample_checksum","size":0}}`,
			[]inventory.Hint{{Key: "sample_repo", Image: "sample_arch", Tag: "sample_image"}},
		},
		{"a pattern", `{"repo_key":"docker-local","image_name":"*","tag":"1"}`, nil},
		{"an event of another kind", `{"domain":"build","event_type":"uploaded","data":{"build_name":"x"}}`, nil},
		{"empty", `{}`, nil},
		{"data is no object", `{"data":[1]}`, nil},
		{"fields of other types", `{"data":{"tag":5,"size":"1"}}`, nil},
		{"one field of another type", `{"domain":7,"data":{"repo_key":"docker-local","image_name":"team/app","tag":"2.0","platforms":"amd64"}}`, one},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := artifactory.ParseHook([]byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, body := range []string{"", "[]", "{", "null", strings.Repeat(" ", artifactory.MostHook+1)} {
		if _, err := artifactory.ParseHook([]byte(body)); err == nil {
			t.Errorf("%.20q is taken", body)
		}
	}
}

func TestVerifyHook(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":1}`)
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write(body)
	sum := hex.EncodeToString(mac.Sum(nil))
	for _, tc := range []struct {
		secret, header string
		want           bool
	}{
		{"secret", "secret", true},
		{"secret", sum, true},
		{"secret", "sha256=" + sum, true},
		{"secret", strings.ToUpper(sum), true},
		{"secret", "Secret", false},
		{"secret", sum[:63], false},
		{"secret", "sha1=" + sum, false},
		{"secret", "", false},
		{"", "", false},
		{"", hex.EncodeToString(hmac.New(sha256.New, nil).Sum(nil)), false},
		{"other", sum, false},
	} {
		if got := artifactory.VerifyHook(tc.secret, tc.header, body); got != tc.want {
			t.Errorf("secret %q, header %q: %v", tc.secret, tc.header, got)
		}
	}
}

func FuzzParseHook(f *testing.F) {
	f.Add([]byte(`{"data":{"repo_key":"r","path":"a/b/manifest.json","target_repo_path":"x:y/z"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		hints, err := artifactory.ParseHook(b)
		for _, h := range hints {
			if err != nil || h.Key == "" || h.Image == "" || h.Tag == "" || strings.ContainsAny(h.Image, "*?\"") {
				t.Errorf("%q: %+v", b, hints)
			}
		}
	})
}
