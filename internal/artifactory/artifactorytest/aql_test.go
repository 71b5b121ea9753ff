package artifactorytest_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func aql(t *testing.T, s *artifactorytest.Server, who, query string) reply {
	t.Helper()
	return send(t, s, aqlAsk(who, query))
}

func aqlAsk(who, query string) ask {
	return ask{
		method: "POST", path: "/artifactory/api/search/aql", who: who, body: query,
		header: map[string]string{"Content-Type": "text/plain"},
	}
}

type aqlRow struct {
	Repo, Path, Name, Type, Created, Modified, Updated, SHA256 string

	Size       int64
	Properties []struct{ Key, Value string }
	Infos      []struct {
		PropsModified string `json:"props_modified"`
	}
}

func found(t *testing.T, r reply) []aqlRow {
	t.Helper()
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return decode[struct{ Results []aqlRow }](t, r.body).Results
}

// files are the rows as repo:path/name, sorted.
func files(rows []aqlRow) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Repo+":"+r.Path+"/"+r.Name)
	}
	slices.Sort(out)
	return out
}

const tagFiles = `"$or":[{"name":"manifest.json"},{"name":"list.manifest.json"}]`

func TestAQLCriteria(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	s.SetClock(time.Date(2026, 10, 1, 10, 0, 0, 0, time.UTC))
	put(t, s, "docker-local", "team/app", "1.0", image(t, 1))
	s.Advance(24 * time.Hour)
	put(t, s, "docker-local", "team/app", "2.0", image(t, 1))
	put(t, s, "docker-prod", "team/app", "1.0", image(t, 1))
	put(t, s, "docker-hub", "library/redis", "7", image(t, 1))
	send(t, s, ask{method: "PUT", path: "/artifactory/npm-local/top.txt", who: admin, body: "x"})
	const (
		one = "docker-local:team/app/1.0/manifest.json"
		two = "docker-local:team/app/2.0/manifest.json"
		prd = "docker-prod:team/app/1.0/manifest.json"
		hub = "docker-hub-cache:library/redis/7/manifest.json"
	)
	for _, tt := range []struct {
		criteria string
		want     []string
	}{
		{`"repo":"docker-local","name":"manifest.json"`, []string{one, two}},
		{`"repo":{"$eq":"docker-local"},"name":{"$eq":"manifest.json"}`, []string{one, two}},
		{`"name":"manifest.json"`, []string{hub, one, two, prd}},
		{`"repo":"docker","name":"manifest.json"`, []string{hub, one, two}}, // a virtual stands for its members
		{`"repo":"docker-hub","name":"manifest.json"`, []string{}},          // a remote has none: its cache has
		{`"repo":"docker-hub-cache","name":"manifest.json"`, []string{hub}},
		{`"$or":[{"repo":"docker-local"},{"repo":"docker-prod"}],` + tagFiles, []string{one, two, prd}},
		{`"$and":[{"repo":"docker-local"},{` + tagFiles + `},{"path":{"$nmatch":"*/1.0"}}]`, []string{two}},
		{`"repo":"docker-local","path":{"$match":"team/*"},"name":{"$match":"*nifest.jso?"}`, []string{one, two}},
		{`"repo":"docker-local","name":"manifest.json","created":{"$gt":"2026-10-01T12:00:00Z"}`, []string{two}},
		{`"repo":"docker-local","name":"manifest.json","created":{"$lt":"2026-10-01T12:00:00.000+00:00"}`, []string{one}},
		{`"repo":"docker-local","name":"manifest.json","created":{"$gte":"1790848800000","$lt":"2026-10-02"}`, []string{one}},
		{`"repo":"docker-local","name":"manifest.json","modified":{"$last":"90mi"}`, []string{two}},
		{`"repo":"docker-local","name":"manifest.json","updated":{"$before":"1d"}`, []string{}},
		{`"repo":"docker-local","name":"manifest.json","updated":{"$before":"23d"}`, []string{}},
		{`"repo":"docker-local","name":"manifest.json","updated":{"$before":"80000s"}`, []string{one}},
		{`"item.repo":"docker-local","@docker.manifest":"2.0"`, []string{two}},
		{`"repo":"docker-local","@docker.manifest":{"$match":"*.0"}`, []string{one, two}},
		{`"repo":"docker-local","name":"manifest.json","@docker.manifest":{"$ne":"2.0"}`, []string{one}},
		{`"repo":"npm-local","path":"."`, []string{"npm-local:./top.txt"}},
		{`"repo":"npm-local","type":"any"`, []string{"npm-local:./top.txt"}},
		{`"repo":"docker-prod","type":"folder"`, []string{"docker-prod:./team", "docker-prod:team/app", "docker-prod:team/app/1.0", "docker-prod:team/app/_uploads"}},
		{`"repo":"docker-prod","depth":"4","name":"manifest.json"`, []string{prd}},
		{`"repo":"nowhere"`, []string{}},
		{`"repo":"docker-prod","size":{"$gt":"100000"}`, []string{}},
		{`"repo":"docker-prod","depth":{"$gte":"4","$lte":"4","$ne":"5","$lt":"5"},"name":"manifest.json"`, []string{prd}},
		{`"repo":{"$gt":"docker-loc","$lte":"docker-prod"},"name":{"$gte":"m","$lt":"n","$ne":"x"},"type":"file"`, []string{one, two, prd}},
		{`"repo":"docker-prod","property.key":"docker.manifest","property.value":{"$match":"1.?"}`, []string{prd}},
		{`"repo":"docker-prod","@docker.manifest":{"$nmatch":"2*"},"name":"manifest.json","created_by":"admin","modified_by":"admin"`, []string{prd}},
		{`"repo":"docker-prod","stat.downloads":{"$eq":"0"},"name":"manifest.json"`, []string{prd}},
		{`"repo":"docker-prod","name":"manifest.json","actual_sha1":{"$ne":""},"actual_md5":{"$ne":""}`, []string{prd}},
		{`"repo":"docker-prod","$or":[{"type":"file"},{"type":"folder"}],"name":{"$match":"1.0"}`, []string{"docker-prod:team/app/1.0"}},
		{`"repo":"docker-prod","name":"manifest.json","infos.props_modified":{"$gt":"2026-10-01"}`, []string{prd}},
		{`"repo":"docker-prod","name":"manifest.json","item.infos.props_modified":{"$last":"1s"}`, []string{prd}},
	} {
		got := aql(t, s, admin, `items.find({`+tt.criteria+`}).include("repo","path","name")`)
		if got.status != 200 {
			t.Errorf("%s: %d %s", tt.criteria, got.status, got.body)
			continue
		}
		if diff := cmp.Diff(tt.want, files(found(t, got))); diff != "" {
			t.Errorf("%s:\n%s", tt.criteria, diff)
		}
	}
}

