package index

import (
	"path"
	"strings"
)

// maxHops bounds how many links one path may lead through.
const maxHops = 64

// cleanPath writes a name in a tar without a leading slash and without any way
// out of the root: "../../etc/x" is "etc/x", as an extraction has it.
func cleanPath(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// links are symbolic links by path, with what they say.
type links map[string]string

// parent resolves the directory of p through links; the last part is not followed.
func (l links) parent(p string) string {
	if len(l) == 0 {
		return p
	}
	dir, base := path.Split(p)
	if dir == "" {
		return p
	}
	return path.Join(l.follow(dir), base)
}

// follow resolves p part by part, as the kernel does: ".." after a link leads to
// the parent of where the link went. Links that go in circles stop somewhere
// inside the root.
func (l links) follow(p string) string {
	rest := strings.Split(strings.Trim(p, "/"), "/")
	at := ""
	for hops := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = parentDir(at)
			continue
		}
		next := part
		if at != "" {
			next = at + "/" + part
		}
		target, ok := l[next]
		if !ok {
			at = next
			continue
		}
		if hops++; hops > maxHops {
			return next
		}
		if strings.HasPrefix(target, "/") {
			at = ""
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return at
}

func parentDir(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// ancestors calls fn for each directory above p, nearest first, until fn says stop.
func ancestors(p string, fn func(string) bool) bool {
	for d := parentDir(p); d != ""; d = parentDir(d) {
		if fn(d) {
			return true
		}
	}
	return false
}
