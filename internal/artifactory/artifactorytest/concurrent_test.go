package artifactorytest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// Everything at once, for the race detector; afterwards the server agrees with itself.
func TestConcurrentUse(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.AQLParallel = 0 })
	r := receive(t)
	subscribe(t, s, artifactorytest.DockerWebhook("tally", r.URL, "x", true))
	img, other, idx := image(t, 1), image(t, 2), index(t)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	worker := func(seed uint64, act func(r *rand.Rand, tag string)) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 7))
			for ctx.Err() == nil {
				act(rnd, fmt.Sprint(rnd.IntN(8)))
			}
		})
	}
	worker(1, func(r *rand.Rand, tag string) {
		_ = s.PutImage("docker-local", "app", tag, []artifactorytest.Image{img, other, idx}[r.IntN(3)])
	})
	worker(2, func(_ *rand.Rand, tag string) { s.DeleteTag("docker-local", "app", tag) })
	worker(3, func(r *rand.Rand, tag string) {
		_ = s.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: tag, ToRepo: "docker-prod", Copy: r.IntN(2) == 0})
	})
	worker(4, func(r *rand.Rand, tag string) {
		_ = s.Retag("docker-local", "app", tag, fmt.Sprint(r.IntN(8)))
		s.Advance(time.Second)
	})
	for i, a := range []ask{
		aqlAsk(admin, `items.find({"repo":"docker-local"}).include("repo","path","name","property")`),
		{path: "/v2/docker-local/app/tags/list", who: admin},
		{path: "/v2/docker-local/app/manifests/1", who: admin},
		{path: "/artifactory/api/storage/docker-local?list&deep=1", who: admin},
	} {
		worker(uint64(i+10), func(*rand.Rand, string) {
			got, err := try(ctx, s, a)
			if err == nil && got.status >= 500 {
				t.Errorf("%s: %d %s", a.path, got.status, got.body)
			}
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, tag := range s.Tags() {
		got := send(t, s, ask{method: "HEAD", path: "/v2/" + tag.Repo + "/" + tag.Image + "/manifests/" + tag.Tag, who: admin})
		if got.status != 200 || got.header.Get("Docker-Content-Digest") != tag.Digest {
			t.Errorf("%v: %d %s", tag, got.status, got.header.Get("Docker-Content-Digest"))
		}
	}
	if n := s.TagsFor("nobody"); n != nil {
		t.Errorf("a user that is not there reads %v", n)
	}
}
