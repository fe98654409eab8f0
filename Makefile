# A thin front for the CMake presets: `make help` lists what there is. Everything is built below build/<preset>.

PREFIX ?= /usr/local
DESTDIR ?=

# Where it is allowed, the sanitizers run without address randomisation: ThreadSanitizer of older compilers gives up on
# kernels that use more than 28 random bits.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)
SOURCES = find include src tests examples -name '*.[ch]'

.DEFAULT_GOAL := build
# Ninja does things in parallel, make in order: first setup, then configure, then build.
.NOTPARALLEL:
.PHONY: help setup build run test torture browser fuzz asan tsan clang minimal bench lint format install clean

help:
	@echo 'make run      build, put /usr/include through one job and check the result'
	@echo 'make test     build and run the tests'
	@echo 'make torture  build and run the tests that take long, for TORTURE_MINUTES (60), from TORTURE_SEED (any)'
	@echo 'make browser  build and try the page of bytemill serve in Chromium; screenshots: build/browser/shots'
	@echo 'make fuzz     build the fuzz targets with clang, run each for FUZZ_SECONDS (60) from FUZZ_SEED (1; 0: any)'
	@echo 'make build    build only (the default): build/release/src/cli/bytemill'
	@echo 'make asan     build and test with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make tsan     build and test with ThreadSanitizer'
	@echo 'make clang    build and test with clang'
	@echo 'make minimal  build without the optional libraries, test what they have a part in'
	@echo 'make bench    compare with other programs (a few minutes)'
	@echo 'make lint     clang-format and clang-tidy; make format rewrites the sources'
	@echo 'make install  into PREFIX (/usr/local), below DESTDIR where set'
	@echo 'make setup    install the Debian packages that a build and the tests need'
	@echo 'make clean    remove build/'

setup:
	@scripts/setup.sh build test

build: build-release

run: setup-build build/release/build.ninja
	@cmake --build --preset release --target bytemill_cli
	@examples/run-usr-include.sh

test: test-release
asan: test-asan
tsan: test-tsan
clang: test-clang
minimal: test-minimal

bench: setup-bench build-release
	@tests/bench/run.sh

lint: setup-lint build/release/build.ninja
	@$(SOURCES) -print0 | xargs -0 clang-format --dry-run -Werror
	@run-clang-tidy -quiet -p build/release "$(CURDIR)/(src|examples)/"

format:
	@$(SOURCES) -print0 | xargs -0 clang-format -i

install: build-release
	@DESTDIR='$(DESTDIR)' cmake --install build/release --prefix '$(PREFIX)'
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

clean:
	rm -rf build

# ---- the parts ----

setup-%:
	@scripts/setup.sh $*

build/%/build.ninja: CMakePresets.json
	@cmake --preset $*

build-release: setup-build build/release/build.ninja
	@cmake --build --preset release

test-release: setup-test build-release
	@ctest --preset release

torture: setup-test
	@tests/torture.sh

FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
fuzz: setup-clang build/fuzz/build.ninja
	@cmake --build --preset fuzz --target fuzzers
	@FUZZ_SEED='$(FUZZ_SEED)' $(FIXED_ADDRESSES) tests/fuzz/run.sh build/fuzz '$(FUZZ_SECONDS)'

browser: setup-browser build-release
	@mkdir -p build/browser && cp tests/browser/package.json build/browser/
	@cd build/browser && npm install --no-package-lock --no-audit --no-fund --silent
	@SHOTS=build/browser/shots BYTEMILL="$(CURDIR)/build/release/src/cli/bytemill" tests/browser/run.sh

test-asan test-tsan: test-%: setup-sanitize build/%/build.ninja
	@cmake --build --preset $*
	@$(FIXED_ADDRESSES) ctest --preset $*

test-minimal: setup-test build/minimal/build.ninja
	@cmake --build --preset minimal
	@ctest --preset minimal

test-clang: setup-clang build/clang/build.ninja
	@cmake --build --preset clang
	@ctest --preset clang
