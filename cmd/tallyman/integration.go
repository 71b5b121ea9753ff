package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newIntegration(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "integration",
		Short: "Connect, test, change and disconnect registries",
		Example: `  tallyman integration test --url https://acme.jfrog.io --secret-stdin --repositories docker-local < token
  tallyman integration add acme --url https://acme.jfrog.io --secret-stdin < token
  tallyman integration list`,
	}
	cmd.AddCommand(
		newIntegrationAdd(a), newIntegrationUpdate(a), newIntegrationApply(a), newIntegrationTest(a), newIntegrationList(a),
		newIntegrationAct(a, "pause", "Stop looking until it is resumed", (*client.Client).PauseIntegration),
		newIntegrationAct(a, "resume", "Look again; nothing pushed meanwhile is missed", (*client.Client).ResumeIntegration),
		newIntegrationAct(a, "disconnect", "Erase the credentials and keep the data", (*client.Client).DisconnectIntegration),
		newIntegrationDelete(a),
	)
	return cmd
}

// connection is what is typed about an integration.
type connection struct {
	url, username, kind, caFile, proxy   string
	repositories, include, exclude       []string
	tags, authHosts                      []string
	subdomain, secretStdin, webhookStdin bool
}

func (c *connection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.url, "url", "", "address of the registry, as you type it in a browser")
	f.StringVar(&c.kind, "type", inventory.KindArtifactory, "artifactory, or oci for any other registry")
	f.StringVar(&c.username, "username", "", "user name; a token needs none, an API key or password does")
	f.BoolVar(&c.secretStdin, "secret-stdin", false, "read the token, API key or password from standard input")
	f.StringArrayVar(&c.repositories, "repositories", nil, "repository keys, separated by , or ; (none = all that can be read)")
	f.StringArrayVar(&c.include, "include", nil, "globs of image names to take, matched to NAME or KEY/NAME")
	f.StringArrayVar(&c.exclude, "exclude", nil, "globs of image names to leave out")
	f.StringArrayVar(&c.tags, "tag", nil, "regular expressions of tags to take")
	f.StringVar(&c.caFile, "ca-file", "", "PEM file with the registry's private certificate authority")
	f.StringVar(&c.proxy, "proxy", "", "http(s):// proxy to reach the registry by")
	f.StringArrayVar(&c.authHosts, "auth-host", nil, "further host that may be sent the credentials (a token realm elsewhere)")
	f.BoolVar(&c.subdomain, "subdomain-mode", false, "references are KEY.HOST/image:tag")
}

// read puts the flags and the secrets together.
func (c *connection) read(a *app) (inventory.IntegrationChange, error) {
	in := inventory.Integration{
		Kind: c.kind, URL: c.url, Username: c.username, Repositories: artifactory.ParseKeys(strings.Join(c.repositories, ",")),
		Include: split(c.include), Exclude: split(c.exclude), Tags: c.tags, SubdomainMode: c.subdomain,
		CAFile: c.caFile, Proxy: c.proxy, AuthHosts: split(c.authHosts),
	}
	var out inventory.IntegrationChange
	if c.secretStdin && c.webhookStdin {
		return out, inventory.Errorf(inventory.ErrInvalid, "standard input can carry one secret").
			WithRemedy("give the other by TALLYMAN_ARTIFACTORY_API_PASSWORD_FILE or TALLYMAN_ARTIFACTORY_WEBHOOK_SECRET_FILE")
	}
	secret, err := a.secretOr(c.secretStdin, "token or password", passwordVariables)
	if err != nil {
		return out, err
	}
	hook, err := a.secretOr(c.webhookStdin, "webhook secret", webhookVariables)
	if err != nil {
		return out, err
	}
	if in.Username == "" {
		if in.Username, err = a.secretOr(false, "", userVariables); err != nil {
			return out, err
		}
	}
	return inventory.IntegrationChange{Integration: in, Secret: secret, WebhookSecret: hook}, nil
}

// split cuts each value at commas and drops what is blank.
func split(values []string) []string {
	out := []string{}
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// printTest shows what Test Connection found, key by key, and fails if it did.
func printTest(w io.Writer, format string, result inventory.TestResult) error {
	if format == "json" {
		if err := json.NewEncoder(w).Encode(result); err != nil {
			return err
		}
	} else {
		for _, k := range result.Repositories {
			fmt.Fprintln(w, keyLine(k))
		}
		for _, warning := range result.Warnings {
			fmt.Fprintln(w, "warning: "+inventory.Printable(warning))
		}
		if result.OK {
			fmt.Fprintln(w, "connection works")
		}
	}
	if result.OK {
		return nil
	}
	return inventory.Errorf(inventory.ErrUnauthorized, "%s", result.Error).WithRemedy("%s", result.Remedy)
}

func keyLine(k inventory.RepositoryKey) string {
	if k.OK {
		return inventory.Printable(fmt.Sprintf("ok      %s (%s %s)", k.Key, k.Class, k.PackageType))
	}
	line := fmt.Sprintf("failed  %s: %s", k.Key, k.Error)
	if k.Remedy != "" {
		line += "; " + k.Remedy
	}
	return inventory.Printable(line)
}
