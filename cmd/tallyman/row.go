package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// row writes one line of a table. Every cell is made printable here: whoever pushes an
// image or answers as a server steers no terminal, and adds no column and no line.
func row(w io.Writer, cells ...any) {
	shown := make([]string, len(cells))
	for i, c := range cells {
		shown[i] = inventory.Printable(fmt.Sprint(c))
	}
	fmt.Fprintln(w, strings.Join(shown, "\t"))
}

// tell writes one line about something that others named.
func tell(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, inventory.Printable(fmt.Sprintf(format, args...)))
}
