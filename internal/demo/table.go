package demo

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed data/*.txt
var tables embed.FS

// table reads the rows of one set from an embedded table; columns says how many
// fields a row must have. The first field, the set, is left out of what it returns.
func table(name, set string, columns int) ([][]string, error) {
	raw, err := tables.ReadFile("data/" + name)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", name, err)
	}
	var rows [][]string
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(fields) != columns {
			return nil, fmt.Errorf("table %s: %q has %d fields, not %d", name, line, len(fields), columns)
		}
		if fields[0] == set {
			rows = append(rows, fields[1:])
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("table %s has no set %q", name, set)
	}
	return rows, nil
}

// age says which of a table's versions an image holds.
type age int

const (
	oldest age = iota
	middle
	newest
)

// upgraded picks the version of a two-column table: the last but for an empty one.
func upgraded(when age, old, upgrade string) string {
	if when == oldest || upgrade == "" {
		return old
	}
	return upgrade
}
