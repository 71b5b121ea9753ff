package artifactorytest

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// writeResults streams the answer in the layout Artifactory gives it: a line
// break first, no length, the range last.
func (c *call) writeResults(q *query, f found) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(c.w, 32<<10)
	defer func() { _ = out.Flush() }() // the client may be gone
	fields := c.outputFields(q)
	_, _ = c.w.Write([]byte{'\n'})
	_ = http.NewResponseController(c.w).Flush() // so that the answer is a stream however short it is
	_, _ = out.WriteString("{\n\"results\" : [ ")
	buf := make([]byte, 0, 1024)
	for i := range f.rows {
		if c.sw.AQLTruncate > 0 && i >= c.sw.AQLTruncate {
			return // what a failure after the first byte looks like
		}
		buf = buf[:0]
		if i > 0 {
			buf = append(buf, ',')
		}
		if _, err := out.Write(c.appendRow(buf, &f.rows[i], fields)); err != nil {
			return
		}
	}
	n := strconv.Itoa(len(f.rows))
	_, _ = out.WriteString(" ],\n\"range\" : {\n  \"start_pos\" : " + strconv.Itoa(q.offset) +
		",\n  \"end_pos\" : " + n + ",\n  \"total\" : " + n)
	if q.limit >= 0 {
		_, _ = out.WriteString(",\n  \"limit\" : " + strconv.Itoa(q.limit))
	}
	if f.trimmed {
		_, _ = out.WriteString(",\n  \"notification\" : \"" + msgAQLLimit + "\"")
	}
	_, _ = out.WriteString("\n}\n}\n")
}

// writer writes one field of a row.
type fieldWriter struct {
	name  string
	write func(buf []byte, h *hit) []byte // nil result leaves the field out
}

func (c *call) outputFields(q *query) []fieldWriter {
	var out []fieldWriter
	done := map[string]bool{}
	var add func(f string)
	add = func(f string) {
		if f = strings.TrimPrefix(f, "item."); done[f] {
			return
		}
		done[f] = true
		if f == "*" {
			for _, d := range defaultFields(&c.sw) {
				add(d)
			}
			return
		}
		if w, ok := c.fieldWriter(f); ok {
			out = append(out, w)
		}
	}
	for _, f := range q.include {
		add(f)
	}
	if q.domain("property") {
		out = append(out, propertyWriter(q))
	}
	return out
}

func (c *call) fieldWriter(f string) (fieldWriter, bool) {
	if f == propsModifiedField {
		return fieldWriter{"infos", func(buf []byte, h *hit) []byte {
			buf = append(buf, `[ { "props_modified" : "`...)
			buf = append(buf, c.stamp(fromItem(&h.row, func(it *item) int64 { return it.propsModified }))...)
			return append(buf, `" } ]`...)
		}}, true
	}
	if strings.HasPrefix(f, "stat") {
		return fieldWriter{"stats", func(buf []byte, h *hit) []byte {
			buf = append(buf, `[ { "downloads" : `...)
			buf = strconv.AppendInt(buf, h.downloads, 10)
			return append(buf, ` } ]`...)
		}}, true
	}
	if get := dateField(f, &c.sw); get != nil {
		return fieldWriter{f, func(buf []byte, h *hit) []byte {
			return appendQuoted(buf, c.stamp(get(&h.row)))
		}}, true
	}
	if get := numberField(f, nil); get != nil {
		return fieldWriter{f, func(buf []byte, h *hit) []byte { return strconv.AppendInt(buf, get(&h.row), 10) }}, true
	}
	get := textField(f)
	return fieldWriter{f, func(buf []byte, h *hit) []byte { return appendQuoted(buf, get(&h.row)) }}, get != nil
}

// propertyWriter writes the properties that were asked for; a row without any
// has no such key.
func propertyWriter(q *query) fieldWriter {
	keyOnly := !q.domainField("property") && !q.domainField("property.*") && !q.domainField("property.value")
	var named []string
	for _, f := range q.include {
		if k, ok := strings.CutPrefix(strings.TrimPrefix(f, "item."), "@"); ok {
			named = append(named, k)
			keyOnly = false
		}
	}
	wanted := func(key string) bool {
		if len(named) == 0 || q.domainField("property") || q.domainField("property.*") {
			return true
		}
		for _, k := range named {
			if k == key {
				return true
			}
		}
		return false
	}
	return fieldWriter{"properties", func(buf []byte, h *hit) []byte {
		start := len(buf)
		buf = append(buf, "[ "...)
		n := 0
		for _, p := range h.props {
			if !wanted(p.key) {
				continue
			}
			if n > 0 {
				buf = append(buf, ", "...)
			}
			n++
			buf = append(buf, `{ "key" : `...)
			buf = appendQuoted(buf, p.key)
			if !keyOnly {
				buf = append(buf, `, "value" : `...)
				buf = appendQuoted(buf, p.value)
			}
			buf = append(buf, " }"...)
		}
		if n == 0 {
			return buf[:start]
		}
		return append(buf, " ]"...)
	}}
}

func (q *query) domainField(name string) bool {
	for _, f := range q.include {
		if strings.TrimPrefix(f, "item.") == name {
			return true
		}
	}
	return false
}

func (c *call) appendRow(buf []byte, h *hit, fields []fieldWriter) []byte {
	buf = append(buf, '{')
	first := true
	for _, f := range fields {
		mark := len(buf)
		if !first {
			buf = append(buf, ',')
		}
		buf = append(buf, "\n  \""...)
		buf = append(buf, f.name...)
		buf = append(buf, "\" : "...)
		before := len(buf)
		buf = f.write(buf, h)
		if len(buf) == before {
			buf = buf[:mark]
			continue
		}
		first = false
	}
	return append(buf, "\n}"...)
}

// appendQuoted appends a JSON string.
func appendQuoted(buf []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			raw, err := json.Marshal(s)
			if err != nil {
				return append(buf, `""`...)
			}
			return append(buf, raw...)
		}
	}
	buf = append(buf, '"')
	buf = append(buf, s...)
	return append(buf, '"')
}
