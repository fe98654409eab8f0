#!/bin/bash
# examples/run-usr-include.sh - puts /usr/include through jobs/demo-usr-include.json, then checks the result with other
# programs than bytemill. The job reads each file once and makes, below $OUT (build/run, emptied first):
#   mirror/  SHA256SUMS     a copy of the tree, and the digests of its files
#   gz/      SHA256SUMS.gz  the same files compressed, and the digests of the .gz
set -euo pipefail
cd "$(dirname "$0")/.."

tree=/usr/include
bytemill=${BYTEMILL:-build/release/src/cli/bytemill}
OUT=$PWD/build/run
export LC_ALL=C
samples=50

die() {
	echo "FAILED: $*" >&2
	exit 1
}
now_ms() { date +%s%3N; }
# The number of NUL-terminated names on stdin; of files below a directory; of lines of a manifest.
count() { tr -dc '\0' | wc -c; }
files() { find "$1" -type f -print0 | count; }
lines() { wc -l <"$1"; }
same() { # same WHAT FOUND EXPECTED
	[ "$2" -eq "$3" ] || die "$1: $2, but $3 were expected"
}
check() { # check WHAT COMMAND...: runs it and says how long it took
	local what=$1 start
	shift
	start=$(now_ms)
	"$@" || die "$what"
	printf '  ok  %-62s %6d ms\n' "$what" $(($(now_ms) - start))
}

numbers() {
	same "files in the mirror" "$(files "$OUT/mirror")" "$total"
	same ".gz files" "$(files "$OUT/gz")" "$total"
	same "lines in SHA256SUMS" "$(lines "$OUT/SHA256SUMS")" "$total"
	same "lines in SHA256SUMS.gz" "$(lines "$OUT/SHA256SUMS.gz")" "$total"
}
sha256() { (cd "$1" && sha256sum -c --strict --quiet "$2"); }
against_the_tree() { (cd "$tree" && sha256sum -c --strict --quiet "$OUT/SHA256SUMS"); }
gzip_test() { find "$OUT/gz" -type f -print0 | xargs -0 -n 500 -P 2 gzip -t; }
decompress_samples() { # evenly spread over the tree
	local name
	while IFS= read -r -d '' name; do
		gzip -dc -- "$OUT/gz/$name.gz" | cmp -s -- "$tree/$name" - || die "gz/$name.gz is not $tree/$name"
	done < <(find "$tree" -type f -printf '%P\0' | sort -z | sed -zn "1~$(((total + samples - 1) / samples))p")
}

[ -x "$bytemill" ] || die "no program at $bytemill: run 'make build' first"
rm -rf "$OUT"
mkdir -p "$OUT"
total=$(files "$tree")

echo "bytemill run jobs/demo-usr-include.json: $total files of $tree"
start=$(now_ms)
"$bytemill" run jobs/demo-usr-include.json --set OUT="$OUT" </dev/null || die "bytemill: exit code $?"
took=$(($(now_ms) - start))

echo "checked with find, sha256sum, gzip and cmp:"
check "$total files in mirror/, gz/ and each manifest, as in $tree" numbers
check "mirror/ against SHA256SUMS (sha256sum -c)" sha256 "$OUT/mirror" ../SHA256SUMS
check "$tree against SHA256SUMS (sha256sum -c)" against_the_tree
check "gz/ against SHA256SUMS.gz (sha256sum -c)" sha256 "$OUT/gz" ../SHA256SUMS.gz
check "every .gz is sound (gzip -t)" gzip_test
check "up to $samples .gz decompress to the original (gzip -dc, cmp)" decompress_samples

bytes() { find "$1" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s }'; }
in=$(bytes "$tree")
out=$(bytes "$OUT/gz")
awk -v n="$total" -v i="$in" -v o="$out" -v ms="$took" -v dir="${OUT#"$PWD"/}" 'BEGIN {
	s = ms > 0 ? ms / 1000 : 0.001
	printf "%d files, %.1f MiB mirrored, hashed and compressed to %.1f MiB in %.2f s: %.0f files/s, %.0f MiB/s; see %s/\n",
		n, i / 1048576, o / 1048576, s, n / s, i / 1048576 / s, dir
}'
