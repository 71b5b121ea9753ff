package discover_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/discover"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

var (
	soakSeed  = flag.Uint64("soak.seed", 0, "run the soak with this seed only")
	soakSteps = flag.Int("soak.steps", 0, "operations of one soak; 0 = 200, or 40 under the race detector")
)

// TestSoak does random things to a registry and to the watcher, and holds the
// ledger to the registry whenever nothing stands between them.
func TestSoak(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if *soakSeed != 0 {
		seeds = []uint64{*soakSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			steps := *soakSteps
			if steps == 0 && underRace {
				steps = 40
			} else if steps == 0 {
				steps = 200
			}
			t.Logf("go test ./internal/discover -run TestSoak -soak.seed %d -soak.steps %d", seed, steps)
			soak(t, rand.New(rand.NewPCG(seed, seed)), steps)
		})
	}
}

// soaker is a world in which things happen by chance.
type soaker struct {
	*world
	r         *rand.Rand
	withdrawn map[string]bool
	undo      []func() // faults
	hints     []inventory.Hint
	trace     []string
}

func soak(t *testing.T, r *rand.Rand, steps int) {
	w := begin(t, nil, func(sw *artifactorytest.Switches) {
		sw.HideUnauthorized = r.IntN(2) == 0
		sw.Overwrite = []artifactorytest.Overwrite{artifactorytest.OverwriteInPlace, artifactorytest.OverwriteCreates, artifactorytest.OverwriteSkips}[r.IntN(3)]
		sw.AQLMaxRows = []int{0, 40}[r.IntN(2)]
		sw.Zone = time.FixedZone("", r.IntN(27)*3600-13*3600)
	})
	s := &soaker{world: w, r: r, withdrawn: map[string]bool{}}
	t.Cleanup(func() {
		if t.Failed() {
			for _, line := range s.trace[max(0, len(s.trace)-40):] {
				t.Log(line)
			}
		}
	})
	for i := range 30 {
		w.push("docker-local", "base", fmt.Sprint(i))
	}
	w.poll()
	for range steps {
		s.step()
	}
	s.heal()
	s.settle("in the end")
}

// step lets one thing happen.
func (s *soaker) step() {
	s.t.Helper()
	s.pass(time.Duration(1+s.r.IntN(900)) * time.Second)
	acts := []struct {
		weight int
		name   string
		act    func()
	}{
		{12, "push", func() { s.hinted(s.repo(), s.image(), s.tag(), s.pushOne) }},
		{2, "pushed again", s.pushAgain},
		{4, "retag", s.retag},
		{4, "promote", s.promote},
		{4, "relocate", s.relocate},
		{5, "delete", s.remove},
		{2, "cached by a remote", func() { must(s.t, s.sim.PutImage("docker-hub", "library/"+s.image(), s.tag(), newImage(s.t))) }},
		{2, "revalidated", s.revalidate},
		{2, "outage", s.outage},
		{1, "lock", s.lock},
		{2, "permission withdrawn", func() { key := s.repo(); s.withdrawn[key] = true; s.sim.Withdraw("alice", key) }},
		{3, "healed", s.heal},
		{2, "process killed", s.restart},
		{2, "killed in a look", s.killInLook},
		{2, "pages shift", s.shiftPages},
		{2, "a node's clock is behind", s.skew},
		{12, "poll", func() { s.look(func() error { _, err := s.d.Poll(s.t.Context()); return err }) }},
		{6, "hints delivered", s.deliver},
		{4, "reconcile", func() { s.settle("reconcile") }},
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := s.r.IntN(total)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			s.trace = append(s.trace, s.clock.Format(time.DateTime)+" "+a.name)
			a.act()
			return
		}
	}
}

func (s *soaker) repo() string { return []string{"docker-local", "docker-prod"}[s.r.IntN(2)] }
func (s *soaker) image() string {
	return []string{"team/app", "team/web", "tool", "a/b/c"}[s.r.IntN(4)]
}
func (s *soaker) tag() string { return []string{"latest", "1", "2", "3", "v4", "v5"}[s.r.IntN(6)] }

