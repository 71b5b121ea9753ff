package artifactorytest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func index(t *testing.T) v1.ImageIndex {
	t.Helper()
	idx, err := random.Index(50, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	return idx
}

// receiver keeps what was posted to it; answer says with which status.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []reply
	answer func(n int) int
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{answer: func(int) int { return 200 }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, reply{header: req.Header.Clone(), body: string(raw)})
		w.WriteHeader(r.answer(len(r.got)))
	}))
	t.Cleanup(r.Close)
	return r
}

// all waits until the server has nothing left to deliver.
func (r *receiver) all(t *testing.T, s *artifactorytest.Server) []reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.WaitWebhooks(ctx); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

// brief is an event as type repo/image:tag.
func brief(t *testing.T, all []reply) []string {
	t.Helper()
	out := []string{}
	for _, r := range all {
		e := decode[struct {
			EventType string `json:"event_type"`
			Data      struct {
				Repo  string `json:"repo_key"`
				Image string `json:"image_name"`
				Tag   string `json:"tag"`
				Path  string `json:"path"`
			}
		}](t, r.body)
		if e.Data.Image == "" {
			out = append(out, e.EventType+" "+e.Data.Repo+"/"+e.Data.Path)
			continue
		}
		out = append(out, e.EventType+" "+e.Data.Repo+"/"+e.Data.Image+":"+e.Data.Tag)
	}
	return out
}

func subscribe(t *testing.T, s *artifactorytest.Server, sub artifactorytest.Subscription) {
	t.Helper()
	if err := s.Subscribe(sub); err != nil {
		t.Fatal(err)
	}
}

func TestWebhookEnvelopes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*artifactorytest.Switches)
		keys   []string
		data   []string
	}{
		{
			name: "new", change: func(*artifactorytest.Switches) {},
			keys: []string{"data", "domain", "event_type", "jpd_origin", "source", "subscription_key", "userContext"},
			data: []string{"image_name", "image_type", "name", "path", "platforms", "repo_key", "sha256", "size", "tag"},
		},
		{
			name: "old", change: func(sw *artifactorytest.Switches) { sw.Envelope = artifactorytest.EnvelopeOld },
			keys: []string{"data", "domain", "event_type", "source", "subscription_key"},
			data: []string{"image_name", "name", "path", "platforms", "repo_key", "sha256", "size", "tag"},
		},
		{
			name: "unwrapped", change: func(sw *artifactorytest.Switches) { sw.Envelope = artifactorytest.EnvelopeUnwrapped },
			keys: []string{"event_type", "image_name", "image_type", "name", "path", "platforms", "repo_key", "sha256", "size", "tag"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, artifactorytest.Options{}, tt.change)
			r := receive(t)
			subscribe(t, s, artifactorytest.DockerWebhook("tally", r.URL, "s3cr3t", false))
			d := put(t, s, "docker-local", "team/app", "2.0", image(t, 1))
			all := r.all(t, s)
			if len(all) != 1 {
				t.Fatalf("%d deliveries", len(all))
			}
			body := decode[map[string]any](t, all[0].body)
			if diff := cmp.Diff(tt.keys, keys(body)); diff != "" {
				t.Error(diff)
			}
			data := body
			if tt.data != nil {
				data = body["data"].(map[string]any)
				if diff := cmp.Diff(tt.data, keys(data)); diff != "" {
					t.Error(diff)
				}
			}
			if data["path"] != "team/app/2.0/manifest.json" || "sha256:"+fmt.Sprint(data["sha256"]) != d || data["tag"] != "2.0" {
				t.Errorf("%v", data)
			}
		})
	}
}

func keys(m map[string]any) []string {
	raw, _ := json.Marshal(m) // sorts keys
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	var out []string
	_, _ = dec.Token()
	for dec.More() {
		k, _ := dec.Token()
		var v json.RawMessage
		_ = dec.Decode(&v)
		out = append(out, fmt.Sprint(k))
	}
	return out
}

func TestWebhookSecret(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.EmptyOrigin = true })
	r := receive(t)
	sub := artifactorytest.DockerWebhook("tally", r.URL, "s3cr3t", false)
	sub.Handlers[0].Headers = []artifactorytest.HeaderSet{{Name: "X-Env", Value: "prod"}}
	subscribe(t, s, sub)
	put(t, s, "docker-local", "app", "1", image(t, 1))
	plain := r.all(t, s)[0]
	if plain.header.Get("X-JFrog-Event-Auth") != "s3cr3t" || plain.header.Get("X-Env") != "prod" || plain.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", plain.header)
	}
	if !strings.Contains(plain.body, `"jpd_origin":""`) {
		t.Errorf("%s", plain.body)
	}
	subscribe(t, s, artifactorytest.DockerWebhook("tally", r.URL, "s3cr3t", true))
	put(t, s, "docker-local", "app", "2", image(t, 1))
	signed := r.all(t, s)[1]
	mac := hmac.New(sha256.New, []byte("s3cr3t"))
	mac.Write([]byte(signed.body))
	if got := signed.header.Get("X-JFrog-Event-Auth"); got != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %s", got)
	}
}

