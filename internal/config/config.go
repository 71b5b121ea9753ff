// Package config reads Tallyman's own settings: a YAML file, then TALLYMAN_*
// environment variables, then flags, each beating the one before. It is the only
// place that knows the names of environment variables; only cmd/tallyman imports
// it, and every other package takes what it needs as plain values.
//
// It must never print a secret: errors name the variable, not its value.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Config is every setting. Its zero value with Data set is usable.
type Config struct {
	Data      string `yaml:"data"`       // directory of the embedded store, key and lock
	Database  string `yaml:"database"`   // postgres://… ; empty = SQLite in Data
	Server    string `yaml:"server"`     // talk to this server instead of the local store
	TokenFile string `yaml:"token_file"` // file with the server's token
	Token     string `yaml:"-"`          // the token itself; never from the file
	Listen    string `yaml:"listen"`     // of serve
	LogFormat string `yaml:"log_format"` // text or json
	LogLevel  string `yaml:"log_level"`  // debug, info, warn, error
	NoColor   bool   `yaml:"no_color"`
	Progress  string `yaml:"progress"` // auto, plain, json, none
	Workers   int    `yaml:"workers"`  // images indexed at a time, per registry

	MaxBandwidth string `yaml:"max_bandwidth"` // bytes a second that downloads from one registry may take: 500K, 10M; empty = no limit

	AdvisoriesEvery string `yaml:"advisories_every"` // how often serve synchronises advisories: a duration, or off
	AdvisoriesURL   string `yaml:"advisories_url"`   // of OSV's bucket or a mirror; empty = the public one
	AdvisoriesKEV   string `yaml:"advisories_kev"`   // address of CISA's catalogue; empty = CISA's, off = none
	AdvisoriesEPSS  string `yaml:"advisories_epss"`  // address of the EPSS scores; empty = FIRST's, off = none

	PublicURL      string   `yaml:"public_url"`      // how others reach the server, with the path that a proxy adds
	TrustedProxies []string `yaml:"trusted_proxies"` // addresses or networks whose X-Forwarded-* is believed
	OpenID         OpenID   `yaml:"oidc"`
}

// Off is the word for what is not wanted.
const Off = "off"

// leastEvery keeps a slip of the pen from asking a mirror all the time.
const leastEvery = time.Minute

// SyncEvery is how often serve synchronises advisories; 0 = never.
func (c Config) SyncEvery() time.Duration {
	every, err := time.ParseDuration(c.AdvisoriesEvery)
	if err != nil {
		return 0
	}
	return every
}

// Env looks a variable up, as os.LookupEnv does.
type Env func(name string) (string, bool)

// Default is what holds when nobody says otherwise.
func Default(env Env) Config {
	return Config{
		Data: defaultData(env), Listen: "127.0.0.1:8080", LogFormat: "text", LogLevel: "info", Progress: "auto", Workers: 3,
		AdvisoriesEvery: "6h",
	}
}

// Load reads file (empty = none) over the defaults, then the environment over it.
func Load(env Env, file string) (Config, error) {
	c := Default(env)
	if file == "" {
		file, _ = env("TALLYMAN_CONFIG")
	}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return c, inventory.Errorf(inventory.ErrInvalid, "config file %s: %w", file, errors.Unwrap(err)).
				WithRemedy("--config names Tallyman's own settings (YAML); an old agent's JSON goes to `tallyman agent --agent-config`")
		}
		dec := yaml.NewDecoder(bytes.NewReader(b), yaml.DisallowUnknownField())
		if err := dec.Decode(&c); err != nil {
			return c, inventory.Errorf(inventory.ErrInvalid, "config file %s: %w", file, err).
				WithRemedy("docs/config.md lists the settings")
		}
	}
	for name, field := range map[string]*string{
		"TALLYMAN_DATA": &c.Data, "TALLYMAN_DATABASE": &c.Database, "TALLYMAN_SERVER": &c.Server,
		"TALLYMAN_LISTEN": &c.Listen, "TALLYMAN_LOG_FORMAT": &c.LogFormat,
		"TALLYMAN_LOG_LEVEL": &c.LogLevel, "TALLYMAN_PROGRESS": &c.Progress, "TALLYMAN_PUBLIC_URL": &c.PublicURL,
		"TALLYMAN_ADVISORIES_EVERY": &c.AdvisoriesEvery, "TALLYMAN_ADVISORIES_URL": &c.AdvisoriesURL,
		"TALLYMAN_ADVISORIES_KEV": &c.AdvisoriesKEV, "TALLYMAN_ADVISORIES_EPSS": &c.AdvisoriesEPSS,
	} {
		if v, ok := env(name); ok && v != "" {
			*field = v
		}
	}
	if _, ok := env("NO_COLOR"); ok {
		c.NoColor = true
	}
	if f, ok := env("TALLYMAN_DATABASE_FILE"); ok && f != "" {
		v, err := readSecret("TALLYMAN_DATABASE_FILE", f)
		if err != nil {
			return c, err
		}
		c.Database = v
	}
	c.loadToken(env)
	if v, ok := env("TALLYMAN_TRUSTED_PROXIES"); ok && v != "" {
		c.TrustedProxies = words(v)
	}
	return c, loadOpenID(env, &c.OpenID)
}

