package e2e

import (
	"testing"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
)

// reader is the user that the program connects as; it may only read.
const (
	reader         = "tallyman"
	readerPassword = "reads-only-3b1f"
)

// simulator is an Artifactory in the test's process, with repositories and a user
// that may read them.
func simulator(t testing.TB, keys ...demo.Key) (*artifactorytest.Server, demo.Target) {
	t.Helper()
	server := artifactorytest.New(artifactorytest.Options{})
	var rules []artifactorytest.Rule
	for _, k := range keys {
		if err := server.AddRepo(artifactorytest.Repo{Key: k.Name, Type: k.PackageType, Description: k.Description}); err != nil {
			t.Fatal(err)
		}
		rules = append(rules, artifactorytest.Rule{Repo: k.Name})
	}
	server.AddUser(artifactorytest.User{Name: reader, Password: readerPassword, Rules: rules})
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the simulator: %v", err)
		}
	})
	return server, demo.Target{
		Registry: server.Host(), Username: artifactorytest.AdminName, Password: artifactorytest.AdminPassword, PlainHTTP: true,
	}
}
