package artifactorytest

import (
	"cmp"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// maxQuery is the longest query the server reads, in characters.
const maxQuery = 6000

const (
	msgAQLFields aqlRefusal = "For permissions reasons AQL demands the following fields: repo, path and name."
	msgAQLSort   aqlRefusal = "Only the result fields are allowed to use in the sort section."
	msgAQLNoSort aqlRefusal = "Sorting is not supported by AQL in the open source version\n"
	msgAQLNoProp aqlRefusal = "Filtering properties result is not supported by AQL in the open source version\n"
	msgAQLLimit             = "AQL query reached the search hard limit, results are trimmed."
)

// lanes lets so many queries run at a time.
type lanes struct {
	mu    sync.Mutex
	busy  int
	freed chan struct{}
}

// enter waits for a lane, at most for so long.
func (l *lanes) enter(r *http.Request, width int, wait time.Duration) bool {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		l.mu.Lock()
		if width <= 0 || l.busy < width {
			l.busy++
			l.mu.Unlock()
			return true
		}
		if l.freed == nil {
			l.freed = make(chan struct{})
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-timeout.C:
			return false
		case <-r.Context().Done():
			return false
		}
	}
}

func (l *lanes) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
}

func (c *call) aql() {
	if !c.allow(http.MethodPost) || !c.signIn() {
		return
	}
	if c.id.anonymous {
		c.w.Header().Set("WWW-Authenticate", basicChallenge)
		c.status(http.StatusUnauthorized, "Unauthorized")
		return
	}
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "text/plain" {
		c.status(http.StatusUnsupportedMediaType, "Unsupported Media Type")
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, 8*maxQuery))
	switch text := string(raw); {
	case err != nil, utf8.RuneCountInString(text) > maxQuery:
		c.text(http.StatusBadRequest, "AQL query size exceeds the limit of 6000 characters")
	case strings.TrimSpace(text) == "":
		c.w.WriteHeader(http.StatusBadRequest)
	case !c.s.lanes.enter(c.r, c.sw.AQLParallel, c.sw.AQLPending):
		c.text(http.StatusTooManyRequests, "Too many AQL queries are running")
	default:
		defer c.s.lanes.leave()
		c.query(text)
	}
}

func (c *call) query(text string) {
	if c.sw.AQLDelay > 0 {
		if c.sw.AQLTimeout > 0 && c.sw.AQLDelay > c.sw.AQLTimeout {
			pause(c.r, c.sw.AQLTimeout)
			c.text(http.StatusRequestTimeout, "AQL query timed out")
			return
		}
		pause(c.r, c.sw.AQLDelay)
	}
	q, err := parseAQL(text)
	if err == nil {
		err = q.check(c.id, &c.sw)
	}
	if err != nil {
		c.text(http.StatusBadRequest, err.Error())
		return
	}
	found, err := c.s.search(c.id, q, &c.sw)
	if err != nil {
		c.text(http.StatusBadRequest, err.Error())
		return
	}
	c.writeResults(q, found)
}

// check refuses what AQL refuses before it looks at a row.
func (q *query) check(id identity, sw *Switches) error {
	if len(q.include) == 0 {
		q.include = defaultFields(sw)
	}
	fields := map[string]bool{}
	for i, f := range q.include {
		f = strings.TrimPrefix(f, "item.")
		if f == "*" {
			for _, d := range defaultFields(sw) {
				fields[d] = true
			}
			continue
		}
		if !knownField(f, sw) {
			return aqlRefusal("Failed to parse query: unknown field " + q.include[i])
		}
		if sw.NoSort && strings.HasPrefix(f, "@") {
			return msgAQLNoProp
		}
		fields[f] = true
	}
	if !id.admin && (!fields["repo"] || !fields["path"] || !fields["name"]) {
		return msgAQLFields
	}
	for _, f := range q.sort {
		if !fields[strings.TrimPrefix(f, "item.")] {
			return msgAQLSort
		}
	}
	if len(q.sort) > 0 && sw.NoSort {
		return msgAQLNoSort
	}
	return nil
}

func knownField(f string, sw *Switches) bool {
	switch f {
	case "property", "property.*", "property.key", "property.value", "stat", "stat.downloads":
		return true
	}
	return strings.HasPrefix(f, "@") || textField(f) != nil || dateField(f, sw) != nil || numberField(f, nil) != nil
}

// found is the outcome of a search.
type found struct {
	rows    []hit
	trimmed bool
}

// hit is a row of the answer with the part of its properties that the limit let pass.
type hit struct {
	row
	downloads int64
	props     []property
}

type property struct{ key, value string }

// search runs a query. The limit is applied to what the database finds; what
// the caller may not read is left out of that afterwards.
func (s *Server) search(id identity, q *query, sw *Switches) (found, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &compiler{s: s, sw: sw, now: s.clock.now()}
	p, err := c.compile(q.find)
	if err != nil {
		return found{}, err
	}
	rows := s.scan(&p)
	properties := q.domain("property")
	if len(q.sort) > 0 && !properties { // a second domain brings its own order, by item
		sortRows(rows, q, s, sw)
	}
	if sw.AQLFilterFirst {
		rows = s.readable(id, rows)
	}
	hits := s.expandRows(rows, properties, q.domain("stat"))
	if q.offset > 0 {
		hits = hits[min(q.offset, len(hits)):]
	}
	var out found
	if q.limit >= 0 && len(hits) > q.limit {
		hits = hits[:q.limit]
	}
	if sw.AQLMaxRows > 0 && len(hits) > sw.AQLMaxRows {
		hits, out.trimmed = hits[:sw.AQLMaxRows], true
	}
	out.rows = s.merge(id, hits)
	return out, nil
}