func TestAQLRefusals(t *testing.T) {
	const unsorted = "Sorting is not supported by AQL in the open source version\n"
	oss := artifactorytest.Options{Profile: artifactorytest.OSS}
	for _, tt := range []struct {
		name, query string
		opts        artifactorytest.Options
		who         string
		header      map[string]string
		want        int
		say         string
	}{
		{name: "no text/plain", query: `items.find()`, header: map[string]string{"Content-Type": "application/json"}, want: 415},
		{name: "no content type", query: `items.find()`, header: map[string]string{"Content-Type": ""}, want: 415},
		{name: "with a charset", query: `items.find({"repo":"x"})`, header: map[string]string{"Content-Type": "text/plain; charset=utf-8"}, want: 200},
		{name: "empty", query: " ", want: 400, say: ""},
		{name: "nonsense", query: `items.find({"a"`, want: 400, say: "Failed to parse query: items.find({\"a\", it looks like there is syntax error near the following sub-query: "},
		{name: "order of the chain", query: `items.find({"repo":"x"}).limit(1).offset(2)`, want: 400, say: "Failed to parse query: items.find({\"repo\":\"x\"}).limit(1).offset(2), it looks like there is syntax error near the following sub-query: .offset(2)"},
		{name: "twice the same", query: `items.find({"repo":"x"}).limit(1).limit(2)`, want: 400, say: "…near the following sub-query: .limit(2)"},
		{name: "unquoted number", query: `items.find({"size":{"$gt":5}})`, want: 400, say: "…syntax error"},
		{name: "unknown field", query: `items.find({"colour":"x"})`, want: 400, say: "…unknown field colour"},
		{name: "unknown operator", query: `items.find({"name":{"$like":"x"}})`, want: 400, say: "…unknown operator $like"},
		{name: "unknown include", query: `items.find({"repo":"x"}).include("colour")`, who: admin, want: 400, say: "…unknown field colour"},
		{name: "bad date", query: `items.find({"created":{"$gt":"yesterday"}})`, want: 400, say: "Invalid Date format: yesterday, AQL expect ISODateTimeFormat or long number"},
		{name: "no unit of hours", query: `items.find({"created":{"$last":"2h"}})`, want: 400, say: "Invalid relative date: 2h"},
		{name: "include without name", query: `items.find({"repo":"x"}).include("repo","path")`, want: 400, say: "For permissions reasons AQL demands the following fields: repo, path and name."},
		{name: "include without name, admin", query: `items.find({"repo":"x"}).include("repo","path")`, who: admin, want: 200},
		{name: "sort by what is not included", query: `items.find({"repo":"x"}).include("repo","path","name").sort({"$asc":["created"]})`, want: 400, say: "Only the result fields are allowed to use in the sort section."},
		{name: "sort", query: `items.find({"repo":"x"}).sort({"$desc":["created"]})`, want: 200},
		{name: "sort, open source", query: `items.find({"repo":"x"}).sort({"$asc":["created"]})`, opts: oss, want: 400, say: unsorted},
		{name: "property result, open source", query: `items.find({"repo":"x"}).include("repo","path","name","@a")`, opts: oss, want: 400, say: "Filtering properties result is not supported by AQL in the open source version\n"},
		{name: "too long", query: `items.find({"name":"` + strings.Repeat("x", 6000) + `"})`, want: 400, say: "…6000"},
		{name: "as long as can be", query: `items.find({"name":"` + strings.Repeat("x", 5976) + `"})`, want: 200},
		{name: "too deep", query: `items.find({"$and":` + strings.Repeat(`[{"$or":`, 80) + `"x"` + strings.Repeat(`}]`, 80) + `})`, want: 400, say: "…syntax error"},
		{name: "no props_modified in 6.x", query: `items.find({"item.infos.props_modified":{"$last":"1d"}})`, opts: artifactorytest.Options{Profile: artifactorytest.V6}, want: 400, say: "…unknown field"},
		{name: "GET", query: "", want: 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.opts)
			if tt.who == "" {
				tt.who = alice
			}
			a := aqlAsk(tt.who, tt.query)
			if tt.header != nil {
				a.header = tt.header
			}
			if tt.name == "GET" {
				a.method = "GET"
			}
			got := send(t, s, a)
			if got.status != tt.want {
				t.Fatalf("%d, want %d: %s", got.status, tt.want, got.body)
			}
			if tt.want != 400 {
				return
			}
			if part, ok := strings.CutPrefix(tt.say, "…"); ok && !strings.Contains(got.body, part) || !ok && got.body != tt.say {
				t.Errorf("says %q, want %q", got.body, tt.say)
			}
			if strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
				t.Error("a refusal of AQL is plain text")
			}
		})
	}
}

