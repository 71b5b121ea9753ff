package oci_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

const zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func TestParseManifestKinds(t *testing.T) {
	config := func(mt string) string {
		return `"config":{"mediaType":"` + mt + `","digest":"` + zeros + `","size":2}`
	}
	layer := func(mt string) string {
		return `"layers":[{"mediaType":"` + mt + `","digest":"` + zeros + `","size":2,"urls":["http://evil.test/x"]}]`
	}
	tests := []struct {
		name, doc, contentType, kind, says string
	}{
		{"oci", `{"schemaVersion":2,"mediaType":"` + oci.MediaOCIManifest + `",` + config(oci.MediaOCIConfig) + `,` + layer("application/vnd.oci.image.layer.v1.tar+zstd") + `}`, "", inventory.ImageKind, ""},
		{"docker", `{"schemaVersion":2,` + config(oci.MediaDockerConfig) + `,` + layer("application/vnd.docker.image.rootfs.diff.tar.gzip") + `}`, "application/json", inventory.ImageKind, ""},
		{"foreign", `{"schemaVersion":2,` + config(oci.MediaDockerConfig) + `,` + layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") + `}`, "", inventory.ImageKind, ""},
		{"index", `{"schemaVersion":2,"manifests":[]}`, oci.MediaOCIIndex + "; charset=utf-8", inventory.IndexKind, ""},
		{"helm", `{"schemaVersion":2,` + config("application/vnd.cncf.helm.config.v1+json") + `,"layers":[]}`, "", inventory.ArtifactKind, "helm.config"},
		{"wasm", `{"schemaVersion":2,` + config(oci.MediaOCIConfig) + `,` + layer("application/wasm") + `}`, "", inventory.ArtifactKind, "application/wasm"},
		{"artifact type", `{"schemaVersion":2,"artifactType":"application/spdx+json",` + config("application/vnd.oci.empty.v1+json") + `,"layers":[]}`, "", inventory.ArtifactKind, "oci.empty"},
		{"no config", `{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}`, "", inventory.ArtifactKind, "without a config"},
		{"attestation", `{"schemaVersion":2,` + config(oci.MediaOCIConfig) + `,` + layer(oci.MediaInToto) + `}`, "", inventory.AttestationKind, "attestations"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := oci.ParseManifest([]byte(tt.doc), tt.contentType)
			if err != nil || m.Kind != tt.kind || !strings.Contains(m.Reason, tt.says) {
				t.Errorf("kind %q, reason %q, error %v; want %q, %q", m.Kind, m.Reason, err, tt.kind, tt.says)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	tests := []struct {
		name, doc string
		kind      error
	}{
		{"schema 1", `{"schemaVersion":1,"fsLayers":[]}`, inventory.ErrUnsupported},
		{"no JSON", `<html>`, inventory.ErrInvalid},
		{"sha512", `{"schemaVersion":2,"manifests":[{"digest":"sha512:ab","size":1}]}`, inventory.ErrUnsupported},
		{"path as digest", `{"schemaVersion":2,"manifests":[{"digest":"sha256:../../etc/passwd","size":1}]}`, inventory.ErrUnsupported},
		{"negative size", `{"schemaVersion":2,"manifests":[{"digest":"` + zeros + `","size":-1}]}`, inventory.ErrInvalid},
	}
	for _, tt := range tests {
		if _, err := oci.ParseManifest([]byte(tt.doc), ""); !errors.Is(err, tt.kind) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.kind)
		}
	}
}

func TestConfigIsRedacted(t *testing.T) {
	const secrets = "hunter2hunter2 s3cr3t-value ghp_abcdefghijklmnopqrstuvwxyz0123456789 basicpass"
	doc := `{"os":"linux","architecture":"arm64","variant":"v8","created":"2024-01-02T03:04:05Z",
	"config":{"User":"app","Env":["PATH=/bin","DB_PASSWORD=hunter2hunter2"],"Cmd":["serve","--password","s3cr3t-value"],"ExposedPorts":{"80/tcp":{}},
	  "Labels":{"org.opencontainers.image.source":"https://bob:basicpass@git.test/app","org.opencontainers.image.revision":"abc","note":"built with hunter2hunter2","api.token":"s3cr3t-value"}},
	"rootfs":{"diff_ids":["` + zeros + `"]},
	"history":[
	  {"created_by":"/bin/sh -c #(nop)  ENV DB_PASSWORD=hunter2hunter2","empty_layer":true},
	  {"created_by":"ARG TOKEN=s3cr3t-value","empty_layer":true},
	  {"created_by":"RUN |2 NOTE=s3cr3t-value and more TOKEN=ghp_abcdefghijklmnopqrstuvwxyz0123456789 /bin/sh -c curl -u bob:basicpass https://x.test/?token=s3cr3t-value && make # buildkit"}]}`
	c, err := oci.ParseConfig([]byte(doc), false)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join([]string{strings.Join(c.Config.Env, " "), strings.Join(c.Config.Cmd, " "), c.CreatedBy[0], c.Origin.Source}, " ")
	for _, h := range c.Config.History {
		all += " " + h.CreatedBy
	}
	for _, v := range c.Config.Labels {
		all += " " + v
	}
	for _, s := range strings.Fields(secrets) {
		if strings.Contains(all, s) {
			t.Errorf("%q survived redaction in %s", s, all)
		}
	}
	want := []string{
		"/bin/sh -c #(nop)  ENV DB_PASSWORD=<redacted>",
		"ARG TOKEN=<redacted>",
		"RUN |2 NOTE=<redacted> TOKEN=<redacted> /bin/sh -c curl -u <redacted> https://x.test/?token=<redacted> && make # buildkit",
	}
	for i, h := range c.Config.History {
		if h.CreatedBy != want[i] {
			t.Errorf("history %d = %q, want %q", i, h.CreatedBy, want[i])
		}
	}
	if c.Platform.String() != "linux/arm64/v8" || c.Origin.Revision != "abc" || c.Created.Year() != 2024 {
		t.Errorf("platform %s, origin %+v, created %v", c.Platform.String(), c.Origin, c.Created)
	}
}

func TestRedactText(t *testing.T) {
	for in, want := range map[string]string{
		"RUN make -j4 all":                          "RUN make -j4 all",
		"COPY --from=build /app /app":               "COPY --from=build /app /app",
		"apk add --no-cache tokenizer=1.2":          "apk add --no-cache tokenizer=<redacted>",
		"PASSWORD='a b' run":                        "PASSWORD=<redacted> run",
		"https://u:p@h.test/x?sig=abc&a=b":          "https://<redacted>@h.test/x?sig=<redacted>&a=b",
		"Authorization: Bearer abcdefghijkl":        "Authorization: <redacted> <redacted>",
		"key AKIAABCDEFGHIJKLMNOP here":             "key <redacted> here",
		"npm config set --token abcdef registry":    "npm config set --token <redacted> registry",
		"git clone https://x-token@github.test/a/b": "git clone https://<redacted>@github.test/a/b",
	} {
		if got := oci.RedactText(in); got != want {
			t.Errorf("RedactText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestProvenance(t *testing.T) {
	finished := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	tests := []struct {
		name, doc string
		want      inventory.Origin
	}{
		{
			"v0.2 of BuildKit",
			`{"predicateType":"https://slsa.dev/provenance/v0.2","predicate":{"builder":{"id":"https://ci.test/run/1"},
			 "materials":[{"uri":"pkg:docker/docker/dockerfile@1","digest":{"sha256":"11"}},{"uri":"pkg:docker/alpine@3.18?platform=linux%2Famd64","digest":{"sha256":"` + strings.Repeat("a", 64) + `"}}],
			 "invocation":{"configSource":{"entryPoint":"Dockerfile"},"parameters":{"args":{"build-arg:TOKEN":"secret"}}},
			 "metadata":{"buildFinishedOn":"2024-05-06T07:08:09Z","https://mobyproject.org/buildkit@v1#metadata":{"vcs":{"source":"https://bob:pw@git.test/app","revision":"deadbeef"}}}}}`,
			inventory.Origin{
				Source: "https://git.test/app", Revision: "deadbeef", Created: &finished, Builder: "https://ci.test/run/1", Dockerfile: "Dockerfile",
				BaseName: "alpine:3.18", BaseDigest: "sha256:" + strings.Repeat("a", 64), Evidence: "provenance",
			},
		},
		{
			"v1 of BuildKit",
			`{"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"externalParameters":{"configSource":{"uri":"https://git.test/app.git#main","digest":{"sha1":"cafe"},"path":"build/Dockerfile"}},
			 "resolvedDependencies":[]},"runDetails":{"builder":{"id":"b"},"metadata":{"finishedOn":"2024-05-06T07:08:09Z"}}}}`,
			inventory.Origin{Source: "https://git.test/app.git#main", Revision: "cafe", Created: &finished, Builder: "b", Dockerfile: "build/Dockerfile", Evidence: "provenance"},
		},
	}
	for _, tt := range tests {
		st, err := oci.ParseStatement([]byte(tt.doc))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := st.Origin()
		if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"x"},"layers":[{}]}`), "RUN |1 A=b /bin/sh -c x")
	f.Add([]byte(`{"config":{"Env":["A"],"Labels":{"a":"b"}},"history":[{"created_by":"|2 A= B /bin/sh -c"}]}`), "ENV A=\"b c\" D=e")
	f.Add([]byte(`{"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`), "-----BEGIN RSA PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, doc []byte, line string) {
		if m, err := oci.ParseManifest(doc, ""); err == nil && m.Kind == "" {
			t.Error("a manifest without a kind")
		}
		if c, err := oci.ParseConfig(doc, false); err == nil && len(c.CreatedBy) != len(c.DiffIDs) {
			t.Error("instructions do not fit layers")
		}
		if st, err := oci.ParseStatement(doc); err == nil {
			st.Origin()
		}
		oci.RedactText(line)
	})
}
