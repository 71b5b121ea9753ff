package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// exactly asks for the named arguments and no others.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return wrongArgs(cmd, strings.Join(names, " "), args)
	}
}

// atMost allows the named argument or none.
func atMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return wrongArgs(cmd, "["+name+"]", args)
	}
}

func wrongArgs(cmd *cobra.Command, want string, args []string) error {
	return inventory.Errorf(inventory.ErrInvalid, "%s takes %s, not %d arguments", cmd.CommandPath(), want, len(args)).
		WithRemedy("`%s --help` shows how", cmd.CommandPath())
}
