# make check is what CI runs. Everything else is a part of it or a help while working.

export GOFLAGS ?=
LINT := $(CURDIR)/.bin/golangci-lint

.PHONY: check build vet lint test oidc race fuzz bench bench-watch bench-scale screenshots image

check: vet lint test oidc race

build:
	CGO_ENABLED=0 go build -trimpath -o tallyman ./cmd/tallyman

# The container image, without a daemon: an OCI layout and an archive in dist/.
image:
	go run ./cmd/image -o dist -created $${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}

vet:
	go vet ./...
	test -z "$$(gofmt -l cmd client internal)"

# The linter is pinned in tools/go.mod, apart from our own go.mod, and built from source once.
$(LINT): tools/go.mod
	go build -C tools -o $(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

lint: $(LINT)
	$(LINT) run ./...

test:
	go test ./...

# Signs people in at dex. It is a module of its own: Tallyman does not depend on a provider.
oidc:
	cd internal/e2e/oidc && go vet ./... && go test -count=1 ./... && go mod tidy -diff

race:
	go test -race -short -timeout 20m ./...

# Each fuzz target for a few seconds, from its seeds.
fuzz:
	@for pkg in $$(grep -rl --include='*_test.go' 'func Fuzz' internal cmd | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$pkg/*_test.go | cut -d' ' -f2); do \
	    go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-10s} ./$$pkg || exit 1; \
	  done; done

# What indexing costs against a floor program, in pairs of whole processes, on the images of a registry:
#   make bench FLOOR=…/floor REGISTRY=127.0.0.1:5055 FLEET=…/refs IMAGES="base-debian:bookworm node-app:1.4"
REGISTRY ?= 127.0.0.1:5055
ROUNDS ?= 9
bench:
	@test -n "$(FLOOR)" || { echo "FLOOR names the floor program: docs/performance.md says what it does"; exit 1; }
	go run ./internal/index/indexbench -floor "$(FLOOR)" -registry "$(REGISTRY)" -rounds $(ROUNDS) $(if $(FLEET),-fleet "$(FLEET)") $(IMAGES)

# From a push to an analysed image, what idling costs, and a first connect to 100,000 tags: docs/sizing.md.
bench-watch:
	go test ./internal/e2e -run '^$$' -bench Watch -benchtime 1x -timeout 30m

# What questions cost in a ledger of many images, and what filling it costs:
#   make bench-scale IMAGES=100000 OSV=…/osv [DATABASE=postgres://…] [DATA=DIR]
bench-scale:
	go run ./internal/store/scalebench -images $(or $(IMAGES),100000) $(if $(OSV),-osv "$(OSV)") $(if $(DATABASE),-database "$(DATABASE)") $(if $(DATA),-data "$(DATA)")

# Pictures of every page of a demo, light and dark, wide and narrow, in docs/screenshots/all.
# Those that README shows lie beside it; the others are kept out of git.
SHOTS := docs/screenshots
screenshots:
	@mkdir -p $(SHOTS)/all .bin
	go build -o .bin/tallyman ./cmd/tallyman
	@log=$$(mktemp); .bin/tallyman demo --listen 127.0.0.1:0 >$$log 2>&1 & demo=$$!; \
	trap "kill $$demo; rm -f $$log" EXIT; \
	until grep -q 'the webhook brings it in' $$log; do kill -0 $$demo || { cat $$log; exit 1; }; sleep 1; done; sleep 4; \
	go test ./internal/dashboard -count=1 -run TestDemoPictures -demo "$$(grep -o 'http://[^ ]*/signin/[^ ]*' $$log)" -shots $(CURDIR)/$(SHOTS)/all
