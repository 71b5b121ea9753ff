package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func trendTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"history of counts": testTrend,
		"what happened":     testHappened,
	}
}

func testTrend(t *testing.T, s *store.Store) {
	ctx := t.Context()
	points, err := s.Trend(ctx, time.Time{})
	if err != nil || len(points) != 1 || points[0].Total() != 0 {
		t.Fatalf("an empty ledger: %+v, %v", points, err)
	}
	if err := s.RecordTrend(ctx); err != nil {
		t.Fatal(err)
	}
	threeImages(t, s)
	judgeFleet(t, s, Verdict("deb/openssl@3.0.9", "CVE-1", inventory.Critical, "3.0.12"))
	if err := s.RecordTrend(ctx); err != nil { // too soon after the first: nothing is written
		t.Fatal(err)
	}
	judgeFleet(t, s)
	if err := s.SaveVerdicts(ctx, []string{"pkg:deb/openssl@3.0.9"}, []inventory.Verdict{
		Verdict("deb/openssl@3.0.9", "CVE-1", inventory.Critical, "3.0.12"), Verdict("deb/openssl@3.0.9", "CVE-2", inventory.High, ""),
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.AdvisoriesSynced(ctx, "Debian", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base", "keeps", "drops", "again"} {
		if err := s.FinishImage(ctx, Digest("image "+name)); err != nil {
			t.Fatal(err)
		}
	}
	points = awaitTrend(t, s, 2)
	now := points[len(points)-1]
	if len(points) != 2 || points[0].Total() != 0 {
		t.Errorf("%d points, first %+v", len(points), points[0])
	}
	if now.Critical != 1 || now.High != 1 || now.FixableBy != [5]int{1} || now.Tags != 4 || now.Analysed != 4 {
		t.Errorf("now: %+v", now)
	}
	if diff := cmp.Diff([]string{"Debian"}, now.Advisories); diff != "" || now.Appeared != 1 || now.Indexed != 4 {
		t.Errorf("since the first point: %+v %s", now.TrendNews, diff)
	}
	feeds, err := s.Feeds(ctx)
	if err != nil || len(feeds) != 1 || feeds[0].Name != "Debian" {
		t.Errorf("feeds: %+v, %v", feeds, err)
	}
}

// awaitTrend waits until the newest census has seen so many flaws.
func awaitTrend(t *testing.T, s *store.Store, flaws int) []inventory.TrendPoint {
	t.Helper()
	for range 200 {
		points, err := s.Trend(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if points[len(points)-1].Total() == flaws {
			return points
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%d flaws were never counted", flaws)
	return nil
}

func testHappened(t *testing.T, s *store.Store) {
	ctx := t.Context()
	threeImages(t, s)
	judgeFleet(t, s)
	if err := s.FinishImage(ctx, Digest("image keeps")); err != nil {
		t.Fatal(err)
	}
	openssl := "pkg:deb/openssl@3.0.9"
	for _, v := range []inventory.Verdict{Verdict("deb/openssl@3.0.9", "CVE-1", inventory.Critical, ""), Verdict("deb/openssl@3.0.9", "CVE-1", inventory.High, "2")} {
		if err := s.SaveVerdicts(ctx, []string{openssl}, []inventory.Verdict{v}); err != nil {
			t.Fatal(err)
		}
	}
	kinds := func(list []inventory.FleetEvent, err error) (out []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			out = append(out, e.Kind)
		}
		return out
	}
	if diff := cmp.Diff([]string{store.EventBecameFixable, store.EventSeverityChanged, store.EventFindingAppeared}, kinds(s.Happened(ctx, 10))); diff != "" {
		t.Error(diff)
	}
	if got := kinds(s.Happened(ctx, 1)); len(got) != 1 {
		t.Errorf("one was asked for, got %v", got)
	}
	findings := []inventory.Finding{{ID: "CVE-1", PURL: openssl, Severity: inventory.High}}
	got := kinds(s.HappenedTo(ctx, []string{Digest("image keeps")}, findings, 10))
	if len(got) != 4 || got[3] != store.EventImageIndexed {
		t.Errorf("of an image: %v", got)
	}
	if got := kinds(s.HappenedTo(ctx, []string{Digest("image nothing")}, nil, 10)); len(got) != 0 {
		t.Errorf("of an image that nobody knows: %v", got)
	}
}
