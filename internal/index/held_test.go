package index_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

func TestChainsTellWhichFilesCameAndWent(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	const path = "app/node_modules/left/package.json"
	d := s.AddImage("1", ocitest.Image{Layers: [][]byte{
		app("1.0.0"), app("2.0.0"), layer(ocitest.File("other", "")), layer(ocitest.File("app/node_modules/left/.wh.package.json", "")),
	}})
	if _, err := index.New(l, index.Options{}).Image(t.Context(), s, d.Digest); err != nil {
		t.Fatal(err)
	}
	file := func(version string) []inventory.File {
		text := npm("left", version)
		sum := sha256.Sum256([]byte(text))
		return []inventory.File{{Path: path, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}}
	}
	want := [][2][]inventory.File{{file("1.0.0"), nil}, {file("2.0.0"), file("1.0.0")}, {nil, nil}, {nil, file("2.0.0")}}
	for i, layer := range l.images[d.Digest].Layers {
		c := l.chains[layer.ChainID]
		if diff := cmp.Diff(want[i], [2][]inventory.File{c.Files, c.FilesGone}); diff != "" {
			t.Errorf("layer %d: %s", i, diff)
		}
	}
}
