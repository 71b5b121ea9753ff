package notify_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/notify"
	"github.com/tallyman-dev/tallyman/internal/store"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

var base = storetest.Layer{Name: "base", Add: []string{"deb/openssl@3.0.11", "deb/zlib@1.2"}} //nolint:gochecknoglobals // a constant of the tests

// world is a ledger, a notifier over it and a receiver.
type world struct {
	t    *testing.T
	s    *store.Store
	n    *notify.Notifier
	rc   *receiver
	id   int64 // of the integration
	at   time.Time
	seen int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir())
}

func newWorldIn(t *testing.T, dir string) *world {
	t.Helper()
	s := openIn(t, dir)
	w := &world{t: t, s: s, n: notify.New(s, notify.Options{Client: notify.NewClient()}), rc: listen(t), at: storetest.Start}
	w.id = storetest.Connect(t, s, "one")
	return w
}

func (w *world) channel(rules ...inventory.Rule) {
	w.t.Helper()
	storetest.Channel(w.t, w.s, "team", w.rc.URL, rules...)
}

// push is a look that sees tags, and the analysis of an image.
func (w *world) push(name string, layers []storetest.Layer, refs []string, verdicts ...inventory.Verdict) string {
	w.t.Helper()
	img, chains := storetest.Build(name, layers...)
	w.at = w.at.Add(time.Minute)
	var sightings []inventory.Sighting
	for _, ref := range refs {
		sightings = append(sightings, storetest.Sight(ref, img.Digest, w.at))
	}
	storetest.Look(w.t, w.s, w.id, w.at, sightings...)
	if err := w.s.SaveImage(w.t.Context(), img, chains); err != nil {
		w.t.Fatal(err)
	}
	storetest.Judge(w.t, w.s, img.Digest, verdicts...)
	return img.Digest
}

