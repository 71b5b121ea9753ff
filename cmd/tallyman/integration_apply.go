package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// mostApply is how long a file of integrations may be.
const mostApply = 1 << 20

// applyFile is what `integration apply` reads. Secrets are named, never written in it.
type applyFile struct {
	Integrations []applied `yaml:"integrations"`
}

type applied struct {
	Name              string   `yaml:"name"`
	Type              string   `yaml:"type"`
	URL               string   `yaml:"url"`
	Username          string   `yaml:"username"`
	Repositories      words    `yaml:"repositories"`
	Include           words    `yaml:"include"`
	Exclude           words    `yaml:"exclude"`
	Tags              []string `yaml:"tags"` // regular expressions: commas mean something in them
	SubdomainMode     bool     `yaml:"subdomain_mode"`
	CAFile            string   `yaml:"ca_file"`
	Proxy             string   `yaml:"proxy"`
	AuthHosts         words    `yaml:"auth_hosts"`
	SecretFile        string   `yaml:"secret_file"`
	SecretEnv         string   `yaml:"secret_env"`
	WebhookSecretFile string   `yaml:"webhook_secret_file"`
	WebhookSecretEnv  string   `yaml:"webhook_secret_env"`
}

// words is a list, or one text with commas or semicolons between them.
type words []string

// UnmarshalYAML takes both.
func (w *words) UnmarshalYAML(b []byte) error {
	var list []string
	if err := yaml.Unmarshal(b, &list); err != nil {
		var text string
		if err := yaml.Unmarshal(b, &text); err != nil {
			return err
		}
		list = artifactory.ParseKeys(text)
	}
	*w = list
	return nil
}

func newIntegrationApply(a *app) *cobra.Command {
	var file string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make integrations what a file says (YAML or JSON); what is so already stays",
		Long: `Adds the integrations that a file names, changes those that differ, and leaves the others
alone. Secrets are not written in it: secret_file names a file (beside it, or absolute), and
secret_env a variable; webhook_secret_file and webhook_secret_env likewise.

  integrations:
    - name: acme
      url: https://acme.jfrog.io
      secret_file: acme.token
      repositories: [docker-local, docker-prod]
      exclude: ["*/scratch/*"]`,
		Example: "  tallyman integration apply -f integrations.yaml\n  tallyman integration apply -f integrations.yaml --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return inventory.Errorf(inventory.ErrInvalid, "apply needs -f FILE").WithRemedy("-f - reads standard input")
			}
			changes, err := a.readApply(file)
			if err != nil {
				return err
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			for _, change := range changes {
				if err := a.apply(cmd.Context(), api, change, dryRun); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to read; - is standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	return cmd
}

// readApply reads all of a file before anything is changed.
func (a *app) readApply(file string) ([]inventory.IntegrationChange, error) {
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, inventory.Errorf(inventory.ErrInvalid, "%s: %w", file, cause(err))
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, mostApply+1))
	switch {
	case err != nil:
		return nil, inventory.Errorf(inventory.ErrInvalid, "read %s: %w", file, cause(err))
	case len(b) > mostApply:
		return nil, inventory.Errorf(inventory.ErrInvalid, "%s is longer than %d bytes", file, mostApply)
	}
	var all applyFile
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.DisallowUnknownField()).Decode(&all); err != nil && !errors.Is(err, io.EOF) {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%s: %w", file, err).
			WithRemedy("a secret is not written in it but named: secret_file or secret_env; `tallyman integration apply --help` shows the keys")
	}
	if len(all.Integrations) == 0 {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%s names no integrations", file).WithRemedy("begin it with integrations:")
	}
	var changes []inventory.IntegrationChange
	for i, one := range all.Integrations {
		change, err := one.change(a, file)
		if err != nil {
			return nil, fmt.Errorf("%s: integrations[%d]: %w", file, i, err)
		}
		if slices.ContainsFunc(changes, func(c inventory.IntegrationChange) bool { return c.Name == change.Name }) {
			return nil, inventory.Errorf(inventory.ErrInvalid, "%s names the integration %s twice", file, change.Name)
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func (x applied) change(a *app, file string) (inventory.IntegrationChange, error) {
	var out inventory.IntegrationChange
	if x.Name == "" || x.URL == "" {
		return out, inventory.Errorf(inventory.ErrInvalid, "name and url are needed")
	}
	if x.Type == "" {
		x.Type = inventory.KindArtifactory
	}
	out.Integration = inventory.Integration{
		Name: x.Name, Kind: x.Type, URL: x.URL, Username: x.Username, Repositories: x.Repositories, Include: x.Include, Exclude: x.Exclude,
		Tags: x.Tags, SubdomainMode: x.SubdomainMode, CAFile: x.CAFile, Proxy: x.Proxy, AuthHosts: x.AuthHosts,
	}
	var err error
	if out.Secret, err = a.namedSecret(file, x.SecretFile, x.SecretEnv); err != nil {
		return out, err
	}
	out.WebhookSecret, err = a.namedSecret(file, x.WebhookSecretFile, x.WebhookSecretEnv)
	return out, err
}

// namedSecret reads a secret from a file beside the one that names it, or from a variable.
func (a *app) namedSecret(beside, file, variable string) (string, error) {
	switch {
	case file != "" && variable != "":
		return "", inventory.Errorf(inventory.ErrInvalid, "a secret is named twice, by file and by variable")
	case variable != "":
		secret, err := config.Secret(a.env, variable)
		if err == nil && secret == "" {
			err = inventory.Errorf(inventory.ErrInvalid, "the variable %s is not set", variable)
		}
		return secret, err
	case file == "":
		return "", nil
	case !filepath.IsAbs(file) && beside != "-":
		file = filepath.Join(filepath.Dir(beside), file)
	}
	return config.Secret(func(name string) (string, bool) { return file, name == "secret_FILE" }, "secret")
}

// apply brings one integration to what is wanted.
func (a *app) apply(ctx context.Context, api *client.Client, change inventory.IntegrationChange, dryRun bool) error {
	old, err := api.Integration(ctx, change.Name)
	if err != nil && !errors.Is(err, inventory.ErrNotFound) {
		return err
	}
	verb, act := "updated", func() error {
		_, err := api.UpdateIntegration(ctx, change.Name, change)
		return err
	}
	switch {
	case err != nil:
		verb, act = "added", func() error {
			_, err := api.AddIntegration(ctx, change)
			return err
		}
	case !same(old, change.Integration):
	case change.Secret != "" || change.WebhookSecret != "":
		verb = "unchanged" // a saved secret cannot be compared: it is saved again
	default:
		verb, act = "unchanged", func() error { return nil }
	}
	if dryRun {
		tell(a.stdout, "%s would be %s", change.Name, verb)
		return nil
	}
	if err := act(); err != nil {
		return fmt.Errorf("%s: %w", change.Name, err)
	}
	tell(a.stdout, "%s %s", change.Name, verb)
	return nil
}

// same says that no setting differs.
func same(old, now inventory.Integration) bool {
	return old.Kind == now.Kind && sameAddress(old.URL, now.URL) && old.Username == now.Username &&
		slices.Equal(old.Repositories, now.Repositories) && slices.Equal(old.Include, now.Include) && slices.Equal(old.Exclude, now.Exclude) &&
		slices.Equal(old.Tags, now.Tags) && old.SubdomainMode == now.SubdomainMode && old.CAFile == now.CAFile && old.Proxy == now.Proxy &&
		slices.Equal(old.AuthHosts, now.AuthHosts)
}

func sameAddress(old, now string) bool {
	a, err := artifactory.ParseAddress(now)
	return old == now || err == nil && a.URL == old
}
