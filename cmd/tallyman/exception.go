package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newException(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exception",
		Short: "Findings that do not count: not affected, fixed otherwise, risk accepted",
		Long: `An excepted finding stays in every report, marked with the reason, and no longer counts:
not in sums, not for exit codes. When the exception expires it counts again by itself.`,
		Example: `  tallyman exception add --cve CVE-2021-44228 --repository docker-local/team/app \
    --status not_affected --justification vulnerable_code_not_in_execute_path
  tallyman exception list
  tallyman exception import app.openvex.json
  tallyman exception export > ours.openvex.json`,
	}
	cmd.AddCommand(newExceptionAdd(a), newExceptionList(a), newExceptionRemove(a), newExceptionImport(a), newExceptionExport(a))
	return cmd
}

func newExceptionList(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List exceptions, expired ones too",
		Example: "  tallyman exception list --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(a, cmd, format, (*client.Client).Exceptions, a.exceptionList)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) exceptionList(list []inventory.Exception) error {
	if len(list) == 0 {
		fmt.Fprintln(a.stderr, "no exceptions: every finding counts")
		return nil
	}
	return a.exceptionTable(list)
}

func (a *app) exceptionTable(list []inventory.Exception) error {
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tFLAW\tPACKAGE\tWHERE\tSTATUS\tJUSTIFICATION\tAUTHOR\tEXPIRES\tREASON")
	for _, e := range list {
		expires := timeOr(e.Expires, "never")
		if e.Expired {
			expires += " (expired)"
		}
		row(w, e.ID, orElse(e.CVE, "any"), orElse(e.Package, "any"), whereOf(e), e.Status, e.Justification, e.Author, expires, e.Reason)
	}
	return w.Flush()
}

func whereOf(e inventory.Exception) string {
	switch {
	case e.Image != "":
		return "image " + e.Image
	case e.Repository != "":
		return e.Repository
	case e.Product != "":
		return "in " + e.Product
	}
	return "everywhere"
}

func newExceptionRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "remove ID",
		Short:   "Let the findings of an exception count again",
		Example: "  tallyman exception remove 3",
		Args:    exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return inventory.Errorf(inventory.ErrInvalid, "%q is not the id of an exception", args[0]).WithRemedy("see: tallyman exception list")
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return api.RemoveException(cmd.Context(), id)
		},
	}
}
