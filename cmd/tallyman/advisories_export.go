package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func newAdvisoriesExport(a *app) *cobra.Command {
	var output, keyFile, format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all that is known of flaws to a bundle, for where no network is",
		Long: `Writes every record, the KEV catalogue and the EPSS scores to one file, each part named by its
digest; ` + "`tallyman advisories import`" + ` takes it elsewhere, as fresh as it was here. The same
knowledge gives the same bundle id. With --sign-key it is signed: an ed25519 key as
` + "`openssl genpkey -algorithm ed25519`" + ` makes one; the importer checks it with --verify-key.`,
		Example: `  tallyman advisories export --output tallyman-advisories.zip
  openssl genpkey -algorithm ed25519 -out feeds.pem && openssl pkey -in feeds.pem -pubout -out feeds.pub.pem
  tallyman advisories export --output tallyman-advisories.zip --sign-key feeds.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			if a.cfg.Server != "" {
				return inventory.Errorf(inventory.ErrInvalid, "export works on its own store, not on --server").
					WithRemedy("run it where the server runs")
			}
			key, err := privateKey(keyFile)
			if err != nil {
				return err
			}
			made, err := a.exportAdvisories(cmd.Context(), output, key)
			if err != nil {
				return err
			}
			if format == "json" {
				return json.NewEncoder(a.stdout).Encode(made)
			}
			for _, f := range made.Files {
				tell(a.stdout, "%s: %d records, %d bytes", f.Name, f.Records, f.Bytes)
			}
			signed := "not signed"
			if made.Signed {
				signed = "signed"
			}
			tell(a.stdout, "%s: %s, %s", output, made.ID, signed)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "tallyman-advisories.zip", "file to write")
	f.StringVar(&keyFile, "sign-key", "", "PEM file of an ed25519 private key (PKCS #8)")
	f.StringVar(&format, "format", "table", "table or json")
	return cmd
}

// exportAdvisories writes the bundle beside its place first, so that one which was there
// is replaced by a whole one or not at all.
func (a *app) exportAdvisories(ctx context.Context, output string, key ed25519.PrivateKey) (made advisory.Bundled, err error) {
	p, err := a.openPlatform(ctx)
	if err != nil {
		return made, err
	}
	defer p.close()
	file, err := os.CreateTemp(filepath.Dir(output), ".tallyman-advisories-*")
	if err != nil {
		return made, inventory.Errorf(inventory.ErrInvalid, "export to %s: %w", output, err)
	}
	defer os.Remove(file.Name())
	made, err = advisory.Export(ctx, file, p.store, key)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return made, err
	}
	if made.Files[0].Records == 0 {
		return made, inventory.Errorf(inventory.ErrNotFound, "no advisories are known here: there is nothing to export").
			WithRemedy("tallyman advisories sync")
	}
	return made, os.Rename(file.Name(), output)
}

// privateKey reads a key that signs bundles; no file, no key.
func privateKey(file string) (ed25519.PrivateKey, error) {
	key, err := pemKey(file, "PRIVATE KEY", x509.ParsePKCS8PrivateKey)
	signer, ok := key.(ed25519.PrivateKey)
	if err == nil && file != "" && !ok {
		err = noKey(file, "an ed25519 private key", "openssl genpkey -algorithm ed25519 -out FILE")
	}
	return signer, err
}

// publicKey reads a key that bundles are checked with; no file, no key.
func publicKey(file string) (ed25519.PublicKey, error) {
	key, err := pemKey(file, "PUBLIC KEY", x509.ParsePKIXPublicKey)
	public, ok := key.(ed25519.PublicKey)
	if err == nil && file != "" && !ok {
		err = noKey(file, "an ed25519 public key", "openssl pkey -in PRIVATE -pubout -out FILE")
	}
	return public, err
}

func pemKey(file, kind string, parse func([]byte) (any, error)) (any, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != kind {
		return nil, nil
	}
	key, err := parse(block.Bytes)
	if err != nil {
		return nil, nil //nolint:nilerr // the caller says what a key looks like; the file's content stays out of it
	}
	return key, nil
}

func noKey(file, what, how string) error {
	return inventory.Errorf(inventory.ErrInvalid, "%s does not hold %s in PEM", file, what).WithRemedy("%s", how)
}