// loadToken reads where the server's token is; one in the environment beats a file that
// the settings name.
func (c *Config) loadToken(env Env) {
	if file, ok := env("TALLYMAN_TOKEN_FILE"); ok && file != "" {
		c.TokenFile = file
		return
	}
	if token, ok := env("TALLYMAN_TOKEN"); ok && token != "" {
		c.Token, c.TokenFile = token, ""
	}
}

// Validate names every fault at once.
func (c Config) Validate() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, inventory.Errorf(inventory.ErrInvalid, format, args...))
	}
	if c.Data == "" && c.Database == "" {
		bad("no data directory: set --data or TALLYMAN_DATA")
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		bad("--database must be a postgres:// URL (empty = SQLite in the data directory)")
	}
	if c.Server != "" {
		if !isWeb(c.Server) {
			bad("--server %q is not an http:// or https:// address", c.Server)
		}
	}
	oneOf := func(flag, v string, allowed ...string) {
		for _, a := range allowed {
			if v == a {
				return
			}
		}
		bad("%s %q: use one of %s", flag, v, strings.Join(allowed, ", "))
	}
	oneOf("--log-format", c.LogFormat, "text", "json")
	oneOf("--log-level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("--progress", c.Progress, "auto", "plain", "json", "none")
	if every, err := time.ParseDuration(c.AdvisoriesEvery); c.AdvisoriesEvery != Off && (err != nil || every < leastEvery) {
		bad("advisories_every %q is neither a time of at least %s, such as 6h, nor off", c.AdvisoriesEvery, leastEvery)
	}
	for name, address := range map[string]string{"url": c.AdvisoriesURL, "kev": c.AdvisoriesKEV, "epss": c.AdvisoriesEPSS} {
		if address != "" && (address != Off || name == "url") && !isWeb(address) {
			bad("advisories_%s is not an http:// or https:// address", name)
		}
	}
	if c.Workers < 1 || c.Workers > 64 {
		bad("workers must be 1 to 64, not %d", c.Workers)
	}
	if _, ok := parseBandwidth(c.MaxBandwidth); !ok {
		bad("max_bandwidth %q is no number of bytes a second, such as 500K or 10M", c.MaxBandwidth)
	}
	c.validatePublic(bad)
	c.validateOpenID(bad)
	return errors.Join(faults...)
}

func isWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// ServerToken is the token for --server: TALLYMAN_TOKEN, or the content of the token file.
func (c Config) ServerToken() (string, error) {
	if c.TokenFile != "" {
		return readSecret("--token-file", c.TokenFile)
	}
	return c.Token, nil
}

// Secret reads the first of the named variables that is set; each may have a
// _FILE twin, which names a file to read instead. Empty if none is set.
func Secret(env Env, names ...string) (string, error) {
	for _, name := range names {
		if f, ok := env(name + "_FILE"); ok && f != "" {
			return readSecret(name+"_FILE", f)
		}
		if v, ok := env(name); ok && v != "" {
			return v, nil
		}
	}
	return "", nil
}

// readSecret reads a small file; the name of what asked for it goes into the error.
func readSecret(asked, file string) (string, error) {
	const most = 64 << 10
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", inventory.Errorf(inventory.ErrInvalid, "%s: no file %s", asked, file)
	case err != nil:
		return "", inventory.Errorf(inventory.ErrInvalid, "%s: %s cannot be read", asked, file).WithRemedy("%v", errors.Unwrap(err))
	case len(b) > most:
		return "", inventory.Errorf(inventory.ErrInvalid, "%s: %s is larger than %d bytes: not a secret", asked, file, most)
	}
	v := strings.TrimRight(string(b), "\r\n")
	if v == "" {
		return "", inventory.Errorf(inventory.ErrInvalid, "%s: %s is empty", asked, file)
	}
	return v, nil
}

// defaultData is the XDG data directory.
func defaultData(env Env) string {
	if v, ok := env("XDG_DATA_HOME"); ok && filepath.IsAbs(v) {
		return filepath.Join(v, "tallyman")
	}
	if home, ok := env("HOME"); ok && home != "" {
		return filepath.Join(home, ".local", "share", "tallyman")
	}
	return ""
}

// String keeps a Config printed by mistake from showing its secrets.
func (c Config) String() string {
	return fmt.Sprintf("config(data %s, server %s)", c.Data, c.Server)
}
