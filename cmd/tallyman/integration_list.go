package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newIntegrationList(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List integrations with their state and keys",
		Example: "  tallyman integration list --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			list, err := api.Integrations(cmd.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				return json.NewEncoder(a.stdout).Encode(list)
			}
			if len(list) == 0 {
				fmt.Fprintln(a.stderr, "no integrations yet: tallyman integration add NAME --url URL --secret-stdin")
				return nil
			}
			w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tSTATE\tURL\tKEYS\tPROBLEM")
			for _, in := range list {
				keys := "all"
				if len(in.Repositories) > 0 {
					keys = strings.Join(in.Repositories, ",")
				}
				fmt.Fprintln(w, inventory.Printable(in.Name)+"\t"+in.State+"\t"+inventory.Printable(in.URL)+"\t"+
					inventory.Printable(keys)+"\t"+inventory.Printable(in.Problem))
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}
