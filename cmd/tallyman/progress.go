package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// progress tells how far something long is: a line that rewrites itself on a
// terminal, lines of text or JSON where they were asked for, else nothing.
type progress struct {
	w     io.Writer
	how   string // "terminal", "plain", "json" or ""
	what  string
	total int
	last  int
}

func (a *app) newProgress(what string, total int) *progress {
	p := &progress{w: a.stderr, what: what, total: total, last: -1}
	switch a.cfg.Progress {
	case "plain", "json":
		p.how = a.cfg.Progress
	case "auto":
		if a.colour(a.stderr) {
			p.how = "terminal"
		}
	}
	return p
}

// at says that n are done.
func (p *progress) at(n int) {
	if n == p.last || p.how == "" {
		return
	}
	p.last = n
	switch p.how {
	case "terminal":
		fmt.Fprintf(p.w, "\r%s %d of %d ", p.what, n, p.total)
	case "plain":
		fmt.Fprintf(p.w, "%s %d of %d\n", p.what, n, p.total)
	case "json":
		b, err := json.Marshal(map[string]any{"progress": p.what, "done": n, "total": p.total})
		if err == nil {
			fmt.Fprintln(p.w, string(b))
		}
	}
}

// done ends the line.
func (p *progress) done() {
	if p.how == "terminal" && p.last >= 0 {
		fmt.Fprintln(p.w)
	}
}
