package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/config"
)

// Every variable that may hold a secret can name a file instead, whose last line break
// does not count; the file beats the variable itself.
func TestEverySecretHasATwin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("postgres://from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(env config.Env) config.Config {
		c, err := config.Load(env, "")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	readers := map[string]func(config.Env) (string, error){
		"TALLYMAN_DATABASE":           func(env config.Env) (string, error) { return load(env).Database, nil },
		"TALLYMAN_TOKEN":              func(env config.Env) (string, error) { return load(env).ServerToken() },
		"TALLYMAN_OIDC_CLIENT_SECRET": func(env config.Env) (string, error) { return load(env).OpenID.ClientSecret() },
	}
	for _, name := range []string{
		"TALLYMAN_KEY", "TALLYMAN_ADMIN_PASSWORD", "TALLYMAN_ADVISORIES_USER", "TALLYMAN_ADVISORIES_PASSWORD",
		"TALLYMAN_ARTIFACTORY_API_USER", "TALLYMAN_ARTIFACTORY_API_PASSWORD", "TALLYMAN_ARTIFACTORY_WEBHOOK_SECRET",
		"TALLYMAN_REGISTRY_USER", "TALLYMAN_REGISTRY_PASSWORD",
		"DOCKER_SCOUT_ARTIFACTORY_API_USER", "DOCKER_SCOUT_ARTIFACTORY_API_PASSWORD", "DOCKER_SCOUT_ARTIFACTORY_WEBHOOK_SECRET",
	} {
		readers[name] = func(env config.Env) (string, error) { return config.Secret(env, name) }
	}
	for name, read := range readers {
		for _, c := range []struct {
			what, want string
			set        map[string]string
		}{
			{"the variable", "postgres://plain", map[string]string{name: "postgres://plain"}},
			{"its twin", "postgres://from-file", map[string]string{name + "_FILE": file}},
			{"both", "postgres://from-file", map[string]string{name: "postgres://plain", name + "_FILE": file}},
		} {
			got, err := read(func(v string) (string, bool) { s, ok := c.set[v]; return s, ok })
			if err != nil || got != c.want {
				t.Errorf("%s, %s: %q, %v; want %q", name, c.what, got, err, c.want)
			}
		}
	}
}