func TestAQLAnswer(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) {
		sw.Zone = time.FixedZone("", 2*60*60)
		sw.UploadLag = 22 * time.Millisecond
	})
	s.SetClock(time.Date(2026, 10, 1, 10, 0, 0, 123e6, time.UTC))
	put(t, s, "docker-local", "team/app", "1.0", image(t, 1))
	got := aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json"}).offset(0).limit(5)`)
	if !strings.HasPrefix(got.body, "\n{\n\"results\" : [ {\n  \"repo\" : \"docker-local\",\n  \"path\" : \"team/app/1.0\",\n  \"name\" : \"manifest.json\",\n  \"type\" : \"file\",\n  \"size\" : ") {
		t.Errorf("begins %q", got.body[:min(150, len(got.body))])
	}
	if !strings.HasSuffix(got.body, " ],\n\"range\" : {\n  \"start_pos\" : 0,\n  \"end_pos\" : 1,\n  \"total\" : 1,\n  \"limit\" : 5\n}\n}\n") {
		t.Errorf("ends %q", got.body)
	}
	if got.header.Get("Content-Length") != "" {
		t.Error("the answer is streamed")
	}
	row := found(t, got)[0]
	want := aqlRow{
		Repo: "docker-local", Path: "team/app/1.0", Name: "manifest.json", Type: "file", Size: row.Size,
		Created: "2026-10-01T12:00:00.123+02:00", Modified: "2026-10-01T12:00:00.101+02:00", Updated: "2026-10-01T12:00:00.123+02:00",
	}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Error(diff)
	}
	// A date without an offset is read in the server's zone: 11:59 there is before.
	if rows := found(t, aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json","created":{"$gt":"2026-10-01T11:59:00"}})`)); len(rows) != 1 {
		t.Error("server zone not used in criteria")
	}
	if rows := found(t, aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json","created":{"$gt":"2026-10-01T11:59:00Z"}})`)); len(rows) != 0 {
		t.Error("offset not used in criteria")
	}
	noLimit := aql(t, s, alice, `items.find({"repo":"docker-local"})`)
	if strings.Contains(noLimit.body, `"limit"`) {
		t.Error("limit is there only if asked for")
	}
}

