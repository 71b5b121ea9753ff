package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// The tests here need other processes: the test binary itself, told by its environment
// what to be.
const childEnv = "TALLYMAN_STORE_CHILD"

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		if err := beChild(child); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beChild runs "what|dir|url|seed".
func beChild(spec string) error {
	parts := strings.SplitN(spec, "|", 4)
	ctx := context.Background()
	key, err := seal.NewKey()
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{Dir: parts[1], URL: parts[2], Key: key, KeysOf: storetest.KeysOf})
	if err != nil {
		return err
	}
	defer s.Close() // a child that is killed anyway
	switch parts[0] {
	case "write":
		return writeForever(ctx, s, parts[3])
	case "judge":
		return judgeEverything(ctx, s, func() { fmt.Println("judging") })
	case "work":
		fmt.Println("working")
		return s.Queue().Run(ctx, queue.Handlers{"job": {Do: func(context.Context, queue.Work) error {
			fmt.Println("begun")
			select {} // until it is killed
		}}}, 1)
	}
	return errors.New("unknown child")
}

func writeForever(ctx context.Context, s *store.Store, seed string) error {
	in, err := s.Integration(ctx, "one")
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		word := seed + "-" + strconv.Itoa(i)
		var sightings []inventory.Sighting
		for j := range 5 {
			sightings = append(sightings, storetest.Sight(fmt.Sprintf("local/%s:%d", word, j), storetest.Digest(fmt.Sprint(word, j)), storetest.Start))
		}
		if _, err := s.RecordLook(ctx, inventory.Look{Integration: in.ID, Kind: inventory.LookPoll, Sightings: sightings, At: storetest.Start}); err != nil {
			return err
		}
		if i == 0 {
			fmt.Println("writing")
		}
		time.Sleep(time.Millisecond) // as between two answers of a registry
	}
}

// child starts one and waits until it says what it waits for.
func child(t *testing.T, what string, o store.Options, seed, until string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{what, o.Dir, o.URL, seed}, "|"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == until {
			return cmd
		}
	}
	t.Fatalf("the child ended before it said %q", until)
	return nil
}

// kill ends a process the hard way.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// consistent says that every image that was sighted has the job that was queued with it.
func consistent(t *testing.T, s *store.Store) (images int64) {
	t.Helper()
	size, err := s.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	jobs := int64(0)
	all, err := s.Queue().Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range all {
		if st.Kind == store.JobIndex {
			jobs = int64(st.Waiting)
		}
	}
	if size["image"] != jobs || size["tag"] != size["image"] || size["tag"]%5 != 0 {
		t.Errorf("%d tags, %d images, %d jobs", size["tag"], size["image"], jobs)
	}
	return size["image"]
}

func TestKilledWriter(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		s := open(t, o)
		storetest.Connect(t, s, "one")
		before := int64(0)
		for round := range 4 {
			cmd := child(t, "write", o, fmt.Sprint("r", round), "writing")
			time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
			kill(cmd)
			if o.URL != "" {
				time.Sleep(200 * time.Millisecond) // the server ends the dead client's transaction
			}
			now := consistent(t, s)
			if now <= before {
				t.Errorf("round %d: nothing was written", round)
			}
			before = now
		}
		storetest.Look(t, s, 1, storetest.Start, storetest.Sight("local/after:1", storetest.Digest("after"), storetest.Start))
	})
}

func TestManyProcesses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		s := open(t, o)
		id := storetest.Connect(t, s, "one")
		a, b := child(t, "write", o, "a", "writing"), child(t, "write", o, "b", "writing")
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				last := 0
				for ctx.Err() == nil {
					page, err := s.Tags(t.Context(), inventory.TagFilter{Limit: 10})
					if err != nil || page.Total < last || page.Total%5 != 0 {
						t.Errorf("%d tags after %d, %v", page.Total, last, err)
						return
					}
					last = page.Total
				}
			})
		}
		for ctx.Err() == nil { // this process writes as well
			if err := s.AddRequests(t.Context(), id, map[string]int64{"aql": 1}, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		kill(a)
		kill(b)
	})
}

func TestManyStarters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), o)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Status(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestKilledWorker(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		if o.URL != "" && testing.Short() {
			t.Skip("waits for a dead worker to be declared dead")
		}
		s := open(t, o)
		if err := s.Enqueue(t.Context(), queue.Job{Kind: "job", Unique: "x"}); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, "work", o, "", "begun")
		kill(cmd)
		killed := time.Now()
		if o.URL != "" {
			silence(t, o.URL) // as if 40 seconds had passed
		}
		attempts := make(chan int, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- s.Queue().Run(ctx, queue.Handlers{"job": {Do: func(_ context.Context, w queue.Work) error { attempts <- w.Attempt; return nil }}}, 1)
		}()
		select {
		case n := <-attempts:
			if n != 2 {
				t.Errorf("attempt %d", n)
			}
			t.Logf("taken up %s after the kill", time.Since(killed))
		case <-time.After(20 * time.Second):
			t.Error("the job of the dead worker is lost")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
