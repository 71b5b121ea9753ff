package index

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whatever osv-scalibr can read in a file system is either read here or refused
// with a reason: a new version of it that can read more fails this test.
func TestEveryExtractorIsReadOrRefused(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/osv-scalibr").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "extractor/filesystem/list/list.go"))
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{"nix": true} // by the names of directories, so it is not in the list
	for _, e := range extractors() {
		ours[e.name] = true
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`"github\.com/google/osv-scalibr/extractor/filesystem/([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		reader, read := readFor[m[1]]
		why := ""
		for at := m[1]; at != "."; at = filepath.Dir(at) {
			if refused[at] != "" {
				why, seen[at] = refused[at], true
			}
		}
		if seen[m[1]] = true; read == (why != "") || read && !ours[reader] {
			t.Errorf("%s: read by %q, refused because %q", m[1], reader, why)
		}
	}
	if len(seen) < 90 {
		t.Errorf("only %d extractors found in the module's list", len(seen))
	}
	for at := range readFor {
		if !seen[at] {
			t.Errorf("%s: there is no such extractor", at)
		}
	}
	for at := range refused {
		if !seen[at] {
			t.Errorf("%s: there is no such extractor", at)
		}
	}
}
