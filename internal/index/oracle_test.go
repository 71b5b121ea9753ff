package index_test

import (
	"archive/tar"
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// node is one file of the oracle's root file system: a directory, a link, or a
// file with a body. It extracts layers step by step, as a container runtime does,
// and knows nothing of hashes or records.
type node struct {
	kids map[string]*node
	link string
	body string
	mode int64
}

func dirNode() *node { return &node{kids: map[string]*node{}} }

type rootFS struct{ root *node }

// walk finds the directory of p, following links, making directories on the way.
// nil where a file is in the way.
func (r *rootFS) walk(p string, hops int) *node {
	at := []*node{r.root}
	rest := strings.Split(p, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		cur := at[len(at)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) > 1 {
				at = at[:len(at)-1]
			}
			continue
		}
		n := cur.kids[part]
		if n == nil {
			n = dirNode()
			cur.kids[part] = n
		}
		if n.kids == nil && n.link == "" {
			return nil
		}
		if n.link != "" {
			if hops++; hops > 20 {
				return nil
			}
			if strings.HasPrefix(n.link, "/") {
				at = at[:1]
			}
			rest = append(strings.Split(n.link, "/"), rest...)
			continue
		}
		at = append(at, n)
	}
	return at[len(at)-1]
}

// extract puts a layer on top: deletions of what was there first, then entries.
// It reports false where a real extraction would fail.
func (r *rootFS) extract(entries []ocitest.Entry) bool {
	for _, e := range entries {
		dir, base := path.Split(e.Name)
		gone, isWhiteout := strings.CutPrefix(base, ".wh.")
		if !isWhiteout {
			continue
		}
		d := r.walk(dir, 0)
		if d == nil {
			return false
		}
		if gone == ".wh..opq" {
			clear(d.kids)
		} else {
			delete(d.kids, gone)
		}
	}
	for _, e := range entries {
		if strings.HasPrefix(path.Base(e.Name), ".wh.") {
			continue
		}
		if !r.put(e) {
			return false
		}
	}
	return true
}

func (r *rootFS) put(e ocitest.Entry) bool {
	dir, base := path.Split(e.Name)
	d := r.walk(dir, 0)
	if d == nil {
		return false
	}
	old := d.kids[base]
	switch e.Type {
	case tar.TypeDir:
		if old == nil || old.kids == nil {
			d.kids[base] = dirNode()
		}
	case tar.TypeSymlink:
		d.kids[base] = &node{link: e.Link}
	case tar.TypeLink:
		td, tb := path.Split(e.Link)
		from := r.walk(td, 0)
		if from == nil || from.kids[tb] == nil || from.kids[tb].kids != nil || from.kids[tb].link != "" {
			return false
		}
		if from == d && tb == base {
			return false // it would have to be removed first, and then there is nothing to link to
		}
		d.kids[base] = from.kids[tb]
	default:
		d.kids[base] = &node{body: e.Body, mode: e.Mode}
	}
	return true
}

// flat is the whole root as one layer without links in its paths.
func (r *rootFS) flat() []ocitest.Entry {
	var out []ocitest.Entry
	var visit func(n *node, p string)
	visit = func(n *node, p string) {
		switch {
		case n.kids != nil:
			if p != "" {
				out = append(out, ocitest.Dir(p))
			}
			names := make([]string, 0, len(n.kids))
			for k := range n.kids {
				names = append(names, k)
			}
			sort.Strings(names)
			for _, k := range names {
				visit(n.kids[k], path.Join(p, k))
			}
		case n.link != "":
			out = append(out, ocitest.Symlink(p, n.link))
		default:
			out = append(out, ocitest.Entry{Name: p, Body: n.body, Mode: n.mode})
		}
	}
	visit(r.root, "")
	return out
}

