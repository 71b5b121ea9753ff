package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// tellExitCodes ends the help of every command that does something with what it exits with.
func tellExitCodes(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		tellExitCodes(c)
		if !c.Runnable() {
			continue
		}
		if c.Long == "" {
			c.Long = c.Short + "."
		}
		if !strings.Contains(c.Long, "Exit codes:") {
			c.Long += "\n\n" + exitCodes(c)
		}
	}
}

// exitCodes are those that a command can end with.
func exitCodes(c *cobra.Command) string {
	codes := "Exit codes: 0 fine, 1 error"
	switch {
	case c.Flags().Lookup("exit-code") != nil:
		codes += ", 2 findings are left, 3 no advisories are known (with --exit-code)"
	case c.Flags().Lookup("exit-on") != nil:
		codes += ", 2 something is worse (with --exit-on)"
	}
	if c.Flags().Lookup("once") != nil {
		codes += ", 3 incomplete: something failed or waits (with --once)"
	}
	return codes + "."
}
