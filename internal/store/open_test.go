package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// raw runs statements past the store.
func raw(t *testing.T, driver, dsn string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // a test's connection
	for _, st := range statements {
		if _, err := db.ExecContext(t.Context(), st); err != nil {
			t.Fatalf("%s: %v", st, err)
		}
	}
}

// silence makes all workers look dead.
func silence(t *testing.T, url string) {
	t.Helper()
	raw(t, "pgx", url, `UPDATE queue_worker SET beat_at = now() - interval '41 seconds'`)
}

func refused(t *testing.T, o store.Options, kind error, words ...string) {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err == nil {
		t.Error("opened", s.Close())
		return
	}
	var e *inventory.Error
	if !errors.As(err, &e) || !errors.Is(err, kind) || e.Remedy == "" {
		t.Errorf("want %v with a remedy: %v", kind, err)
	}
	for _, word := range append(words, "open") {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not say %q", err, word)
		}
	}
}

func TestOpenRefusesSQLite(t *testing.T) {
	if _, err := store.Open(t.Context(), store.Options{}); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("no directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Dir: file}); !errors.Is(err, inventory.ErrForbidden) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, store.FileName), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, store.Options{Dir: dir}, inventory.ErrInvalid, dir, "damaged")
}

func TestOpenRefusesNewer(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		driver, dsn := "pgx", o.URL
		statement := `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`
		if o.URL == "" {
			driver, dsn = "sqlite", filepath.Join(o.Dir, store.FileName)
		}
		raw(t, driver, dsn, statement)
		refused(t, o, inventory.ErrConflict, "newer Tallyman", "99999")
	})
}

func TestOpenRefusesPostgres(t *testing.T) {
	for _, bad := range []string{"postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=2", "postgres://u:hunter2@nobody.invalid/db?connect_timeout=2"} {
		_, err := store.Open(t.Context(), store.Options{URL: bad})
		if !errors.Is(err, inventory.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("unreachable: %v", err)
		}
	}
	_, err := store.Open(t.Context(), store.Options{URL: "postgres://u:hunter2@host:port/db"})
	if !errors.Is(err, inventory.ErrInvalid) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("not a URL: %v", err)
	}
	good, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	good.Path = "/not_there"
	refused(t, store.Options{URL: good.String()}, inventory.ErrNotFound, "not_there", "does not exist")
}

func TestFullDisk(t *testing.T) {
	// A limit on the file is how a full disk looks to SQLite.
	s, err := store.OpenLimited(t.Context(), store.Options{Dir: t.TempDir()}, 120)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // a test's store
	for i := range 10000 {
		layer := inventory.LayerRecord{DiffID: storetest.Digest(fmt.Sprint(i)), Indexer: 1, Body: randomish(i)}
		if err = s.SaveLayer(t.Context(), layer); err != nil {
			break
		}
	}
	if !errors.Is(err, inventory.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), "make room") {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := s.Status(t.Context()); err != nil {
		t.Errorf("the store can no longer be read: %v", err)
	}
}

// randomish does not compress.
func randomish(i int) []byte {
	var b []byte
	for j := range 64 {
		b = append(b, storetest.Digest(fmt.Sprint(i, j))...)
	}
	return b
}

func TestSecretsNeedTheirKey(t *testing.T) {
	o := sqliteOptions(t)
	s := open(t, o)
	id := storetest.Connect(t, s, "one")
	found := false
	err := filepath.WalkDir(o.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found = found || bytes.Contains(text, []byte("hunter2"))
		return err
	})
	if err != nil || found {
		t.Errorf("the secret can be read in the data directory (%v)", err)
	}
	other := open(t, o) // has a key of its own
	if _, err := other.Secrets(t.Context(), id); !errors.Is(err, inventory.ErrForbidden) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("with another key: %v", err)
	}
	keyless, err := store.Open(t.Context(), store.Options{Dir: o.Dir})
	if err != nil {
		t.Fatal(err)
	}
	defer keyless.Close() // a test's store
	if _, err := keyless.AddIntegration(t.Context(), inventory.Integration{Name: "two"}, inventory.Secrets{Password: "x"}); !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := keyless.Integration(t.Context(), "two"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("half an integration: %v", err)
	}
}

func TestReseal(t *testing.T) {
	o := sqliteOptions(t)
	old, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o.Key = old
	id := storetest.Connect(t, open(t, o), "one")
	if o.Key, err = old.Rotated(); err != nil {
		t.Fatal(err)
	}
	rotated := open(t, o)
	for want := 1; want >= 0; want-- {
		if n, err := rotated.ResealSecrets(t.Context()); err != nil || n != want {
			t.Errorf("ResealSecrets = %d, %v", n, err)
		}
	}
	if got, err := rotated.Secrets(t.Context(), id); err != nil || got.Password != "hunter2-one" {
		t.Errorf("after sealing again: %v", err)
	}
	o.Key = old
	if _, err := open(t, o).Secrets(t.Context(), id); !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("the old key still opens it: %v", err)
	}
}

// TestConcurrentSaves has many workers record images that share their lower layers.
func TestConcurrentSaves(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o store.Options) {
		s := open(t, o)
		id := storetest.Connect(t, s, "one")
		const images = 24
		var sightings []inventory.Sighting
		for i := range images {
			sightings = append(sightings, storetest.Sight(fmt.Sprintf("l/app:%d", i), storetest.Digest(fmt.Sprint("image app", i)), storetest.Start))
		}
		storetest.Look(t, s, id, storetest.Start, sightings...)
		base := storetest.Layer{Name: "base"}
		for i := range 50 {
			base.Add = append(base.Add, fmt.Sprintf("deb/p%d@1", i))
		}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := w; i < images; i += 3 { // every image is saved by two workers
					err := indexOne(context.WithoutCancel(t.Context()), s, fmt.Sprint("app", i), base)
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		st, err := s.Status(t.Context())
		if err != nil || st.Analysed != images {
			t.Errorf("%+v, %v", st.Tally, err)
		}
		size, err := s.Size(t.Context())
		if err != nil || size["chain"] != images+1 || size["chain_package"] != images+50 || size["package"] != images+50 {
			t.Errorf("%v, %v", size, err)
		}
	})
}

func indexOne(ctx context.Context, s *store.Store, name string, base storetest.Layer) error {
	img, chains := storetest.Build(name, base, storetest.Layer{Name: name, Add: []string{"npm/" + name + "@1"}})
	if err := s.SaveImage(ctx, img, chains); err != nil {
		return err
	}
	unmatched, err := s.UnmatchedPackages(ctx, img.Digest)
	if err != nil {
		return err
	}
	var purls []string
	var verdicts []inventory.Verdict
	for _, p := range unmatched {
		purls = append(purls, p.PURL)
		if p.Name == "p7" {
			verdicts = append(verdicts, storetest.Verdict("deb/p7@1", "CVE-7", inventory.High, ""))
		}
	}
	if err := s.SaveVerdicts(ctx, purls, verdicts); err != nil {
		return err
	}
	return s.FinishImage(ctx, img.Digest)
}
