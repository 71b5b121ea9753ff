package demo

import (
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// stack is a base image in the making, with the Debian packages it holds: a later
// apt-get writes them all anew.
type stack struct {
	build
	debs []debianPackage
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// debian is a minimal Debian 12.
func (b *baker) debian(release age, arch string) stack {
	packages := b.debs(debianSets(arch, release, "base"))
	root := b.layer(debianRoot(packages, release))
	made := build{arch: arch}.from(b.ago([...]int{64, 33, 6}[release], 2))
	made = made.then(root, "ADD rootfs.tar.xz / # debian bookworm").env("PATH", searchPath)
	return stack{made.run("/", "", "bash"), packages}
}

// install adds sets of Debian packages as one apt-get would, and extra files.
func (b *baker) install(on stack, release age, by string, extra []file, sets ...string) stack {
	added := b.debs(debianSets(on.arch, release, sets...))
	all := append(append([]debianPackage{}, on.debs...), added...)
	change := b.layer(debianChange(all, append(copyrights(added), extra...)...))
	return stack{on.then(change, by), all}
}

// alpine is a minimal Alpine with more sets of packages.
func (b *baker) alpine(media types.MediaType, release age, arch string, sets ...string) build {
	packages := b.apks(alpineSets(release, "base"))
	root := b.layer(alpineRoot(media, packages, release, arch))
	made := build{arch: arch}.from(b.ago([...]int{58, 41, 12}[release], 5))
	made = made.then(root, "ADD alpine-minirootfs-"+alpineVersion(release)+".tar.gz / # buildkit").env("PATH", searchPath)
	if len(sets) == 0 {
		return made.run("/", "", "/bin/sh")
	}
	all := append(packages, b.apks(alpineSets(release, sets...))...)
	return made.then(b.layer(alpineChange(media, all, arch)), "RUN /bin/sh -c apk add --no-cache ca-certificates # buildkit")
}

// node is a Node.js runtime on Debian; npm itself is a tree of packages.
func (b *baker) node(release, npm age) stack {
	version := [...]string{"18.17.1", "", "20.17.0"}[npm]
	files := b.files(nodeModules("usr/local/lib", "npm", npm))
	files = append(files, file{path: "usr/local/include/node/node_version.h", body: "#define NODE_VERSION \"" + version + "\"\n"})
	runtime := b.layer(newLayer(types.DockerLayer, files...))
	on := b.debian(release, "amd64")
	made := on.from(on.created.AddDate(0, 0, 1)).env("NODE_VERSION", version)
	made = made.then(runtime, "RUN /bin/sh -c curl -fsSLO --compressed node-v$NODE_VERSION-linux-x64.tar.xz && tar -xJf node-v$NODE_VERSION-linux-x64.tar.xz -C /usr/local # buildkit")
	return stack{made.run("/", "", "node"), on.debs}
}

// python is a Python runtime on Debian, with pip.
func (b *baker) python(release, pip age) stack {
	on := b.debian(release, "amd64")
	on.build = on.from(on.created.AddDate(0, 0, 1)).env("PYTHON_VERSION", "3.11.9")
	on = b.install(on, release, "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata # buildkit", nil, "python", "imaging")
	tools := b.layer(newLayer(types.DockerLayer, b.files(sitePackages("python3.11", "pip", pip))...))
	made := on.then(tools, "RUN /bin/sh -c python get-pip.py --disable-pip-version-check --no-cache-dir # buildkit")
	return stack{made.run("/", "", "python3"), on.debs}
}

// java is a Java runtime on Debian.
func (b *baker) java(release age) stack {
	on := b.debian(release, "amd64")
	on.build = on.from(on.created.AddDate(0, 0, 1)).env("JAVA_HOME", "/usr/lib/jvm/java-17-openjdk-amd64")
	on = b.install(on, release, "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless curl # buildkit", nil, "java", "curl")
	return stack{on.run("/", "", "java", "-version"), on.debs}
}

// ruby is Debian's Ruby with bundler's home beside it.
func (b *baker) ruby(release age) stack {
	on := b.debian(release, "amd64")
	on.build = on.from(on.created.AddDate(0, 0, 1)).env("BUNDLE_PATH", "/"+gemHome)
	on = b.install(on, release, "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends ruby # buildkit", nil, "ruby", "ssh")
	return stack{on.run("/", "", "irb"), on.debs}
}

// bases publishes the company's base images.
func (b *baker) bases() {
	b.publish(keyBase, "debian", b.image(b.debian(oldest, "amd64").build), "12.0-slim")
	b.publish(keyBase, "debian", b.image(b.debian(middle, "amd64").build), "12.5-slim")
	b.publish(keyBase, "debian", b.index(types.DockerManifestList,
		platform{"amd64", b.image(b.debian(newest, "amd64").build)},
		platform{"arm64", b.image(b.debian(newest, "arm64").build)}), "12-slim", "bookworm-slim")

	b.publish(keyBase, "alpine", b.image(b.alpine(types.DockerLayer, oldest, "amd64")), "3.18.4")
	b.publish(keyBase, "alpine", b.image(b.alpine(types.DockerLayer, middle, "amd64")), "3.20.0")
	b.publish(keyBase, "alpine", b.index(types.OCIImageIndex,
		platform{"amd64", b.image(b.alpine(types.OCILayer, newest, "amd64"))},
		platform{"arm64", b.image(b.alpine(types.OCILayer, newest, "arm64"))}), "3.20.3", "3.20")

	b.publish(keyBase, "node", b.image(b.node(oldest, oldest).build), "18.17-bookworm-slim")
	b.publish(keyBase, "node", b.image(b.node(newest, newest).build), "20.17-bookworm-slim")
	b.publish(keyBase, "node", b.image(b.alpine(types.DockerLayer, oldest, "amd64", "node")), "18.18-alpine3.18")
	b.publish(keyBase, "python", b.image(b.python(oldest, oldest).build), "3.11-slim-bookworm")
	b.publish(keyBase, "python", b.image(b.alpine(types.DockerLayer, middle, "amd64", "python")), "3.12-alpine3.20")
	b.publish(keyBase, "openjdk", b.image(b.java(oldest).build), "17-jre-slim-12.0")
	b.publish(keyBase, "openjdk", b.image(b.java(newest).build), "17-jre-slim")
	b.publish(keyBase, "ruby", b.image(b.ruby(middle).build), "3.1-slim-bookworm")
}
