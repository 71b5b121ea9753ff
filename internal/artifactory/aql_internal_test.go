package artifactory

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	q := query{repos: []string{"b", "a<&>\""}, since: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", 7200)), image: "team/app"}
	s := q.String()
	for _, part := range []string{
		`items.find({"$and":[`, `{"repo":"b"},{"repo":"a<&>\""}`, `"$match":"team/app/*"`, `"$gte":"2026-01-02T01:04:05.006Z"`,
		`{"name":"manifest.json"},{"name":"list.manifest.json"}`, `"$nmatch":"*/sha256__*"`, `.include("repo","path","name",`,
	} {
		if !strings.Contains(s, part) {
			t.Errorf("%s lacks %s", s, part)
		}
	}
	for _, never := range []string{"sort", "limit", "offset", "property"} {
		if strings.Contains(s, never) {
			t.Errorf("%s has %s", s, never)
		}
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	var repos []string
	for i := range 1000 {
		repos = append(repos, fmt.Sprintf("team-%03d-docker-local", i))
	}
	var got []string
	batches := query{repos: repos}.batches()
	for _, b := range batches {
		if n := len(b.String()); n > 6000 {
			t.Errorf("%d characters", n)
		}
		got = append(got, b.repos...)
	}
	if diff := cmp.Diff(repos, got); diff != "" {
		t.Error(diff)
	}
	if len(batches) > 8 {
		t.Errorf("%d queries for 1000 repositories", len(batches))
	}
}

func TestDecodeAQL(t *testing.T) {
	t.Parallel()
	const row = `{"repo":"r","path":"a/1","name":"manifest.json","size":"12","created":"2026-10-01T12:00:00.123+02:00","modified":"2026-10-01T12:00:00.123+0200","depth":3,"properties":[{"key":"k"}]}`
	for _, tc := range []struct {
		name, in      string
		rows          int
		trimmed, good bool
	}{
		{"empty", "\n{\n\"results\" : [ ],\n\"range\" : {\"start_pos\" : 0,\"end_pos\" : 0,\"total\" : 0}\n}\n", 0, false, true},
		{"rows", `{"results":[` + row + "," + row + `],"range":{"total":2}}`, 2, false, true},
		{"trimmed", `{"results":[],"range":{"total":0},"notification":"AQL query reached the search hard limit, results are trimmed."}`, 0, true, true},
		{"trimmed, said within", `{"results":[],"range":{"total":0,"notification":"results are trimmed"}}`, 0, true, true},
		{"no range", `{"results":[` + row + `]}`, 1, false, false},
		{"cut in a row", `{"results":[` + row + `,{"repo":"r`, 1, false, false},
		{"cut behind the rows", `{"results":[` + row + `]`, 1, false, false},
		{"cut in the range", `{"results":[],"range":{"total":0}`, 0, false, false},
		{"nothing", "", 0, false, false},
		{"a list", "[]", 0, false, false},
		{"results are no list", `{"results":{},"range":{}}`, 0, false, false},
	} {
		var rows []manifestRow
		trimmed, err := decodeAQL(strings.NewReader(tc.in), func(r manifestRow) { rows = append(rows, r) })
		if (err == nil) != tc.good || trimmed != tc.trimmed || len(rows) != tc.rows {
			t.Errorf("%s: %d rows, trimmed %v, %v", tc.name, len(rows), trimmed, err)
		}
		for _, r := range rows {
			if want := time.Date(2026, 10, 1, 10, 0, 0, 123e6, time.UTC); !r.Created.Equal(want) || !r.Modified.Equal(want) || r.Size != "12" {
				t.Errorf("%s: %+v", tc.name, r)
			}
		}
	}
}

func FuzzDecodeAQL(f *testing.F) {
	f.Add(`{"results":[{"repo":"r","path":"a/1","name":"manifest.json","size":1}],"range":{"total":1}}`)
	f.Fuzz(func(t *testing.T, s string) {
		_, err := decodeAQL(strings.NewReader(s), func(manifestRow) {})
		if err == nil && !strings.Contains(s, "range") {
			t.Errorf("%q is taken as complete", s)
		}
	})
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`</v2/renovate/tags/list?last=10000&n=10000>; rel="next"`:        "10000",
		`<https://other.example/v2/x/tags/list?n=5&last=a%2Fb>;rel=next`: "a/b",
		`</v2/x?last=1>; rel="prev", </v2/x?last=2>; rel="next"`:         "2",
		`</v2/x?last=1>; rel="prev"`:                                     "",
		`nonsense`:                                                       "",
	} {
		got, ok := nextLink(http.Header{"Link": {in}})
		if got.Get("last") != want || ok != (want != "") {
			t.Errorf("%s: %v %v", in, got, ok)
		}
	}
}

func TestReadChallenge(t *testing.T) {
	t.Parallel()
	h := http.Header{"Www-Authenticate": {`Basic realm="Artifactory Realm"`, `Bearer realm="http://localhost:8082/v2/token",service="localhost:8082",scope="repository:a:pull,push"`}}
	got, ok := readChallenge(h)
	if diff := cmp.Diff(challenge{"http://localhost:8082/v2/token", "localhost:8082", "repository:a:pull,push"}, got, cmp.AllowUnexported(challenge{})); diff != "" || !ok {
		t.Error(diff, ok)
	}
	if _, ok := readChallenge(http.Header{"Www-Authenticate": {`Basic realm="x"`}}); ok {
		t.Error("Basic is taken as Bearer")
	}
}

func FuzzParameters(f *testing.F) {
	f.Add(`realm="a,b",service=c`)
	f.Fuzz(func(_ *testing.T, s string) { parameters(s) })
}

func FuzzReadJWT(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJqZmFjQHgvdXNlcnMvYWxpY2UiLCJleHAiOjF9.x")
	f.Fuzz(func(t *testing.T, s string) {
		if c := newCredential("", s); strings.Contains(fmt.Sprintf("%v %+v %#v", c, c, c), s) && len(s) > 20 {
			t.Error("a credential prints its secret")
		}
	})
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"2", "", 2 * time.Second, true},
		{"0", "", 0, true},
		{"Thu, 01 Jan 2026 00:00:05 GMT", "", 5 * time.Second, true},
		{"Thu, 01 Jan 2026 00:00:05 GMT", "Thu, 01 Jan 2026 00:00:02 GMT", 3 * time.Second, true},
		{"Thu, 01 Jan 2015 00:00:05 GMT", "", 0, true},
		{"-1", "", 0, false},
		{"soon", "", 0, false},
		{"", "", 0, false},
	} {
		got, ok := retryAfter(http.Header{"Retry-After": {tc.value}, "Date": {tc.date}}, now)
		if got != tc.want || ok != tc.ok {
			t.Errorf("%q: %s %v", tc.value, got, ok)
		}
	}
}
