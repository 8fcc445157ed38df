# make build   the binary, without a C compiler
# make test    everything that must hold; what CI runs
# make bench   the benchmark beside a peer, long
# make chaos   three nodes while what they stand on fails, long
# make bench-cluster  a node on PostgreSQL beside both, some minutes
# make fuzz    each decoder for FUZZTIME, long
# make fuzz-owed  each decoder until it has had OWED in all, long; see docs/fuzzing.md
# make fuzz-keep  keeps what fuzzing found in testdata, and writes the ledger
# make fleet   simulated devices under 1000 seeds, long
# make fleet-postgres  the same on PostgreSQL, longer
# make on-postgres  what has to hold on either engine, on PostgreSQL; CI does it
# make acmeserver  the ACME authority that certificates are tested with, likewise
# make postgres  all random histories on PostgreSQL, long
# make s3server  the S3 server that backups are tested with, before go test without CI
# make web     the web client's files, from its sources; needs Node.js, and npm its registry
# make soak    random histories, crashes and devices for SOAKTIME (minutes: 30m), long

GO       ?= go
FUZZTIME ?= 60s
SOAKTIME ?= 30m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Packages whose tests are about goroutines, run with the race detector.
RACE ?= ./internal/auth/... ./internal/hourly/... ./internal/jmap/... ./internal/longpoll/... ./internal/signin/... ./internal/blob/... ./internal/delivery/... ./internal/eas/... ./internal/imap/... ./internal/notify/... ./internal/past/... \
	./internal/pop3/... ./internal/smtp/... ./internal/store/... ./internal/backup/... ./internal/transfer/... ./internal/certs/... ./internal/lot/... ./internal/admin/... ./internal/httpd/... ./cmd/...

.PHONY: build test format vet race cross chaos bench fuzz soak clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o lockstep ./cmd/lockstep

test: format vet cross $(if $(CI),s3server acmeserver) $(if $(CI)$(NODE_THERE),web-check web-e2e,web-skip)
	$(GO) test -timeout 30m ./...
	$(MAKE) race
	$(if $(CI),$(MAKE) on-postgres)

