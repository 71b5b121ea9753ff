package artifactorytest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// query is a parsed AQL query. The criteria are kept as written, an object with
// its pairs in order, since a key may come twice.
type query struct {
	find    []pair
	include []string
	sort    []string
	desc    bool
	offset  int
	limit   int // -1 is none
}

type pair struct {
	key   string
	value value
}

// value is a string, an object or a list.
type value struct {
	text   string
	object []pair
	list   []value
	kind   byte // 's', 'o' or 'l'
}

// maxDepth bounds nesting: a query is a line, not a stack overflow.
const maxDepth = 64

// aqlParser reads a query from left to right; bad is where it stopped.
type aqlParser struct {
	in    string
	at    int
	depth int
}

// aqlRefusal is a refusal in the words of the product, which are no Go style.
type aqlRefusal string

func (r aqlRefusal) Error() string { return string(r) }

type aqlSyntaxError struct{ query, rest string }

func (e *aqlSyntaxError) Error() string {
	return "Failed to parse query: " + e.query + ", it looks like there is syntax error near the following sub-query: " + e.rest
}

// parseAQL reads items.find({...}) and the calls chained to it, whose order is
// fixed: include, sort, offset, limit.
func parseAQL(text string) (*query, error) {
	p := &aqlParser{in: text}
	q := &query{limit: -1}
	ok := p.word("items") && p.char('.') && p.word("find") && p.char('(')
	if ok && p.peek() != ')' {
		ok = p.criteria(q)
	}
	ok = ok && p.char(')')
	if ok {
		ok = p.chain(q)
	}
	if p.skip(); !ok || p.at != len(p.in) {
		return nil, &aqlSyntaxError{text, p.in[min(p.at, len(p.in)):]}
	}
	return q, nil
}

func (p *aqlParser) criteria(q *query) bool {
	v, ok := p.value()
	if !ok || v.kind != 'o' {
		return false
	}
	q.find = v.object
	return true
}

// chain reads the calls after find, each at most once and in order.
func (p *aqlParser) chain(q *query) bool {
	steps := []struct {
		name string
		read func() bool
	}{
		{"include", func() bool { return p.strings(&q.include) }},
		{"sort", func() bool { return p.sorting(q) }},
		{"offset", func() bool { return p.number(&q.offset) }},
		{"limit", func() bool { return p.number(&q.limit) }},
		{"distinct", func() bool { return p.word("true") || p.word("false") }},
	}
	next := 0
	for p.peek() == '.' {
		start := p.at
		p.char('.')
		found := false
		for i := next; i < len(steps) && !found; i++ {
			if p.word(steps[i].name) {
				found, next = true, i+1
				if !p.char('(') || !steps[i].read() || !p.char(')') {
					return false
				}
			}
		}
		if !found {
			p.at = start
			return false
		}
	}
	return true
}

func (p *aqlParser) strings(to *[]string) bool {
	for {
		s, ok := p.quoted()
		if !ok {
			return false
		}
		*to = append(*to, s)
		if p.peek() != ',' {
			return true
		}
		p.char(',')
	}
}

// sorting reads {"$asc":["a","b"]}.
func (p *aqlParser) sorting(q *query) bool {
	v, ok := p.value()
	if !ok || v.kind != 'o' || len(v.object) != 1 || v.object[0].value.kind != 'l' {
		return false
	}
	switch v.object[0].key {
	case "$asc":
	case "$desc":
		q.desc = true
	default:
		return false
	}
	for _, e := range v.object[0].value.list {
		if e.kind != 's' {
			return false
		}
		q.sort = append(q.sort, e.text)
	}
	return len(q.sort) > 0
}

func (p *aqlParser) number(to *int) bool {
	p.skip()
	end := p.at
	for end < len(p.in) && p.in[end] >= '0' && p.in[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(p.in[p.at:end])
	if err != nil {
		return false
	}
	*to, p.at = n, end
	return true
}

func (p *aqlParser) value() (value, bool) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return value{}, false
	}
	switch p.peek() {
	case '"':
		s, ok := p.quoted()
		return value{kind: 's', text: s}, ok
	case '{':
		return p.object()
	case '[':
		return p.list()
	}
	return value{}, false
}

func (p *aqlParser) object() (value, bool) {
	v := value{kind: 'o'}
	p.char('{')
	for p.peek() != '}' {
		if len(v.object) > 0 && !p.char(',') {
			return v, false
		}
		key, ok := p.quoted()
		if !ok || !p.char(':') {
			return v, false
		}
		inner, ok := p.value()
		if !ok {
			return v, false
		}
		v.object = append(v.object, pair{key, inner})
	}
	return v, p.char('}')
}

func (p *aqlParser) list() (value, bool) {
	v := value{kind: 'l'}
	p.char('[')
	for p.peek() != ']' {
		if len(v.list) > 0 && !p.char(',') {
			return v, false
		}
		inner, ok := p.value()
		if !ok {
			return v, false
		}
		v.list = append(v.list, inner)
	}
	return v, p.char(']')
}

// quoted reads a JSON string.
func (p *aqlParser) quoted() (string, bool) {
	if p.peek() != '"' {
		return "", false
	}
	for end := p.at + 1; end < len(p.in); end++ {
		switch p.in[end] {
		case '\\':
			end++
		case '"':
			raw := p.in[p.at : end+1]
			s, ok := unquote(raw)
			if ok {
				p.at = end + 1
			}
			return s, ok
		}
	}
	return "", false
}

func unquote(raw string) (string, bool) {
	inner := raw[1 : len(raw)-1]
	if !strings.ContainsRune(inner, '\\') {
		return inner, utf8.ValidString(inner)
	}
	var s string
	err := json.Unmarshal([]byte(raw), &s)
	return s, err == nil
}

func (p *aqlParser) skip() {
	for p.at < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.at]) >= 0 {
		p.at++
	}
}

// peek returns the next character that is no space, 0 at the end.
func (p *aqlParser) peek() byte {
	p.skip()
	if p.at >= len(p.in) {
		return 0
	}
	return p.in[p.at]
}

func (p *aqlParser) char(want byte) bool {
	if p.peek() != want {
		return false
	}
	p.at++
	return true
}

func (p *aqlParser) word(want string) bool {
	p.skip()
	if !strings.HasPrefix(p.in[p.at:], want) {
		return false
	}
	p.at += len(want)
	return true
}

// String shows the parsed criteria; tests compare what two spellings mean.
func (q *query) String() string {
	return fmt.Sprintf("%v %v %v %v %d %d", q.find, q.include, q.sort, q.desc, q.offset, q.limit)
}
