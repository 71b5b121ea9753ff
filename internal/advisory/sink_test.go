package advisory_test

import (
	"context"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// sink counts, and keeps what it is given when keep is set.
type sink struct {
	keep    bool
	batches int
	records []inventory.Advisory
	kev     []inventory.KEV
	epss    []inventory.EPSS
	fail    error
}

func (s *sink) Advisories(_ context.Context, batch []inventory.Advisory) error {
	if s.batches++; s.keep {
		s.records = append(s.records, batch...)
	}
	return s.fail
}

func (s *sink) KEV(_ context.Context, entries []inventory.KEV) error {
	s.kev = append(s.kev, entries...)
	return s.fail
}

func (s *sink) EPSS(_ context.Context, scores []inventory.EPSS) error {
	s.epss = append(s.epss, scores...)
	return s.fail
}
