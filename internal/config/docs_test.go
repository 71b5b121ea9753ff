package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/config"
)

// TestDocs holds docs/config.md to the struct: every setting of the file has its row.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		if key := f.Tag.Get("yaml"); key != "-" && !strings.Contains(string(b), "| `"+key+"` |") {
			t.Errorf("docs/config.md has no row for %s", key)
		}
	}
}
