package demo_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
)

// TestPushFillsTheSimulator pushes to what the command pushes to, with its
// permissions and its token dance.
func TestPushFillsTheSimulator(t *testing.T) {
	t.Parallel()
	server := artifactorytest.New(artifactorytest.Options{})
	for _, k := range demo.Keys() {
		if err := server.AddRepo(artifactorytest.Repo{Key: k.Name, Type: k.PackageType, Description: k.Description}); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	target := demo.Target{
		Registry: server.Host(), Username: artifactorytest.AdminName, Password: artifactorytest.AdminPassword, PlainHTTP: true,
	}
	started := time.Now()
	if err := shared(t).Push(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	t.Logf("pushed in %s", time.Since(started).Round(time.Millisecond))
}
