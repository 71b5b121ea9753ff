// Command tallyman keeps the tally of every container image in a JFrog Artifactory:
// what is inside, where it came from, what is wrong with it.
//
// Each command is one file. They all speak the API, over HTTP with --server or to the
// same handler in this process; platform.go ties the packages together, and serve.go,
// watch.go and demo.go run them. Results go to stdout, everything else to stderr.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program as a function, so that tests drive the real one. It
// returns the exit code: 0 fine, 1 error, 2 findings when asked, 3 incomplete.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a) //nolint:contextcheck // cobra hands the context to the command that runs
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.exit(root.ExecuteContext(ctx))
}
