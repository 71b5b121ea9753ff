package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// FileName is the key file inside the data directory.
const FileName = "tallyman.key"

// LoadOrCreate reads the ring in dir, making it (mode 0600) when there is none.
// Processes that start at once agree on one key.
func LoadOrCreate(dir string) (Key, error) {
	path := filepath.Join(dir, FileName)
	key, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Key{}, inventory.Errorf(inventory.ErrForbidden, "make the data directory %s: %w", dir, err).
			WithRemedy("give a directory this user may write to")
	}
	fresh, err := NewKey()
	if err != nil {
		return Key{}, err
	}
	// A hard link never replaces: whoever is first wins, the others read the winner's.
	if err := place(dir, path, fresh, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, err
	}
	return load(path)
}

// Rotate puts a fresh current key before the keys in dir's file and returns the new
// ring. Boxes of older keys still open; Stale tells which to seal again.
func Rotate(dir string) (Key, error) {
	old, err := LoadOrCreate(dir)
	if err != nil {
		return Key{}, err
	}
	ring, err := old.Rotated()
	if err != nil {
		return Key{}, err
	}
	if err := place(dir, filepath.Join(dir, FileName), ring, os.Rename); err != nil {
		return Key{}, err
	}
	return ring, nil
}

func load(path string) (Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, err
	}
	if err != nil {
		return Key{}, inventory.Errorf(inventory.ErrForbidden, "read the key file %s: %w", path, err).
			WithRemedy("let this user read it")
	}
	if info.Mode().Perm()&0o007 != 0 {
		return Key{}, inventory.Errorf(inventory.ErrForbidden, "the key file %s is open to everybody", path).
			WithRemedy("chmod 600 %s", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, inventory.Errorf(inventory.ErrForbidden, "read the key file %s: %w", path, err).
			WithRemedy("let this user read it")
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, inventory.Errorf(inventory.ErrInvalid, "the key file %s holds no key: a line is not 32 bytes in base64", path).
			WithRemedy("bring it back from a backup: what it sealed opens with no other key")
	}
	return key, nil
}

// place writes the ring beside path and moves it there, so that path is never half written.
func place(dir, path string, key Key, move func(from, to string) error) (err error) {
	f, err := os.CreateTemp(dir, ".key-*") // CreateTemp makes files with mode 0600
	if err != nil {
		return inventory.Errorf(inventory.ErrForbidden, "write the key file in %s: %w", dir, err).
			WithRemedy("give a data directory this user may write to")
	}
	defer func() {
		if rmErr := os.Remove(f.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) && err == nil {
			err = fmt.Errorf("remove %s: %w", f.Name(), rmErr)
		}
	}()
	_, err = f.WriteString(key.text())
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return inventory.Errorf(inventory.ErrUnavailable, "write the key file %s: %w", path, err).
			WithRemedy("make room on the disk")
	}
	if err := move(f.Name(), path); err != nil {
		return fmt.Errorf("write the key file %s: %w", path, err)
	}
	return nil
}
