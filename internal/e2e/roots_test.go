package e2e

import (
	"context"
	"path/filepath"
	"sync"
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
func makeRoots(ctx context.Context, t *testing.T) roots {
	t.Helper()
	dir := t.TempDir()
	r := roots{less: filepath.Join(dir, "less"), app: filepath.Join(dir, "app-root")}
	r.bin = filepath.Join(r.app, "usr/local/bin")
	plain, all := machineSources(t)
	started := time.Now()
	var group sync.WaitGroup
	group.Go(func() {
		r.baseTar, r.base = bootstrap(ctx, t, dir, "base", plain)
	})
	group.Go(func() {
		_, r.full = bootstrap(ctx, t, dir, "full", all, "python3", "python3-requests", "ruby")
		run(ctx, t, dir, "cp", "-a", r.full, r.less)
		run(ctx, t, dir, "dpkg", "--root="+r.less, "--purge", "--force-depends", "python3-requests", "ruby-net-telnet")
	})
	group.Go(func() { npmApp(ctx, t, r.app) })
	goPrograms(ctx, t, dir, r.bin)
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("file systems made in %s", time.Since(started).Round(time.Second))
	return r
}
