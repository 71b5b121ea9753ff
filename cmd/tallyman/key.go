package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/config"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func newKey(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "The key that seals stored credentials",
		Long: `Credentials of registries and channels are stored sealed (XChaCha20-Poly1305). The key is
the file tallyman.key in the data directory, or TALLYMAN_KEY.`,
		Example: "  tallyman key rotate",
	}
	cmd.AddCommand(newKeyRotate(a))
	return cmd
}

func newKeyRotate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key, seal everything again with it, and forget the old one",
		Long: `Makes a new key, seals every stored credential again with it, and then forgets the old
key. Stop ` + "`tallyman serve`" + ` before. It may be interrupted at any moment: both keys are kept
until nothing needs the old one, and running it again goes on.

With TALLYMAN_KEY no key is made: put the new one before the old one (NEW,OLD), restart
every process, run this, and take the old one out.`,
		Example: `  tallyman key rotate
  TALLYMAN_KEY=NEW,OLD tallyman key rotate --database postgres://…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.cfg.Server != "" {
				return inventory.Errorf(inventory.ErrInvalid, "a key is rotated where it is kept, not on --server")
			}
			return a.rotateKey(cmd.Context())
		},
	}
}

func (a *app) rotateKey(ctx context.Context) error {
	text, err := config.Secret(a.env, "TALLYMAN_KEY")
	if err != nil {
		return err
	}
	if text != "" {
		key, err := seal.ParseKey(text)
		if err != nil {
			return err
		}
		n, err := a.sealAgain(ctx, key)
		if err == nil {
			fmt.Fprintf(a.stderr, "%d credentials sealed again with the first key of TALLYMAN_KEY; the others may be taken out\n", n)
		}
		return err
	}
	// What the lock forbids is a process that seals with a key that is about to go.
	release, err := seal.Alone(a.cfg.Data)
	if err != nil {
		return err
	}
	defer release() //nolint:errcheck // the kernel lets go of it anyway
	key, err := seal.Rotate(a.cfg.Data)
	if err != nil {
		return err
	}
	n, err := a.sealAgain(ctx, key)
	if err != nil {
		return err
	}
	if err := seal.Prune(a.cfg.Data); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%d credentials sealed again with a new key; the old one is gone: back the file %s up\n", n, seal.FileName)
	return nil
}

// sealAgain seals in one transaction what older keys of the ring sealed.
func (a *app) sealAgain(ctx context.Context, key seal.Key) (n int, err error) {
	st, err := store.Open(ctx, store.Options{Dir: a.cfg.Data, URL: a.cfg.Database, Key: key, Logger: a.log, KeysOf: match.KeysOf})
	if err != nil {
		return 0, err
	}
	defer st.Close() //nolint:errcheck // what was to be written is committed
	ctx = inventory.WithActor(ctx, &inventory.Actor{Name: operator(), Via: inventory.ViaCommand})
	return st.ResealSecrets(ctx)
}
