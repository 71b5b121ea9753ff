package artifactory_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// fill puts one of everything that can lie in a docker repository.
func fill(t *testing.T, s *artifactorytest.Server) {
	t.Helper()
	put(t, s, "docker-local", "team/app", "1.0", image(t))
	put(t, s, "docker-local", "team/app", "2.0", index(t))
	put(t, s, "docker-local", "tool", "latest", image(t))
	put(t, s, "docker-prod", "team/app", "1.0", image(t))
	put(t, s, "docker-fed", "deep/er/still", "v1", index(t))
	put(t, s, "docker-hub", "library/alpine", "3.20", index(t))
	both := image(t)
	put(t, s, "docker-local", "desktop", "1", index(t)) // Docker Desktop pushed the same tag twice
	put(t, s, "docker-local", "desktop", "1", both)
}

func TestTagsOnEveryProfile(t *testing.T) {
	t.Parallel()
	for _, profile := range artifactorytest.Profiles() {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			s := start(t, artifactorytest.Options{Profile: profile})
			fill(t, s)
			c := client(t, s)
			keys := []string{"docker-local", "docker-prod", "docker-hub", "docker-fed"}
			l := tags(t, c, artifactory.Ask{Keys: selected(t, c, keys...)})
			if diff := cmp.Diff(truth(s, keys...), digests(l)); diff != "" {
				t.Error(diff)
			}
			if l.Fallback || len(l.Problems) > 0 {
				t.Errorf("fallback %v, problems %v", l.Fallback, l.Problems)
			}
			if got := s.Counts()[artifactorytest.ClassAQL].Requests; got != 1 {
				t.Errorf("%d queries, want 1", got)
			}
			if got := s.Counts()[artifactorytest.ClassUpstream].Requests; got != 0 {
				t.Errorf("%d requests to the upstream of a remote", got)
			}
		})
	}
}

func TestCatalogSaysTheSame(t *testing.T) {
	t.Parallel()
	for _, profile := range artifactorytest.Profiles() {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			s := start(t, artifactorytest.Options{Profile: profile})
			fill(t, s)
			defer s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultNotFound, Classes: []string{artifactorytest.ClassAQL}})()
			c := client(t, s)
			keys := []string{"docker-local", "docker-prod", "docker-fed"}
			l := tags(t, c, artifactory.Ask{Keys: selected(t, c, append(keys, "docker-hub")...)})
			if diff := cmp.Diff(truth(s, keys...), digests(l)); diff != "" {
				t.Error(diff)
			}
			if !l.Fallback || !errors.Is(l.Problems["docker-hub"], inventory.ErrForbidden) {
				t.Errorf("fallback %v, problems %v", l.Fallback, l.Problems)
			}
		})
	}
}

// A virtual's images are counted once: under the member where that is watched
// too, else under the virtual.
func TestVirtual(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	fill(t, s)
	c := client(t, s)
	local, hub := truth(s, "docker-local"), truth(s, "docker-hub")

	both := digests(tags(t, c, artifactory.Ask{Keys: selected(t, c, "docker", "docker-local")}))
	want := maps.Clone(local)
	for ref, d := range hub {
		want["docker/"+strings.TrimPrefix(ref, "docker-hub/")] = d
	}
	if diff := cmp.Diff(want, both); diff != "" {
		t.Errorf("with its member: %s", diff)
	}

	alone := client(t, s)
	want = map[string]string{}
	for _, m := range []map[string]string{local, hub} {
		for ref, d := range m {
			_, image, _ := strings.Cut(ref, "/")
			want["docker/"+image] = d
		}
	}
	keys := selected(t, alone, "docker")
	if diff := cmp.Diff(want, digests(tags(t, alone, artifactory.Ask{Keys: keys}))); diff != "" {
		t.Errorf("alone: %s", diff)
	}
	d := put(t, s, "docker-local", "fresh", "1", image(t))
	changes := digests(tags(t, alone, artifactory.Ask{Keys: keys, Since: s.Now().Add(-time.Minute)}))
	if changes["docker/fresh:1"] != d {
		t.Errorf("a push to a member is not among %v", changes)
	}
}

// Whoever may read some paths only sees those, and nothing is cut short by it.
func TestReaderOfSomePaths(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	fill(t, s)
	s.AddUser(artifactorytest.User{
		Name: "narrow", Password: "n", Rules: []artifactorytest.Rule{{Repo: "docker-local", Include: []string{"team/**"}}},
	})
	c := client(t, s, func(o *artifactory.Options) { o.Username, o.Secret = "narrow", "n" })
	l := tags(t, c, artifactory.Ask{Keys: []inventory.RepositoryKey{{Key: "docker-local", OK: true, Class: "local", PackageType: "docker"}}})
	for ref := range digests(l) {
		if !strings.HasPrefix(ref, "docker-local/team/") {
			t.Errorf("%s is listed", ref)
		}
	}
	if len(l.Tags) != 2 {
		t.Errorf("%d tags, want 2", len(l.Tags))
	}
}

func TestChangesOnly(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{Profile: artifactorytest.V6}) // its times have a zone
	put(t, s, "docker-local", "old", "1", image(t))
	c := client(t, s)
	keys := selected(t, c, "docker-local")
	s.Advance(2 * time.Hour)
	d := put(t, s, "docker-local", "new", "1", image(t))
	l := tags(t, c, artifactory.Ask{Keys: keys, Since: s.Now().Add(-time.Hour)})
	if diff := cmp.Diff(map[string]string{"docker-local/new:1": d}, digests(l)); diff != "" {
		t.Error(diff)
	}
	if l.Complete["docker-local"] {
		t.Error("changes are no complete listing")
	}
	if off := s.Now().Sub(l.At); off < -2*time.Second || off > 5*time.Second {
		t.Errorf("listed at %s, the server's clock says %s", l.At, s.Now())
	}
	if p := l.Tags[0].Pushed; s.Now().Sub(p) > 10*time.Second {
		t.Errorf("pushed at %s", p)
	}
}

