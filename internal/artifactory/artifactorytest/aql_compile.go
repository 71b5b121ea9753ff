package artifactorytest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// test decides about one row.
type test func(*row) bool

// row is what criteria look at: a file, or a folder where those are asked for.
type row struct {
	it     *item
	folder *folder // nil for a file
	repo   string
	path   string
	props  map[string][]string // filled when first needed
}

// compiler turns criteria into a test. Callers hold the lock while it compiles
// and while the tests run.
type compiler struct {
	s   *Server
	sw  *Switches
	now time.Time
	err error
}

// plan is compiled criteria with what they allow to leave out unread.
type plan struct {
	match test
	repo  func(physical string) bool // false: no row of this repository can match
	names map[string]bool            // all names that can match; nil is any
	types string                     // file, folder or any
}

func (c *compiler) compile(criteria []pair) (plan, error) {
	p := plan{types: "file"}
	if t, ok := typeOf(criteria); ok {
		p.types = t
	}
	p.match = c.all(criteria)
	p.repo = c.repoFilter(criteria)
	p.names = namesOf(criteria)
	return p, c.err
}

func (c *compiler) fail(format string, args ...any) test {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
	return func(*row) bool { return false }
}

// all is the conjunction of an object's pairs.
func (c *compiler) all(criteria []pair) test {
	tests := make([]test, 0, len(criteria))
	for _, p := range criteria {
		tests = append(tests, c.one(p))
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return func(r *row) bool {
		for _, t := range tests {
			if !t(r) {
				return false
			}
		}
		return true
	}
}

func (c *compiler) one(p pair) test {
	switch p.key {
	case "$and", "$msp":
		return c.all(flatten(p.value))
	case "$or":
		return c.any(p.value)
	}
	if strings.HasPrefix(p.key, "$") {
		return c.fail("Failed to parse query: unknown operator %s", p.key)
	}
	if p.value.kind == 's' {
		return c.compare(p.key, "$eq", p.value.text)
	}
	if p.value.kind != 'o' || len(p.value.object) == 0 {
		return c.fail("Failed to parse query: the field %s needs a value", p.key)
	}
	tests := make([]test, 0, 2)
	for _, op := range p.value.object {
		if op.value.kind != 's' {
			return c.fail("Failed to parse query: the field %s needs a value", p.key)
		}
		tests = append(tests, c.compare(p.key, op.key, op.value.text))
	}
	return func(r *row) bool {
		for _, t := range tests {
			if !t(r) {
				return false
			}
		}
		return true
	}
}

// any is the disjunction of a list of objects.
func (c *compiler) any(v value) test {
	var tests []test
	for _, group := range groups(v) {
		tests = append(tests, c.all(group))
	}
	if len(tests) == 0 {
		return c.fail("Failed to parse query: $or needs a list of criteria")
	}
	return func(r *row) bool {
		for _, t := range tests {
			if t(r) {
				return true
			}
		}
		return false
	}
}

// groups are the objects of a list, or the object itself.
func groups(v value) [][]pair {
	if v.kind == 'o' {
		return [][]pair{v.object}
	}
	all := make([][]pair, 0, len(v.list))
	for _, e := range v.list {
		if e.kind == 'o' {
			all = append(all, e.object)
		}
	}
	return all
}

func flatten(v value) []pair {
	var all []pair
	for _, g := range groups(v) {
		all = append(all, g...)
	}
	return all
}

// compare makes the test of one comparison.
func (c *compiler) compare(field, op, want string) test {
	field = strings.TrimPrefix(field, "item.")
	if key, ok := propertyKey(field); ok {
		return c.property(key, op, want)
	}
	if get := dateField(field, c.sw); get != nil {
		return c.date(get, op, want)
	}
	if get := numberField(field, c.s); get != nil {
		return c.numeric(get, op, want)
	}
	get := textField(field)
	if get == nil {
		return c.fail("Failed to parse query: unknown field %s", field)
	}
	if field == "type" && want == "any" {
		return func(*row) bool { return true }
	}
	if field == "repo" && op == "$eq" {
		return c.repoIs(want)
	}
	cmp := textOperator(op, want)
	if cmp == nil {
		return c.fail("Failed to parse query: unknown operator %s", op)
	}
	return func(r *row) bool { return cmp(get(r)) }
}

// repoIs compares the repository; a virtual stands for its members.
func (c *compiler) repoIs(key string) test {
	keys := c.physicalKeys(key)
	return func(r *row) bool { return keys[r.repo] }
}

func (c *compiler) physicalKeys(key string) map[string]bool {
	keys := map[string]bool{}
	r := c.s.repos[key]
	switch {
	case r == nil:
		keys[key] = true // KEY-cache, or nothing
	case r.Class == Virtual:
		for _, m := range c.s.members(r) {
			keys[m.physical()] = true
		}
	case r.Class != Remote:
		keys[key] = true
	}
	return keys
}

// textOperator returns the comparison with one text.
func textOperator(op, want string) func(string) bool {
	switch op {
	case "$eq":
		return func(s string) bool { return s == want }
	case "$ne":
		return func(s string) bool { return s != want }
	case "$gt":
		return func(s string) bool { return s > want }
	case "$gte":
		return func(s string) bool { return s >= want }
	case "$lt":
		return func(s string) bool { return s < want }
	case "$lte":
		return func(s string) bool { return s <= want }
	case "$match":
		return func(s string) bool { return starMatch(want, s) }
	case "$nmatch":
		return func(s string) bool { return !starMatch(want, s) }
	}
	return nil
}

func (c *compiler) numeric(get func(*row) int64, op, want string) test {
	n, err := strconv.ParseInt(want, 10, 64)
	if err != nil {
		return c.fail("Invalid number: %s", want)
	}
	cmp := orderOperator(op, n)
	if cmp == nil {
		return c.fail("Failed to parse query: unknown operator %s", op)
	}
	return func(r *row) bool { return cmp(get(r)) }
}

// orderOperator returns the comparison with one number or date.
func orderOperator(op string, want int64) func(int64) bool {
	switch op {
	case "$eq":
		return func(n int64) bool { return n == want }
	case "$ne":
		return func(n int64) bool { return n != want }
	case "$gt":
		return func(n int64) bool { return n > want }
	case "$gte":
		return func(n int64) bool { return n >= want }
	case "$lt":
		return func(n int64) bool { return n < want }
	case "$lte":
		return func(n int64) bool { return n <= want }
	}
	return nil
}

func (c *compiler) date(get func(*row) int64, op, want string) test {
	if op == "$last" || op == "$before" {
		d, ok := relative(want)
		if !ok {
			return c.fail("Invalid relative date: %s", want)
		}
		at := d(c.now)
		if op == "$before" {
			return func(r *row) bool { return get(r) < at }
		}
		return func(r *row) bool { return get(r) > at }
	}
	ms, ok := parseTime(want, c.sw.Zone)
	if !ok {
		return c.fail("Invalid Date format: %s, AQL expect ISODateTimeFormat or long number", want)
	}
	cmp := orderOperator(op, ms)
	if cmp == nil {
		return c.fail("Failed to parse query: unknown operator %s", op)
	}
	return func(r *row) bool { return cmp(get(r)) }
}

// property tests the values of one property, or all keys or values.
func (c *compiler) property(key, op, want string) test {
	positive := map[string]string{"$ne": "$eq", "$nmatch": "$match"}
	if base, negative := positive[op]; negative {
		has := c.property(key, base, want)
		return func(r *row) bool { return !has(r) }
	}
	cmp := textOperator(op, want)
	if cmp == nil {
		return c.fail("Failed to parse query: unknown operator %s", op)
	}
	return func(r *row) bool {
		for k, values := range r.properties() {
			if key == "property.key" {
				if cmp(k) {
					return true
				}
				continue
			}
			if key != "property.value" && key != k {
				continue
			}
			for _, v := range values {
				if cmp(v) {
					return true
				}
			}
		}
		return false
	}
}

func (r *row) properties() map[string][]string {
	if r.props == nil && r.it != nil {
		r.props = propertiesOf(r.it)
	}
	return r.props
}
