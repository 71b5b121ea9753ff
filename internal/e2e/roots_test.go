package e2e

import (
	"path/filepath"
	"testing"
	"time"
)

// roots are the file systems that the images are made of: a plain Debian; the same
// with upgrades and more packages; that less two of them; and the applications.
type roots struct {
	baseTar               string
	base, full, less, app string
	bin                   string
}

// makeRoots makes them side by side: each waits mostly for its downloads.
func makeRoots(t *testing.T) roots {
	t.Helper()
	dir := t.TempDir()
	r := roots{less: filepath.Join(dir, "less"), app: filepath.Join(dir, "app-root")}
	r.bin = filepath.Join(r.app, "usr/local/bin")
	plain, all := machineSources(t)
	started := time.Now()
	ok := t.Run("roots", func(t *testing.T) {
		t.Run("debian", func(t *testing.T) {
			t.Parallel()
			r.baseTar, r.base = bootstrap(t.Context(), t, dir, "base", plain)
		})
		t.Run("upgraded", func(t *testing.T) {
			t.Parallel()
			_, r.full = bootstrap(t.Context(), t, dir, "full", all, "python3", "python3-requests", "ruby")
			run(t.Context(), t, dir, "cp", "-a", r.full, r.less)
			run(t.Context(), t, dir, "dpkg", "--root="+r.less, "--purge", "--force-depends", "python3-requests", "ruby-net-telnet")
		})
		t.Run("npm", func(t *testing.T) {
			t.Parallel()
			npmApp(t.Context(), t, r.app)
		})
		t.Run("go", func(t *testing.T) {
			t.Parallel()
			goPrograms(t.Context(), t, dir, r.bin)
		})
	})
	if !ok {
		t.FailNow()
	}
	t.Logf("file systems made in %s", time.Since(started).Round(time.Second))
	return r
}