// any is a tag that is there.
func (s *soaker) any() (artifactorytest.TagTruth, bool) {
	var all []artifactorytest.TagTruth
	for _, tag := range s.sim.Tags() {
		if tag.Repo != "docker-hub-cache" {
			all = append(all, tag)
		}
	}
	if len(all) == 0 {
		return artifactorytest.TagTruth{}, false
	}
	return all[s.r.IntN(len(all))], true
}

// hinted does something and perhaps remembers the webhook that tells of it; the
// others are lost.
func (s *soaker) hinted(repo, image, tag string, act func(repo, image, tag string)) {
	act(repo, image, tag)
	for range s.r.IntN(3) { // none, one, or twice
		s.hints = append(s.hints, inventory.Hint{Key: repo, Image: image, Tag: tag})
	}
}

func (s *soaker) pushOne(repo, image, tag string) { s.push(repo, image, tag) }

func (s *soaker) retag() {
	if from, ok := s.any(); ok {
		s.hinted(from.Repo, from.Image, s.tag(), func(repo, image, tag string) {
			if tag != from.Tag {
				must(s.t, s.sim.Retag(repo, image, from.Tag, tag))
			}
		})
	}
}

func (s *soaker) promote() {
	from, ok := s.any()
	to := s.repo()
	if ok && to != from.Repo {
		s.hinted(from.Repo, from.Image, from.Tag, func(repo, image, tag string) {
			must(s.t, s.sim.Promote(artifactorytest.Move{FromRepo: repo, Image: image, Tag: tag, ToRepo: to, Copy: s.r.IntN(3) > 0}))
		})
	}
}

func (s *soaker) relocate() {
	if from, ok := s.any(); ok {
		to := artifactorytest.Move{FromRepo: from.Repo, Image: from.Image, Tag: from.Tag, ToRepo: from.Repo, ToImage: "moved/" + s.image(), ToTag: s.tag(), Copy: s.r.IntN(2) == 0}
		if to.ToImage != from.Image {
			must(s.t, s.sim.Relocate(to))
		}
	}
}

func (s *soaker) remove() {
	if tag, ok := s.any(); ok {
		s.hinted(tag.Repo, tag.Image, tag.Tag, func(repo, image, name string) { s.sim.DeleteTag(repo, image, name) })
	}
}

// pushAgain pushes the same image over itself some time later.
func (s *soaker) pushAgain() {
	img := newImage(s.t)
	s.hinted(s.repo(), s.image(), s.tag(), func(repo, image, tag string) {
		must(s.t, s.sim.PutImage(repo, image, tag, img))
		s.pass(time.Duration(s.r.IntN(3000)) * time.Second)
		must(s.t, s.sim.PutImage(repo, image, tag, img))
	})
}

// killInLook ends the process in the middle of a look.
func (s *soaker) killInLook() {
	ctx, cancel := context.WithCancel(s.t.Context())
	timer := time.AfterFunc(time.Duration(s.r.IntN(8000))*time.Microsecond, cancel)
	_, _ = s.d.Reconcile(ctx) // whatever became of it
	timer.Stop()
	cancel()
	s.restart()
}

// shiftPages pushes and deletes while everything is listed.
func (s *soaker) shiftPages() {
	undo := s.sim.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultSlow, Classes: []string{"aql", "manifest-head"}, Times: 3, Delay: time.Millisecond})
	done := make(chan struct{})
	repo, image, gone := s.repo(), s.image(), s.r.IntN(2) == 0
	go func() {
		defer close(done)
		for i := range 5 {
			s.pushOne(repo, image, fmt.Sprint("shift-", i))
			if gone && i > 0 {
				s.sim.DeleteTag(repo, image, fmt.Sprint("shift-", i-1))
			}
		}
	}()
	s.look(func() error { _, err := s.d.Reconcile(s.t.Context()); return err })
	<-done
	undo()
}

