# The commands of this project. `make run` and `make test` install what they need (Debian, as root).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

target := x86_64-unknown-linux-musl
binaries := linnet-agent linnet-updater linnet-keys linnet-live linnet-bench linnet-update-suite linnet-test-agent linnet-manual
plugins := inventory persistence integrity
packages := linnet-agent linnet-updater linnet-publisher linnet-live linnet-bench linnet-update-suite linnet-packaging
version = $(shell sed -nE 's/^version = "(.*)"/\1/p' Cargo.toml | head -n 1)
out := target/$(target)/release

.PHONY: run build next package packages demo-update demo-fleet chaos test test-unit test-live test-channel test-tuftool test-page test-fleet test-delivery test-fuzz fuzz fuzz-planted test-update test-states test-docker test-install test-kernels test-systemd test-reboots test-power test-waiting test-machines kill-points lint bench bench-channel bench-poll bench-delivery soak setup-build setup-test clean help

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# Under systemd, in a scope of its own, whose cgroup systemd leaves to the agent.
run: build ## build, and watch this machine live
	if [ -d /run/systemd/system ]; then exec systemd-run --quiet --scope -p Delegate=yes dist/bin/linnet-agent watch; fi; \
	exec dist/bin/linnet-agent watch

build: setup-build ## binaries into dist/bin/
	cargo build --locked --release --target $(target) $(addprefix -p ,$(packages) $(addprefix linnet-,$(plugins)))
	install -d dist/bin
	for plugin in $(plugins); do \
		install -d dist/plugins/$$plugin; \
		install -s -m 0755 $(out)/linnet-$$plugin dist/plugins/$$plugin/; \
		install -m 0644 plugins/$$plugin/plugin.json dist/plugins/$$plugin/; \
	done
	install -s -m 0755 $(addprefix $(out)/,$(binaries)) dist/bin/
	install -m 0644 "$$(ls -t $(out)/build/linnet-agent-*/out/linnet-programs | head -n 1)" dist/linnet-programs.o

test: setup-test build lint test-unit test-live test-delivery test-waiting test-machines ## everything
	@echo "all suites passed"

# Suites that wait for most of their time (polls, probations, containers), and in that time what is still to be compiled. What they
# need has been built, and nothing may be put into dist/bin beside them.
at-hand := $(MAKE) -o setup-build -o setup-test -o build -o kill-points
test-waiting: setup-test kill-points
	tests/side-by-side "$(at-hand) test-update test-states" "$(at-hand) test-channel test-page test-fleet" \
		"$(at-hand) test-fuzz test-docker test-install next"

# The machines come last and together.
test-machines: setup-test kill-points next
	tests/side-by-side tests/kernels/run "tests/systemd-vm/run && tests/systemd-vm/update && tests/demo-fleet/run" \
		"tests/power-vm/run && tests/systemd-vm/reboots"

package: build ## the release that linnet-keys add-release takes, into dist/
	rm -rf dist/release
	install -d dist/release/bin dist/release/systemd
	install -m 0755 dist/bin/linnet-agent dist/bin/linnet-updater dist/release/bin/
	install -m 0644 systemd/*.service systemd/*.timer systemd/*.conf dist/release/systemd/
	dist/bin/linnet-manual dist/release/share
	rm -rf dist/release/share/man/man1 dist/release/share/completions/*/*linnet-keys*
	updater/package dist/release $(version) dist/linnet-$(version)-x86_64.tar.gz
	@ls -l dist/linnet-$(version)-x86_64.tar.gz

packages: build ## deb and rpm of a fleet, into dist/packages/: make packages ROOT=channel/1.root.json [BUNDLE=…] [CHANNEL=URL]
	tests/setup packers
	packaging/build --root "$(ROOT)" $(if $(BUNDLE),--bundle "$(BUNDLE)") $(if $(CHANNEL),--channel "$(CHANNEL)")

# The agent once more, under a version of its own: what a fleet is updated to.
next: build
	LINNET_VERSION=0.2.0 LINNET_EBPF_OBJECT=$(CURDIR)/dist/linnet-programs.o cargo build --locked --release --target $(target) -p linnet-agent
	install -D -s -m 0755 $(out)/linnet-agent dist/next/linnet-agent

demo-fleet: setup-test next ## a fleet from nothing, in a virtual machine: the story of docs/tutorial.md
	tests/demo-fleet/run

demo-update: build ## the story of an update in half a minute, on a scratch root
	tests/demo-update

test-channel: setup-test build ## channels between Linnet and python-tuf
	LINNET_KEYS=dist/bin/linnet-keys tests/channel/foreign

# Not among `test`: tuftool brings the AWS SDK along, and is half an hour to build.
test-tuftool: build ## a channel of ours, followed by tuftool
	tests/channel/tuftool

test-page: setup-test build ## the channel's page, in a headless browser
	tests/page/run

