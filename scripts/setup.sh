#!/bin/bash
# scripts/setup.sh SET... - installs the Debian packages of these sets that are missing; says nothing when none is.
#   build     what a build needs                test  what the tests need
#   sanitize  build and test with sanitizers    bench the programs that the benchmark compares with
#   clang     the clang preset                  lint  clang-format and clang-tidy
#   browser   what the tests of the page need, besides playwright-core
set -euo pipefail

build=(gcc make cmake ninja-build pkg-config libc6-dev zlib1g-dev libssl-dev libjansson-dev libxxhash-dev libzstd-dev
	libsqlite3-dev libcmocka-dev)
build+=(libdeflate-dev libisal-dev libjemalloc-dev libcurl4-openssl-dev libmicrohttpd-dev) # optional, see the preset minimal
test=(pigz zstd isal libdeflate-tools tabix age xxhash hashdeep rhash rclone openssl jq python3 python3-jsonschema attr acl strace procps
	sqlite3 cron e2fsprogs python3-prometheus-client curl nginx libnginx-mod-http-dav-ext)
bench=(pigz isal libdeflate-tools tabix zstd age hashdeep rhash rclone openssl python3 curl nginx apache2-utils)
clang=(clang libclang-rt-dev)
lint=(clang-format clang-tidy)
browser=(chromium ffmpeg)

die() {
	echo "setup: $*" >&2
	exit 1
}

wanted=()
for set in "${@:-build}"; do
	case $set in
	build) wanted+=("${build[@]}") ;;
	test | sanitize) wanted+=("${build[@]}" "${test[@]}") ;; # gcc brings its sanitizers along
	bench) wanted+=("${build[@]}" "${bench[@]}") ;;
	clang) wanted+=("${build[@]}" "${test[@]}" "${clang[@]}") ;;
	browser)
		wanted+=("${build[@]}" "${browser[@]}")
		command -v npm >/dev/null || wanted+=(nodejs npm) # a newer one than Debian's does too
		;;
	lint) wanted+=("${build[@]}" "${lint[@]}") ;;
	*) die "unknown set '$set': build, test, sanitize, bench, clang, lint or browser" ;;
	esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "setup: not a Debian system, nothing installed; these are needed under their Debian names: ${wanted[*]}" >&2
	exit 0
fi

installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in $(printf '%s\n' "${wanted[@]}" | sort -u); do
	grep -Eqx "$package(:[a-z0-9]+)? installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

by_hand="as root: apt-get update && apt-get install ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || die "packages are missing, and there is neither root nor sudo here; $by_hand"
	as_root=(sudo)
	[ -t 0 ] || as_root+=(-n) # nobody there to type a password
fi
apt() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2
}
known() { # does apt know a version of each package?
	local package
	for package in "${missing[@]}"; do
		apt-cache policy "$package" | grep -q 'Candidate: [^(]' || return 1
	done
}
install() {
	apt install -y --no-install-recommends "${missing[@]}"
}

echo "setup: installing ${missing[*]}" >&2
if known && install; then exit 0; fi
apt update || die "apt-get update failed; $by_hand"
install || die "apt-get install failed; $by_hand"
