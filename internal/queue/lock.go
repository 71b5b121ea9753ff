package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// LockName is the lock file inside a data directory.
const LockName = "worker.lock"

// Lock makes this process the only one that works the jobs of the SQLite database in
// dir. It is ErrConflict when another process is, naming it. The kernel lets go of the
// lock when the process ends, however it ends.
func Lock(dir string) (release func() error, err error) {
	path := filepath.Join(dir, LockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrForbidden, "open the lock file %s: %w", path, err).
			WithRemedy("give a data directory this user may write to")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close() // nothing was written, and the error that matters is on its way
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, taken(dir, f)
	}
	if err := writePID(f); err != nil {
		defer f.Close() // the error that matters is on its way
		return nil, inventory.Errorf(inventory.ErrUnavailable, "write the lock file %s: %w", path, err).
			WithRemedy("make room on the disk")
	}
	return f.Close, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func taken(dir string, f *os.File) error {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0) // an unreadable pid is left out of the sentence
	who := "another process"
	if pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n]))); err == nil {
		who = fmt.Sprintf("process %d", pid)
	}
	return inventory.Errorf(inventory.ErrConflict, "%s already works on the data directory %s", who, dir).
		WithRemedy("stop it, or give another directory with --data; commands that only read share it")
}
