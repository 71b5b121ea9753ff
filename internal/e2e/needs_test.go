package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// needTools skips the test where a tool or root is missing, and fails it in CI,
// which installs them.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("long: makes file systems from real packages")
	}
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) == 0 {
		return
	}
	message := "needs " + strings.Join(missing, ", ") + " (as root: apt-get install mmdebstrap npm)"
	if inCI() {
		t.Fatal(message)
	}
	t.Skip(message)
}

func inCI() bool { return slices.Contains(os.Environ(), "CI=true") }

// run runs a program in dir and returns what it printed; it fails the test when
// the program does.
func run(ctx context.Context, t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	out, problem := try(ctx, dir, program, args...)
	if problem != "" {
		t.Fatalf("%s %s: %s", program, strings.Join(args, " "), problem)
	}
	return out
}

// try runs a program and returns what it printed, and what went wrong.
func try(ctx context.Context, dir, program string, args ...string) (out, problem string) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, program, args...)
	command.Dir, command.Stdout, command.Stderr = dir, &stdout, &stderr
	if err := command.Run(); err != nil {
		said := stderr.String()
		if len(said) > 4000 {
			said = "…" + said[len(said)-4000:]
		}
		return stdout.String(), err.Error() + "\n" + said
	}
	return stdout.String(), ""
}

// lines splits what a program printed.
func lines(out string) []string {
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}
