package seal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// lockName is beside the key file, which is replaced and cannot be locked itself.
const lockName = FileName + ".lock"

// Hold says that this process works with the ring in dir, until release: no rotation
// takes a key away from it meanwhile. Any number of processes may hold it.
func Hold(dir string) (release func() error, err error) { return flock(dir, syscall.LOCK_SH) }

// Alone keeps every other process from working with the ring in dir, until release. It
// is ErrConflict while one does.
func Alone(dir string) (release func() error, err error) { return flock(dir, syscall.LOCK_EX) }

// flock is let go by the kernel when the process ends, however it ends.
func flock(dir string, how int) (func() error, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrForbidden, "open %s: %w", path, err).
			WithRemedy("let this user write to the data directory")
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, inventory.Errorf(inventory.ErrUnavailable, "lock %s: %w", path, err)
		}
		if how == syscall.LOCK_SH {
			return nil, inventory.Errorf(inventory.ErrConflict, "the sealing key in %s is being rotated", dir).WithRemedy("try again when that is done")
		}
		return nil, inventory.Errorf(inventory.ErrConflict, "the sealing key in %s is in use", dir).
			WithRemedy("stop tallyman serve (every role) and other commands on this data directory first")
	}
	return f.Close, nil
}

// Prune leaves only the current key in dir's file. What older keys sealed must be sealed
// again before.
func Prune(dir string) error {
	ring, err := LoadOrCreate(dir)
	if err != nil {
		return err
	}
	ring.ring = ring.ring[:1]
	return place(dir, filepath.Join(dir, FileName), ring, os.Rename)
}
