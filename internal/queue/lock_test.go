package queue_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	release, err := queue.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = queue.Lock(dir)
	if !errors.Is(err, inventory.ErrConflict) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("taken: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if release, err = queue.Lock(dir); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := queue.Lock(filepath.Join(dir, "not there")); !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("no directory: %v", err)
	}
}
