package artifactorytest

import (
	"strconv"
	"strings"
	"time"
)

// The fields an answer has when none were asked for.
func defaultFields(sw *Switches) []string {
	fields := []string{"repo", "path", "name", "type", "size", "created", "created_by", "modified", "modified_by", "updated"}
	if sw.AQLDepth {
		fields = append(fields, "depth")
	}
	return fields
}

const propsModifiedField = "infos.props_modified"

func textField(name string) func(*row) string {
	switch name {
	case "repo":
		return func(r *row) string { return r.repo }
	case "path":
		return func(r *row) string { return r.path }
	case "name":
		return (*row).name
	case "type":
		return func(r *row) string {
			if r.folder != nil {
				return "folder"
			}
			return "file"
		}
	case "created_by":
		return func(r *row) string { return fromItem(r, func(it *item) string { return it.by }) }
	case "modified_by":
		return func(r *row) string { return fromItem(r, func(it *item) string { return it.edited }) }
	case "sha256":
		return func(r *row) string { return fromItem(r, func(it *item) string { return it.body.hex }) }
	case "actual_sha1", "original_sha1":
		return func(r *row) string {
			return fromItem(r, func(it *item) string { s, _ := it.body.weakSums(); return s })
		}
	case "actual_md5", "original_md5":
		return func(r *row) string {
			return fromItem(r, func(it *item) string { _, m := it.body.weakSums(); return m })
		}
	}
	return nil
}

// fromItem is zero for folders.
func fromItem[T any](r *row, get func(*item) T) T {
	if r.it == nil {
		var zero T
		return zero
	}
	return get(r.it)
}

func (r *row) name() string {
	if r.folder != nil {
		return r.folder.name
	}
	if r.it == nil {
		return ""
	}
	return r.it.name
}

func dateField(name string, sw *Switches) func(*row) int64 {
	switch name {
	case "created":
		return func(r *row) int64 {
			if r.folder != nil {
				return r.folder.created
			}
			return fromItem(r, func(it *item) int64 { return it.created })
		}
	case "modified":
		return func(r *row) int64 {
			if r.folder != nil {
				return r.folder.created
			}
			return fromItem(r, func(it *item) int64 { return it.modified })
		}
	case "updated":
		return func(r *row) int64 {
			if r.folder != nil {
				return r.folder.created
			}
			return fromItem(r, func(it *item) int64 { return it.updated })
		}
	case propsModifiedField:
		if sw.PropsModified {
			return func(r *row) int64 { return fromItem(r, func(it *item) int64 { return it.propsModified }) }
		}
	}
	return nil
}

func numberField(name string, s *Server) func(*row) int64 {
	switch name {
	case "size":
		return func(r *row) int64 { return fromItem(r, func(it *item) int64 { return it.body.size() }) }
	case "depth":
		return func(r *row) int64 {
			if r.path == "." {
				return 1
			}
			return int64(strings.Count(r.path, "/")) + 2
		}
	case "stat.downloads":
		return func(r *row) int64 {
			return fromItem(r, func(it *item) int64 { return s.downloads[r.repo+"/"+it.path()] })
		}
	}
	return nil
}

// propertyKey tells criteria on properties: @key, property.key, property.value.
func propertyKey(field string) (string, bool) {
	if field == "property.key" || field == "property.value" {
		return field, true
	}
	return strings.CutPrefix(field, "@")
}

// parseTime reads what AQL takes for a date: milliseconds, or ISO 8601; without
// an offset it is the server's own zone.
func parseTime(text string, zone *time.Location) (ms int64, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) > 4 {
		return n, true
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z07:00",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), true
		}
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02", "2006-01", "2006",
	} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// relative reads "2d" and returns the moment that long before another. There is
// no unit of hours.
func relative(text string) (func(time.Time) int64, bool) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(text[:i])
	if err != nil || n > 1_000_000_000 {
		return nil, false
	}
	fixed := func(unit time.Duration) (func(time.Time) int64, bool) {
		return func(t time.Time) int64 { return t.UnixMilli() - int64(n)*unit.Milliseconds() }, true
	}
	switch text[i:] {
	case "ms", "millis":
		return fixed(time.Millisecond)
	case "s", "seconds":
		return fixed(time.Second)
	case "mi", "minutes":
		return fixed(time.Minute)
	case "d", "days":
		return fixed(24 * time.Hour)
	case "w", "weeks":
		return fixed(7 * 24 * time.Hour)
	case "mo", "months":
		return func(t time.Time) int64 { return t.AddDate(0, -min(n, 100_000), 0).UnixMilli() }, true
	case "y", "years":
		return func(t time.Time) int64 { return t.AddDate(-min(n, 10_000), 0, 0).UnixMilli() }, true
	}
	return nil, false
}
