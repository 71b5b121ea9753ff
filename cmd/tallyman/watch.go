package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/watchspec"
)

// Names of the variables of a plain registry's credentials, after ours.
var (
	plainUserVariables     = []string{"TALLYMAN_REGISTRY_USER", "DOCKER_SCOUT_REGISTRY_USER"}
	plainPasswordVariables = []string{"TALLYMAN_REGISTRY_PASSWORD", "DOCKER_SCOUT_REGISTRY_PASSWORD", "DOCKER_SCOUT_REGISTRY_TOKEN"}
)

// watchFlags are what is typed after `tallyman watch`.
type watchFlags struct {
	registries, repositories, tags       []string
	interval, org, caFile, proxy         string
	payload                              string
	all, dryRun, refresh, sbom, onlyOnce bool
}

func newWatch(a *app) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch --registry SPEC",
		Short: "Watch registries as `docker scout watch` does: same flags, same strings",
		Long: `Watches registries and indexes what is pushed, into the store in the data directory, or,
with --server, for a server far away: only metadata is sent there, --print-payload shows
what, and credentials stay here.
What is there when it is first started is recorded and left alone: whatever differs from
it counts, also what was pushed while nothing watched. --all-images takes everything in
once and goes on watching.

SPEC is "key=value,…" with type=artifactory (registry, api, repository; include, exclude,
port, subdomain-mode) or type=oci (registry, repository), or the host of a plain registry.
Credentials come from TALLYMAN_ARTIFACTORY_API_USER, TALLYMAN_ARTIFACTORY_API_PASSWORD and
TALLYMAN_ARTIFACTORY_WEBHOOK_SECRET, else from the same names with DOCKER_SCOUT_; each has
a twin ending in _FILE. A token needs no user.`,
		Example: `  tallyman watch --registry "type=artifactory,registry=example.jfrog.io,api=https://example.jfrog.io/artifactory,repository=docker-local" --all-images
  tallyman watch --registry registry.internal:5000 --repository team/app --once
  tallyman watch --registry registry.internal:5000 --server https://tallyman.example.com --token-file token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := f.read(a)
			if err != nil {
				return err
			}
			done, err := a.showPayload(&w, f.payload)
			if err != nil {
				return err
			}
			defer done()
			if f.dryRun {
				return a.planWatch(cmd.Context(), w)
			}
			return a.watch(cmd.Context(), w)
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.registries, "registry", nil, "registry to watch; may be given several times")
	fs.StringArrayVar(&f.repositories, "repository", nil, "repository to watch, where the registry's string names none; may be given several times")
	fs.BoolVar(&f.all, "all-images", false, "take in all images once, then go on watching")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be done and which rule decides, and do nothing")
	fs.StringVar(&f.interval, "interval", "60", "seconds between looks (or 5m)")
	fs.StringVar(&f.org, "org", "", "organization: a label, nothing is sent anywhere")
	fs.BoolVar(&f.refresh, "refresh-registry", false, "let repositories and images that are new join while running")
	fs.BoolVar(&f.sbom, "sbom", true, "accepted; the bill of materials always stays in the ledger")
	fs.StringArrayVar(&f.tags, "tag", nil, "regular expression of tags to take; may be given several times")
	fs.IntVar(&a.workers, "workers", 0, "images indexed at a time (default 3)")
	fs.StringVar(&a.bandwidth, "max-bandwidth", "", "bytes a second that downloads from one registry may take, as 500K or 10M")
	fs.BoolVar(&f.onlyOnce, "once", false, "one full pass, then exit: 0, or 3 if something could not be analysed")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM file with the registry's private certificate authority")
	fs.StringVar(&f.proxy, "proxy", "", "http(s):// proxy to reach the registry by")
	addPayloadFlag(cmd, &f.payload)
	return cmd
}

// read understands the flags and the environment, and says what is taken how.
func (f watchFlags) read(a *app) (watching, error) {
	w := watching{once: f.onlyOnce, looks: discover.Options{Baseline: true, All: f.all, Fixed: !f.refresh}}
	if len(f.registries) == 0 {
		return w, inventory.Errorf(inventory.ErrInvalid, "watch needs --registry").
			WithRemedy(`for example --registry "type=artifactory,registry=example.jfrog.io,api=https://example.jfrog.io/artifactory,repository=docker-local"`)
	}
	var err error
	if w.every, err = parseInterval(f.interval); err != nil {
		return w, err
	}
	for _, text := range f.registries {
		t, err := f.target(a, text)
		if err != nil {
			return w, err
		}
		for _, other := range w.targets {
			if other.in.Name == t.in.Name {
				return w, inventory.Errorf(inventory.ErrInvalid, "--registry names the same repositories of %s twice", t.in.Registry)
			}
		}
		w.targets = append(w.targets, t)
	}
	if f.org != "" {
		a.say("--org %s is only a label here: nothing is sent to an organization", f.org)
	}
	if w.name = watchName(w.targets); a.cfg.Server != "" {
		w.name = "" // the token's
	}
	if !f.sbom {
		a.say("--sbom=false changes nothing: the bill of materials stays in the local ledger and is not uploaded anywhere")
	}
	return w, nil
}

// target is one --registry with its credentials.
func (f watchFlags) target(a *app, text string) (target, error) {
	spec, err := watchspec.ParseRegistry(text, f.repositories)
	if err != nil {
		return target{}, err
	}
	for _, note := range spec.Notes {
		a.say("%s", note)
	}
	t := target{in: spec.Integration, port: spec.Port}
	t.in.Tags, t.in.CAFile, t.in.Proxy = f.tags, f.caFile, f.proxy
	users, passwords := userVariables, passwordVariables
	if t.in.Kind == inventory.KindOCI {
		users = append(append([]string{}, users...), plainUserVariables...)
		passwords = append(append([]string{}, passwords...), plainPasswordVariables...)
	}
	if t.in.Username, err = config.Secret(a.env, users...); err != nil {
		return t, err
	}
	if t.secrets.Password, err = config.Secret(a.env, passwords...); err != nil {
		return t, err
	}
	if t.secrets.Webhook, err = config.Secret(a.env, webhookVariables...); err != nil {
		return t, err
	}
	if t.port != 0 && t.secrets.Webhook == "" {
		a.say("warning: port %d stays closed: TALLYMAN_ARTIFACTORY_WEBHOOK_SECRET is not set; changes are found by looking every %s seconds", t.port, f.interval)
		t.port = 0
	}
	return t, nil
}

// parseInterval reads seconds, or a duration with its unit.
func parseInterval(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, notNumber := strconv.Atoi(strings.TrimSpace(s)); notNumber == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < time.Second || d > 24*time.Hour {
		return 0, inventory.Errorf(inventory.ErrInvalid, "--interval is %q", s).WithRemedy("give seconds from 1 to 86400, as --interval 60")
	}
	return d, nil
}

// watchName names who watches these targets.
func watchName(targets []target) string {
	var names []string
	for _, t := range targets {
		names = append(names, t.in.Name)
	}
	return watchspec.Name(names...)
}

// names lists the integrations for people.
func (w watching) names() string {
	var names []string
	for _, t := range w.targets {
		names = append(names, t.in.Name)
	}
	return fmt.Sprint(strings.Join(names, ", "))
}
