// Command indexbench measures what indexing costs against a floor: a program that
// only downloads, verifies, unpacks and walks the same layers. Both run as whole
// processes, in turn, and the figures are of pairs of runs: a busy machine slows
// both. The index side records into a real SQLite ledger. It is a measuring tool
// and no part of Tallyman.
//
//	indexbench -floor BIN [-registry HOST:PORT] [-rounds 9] [-fleet FILE] repo:tag ...
//
// FILE lists the fleet's references; they are indexed into one ledger, and then all
// over again. With -list, -cpuprofile or -files it indexes once, in this process.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "indexbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var b bench
	var one once
	fs := flag.NewFlagSet("indexbench", flag.ContinueOnError)
	fs.StringVar(&b.floor, "floor", "", "program of the floor, called with -q -sha -diffid -j 2 -registry HOST REF...")
	fs.StringVar(&b.registry, "registry", "127.0.0.1:5055", "registry, plain HTTP")
	fs.IntVar(&b.rounds, "rounds", 9, "pairs of runs")
	fleet := fs.String("fleet", "", "file with the references of the fleet")
	fs.BoolVar(&one.child, "child", false, "index once and print what it cost, as JSON")
	fs.BoolVar(&one.again, "again", false, "index all a second time")
	fs.BoolVar(&one.list, "list", false, "index once and list the packages")
	fs.StringVar(&one.profile, "cpuprofile", "", "index once and write a CPU profile")
	fs.IntVar(&one.files, "files", 0, "index once a made-up layer of so many files")
	fs.Int64Var(&one.bytes, "bytes", 0, "index once a made-up layer with one file of so many zeros")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if one.child || one.list || one.profile != "" || one.files > 0 || one.bytes > 0 {
		one.registry = b.registry
		return one.run(ctx, fs.Args(), out)
	}
	if b.floor == "" {
		return errors.New("-floor is needed")
	}
	b.out = out
	for _, ref := range fs.Args() {
		if err := b.compare(ctx, ref, []string{ref}, false); err != nil {
			return err
		}
	}
	if *fleet == "" {
		return nil
	}
	text, err := os.ReadFile(*fleet)
	if err != nil {
		return err
	}
	refs := strings.Fields(string(text))
	return b.compare(ctx, fmt.Sprintf("fleet of %d", len(refs)), refs, true)
}

type bench struct {
	floor, registry string
	rounds          int
	out             io.Writer
}

// cost is what one process took.
type cost struct {
	cpu, wall float64 // seconds
	rss       int64   // KiB, at most
}

// figures are those of all rounds.
type figures struct {
	floor, index, cpu, wall []float64
	again                   []float64 // ms an image, all known
	rss                     int64
	last                    result
}

func (b *bench) compare(ctx context.Context, name string, refs []string, again bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var f figures
	args := []string{"-child", "-registry", b.registry}
	if again {
		args = append(args, "-again")
	}
	for range b.rounds {
		floor, _, err := measure(ctx, b.floor, append([]string{"-q", "-sha", "-diffid", "-j", "2", "-registry", b.registry}, refs...))
		if err != nil {
			return fmt.Errorf("floor of %s: %w", name, err)
		}
		index, said, err := measure(ctx, self, append(args, refs...))
		if err != nil {
			return fmt.Errorf("index of %s: %w", name, err)
		}
		if err := json.Unmarshal(said, &f.last); err != nil {
			return fmt.Errorf("index of %s said %q: %w", name, said, err)
		}
		f.add(floor, index)
	}
	f.print(b.out, name, again)
	return nil
}

func (f *figures) add(floor, index cost) {
	// The second pass over a known fleet is no part of what the floor does.
	index.cpu -= f.last.AgainCPU
	index.wall -= f.last.AgainWall
	f.floor, f.index = append(f.floor, floor.cpu), append(f.index, index.cpu)
	f.cpu, f.wall = append(f.cpu, index.cpu/floor.cpu), append(f.wall, index.wall/floor.wall)
	f.rss = max(f.rss, index.rss)
	f.again = append(f.again, f.last.AgainWall*1000/float64(max(1, f.last.Images)))
}

func (f *figures) print(out io.Writer, name string, again bool) {
	fmt.Fprintf(out, "%-18s floor %6.2f s  index %6.2f s  cpu %s  wall %s  rss %d MiB  %d packages  %d layers  %d bytes\n",
		name, middle(f.floor), middle(f.index), spread(f.cpu), spread(f.wall), f.rss>>10, f.last.Packages, f.last.Layers, f.last.Bytes)
	if again {
		fmt.Fprintf(out, "%-18s %s ms an image, %d layers, %d bytes of layers\n", "  all known", spread(f.again), f.last.AgainLayers, f.last.AgainBytes)
	}
}

func middle(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

func spread(v []float64) string {
	return fmt.Sprintf("%.2f [%.2f..%.2f]", middle(v), slices.Min(v), slices.Max(v))
}

// measure runs a program to its end and says what the whole process took.
func measure(ctx context.Context, name string, args []string) (cost, []byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	said, err := cmd.Output()
	if err != nil {
		return cost{}, nil, err
	}
	c := cost{wall: time.Since(start).Seconds(), cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.rss = u.Maxrss
	}
	return c, said, nil
}
