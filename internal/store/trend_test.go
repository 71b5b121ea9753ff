package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/store"
)

// TestTrendGrowsThin: what is old keeps a point an hour, then a day, and nothing that
// happened is lost.
func TestTrendGrowsThin(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, o store.Options) {
		const hour, day = time.Hour, 24 * time.Hour
		now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		clock := now
		o.Now = func() time.Time { return clock }
		s := open(t, o)
		var at []time.Time
		for i := range 5 {
			at = append(at, now.Add(-200*day+time.Duration(i)*hour), now.Add(-10*day+time.Duration(i)*20*time.Minute), now.Add(-hour+time.Duration(i)*10*time.Minute))
		}
		slices.SortFunc(at, time.Time.Compare)
		var feeds []string
		for i, moment := range append(at, now) {
			feeds = append(feeds, fmt.Sprintf("feed %02d", i))
			if err := s.AdvisoriesSynced(t.Context(), feeds[i], moment.Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			clock = moment
			if err := s.RecordTrend(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		clock = now.Add(time.Second)
		points, err := s.Trend(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		var told []string
		for _, p := range points[:len(points)-1] { // the last is now
			got = append(got, now.Sub(p.At))
			told = append(told, p.Advisories...)
		}
		want := []time.Duration{
			200*day - 4*hour, 10*day - 40*time.Minute, 10*day - 80*time.Minute,
			hour, 50 * time.Minute, 40 * time.Minute, 30 * time.Minute, 20 * time.Minute, 0,
		}
		// Before the first point there is nothing to tell the first feed from.
		if diff := cmp.Diff(want, got) + cmp.Diff(feeds[1:], told); diff != "" {
			t.Error(diff)
		}
		if recent, err := s.Trend(t.Context(), now.Add(-2*hour)); err != nil || len(recent) != 7 {
			t.Errorf("the last two hours: %d points, %v", len(recent), err)
		}
	})
}
