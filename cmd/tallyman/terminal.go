package main

import (
	"os"

	"golang.org/x/term"
)

// isTerminal tells whether f is a terminal.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
