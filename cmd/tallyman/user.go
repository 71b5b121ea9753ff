package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newUser(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "People who may sign in to the dashboard",
		Long: `People who may sign in to the dashboard. A viewer reads, an editor also connects
registries and makes exceptions, an admin does everything. Passwords are asked for on the
terminal, or read from standard input; they are kept as argon2id hashes.`,
		Example: `  tallyman user add ada --role admin
  tallyman user password ada < password-file
  tallyman user list`,
	}
	cmd.AddCommand(newUserAdd(a), newUserList(a), newUserRole(a), newUserPassword(a), newUserSessions(a), newUserSignOut(a), newUserRemove(a))
	return cmd
}

// withBackend runs an act on the API, and closes it.
func (a *app) withBackend(cmd *cobra.Command, act func(api *client.Client) error) error {
	api, done, err := a.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	return act(api)
}

func newUserAdd(a *app) *cobra.Command {
	var role string
	var without bool
	cmd := &cobra.Command{
		Use:   "add NAME --role ROLE",
		Short: "Add somebody; the password is asked for, or read from standard input",
		Example: `  tallyman user add ada --role editor
  tallyman user add bob --no-password && tallyman token link bob`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			want := inventory.NewAccount{Name: args[0], Role: role}
			if err := inventory.CheckUserName(want.Name); err != nil {
				return err
			}
			if !without {
				var err error
				if want.Password, err = a.newPassword(want.Name); err != nil {
					return err
				}
			}
			return a.withBackend(cmd, func(api *client.Client) error {
				made, err := api.AddUser(cmd.Context(), want)
				if err == nil {
					tell(a.stderr, "%s may sign in as %s", made.Name, made.Role)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", inventory.RoleViewer, "viewer, editor or admin")
	cmd.Flags().BoolVar(&without, "no-password", false, "none yet: `tallyman token link NAME` lets them in to choose one")
	return cmd
}

// newPassword asks for a password twice on a terminal, or reads it from standard input.
func (a *app) newPassword(name string) (string, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(in) {
		return a.readPassword()
	}
	var typed [2]string
	for i, prompt := range []string{"New password of " + name + ": ", "Once more: "} {
		fmt.Fprint(a.stderr, prompt)
		b, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(a.stderr)
		if err != nil {
			return "", inventory.Errorf(inventory.ErrInvalid, "read the password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", inventory.Errorf(inventory.ErrInvalid, "the two passwords differ").WithRemedy("type the same one twice")
	}
	return typed[0], nil
}

// readPassword reads one line; blanks in and around a password belong to it.
func (a *app) readPassword() (string, error) {
	b, err := io.ReadAll(io.LimitReader(a.stdin, 64<<10))
	if err != nil {
		return "", inventory.Errorf(inventory.ErrInvalid, "read the password from standard input: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", inventory.Errorf(inventory.ErrInvalid, "no password on standard input").WithRemedy("pipe it in: tallyman user password NAME < password-file")
	}
	if strings.ContainsAny(password, "\r\n") {
		return "", inventory.Errorf(inventory.ErrInvalid, "there is more than one line on standard input").WithRemedy("give the password alone")
	}
	return password, nil
}

func newUserList(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List who may sign in",
		Example: "  tallyman user list --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(a, cmd, format, (*client.Client).Users, a.userTable)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) userTable(list []inventory.Account) error {
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tSIGNS IN WITH\tCREATED\tLAST SIGN-IN\tSESSIONS")
	for _, u := range list {
		row(w, u.Name, u.Role, u.Source, u.Created.UTC().Format(time.RFC3339), timeOr(u.LastSignin, "never"), u.Sessions)
	}
	return w.Flush()
}

func newUserRole(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "role NAME ROLE",
		Short:   "Make somebody a viewer, editor or admin; it signs them out",
		Example: "  tallyman user role ada admin",
		Args:    exactly("NAME", "ROLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBackend(cmd, func(api *client.Client) error {
				_, err := api.ChangeUser(cmd.Context(), args[0], inventory.AccountChange{Role: args[1]})
				return err
			})
		},
	}
}

func newUserPassword(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "password NAME",
		Short:   "Set a password, asked for or read from standard input; it signs them out",
		Example: "  tallyman user password ada < password-file",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.newPassword(args[0])
			if err != nil {
				return err
			}
			return a.withBackend(cmd, func(api *client.Client) error {
				_, err := api.ChangeUser(cmd.Context(), args[0], inventory.AccountChange{Password: password})
				return err
			})
		},
	}
}

func newUserSessions(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "sessions NAME",
		Short:   "List the browsers that somebody is signed in with",
		Example: "  tallyman user sessions ada",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(a, cmd, format, func(api *client.Client, ctx context.Context) ([]inventory.Session, error) {
				return api.Sessions(ctx, args[0])
			}, a.sessionTable)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) sessionTable(list []inventory.Session) error {
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tADDRESS\tSIGNED IN\tLAST USED\tENDS\tBROWSER")
	for _, s := range list {
		row(w, s.ID, s.Address, s.Created.UTC().Format(time.RFC3339),
			s.LastUsed.UTC().Format(time.RFC3339), s.Expires.UTC().Format(time.RFC3339), s.Agent)
	}
	return w.Flush()
}

func newUserSignOut(a *app) *cobra.Command {
	var session string
	cmd := &cobra.Command{
		Use:   "sign-out NAME",
		Short: "End the sessions of somebody: all, or one",
		Example: `  tallyman user sign-out ada
  tallyman user sign-out ada --session 4f1c2a9be07d3355`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBackend(cmd, func(api *client.Client) error {
				n, err := api.EndSessions(cmd.Context(), args[0], session)
				if err == nil {
					fmt.Fprintf(a.stderr, "%d sessions ended\n", n)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&session, "session", "", "only this one, by the id that `tallyman user sessions` shows")
	return cmd
}

func newUserRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove somebody and sign them out; the last administrator stays",
		Example: "  tallyman user remove bob",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBackend(cmd, func(api *client.Client) error { return api.RemoveUser(cmd.Context(), args[0]) })
		},
	}
}
