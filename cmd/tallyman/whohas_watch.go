package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// savedFlags are what who-has does with saved questions.
type savedFlags struct {
	name, forget string
	list         bool
}

// args asks for a question, unless saved ones are listed or forgotten.
func (w *savedFlags) args(cmd *cobra.Command, args []string) error {
	if !w.list && w.forget == "" {
		return exactly("WHAT")(cmd, args)
	}
	if len(args) > 0 || w.name != "" || w.list && w.forget != "" {
		return inventory.Errorf(inventory.ErrInvalid, "--watches and --unwatch stand alone").WithRemedy("`tallyman who-has --help` shows how")
	}
	return nil
}

// savedWatches lists the saved questions, or forgets one.
func (a *app) savedWatches(cmd *cobra.Command, format string, w savedFlags) error {
	if w.list {
		return show(a, cmd, format, func(c *client.Client, ctx context.Context) ([]inventory.Watch, error) { return c.Watches(ctx) },
			func(all []inventory.Watch) error {
				if len(all) == 0 {
					a.say("no question is saved: `tallyman who-has 'openssl <3.0.12' --watch old-openssl` saves one")
					return nil
				}
				return report.WatchesTable(a.stdout, all, a.colour(a.stdout))
			})
	}
	api, done, err := a.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	if err := api.RemoveWatch(cmd.Context(), w.forget); err != nil {
		return err
	}
	tell(a.stdout, "forgot watch %s", w.forget)
	return nil
}