func (w *world) reconcile() {
	w.t.Helper()
	live, err := w.s.LiveTags(w.t.Context(), w.id, "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.at = w.at.Add(time.Minute)
	var sightings []inventory.Sighting
	for _, l := range live {
		sightings = append(sightings, storetest.Sight(l.Key+"/"+l.Image+":"+l.Tag, l.Digest, w.at))
	}
	storetest.Reconcile(w.t, w.s, w.id, w.at, sightings...)
}

// told collects, sends, and returns the titles of the messages that came.
func (w *world) told() []string {
	w.t.Helper()
	ctx := w.t.Context()
	for _, settled := range []bool{false, true} {
		if again, err := w.n.Collect(ctx, settled); err != nil || again != 0 {
			w.t.Fatal(again, err)
		}
	}
	waiting, err := w.s.Deliveries(ctx, inventory.DeliveryFilter{State: inventory.DeliveryWaiting, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := len(waiting) - 1; i >= 0; i-- {
		if err := w.n.Send(ctx, waiting[i].Notice.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	all := w.rc.notices(w.t)
	titles := []string{}
	for _, n := range all[w.seen:] {
		titles = append(titles, n.Title)
	}
	w.seen = len(all)
	return titles
}

func (w *world) want(what string, titles ...string) {
	w.t.Helper()
	if titles == nil {
		titles = []string{}
	}
	if diff := cmp.Diff(titles, w.told()); diff != "" {
		w.t.Errorf("%s (-want +told):\n%s", what, diff)
	}
}

func (w *world) judge(verdicts ...inventory.Verdict) {
	w.t.Helper()
	var purls []string
	for _, v := range verdicts {
		purls = append(purls, v.PURL)
	}
	if err := w.s.SaveVerdicts(w.t.Context(), purls, verdicts); err != nil {
		w.t.Fatal(err)
	}
}

const openssl = "deb/openssl@3.0.11"

// TestQuiet: what the first look finds is not news; a flaw is told once, whoever
// brings it again; a channel that asks for less is told less.
func TestQuiet(t *testing.T) {
	w := newWorld(t)
	w.channel()
	high := storetest.Verdict(openssl, "CVE-1", inventory.High, "")
	w.push("first", []storetest.Layer{base}, []string{"local/app:1"}, high)
	w.want("before the first complete listing")
	w.reconcile()
	w.want("the first complete listing")
	layer := func(name, add string) []storetest.Layer {
		return []storetest.Layer{base, {Name: name, Add: []string{add}}}
	}
	w.push("second", layer("2", "npm/free@1"), []string{"local/app:2"})
	w.want("the same flaws in the same repository")
	left := storetest.Verdict("npm/left@1", "CVE-2", inventory.Critical, "1.1")
	w.push("third", layer("3", "npm/left@1"), []string{"local/app:3", "local/app:latest"}, left, storetest.Verdict("npm/left@1", "CVE-3", inventory.Low, ""))
	w.want("a push", "one.example/local/app:3 brings 1 critical, 1 low")
	w.push("fourth", layer("4", "npm/left@1"), []string{"local/other:1"})
	w.want("what was there before any channel knew, in a new repository", "one.example/local/other:1 brings 1 high")
	w.push("fifth", layer("5", "npm/left@1"), []string{"local/third:1"})
	w.want("everything was told")
	if err := w.s.Disconnect(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	w.judge(high, storetest.Verdict(openssl, "CVE-4", inventory.Critical, ""))
	w.want("a disconnected integration")
}

// TestAdvisories: what advisories change is told once a flaw, with how far it reaches.
func TestAdvisories(t *testing.T) {
	w := newWorld(t)
	one := storetest.Verdict(openssl, "CVE-1", inventory.High, "")
	w.push("a", []storetest.Layer{base}, []string{"local/a:1"}, one)
	w.push("b", []storetest.Layer{base, {Name: "b", Add: []string{"npm/b@1"}}}, []string{"prod/b:1", "prod/b:latest"})
	w.channel(inventory.Rule{Events: inventory.NewsKinds[:]}, inventory.Rule{Events: []string{inventory.NewsNew}, Severity: inventory.Low, Repository: "prod/*"})
	two := storetest.Verdict(openssl, "CVE-2", inventory.Critical, "")
	w.judge(one, two)
	w.want("a new flaw", "CVE-2 (critical) is in 2 images")
	n := w.rc.notices(t)[0]
	if n.Event != inventory.NewsNew || n.Images != 2 || len(n.References) != 2 || n.Findings[0].Packages[0] != "openssl 3.0.11" || n.Findings[0].Summary != "about CVE-2" {
		t.Errorf("%+v", n)
	}
	low := storetest.Verdict(openssl, "CVE-3", inventory.Low, "")
	w.judge(one, two, low)
	w.want("a low flaw where only one rule asks for it", "CVE-3 (low) is in 1 image")
	one.Fixed = []string{"3.0.12"}
	low.Fixed = []string{"3.0.13"}
	w.judge(one, two, low)
	w.want("fixes", "CVE-1 (high) can be fixed now: 2 images")
	two.Severity = inventory.Medium
	w.judge(one, two, low)
	w.want("another rating", "CVE-2 is medium now, was critical: 2 images")
	if err := w.s.SaveKEV(t.Context(), []inventory.KEV{{CVE: "CVE-0"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.s.SaveKEV(t.Context(), []inventory.KEV{{CVE: "CVE-0"}, {CVE: "CVE-3"}}); err != nil {
		t.Fatal(err)
	}
	w.want("exploited, however low", "CVE-3 (low) is known to be exploited: 2 images")
	w.judge(two, low)
	w.want("withdrawn", "CVE-1 (high) does not stand any more: it was in 2 images")
	w.want("nothing more")
}

// TestManyFlawsAreOneMessage: a feed that brings hundreds of flaws is no flood.
func TestManyFlawsAreOneMessage(t *testing.T) {
	w := newWorld(t)
	w.push("a", []storetest.Layer{base}, []string{"local/a:1"})
	w.channel()
	var all []inventory.Verdict
	for i := range 120 {
		severity := inventory.High
		if i%3 == 0 {
			severity = inventory.Critical
		}
		all = append(all, storetest.Verdict(openssl, fmt.Sprintf("CVE-%03d", i), severity, ""))
	}
	w.judge(all...)
	w.want("a hundred and twenty flaws", "120 flaws new: 40 critical, 80 high in 1 image")
	n := w.rc.notices(t)[0]
	if len(n.Findings) != 50 || n.More != 70 || n.Findings[0].Severity != inventory.Critical || n.Findings[0].Summary == "" {
		t.Errorf("%d listed, %d more, first %+v", len(n.Findings), n.More, n.Findings[0])
	}
	w.judge(append(all, storetest.Verdict(openssl, "CVE-999", inventory.High, ""))...)
	w.want("one more", "CVE-999 (high) is in 1 image")
}

// TestTroubles: images that fail come together, a broken integration is told once an
// hour, old advisories once.
func TestTroubles(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.reconcile()
	w.channel()
	w.push("ok", []storetest.Layer{base}, []string{"local/a:1"})
	w.reconcile()
	w.want("nothing is wrong")
	fail := func(names ...string) {
		t.Helper()
		for _, name := range names {
			w.at = w.at.Add(time.Minute)
			d := storetest.Digest("image " + name)
			storetest.Look(t, w.s, w.id, w.at, storetest.Sight("local/"+name+":1", d, w.at))
			if err := w.s.FailImage(ctx, d, "a layer of "+name+" is damaged", false); err != nil {
				t.Fatal(err)
			}
		}
	}
	fail("x")
	w.want("one image fails", "one.example/local/x:1 could not be analysed")
	fail("x", "y", "z")
	w.want("two more", "2 images could not be analysed")
	for range 2 {
		for _, state := range []string{inventory.IntegrationError, inventory.IntegrationConnected} {
			if err := w.s.SetIntegrationState(ctx, w.id, state, "authentication failed", "give a new token"); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.want("an integration that comes and goes", "Integration one cannot read all of its registry")
	if err := w.s.AdvisoriesSynced(ctx, "osv", time.Now().Add(-72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.s.CheckFeeds(ctx, 48*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	w.want("old advisories", "The advisories are old: new flaws go unseen")
	last := w.rc.notices(t)[w.seen-2]
	if last.Problem != "authentication failed" || last.Remedy != "give a new token" {
		t.Errorf("%+v", last)
	}
}

// TestPreviewAndTest show and send without any news.
func TestPreviewAndTest(t *testing.T) {
	w := newWorld(t)
	add(t, w.s, inventory.ChannelChange{Name: "slack", Kind: inventory.ChannelSlack, URL: w.rc.URL + secretPath})
	for _, kind := range append(inventory.NewsKinds[:], inventory.NewsTest) {
		p, err := w.n.Preview(t.Context(), "slack", kind)
		if err != nil || !strings.Contains(p.Body, `"blocks"`) {
			t.Errorf("%s: %+v %v", kind, p, err)
		}
	}
	if len(w.rc.bodies) != 0 {
		t.Error("a preview is sent")
	}
	res, err := w.n.TestChannel(t.Context(), "slack")
	if err != nil || !res.OK || len(w.rc.bodies) != 1 || !strings.Contains(w.rc.bodies[0], res.ID) {
		t.Errorf("%+v %v %q", res, err, w.rc.bodies)
	}
}

// TestOneMessageForTheFleet: ten thousand images, one advisory, one message.
func TestOneMessageForTheFleet(t *testing.T) {
	const images, stacks = 10_000, 40
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	ctx := t.Context()
	for i := range stacks {
		layers := []storetest.Layer{base, {Name: fmt.Sprintf("team %d", i), Add: []string{fmt.Sprintf("npm/team@%d", i)}}}
		w.push(fmt.Sprintf("image %d", i), layers, []string{fmt.Sprintf("local/team%d/app:0", i)})
	}
	multiply(t, dir, images-stacks)
	w.channel()
	if _, err := w.s.SaveAdvisories(ctx, []inventory.Advisory{storetest.Advisory("DSA-1", w.at, "Debian:12/openssl")}, storetest.AdvisoryKeys); err != nil {
		t.Fatal(err)
	}
	w.judge(storetest.Verdict(openssl, "CVE-2026-1", inventory.Critical, "3.0.12"))
	started := time.Now()
	w.want("ten thousand images", "CVE-2026-1 (critical) is in 10,000 images")
	t.Logf("told in %s", time.Since(started).Round(time.Millisecond))
	n := w.rc.notices(t)[0]
	if n.Images != images || len(n.References) != 5 || !strings.HasSuffix(n.References[0], fmt.Sprintf("/app:%d", images-stacks)) {
		t.Errorf("%d images, first %v", n.Images, n.References)
	}
}

// multiply adds images that stand on the stacks that are there, each with a tag: saved
// one by one they would take half a minute.
func multiply(t *testing.T, dir string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, store.FileName)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`CREATE TEMP TABLE k AS WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < ?) SELECT n, randomblob(32) AS digest FROM k`,
		`INSERT INTO image (digest, kind, state, chain_id, first_seen)
			SELECT k.digest, i.kind, i.state, i.chain_id, k.n FROM k JOIN (SELECT *, row_number() OVER (ORDER BY id) AS nth FROM image) i ON i.nth = 1 + k.n % 40`,
		`INSERT INTO tag (repository_id, name, image_id, created, pushed, first_seen, since, last_seen)
			SELECT r.id, k.n, i.id, 0, 4102444800000 + k.n, 1, 1, 1 FROM k JOIN image i ON i.digest = k.digest JOIN (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM repository) r ON r.nth = 1 + k.n % 40`,
	} {
		var args []any
		if strings.Contains(statement, "?") {
			args = append(args, n)
		}
		db.SetMaxOpenConns(1) // temporary tables belong to a connection
		if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchesAreTold: one message a watch for all later images, each image once, and
// none of what the first listing found.
func TestWatchesAreTold(t *testing.T) {
	w := newWorld(t)
	w.channel(inventory.Rule{Events: []string{inventory.NewsWatch}, Repository: "local/**"})
	layers := func(own string) []storetest.Layer { return []storetest.Layer{base, {Name: own}} }
	first := w.push("first", layers("first"), []string{"local/app:1"})
	w.reconcile()
	saved, err := w.s.AddWatch(t.Context(), inventory.Watch{Name: "old", Query: "openssl <3.0.12"})
	if err != nil {
		t.Fatal(err)
	}
	met := func(digests ...string) {
		t.Helper()
		for _, d := range digests {
			if err := w.s.Spotted(t.Context(), saved, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	met(first)
	w.want("what was there when watching began")
	second := w.push("second", layers("second"), []string{"local/app:2"})
	met(second)
	w.want("a later image", "one.example/local/app:2 has openssl <3.0.12 (watch old)")
	met(second)
	w.want("the same again")
	met(w.push("third", layers("third"), []string{"local/app:3"}), w.push("fourth", layers("fourth"), []string{"local/b:1"}), w.push("fifth", layers("fifth"), []string{"other/c:1"}))
	w.want("two of ours, one of others", "2 later images have openssl <3.0.12 (watch old)")
}
