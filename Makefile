# The front door. Everything lands in $(B); each target installs what it needs (tools/deps) and says so.
B ?= build
PREFIX ?= /usr/local
SECONDS ?= 60
HOURS ?= 1
export B

.PHONY: all demo first-partner test stances bench chaos soak deb install deps fuzz clean

all: $(B)/build.ninja
	@ninja -C $(B)

$(B)/build.ninja: meson.build meson_options.txt
	@tools/deps build
	@test -f $@ || meson setup $(B) --prefix $(PREFIX) -Dtests=disabled

demo: all
	@tools/deps demo
	@demo/run

# README's "A first partner" on a fresh machine in namespaces, from the package to a delivered message, with the time shown. Needs root.
first-partner: deb
	@tools/deps demo
	@tests/first-partner --package $$(ls $(B)/deb/entente_*.deb)

test:
	@tools/deps test
	@tests/run

# Every stance of every XMPP server against every setting of ours; make test has a selection.
stances: all
	@tools/deps test
	@tests/e2e/run --jobs 4 --table stances/

bench: all
	@tools/deps bench
	@bench/run

# The fault laboratory: every promise of docs/reliability.md, in less than an hour.
chaos: all
	@tools/deps chaos
	@tests/chaos/run --write docs/reliability.md

# Mixed load with churn for HOURS (default 1): slopes of memory and descriptors. SANITIZER=asan or tsan.
soak: all
	@tools/deps chaos
	@tests/chaos/soak --hours $(HOURS) $(if $(SANITIZER),--sanitizer $(SANITIZER))

# Each target for SECONDS (default 60) from its corpus, as many at a time as there are cores; it says first how long that takes, and notes the processor
# time of each (tests/fuzz/run --hours-table; docs/fuzzing.md).
fuzz:
	@tools/deps fuzz
	@tests/fuzz/run --seconds $(SECONDS)

# The Debian package, in $(B)/deb, checked by lintian.
deb:
	@tools/deps deb
	@packaging/deb $(B)/deb

install: all
	@meson install -C $(B)

deps:
	@tools/deps test

clean:
	rm -rf $(B)
