package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// TestBadImages holds that a broken image is its own, named failure and stops nobody else.
func TestBadImages(t *testing.T) {
	srv, token := registryOf(t)
	pushApp(t, srv)
	// A layer whose diff ID is not what the configuration claims.
	lying, err := mutate.AppendLayers(empty.Image, static.NewLayer(ocitest.Gzip(ocitest.Tar(ocitest.File("a", "b"))), types.DockerLayer))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.PutImage("docker-local", "team/lying", "1", lying); err != nil {
		t.Fatal(err)
	}
	// A layer that a bad clean-up lost.
	lost, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.PutImage("docker-local", "team/lost", "1", lost); err != nil {
		t.Fatal(err)
	}
	layers, err := lost.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	srv.LoseBlob("docker-local", digest.String())

	p := newProgram(t)
	p.env["TALLYMAN_LISTEN"] = "127.0.0.1:0"
	p.run(token, "integration", "add", "acme", "--url", srv.URL(), "--secret-stdin", "--repositories", "docker-local").want(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan int, 1)
	go func() { served <- p.serveUntil(ctx) }()
	p.settled(t)
	stop()
	<-served

	var rows []inventory.TagRow
	if err := json.Unmarshal([]byte(p.run("", "images", "--format", "json").stdout), &rows); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, r := range rows {
		states[r.Image] = r.State + ": " + r.Problem
	}
	for image, want := range map[string]string{
		"team/app": "analysed: ", "team/lying": "failed: layer 0", "team/lost": "failed: layer 0",
	} {
		if !strings.HasPrefix(states[image], want) {
			t.Errorf("%s is %q, want %q…", image, states[image], want)
		}
	}
	p.run("", "cves", "team/lying:1").want(t, exitError, "layer 0")
}
