package artifactorytest

import (
	"slices"
	"strings"
)

// item is one file. But for pos it never changes once it is in a tree: a change
// puts another item in its place, so that a reader may go on with what it took
// after the lock is let go.
type item struct {
	repo   *repository
	dir    *folder
	name   string
	body   *content
	seq    int64 // order of writes over the whole server
	pos    int   // place in the repository's rows; under the write lock only
	by     string
	edited string

	// Unix milliseconds, as Artifactory keeps them.
	created, modified, updated, propsModified int64

	readable int64               // unix nanoseconds before which it is listed but cannot be pulled
	props    map[string][]string // set by people; what the server sets is derived
}

func (it *item) path() string { return joinPath(it.dir.path, it.name) }

// folder is one directory of a repository.
type folder struct {
	path     string // without slashes at the ends; "" is the root
	name     string
	parent   *folder
	children map[string]*folder
	files    []*item
	image    bool // holds or held tags
	created  int64
}

func (f *folder) file(name string) *item {
	for _, it := range f.files {
		if it.name == name {
			return it
		}
	}
	return nil
}

// served returns the manifest that a pull of this folder gets: the one written
// last, or the list where that is what the server prefers.
func (f *folder) served(listWins bool) *item {
	one, list := f.file(manifestFile), f.file(listManifestFile)
	if one != nil && one.body.doc == nil { // deployed as a plain file that is no manifest
		one = nil
	}
	if list != nil && list.body.doc == nil {
		list = nil
	}
	switch {
	case one == nil:
		return list
	case list == nil:
		return one
	case listWins || list.seq > one.seq:
		return list
	}
	return one
}

// walk calls fn for f and every folder below, parents first, in order of name.
func (f *folder) walk(fn func(*folder)) {
	fn(f)
	names := make([]string, 0, len(f.children))
	for n := range f.children {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		f.children[n].walk(fn)
	}
}

type manifestKey struct{ image, hex string }

// tree is the files of one physical repository, with the indexes that keep a
// lookup cheap at a hundred thousand tags. The server's lock guards it.
type tree struct {
	root      *folder
	manifests rows // manifest files, so that a search for tags never sees a layer
	others    rows
	byDigest  map[manifestKey][]*item
	blobs     map[string][]*item // by hex; markers not included
	markers   map[string][]*item
	subjects  []*item // manifests that name a subject
}

func newTree() *tree {
	return &tree{
		root:     &folder{},
		byDigest: map[manifestKey][]*item{},
		blobs:    map[string][]*item{},
		markers:  map[string][]*item{},
	}
}

// rows is items in the order they came, with holes where some were removed.
type rows struct {
	list  []*item
	holes int
}

func (r *rows) add(it *item) {
	it.pos = len(r.list)
	r.list = append(r.list, it)
}

func (r *rows) drop(it *item) {
	r.list[it.pos] = nil
	r.holes++
	if r.holes < 1024 || r.holes*2 < len(r.list) {
		return
	}
	kept := make([]*item, 0, len(r.list)-r.holes)
	for _, it := range r.list {
		if it != nil {
			it.pos = len(kept)
			kept = append(kept, it)
		}
	}
	r.list, r.holes = kept, 0
}

func (t *tree) rowsOf(name string) *rows {
	if isManifestFile(name) {
		return &t.manifests
	}
	return &t.others
}

// find returns the folder at path, or nil.
func (t *tree) find(path string) *folder {
	f := t.root
	if path == "" {
		return f
	}
	for part := range strings.SplitSeq(path, "/") {
		if f = f.children[part]; f == nil {
			return nil
		}
	}
	return f
}

func (t *tree) fileAt(path string) *item {
	dir, name := splitPath(path)
	f := t.find(dir)
	if f == nil {
		return nil
	}
	return f.file(name)
}

// mkdir returns the folder at path, made if need be.
func (t *tree) mkdir(path string, now int64) *folder {
	f := t.root
	for end := 0; end < len(path); {
		start := end
		if next := strings.IndexByte(path[start:], '/'); next < 0 {
			end = len(path)
		} else {
			end = start + next
		}
		name := path[start:end]
		child := f.children[name]
		if child == nil {
			child = &folder{path: path[:end], name: name, parent: f, created: now}
			if f.children == nil {
				f.children = map[string]*folder{}
			}
			f.children[name] = child
		}
		f = child
		end++
	}
	return f
}

// put adds it, or puts it in the place of the file of that name.
func (t *tree) put(it *item) {
	if old := it.dir.file(it.name); old != nil {
		t.unindex(old)
		it.pos = old.pos
		t.rowsOf(it.name).list[it.pos] = it
		it.dir.files[slices.Index(it.dir.files, old)] = it
	} else {
		it.dir.files = append(it.dir.files, it)
		t.rowsOf(it.name).add(it)
	}
	t.index(it)
}

func (t *tree) index(it *item) {
	if isManifestFile(it.name) && it.body.doc != nil && it.dir.parent != nil {
		it.dir.parent.image = true
		k := manifestKey{it.dir.parent.path, it.body.hex}
		t.byDigest[k] = append(t.byDigest[k], it)
		if it.body.doc.Subject != nil {
			t.subjects = append(t.subjects, it)
		}
		return
	}
	if hex, ok := blobHex(it.name); ok {
		t.blobs[hex] = append(t.blobs[hex], it)
	} else if hex, ok := blobHex(strings.TrimSuffix(it.name, markerSuffix)); ok {
		t.markers[hex] = append(t.markers[hex], it)
	}
}

func (t *tree) unindex(it *item) {
	if isManifestFile(it.name) && it.body.doc != nil && it.dir.parent != nil {
		dropFrom(t.byDigest, manifestKey{it.dir.parent.path, it.body.hex}, it)
		t.subjects = without(t.subjects, it)
		return
	}
	if hex, ok := blobHex(it.name); ok {
		dropFrom(t.blobs, hex, it)
	} else if hex, ok := blobHex(strings.TrimSuffix(it.name, markerSuffix)); ok {
		dropFrom(t.markers, hex, it)
	}
}

func dropFrom[K comparable](m map[K][]*item, k K, it *item) {
	if left := without(m[k], it); len(left) > 0 {
		m[k] = left
	} else {
		delete(m, k)
	}
}

// without removes it from the list, last one into its place.
func without(list []*item, it *item) []*item {
	i := slices.Index(list, it)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i], list[last] = list[last], nil
	return list[:last]
}

// remove takes a file out; empty folders stay, as Artifactory leaves them.
func (t *tree) remove(it *item) {
	t.unindex(it)
	t.rowsOf(it.name).drop(it)
	it.dir.files = without(it.dir.files, it)
}

// removeFolder takes a folder out with all below and returns the files it held.
func (t *tree) removeFolder(f *folder) []*item {
	var gone []*item
	f.walk(func(d *folder) { gone = append(gone, d.files...) })
	for _, it := range gone {
		t.remove(it)
	}
	if f.parent != nil {
		delete(f.parent.children, f.name)
	}
	return gone
}
