package match

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// makeFacts writes testdata anew from the full truth:
// go test ./internal/match -run TestMakeFacts -make-facts
var makeFacts = flag.Bool("make-facts", false, "write testdata from the full truth")

const (
	factPairs    = "testdata/pairs.jsonl"
	factRecords  = "testdata/records.jsonl"
	factVersions = "testdata/versions.txt"
	goldenFile   = "testdata/golden.json"
)

// score is what the facts in testdata are worth: how much of what must match is found,
// how little of what must not is reported. A drop fails the build.
type score struct {
	Must     int `json:"must_match"`
	Found    int `json:"found"`
	MustNot  int `json:"must_not_match"`
	Reported int `json:"wrongly_reported"`
	Lines    int `json:"version_lines"`
	Right    int `json:"version_lines_right"`
}

func TestGolden(t *testing.T) {
	l := newLedger()
	for _, a := range readLines[inventory.Advisory](t, factRecords) {
		l.add(a)
	}
	var got score
	for _, p := range readLines[pair](t, factPairs) {
		hit := found(Verdicts(p.pkg(), l.of(p.pkg())), p.ID)
		switch {
		case p.Expected && hit:
			got.Must++
			got.Found++
		case p.Expected:
			got.Must++
			t.Errorf("missed: %s %s %s: %s", p.Ecosystem, p.Name, p.Version, p.ID)
		case hit:
			got.MustNot++
			got.Reported++
			t.Errorf("wrongly reported: %s %s %s: %s", p.Ecosystem, p.Name, p.Version, p.ID)
		default:
			got.MustNot++
		}
	}
	raw, err := os.ReadFile(factVersions)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		part := strings.Split(strings.TrimSpace(line), "\t")
		if len(part) != 4 {
			t.Fatalf("bad line %q", line)
		}
		got.Lines++
		if c, err := Compare(part[0], part[1], part[3]); err == nil && c == strings.Index("<=>", part[2])-1 {
			got.Right++
		} else {
			t.Errorf("%s: %s %s %s: got %d (%v)", part[0], part[1], part[2], part[3], c, err)
		}
	}
	var want score
	raw, err = os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, golden says %+v", got, want)
	}
}

// TestMakeFacts takes a part of the full truth, and of each record only what decides:
// ids, names, ranges and versions. No text of anybody's advisory is kept.
func TestMakeFacts(t *testing.T) {
	if !*makeFacts {
		t.Skip("only with -make-facts")
	}
	root := truthData(t)
	l := load(t, filepath.Join(root, "osv"))
	var want score
	pairs, records := []any{}, map[string]any{}
	taken := map[string]int{}
	for _, p := range readLines[pair](t, filepath.Join(root, "truth", "eval-pairs.jsonl")) {
		base, _ := split(p.Ecosystem)
		kind := base + map[bool]string{true: "+", false: "-"}[p.Expected]
		if taken[kind]++; !p.Clean || taken[kind] > 25 {
			continue
		}
		pairs = append(pairs, p)
		if p.Expected {
			want.Must++
			want.Found++
		} else {
			want.MustNot++
		}
		for _, a := range l.of(p.pkg()) {
			if a.ID == p.ID {
				records[a.ID] = bareFacts(p.pkg(), a)
			}
		}
	}
	sorted := make([]any, 0, len(records))
	for _, id := range sortedKeys(records) {
		sorted = append(sorted, records[id])
	}
	writeLines(t, factPairs, pairs)
	writeLines(t, factRecords, sorted)
	want.Lines = makeVersions(t, root)
	want.Right = want.Lines
	raw, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, goldenFile, append(raw, '\n'))
}

func bareFacts(p inventory.Package, a inventory.Advisory) inventory.Advisory {
	bare := inventory.Advisory{ID: a.ID, Modified: a.Modified, Withdrawn: a.Withdrawn, Aliases: a.Aliases, Upstream: a.Upstream}
	s := newSubject(p)
	for _, entry := range a.Affected {
		if s.named(&entry) {
			entry.Severity = nil
			bare.Affected = append(bare.Affected, entry)
		}
	}
	return bare
}

func makeVersions(t *testing.T, root string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "versions", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	n := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		step, i := 1, 0
		if strings.Contains(file, "generated") {
			step = 100
		}
		for line := range strings.Lines(string(raw)) {
			part := strings.Fields(line)
			if len(part) != 3 || strings.HasPrefix(part[0], "#") || strings.HasPrefix(part[0], "//") {
				continue
			}
			if i++; i%step == 0 {
				out.WriteString(ecosystemOfFile(file) + "\t" + strings.Join(part, "\t") + "\n")
				n++
			}
		}
	}
	writeFile(t, factVersions, []byte(out.String()))
	return n
}

func writeLines(t *testing.T, file string, lines []any) {
	t.Helper()
	var out []byte
	for _, line := range lines {
		raw, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, raw...), '\n')
	}
	writeFile(t, file, out)
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