format:
	@bad=$$(gofmt -l cmd internal web/*.go); test -z "$$bad" || { echo "not gofmt: $$bad"; exit 1; }

vet:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The check of pointers that comes with the race detector took two thirds of its time
# in SQLite, whose pointers are numbers to Go: there is nothing to be found.
race:
	CGO_ENABLED=1 $(GO) test -race -short -gcflags='modernc.org/...=-d=checkptr=0' -timeout 30m $(RACE)

cross:
	CGO_ENABLED=0 $(GO) build ./...
	CGO_ENABLED=0 GOOS=darwin $(GO) build -o /dev/null ./cmd/lockstep

# Three nodes for CHAOSTIME, while what they stand on fails.
chaos: s3server
	CHAOSTIME=$(or $(CHAOSTIME),10m) $(GO) test -count=1 -v -timeout 2h -run 'TestThreeNodesSurvive' ./internal/e2e

bench: build
	./lockstep bench --json bench.json

# What a node on PostgreSQL does, beside Dovecot and beside a server of its own.
.PHONY: bench-cluster
bench-cluster: build
	./lockstep bench --cluster --quick --runs 3 --only lmtp-1 --only lmtp-64 --only append-64 --only store-16 --only open-warm --json bench-cluster.json

# Go fuzzes one target at a time, so each is asked for by name.
fuzz:
	@for pkg in $$($(GO) list ./internal/...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

# One processor, and interrupted as one likes: what each target had is in the ledger.
.PHONY: fuzz-owed fuzz-keep
fuzz-owed:
	$(GO) run ./internal/tools/fuzz run -for $(or $(OWED),1h) $(TARGETS)

fuzz-keep:
	$(GO) run ./internal/tools/fuzz keep $(TARGETS)

soak:
	LOCKSTEP_SOAK=$(SOAKTIME) $(GO) test -timeout 0 -v -run Killed ./internal/e2e

clean:
	rm -f lockstep bench.json bench-cluster.json

# Power cuts, disks that refuse, and kills, each for a third of SOAKTIME.
.PHONY: soak-crash
soak: soak-crash
soak-crash:
	LOCKSTEP_SOAK=$(SOAKTIME) $(GO) test -timeout 0 -v -run 'PowerLoss|FailedSyncs|Killed' ./internal/crashtest

# 10 000 moments of random histories looked back at, in each engine.
.PHONY: soak-past
soak: soak-past
soak-past:
	$(GO) test -timeout 0 -v -run 'TestThePastIs' ./internal/past -past.points=10000

# IMAP clients that hold the server to every word, with ever new seeds.
# LOCKSTEP_SEED=N go test -run UnderStress ./internal/imap runs one again.
.PHONY: soak-imap
soak: soak-imap
soak-imap:
	LOCKSTEP_SOAK=$(SOAKTIME) $(GO) test -timeout 0 -v -run UnderStress ./internal/imap

# Simulated devices: many seeds in one process, and all at once against a server
# that is killed. See docs/simulation.md.
.PHONY: fleet soak-fleet
fleet:
	$(GO) test -timeout 0 -v -run InStep ./internal/sim -sim.seeds=1000

soak: soak-fleet
soak-fleet: build
	./lockstep simulate --devices 200 --minutes $$(( $$(echo $(SOAKTIME) | tr -dc 0-9) ))

# What has to hold whatever the engine is, on the other one: the fleet, what protocols
# say, deliveries, the past. The faults that are planted for the proofs' own sake are
# looked for on SQLite alone.
.PHONY: on-postgres fleet-postgres
on-postgres fleet-postgres: export LOCKSTEP_TEST_ENGINE = postgres
on-postgres:
	$(GO) test -timeout 20m -run '^TestEveryDevice|SameCourse' ./internal/sim -sim.seeds=7
	$(GO) test -timeout 20m -p 1 -short -run 'Dialogues|Converge|StayInStep|UnderStress' ./internal/imap
	$(GO) test -timeout 20m -p 1 -short -skip 'CostLittle|IsLostToAListener' ./internal/jmap ./internal/eas ./internal/pop3 ./internal/smtp
	$(GO) test -timeout 20m -short ./internal/hourly ./internal/delivery
	$(GO) test -timeout 10m -short -run 'TestThePastIs|Meanwhile|Bring' ./internal/past -past.points=40

# The fleet under as many seeds as fleet plays.
fleet-postgres:
	$(GO) test -timeout 0 -v -run '^TestEveryDevice' ./internal/sim -sim.seeds=1000

# Every random history on PostgreSQL, of which make test lives through a part.
.PHONY: postgres soak-postgres
postgres:
	LOCKSTEP_TEST_ALL=1 $(GO) test -timeout 0 -run 'Postgres|Nodes' ./internal/store/sqlstore

soak: soak-postgres
soak-postgres: postgres

# Backups to a bucket whose network cuts, stalls and refuses at any byte.
.PHONY: soak-backup
soak: soak-backup
soak-backup: s3server
	LOCKSTEP_SOAK=$(SOAKTIME) $(GO) test -timeout 0 -v -run 'NetworkFaults|NetworkThatFails' ./internal/backup/...

# The S3 server that backups are tested with, from a module of its own that pins its
# version. Go keeps what it built; without it, tests that need it are skipped.
.PHONY: s3server
s3server:
	$(GO) -C internal/tools/s3server tool -n versitygw

# The ACME authority that certificates are tested with, in the same way.
.PHONY: acmeserver
acmeserver:
	$(GO) -C internal/tools/acmeserver tool -n pebble

# The web client. What it is built to is committed, so that building the server needs
# no Node.js; web-check holds it to its sources, web-e2e drives it with Debian's Chromium.
NODE_NEEDED = needs Node.js 20.19 or newer, with npm: https://nodejs.org
.PHONY: web web-check web-e2e web-node web-skip
NODE_THERE = $(shell command -v npm)

web-skip:
	@echo "skipped: web-check and web-e2e, which need Node.js 20.19 or newer, with npm"

web: web/node_modules/.package-lock.json
	cd web && npm run --silent build

web-check: web/node_modules/.package-lock.json
	cd web && npm run --silent check && npm test --silent
	cd web && npm run --silent build -- --outDir .dist-check --logLevel warn
	@diff -r web/dist web/.dist-check >/dev/null || { echo "web/dist is not what its sources make: run make web, and commit it"; exit 1; }
	@rm -rf web/.dist-check

web-e2e: build web/node_modules/.package-lock.json
	LOCKSTEP_BIN=$${LOCKSTEP_BIN:-$(CURDIR)/lockstep} node --test --test-concurrency=1 web/e2e/*.test.mjs

web-node:
	@command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (+a == 20 && +b >= 19) ? 0 : 1)' || { echo "make $(MAKECMDGOALS) $(NODE_NEEDED)"; exit 1; }

web/node_modules/.package-lock.json: web/package.json web/package-lock.json | web-node
	cd web && npm ci --silent
	@touch $@

# What is kept of a release, made by its own code: docs/releases.md. VERSION without v.
.PHONY: release-data
release-data:
	$(GO) test ./internal/releases -run 'TestMake$$' -make $(VERSION)
	$(GO) test ./internal/store/sqlstore -run TestKeepStatements -release $(VERSION)
