package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/vex"
)

func newExceptionImport(a *app) *cobra.Command {
	var dryRun bool
	var format string
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "Take the statements of OpenVEX documents",
		Long: `Statements that a product does not have a flaw, or has it fixed, become exceptions: those
of a container image in the repositories of that name (or that digest), those of a package
wherever it is installed, those of a part of a product where both lie in the same file.
Statements that a product is affected or under investigation hide nothing.`,
		Example: `  tallyman exception import trivy.openvex.json --dry-run
  tallyman exception import vex/*.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			var list []inventory.Exception
			for _, name := range args {
				res, err := readVEX(name)
				if err != nil {
					return err
				}
				a.say("%s: %d exceptions; %d statements hide nothing, %d cannot be read", filepath.Base(name), len(res.Exceptions), res.Affected, res.Unreadable)
				list = append(list, res.Exceptions...)
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return a.except(cmd.Context(), api, list, dryRun, format)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what they would hide")
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func readVEX(name string) (vex.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return vex.Result{}, inventory.Errorf(inventory.ErrInvalid, "read %s: %w", name, err)
	}
	defer f.Close()
	return vex.Read(f, filepath.Base(name))
}

func newExceptionExport(a *app) *cobra.Command {
	var author, output string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write the exceptions in force as an OpenVEX document",
		Example: "  tallyman exception export --author 'Acme Security' --output acme.openvex.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			list, err := api.Exceptions(ctx)
			if err != nil {
				return err
			}
			o := vex.Options{Author: author, Time: time.Now(), Tooling: "tallyman " + buildVersion().Version}
			if o.Products, err = flawed(ctx, api, list); err != nil {
				return err
			}
			return a.output(output, func(w io.Writer) error { return vex.Write(w, list, o) })
		},
	}
	cmd.Flags().StringVar(&author, "author", "Tallyman", "who vouches for the document")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this file instead of stdout")
	return cmd
}

// flawed finds the packages that exceptions speak of which name a flaw alone: a
// statement needs products.
func flawed(ctx context.Context, api *client.Client, list []inventory.Exception) (map[int64][]string, error) {
	products := map[int64][]string{}
	for _, e := range list {
		if e.Expired || e.Package != "" || !e.All || e.CVE == "" {
			continue
		}
		_, rows, err := api.EachHolder(ctx, inventory.WhoHas{Query: e.CVE})
		if err != nil {
			return nil, fmt.Errorf("packages with %s: %w", e.CVE, err)
		}
		purls := map[string]bool{}
		for h, err := range rows {
			if err != nil {
				return nil, fmt.Errorf("packages with %s: %w", e.CVE, err)
			}
			purls[h.PURL] = true
		}
		products[e.ID] = slices.SortedFunc(maps.Keys(purls), cmp.Compare[string])
	}
	return products, nil
}
