package main

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// A server brings its own feeds up to date when it is asked from far away; a token that
// only reads may not ask.
func TestSyncOfAServer(t *testing.T) {
	p := watched(t)
	p.env["TALLYMAN_ADVISORIES_URL"] = bucket(t)
	s := serveAt(t, p, freePort(t))
	local := func() inventory.AdvisoryStatus {
		return decoded[inventory.AdvisoryStatus](t, p.run("", "advisories", "status", "--format", "json"))
	}
	first := awaitFeed(t, local, inventory.FeedFull)
	far := s.farOf(t, s.tokenFile(t, "pipeline", "--scope", "admin"))
	far.run("", "advisories", "sync").want(t, 0, "advisories status")
	for tries := 0; ; tries++ {
		if f := feedNamed(local(), "osv/Debian"); f.Tried != nil && f.Tried.After(*first.Tried) {
			break
		}
		if tries == 600 {
			t.Fatal("the server did not ask its feeds again")
		}
		time.Sleep(100 * time.Millisecond)
	}
	far.run("", "advisories", "sync", "--kev", "off").want(t, exitError, "--kev is for this machine's store")
	s.farOf(t, s.tokenFile(t, "reader", "--scope", "read")).run("", "advisories", "sync").want(t, exitError)
}
