package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Exit codes, the same for every command.
const (
	exitError      = 1
	exitFindings   = 2
	exitIncomplete = 3
)

// codeError ends the program with a code of its own; a nil err ends it silently,
// because what the command printed already says it.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// about puts the name of the thing before a sentence that does not say it, and keeps its
// kind and remedy.
func about(what string, err error) error {
	var e *inventory.Error
	if !errors.As(err, &e) || strings.Contains(e.Msg, what) {
		return err
	}
	return &inventory.Error{Kind: e.Kind, Msg: what + ": " + e.Msg, Remedy: e.Remedy, Err: err}
}

// exit prints err for people, one sentence and what to do, and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return 0
	}
	code := exitError
	var ce *codeError
	if errors.As(err, &ce) {
		code = ce.code
		if ce.err == nil {
			return code
		}
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.stderr, "tallyman: interrupted; nothing is lost, run it again to go on")
		return code
	}
	msg, remedy := err.Error(), ""
	var e *inventory.Error
	if errors.As(err, &e) {
		msg, remedy = e.Msg, e.Remedy
	}
	if remedy == "" && errors.Is(err, syscall.ENOSPC) {
		remedy = "the disk is full: free space or move --data; what is recorded stays intact"
	}
	tell(a.stderr, "tallyman: %s", msg)
	if remedy != "" {
		tell(a.stderr, "  try: %s", remedy)
	}
	return code
}
