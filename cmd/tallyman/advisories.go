package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newAdvisories(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "advisories",
		Short: "What is known of flaws: synchronise, import, export, status",
		Example: `  tallyman advisories sync
  tallyman advisories import Debian/all.zip known_exploited_vulnerabilities.json epss.csv.gz
  tallyman advisories export --output tallyman-advisories.zip
  tallyman advisories status`,
	}
	cmd.AddCommand(newAdvisoriesSync(a), newAdvisoriesImport(a), newAdvisoriesExport(a), newAdvisoriesStatus(a))
	return cmd
}

func newAdvisoriesImport(a *app) *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use:   "import PATH…",
		Short: "Import OSV zips, directories or JSON, CISA's KEV JSON, EPSS CSV(.gz), or a bundle: recognised by content",
		Long: `Imports files; their content says what they are. A damaged zip or bundle changes nothing; a
record that is malformed is named and the rest is taken. With --verify-key only bundles of
` + "`tallyman advisories export`" + ` that this key signed are taken.`,
		Example: `  tallyman advisories import osv/Debian/all.zip
  tallyman advisories import osv/ kev.json epss.csv.gz
  tallyman advisories import --verify-key feeds.pub.pem tallyman-advisories.zip`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			key, err := publicKey(keyFile)
			if err != nil {
				return err
			}
			if a.cfg.Server != "" {
				if key != nil {
					return inventory.Errorf(inventory.ErrInvalid, "--verify-key works on this machine's store, not on --server").
						WithRemedy("run it where the server runs")
				}
				return a.uploadAdvisories(ctx, args)
			}
			p, err := a.openPlatform(ctx)
			if err != nil {
				return err
			}
			defer p.close()
			for _, path := range args {
				if err := p.importAs(ctx, path, filepath.Base(path), key); err != nil {
					return err
				}
				tell(a.stderr, "imported %s", path)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&keyFile, "verify-key", "", "PEM file of an ed25519 public key: take only bundles that it signed")
	return cmd
}

// uploadAdvisories sends files to the server; it imports them as the command would here.
func (a *app) uploadAdvisories(ctx context.Context, paths []string) error {
	api, done, err := a.backend(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return inventory.Errorf(inventory.ErrInvalid, "advisories: %w", err)
		}
		if info, err := f.Stat(); err == nil && info.IsDir() {
			f.Close()
			return inventory.Errorf(inventory.ErrInvalid, "%s is a directory: a server takes single files", path).
				WithRemedy("send its zips or JSON files one by one")
		}
		_, err = api.ImportAdvisories(ctx, f)
		f.Close()
		if err != nil {
			return err
		}
		tell(a.stderr, "imported %s", path)
	}
	return nil
}

func newAdvisoriesStatus(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "How many advisories are known, and how old that knowledge is",
		Example: "  tallyman advisories status --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(a, cmd, format, (*client.Client).Advisories, a.advisoryLines)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

// advisoryLines shows the sum, then each source.
func (a *app) advisoryLines(st inventory.AdvisoryStatus) error {
	age := "never imported"
	if st.AgeS != nil {
		age = (time.Duration(*st.AgeS) * time.Second).String() + " old"
	}
	fmt.Fprintf(a.stdout, "%d advisories, newest %s, knowledge %s\n", st.Records, timeOr(st.Newest, "none"), age)
	if len(st.Feeds) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nFEED\tSTATE\tTAKEN IN\tRECORDS\tMALFORMED\tPROBLEM")
	for _, f := range st.Feeds {
		state, synced, records := f.Status, "never", ""
		switch {
		case state == "":
			state = "imported"
		case f.Stale:
			state += ", stale"
		}
		if !f.Synced.IsZero() {
			synced = timeOr(&f.Synced, "")
		}
		if f.Records != nil {
			records = strconv.Itoa(*f.Records)
		}
		problem := f.Problem
		if f.Remedy != "" {
			problem += " (" + f.Remedy + ")"
		}
		row(w, f.Name, state, synced, records, f.Malformed, problem)
	}
	return w.Flush()
}
