package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// newContainer is the entry of the image: it takes the arguments that the old agent's
// image took, and any other command.
func newContainer(a *app) *cobra.Command {
	return &cobra.Command{
		Use:                "container [ARGUMENTS]",
		Short:              "Entry of the container image: no command is the agent",
		Hidden:             true,
		DisableFlagParsing: true,
		// The command that is meant reads the settings, not this one.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			root := newRoot(a)
			root.SetArgs(containerArgs(args))
			root.SetIn(a.stdin)
			root.SetOut(a.stdout)
			root.SetErr(a.stderr)
			return root.ExecuteContext(cmd.Context())
		},
	}
}

// containerArgs puts the agent before arguments that name no command.
func containerArgs(args []string) []string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && args[0] != "--help" && args[0] != "-h" {
		return append([]string{"agent"}, args...)
	}
	return args
}
