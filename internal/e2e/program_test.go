package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// built is the program under test, built once for all tests of the package.
func built(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tallyman-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tallyman")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/tallyman").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := buildOnce(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program runs commands on one data directory.
type program struct {
	path, data string
	database   string // URL; "" = SQLite in data
}

// command is the program with arguments, cut off from the settings of this machine.
func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(args, "--data", p.data)
	if p.database != "" {
		args = append(args, "--database", p.database)
	}
	c := exec.CommandContext(ctx, p.path, args...)
	c.Env = []string{"HOME=" + p.data, "TMPDIR=" + os.TempDir()}
	return c
}

// do runs a command to its end and returns what it printed.
func (p program) do(ctx context.Context, t testing.TB, stdin string, args ...string) []byte {
	t.Helper()
	c := p.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("tallyman %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes()
}

// connect adds the simulator as a user would.
func (p program) connect(ctx context.Context, t testing.TB, url string, keys ...string) {
	t.Helper()
	p.do(ctx, t, readerPassword, "integration", "add", "lab", "--url", url, "--username", reader,
		"--secret-stdin", "--repositories", strings.Join(keys, ","))
}

// record is what a running program has printed so far.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// serving is a running server.
type serving struct {
	command *exec.Cmd
	log     *record
	done    chan error
}

// serve starts the server; the test ends it if nobody else does.
func (p program) serve(t testing.TB) *serving {
	t.Helper()
	return p.serveAt(t, "127.0.0.1:0")
}

func (p program) serveAt(t testing.TB, address string) *serving {
	t.Helper()
	return p.start(t, nil, "serve", "--listen", address, "--advisories-every", "off")
}

// start starts a command that goes on until it is ended.
func (p program) start(t testing.TB, env []string, args ...string) *serving {
	t.Helper()
	// Not the test's context: the end of a server is part of what is tested.
	s := &serving{command: p.command(context.Background(), append(args, "--log-level", "warn")...), log: &record{}, done: make(chan error, 1)}
	s.command.Env = append(s.command.Env, env...)
	s.command.Stdout, s.command.Stderr = s.log, s.log
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.command.Wait() }()
	t.Cleanup(func() { s.signal(syscall.SIGKILL) })
	return s
}

// ready waits until the server says where it listens.
func (s *serving) ready(t testing.TB) {
	t.Helper()
	for range 300 {
		if strings.Contains(s.log.String(), "tallyman serves http") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("serve did not start within 30 s\n%s", s.log)
}

func (s *serving) signal(sig syscall.Signal) {
	// An error says that the process has ended already, which is what is wanted.
	_ = s.command.Process.Signal(sig)
}

// kill ends the server as a power cut would.
func (s *serving) kill(t testing.TB) {
	t.Helper()
	s.signal(syscall.SIGKILL)
	<-s.done
	if state := s.command.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() {
		t.Fatalf("serve ended by itself: %s\n%s", s.command.ProcessState, s.log)
	}
}

// stop ends the server as an operator would.
func (s *serving) stop(t testing.TB) {
	t.Helper()
	s.signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("serve ended with %v\n%s", err, s.log)
		}
	case <-time.After(30 * time.Second):
		s.signal(syscall.SIGKILL)
		t.Errorf("serve did not end within 30 s of SIGTERM\n%s", s.log)
	}
}

// status is the coverage ledger as the command prints it.
func (p program) status(ctx context.Context, t testing.TB) inventory.Status {
	t.Helper()
	var status inventory.Status
	decode(t, p.do(ctx, t, "", "status", "--format", "json"), &status)
	return status
}

func decode(t testing.TB, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%v in %.200s", err, raw)
	}
}

// settled waits until the program has seen so many tags and none waits.
func (p program) settled(ctx context.Context, t testing.TB, s *serving, tags int) inventory.Status {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		status := p.status(ctx, t)
		if status.TagsSeen >= tags && status.Waiting == 0 {
			return status
		}
		select {
		case err := <-s.done:
			t.Fatalf("serve ended by itself: %v\n%s", err, s.log)
		case <-time.After(500 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("still waiting after two minutes: %+v\n%s", status.Tally, s.log)
		}
	}
}
