package index

import (
	"archive/tar"
	"context"
)

// hardLink gives a file a second name. It has no content of its own: what the
// first name was found to hold holds for the second too, if the same extractor
// wants both.
func (p *pass) hardLink(name string, h *tar.Header) {
	c := newCandidate(name, 1<<10, h.Mode)
	e := choose(p.list, c)
	if e == nil {
		return
	}
	target := p.links.parent(cleanPath(h.Linkname))
	if i, ok := p.byPath[target]; ok && p.files[i].Reader == e.name {
		f := p.files[i].file
		f.Path = name
		p.keep(f, len(p.order))
		return
	}
	if below, ok := p.hardTo[target]; ok {
		target = below // the name of a name
	} else if p.wrote(target) {
		p.secondName(name, target, e, h)
		return
	}
	p.rec.Hard = append(p.rec.Hard, link{name, target})
	if p.hardTo == nil {
		p.hardTo = map[string]string{}
	}
	p.hardTo[name] = target
}

// secondName gives a name to a file of the same layer that was not read under its
// first.
func (p *pass) secondName(name, target string, e *extractor, h *tar.Header) {
	if t := choose(p.list, newCandidate(target, 1<<10, h.Mode)); t != nil && t.name == e.name {
		return // it was looked at under its first name, and is not what it seems
	}
	p.again[target] = append(p.again[target], pendingName{name, len(p.order)})
}

// wrote says whether this layer wrote a path.
func (p *pass) wrote(name string) bool {
	if p.hashed == nil {
		p.hashed = map[uint64]bool{}
	}
	for ; p.known < len(p.order); p.known++ {
		p.hashed[p.order[p.known].hash] = true
	}
	return p.hashed[pathHash(name)]
}

// secondEntry reads files whose second name is interesting and whose first was not.
func (p *pass) secondEntry(ctx context.Context, h *tar.Header, tr *tar.Reader) error {
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	names := p.again[p.links.parent(cleanPath(h.Name))]
	if len(names) == 0 {
		return nil
	}
	e := choose(p.list, newCandidate(names[0].name, h.Size, h.Mode))
	if e == nil {
		return nil
	}
	return p.spoolAndRead(ctx, e, names, h.Size, tr)
}
