package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/sbom"
)

func newSBOM(a *app) *cobra.Command {
	var t targets
	var format, output string
	cmd := &cobra.Command{
		Use:   "sbom REF",
		Short: "What is inside an image, and where it came from",
		Long:  whatRefs,
		Example: `  tallyman sbom acme.jfrog.io/docker-local/team/app:1.0
  tallyman sbom team/app:1.0 --format cyclonedx --output app.cdx.json`,
		Args: exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneFormat(cmd, format, sbom.Formats()...); err != nil {
				return err
			}
			ctx := cmd.Context()
			api, done, err := a.backend(ctx)
			if err != nil {
				return err
			}
			defer done()
			doc, err := a.bom(ctx, api, args[0], &t)
			if err != nil {
				return err
			}
			return a.output(output, func(w io.Writer) error { return sbom.Write(w, doc, format) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "list", strings.Join(sbom.Formats(), ", "))
	f.StringVarP(&output, "output", "o", "", "write to this file instead of stdout")
	t.flags(f)
	return cmd
}

// output writes to a file, which appears only when all of it is there, or to stdout.
func (a *app) output(path string, write func(io.Writer) error) error {
	if path == "" {
		return write(a.stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tallyman-*")
	if err != nil {
		return unwritable(path, err)
	}
	defer os.Remove(f.Name())
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return unwritable(path, err)
	}
	return nil
}

// unwritable tells why a file cannot be made, without the name that it has until it is whole.
func unwritable(path string, err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return inventory.Errorf(inventory.ErrInvalid, "write %s: %w", path, err).
		WithRemedy("name a file in a directory that is there and that this user may write to")
}

// sbomFormats are the formats that the API offers besides its own JSON.
func sbomFormats() map[string]api.SBOMWriter {
	writer := func(format string) func(io.Writer, inventory.SBOM) error {
		return func(w io.Writer, doc inventory.SBOM) error { return sbom.Write(w, doc, format) }
	}
	return map[string]api.SBOMWriter{
		"list":      {ContentType: "text/plain; charset=utf-8", Extension: "txt", Write: writer("list")},
		"cyclonedx": {ContentType: "application/vnd.cyclonedx+json", Extension: "cdx.json", Write: writer("cyclonedx")},
		"spdx":      {ContentType: "application/spdx+json", Extension: "spdx.json", Write: writer("spdx")},
	}
}