func TestWebhookEvents(t *testing.T) {
	const sub1 = "sha256:"
	for _, tt := range []struct {
		name   string
		change func(*artifactorytest.Switches)
		act    func(t *testing.T, s *artifactorytest.Server)
		want   []string
	}{
		{
			name: "an index fires once", want: []string{"pushed docker-local/app:1"},
			act: func(t *testing.T, s *artifactorytest.Server) { push(t, s, "docker-local/app:1", index(t)) },
		},
		{
			name: "members fire when put by Go", want: []string{"pushed docker-local/app:" + sub1, "pushed docker-local/app:" + sub1, "pushed docker-local/app:1"},
			change: func(sw *artifactorytest.Switches) { sw.SubManifestEvents = true },
			act:    func(t *testing.T, s *artifactorytest.Server) { put(t, s, "docker-local", "app", "1", index(t)) },
		},
		{
			name: "members fire too", want: []string{"pushed docker-local/app:" + sub1, "pushed docker-local/app:" + sub1, "pushed docker-local/app:1"},
			change: func(sw *artifactorytest.Switches) { sw.SubManifestEvents = true },
			act:    func(t *testing.T, s *artifactorytest.Server) { push(t, s, "docker-local/app:1", index(t)) },
		},
		{
			name: "delete", want: []string{"pushed docker-local/app:1", "deleted docker-local/app:1"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				put(t, s, "docker-local", "app", "1", image(t, 1))
				s.DeleteTag("docker-local", "app", "1")
			},
		},
		{
			name: "promotion, on the source only", want: []string{"pushed docker-local/app:1", "promoted docker-local/app:1"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				put(t, s, "docker-local", "app", "1", image(t, 1))
				move(t, s, artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod"})
			},
		},
		{
			name: "promotion that fires pushed on the target", want: []string{"pushed docker-local/app:1", "promoted docker-local/app:1", "pushed docker-prod/app:1"},
			change: func(sw *artifactorytest.Switches) { sw.PromoteFiresPush = true },
			act: func(t *testing.T, s *artifactorytest.Server) {
				put(t, s, "docker-local", "app", "1", image(t, 1))
				move(t, s, artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod"})
			},
		},
		{
			name: "cached by a remote", want: []string{"pushed docker-hub-cache/library/redis:7"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				if err := s.PutUpstream("docker-hub", "library/redis", "7", image(t, 1)); err != nil {
					t.Fatal(err)
				}
				send(t, s, ask{path: "/v2/docker-hub/redis/manifests/7", who: admin})
			},
		},
		{
			name: "copied by path: no docker event", want: []string{"pushed docker-local/app:1"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				put(t, s, "docker-local", "app", "1", image(t, 1))
				err := s.Relocate(artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod", Copy: true})
				if err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var changes []func(*artifactorytest.Switches)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			s := start(t, artifactorytest.Options{}, changes...)
			r := receive(t)
			subscribe(t, s, artifactorytest.DockerWebhook("tally", r.URL, "x", false))
			tt.act(t, s)
			got := brief(t, r.all(t, s))
			for i, e := range got {
				if at := strings.Index(e, sub1); at >= 0 {
					got[i] = e[:at+len(sub1)]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// push goes through HTTP, as a client's.
func push(t *testing.T, s *artifactorytest.Server, ref string, idx v1.ImageIndex) {
	t.Helper()
	if err := pushIndex(t, s.Host()+"/"+ref, idx); err != nil {
		t.Fatal(err)
	}
}

func TestWebhookArtifactEvents(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	r := receive(t)
	subscribe(t, s, artifactorytest.Subscription{
		Key: "files", Enabled: true, Handlers: []artifactorytest.Handler{{URL: r.URL}},
		EventFilter: artifactorytest.EventFilter{
			Domain: "artifact", EventTypes: []string{"copied", "deployed"},
			Criteria: artifactorytest.Criteria{RepoKeys: []string{"docker-local"}, IncludePatterns: []string{"app/**"}, ExcludePatterns: []string{"app/**/sha256__*"}},
		},
	})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	put(t, s, "docker-local", "other", "1", image(t, 1))
	put(t, s, "docker-prod", "app", "1", image(t, 1))
	err := s.Relocate(artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod", ToTag: "2", Copy: true})
	if err != nil {
		t.Fatal(err)
	}
	all := r.all(t, s)
	want := []string{"deployed docker-local/app/1/manifest.json", "copied docker-local/app/1/manifest.json"}
	if diff := cmp.Diff(want, brief(t, all)); diff != "" {
		t.Fatal(diff)
	}
	if !strings.Contains(all[1].body, `"target_repo_path":"docker-prod/app/2/manifest.json"`) {
		t.Errorf("%s", all[1].body)
	}
}

func TestWebhookDelivery(t *testing.T) {
	fast := artifactorytest.Delivery{Timeout: time.Second, Wait: time.Millisecond}
	for _, tt := range []struct {
		name   string
		answer func(n int) int
		set    func(*artifactorytest.Delivery)
		want   int
	}{
		{name: "once", want: 1},
		{name: "five tries at 500", answer: func(int) int { return 500 }, want: 5},
		{name: "until it works", answer: func(n int) int { return map[bool]int{true: 503, false: 200}[n < 3] }, want: 3},
		{name: "a 4xx loses it", answer: func(int) int { return 403 }, want: 1},
		{name: "duplicates", set: func(d *artifactorytest.Delivery) { d.Duplicate = 2 }, want: 3},
		{name: "dropped", set: func(d *artifactorytest.Delivery) { d.Drop = 10 }, want: 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, artifactorytest.Options{})
			r := receive(t)
			if tt.answer != nil {
				r.answer = tt.answer
			}
			d := fast
			if tt.set != nil {
				tt.set(&d)
			}
			s.SetDelivery(d)
			subscribe(t, s, artifactorytest.DockerWebhook("tally", r.URL, "x", false))
			put(t, s, "docker-local", "app", "1", image(t, 1))
			if got := len(r.all(t, s)); got != tt.want {
				t.Errorf("%d deliveries, want %d", got, tt.want)
			}
			if got := s.Counts()[artifactorytest.ClassWebhook].Requests; got != int64(tt.want) {
				t.Errorf("%d counted", got)
			}
		})
	}
}

func TestWebhookReorder(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	r := receive(t)
	sub := artifactorytest.DockerWebhook("tally", r.URL, "x", false)
	subscribe(t, s, sub)
	s.SetDelivery(artifactorytest.Delivery{Hold: true})
	var docker []int
	for _, tag := range []string{"a", "b", "c"} {
		put(t, s, "docker-local", "app", tag, image(t, 1))
	}
	for i, e := range s.Held() {
		if e.Domain == "docker" {
			docker = append(docker, i)
		}
	}
	s.Release(docker[2], docker[0], docker[0])
	want := []string{"pushed docker-local/app:c", "pushed docker-local/app:a", "pushed docker-local/app:a"}
	if diff := cmp.Diff(want, brief(t, r.all(t, s))); diff != "" {
		t.Error(diff)
	}
}

func TestWebhookREST(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	r := receive(t)
	call := func(method, path, who string, sub any) reply {
		raw, err := json.Marshal(sub)
		if err != nil {
			t.Fatal(err)
		}
		return send(t, s, ask{method: method, path: "/event/api/v1/subscriptions" + path, who: who, body: string(raw)})
	}
	sub := artifactorytest.DockerWebhook("imgscan", r.URL, "x", false)
	for _, step := range []struct {
		method, path, who string
		sub               any
		want              int
	}{
		{"POST", "", alice, sub, 403},
		{"POST", "", "", sub, 401},
		{"POST", "", admin, sub, 201},
		{"POST", "", admin, sub, 400},
		{"GET", "/imgscan", admin, nil, 200},
		{"PUT", "/imgscan", admin, sub, 204},
		{"POST", "/test", admin, sub, 200},
		{"DELETE", "/imgscan", admin, nil, 204},
		{"GET", "/imgscan", admin, nil, 404},
		{"POST", "", admin, artifactorytest.DockerWebhook("1bad", r.URL, "x", false), 400},
		{"POST", "", admin, artifactorytest.DockerWebhook("bad", "ftp://x", "x", false), 400},
	} {
		if got := call(step.method, step.path, step.who, step.sub); got.status != step.want {
			t.Errorf("%s %s by %q: %d %s, want %d", step.method, step.path, step.who, got.status, got.body, step.want)
		}
	}
	test := r.all(t, s)
	if len(test) != 1 || !strings.Contains(test[0].body, `"repo_key":"sample_repo"`) || !strings.Contains(test[0].body, `"tag":"sample_image"`) {
		t.Errorf("the test event: %v", test)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.PrivateTargets = false })
	if got := call("POST", "", admin, sub); got.status != 400 || refused(t, got) != "Validation Error - unable to validate subscription" {
		t.Errorf("private target: %d %s", got.status, got.body)
	}
}
