package main

import (
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// newRoot is the command tree; each child has a file of its own name.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "tallyman",
		Short: "Keep the tally of every container image in a JFrog Artifactory",
		Long: `Tallyman watches a JFrog Artifactory, indexes every image once, matches it against
advisories for ever after, and shows what is inside, where it came from and what is
wrong with it.

Exit codes: 0 fine, 1 error, 2 findings (when asked with --exit-code), 3 incomplete.`,
		Example: `  tallyman demo
  tallyman serve
  tallyman integration add acme --url https://acme.jfrog.io --repositories docker-local
  tallyman images
  tallyman cves acme.jfrog.io/docker-local/team/app:1.0`,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE:          func(cmd *cobra.Command, _ []string) error { return a.configure(cmd) },
	}
	f := root.PersistentFlags()
	f.String("data", "", "data directory: embedded store, key, lock (TALLYMAN_DATA)")
	f.String("database", "", "postgres://… instead of SQLite in the data directory (TALLYMAN_DATABASE)")
	f.String("server", "", "talk to this server instead of the local store (TALLYMAN_SERVER)")
	f.String("token-file", "", "file with the token for --server (TALLYMAN_TOKEN_FILE, or TALLYMAN_TOKEN)")
	f.String("config", "", "Tallyman's own settings, YAML (docs/config.md)")
	f.String("log-format", "", "text or json")
	f.String("log-level", "", "debug, info, warn or error")
	f.Bool("no-color", false, "no colour (NO_COLOR)")
	f.String("progress", "", "auto, plain, json or none")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError(cmd, err) })
	root.AddCommand(
		newDemo(a), newServe(a), newIntegration(a), newImages(a), newStatus(a), newSBOM(a), newCVEs(a), newWhoHas(a), newExplain(a), newException(a),
		newQuickview(a), newCompare(a), newRecommendations(a),
		newAdvisories(a), newUser(a), newToken(a), newAudit(a), newKey(a), newNotify(a), newVersion(a),
		newWatch(a), newAgent(a), newContainer(a),
	)
	strictGroups(root)
	tellExitCodes(root)
	return root
}

// strictGroups makes a command that only groups others refuse what it does not know,
// where cobra would print help and call it fine.
func strictGroups(c *cobra.Command) {
	for _, sub := range c.Commands() {
		strictGroups(sub)
	}
	if !c.HasSubCommands() || c.Runnable() {
		return
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := inventory.Errorf(inventory.ErrInvalid, "unknown command %q for %q", args[0], cmd.CommandPath())
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			return err.WithRemedy("is it `%s %s`? `%s --help` lists all", cmd.CommandPath(), like[0], cmd.CommandPath())
		}
		return err.WithRemedy("`%s --help` lists them", cmd.CommandPath())
	}
}