// What the caller may not read is left out after the limit was applied.
func TestAQLPermissionsAfterLimit(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	for i := range 10 {
		put(t, s, "docker-prod", "hidden", fmt.Sprint(i), image(t, 1))
	}
	for i := range 5 {
		put(t, s, "docker-local", "seen", fmt.Sprint(i), image(t, 1))
	}
	s.Grant("alice", artifactorytest.Rule{Repo: "docker-prod", Include: []string{"hidden/9/**"}})
	page := func(who string, offset, limit int) int {
		return len(found(t, aql(t, s, who, fmt.Sprintf(
			`items.find({"name":"manifest.json","$or":[{"repo":"docker-local"},{"repo":"docker-prod"}]}).include("repo","path","name").offset(%d).limit(%d)`, offset, limit))))
	}
	var adminPages, alicePages []int
	for offset := 0; offset < 15; offset += 3 {
		adminPages = append(adminPages, page(admin, offset, 3))
		alicePages = append(alicePages, page("alice:wonder", offset, 3))
	}
	if diff := cmp.Diff([]int{3, 3, 3, 3, 3}, adminPages); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{3, 2, 0, 0, 1}, alicePages); diff != "" {
		t.Errorf("pages short and empty although more follow:\n%s", diff)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.AQLFilterFirst = true })
	if got := page("alice:wonder", 3, 3); got != 3 {
		t.Errorf("filtered first, the second page has %d", got)
	}
}

