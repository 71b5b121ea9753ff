package demo

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
)

// The advisories are written for the demo from public facts: the ids, ranges,
// ratings and dates are real, the sentences are ours. Most flaws of the same
// packages are left out, and so are packages and releases that the demo lacks; a
// rating that its sources do not agree on is left out too.
//
//go:embed advisories
var advisories embed.FS

// Advisories are the demo's advisory records in OSV form, one file each, with a few
// entries of the KEV catalogue (kev.json) in its own form.
func Advisories() (fs.FS, error) {
	dir, err := fs.Sub(advisories, "advisories")
	if err != nil {
		return nil, fmt.Errorf("open the demo's advisories: %w", err)
	}
	return dir, nil
}

// WriteAdvisories puts the advisories into a directory, to be imported from there.
// The directory is made if need be; no file in it is overwritten.
func WriteAdvisories(dir string) error {
	files, err := Advisories()
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return fmt.Errorf("write the demo's advisories to %s: %w", dir, err)
	}
	return nil
}
