package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func integrationTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"add, read, update":     testIntegration,
		"secrets":               testSecrets,
		"keys":                  testKeys,
		"what a key has":        testKeyFigures,
		"state":                 testState,
		"disconnect keeps data": testDisconnect,
	}
}

func testIntegration(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "beta")
	Connect(t, s, "alpha")
	if _, err := s.AddIntegration(ctx, inventory.Integration{Name: "beta"}, inventory.Secrets{}); !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("the same name again: %v", err)
	}
	all, err := s.Integrations(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "alpha" || all[1].Name != "beta" {
		t.Fatalf("Integrations = %+v, %v", all, err)
	}
	in, err := s.IntegrationByID(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if in.Repositories == nil || in.Keys == nil || !in.HasSecret || in.HookSecret || in.State != inventory.IntegrationConnected {
		t.Errorf("read back: %+v", in)
	}
	in.Repositories, in.Exclude, in.SubdomainMode = []string{"docker-local", "x"}, []string{"tmp/**"}, true
	if err := s.UpdateIntegration(ctx, in, nil); err != nil {
		t.Fatal(err)
	}
	got, err := s.Integration(ctx, "beta")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Integration(ctx, "gamma"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("unknown name: %v", err)
	}
	if err := s.UpdateIntegration(ctx, inventory.Integration{Name: "gamma"}, nil); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("update of an unknown name: %v", err)
	}
}

func testSecrets(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	got, err := s.Secrets(ctx, id)
	if err != nil || got != (inventory.Secrets{Password: "hunter2-one"}) {
		t.Fatalf("Secrets = %v", err)
	}
	in, err := s.Integration(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	// A blank secret keeps the one that is saved.
	if err := s.UpdateIntegration(ctx, in, &inventory.Secrets{Webhook: "hook"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Secrets(ctx, id); err != nil || got != (inventory.Secrets{Password: "hunter2-one", Webhook: "hook"}) {
		t.Errorf("after an update of one: %v", err)
	}
	if _, err := s.Secrets(ctx, id+99); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

func testKeys(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	checked, tags := Start, 7
	keys := []inventory.RepositoryKey{
		{Key: "docker-local", OK: true, Class: "local", PackageType: "docker", Checked: &checked, Tags: &tags},
		{Key: "npm-local", Error: "type is npm", Remedy: "leave it out"},
	}
	for range 2 {
		if err := s.SaveKeys(ctx, id, append(keys, keys[0])); err != nil {
			t.Fatal(err)
		}
	}
	in, err := s.Integration(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys, in.Keys); diff != "" {
		t.Error(diff)
	}
	if err := s.SaveKeys(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
	if in, err = s.Integration(ctx, "one"); err != nil || len(in.Keys) != 0 {
		t.Errorf("keys after saving none: %v, %v", in.Keys, err)
	}
}

// testKeyFigures holds a key's bytes to the analysed images that its tags name, and its
// tags to the last full listing.
func testKeyFigures(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	plain, part := Index(t, s, "plain", base, app), Index(t, s, "part", base)
	Judge(t, s, plain.Digest)
	Judge(t, s, part.Digest)
	list := inventory.Image{
		Digest: Digest("list"), Kind: inventory.IndexKind, Indexer: 1,
		Members: []inventory.IndexMember{
			{Digest: part.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"},
			{Digest: Digest("nobody looked"), Kind: inventory.ImageKind, Platform: "linux/arm64"},
		},
	}
	if err := s.SaveImage(ctx, list, nil); err != nil {
		t.Fatal(err)
	}
	Look(t, s, id, Start,
		Sight("local/a:1", plain.Digest, Start), Sight("local/a:latest", plain.Digest, Start), Sight("local/b:1", plain.Digest, Start),
		Sight("local/list:1", list.Digest, Start), Sight("local/list:part", part.Digest, Start),
		Sight("new/a:1", Digest("waits"), Start), Sight("other/a:1", part.Digest, Start))
	listed, tested := 6, []inventory.RepositoryKey{{Key: "local", OK: true}, {Key: "new", OK: true}, {Key: "other", OK: true}}
	for _, keys := range [][]inventory.RepositoryKey{{{Key: "local", OK: true, Tags: &listed}, {Key: "new"}, {Key: "other"}}, tested} {
		if err := s.SaveKeys(ctx, id, keys); err != nil {
			t.Fatal(err)
		}
	}
	in, err := s.Integration(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	want := []inventory.RepositoryKey{
		{Key: "local", OK: true, Tags: &listed, Bytes: plain.Size + part.Size}, {Key: "new", OK: true}, {Key: "other", OK: true, Bytes: part.Size},
	}
	if diff := cmp.Diff(want, in.Keys); diff != "" {
		t.Error(diff)
	}
}

func testState(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	if err := s.SetIntegrationState(ctx, id, inventory.IntegrationDegraded, "one key fails", "see it"); err != nil {
		t.Fatal(err)
	}
	in, err := s.Integration(ctx, "one")
	if err != nil || in.State != inventory.IntegrationDegraded || in.Problem != "one key fails" || in.Remedy != "see it" {
		t.Errorf("%+v, %v", in, err)
	}
	if err := s.SetIntegrationState(ctx, id+99, "error", "", ""); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

func testDisconnect(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	Look(t, s, id, Start, Sight("local/app:1", Digest("a"), Start))
	for range 2 {
		if err := s.Disconnect(ctx, "one"); err != nil {
			t.Fatal(err)
		}
	}
	in, err := s.Integration(ctx, "one")
	if err != nil || in.State != inventory.IntegrationDisconnected || in.HasSecret || in.Disconnected == nil {
		t.Errorf("%+v, %v", in, err)
	}
	if got, err := s.Secrets(ctx, id); err != nil || got != (inventory.Secrets{}) {
		t.Errorf("secrets are still there: %v", err)
	}
	// A look that was still running finds the tags frozen.
	res := Look(t, s, id, After(1), Sight("local/app:2", Digest("b"), After(1)))
	if res != (inventory.LookResult{}) {
		t.Errorf("a late look changed something: %+v", res)
	}
	if err := s.SetIntegrationState(ctx, id, inventory.IntegrationConnected, "", ""); err != nil {
		t.Fatal(err)
	}
	page, err := s.Tags(ctx, inventory.TagFilter{})
	if err != nil || page.Total != 1 || !strings.HasSuffix(page.Rows[0].Reference, "local/app:1") {
		t.Errorf("Tags = %+v, %v", page, err)
	}
	if src, err := s.Sources(ctx, Digest("a")); err != nil || len(src) != 0 {
		t.Errorf("Sources = %v, %v", src, err)
	}
	// New credentials bring it back.
	in.State = ""
	if err := s.UpdateIntegration(ctx, in, &inventory.Secrets{Password: "new"}); err != nil {
		t.Fatal(err)
	}
	if in, err = s.Integration(ctx, "one"); err != nil || in.State != inventory.IntegrationConnected || in.Disconnected != nil {
		t.Errorf("after new credentials: %+v, %v", in, err)
	}
}
