package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/match"
	"github.com/tallyman-dev/tallyman/internal/oci"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// once indexes images into a new ledger, in this process.
type once struct {
	child, again, list bool
	profile, registry  string
	files              int
	bytes              int64
}

// result is what indexing found and did.
type result struct {
	Images, Packages        int
	Layers, Bytes           int64
	AgainLayers, AgainBytes int64
	AgainCPU, AgainWall     float64 // seconds
	RSS                     int64   // KiB, at most
}

func (o once) run(ctx context.Context, refs []string, out io.Writer) error {
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	dir, err := os.MkdirTemp("", "indexbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ledger, err := store.Open(ctx, store.Options{Dir: dir, KeysOf: match.KeysOf})
	if err != nil {
		return err
	}
	defer func() { _ = ledger.Close() }()
	var layers, read atomic.Int64
	x := index.New(ledger, index.Options{NoReferrers: true, OnLayer: func(_ string, n int64) { read.Add(n); layers.Add(1) }})
	chains, err := o.all(ctx, x, refs)
	if err != nil {
		return err
	}
	res := result{Images: len(refs), Layers: layers.Swap(0), Bytes: read.Swap(0)}
	if o.again {
		cpu, start := used(), time.Now()
		if _, err := o.all(ctx, x, refs); err != nil {
			return err
		}
		res.AgainCPU, res.AgainWall = used()-cpu, time.Since(start).Seconds()
		res.AgainLayers, res.AgainBytes = layers.Load(), read.Load()
	}
	res.RSS = peak() // reading it all back below is the benchmark's own doing
	if len(chains) == 1 {
		placed, err := ledger.Placed(ctx, chains[0], index.Version)
		if err != nil {
			return err
		}
		res.Packages = len(placed)
		if o.list {
			return list(out, placed)
		}
	}
	return json.NewEncoder(out).Encode(res)
}

// all indexes the images two at a time, as the watcher's workers do.
func (o once) all(ctx context.Context, x *index.Indexer, refs []string) ([]string, error) {
	if o.files > 0 || o.bytes > 0 {
		img, err := x.Image(ctx, &madeUp{files: o.files, bytes: o.bytes}, "")
		return []string{img.ChainID}, err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		chains []string
		next   = make(chan string)
	)
	for range 2 {
		wg.Go(func() {
			for ref := range next {
				repo, tag, _ := strings.Cut(ref, ":")
				img, err := x.Image(ctx, &oci.Remote{Base: "http://" + o.registry + "/v2/" + repo, Client: &http.Client{}}, tag)
				if err == nil && img.Problem != "" {
					err = inventory.Errorf(inventory.ErrInvalid, "%s", img.Problem)
				}
				mu.Lock()
				chains = append(chains, img.ChainID)
				if err != nil && failed == nil {
					failed = fmt.Errorf("%s: %w", ref, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, ref := range refs {
		next <- ref
	}
	close(next)
	wg.Wait()
	return chains, failed
}

func list(out io.Writer, placed []inventory.Placed) error {
	for _, p := range placed {
		word := ""
		if p.Declared {
			word = " declared"
		}
		fmt.Fprintf(out, "%d %s%s %v owner=%q %v\n", p.Layer, p.PURL, word, p.Locations, p.OwnedBy, p.Licenses)
	}
	return nil
}

// used is the processor time of this process so far, in seconds.
func used() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func peak() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss
}
