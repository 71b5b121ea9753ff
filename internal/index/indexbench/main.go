// Command indexbench indexes images of a registry cold, recording into memory,
// and prints what it cost: the figure to set against a program that only
// downloads, verifies, unpacks and walks the same layers. It is a measuring tool
// and no part of Tallyman.
//
//	indexbench -registry 127.0.0.1:5055 [-again] [-list] repo:tag ...
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/pprof"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "indexbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("indexbench", flag.ContinueOnError)
	registry := fs.String("registry", "127.0.0.1:5055", "registry, plain HTTP")
	again := fs.Bool("again", false, "index all a second time and say what that cost")
	list := fs.Bool("list", false, "list the packages")
	profile := fs.String("cpuprofile", "", "write a CPU profile")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	b := bench{registry: *registry, ledger: &ledger{bodies: map[string][]byte{}, verified: map[string]string{}, chains: map[string]inventory.ChainRecord{}}}
	b.indexer = index.New(b.ledger, index.Options{NoReferrers: true, OnLayer: func(_ string, n int64) { b.bytes.Add(n); b.layers.Add(1) }})
	if err := b.all(ctx, fs.Args(), out, *list); err != nil {
		return err
	}
	b.report(out, "cold")
	if *again {
		b.bytes.Store(0)
		b.layers.Store(0)
		start := time.Now()
		if err := b.all(ctx, fs.Args(), io.Discard, false); err != nil {
			return err
		}
		fmt.Fprintf(out, "again: %d layers, %d bytes, %.1f ms an image\n", b.layers.Load(), b.bytes.Load(), time.Since(start).Seconds()*1000/float64(fs.NArg()))
	}
	return nil
}

type bench struct {
	registry string
	ledger   *ledger
	indexer  *index.Indexer
	bytes    atomic.Int64
	layers   atomic.Int64
}

func (b *bench) all(ctx context.Context, refs []string, out io.Writer, list bool) error {
	for _, ref := range refs {
		repo, tag, _ := strings.Cut(ref, ":")
		src := &oci.Remote{Base: "http://" + b.registry + "/v2/" + repo, Client: &http.Client{}}
		img, err := b.indexer.Image(ctx, src, tag)
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		placed := index.Place(img.Layers, b.ledger.stack(img.Layers))
		fmt.Fprintf(out, "%s %s %s packages=%d%s problems=%d\n", ref, img.Distro.ID, img.Problem, len(placed), byType(placed), len(img.Problems))
		for _, p := range placed {
			if list {
				fmt.Fprintf(out, "  %d %s %v %s %v\n", p.Layer, p.PURL, p.Locations, p.OwnedBy, p.Licenses)
			}
		}
		for _, p := range img.Problems {
			fmt.Fprintln(out, "  problem", p.Layer, p.Path, p.Problem)
		}
	}
	return nil
}

func byType(ps []inventory.Placed) string {
	n, owned := map[string]int{}, map[string]int{}
	for _, p := range ps {
		kind, _, _ := strings.Cut(strings.TrimPrefix(p.PURL, "pkg:"), "/")
		n[kind] += len(p.Locations)
		if p.OwnedBy != "" {
			owned[kind] += len(p.Locations)
		}
	}
	var kinds []string
	for k := range n {
		kinds = append(kinds, k)
	}
	sort.Strings(kinds)
	s := ""
	for _, k := range kinds {
		s += fmt.Sprintf(" %s=%d(%d owned)", k, n[k], owned[k])
	}
	return s
}

func (b *bench) report(out io.Writer, what string) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	fmt.Fprintf(out, "%s: %d layers, %d bytes, cpu %.3f s, max rss %d MiB, bodies %d KiB\n", what, b.layers.Load(), b.bytes.Load(), cpu, u.Maxrss>>10, b.ledger.size()>>10)
}

// ledger keeps records in memory.
type ledger struct {
	mu       sync.Mutex
	bodies   map[string][]byte
	verified map[string]string
	chains   map[string]inventory.ChainRecord
}

func (l *ledger) size() int {
	n := 0
	for _, b := range l.bodies {
		n += len(b)
	}
	return n
}

func (l *ledger) stack(layers []inventory.ImageLayer) []inventory.ChainRecord {
	var out []inventory.ChainRecord
	for _, layer := range layers {
		out = append(out, l.chains[layer.ChainID])
	}
	return out
}

func (l *ledger) MissingLayers(_ context.Context, ids []string, _ int, _ string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, id := range ids {
		if l.bodies[id] == nil {
			out = append(out, id)
		}
	}
	return out, nil
}

func (l *ledger) LayerBodies(_ context.Context, ids []string, _ int) (map[string][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string][]byte{}
	for _, id := range ids {
		if b := l.bodies[id]; b != nil {
			out[id] = b
		}
	}
	return out, nil
}

func (l *ledger) SaveLayer(_ context.Context, r inventory.LayerRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies[r.DiffID], l.verified[r.Digest] = r.Body, r.DiffID
	return nil
}

func (l *ledger) VerifiedDiffID(_ context.Context, digests []string) (map[string]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for _, d := range digests {
		if v, ok := l.verified[d]; ok {
			out[d] = v
		}
	}
	return out, nil
}

func (l *ledger) KnownChains(_ context.Context, ids []string, _ int) (map[string]bool, error) {
	out := map[string]bool{}
	for _, id := range ids {
		_, out[id] = l.chains[id]
	}
	return out, nil
}

func (l *ledger) SaveImage(_ context.Context, _ inventory.Image, chains []inventory.ChainRecord) error {
	for _, c := range chains {
		l.chains[c.ChainID] = c
	}
	return nil
}
