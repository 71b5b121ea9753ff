package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newNotify(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Tell people what changed: Slack, webhooks, mail",
		Long: `Channels are told what is new: a flaw once for the whole fleet, however many images it
is in. What an integration's first look finds is not news, nor what happened before the
channel was added. docs/notifications.md tells the rest.`,
		Example: `  tallyman notify add team --kind slack --url-stdin < webhook-address
  tallyman notify test team
  tallyman notify list team`,
	}
	cmd.AddCommand(newNotifyAdd(a), newNotifyList(a), newNotifyTest(a), newNotifyRemove(a), newNotifyReplay(a), newNotifyPreview(a))
	return cmd
}

// channelFlags are what notify add is told.
type channelFlags struct {
	change                         inventory.ChannelChange
	mail                           inventory.Mail
	rule                           inventory.Rule
	urlStdin, secretStdin, replace bool
}

func newNotifyAdd(a *app) *cobra.Command {
	var c channelFlags
	cmd := &cobra.Command{
		Use:   "add NAME --kind KIND",
		Short: "Add a channel, or change one with --replace",
		Long: `The address of a Slack webhook is a secret: it comes from standard input (--url-stdin), is
sealed at rest and never shown again. A webhook has an address (--url) and a secret
(--secret-stdin) that what it is sent is signed with. Mail has a server, a sender and
recipients; a password comes by --secret-stdin.

Kinds of news: ` + strings.Join(inventory.NewsKinds[:], ", ") + `.`,
		Example: `  tallyman notify add team --kind slack --url-stdin < webhook-address
  tallyman notify add prod --kind slack --url-stdin --on new,kev,fixable --repository 'docker-prod/**' --severity critical < webhook-address
  tallyman notify add siem --kind webhook --url https://siem.example/in --secret-stdin < secret
  tallyman notify add boss --kind mail --smtp smtp.example.com:587 --from tallyman@example.com --to boss@example.com \
      --username tallyman --secret-stdin < password`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := c.read(a, args[0])
			if err != nil {
				return err
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if !c.replace {
				made, err := api.AddChannel(cmd.Context(), change)
				if err != nil {
					return err
				}
				tell(a.stdout, "added %s; `tallyman notify test %s` tries it, `tallyman serve` sends", made.Name, made.Name)
				return nil
			}
			_, err = api.UpdateChannel(cmd.Context(), change.Name, change)
			if errors.Is(err, inventory.ErrNotFound) {
				_, err = api.AddChannel(cmd.Context(), change)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.change.Kind, "kind", "", "slack, webhook or mail")
	f.StringVar(&c.change.URL, "url", "", "address of the receiver; other users of this machine can see it: prefer --url-stdin")
	f.BoolVar(&c.urlStdin, "url-stdin", false, "read the address from standard input")
	f.BoolVar(&c.secretStdin, "secret-stdin", false, "read the secret of a webhook, or the password of mail, from standard input")
	f.StringSliceVar(&c.rule.Events, "on", []string{
		inventory.NewsNew, inventory.NewsKEV, inventory.NewsImageFailed,
		inventory.NewsIntegrationBroken, inventory.NewsFeedStale, inventory.NewsWatch,
	}, "kinds of news")
	f.StringVar(&c.rule.Repository, "repository", "", "only of these repositories: KEY, KEY/team/* (default: all)")
	f.StringVar(&c.rule.Severity, "severity", inventory.High, "only flaws at least this bad")
	f.StringVar(&c.mail.Server, "smtp", "", "mail server, HOST:PORT")
	f.StringVar(&c.mail.Username, "username", "", "user name at the mail server")
	f.StringVar(&c.mail.From, "from", "", "sender of the mail")
	f.StringSliceVar(&c.mail.To, "to", nil, "recipients of the mail")
	f.BoolVar(&c.mail.Plain, "smtp-plain", false, "allow a mail server without encryption (never with a password)")
	f.BoolVar(&c.replace, "replace", false, "change the channel of this name; a blank address or secret is kept")
	return cmd
}

func (c channelFlags) read(a *app, name string) (inventory.ChannelChange, error) {
	change := c.change
	change.Name, change.Rules = name, []inventory.Rule{c.rule}
	if change.Kind == "" {
		return change, inventory.Errorf(inventory.ErrInvalid, "what kind of channel is %s?", name).WithRemedy("give --kind slack, webhook or mail")
	}
	if change.Kind == inventory.ChannelMail {
		change.Mail = &c.mail
	}
	if c.urlStdin && c.secretStdin {
		return change, inventory.Errorf(inventory.ErrInvalid, "standard input holds one thing").WithRemedy("give the address of a signed webhook with --url")
	}
	var err error
	if c.urlStdin {
		change.URL, err = a.readStdin("address")
	}
	if c.secretStdin {
		change.Secret, err = a.readStdin("secret")
	}
	return change, err
}

func newNotifyList(a *app) *cobra.Command {
	var format, state string
	cmd := &cobra.Command{
		Use:   "list [CHANNEL]",
		Short: "List channels, or the messages of one and how they fared",
		Example: `  tallyman notify list
  tallyman notify list team --state dead`,
		Args: atMost("CHANNEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if len(args) == 0 && state == "" {
				list, err := api.Channels(cmd.Context())
				if err != nil {
					return err
				}
				return a.printChannels(format, list)
			}
			f := client.DeliveryFilter{State: state, Limit: 1000}
			if len(args) == 1 {
				f.Channel = args[0]
			}
			list, err := api.Messages(cmd.Context(), f)
			if err != nil {
				return err
			}
			return a.printMessages(format, list)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	cmd.Flags().StringVar(&state, "state", "", "only messages that are waiting, sent or dead")
	return cmd
}

func (a *app) printChannels(format string, list []inventory.Channel) error {
	if format == "json" {
		return json.NewEncoder(a.stdout).Encode(list)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tWHERE\tTOLD OF\tSENT\tWAITING\tDEAD\tPROBLEM")
	for _, c := range list {
		var rules []string
		for _, r := range c.Rules {
			rule := strings.Join(r.Events, ",") + " ≥ " + orElse(r.Severity, inventory.High)
			if r.Repository != "" {
				rule += " in " + r.Repository
			}
			rules = append(rules, rule)
		}
		row(w, c.Name, c.Kind, c.Host, strings.Join(rules, "; "), c.Sent, c.Waiting, c.Dead, c.Problem)
	}
	return w.Flush()
}

func (a *app) printMessages(format string, list []inventory.Delivery) error {
	if format == "json" {
		return json.NewEncoder(a.stdout).Encode(list)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tCHANNEL\tAT\tSTATE\tATTEMPTS\tTITLE\tPROBLEM")
	for _, d := range list {
		row(w, d.Notice.ID, d.Channel, timeOr(&d.Notice.At, ""), d.State, d.Attempts, d.Notice.Title, d.Problem)
	}
	return w.Flush()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func newNotifyTest(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "test NAME",
		Short:   "Send a test message and say what the receiver answered",
		Example: "  tallyman notify test team",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			res, err := api.TestChannel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !res.OK {
				return inventory.Errorf(inventory.ErrUnavailable, "%s", res.Error).WithRemedy("%s", res.Remedy)
			}
			tell(a.stdout, "%s took it (%s, event %s)", args[0], res.Receipt, res.ID)
			return nil
		},
	}
}

func newNotifyRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a channel with its messages, also those that wait",
		Example: "  tallyman notify remove team",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return api.RemoveChannel(cmd.Context(), args[0])
		},
	}
}

func newNotifyReplay(a *app) *cobra.Command {
	var f inventory.DeliveryFilter
	cmd := &cobra.Command{
		Use:   "replay [EVENT] [--channel NAME]",
		Short: "Send messages again, under the ids they have",
		Example: `  tallyman notify replay evt_ABCDEFGHIJKLMNOPQRSTUVWXYZ
  tallyman notify replay --channel team
  tallyman notify replay --channel team --state sent`,
		Args: atMost("EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.ID = args[0]
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			n, err := api.ReplayMessages(cmd.Context(), f)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%d put back; `tallyman serve` sends\n", n)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.Channel, "channel", "", "every message of this channel in the state")
	cmd.Flags().StringVar(&f.State, "state", "", "waiting, sent or dead (default dead)")
	return cmd
}

func newNotifyPreview(a *app) *cobra.Command {
	var event string
	cmd := &cobra.Command{
		Use:     "preview NAME",
		Short:   "Print what a channel would be sent, with made-up news",
		Example: "  tallyman notify preview team --event kev",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			p, err := api.PreviewChannel(cmd.Context(), args[0], event)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, p.Body)
			return nil
		},
	}
	cmd.Flags().StringVar(&event, "event", inventory.NewsNew, strings.Join(inventory.NewsKinds[:], ", ")+" or test")
	return cmd
}
