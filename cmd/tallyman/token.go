package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newToken(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Tokens for machines, and links into the dashboard for people",
		Example: `  tallyman token create ci --scope read --expires 720h
  tallyman token link ada
  tallyman token list`,
	}
	cmd.AddCommand(newTokenCreate(a), newTokenList(a), newTokenRevoke(a), newTokenLink(a))
	return cmd
}

func newTokenCreate(a *app) *cobra.Command {
	var scope string
	var integrations []string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME --scope SCOPE",
		Short: "Make a token; its secret is printed once, on stdout",
		Long: `Makes a token. One of scope ingest is for a far watcher (watch or agent with --server),
and may write to nothing but the integrations of the watcher that has the token's name, or
to those that --integration names.`,
		Example: `  tallyman token create ci --scope read > token
  tallyman token create agent-7 --scope ingest > token`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneScope(scope); err != nil {
				return err
			}
			want := inventory.NewToken{Name: args[0], Scope: scope, Integrations: integrations}
			if expires > 0 {
				t := time.Now().Add(expires).UTC()
				want.Expires = &t
			}
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			made, err := api.CreateToken(cmd.Context(), want)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, made.Secret)
			return nil
		},
	}
	cmd.Flags().StringVar(&scope, "scope", inventory.ScopeRead, "ingest, read or admin")
	cmd.Flags().StringArrayVar(&integrations, "integration", nil, "with --scope ingest: an integration that it may write to; may be given several times")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it is good for (0 = until revoked)")
	return cmd
}

func oneScope(scope string) error {
	switch scope {
	case inventory.ScopeIngest, inventory.ScopeRead, inventory.ScopeAdmin:
		return nil
	}
	return inventory.Errorf(inventory.ErrInvalid, "unknown scope %q", scope).WithRemedy("use ingest, read or admin")
}

func newTokenList(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tokens, without their secrets",
		Example: "  tallyman token list --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(a, cmd, format, (*client.Client).Tokens, a.tokenTable)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) tokenTable(list []inventory.Token) error {
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSCOPE\tINTEGRATIONS\tCREATED\tEXPIRES\tLAST USED")
	for _, t := range list {
		row(w, t.Name, t.Scope, strings.Join(t.Integrations, ","),
			t.Created.UTC().Format(time.RFC3339), timeOr(t.Expires, "never"), timeOr(t.LastUsed, "never"))
	}
	return w.Flush()
}

func newTokenRevoke(a *app) *cobra.Command {
	var requeue bool
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End a token at once",
		Long: `Ends a token at once. With --requeue everything is indexed again that only this token
vouched for; it works for a token that was revoked before, too.`,
		Example: "  tallyman token revoke agent-7 --requeue",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			err = api.RevokeToken(cmd.Context(), args[0])
			if !requeue || unlessNotFound(err) != nil {
				return err
			}
			n, err := api.RequeueToken(cmd.Context(), args[0])
			if err == nil {
				a.say("%d images are indexed again", n.Images)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&requeue, "requeue", false, "index again what only this token vouched for")
	return cmd
}

func newTokenLink(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "link [USER]",
		Short: "Print a one-time link into the dashboard",
		Long: `Prints a link that signs a user in once, good for 15 minutes. Without a user it is the
link that makes the first administrator, as long as there is none.`,
		Example: `  tallyman token link
  tallyman token link ada`,
		Args: atMost("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, done, err := a.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			link, err := api.CreateSigninLink(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			base := strings.TrimRight(a.cfg.Server, "/")
			if base == "" {
				base = a.publicOr("http://" + a.cfg.Listen)
			}
			fmt.Fprintf(a.stdout, "%s%s\n", base, link.Path)
			return nil
		},
	}
}

// timeOr writes a time in UTC, or what stands for none.
func timeOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}