// randomLayer makes entries over few names, so that they meet often.
func randomLayer(r *rand.Rand) []ocitest.Entry {
	dirs := []string{"a", "b", "a/c", "b/c", "a/c/d", "l", "l/c", "m", "m/d"}
	dir := func() string { return dirs[r.IntN(len(dirs))] }
	var out []ocitest.Entry
	seen := map[string]bool{}
	for range 1 + r.IntN(6) {
		d := dir()
		var e ocitest.Entry
		switch r.IntN(14) {
		case 0, 1, 2, 3:
			e = ocitest.File(d+"/package.json", npm("p"+fmt.Sprint(r.IntN(3)), "1."+fmt.Sprint(r.IntN(3))))
		case 4:
			e = ocitest.File(d+"/package.json", `{"type":"module"}`)
		case 5:
			e = ocitest.Whiteout(d)
		case 6:
			e = ocitest.Whiteout(d + "/package.json")
		case 7:
			e = ocitest.Opaque(d)
		case 8:
			e = ocitest.Symlink(d, []string{"/a", "b", "../b", "a/c", "/b/c", "/nowhere"}[r.IntN(6)])
		case 9:
			e = ocitest.Dir(d)
		case 10:
			e = ocitest.File(d, "in the way")
		case 11:
			e = ocitest.File("var/lib/dpkg/status", deb("x", fmt.Sprint(r.IntN(3)))+deb("y", fmt.Sprint(r.IntN(3))))
		default: // mostly to a file of a lower layer
			e = ocitest.Hard(d+"/package.json", dir()+"/package.json")
		}
		if !seen[e.Name] {
			seen[e.Name] = true
			out = append(out, e)
		}
	}
	return out
}

// The oracle: a squashed image holds what one reading of its flattened root holds.
func TestSquashEqualsFlattenedRoot(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 300
	}
	tried := 0
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 42))
		fs := &rootFS{root: dirNode()}
		var ls [][]ocitest.Entry
		for range 2 + r.IntN(4) {
			l := randomLayer(r)
			copied := &rootFS{root: clone(fs.root, map[*node]*node{})}
			if !copied.extract(l) || ambiguous(l) {
				continue // no runtime could extract it, or two would differ
			}
			fs = copied
			ls = append(ls, l)
		}
		if len(ls) < 2 {
			continue
		}
		tried++
		got, want := contents(t, ls...), contents(t, fs.flat())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: layers\n%s\nflattened root has (-), squash has (+)\n%s", seed, show(ls), diff)
		}
	}
	if tried < rounds/2 {
		t.Errorf("only %d of %d sequences could be extracted", tried, rounds)
	}
}

// ambiguous layers write below a name that the same layer makes something else:
// what they mean depends on the order, and tar writers do not make them.
func ambiguous(l []ocitest.Entry) bool {
	for i, e := range l {
		for j, other := range l {
			if i != j && e.Type != tar.TypeDir && strings.HasPrefix(other.Name, e.Name+"/") {
				return true
			}
			if e.Type == tar.TypeSymlink && other.Type == 0 && linked(e) == other.Name {
				return true // nothing lies below such a link, unless a later layer makes its file a directory: a known gap
			}
			if i > j && e.Type == tar.TypeDir && strings.HasPrefix(other.Name, e.Name+"/") {
				return true
			}
		}
	}
	return false
}

// linked is the path that a symbolic link names.
func linked(e ocitest.Entry) string {
	if strings.HasPrefix(e.Link, "/") {
		return e.Link[1:]
	}
	return path.Join(path.Dir(e.Name), e.Link)
}

func clone(n *node, seen map[*node]*node) *node {
	if c, ok := seen[n]; ok {
		return c
	}
	c := &node{link: n.link, body: n.body, mode: n.mode}
	seen[n] = c
	if n.kids != nil {
		c.kids = map[string]*node{}
		for k, v := range n.kids {
			c.kids[k] = clone(v, seen)
		}
	}
	return c
}

func show(ls [][]ocitest.Entry) string {
	var b strings.Builder
	for i, l := range ls {
		fmt.Fprintf(&b, "layer %d\n", i)
		for _, e := range l {
			fmt.Fprintf(&b, "  %c %s -> %q %q\n", e.Type|' ', e.Name, e.Link, e.Body)
		}
	}
	return b.String()
}

// contents lists "purl location" of an image, without layers.
func contents(t *testing.T, ls ...[]ocitest.Entry) []string {
	t.Helper()
	var blobs [][]byte
	for _, l := range ls {
		blobs = append(blobs, ocitest.Tar(l...))
	}
	s := ocitest.NewStore()
	s.AddImage("t", ocitest.Image{Layers: blobs})
	res, err := index.Local(context.Background(), s, "t", "", index.Options{Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range res.Packages {
		for _, loc := range p.Locations {
			out = append(out, p.PURL+" "+loc)
		}
	}
	sort.Strings(out)
	return out
}
