package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
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
			return show(a, cmd, format, (*client.Client).Integrations, a.integrationTable)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) integrationTable(list []inventory.Integration) error {
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
		row(w, in.Name, in.State, in.URL, keys, in.Problem)
	}
	return w.Flush()
}