// domain tells whether the answer joins another table.
func (q *query) domain(name string) bool {
	return slices.ContainsFunc(q.include, func(f string) bool {
		f = strings.TrimPrefix(f, "item.")
		return f == name || strings.HasPrefix(f, name+".") || name == "property" && strings.HasPrefix(f, "@")
	})
}

// scan reads the rows that match. Callers hold the lock.
func (s *Server) scan(p *plan) []row {
	var rows []row
	for _, r := range s.sorted() {
		key := r.physical()
		if r.tree == nil || !p.repo(key) || hiddenRepo(key) {
			continue
		}
		if p.types != "folder" {
			rows = scanFiles(rows, p, key, r.tree.manifests.list)
			if !p.onlyManifests() {
				rows = scanFiles(rows, p, key, r.tree.others.list)
			}
		}
		if p.types != "file" {
			r.tree.root.walk(func(f *folder) {
				one := row{folder: f, repo: key, path: aqlPath(f.parent)}
				if f.parent != nil && p.match(&one) {
					rows = append(rows, one)
				}
			})
		}
	}
	return rows
}

func scanFiles(rows []row, p *plan, key string, list []*item) []row {
	one := row{repo: key}
	for _, it := range list {
		if it == nil {
			continue
		}
		one.it, one.path, one.props = it, aqlPath(it.dir), nil
		if p.match(&one) {
			rows = append(rows, one)
		}
	}
	return rows
}

// aqlPath is a folder as AQL shows it: the root is a dot.
func aqlPath(f *folder) string {
	if f == nil || f.path == "" {
		return "."
	}
	return f.path
}

// hiddenRepo tells the repositories that no search shows.
func hiddenRepo(key string) bool {
	return key == "auto-trashcan" || key == "jfrog-support-bundle"
}

func sortRows(rows []row, q *query, s *Server, sw *Switches) {
	slices.SortStableFunc(rows, func(a, b row) int {
		n := 0
		for _, f := range q.sort {
			f = strings.TrimPrefix(f, "item.")
			if get := dateField(f, sw); get != nil {
				n = cmp.Compare(get(&a), get(&b))
			} else if get := numberField(f, s); get != nil {
				n = cmp.Compare(get(&a), get(&b))
			} else if get := textField(f); get != nil {
				n = cmp.Compare(get(&a), get(&b))
			}
			if n != 0 {
				break
			}
		}
		if q.desc {
			n = -n
		}
		return n
	})
}

// expandRows makes the rows the database counts: one per item, or one per
// property of an item where properties are asked for.
func (s *Server) expandRows(rows []row, properties, stats bool) []hit {
	hits := make([]hit, 0, len(rows))
	for _, r := range rows {
		var n int64
		if stats {
			n = s.downloads[r.repo+"/"+r.itemPath()]
		}
		if !properties {
			hits = append(hits, hit{row: r, downloads: n})
			continue
		}
		all := r.sortedProperties()
		for i := range all {
			hits = append(hits, hit{row: r, downloads: n, props: all[i : i+1]})
		}
		if len(all) == 0 {
			hits = append(hits, hit{row: r, downloads: n})
		}
	}
	return hits
}

func (r *row) itemPath() string {
	if r.it == nil {
		return ""
	}
	return r.it.path()
}

func (r *row) sortedProperties() []property {
	var all []property
	for k, values := range r.properties() {
		for _, v := range values {
			all = append(all, property{k, v})
		}
	}
	slices.SortFunc(all, func(a, b property) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.value, b.value))
	})
	return all
}

// merge joins the rows of one item and leaves out what may not be read.
func (s *Server) merge(id identity, hits []hit) []hit {
	permits := map[string]func(string, Right) bool{}
	out := hits[:0]
	for _, h := range hits {
		if n := len(out); n > 0 && out[n-1].it == h.it && out[n-1].folder == h.folder {
			out[n-1].props = append(slices.Clip(out[n-1].props), h.props...)
			continue
		}
		if s.mayRead(id, &h.row, permits) {
			out = append(out, h)
		}
	}
	return out
}

func (s *Server) readable(id identity, rows []row) []row {
	permits := map[string]func(string, Right) bool{}
	return slices.DeleteFunc(rows, func(r row) bool { return !s.mayRead(id, &r, permits) })
}

func (s *Server) mayRead(id identity, r *row, permits map[string]func(string, Right) bool) bool {
	may := permits[r.repo]
	if may == nil {
		may = s.permit(id, s.repo(r.repo))
		permits[r.repo] = may
	}
	if r.folder != nil {
		return may(r.folder.path, Read)
	}
	return id.admin || may(r.it.path(), Read)
}
