package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp: every command shows how it is used and what it exits with, and every list
// has both formats.
func TestHelp(t *testing.T) {
	root := newRoot(&app{env: func(string) (string, bool) { return "", false }, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		help := out.String()
		for _, part := range []string{"Examples:\n  tallyman", "Exit codes: 0 fine, 1 error"} {
			if !strings.Contains(help, part) {
				t.Errorf("%s --help lacks %q", c.CommandPath(), part)
			}
		}
		if strings.Contains(c.Example, "  tallyman ") && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("the examples of %s are of something else", c.CommandPath())
		}
		if c.Name() == "list" || c.Name() == "status" || c.Name() == "images" || c.Name() == "who-has" {
			if f := c.Flags().Lookup("format"); f == nil || !strings.Contains(f.Usage, "json") || f.DefValue != "table" {
				t.Errorf("%s has no --format table or json", c.CommandPath())
			}
		}
		if f := c.Flags().Lookup("output"); f != nil && f.Shorthand != "o" {
			t.Errorf("%s has --output without -o", c.CommandPath())
		}
	}
	walk(root)
}
