package main

import (
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// whoHasFlags are the question, how it is answered, and what is done with saved ones.
type whoHasFlags struct {
	ask          inventory.WhoHas
	asOf, format string
	saved        savedFlags
}

func newWhoHas(a *app) *cobra.Command {
	var o whoHasFlags
	cmd := &cobra.Command{
		Use:   "who-has WHAT",
		Short: "Which tags hold a package, a flaw or a file",
		Long: `WHAT is a package with or without a range of versions ('openssl <3.0.12', or a purl in the
place of the name), the id of a flaw (CVE, GHSA, …), or sha256:… of a file that was read:
an executable, an archive, a package file. A name is that of the package or of the source
package that it was built from.

The count is exact and comes first. With --as-of the tags are those of that moment (of a
date: its end, UTC) with what they pointed to then; findings are by what is known today.
STATE is gone where the tag was deleted or points elsewhere by now.

With --watch NAME the question is saved, too: every image that is analysed later is asked,
and the first time that one has it an event is raised, which channels are told of
(tallyman notify). --watches lists the saved questions, --unwatch NAME forgets one.`,
		Example: `  tallyman who-has 'openssl <3.0.12'
  tallyman who-has 'pkg:npm/lodash >=4.0, <4.17.21' --format json
  tallyman who-has log4j-core --ecosystem Maven
  tallyman who-has CVE-2021-44228 --as-of 2026-03-01
  tallyman who-has sha256:6c198fa8…
  tallyman who-has 'xz-utils >=5.6.0, <5.6.2' --watch xz-backdoor`,
		Args: o.saved.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.savedWatches(cmd, o.format, o.saved)
			}
			return a.whoHas(cmd, args[0], &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.ask.Ecosystem, "ecosystem", "", "only packages of this ecosystem: Debian, Debian:12, npm, …")
	f.StringVar(&o.asOf, "as-of", "", "the tags as they were then: 2026-03-01, or with the time")
	f.BoolVar(&o.ask.Gone, "gone", false, "tags that held it once, too")
	f.StringVar(&o.saved.name, "watch", "", "save the question under this name: later images are asked, too")
	f.BoolVar(&o.saved.list, "watches", false, "list the saved questions")
	f.StringVar(&o.saved.forget, "unwatch", "", "forget the saved question of this name")
	f.StringVar(&o.format, "format", "table", "table, json or jsonl")
	return cmd
}

// whoHas answers a question, and saves it where that is asked.
func (a *app) whoHas(cmd *cobra.Command, what string, o *whoHasFlags) error {
	if err := oneFormat(cmd, o.format, "table", "json", "jsonl"); err != nil {
		return err
	}
	if o.saved.name != "" && (o.asOf != "" || o.ask.Gone) {
		return inventory.Errorf(inventory.ErrInvalid, "--watch looks ahead, --as-of and --gone look back").WithRemedy("ask the one, then the other")
	}
	o.ask.Query = what
	if o.asOf != "" {
		at, err := moment(o.asOf)
		if err != nil {
			return err
		}
		o.ask.AsOf = &at
	}
	api, done, err := a.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	if o.saved.name != "" {
		if _, err := api.AddWatch(cmd.Context(), inventory.Watch{Name: o.saved.name, Query: o.ask.Query, Ecosystem: o.ask.Ecosystem}); err != nil {
			return err
		}
		a.say("watch %s is saved: images that come later are asked", o.saved.name)
	}
	head, rows, err := api.EachHolder(cmd.Context(), o.ask)
	if err != nil {
		return err
	}
	return a.printHolders(head, rows, o.format)
}

// moment reads a time; a date alone is the end of that day.
func moment(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err == nil {
		return at.UTC(), nil
	}
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return day, inventory.Errorf(inventory.ErrInvalid, "%q is no date", s).WithRemedy("write 2026-03-01, or 2026-03-01T12:00:00Z")
	}
	return day.Add(24*time.Hour - time.Second), nil
}

func (a *app) printHolders(head inventory.Holders, rows iter.Seq2[inventory.Holding, error], format string) error {
	if format != "table" {
		return writeJSON(a.stdout, rows, format == "jsonl")
	}
	a.say("%s", report.ReachLine(head))
	if head.Tags == 0 {
		for _, err := range rows {
			return err
		}
		return nil
	}
	return report.HoldersTable(a.stdout, rows, a.colour(a.stdout))
}
