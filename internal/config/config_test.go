package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func env(vars map[string]string) config.Env {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func write(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOrder(t *testing.T) {
	file := write(t, "data: /from/file\nlisten: 1.2.3.4:1\n")
	c, err := config.Load(env(map[string]string{"TALLYMAN_DATA": "/from/env", "HOME": "/home/u"}), file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/from/env" || c.Listen != "1.2.3.4:1" || c.LogFormat != "text" {
		t.Errorf("got data %q, listen %q, log format %q", c.Data, c.Listen, c.LogFormat)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// TestOrderOfTheToken: what is nearer wins, and the file twin of a variable wins over it.
func TestOrderOfTheToken(t *testing.T) {
	inFile, ofEnv := write(t, "settings\n"), write(t, "twin\n")
	settings := write(t, "token_file: "+inFile+"\n")
	for want, vars := range map[string]map[string]string{
		"settings": nil,
		"direct":   {"TALLYMAN_TOKEN": "direct"},
		"twin":     {"TALLYMAN_TOKEN": "direct", "TALLYMAN_TOKEN_FILE": ofEnv},
	} {
		c, err := config.Load(env(vars), settings)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.ServerToken(); got != want || err != nil {
			t.Errorf("got %q %v, want %q", got, err, want)
		}
	}
}

func TestDefaultData(t *testing.T) {
	for _, c := range []struct{ xdg, home, want string }{
		{"/xdg", "/home/u", "/xdg/tallyman"},
		{"relative", "/home/u", "/home/u/.local/share/tallyman"},
		{"", "", ""},
	} {
		got := config.Default(env(map[string]string{"XDG_DATA_HOME": c.xdg, "HOME": c.home})).Data
		if got != c.want {
			t.Errorf("XDG %q, HOME %q: got %q, want %q", c.xdg, c.home, got, c.want)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, text := range map[string]string{
		"unknown setting": "colour: red\n",
		"not YAML":        "{{{",
		"an agent's JSON": `{"agent_id":"a","docker":{}}`,
	} {
		_, err := config.Load(env(nil), write(t, text))
		if !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := config.Load(env(nil), "/does/not/exist"); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("missing file: got %v", err)
	}
	c := config.Config{Data: "/d", Database: "mysql://x", Server: "ftp://x", LogFormat: "xml", LogLevel: "info", Progress: "none"}
	err := c.Validate()
	for _, want := range []string{"--database", "--server", "--log-format", "workers"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate does not name %s: %v", want, err)
		}
	}
}

func TestSecret(t *testing.T) {
	file := write(t, "from-file\n")
	got, err := config.Secret(env(map[string]string{"A_FILE": file, "A": "direct", "B": "b"}), "A", "B")
	if err != nil || got != "from-file" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := config.Secret(env(map[string]string{"B": "b"}), "A", "B"); err != nil || got != "b" {
		t.Errorf("fall-back: got %q, %v", got, err)
	}
	if _, err := config.Secret(env(map[string]string{"A_FILE": "/none"}), "A"); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("missing file: got %v", err)
	}
	if _, err := config.Secret(env(map[string]string{"A_FILE": write(t, "\n")}), "A"); err == nil {
		t.Error("an empty secret file is accepted")
	}
}
