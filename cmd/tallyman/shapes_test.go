package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// What scripts read of `status`, field by field: a name that is not here is a change of
// the contract, and so is one that is missing.
type (
	wantTally struct {
		TagsSeen    *int              `json:"tags_seen"`
		Analysed    *int              `json:"analysed"`
		Failed      *int              `json:"failed"`
		Unsupported *int              `json:"unsupported"`
		Waiting     *int              `json:"waiting"`
		NotSelected *int              `json:"not_selected"`
		Gone        *int              `json:"gone"`
		Requests    *map[string]int64 `json:"requests"`
		LayerBytes  *int64            `json:"layer_bytes"`
		LayersRead  *int64            `json:"layers_read"`
	}
	wantStatus struct {
		wantTally
		Integrations []struct {
			Name, State *string
			wantTally
			LastPoll      *time.Time `json:"last_poll"`
			LastReconcile *time.Time `json:"last_reconcile"`
			LagP50        *int64     `json:"lag_p50_ms"`
			LagP95        *int64     `json:"lag_p95_ms"`
			Problems      *[]any     `json:"problems"`
		} `json:"integrations"`
		Advisories struct {
			Records *int       `json:"records"`
			Newest  *time.Time `json:"newest"`
			AgeS    *int64     `json:"age_s"`
			Stale   *bool      `json:"stale"`
			Feeds   *[]any     `json:"feeds"`
		} `json:"advisories"`
	}
	wantTest struct {
		OK           *bool     `json:"ok"`
		Error        *string   `json:"error"`
		Remedy       *string   `json:"remedy"`
		Warnings     *[]string `json:"warnings"`
		Repositories *[]struct {
			Key         *string    `json:"key"`
			OK          *bool      `json:"ok"`
			Class       *string    `json:"class"`
			PackageType *string    `json:"package_type"`
			Description *string    `json:"description"`
			Error       *string    `json:"error"`
			Remedy      *string    `json:"remedy"`
			Tags        *int       `json:"tags"`
			Bytes       *int64     `json:"bytes"`
			Checked     *time.Time `json:"checked"`
		} `json:"repositories"`
	}
)

// strictly decodes what holds no field but those of T, and no null.
func strictly[T any](t *testing.T, raw string) (v T) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader([]byte(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Errorf("%v in\n%s", err, raw)
	}
	if strings.Contains(raw, "null") {
		t.Errorf("something is null:\n%s", raw)
	}
	return v
}

func (w wantTally) check(t *testing.T, what string) {
	t.Helper()
	if slices.Contains([]*int{w.TagsSeen, w.Analysed, w.Failed, w.Unsupported, w.Waiting, w.NotSelected, w.Gone}, nil) ||
		w.Requests == nil || w.LayerBytes == nil || w.LayersRead == nil {
		t.Errorf("%s lacks a number: %+v", what, w)
	}
}

func TestShapes(t *testing.T) {
	srv, _ := registryOf(t)
	p := newProgram(t)
	p.env["TALLYMAN_ARTIFACTORY_API_USER"], p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"

	empty := strictly[wantStatus](t, p.run("", "status", "--format", "json").stdout)
	empty.check(t, "an empty status")
	if empty.Integrations == nil || empty.Advisories.AgeS != nil || empty.Advisories.Newest != nil || empty.Advisories.Feeds == nil {
		t.Errorf("what is unknown is not absent, or a list is: %+v", empty)
	}
	push(t, srv, "app", "1")
	p.run("", "watch", "--registry", spec(srv), "--once", "--all-images").want(t, 0)
	full := strictly[wantStatus](t, p.run("", "status", "--format", "json").stdout)
	full.check(t, "the sums")
	if len(full.Integrations) != 1 || full.Integrations[0].Problems == nil || full.Integrations[0].LastReconcile == nil || *full.Integrations[0].TagsSeen != 1 {
		t.Fatalf("%+v", full)
	}
	full.Integrations[0].check(t, "an integration")

	r := p.run("", "integration", "test", "--url", srv.URL(), "--format", "json")
	test := strictly[wantTest](t, r.stdout)
	if test.OK == nil || !*test.OK || test.Error != nil || test.Repositories == nil || len(*test.Repositories) == 0 || test.Warnings == nil {
		t.Fatalf("%s%s", r.stdout, r.stderr)
	}
	for _, key := range *test.Repositories {
		if key.Key == nil || key.OK == nil || key.Tags != nil || key.Bytes != nil {
			t.Errorf("a key tells what a test does not count, or not its name: %s", r.stdout)
		}
	}
}