test-fleet: setup-test build ## the agent follows settings and plugins from a signed channel, by nginx over TLS
	tests/fleet/run

test-delivery: setup-test build ## events reach a backend that fails, from an agent that is killed
	tests/delivery/run

chaos: setup-test build ## a million events, 30 kills, a full disk twice, and a backend that fails: all of it is accounted for
	tests/delivery/run chaos 400000 30

test-fuzz: setup-build ## every decoder of bytes from outside, for some seconds each
	tests/fuzz/run --short

fuzz: setup-build ## the same for long, two at a time, keeping what finds new code: make fuzz SECONDS=1800 [TARGETS="spool rpm"]
	tests/fuzz/run --keep $(or $(SECONDS),1800) $(TARGETS)

fuzz-planted: setup-build ## a mistake in each decoder, in a copy of the tree: does its target find it?
	tests/fuzz/planted $(or $(SECONDS),120) $(TARGETS)

# The updater under test has kill points; the one in dist/bin has none, and the next `build` makes it anew without them.
kill-points: build
	cargo build --locked --release --target $(target) -p linnet-updater --features kill-points
	install -D -s -m 0755 $(out)/linnet-updater dist/kill-points/linnet-updater

test-update: setup-test kill-points ## the updater killed, and on bad days
	dist/bin/linnet-update-suite --agent dist/bin/linnet-test-agent --updater dist/kill-points/linnet-updater kill dead-man fault past revoked bundle

# The kernel programs were built by `build` already.
test-unit: build ## unit, property and golden tests
	LINNET_EBPF_OBJECT=$(CURDIR)/dist/linnet-programs.o cargo test --locked --workspace

test-live: build ## the live suite on this kernel
	dist/bin/linnet-live --agent dist/bin/linnet-agent --where host

test-docker: build ## real containers
	tests/docker/run
	tests/docker/plugins

test-install: setup-test build ## packages, installer and image, where they have it hard
	tests/install/check
	tests/install/run
	tests/install/image

test-kernels: setup-test build ## the live suite on other kernels, in virtual machines
	tests/kernels/run

test-systemd: setup-test build ## the service and the updater, in virtual machines with systemd
	tests/systemd-vm/run
	tests/systemd-vm/update

test-reboots: setup-test kill-points ## a host that is rebooted in each state of an update, in a virtual machine with systemd
	tests/systemd-vm/reboots

# Most of a case is waiting.
test-states: setup-test build ## updates that lose power: every state that a recorded run may leave on the disk
	dist/bin/linnet-update-suite --agent dist/bin/linnet-test-agent --updater dist/bin/linnet-updater --jobs 16 power

test-power: test-states ## those, and machines that are cut off
	tests/power-vm/run

lint: setup-build build ## formatting, clippy, shell scripts
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	LINNET_EBPF_OBJECT=$(CURDIR)/dist/linnet-programs.o cargo clippy --locked --workspace --all-targets -- -D warnings
	CARGO_TARGET_DIR=target cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml -- -D warnings
	if command -v shellcheck >/dev/null; then shellcheck -x $$(git ls-files tests packaging .ci ':!tests/fuzz/corpus' | xargs grep -lE '^#!.*(bash|/sh)'); fi

bench: build ## what the sensor costs, beside its peers
	tests/setup bench
	dist/bin/linnet-bench run

bench-channel: setup-test build ## what it costs to take a release of 100 MB, beside curl, sha256sum and tar
	cargo build --locked --release --target $(target) -p linnet-fleet --all-features --example pack --example take_release
	install -d dist/bench
	install -s -m 0755 $(out)/examples/pack $(out)/examples/take_release dist/bin/linnet-keys dist/bin/linnet-updater dist/bin/linnet-test-agent dist/bench/
	target=$(CURDIR)/dist/bench tests/channel/bench

bench-delivery: setup-test build ## events a second, memory and bytes of the way to file and HTTP, and the drain of a spool
	LINNET_EBPF_OBJECT=$(CURDIR)/dist/linnet-programs.o cargo build --locked --release --target $(target) -p linnet-agent --features replay
	install -D -s -m 0755 $(out)/linnet-agent dist/bench/linnet-agent
	LINNET_REPLAY_AGENT=$(CURDIR)/dist/bench/linnet-agent tests/delivery/run bench

soak: build ## an hour of mixed load with everything on; writes docs/soak.svg
	tests/delivery/run soak 60 docs/soak.svg

bench-poll: setup-test build ## what a poll with nothing new costs the host and the server
	cargo build --locked --release --target $(target) -p linnet-fleet --example poll_cost
	target=$(out)/examples LINNET_KEYS=dist/bin/linnet-keys tests/channel/poll-cost

setup-build:
	@tests/setup build

setup-test:
	@tests/setup test

clean: ## what was built (not what was downloaded)
	rm -rf target dist
