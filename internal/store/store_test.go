package store_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// options of a database of its own for t.
func sqliteOptions(t *testing.T) store.Options {
	return store.Options{Dir: t.TempDir()}
}

func postgresOptions(t *testing.T) store.Options {
	return store.Options{URL: storetest.Postgres(t)}
}

// eachDatabase runs a test on both, for the tests that are not in the suite.
func eachDatabase(t *testing.T, test func(t *testing.T, options store.Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteOptions(t)) })
	t.Run("Postgres", func(t *testing.T) { test(t, postgresOptions(t)) })
}

func opener(options func(t *testing.T) store.Options) func(t *testing.T) *store.Store {
	return func(t *testing.T) *store.Store {
		t.Helper()
		return open(t, options(t))
	}
}

func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	if o.Key.IsZero() {
		key, err := seal.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		o.Key = key
	}
	o.KeysOf = storetest.KeysOf
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, opener(sqliteOptions))
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	template := storetest.NewTemplate(t, func(url string) {
		s, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	storetest.Exercise(t, opener(func(t *testing.T) store.Options { return store.Options{URL: template.Copy(t)} }))
}