// With properties the limit counts properties, and items are cut in the middle.
func TestAQLPropertiesMultiplyRows(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	put(t, s, "docker-local", "app", "2", image(t, 1))
	const find = `items.find({"repo":"docker-local","name":"manifest.json"}).include("repo","path","name","property")`
	all := found(t, aql(t, s, alice, find))
	if len(all) != 2 || len(all[0].Properties) != 5 {
		t.Fatalf("%+v", all)
	}
	cut := found(t, aql(t, s, alice, find+".limit(7)"))
	if len(cut) != 2 || len(cut[0].Properties) != 5 || len(cut[1].Properties) != 2 {
		t.Errorf("%+v", cut)
	}
	cut = found(t, aql(t, s, alice, find+".offset(3).limit(1)"))
	if len(cut) != 1 || len(cut[0].Properties) != 1 {
		t.Errorf("%+v", cut)
	}
	keys := aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json"}).include("repo","path","name","property.key")`)
	if strings.Contains(keys.body, `"value"`) || !strings.Contains(keys.body, `{ "key" : "docker.manifest" }`) {
		t.Errorf("%s", keys.body)
	}
	blobs := aql(t, s, alice, `items.find({"repo":"docker-local","name":{"$match":"sha256__*"}}).include("repo","path","name","property")`)
	if strings.Contains(blobs.body, "properties") {
		t.Error("a row without properties has no such key")
	}
}

func TestAQLSort(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	for _, tag := range []string{"b", "c", "a"} {
		put(t, s, "docker-local", "app", tag, image(t, 1))
	}
	paths := func(order string) (out []string) {
		for _, r := range found(t, aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json"}).sort({"`+order+`":["path"]})`)) {
			out = append(out, r.Path)
		}
		return out
	}
	if diff := cmp.Diff([]string{"app/a", "app/b", "app/c"}, paths("$asc")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"app/c", "app/b", "app/a"}, paths("$desc")); diff != "" {
		t.Error(diff)
	}
}

func TestAQLParallel(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) {
		sw.AQLDelay = 300 * time.Millisecond
		sw.AQLPending = 50 * time.Millisecond
	})
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	for range 5 {
		wg.Go(func() {
			r, err := try(t.Context(), s, aqlAsk(alice, `items.find({"repo":"docker-local"})`))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			got[r.status]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if got[200] != 3 || got[429] != 2 {
		t.Errorf("answers %v, want three 200 and two 429", got)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.AQLTimeout = 10 * time.Millisecond })
	if r := aql(t, s, alice, `items.find({"repo":"docker-local"})`); r.status != 408 {
		t.Errorf("%d, want 408", r.status)
	}
}

func TestAQLTruncatedAndTrimmed(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.AQLTruncate = 2 })
	for i := range 5 {
		put(t, s, "docker-local", "app", fmt.Sprint(i), image(t, 1))
	}
	const find = `items.find({"repo":"docker-local","name":"manifest.json"})`
	got := aql(t, s, alice, find)
	if got.status != 200 || strings.Contains(got.body, `"range"`) || strings.Count(got.body, `"repo"`) != 2 {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.AQLTruncate, sw.AQLMaxRows = 0, 3 })
	got = aql(t, s, alice, find)
	if len(found(t, got)) != 3 || !strings.Contains(got.body, `"notification" : "AQL query reached the search hard limit, results are trimmed."`) {
		t.Errorf("%s", got.body)
	}
	if n := artifactorytest.Cloud.Switches().AQLMaxRows; n != 500_000 {
		t.Errorf("the Cloud trims at %d", n)
	}
}

// A row can be listed before its manifest can be pulled.
func TestUncommittedRow(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.ReadableAfter = 200 * time.Millisecond })
	put(t, s, "docker-local", "app", "1", image(t, 1))
	if rows := found(t, aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json"})`)); len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	get := ask{path: "/v2/docker-local/app/manifests/1", who: alice}
	if got := send(t, s, get); got.status != 404 {
		t.Errorf("at once: %d", got.status)
	}
	time.Sleep(220 * time.Millisecond)
	if got := send(t, s, get); got.status != 200 {
		t.Errorf("later: %d", got.status)
	}
}

func TestAQLDownloads(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice})
	got := aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json"}).include("*","stat.downloads")`)
	if !strings.Contains(got.body, `"stats" : [ { "downloads" : 1 } ]`) || !strings.Contains(got.body, `"depth" : 3`) {
		t.Errorf("%s", got.body)
	}
}
