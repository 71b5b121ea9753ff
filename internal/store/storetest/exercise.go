package storetest

import (
	"testing"

	"github.com/tallyman-dev/tallyman/internal/store"
)

// Exercise runs everything the store promises on the stores that open makes, each on an
// empty database that ends with the test.
func Exercise(t *testing.T, open func(t *testing.T) *store.Store) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests map[string]func(t *testing.T, s *store.Store)
	}{
		{"integrations", integrationTests()},
		{"looks", lookTests()},
		{"baseline", baselineTests()},
		{"layers", layerTests()},
		{"images", imageTests()},
		{"matching", matchTests()},
		{"reading", readTests()},
		{"holders", holderTests()},
		{"fleet", fleetTests()},
		{"exceptions", exceptionTests()},
		{"advice", adviceTests()},
		{"jobs", jobTests()},
		{"notices", noticeTests()},
		{"watchers", watcherTests()},
		{"trend", trendTests()},
		{"accounts", accountTests()},
		{"watches", watchTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, open(t))
				})
			}
		})
	}
}
