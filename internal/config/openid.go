package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// OpenID is how people sign in at a provider elsewhere. No issuer = they do not.
type OpenID struct {
	Issuer      string   `yaml:"issuer"`
	ClientID    string   `yaml:"client_id"`
	SecretFile  string   `yaml:"client_secret_file"`
	Secret      string   `yaml:"-"` // the secret itself; never from the file
	Name        string   `yaml:"name"`
	Scopes      []string `yaml:"scopes"`
	Claim       string   `yaml:"claim"`
	Admins      []string `yaml:"admins"` // values of the claim
	Editors     []string `yaml:"editors"`
	Viewers     []string `yaml:"viewers"`
	DefaultRole string   `yaml:"default_role"`
}

// Roles are the values of the claim that give each role; none = roles are given here.
func (o OpenID) Roles() map[string][]string {
	all := map[string][]string{}
	for role, values := range map[string][]string{inventory.RoleAdmin: o.Admins, inventory.RoleEditor: o.Editors, inventory.RoleViewer: o.Viewers} {
		if len(values) > 0 {
			all[role] = values
		}
	}
	return all
}

// loadOpenID reads the environment over o.
func loadOpenID(env Env, o *OpenID) error {
	for name, field := range map[string]*string{
		"ISSUER": &o.Issuer, "CLIENT_ID": &o.ClientID, "NAME": &o.Name, "CLAIM": &o.Claim, "DEFAULT_ROLE": &o.DefaultRole,
	} {
		if v, ok := env("TALLYMAN_OIDC_" + name); ok && v != "" {
			*field = v
		}
	}
	for name, field := range map[string]*[]string{"SCOPES": &o.Scopes, "ADMINS": &o.Admins, "EDITORS": &o.Editors, "VIEWERS": &o.Viewers} {
		if v, ok := env("TALLYMAN_OIDC_" + name); ok && v != "" {
			*field = words(v)
		}
	}
	secret, err := Secret(env, "TALLYMAN_OIDC_CLIENT_SECRET")
	if err != nil {
		return err
	}
	o.Secret = secret
	return nil
}

// ClientSecret is the secret from the environment, or the content of the file.
func (o OpenID) ClientSecret() (string, error) {
	if o.Secret != "" || o.SecretFile == "" {
		return o.Secret, nil
	}
	return readSecret("oidc.client_secret_file", o.SecretFile)
}

func (c Config) validateOpenID(bad func(format string, args ...any)) {
	o := c.OpenID
	if o.Issuer == "" {
		if o.ClientID != "" || len(o.Roles()) > 0 {
			bad("oidc has no issuer: give the address of the OpenID provider")
		}
		return
	}
	if u, err := url.Parse(o.Issuer); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		bad("oidc.issuer %q is not an address", o.Issuer)
	}
	if o.ClientID == "" {
		bad("oidc has no client_id")
	}
	if c.PublicURL == "" {
		bad("oidc needs public_url: the provider sends browsers back there")
	}
	if o.DefaultRole != "" && !slices.Contains(inventory.Roles[:], o.DefaultRole) {
		bad("oidc.default_role %q: use one of %s", o.DefaultRole, strings.Join(inventory.Roles[:], ", "))
	}
}