func TestOneImage(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	fill(t, s)
	put(t, s, "docker-local", "team/app/sub", "1", image(t)) // below the image, not of it
	c := client(t, s)
	l := tags(t, c, artifactory.Ask{Keys: selected(t, c, "docker-local"), Image: "team/app"})
	if len(l.Tags) != 2 || !l.Complete["docker-local"] {
		t.Errorf("%v", digests(l))
	}
}

func TestTrimmedAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{Profile: artifactorytest.Cloud}, func(sw *artifactorytest.Switches) { sw.AQLMaxRows = 50 })
	if err := s.FillTags(artifactorytest.Fill{Repo: "docker-local", Prefix: "app", Images: 30, Tags: 10, From: image(t), Distinct: true}); err != nil {
		t.Fatal(err)
	}
	c := client(t, s)
	l := tags(t, c, artifactory.Ask{Keys: selected(t, c, "docker-local")})
	if diff := cmp.Diff(truth(s, "docker-local"), digests(l)); diff != "" {
		t.Error(diff)
	}
}

func TestExactlyThousandIsDoubted(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	if err := s.FillTags(artifactorytest.Fill{Repo: "docker-local", Prefix: "app", Images: 10, Tags: 100, From: image(t)}); err != nil {
		t.Fatal(err)
	}
	c := client(t, s)
	l := tags(t, c, artifactory.Ask{Keys: selected(t, c, "docker-local")})
	if len(l.Tags) != 1000 || s.Counts()[artifactorytest.ClassAQL].Requests != 3 {
		t.Errorf("%d tags by %d queries", len(l.Tags), s.Counts()[artifactorytest.ClassAQL].Requests)
	}
}

// An answer that ends early on a 200 is no answer.
func TestCutAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	fill(t, s)
	c := client(t, s)
	keys := selected(t, c, "docker-local")
	s.Change(func(sw *artifactorytest.Switches) { sw.AQLTruncate = 2 })
	if l, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys}); !errors.Is(err, inventory.ErrUnavailable) {
		t.Errorf("%v, %d tags", err, len(l.Tags))
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.AQLTruncate = 0 })
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultCut, Classes: []string{artifactorytest.ClassAQL}, Times: 1, After: 300})
	l := tags(t, c, artifactory.Ask{Keys: keys})
	if diff := cmp.Diff(truth(s, "docker-local"), digests(l)); diff != "" {
		t.Error(diff)
	}
}

func TestPassingTrouble(t *testing.T) {
	t.Parallel()
	for _, kind := range []artifactorytest.FaultKind{
		artifactorytest.FaultBadGateway, artifactorytest.FaultUnavailable, artifactorytest.FaultStarting, artifactorytest.FaultOffline,
		artifactorytest.FaultTooMany, artifactorytest.FaultServerError, artifactorytest.FaultEOF,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := start(t, artifactorytest.Options{})
			fill(t, s)
			c := client(t, s)
			keys := selected(t, c, "docker-local")
			s.Inject(artifactorytest.Fault{Kind: kind, Classes: []string{artifactorytest.ClassAQL}, Times: 2})
			if l := tags(t, c, artifactory.Ask{Keys: keys}); len(l.Tags) != len(truth(s, "docker-local")) {
				t.Errorf("%v", digests(l))
			}
			s.Inject(artifactorytest.Fault{Kind: kind, Classes: []string{artifactorytest.ClassAQL}})
			if _, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys}); !errors.Is(err, inventory.ErrUnavailable) {
				t.Errorf("lasting: %v", err)
			}
		})
	}
}

func TestMaintenancePageIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, kind := range []artifactorytest.FaultKind{artifactorytest.FaultMaintenance, artifactorytest.FaultRedirect} {
		s := start(t, artifactorytest.Options{})
		fill(t, s)
		c := client(t, s)
		keys := selected(t, c, "docker-local")
		s.Inject(artifactorytest.Fault{Kind: kind})
		l, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys})
		if !errors.Is(err, inventory.ErrUnavailable) || len(l.Tags) > 0 {
			t.Errorf("%s: %v, %d tags", kind, err, len(l.Tags))
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	c := client(t, s)
	keys := selected(t, c, "docker-local")
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultTooMany, Classes: []string{artifactorytest.ClassAQL}, Times: 1, RetryAfter: "1"})
	began := time.Now()
	tags(t, c, artifactory.Ask{Keys: keys})
	if d := time.Since(began); d < time.Second {
		t.Errorf("waited %s, asked for 1s", d)
	}
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultTooMany, Classes: []string{artifactorytest.ClassAQL}, Times: 1, RetryAfter: "3600"})
	before := s.Counts()[artifactorytest.ClassAQL].Requests
	if _, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys}); !errors.Is(err, inventory.ErrUnavailable) {
		t.Errorf("an hour: %v", err)
	}
	if got := s.Counts()[artifactorytest.ClassAQL].Requests - before; got != 1 {
		t.Errorf("%d requests to a server that asked for an hour", got)
	}
}

// Queries are made one at a time: a fourth would be answered with 429.
func TestOneQueryAtATime(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) {
		sw.AQLParallel, sw.AQLPending, sw.AQLDelay = 1, 0, 20*time.Millisecond
	})
	c := client(t, s, func(o *artifactory.Options) { o.Retries = -1 })
	keys := selected(t, c, "docker-local")
	done := make(chan error)
	for range 5 {
		go func() {
			_, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys})
			done <- err
		}()
	}
	for range 5 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
