package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
)

// show is what a command that only looks does: it asks the API and prints the answer as
// JSON, or as table writes it.
func show[T any](a *app, cmd *cobra.Command, format string, ask func(*client.Client, context.Context) (T, error), table func(T) error) error {
	if err := oneFormat(cmd, format, "table", "json"); err != nil {
		return err
	}
	api, done, err := a.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	answer, err := ask(api, cmd.Context())
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(a.stdout).Encode(answer)
	}
	return table(answer)
}
