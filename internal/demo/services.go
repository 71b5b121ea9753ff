package demo

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// payments is a Java service: jars beside one application archive.
func (b *baker) payments() {
	const image = "shop/payments"
	p := project{"payments", "https://git.example.com/shop/payments"}
	tags := []string{"3.1.0", "3.1.1", "3.1.2", "3.2.0", "3.2.1"}
	builds := make([]v1.Image, len(tags))
	runtimes := []stack{b.java(oldest), b.java(newest)}
	var libraries []*layer
	for _, when := range []age{oldest, newest} {
		libraries = append(libraries, b.layer(newLayer(types.DockerLayer, b.files(jars("app/lib", "payments", when))...)))
	}
	for i, tag := range tags {
		// The libraries are upgraded with 3.1.2, the base with 3.2.0.
		on, libs, when, base := runtimes[0], libraries[0], oldest, "17-jre-slim-12.0"
		if i >= 2 {
			libs, when = libraries[1], newest
		}
		if i >= 3 {
			on, base = runtimes[1], "17-jre-slim"
		}
		app := b.text(bootJar("com.example.shop", "payments", tag, "boot", when))
		made := on.from(b.ago(31-7*i, 6)).then(libs, "COPY target/dependency/ /app/lib/ # buildkit")
		made = made.then(b.layer(newLayer(types.DockerLayer, file{path: "app/payments.jar", body: app})), "COPY target/payments.jar /app/ # buildkit")
		made = made.run("/app", "app", "java", "-jar", "payments.jar").label(p, commit(p, i), keyBase+"/openjdk:"+base)
		builds[i] = b.image(made)
		b.publish(keyDev, image, builds[i], tag)
	}
	b.publish(keyDev, image, builds[4], "latest")
	b.publish(keyProd, image, builds[1], "3.1.1")
	b.publish(keyProd, image, builds[4], "3.2.1")
}

// backoffice is a Ruby application.
func (b *baker) backoffice() {
	p := project{"backoffice", "https://git.example.com/shop/backoffice"}
	on := b.ruby(middle)
	bundles := []*layer{
		b.layer(newLayer(types.DockerLayer, b.files(gems("backoffice", oldest))...)),
		b.layer(newLayer(types.DockerLayer, b.files(gems("backoffice", newest))...)),
	}
	for i, tag := range []string{"5.0.0", "5.0.1", "5.1.0", "5.1.1"} {
		made := on.from(b.ago(24-6*i, 9)).then(bundles[i/2], "RUN /bin/sh -c bundle install --without development test # buildkit")
		made = made.then(b.layer(newLayer(types.DockerLayer, file{path: "srv/backoffice/config/application.rb", body: "VERSION = '" + tag + "'\n"})), "COPY . /srv/backoffice # buildkit")
		made = made.env("SECRET_KEY_BASE", FakeSecret).run("/srv/backoffice", "app", "bundle", "exec", "puma").label(p, commit(p, i), keyBase+"/ruby:3.1-slim-bookworm")
		b.publish(keyDev, "shop/backoffice", b.image(made), tag)
	}
}

// gateway is a Go service on Alpine; production runs it on two platforms, with the
// builder's provenance beside it.
func (b *baker) gateway() {
	p := project{"gateway", "https://git.example.com/platform/gateway"}
	made := func(i int, tag, arch string) v1.Image {
		goVersion, when, release := "go1.20.4", oldest, oldest
		if i >= 3 {
			goVersion, when, release = "go1.22.1", newest, middle
		}
		program := b.text(goProgram(arch, goVersion, "git.example.com/platform/gateway", "v"+tag, "gateway", when))
		binary := b.layer(newLayer(types.OCILayer, file{path: "usr/local/bin/gateway", body: program, exec: true}))
		on := b.alpine(types.OCILayer, release, arch).from(b.ago(27-5*i, 4))
		on = on.then(binary, "COPY --from=build /out/gateway /usr/local/bin/ # buildkit")
		on = on.run("/", "65532", "gateway", "--listen", ":8443")
		return b.image(on.label(p, commit(p, i), fmt.Sprintf("%s/alpine:%s", keyBase, alpineVersion(release))))
	}
	for i, tag := range []string{"1.8.0", "1.8.1", "1.8.2", "1.9.0", "1.9.1"} {
		amd := made(i, tag, "amd64")
		b.publish(keyDev, "platform/gateway", amd, tag)
		if i >= 2 && i != 4 {
			b.publish(keyProd, "platform/gateway", b.attested(p, commit(p, i),
				platform{"amd64", amd}, platform{"arm64", made(i, tag, "arm64")}), tag)
		}
	}
}

// itself is an image whose one own layer is the running program: real content.
func (b *baker) itself() {
	if b.exe == "" {
		return
	}
	p := project{"tallyman", "https://github.com/tallyman-dev/tallyman"}
	binary := b.layer(newLayer(types.DockerLayer, file{path: "usr/local/bin/tallyman", disk: b.exe, exec: true}))
	made := b.debian(newest, "amd64").from(b.ago(0, 2)).then(binary, "COPY tallyman /usr/local/bin/ # buildkit")
	made = made.run("/", "65532", "tallyman", "serve").label(p, commit(p, 0), keyBase+"/debian:12-slim")
	b.publish(keyDev, "platform/tallyman", b.image(made), "edge", "latest")
}

// collector runs at the edge, on two platforms, in layers packed with zstd.
func (b *baker) collector() {
	p := project{"collector", "https://git.example.com/edge/collector"}
	made := func(i int, tag, arch string) v1.Image {
		goVersion, when := "go1.21.8", oldest
		if i >= 2 {
			goVersion, when = "go1.23.1", newest
		}
		program := b.text(goProgram(arch, goVersion, "git.example.com/edge/collector", "v"+tag, "collector", when))
		binary := b.layer(newLayer(types.OCILayerZStd, file{path: "collector", body: program, exec: true}))
		on := b.alpine(types.OCILayerZStd, middle, arch, "curl").from(b.ago(22-6*i, 7))
		on = on.then(binary, "COPY --from=build /out/collector /collector # buildkit").run("/", "65532", "/collector")
		return b.image(on.label(p, commit(p, i), keyBase+"/alpine:3.20.0"))
	}
	for i, tag := range []string{"0.6.0", "0.6.1", "0.7.0", "0.7.1"} {
		b.publish(keyEdge, "edge/collector", b.attested(p, commit(p, i),
			platform{"amd64", made(i, tag, "amd64")}, platform{"arm64", made(i, tag, "arm64")}), tag)
	}
}

// bridge is a Python program on Alpine.
func (b *baker) bridge() {
	p := project{"mqtt-bridge", "https://git.example.com/edge/mqtt-bridge"}
	for i, tag := range []string{"2.0.0", "2.0.1", "2.1.0"} {
		when := oldest
		if i == 2 {
			when = newest
		}
		site := b.layer(newLayer(types.OCILayer, b.files(sitePackages("python3.12", "bridge", when))...))
		source := b.layer(newLayer(types.OCILayer, file{path: "srv/bridge/main.py", body: "VERSION = '" + tag + "'\n"}))
		made := b.alpine(types.OCILayer, middle, "amd64", "python").from(b.ago(19-8*i, 1))
		made = made.then(site, "RUN /bin/sh -c pip install -r requirements.txt # buildkit").then(source, "COPY main.py /srv/bridge/ # buildkit")
		made = made.run("/srv/bridge", "nobody", "python3", "main.py").label(p, commit(p, i), keyBase+"/python:3.12-alpine3.20")
		b.publish(keyEdge, "edge/mqtt-bridge", b.image(made), tag)
	}
}
