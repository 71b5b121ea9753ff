package demo

import (
	"crypto/sha1" // git names commits by this sum; it guards nothing here
	"encoding/hex"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// commit is the made-up revision of one build of a project.
func commit(p project, build int) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%s build %d", p.source, build))
	return hex.EncodeToString(sum[:])
}

// storefront is an application under steady work: successive builds that differ in
// one small layer, a few that change more, and a build that comes while one looks on.
func (b *baker) storefront() {
	const (
		first, last = 301, 312
		image       = "shop/storefront"
	)
	p := project{"storefront", "https://git.example.com/shop/storefront"}
	builds := map[int]v1.Image{}
	recipes := b.storefrontRecipes()
	for n := first; n <= last+1; n++ {
		// From four weeks ago to an hour ago; the late one is of now.
		hours := 1 + (last-n)*(last-n)*5 + (last-n)*3
		created := b.ago(0, hours)
		if n > last {
			created = b.now
		}
		recipe := recipes[0]
		for _, r := range recipes {
			if n >= r.since {
				recipe = r
			}
		}
		builds[n] = b.storefrontBuild(p, recipe.on.from(created), recipe.base, n)
	}
	tag := func(n int) string { return fmt.Sprintf("1.14.0-build.%d", n) }
	for n := first; n <= last; n++ {
		b.publish(keyDev, image, builds[n], tag(n))
	}
	b.publish(keyDev, image, builds[306], "latest") // and later it moved
	b.publish(keyDev, image, builds[last], "latest")
	b.publish(keyProd, image, builds[304], "1.14.0-build.304", "stable-1")
	b.publish(keyProd, image, builds[310], "1.14.0-build.310")
	for _, t := range []string{tag(last + 1), "latest"} {
		b.late = append(b.late, published{key: keyDev, image: image, tag: t, content: builds[last+1]})
	}
}

// recipe is how the storefront is built from some build on.
type recipe struct {
	since int
	on    build
	base  string
}

func (b *baker) storefrontRecipes() []recipe {
	const ci = "RUN |1 NPM_TOKEN=" + FakeSecret + " /bin/sh -c npm ci --omit=dev # buildkit"
	dependencies := b.layer(newLayer(types.DockerLayer, b.files(nodeModules("app", "shop", oldest))...))
	newer := b.layer(newLayer(types.DockerLayer, b.files(nodeModules("app", "shop", newest))...))
	removed := b.layer(newLayer(types.DockerLayer, whiteout("app/node_modules/ip"), whiteout("app/node_modules/mkdirp")))

	node18 := b.node(oldest, oldest)
	plain := node18.then(dependencies, ci)

	now := b.debs(debianSets("amd64", newest, "base"))
	patch := b.layer(debianChange(upgradeTo(node18.debs, now, "openssl", "glibc")))
	patched := node18.then(patch, "RUN /bin/sh -c apt-get update && apt-get install -y --only-upgrade openssl libssl3 libc6 libc-bin # buildkit")

	node20 := b.node(newest, newest)
	return []recipe{
		{301, plain, keyBase + "/node:18.17-bookworm-slim"},
		{305, patched.then(dependencies, ci), keyBase + "/node:18.17-bookworm-slim"},
		{307, patched.then(newer, ci), keyBase + "/node:18.17-bookworm-slim"},
		{309, patched.then(newer, ci).then(removed, "RUN /bin/sh -c rm -r node_modules/ip node_modules/mkdirp # buildkit"), keyBase + "/node:18.17-bookworm-slim"},
		{311, node20.then(newer, ci).then(removed, "RUN /bin/sh -c rm -r node_modules/ip node_modules/mkdirp # buildkit"), keyBase + "/node:20.17-bookworm-slim"},
	}
}

func (b *baker) storefrontBuild(p project, on build, base string, n int) v1.Image {
	source := b.layer(newLayer(types.DockerLayer,
		file{path: "app/package.json", body: fmt.Sprintf("{\n  \"name\": \"storefront\",\n  \"version\": \"1.14.0-build.%d\",\n  \"private\": true,\n  \"license\": \"UNLICENSED\"\n}\n", n)},
		file{path: "app/dist/server.js", body: fmt.Sprintf("// build %d\nrequire('express')().listen(process.env.PORT || 8080)\n", n)},
	))
	made := on.then(source, "COPY package.json dist ./ # buildkit")
	made = made.env("NODE_ENV", "production").env("PAYMENTS_API_TOKEN", FakeSecret)
	made = made.run("/app", "node", "node", "dist/server.js").label(p, commit(p, n), base)
	return b.image(made)
}

// catalog is a Python service; its release candidates upgrade the dependencies.
func (b *baker) catalog() {
	const image = "shop/catalog-api"
	p := project{"catalog-api", "https://git.example.com/shop/catalog-api"}
	on := b.python(oldest, oldest)
	old := b.layer(newLayer(types.DockerLayer, b.files(sitePackages("python3.11", "catalog", oldest))...))
	upgrade := b.layer(newLayer(types.DockerLayer, b.files(sitePackages("python3.11", "catalog", newest))...))
	tags := []string{"2.2.0", "2.2.1", "2.2.2", "2.3.0-rc.1", "2.3.0-rc.2", "2.3.0"}
	builds := make([]v1.Image, len(tags))
	for i, tag := range tags {
		dependencies := old
		if i >= 3 {
			dependencies = upgrade
		}
		made := on.from(b.ago(29-5*i, 3)).then(dependencies, "RUN /bin/sh -c pip install --no-cache-dir -r requirements.txt # buildkit")
		made = made.then(b.layer(newLayer(types.DockerLayer, file{path: "srv/catalog/app.py", body: "VERSION = \"" + tag + "\"\n"})), "COPY . /srv/catalog # buildkit")
		made = made.env("DATABASE_URL", "postgresql://catalog:"+FakeSecret+"@db.example.com/catalog")
		made = made.run("/srv/catalog", "1000", "gunicorn", "app:app").label(p, commit(p, i), keyBase+"/python:3.11-slim-bookworm")
		builds[i] = b.image(made)
		b.publish(keyDev, image, builds[i], tag)
	}
	b.publish(keyDev, image, builds[5], "latest")
	b.publish(keyProd, image, builds[2], "2.2.2")
	b.publish(keyProd, image, builds[5], "2.3.0")
}
