package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store"
)

func noticeTests() map[string]func(t *testing.T, s *store.Store) {
	return map[string]func(t *testing.T, s *store.Store){
		"channels keep their secrets sealed":    testChannels,
		"no news before the first channel":      testNoListener,
		"told once, sent once, replayed":        testOutbox,
		"an arrival against what was there":     testArrival,
		"how far a flaw spreads":                testSpread,
		"news of the platform and of exploits":  testOtherNews,
		"messages and news commit with the job": testNoticeJobs,
	}
}

// Channel adds a webhook channel that is told everything, and returns it.
func Channel(t testing.TB, s *store.Store, name, url string, rules ...inventory.Rule) inventory.Channel {
	t.Helper()
	if len(rules) == 0 {
		rules = []inventory.Rule{{Events: inventory.NewsKinds[:], Severity: inventory.Low}}
	}
	err := s.AddChannel(t.Context(), inventory.ChannelChange{
		Name: name, Kind: inventory.ChannelWebhook, URL: url, Secret: "signed with this word", Rules: rules,
	}, "receiver.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Channel(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testChannels(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Channel(t, s, "team", "https://receiver.example/secret-path")
	secrets, err := s.ChannelSecrets(ctx, c.ID)
	if diff := cmp.Diff(inventory.ChannelSecrets{URL: "https://receiver.example/secret-path", Secret: "signed with this word"}, secrets); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if !c.HasSecret || c.Host != "receiver.example" || len(c.Rules) != 1 || c.Rules[0].Severity != inventory.Low {
		t.Errorf("%+v", c)
	}
	err = s.AddChannel(ctx, inventory.ChannelChange{Name: "team", Kind: inventory.ChannelSlack}, "x")
	if !errors.Is(err, inventory.ErrConflict) {
		t.Errorf("the same name again: %v", err)
	}
	err = s.UpdateChannel(ctx, inventory.ChannelChange{Name: "team", Kind: inventory.ChannelWebhook, Secret: "another word, as long"}, "")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err = s.ChannelSecrets(ctx, c.ID)
	if err != nil || secrets.URL != "https://receiver.example/secret-path" || secrets.Secret != "another word, as long" {
		t.Errorf("%+v %v", secrets, err)
	}
	if n, err := s.ResealSecrets(ctx); n != 0 || err != nil {
		t.Errorf("sealed %d again with the same key: %v", n, err)
	}
	if err := s.RemoveChannel(ctx, "team"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Channel(ctx, "team"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	if err := s.RemoveChannel(ctx, "team"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func news(t *testing.T, s *store.Store, settled bool) []inventory.News {
	t.Helper()
	all, err := s.News(t.Context(), settled, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testNoListener(t *testing.T, s *store.Store) {
	img := Index(t, s, "app", base)
	Judge(t, s, img.Digest)
	verdict(t, s, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""))
	Channel(t, s, "late", "https://receiver.example")
	if all := append(news(t, s, true), news(t, s, false)...); len(all) != 0 {
		t.Errorf("news of what was before: %+v", all)
	}
	verdict(t, s, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.Critical, "3.0.12"))
	all := news(t, s, true)
	if len(all) != 2 || all[0].Kind != inventory.NewsSeverity || all[0].Was != inventory.High || all[1].Kind != inventory.NewsFixable {
		t.Errorf("%+v", all)
	}
	if len(stats(t, s, store.JobNotify).Kind) == 0 {
		t.Error("no job was queued with the news")
	}
}

// verdict judges one package again.
func verdict(t *testing.T, s *store.Store, verdicts ...inventory.Verdict) {
	t.Helper()
	var purls []string
	for _, v := range verdicts {
		purls = append(purls, v.PURL)
	}
	if err := s.SaveVerdicts(t.Context(), purls, verdicts); err != nil {
		t.Fatal(err)
	}
}

func testOutbox(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Channel(t, s, "team", "https://receiver.example")
	draft := func(id string, subjects ...string) inventory.Draft {
		return inventory.Draft{Channel: c.ID, Subjects: subjects, Notice: inventory.Notice{
			ID: id, Event: inventory.NewsNew, At: Start, Title: "about " + id, References: []string{}, Findings: []inventory.NoticeFlaw{},
		}}
	}
	save := func(drafts ...inventory.Draft) {
		t.Helper()
		if err := s.SaveNotices(ctx, nil, drafts); err != nil {
			t.Fatal(err)
		}
	}
	save(draft("evt_1", "new|CVE-1", "new|CVE-1"), draft("evt_2", "new|CVE-1"), draft("evt_3", "new|CVE-1", "new|CVE-2"))
	save(draft("evt_4", "new|CVE-2"), inventory.Draft{Channel: 999, Notice: inventory.Notice{ID: "evt_5"}})
	told, err := s.Told(ctx, c.ID, []string{"new|CVE-1", "new|CVE-2", "new|CVE-3"})
	if diff := cmp.Diff(map[string]bool{"new|CVE-1": true, "new|CVE-2": true}, told); diff != "" || err != nil {
		t.Error(diff, err)
	}
	states := func(f inventory.DeliveryFilter) string {
		t.Helper()
		all, err := s.Deliveries(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range all {
			out = append(out, d.Notice.ID+" "+d.State)
		}
		return strings.Join(out, ", ")
	}
	if got := states(inventory.DeliveryFilter{}); got != "evt_3 waiting, evt_1 waiting" {
		t.Errorf("messages: %s", got)
	}
	for _, err := range []error{
		s.DeliveryFailed(ctx, "evt_1", "no answer", false), s.DeliverySent(ctx, "evt_1", "HTTP 200"), s.DeliveryFailed(ctx, "evt_1", "too late", true),
		s.DeliveryFailed(ctx, "evt_3", "no answer", false), s.DeliveryFailed(ctx, "evt_3", "no answer", true),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d, _, err := s.Delivery(ctx, "evt_1")
	if err != nil || d.State != inventory.DeliverySent || d.Attempts != 2 || d.Receipt != "HTTP 200" || d.Sent == nil || d.Problem != "" {
		t.Errorf("%+v %v", d, err)
	}
	one, err := s.Channel(ctx, "team")
	if err != nil || one.Sent != 1 || one.Dead != 1 || one.Waiting != 0 || one.LastSent == nil || one.Problem != "no answer" {
		t.Errorf("%+v %v", one, err)
	}
	if n, err := s.Replay(ctx, inventory.DeliveryFilter{Channel: "team", State: inventory.DeliveryDead}); n != 1 || err != nil {
		t.Errorf("replayed %d: %v", n, err)
	}
	if got := states(inventory.DeliveryFilter{Channel: "team", State: inventory.DeliveryWaiting}); got != "evt_3 waiting" {
		t.Errorf("replayed: %s", got)
	}
	if err := s.PruneNotices(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := states(inventory.DeliveryFilter{}); got != "evt_3 waiting" {
		t.Errorf("pruned: %s", got)
	}
	if _, _, err := s.Delivery(ctx, "evt_1"); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("a pruned message: %v", err)
	}
}

// Reconcile records a complete listing.
func Reconcile(t testing.TB, s *store.Store, id int64, at time.Time, sightings ...inventory.Sighting) {
	t.Helper()
	_, err := s.RecordLook(t.Context(), inventory.Look{Integration: id, Kind: inventory.LookReconcile, Sightings: sightings, At: at, Indexer: 1})
	if err != nil {
		t.Fatal(err)
	}
}

func testArrival(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := Connect(t, s, "one")
	old := Index(t, s, "old", base)
	Look(t, s, id, Start, Sight("local/app:1", old.Digest, Start))
	Judge(t, s, old.Digest, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""))
	arrival := func(d string) inventory.Arrival {
		t.Helper()
		a, err := s.Arrival(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := arrival(old.Digest); len(a.Places) != 0 {
		t.Errorf("before the first complete listing: %+v", a)
	}
	Reconcile(t, s, id, After(time.Minute), Sight("local/app:1", old.Digest, After(time.Minute)))
	if a := arrival(old.Digest); len(a.Places) != 0 {
		t.Errorf("what the first listing found: %+v", a)
	}
	fresh := Index(t, s, "fresh", base, app)
	at := After(2 * time.Minute)
	Look(t, s, id, at, Sight("local/app:1", fresh.Digest, at), Sight("local/other:1", fresh.Digest, at))
	Judge(t, s, fresh.Digest, Verdict("npm/left-pad@1.0.0", "CVE-2", inventory.Critical, "4.18.1"))
	a := arrival(fresh.Digest)
	var flaws []string
	for _, f := range a.Flaws {
		flaws = append(flaws, f.ID+" "+f.Severity+" "+strings.Join(f.Packages, ","))
	}
	if len(a.Places) != 2 {
		t.Fatalf("%+v", a)
	}
	had := map[string]map[string]bool{}
	for _, p := range a.Places {
		had[p.Reference] = p.Had
	}
	want := map[string]map[string]bool{"one.example/local/app:1": {"CVE-1": true}, "one.example/local/other:1": {}}
	if diff := cmp.Diff(want, had); diff != "" {
		t.Error(diff, flaws)
	}
	if err := s.Disconnect(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	if a := arrival(fresh.Digest); len(a.Places) != 0 {
		t.Errorf("disconnected: %+v", a)
	}
}

func testSpread(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := Connect(t, s, "one"), Connect(t, s, "two")
	left := Index(t, s, "left", base, app)
	right := Index(t, s, "right", base, Layer{Name: "r", Remove: []string{"deb/openssl@3.0.11"}})
	other := Index(t, s, "other", base, Layer{Name: "o", Add: []string{"npm/owned@1 of openssl", "npm/free@1"}})
	Look(t, s, one, Start, Sight("local/left:1", left.Digest, Start), Sight("local/left:2", left.Digest, Start), Sight("local/right:1", right.Digest, Start), Sight("local/multi:1", Digest("index"), Start))
	Look(t, s, two, Start, Sight("far/other:1", other.Digest, Start))
	err := s.SaveImage(ctx, inventory.Image{Digest: Digest("index"), Kind: inventory.IndexKind, Indexer: 1, Members: []inventory.IndexMember{
		{Digest: left.Digest, Kind: inventory.ImageKind, Platform: "linux/amd64"}, {Digest: right.Digest, Kind: inventory.ImageKind, Platform: "linux/arm64"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range []inventory.Image{left, right, other} {
		Judge(t, s, img.Digest)
	}
	verdict(t, s, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""), Verdict("npm/owned@1", "CVE-2", inventory.High, ""))
	images := func(flaws, purls []string, within func(string) bool) (n int, first string) {
		t.Helper()
		sp, err := s.Spread(ctx, flaws, purls, within)
		if err != nil {
			t.Fatal(err)
		}
		return sp.Images, strings.Join(sp.References, " ")
	}
	all := func(string) bool { return true }
	if n, refs := images([]string{"CVE-1"}, nil, all); n != 3 || !strings.Contains(refs, "one.example/local/left:") || !strings.Contains(refs, "two.example/far/other:1") {
		t.Errorf("%d: %s", n, refs)
	}
	if n, refs := images(nil, []string{Package("deb/openssl@3.0.11").PURL}, func(r string) bool { return r == "far/other" }); n != 1 {
		t.Errorf("in one repository: %d: %s", n, refs)
	}
	if n, refs := images([]string{"CVE-2"}, nil, all); n != 0 {
		t.Errorf("a part of a distribution's package: %d: %s", n, refs)
	}
	if err := s.Disconnect(ctx, "two"); err != nil {
		t.Fatal(err)
	}
	if n, refs := images([]string{"CVE-1"}, nil, all); n != 2 || strings.Contains(refs, "far") {
		t.Errorf("disconnected: %d: %s", n, refs)
	}
	flaws, err := s.Flaws(ctx, []string{"CVE-1", "CVE-9"})
	if err != nil || len(flaws) != 1 || flaws["CVE-1"].Packages[0] != "openssl 3.0.11" || flaws["CVE-1"].Summary != "about CVE-1" {
		t.Errorf("%+v %v", flaws, err)
	}
}

func testOtherNews(t *testing.T, s *store.Store) {
	ctx := t.Context()
	Channel(t, s, "team", "https://receiver.example")
	id := Connect(t, s, "one")
	img := Index(t, s, "app", base)
	Judge(t, s, img.Digest, Verdict("deb/openssl@3.0.11", "CVE-1", inventory.High, ""))
	kev := func(cves ...string) {
		t.Helper()
		var all []inventory.KEV
		for _, cve := range cves {
			all = append(all, inventory.KEV{CVE: cve})
		}
		if err := s.SaveKEV(ctx, all); err != nil {
			t.Fatal(err)
		}
	}
	kinds := func(settled bool) (out []string) {
		t.Helper()
		for _, n := range news(t, s, settled) {
			out = append(out, n.Kind+" "+n.Flaw+n.Reference)
		}
		return out
	}
	kev("CVE-0")
	kev("CVE-0", "CVE-1", "CVE-2")
	kev("CVE-0", "CVE-1", "CVE-2")
	if diff := cmp.Diff([]string{"kev CVE-1"}, kinds(true)); diff != "" {
		t.Error(diff)
	}
	for _, state := range []string{inventory.IntegrationError, inventory.IntegrationError, inventory.IntegrationConnected} {
		if err := s.SetIntegrationState(ctx, id, state, "no access", "give it"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AdvisoriesSynced(ctx, "osv", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []time.Duration{2 * time.Hour, time.Minute, time.Minute} {
		if err := s.CheckFeeds(ctx, limit); err != nil {
			t.Fatal(err)
		}
	}
	got := kinds(false)
	if len(got) != 3 || got[0] != "new " || got[1] != "integration_broken one" || !strings.HasPrefix(got[2], "feed_stale 20") {
		t.Errorf("%q", got)
	}
	if ok, err := s.Settled(ctx); !ok || err != nil {
		t.Errorf("settled %t %v", ok, err)
	}
	save(t, s, Advisory("A-1", Start, "Debian:12/openssl"))
	if ok, err := s.Settled(ctx); ok || err != nil {
		t.Errorf("settled %t %v while a package waits", ok, err)
	}
}

func testNoticeJobs(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Channel(t, s, "team", "https://receiver.example")
	id := Connect(t, s, "one")
	if err := s.SetIntegrationState(ctx, id, inventory.IntegrationDegraded, "one key", ""); err != nil {
		t.Fatal(err)
	}
	all := news(t, s, false)
	if len(all) != 1 || stats(t, s, store.JobNotify).Waiting != 1 {
		t.Fatalf("%+v %+v", all, stats(t, s, store.JobNotify))
	}
	err := s.SaveNotices(ctx, []int64{all[0].ID}, []inventory.Draft{{Channel: c.ID, Notice: inventory.Notice{ID: "evt_1", At: Start}}})
	if err != nil {
		t.Fatal(err)
	}
	if left := news(t, s, false); len(left) != 0 || stats(t, s, store.JobSend).Waiting != 1 {
		t.Errorf("%+v %+v", left, stats(t, s, store.JobSend))
	}
}
