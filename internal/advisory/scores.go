package advisory

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	maxScores = 2_000_000 // EPSS rows; about 300,000 exist
	maxCVE    = 64
)

// parseKEV reads the "vulnerabilities" of CISA's catalogue. An entry without a CVE id
// is named in the problems.
func parseKEV(raw json.RawMessage) ([]inventory.KEV, []Problem, error) {
	var entries []struct {
		CVE   string `json:"cveID"`
		Added string `json:"dateAdded"`
		Due   string `json:"dueDate"`
	}
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, nil, inventory.Errorf(inventory.ErrInvalid, "catalogue of known exploited vulnerabilities: %w", err)
	}
	out := make([]inventory.KEV, 0, len(entries))
	var bad []Problem
	for i, e := range entries {
		if !isCVE(e.CVE) {
			bad = append(bad, Problem{fmt.Sprintf("entry %d", i+1), fmt.Sprintf("no CVE id: %q", clip(e.CVE, maxCVE))})
			continue
		}
		out = append(out, inventory.KEV{CVE: e.CVE, Added: day(e.Added), Due: day(e.Due)})
	}
	if len(out) == 0 {
		return nil, bad, inventory.Errorf(inventory.ErrInvalid, "catalogue of known exploited vulnerabilities: no entry")
	}
	return out, bad, nil
}

// parseEPSS reads the CSV of exploit prediction scores: comment lines, a header, rows
// of CVE, score, percentile.
func parseEPSS(r io.Reader) ([]inventory.EPSS, []Problem, error) {
	var out []inventory.EPSS
	var bad []Problem
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), 4096)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "cve,") {
			continue
		}
		row, err := parseScore(line)
		if err != nil {
			bad = append(bad, Problem{fmt.Sprintf("line %d", n), err.Error()})
			continue
		}
		if out = append(out, row); len(out) > maxScores {
			return nil, nil, inventory.Errorf(inventory.ErrInvalid, "more than %d scores", maxScores)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, inventory.Errorf(inventory.ErrInvalid, "exploit prediction scores: %w", err)
	}
	if len(out) == 0 {
		return nil, nil, inventory.Errorf(inventory.ErrInvalid, "exploit prediction scores: no row")
	}
	return out, bad, nil
}

func parseScore(line string) (inventory.EPSS, error) {
	cve, rest, _ := strings.Cut(line, ",")
	first, second, ok := strings.Cut(rest, ",")
	if !ok || !isCVE(cve) {
		return inventory.EPSS{}, fmt.Errorf("not CVE,score,percentile: %q", clip(line, 80))
	}
	score, err := fraction(first)
	if err != nil {
		return inventory.EPSS{}, err
	}
	percentile, err := fraction(second)
	if err != nil {
		return inventory.EPSS{}, err
	}
	return inventory.EPSS{CVE: strings.Clone(cve), Score: score, Percentile: percentile}, nil
}

func fraction(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("not between 0 and 1: %q", clip(s, 40))
	}
	return v, nil
}

// isCVE tells whether s is written like CVE-2024-3094.
func isCVE(s string) bool {
	year, number, ok := strings.Cut(strings.TrimPrefix(s, "CVE-"), "-")
	return ok && strings.HasPrefix(s, "CVE-") && len(s) <= maxCVE &&
		len(year) == 4 && len(number) >= 4 && digits(year) && digits(number)
}

func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func day(s string) *time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return nil
	}
	return &t
}
