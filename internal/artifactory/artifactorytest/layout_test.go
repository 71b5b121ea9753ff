package artifactorytest_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func remoteRef(ref string) (name.Reference, error) { return name.ParseReference(ref, name.Insecure) }

// storageTree lists the files below a path, as ?list shows them.
func storageTree(t *testing.T, s *artifactorytest.Server, repo, path string) []string {
	t.Helper()
	got := send(t, s, ask{path: "/artifactory/api/storage/" + repo + "/" + path + "?list&deep=1", who: admin})
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	list := decode[struct {
		Files []struct{ URI string }
	}](t, got.body)
	var files []string
	for _, f := range list.Files {
		files = append(files, f.URI)
	}
	return files
}
