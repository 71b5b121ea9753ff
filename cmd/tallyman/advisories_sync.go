package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newAdvisoriesSync(a *app) *cobra.Command {
	var o advisory.Options
	var format string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Fetch what changed: OSV by ecosystem, CISA's KEV catalogue, EPSS scores",
		Long: `Brings each feed up to date: only what changed is fetched, and a feed that cannot be read,
is incomplete or suddenly much smaller changes nothing while the others go on. By default
the ecosystems that the inventory holds are fetched. A mirror of the OSV bucket, such as a
generic Artifactory repository, is named with --base-url; its credentials come from
TALLYMAN_ADVISORIES_USER and TALLYMAN_ADVISORIES_PASSWORD. An empty address leaves a feed out.
` + "`tallyman serve`" + ` does the same by itself, every six hours unless the settings say otherwise.
With --server the server is asked to do it soon, from where its own settings say.`,
		Example: `  tallyman advisories sync
  tallyman advisories sync --ecosystem Debian,npm --base-url https://acme.jfrog.io/artifactory/osv-mirror --kev= --epss=`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			if a.cfg.Server != "" {
				return a.syncFar(cmd)
			}
			set, err := a.feedOptions()
			if err != nil {
				return err
			}
			for flag, field := range map[string][2]*string{"base-url": {&o.Base, &set.Base}, "kev": {&o.KEV, &set.KEV}, "epss": {&o.EPSS, &set.EPSS}} {
				if !cmd.Flags().Changed(flag) {
					*field[0] = *field[1]
				} else if *field[0] == config.Off {
					*field[0] = ""
				}
			}
			o.Ecosystems, o.Username, o.Secret = split(o.Ecosystems), set.Username, set.Secret
			p, err := a.openPlatform(cmd.Context())
			if err != nil {
				return err
			}
			defer p.close()
			if len(o.Ecosystems) == 0 {
				if o.Ecosystems, err = p.store.HeldEcosystems(cmd.Context()); err != nil {
					return err
				}
				o.Optional = true
			}
			results, err := p.sync(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.printFeeds(results, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Base, "base-url", advisory.DefaultBase, "OSV's bucket or a mirror of it")
	f.StringVar(&o.KEV, "kev", advisory.DefaultKEV, "address of CISA's catalogue of known exploited vulnerabilities")
	f.StringVar(&o.EPSS, "epss", advisory.DefaultEPSS, "address of the EPSS scores")
	f.StringArrayVar(&o.Ecosystems, "ecosystem", nil, "ecosystems to fetch (default: those that the inventory holds)")
	f.BoolVar(&o.TakeShrunk, "take-shrunk", false, "take a feed although it is suddenly much smaller")
	f.StringVar(&format, "format", "table", "table or json")
	return cmd
}

// syncFar asks the server, which knows its feeds, and does not wait.
func (a *app) syncFar(cmd *cobra.Command) error {
	for _, flag := range []string{"base-url", "kev", "epss", "ecosystem", "take-shrunk", "format"} {
		if cmd.Flags().Changed(flag) {
			return inventory.Errorf(inventory.ErrInvalid, "--%s is for this machine's store: the server's own settings hold there", flag).
				WithRemedy("leave it out, or run sync where the server runs")
		}
	}
	api, done, err := a.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	if err := api.SyncAdvisories(cmd.Context()); err != nil {
		return err
	}
	a.say("asked %s to bring its feeds up to date; `tallyman advisories status` tells how it went", a.cfg.Server)
	return nil
}

// feedOptions is where the settings say that feeds are, with the credentials for them.
func (a *app) feedOptions() (o advisory.Options, err error) {
	o = advisory.Options{Base: advisory.DefaultBase, KEV: advisory.DefaultKEV, EPSS: advisory.DefaultEPSS}
	for _, set := range []struct {
		to   *string
		what string
	}{{&o.Base, a.cfg.AdvisoriesURL}, {&o.KEV, a.cfg.AdvisoriesKEV}, {&o.EPSS, a.cfg.AdvisoriesEPSS}} {
		switch set.what {
		case "":
		case config.Off:
			*set.to = ""
		default:
			*set.to = set.what
		}
	}
	if o.Username, err = config.Secret(a.env, "TALLYMAN_ADVISORIES_USER"); err != nil {
		return o, err
	}
	o.Secret, err = config.Secret(a.env, "TALLYMAN_ADVISORIES_PASSWORD")
	return o, err
}

// sync brings the feeds up to date and matches again what they name.
func (p *platform) sync(ctx context.Context, o advisory.Options) ([]advisory.FeedResult, error) {
	o.Dir, o.Log = p.cfg.Data, p.log
	feed := p.matcher.Feed()
	results, err := advisory.Sync(ctx, o, p.store, sink{feed, p})
	change, finished := feed.Finish(ctx)
	if err := errors.Join(err, finished); err != nil {
		return results, err
	}
	p.log.InfoContext(ctx, "advisories synchronised", slog.Int("feeds", len(results)), slog.Int("packages_matched", change.Packages))
	for _, r := range results {
		if r.Taken() {
			if err := p.store.AdvisoriesSynced(ctx, r.Feed, time.Now()); err != nil {
				return results, err
			}
		}
	}
	return results, nil
}

// printFeeds shows what became of each feed, and fails if one could not be brought up to date.
func (a *app) printFeeds(results []advisory.FeedResult, format string) error {
	bad := 0
	for _, r := range results {
		if !r.Taken() && r.Status != inventory.FeedAbsent {
			bad++
		}
	}
	if format == "json" {
		if err := json.NewEncoder(a.stdout).Encode(results); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "FEED\tSTATUS\tRECORDS\tMALFORMED\tPROBLEM\tREMEDY")
		for _, r := range results {
			row(w, r.Feed, r.Status, r.Records+r.KEV+r.EPSS, r.Malformed, r.Problem, r.Remedy)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if bad > 0 {
		return inventory.Errorf(inventory.ErrUnavailable, "%d of %d feeds are not up to date", bad, len(results)).
			WithRemedy("the table says why; what was known before still holds")
	}
	return nil
}
