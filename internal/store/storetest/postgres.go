package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes and drops databases
)

// PostgresEnv names a server for tests, as a postgres:// URL whose user may create
// databases. Without it a private server is started from installed binaries.
const PostgresEnv = "TALLYMAN_TEST_POSTGRES"

// Postgres returns the URL of a database of its own for t, dropped when t ends. Where
// there is no PostgreSQL it skips t, saying what to install; in CI (CI=true) it fails.
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t, "template0")
}

func database(t testing.TB, template string) string {
	t.Helper()
	server, err := server()
	if err != nil {
		if os.Getenv("CI") == "true" { //nolint:forbidigo // this is a test's environment, not the program's
			t.Fatalf("no PostgreSQL to test with: %v", err)
		}
		t.Skipf("no PostgreSQL to test with: %v", err)
	}
	name := "t_" + strings.ToLower(rand.Text()[:16])
	admin(t, server, "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("the address of the test server cannot be read")
	}
	u.Path = "/" + name
	return u.String()
}

// Template makes a database that others are copied from, so that many tests of one
// process make the tables once. It ends with t.
type Template struct{ name string }

// NewTemplate fills a database by prepare, which must let go of it.
func NewTemplate(t testing.TB, prepare func(url string)) Template {
	t.Helper()
	made := database(t, "template0")
	prepare(made)
	u, err := url.Parse(made)
	if err != nil {
		t.Fatalf("the address of the test server cannot be read")
	}
	return Template{strings.TrimPrefix(u.Path, "/")}
}

// Copy is Postgres with the tables of the template.
func (tpl Template) Copy(t testing.TB) string {
	t.Helper()
	return database(t, tpl.name)
}

func admin(t testing.TB, server, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // a test's connection
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// server is started once for all tests of a process.
var server = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(PostgresEnv); given != "" { //nolint:forbidigo // this is a test's environment, not the program's
		return given, nil
	}
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	return start(bin)
})

func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", fmt.Errorf("install Debian's package postgresql (apt-get install postgresql), or set %s to the postgres:// URL of a server", PostgresEnv)
}

// script runs a server until its standard input ends, which it does when the test
// process does, however it does; then nothing is left behind.
const script = `
set -e
cd "$1"
trap 'rm -rf "$1"' EXIT
"$2/initdb" -D "$1/data" -U postgres -A trust --no-sync -E UTF8 --locale=C >"$1/log" 2>&1
"$2/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
	-c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB -c autovacuum=off >>"$1/log" 2>&1 &
read -r _ || true
kill -QUIT $!
wait $! || true
`

func start(bin string) (string, error) {
	dir, err := os.MkdirTemp("", "tallyman-pg-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", script, "sh", dir, bin) //nolint:gosec // a test starts what is installed
	cmd.Dir = "/"
	if cmd.SysProcAttr, err = unprivileged(dir); err != nil {
		return "", err
	}
	// Never closed by us: the kernel does when this process ends.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	go func() {
		_ = cmd.Wait()           // it ends with this process
		runtime.KeepAlive(stdin) // or the garbage collector would close it, and end the server
	}()
	server := (&url.URL{Scheme: "postgres", Path: "/postgres", RawQuery: url.Values{"host": {dir}, "user": {"postgres"}}.Encode()}).String()
	if err := answers(server); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // only to explain
		return "", fmt.Errorf("start PostgreSQL: %w\n%s", err, log)
	}
	return server, nil
}

// unprivileged makes the server run as another user where we are root, which
// PostgreSQL refuses to run as.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the test is not one at the server
	if os.Getuid() != 0 {
		return attr, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid)) //nolint:gosec // parsed as 32 bits
}

func answers(server string) error {
	db, err := sql.Open("pgx", server)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // a test's connection
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