// skew lets a node serve whose clock is behind, for one push and one look.
func (s *soaker) skew() {
	s.sim.SetClock(s.clock.Add(-time.Duration(s.r.IntN(600)) * time.Second))
	s.hinted(s.repo(), s.image(), s.tag(), s.pushOne)
	s.look(func() error { _, err := s.d.Poll(s.t.Context()); return err })
	s.sim.SetClock(s.clock)
}

func (s *soaker) revalidate() {
	for _, tag := range s.sim.Tags() {
		if tag.Repo == "docker-hub-cache" {
			s.sim.Revalidate("docker-hub", tag.Image, tag.Tag)
			return
		}
	}
}

func (s *soaker) outage() {
	kinds := []artifactorytest.FaultKind{
		artifactorytest.FaultBadGateway, artifactorytest.FaultMaintenance, artifactorytest.FaultOffline, artifactorytest.FaultTooMany,
		artifactorytest.FaultServerError, artifactorytest.FaultEOF, artifactorytest.FaultCut, artifactorytest.FaultRedirect,
	}
	f := artifactorytest.Fault{Kind: kinds[s.r.IntN(len(kinds))], Times: s.r.IntN(6), After: int64(s.r.IntN(2000))}
	if s.r.IntN(2) == 0 {
		f.Classes = []string{[]string{"aql", "manifest-head", "repositories", "version"}[s.r.IntN(4)]}
	}
	s.undo = append(s.undo, s.sim.Inject(f))
}

// lock is somebody else's wrong password. The watcher must ask no more until a
// new process asks again.
func (s *soaker) lock() {
	s.sim.Lock("alice", time.Minute)
	if _, err := s.d.Poll(s.t.Context()); err == nil {
		s.t.Error("a locked account was let in")
	}
	s.sim.Unlock()
	s.restart()
}

func (s *soaker) heal() {
	for key := range s.withdrawn {
		s.sim.Restore("alice", key)
	}
	for _, undo := range s.undo {
		undo()
	}
	s.undo = nil
	clear(s.withdrawn)
}

// look makes a look, which may fail while something is in the way.
func (s *soaker) look(act func() error) {
	s.t.Helper()
	if err := act(); err != nil && len(s.undo) == 0 {
		s.t.Fatalf("a look failed with nothing in the way: %v", err)
	}
}

// deliver brings the webhooks that were not lost, in any order, some of them late.
func (s *soaker) deliver() {
	s.r.Shuffle(len(s.hints), func(i, j int) { s.hints[i], s.hints[j] = s.hints[j], s.hints[i] })
	n := s.r.IntN(len(s.hints) + 1)
	hints := s.hints[:n]
	s.hints = s.hints[n:]
	s.look(func() error { _, err := s.d.Hints(s.t.Context(), hints); return err })
}

// settle reconciles. Whatever is in the way, nothing that is there may be gone;
// with nothing in the way ledger and registry agree.
func (s *soaker) settle(when string) {
	s.t.Helper()
	before := s.live()
	s.look(func() error { _, err := s.d.Reconcile(s.t.Context()); return err })
	truth, after := s.truth(), s.live()
	for ref := range before {
		if _, there := truth[ref]; there && after[ref] == "" {
			s.t.Fatalf("%s: %s is there and was declared gone", when, ref)
		}
	}
	if len(s.withdrawn) > 0 || len(s.undo) > 0 {
		return
	}
	if in := s.state(); in.State == inventory.IntegrationDegraded { // a great loss, and a true one
		_, err := s.store.RecordLook(s.t.Context(), inventory.Look{Integration: s.in.ID, Cursors: map[string]string{discover.CursorAcceptLoss: "yes"}})
		must(s.t, err)
		s.look(func() error { _, err := s.d.Reconcile(s.t.Context()); return err })
	}
	s.agree(when)
	s.wantState(inventory.IntegrationConnected, "")
}
