#!/bin/bash
# tests/bench/run.sh [--quick] [CASE...] - compares Bytemill with other programs and with its own targets, and prints a
# table. Not a test: a target that is missed says MISSED and the exit code stays 0; it is 1 where an output was wrong.
#
#   tree     sha256 of a source tree, all in the page cache, against openssl and hashdeep
#   cold     the same from the disk, against rhash and against Bytemill with one reader (as root only)
#   audit    a tree against its manifest, warm, against bytemill hash, sha256sum -c, hashdeep -a and rclone checksum
#   diff     two manifests of a million lines each, unsorted: nearly the same, and with every file moved; time, peak memory
#   catalog  audits against the catalog: the first one, against bytemill hash; one with nothing changed and nothing due;
#            one with everything due
#   digests  four digests of one large file in one read, against four runs with one each
#   gzip6    gzip -6 of source text and of binaries, time and size, against pigz
#   gzip1    gzip -1, likewise
#   bgzf     BGZF at levels 6 and 1, likewise, against bgzip
#   gunzip   decompression: a foreign .gz against pigz and gzip, ours against igzip, our BGZF against bgzip
#   zstd     zstd -3, time and size, against zstd
#   unzstd   decompression of our .zst against zstd
#   age      encrypting and decrypting one large file in memory, against age
#   pass     read, sha256, gzip -6, sha256, age, write: one job against the programs in a pipe
#   range    cat --range of 1 MiB in the middle of 4 GiB, for every layout that can be sought in: time and peak memory
#   url      one file of 1 GiB from a server that gives each connection 50 MiB/s: four connections against one, and against
#            curl; at a server that counts by connection, and at nginx, which counts by request
#   engine   the engine alone, without files (bench_engine, built when it is not there)
#   memory   peak memory: a huge sparse file, very many small files, 64 threads
#   serve    the HTTP service in memory, against nginx: an upload with its sha256 (nginx: dav, then sha256sum), a download,
#            10,000 small ones by ab
#   start    one job on one file of 1 KiB, from the start of the process to its end
#   durable  20,000 files of 1 to 3 KiB copied to the disk with durability none, batch and file
#   sandbox  50,000 such files, warm, with --sandbox auto, on and off
#   history  a job that makes a manifest of a tree, warm, on record and not; the same for 50,000 files of 1 to 3 KiB
#
# Without CASE: all. The programs that are compared take turns (A B A B ...), so that what else the machine does hits
# them alike; a time is the median of BM_BENCH_RUNS rounds (5). Before anything is timed the outputs are compared: a fast
# wrong answer is not worth a line. Other programs get as many threads as Bytemill takes: one a CPU.
#
#   BM_BENCH_RUNS=N     rounds
#   BM_BENCH_TREE=DIR   the source tree; without it Debian's linux-source-6.1 is unpacked where it is installed, else
#                       /usr/include, /usr/lib and /usr/share are read
#   BYTEMILL=FILE       the program; without it build/release/src/cli/bytemill
#   TMPDIR=DIR          for the data: some 4 GB (12 GB for the case range), on a disk and not in memory; /dev/shm takes
#                       another 1 GB
#
# --quick takes little data and 3 rounds, to see that every case works; its numbers mean little.
set -euo pipefail
export LC_ALL=C
unset NO_COLOR
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

readonly cases=(tree cold audit catalog diff digests gzip6 gzip1 bgzf gunzip zstd unzstd age pass range engine memory start durable sandbox history serve url)
readonly mib=1048576
linux_source=/usr/src/linux-source-6.1.tar.xz
bytemill=${BYTEMILL:-$root/build/release/src/cli/bytemill}
quick=
chosen=()

die() {
	echo "bench: $*" >&2
	exit 1
}
note() { echo "bench: $*" >&2; }
usage() {
	sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"
	exit "$1"
}

for arg in "$@"; do
	case $arg in
	--quick) quick=1 ;;
	-h | --help) usage 0 ;;
	*)
		[[ " ${cases[*]} " == *" $arg "* ]] || { echo "bench: no case '$arg'; there are: ${cases[*]}" >&2; exit 2; }
		chosen+=("$arg")
		;;
	esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${cases[@]}")
runs=${BM_BENCH_RUNS:-$([ -n "$quick" ] && echo 3 || echo 5)}
[[ $runs =~ ^[1-9][0-9]*$ ]] || die "BM_BENCH_RUNS is '$runs', not a number of rounds"
[ -x "$bytemill" ] || die "no program at $bytemill: run 'make build' first, or set BYTEMILL"
bytemill=$(realpath "$bytemill")
cpus=$(nproc)
# How much data.
large_mib=1024 text_mib=256 sparse=20G small_files=200000 engine_chunks=1000000 range_times=16 diff_lines=1000000
if [ -n "$quick" ]; then large_mib=64 text_mib=16 sparse=1G small_files=2000 engine_chunks=20000 range_times=4 diff_lines=20000; fi
readonly large_mib text_mib sparse small_files engine_chunks range_times diff_lines

tmp=$(mktemp -d "${TMPDIR:-/tmp}/bytemill-bench.XXXXXX")
ram=$tmp # a directory in memory, where there is one with room
if [ -d /dev/shm ] && [ -w /dev/shm ] && [ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt $((2 << 20)) ]; then
	ram=$(mktemp -d /dev/shm/bytemill-bench.XXXXXX)
fi
serve_pids=()
serve_off() {
	[ ${#serve_pids[@]} -eq 0 ] || kill "${serve_pids[@]}" 2>/dev/null || true
	serve_pids=()
}
cleanup() {
	trap '' HUP INT TERM
	serve_off
	cd /
	rm -rf "$tmp" "$ram"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$tmp"
exec </dev/null

# ---- the table ----

misses=0 result=
line() { printf '%-56s %11s %11s %7s %8s  %s\n' "$@"; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", (b > 0 ? a / b : 0) }'; }
seconds() { awk -v us="$1" 'BEGIN { if (us < 100000) printf "%.2f ms", us / 1000; else printf "%.3f s", us / 1e6 }'; }
mebibytes() { awk -v b="$1" 'BEGIN { printf "%.1f MiB", b / 1048576 }'; }
verdict() { # verdict FOUND LIMIT: sets $result
	result=ok
	if awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'; then
		result=MISSED
		misses=$((misses + 1))
	fi
}
compare() { # compare CASE OURS PEER TARGET: two functions that raced
	local ours=${median[$2]} peer=${median[$3]} ratio
	ratio=$(quotient "$ours" "$peer")
	verdict "$ratio" "$4"
	line "$1" "$(seconds "$ours")" "$(seconds "$peer")" "$ratio" "<= $4" "$result"
}
skipped() { line "$1" - - - - "skipped: $2"; }
have() { # have CASE PROGRAM...: else the case is skipped
	local case=$1 program
	shift
	for program; do
		if ! command -v "$program" >/dev/null; then
			skipped "$case" "no $program here"
			return 1
		fi
	done
}

# ---- time ----

declare -A median
median_of() { tr ' ' '\n' | sed '/^$/d' | sort -n | awk '{ v[NR] = $1 } END { printf "%d", (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }
before_each=:
race() { # race ROUNDS FUNCTION...: takes turns; leaves the medians, in microseconds, in ${median[FUNCTION]}
	local rounds=$1 i f start
	local -A times=()
	shift
	for ((i = 0; i < rounds; i++)); do
		for f; do
			"$before_each"
			start=${EPOCHREALTIME/./}
			"$f" >/dev/null 2>"$tmp/stderr" || die "$f failed: $(tail -n 5 "$tmp/stderr")"
			times[$f]+="$((${EPOCHREALTIME/./} - start)) "
		done
	done
	for f; do median[$f]=$(median_of <<<"${times[$f]}"); done
}

# ---- data ----

gather() { # gather OUT BYTES DIR... -- FIND-TEST...: files one behind the other, from the start again where too few
	local out=$1 bytes=$2 dirs=() have=0 grown
	shift 2
	while [ "$1" != -- ]; do dirs+=("$1") && shift; done
	shift
	: >"$out"
	while [ "$have" -lt "$bytes" ]; do
		# head stops reading when it has enough, and the others die of that; what counts is the size.
		find "${dirs[@]}" -type f "$@" -print0 2>/dev/null | sort -z | xargs -0 cat 2>/dev/null |
			head -c $((bytes - have)) >>"$out" || true
		grown=$(stat -c %s "$out")
		[ "$grown" -gt "$have" ] || die "no data for $out in ${dirs[*]}"
		have=$grown
	done
}
trees=()
tree_files=0
find_trees() { # sets $trees and $tree_files, once
	[ ${#trees[@]} -eq 0 ] || return 0
	if [ -n "${BM_BENCH_TREE:-}" ]; then
		[ -d "$BM_BENCH_TREE" ] || die "BM_BENCH_TREE: no directory $BM_BENCH_TREE"
		trees=("$(realpath "$BM_BENCH_TREE")")
	elif [ -n "$quick" ]; then
		trees=(/usr/include)
	elif [ -r "$linux_source" ] && command -v xz >/dev/null; then
		note "unpacking $linux_source"
		mkdir "$tmp/tree"
		tar -xJf "$linux_source" -C "$tmp/tree"
		sync
		trees=("$tmp/tree")
	else
		note "no $linux_source here (Debian package linux-source-6.1): reading /usr/include, /usr/lib and /usr/share"
		trees=(/usr/include /usr/lib /usr/share)
	fi
	tree_files=$(find "${trees[@]}" -type f -printf x | wc -c)
	[ "$tree_files" -ge 50000 ] || [ -n "$quick" ] || note "the tree has only $tree_files files; the targets are for 50000"
	note "tree: $tree_files files, $(find "${trees[@]}" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f MiB", s / 1048576 }')"
}
sha256_of_lines() { grep -Eo '^\\?[0-9a-f]{64}' | sed 's/^[^0-9a-f]//' | sort; }
same_digests() { # same_digests WHO: WHO.digests, sorted, are those that bytemill found
	cmp -s "$1.digests" bytemill.digests || die "$1 and bytemill found different digests for ${trees[*]}"
}

# ---- cases ----

# One sha256 of each file in ${trees[@]}.
bytemill_tree() { "$bytemill" hash -q "${trees[@]}"; }
bytemill_tree_one_reader() { "$bytemill" hash -q --io-depth 1 -j "$cpus" "${trees[@]}"; }
openssl_tree() { find "${trees[@]}" -type f -print0 | xargs -0 -P "$cpus" -n 512 openssl dgst -r -sha256; }
hashdeep_tree() { hashdeep -j "$cpus" -c sha256 -o f -r "${trees[@]}"; }
rhash_tree() { rhash -r --sha256 "${trees[@]}"; }

check_tree() { # against sha256sum line for line; the others are then compared with these digests
	[ ! -e bytemill.digests ] || return 0
	bytemill_tree >bytemill.lines
	for tree in "${trees[@]}"; do find "$tree" -type f -print0 | sort -z | xargs -0 sha256sum --; done >sha256sum.lines
	cmp -s bytemill.lines sha256sum.lines || die "bytemill's lines for ${trees[*]} are not those of sha256sum"
	bytemill_tree_one_reader | cmp -s - bytemill.lines || die "bytemill's output depends on --io-depth"
	sha256_of_lines <bytemill.lines >bytemill.digests
	rm bytemill.lines sha256sum.lines
}
# Some kernels take pages back that were not used for a while, even with memory to spare (DAMON): what is called warm is
# read once more before each round, for all alike.
warm_caches() { find "${trees[@]}" -type f -print0 | xargs -0 -n 4096 cat >/dev/null; }
case_tree() {
	local openssl="sha256 of a tree, warm: xargs openssl dgst" hashdeep="sha256 of a tree, warm: hashdeep" racers=()
	find_trees
	check_tree
	if have "$openssl" openssl xargs; then
		# One at a time here: lines of two at once may end up in one another.
		find "${trees[@]}" -type f -print0 | xargs -0 -n 512 openssl dgst -r -sha256 |
			sha256_of_lines >openssl.digests
		same_digests openssl
		racers+=(openssl_tree)
	fi
	if have "$hashdeep" hashdeep; then
		hashdeep_tree | grep -Eo '^[0-9]+,[0-9a-f]{64},' | cut -d, -f2 | sort >hashdeep.digests
		same_digests hashdeep
		racers+=(hashdeep_tree)
	fi
	[ ${#racers[@]} -gt 0 ] || return 0
	before_each=warm_caches
	race "$runs" bytemill_tree "${racers[@]}"
	before_each=:
	[ -z "${median[openssl_tree]:-}" ] || compare "$openssl" bytemill_tree openssl_tree 0.55
	[ -z "${median[hashdeep_tree]:-}" ] || compare "$hashdeep" bytemill_tree hashdeep_tree 0.25
}

drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	# The programs themselves are read beforehand: only the tree is to be cold.
	"$bytemill" --version >/dev/null
	printf x | "$bytemill" hash >/dev/null
	printf x | rhash --sha256 - >/dev/null
}
case_cold() {
	local rhash="sha256 of a tree, cold: rhash" self="sha256 of a tree, cold: bytemill --io-depth 1"
	have "$rhash" rhash || return 0
	if [ "$(id -u)" != 0 ] || [ ! -w /proc/sys/vm/drop_caches ]; then
		skipped "$rhash" "needs root"
		skipped "$self" "needs root"
		return 0
	fi
	find_trees
	if [ "$(stat -f -c %T "${trees[0]}")" = tmpfs ]; then
		skipped "$rhash" "the tree is in memory: set TMPDIR or BM_BENCH_TREE"
		skipped "$self" "the tree is in memory"
		return 0
	fi
	check_tree
	# rhash also reads what symbolic links to files point to: it may know more.
	rhash_tree | sha256_of_lines >rhash.digests
	[ -z "$(comm -23 bytemill.digests rhash.digests)" ] || die "rhash lacks digests that bytemill found for ${trees[*]}"
	before_each=drop_caches
	race "$runs" bytemill_tree rhash_tree bytemill_tree_one_reader
	before_each=:
	compare "$rhash" bytemill_tree rhash_tree 0.35
	compare "$self" bytemill_tree bytemill_tree_one_reader 0.55
}

readonly four=(md5 sha1 sha256 sha512)
# The first of ${trees[@]} against its manifests, all that is in it ok.
audit_ours() { "$bytemill" audit -q audit.sums "${trees[0]}"; }
audit_hash() { "$bytemill" hash -q "${trees[0]}"; }
audit_sha256sum() { (cd "${trees[0]}" && printf '%s\0' "$tmp"/audit.part.* | xargs -0 -P "$cpus" -n 1 sha256sum -c --quiet --strict); }
audit_hashdeep() { (cd "${trees[0]}" && hashdeep -j "$cpus" -a -k "$tmp/audit.deep" -r -l .); }
audit_rclone() { rclone -q checksum sha256 audit.sums "${trees[0]}" --checkers "$cpus" --config /dev/null; }
case_audit() {
	local racers=(audit_hash audit_sha256sum) name="a tree against its manifest, warm:"
	find_trees
	(cd "${trees[0]}" && "$bytemill" hash -q .) | sed 's,  \./,  ,' >audit.sums
	split -n "l/$cpus" audit.sums audit.part.
	# It has to see one bit, and nothing else.
	"$bytemill" audit -q audit.sums "${trees[0]}" >audit.out || die "an unchanged tree is not ok: $(head -n 5 audit.out)"
	awk 'NR == 1 { $0 = (/^0/ ? "1" : "0") substr($0, 2) } 1' audit.sums >audit.bad
	"$bytemill" audit -q --only changed audit.bad "${trees[0]}" >audit.out && die "a wrong digest was not seen"
	[ "$(grep -c '^changed  *.*:' audit.out)" = 1 ] || die "one wrong digest, and: $(head -n 5 audit.out)"
	if have "$name hashdeep -a" hashdeep; then
		(cd "${trees[0]}" && hashdeep -j "$cpus" -c sha256 -r -l .) >audit.deep
		# It fails on an unchanged tree with some names.
		if audit_hashdeep >/dev/null; then racers+=(audit_hashdeep); else skipped "$name hashdeep -a" "it fails on this tree"; fi
	fi
	if have "$name rclone checksum" rclone; then
		if audit_rclone 2>/dev/null; then racers+=(audit_rclone); else skipped "$name rclone checksum" "it fails on this tree"; fi
	fi
	before_each=warm_caches
	race "$runs" audit_ours "${racers[@]}"
	before_each=:
	compare "$name bytemill hash" audit_ours audit_hash 1.15
	compare "$name sha256sum -c, $cpus at once" audit_ours audit_sha256sum 0.5
	[ -z "${median[audit_hashdeep]:-}" ] || compare "$name hashdeep -a" audit_ours audit_hashdeep 0.25
	[ -z "${median[audit_rclone]:-}" ] || compare "$name rclone checksum" audit_ours audit_rclone 0.2
	rm -f audit.*
}

diff_lists() { # of $diff_lines names, in no order; a digest of each that is none, but as good as one
	awk -v n="$diff_lines" -v stride=777767 'BEGIN {
		for (i = 0; i < n; i++) {
			k = i * stride % n
			digest = sprintf("%08x%08x%08x%08x%08x%08x%08x%08x", k * 2654435761 % 4294967291, k * 40503 % 4294967291,
				k * 69069 % 4294967291, k, k * 16807 % 4294967291, k * 48271 % 4294967291, n - k, k * 1103515 % 4294967291)
			name = sprintf("archive/%03d/%03d/a file with a name of some length %d.jpg", k % 977, int(k / 977) % 1000, k)
			print digest "  " name >"diff.before"
			print digest "  moved/" name >"diff.moved"
			if (k % 1000 == 1) digest = "f" substr(digest, 2)
			if (k % 1000 == 1 && substr(digest, 1, 1) == "f") digest = substr(digest, 1, 63) (substr(digest, 64) == "0" ? "1" : "0")
			if (k % 1000 == 2) name = "moved/" name
			if (k % 1000 != 3) print digest "  " name >"diff.now"
		}
	}'
}
diff_some() { "$bytemill" diff -q diff.before diff.now || [ $? = 3 ]; }
diff_all() { "$bytemill" diff -q diff.before diff.moved || [ $? = 3 ]; }
case_diff() {
	local kib f thousandth=$((diff_lines / 1000))
	diff_lists
	diff_some >diff.out
	awk -v n="$thousandth" '/^$/ { exit } { gsub(",", ""); if ($2 != ($1 == "ok" ? n * 997 : n)) exit 1; seen++ }
		END { exit seen != 4 }' diff.out || die "a thousandth each is changed, moved, missing, and: $(head -n 5 diff.out)"
	diff_all >diff.out
	[ "$(awk '/^moved / { print $2; exit }' diff.out | tr -d ,)" = "$diff_lines" ] || die "all moved, and: $(head -n 5 diff.out)"
	race "$runs" diff_some diff_all
	for f in some all; do
		verdict "${median[diff_$f]}" 3000000
		line "two manifests of $diff_lines lines, $f moved" "$(seconds "${median[diff_$f]}")" - - "<= 3 s" "$result"
	done
	if have "  peak memory" python3; then
		python3 "$here/peak_rss.py" peak.kib "$bytemill" diff -q diff.before diff.moved >/dev/null || true
		kib=$(<peak.kib)
		verdict "$kib" $((400 * 1024))
		line "  peak memory" "$(mebibytes $((kib * 1024)))" - - "<= 400 MiB" "$result"
	fi
	rm -f diff.*
}

four_at_once() { "$bytemill" hash -q -a md5,sha1,sha256,sha512 large; }
four_alone() {
	local a
	for a in "${four[@]}"; do "$bytemill" hash -q -a "$a" large || return; done
}
catalog_first() {
	rm -rf catalog.state
	"$bytemill" audit -q --state "$tmp/catalog.state" --catalog "${trees[0]}"
}
catalog_again() { "$bytemill" audit -q --state "$tmp/catalog.state" --catalog "${trees[0]}"; }
catalog_due() { "$bytemill" audit -q --state "$tmp/catalog.state" --catalog --older-than 0 "${trees[0]}"; }
case_catalog() {
	local files
	find_trees
	files=$(find "${trees[0]}" -type f -printf x | wc -c)
	catalog_first
	"$bytemill" catalog --state "$tmp/catalog.state" --export "${trees[0]}" | sha256_of_lines >catalog.digests
	(cd "${trees[0]}" && "$bytemill" hash -q .) | sha256_of_lines | cmp -s - catalog.digests ||
		die "what is on record of ${trees[0]} is not what bytemill hash finds"
	before_each=warm_caches
	race "$runs" catalog_first catalog_again catalog_due audit_hash
	before_each=:
	compare "a first audit with the catalog, warm: bytemill hash" catalog_first audit_hash 1.2
	compare "all due, warm: bytemill hash" catalog_due audit_hash 1.3
	verdict "$(quotient "${median[catalog_again]}" "$files")" 5
	line "a catalog audit with nothing to read, per file" "$(quotient "${median[catalog_again]}" "$files") us" - - "<= 5 us" "$result"
	rm -rf catalog.*
}

case_digests() {
	local a
	gather large $((large_mib * mib)) /usr/lib --
	for a in "${four[@]}"; do "${a}sum" --tag large; done >four.lines
	four_at_once | cmp -s - four.lines || die "the four digests are not those of md5sum ... sha512sum"
	for a in "${four[@]}"; do "$bytemill" hash --tag -a "$a" large; done >alone.lines
	cmp -s alone.lines four.lines || die "the digests one by one are not those of md5sum ... sha512sum"
	race "$runs" four_at_once four_alone
	compare "4 digests of one file at once: one by one" four_at_once four_alone 0.6
	rm large
}

# The codecs read a file in memory and write to /dev/null, the others too.
codec_data() { # codec_data text|binaries: ./data is that
	[ ! -e data ] || [ "$(cat data.is 2>/dev/null)" != "$1" ] || return 0
	rm -f data data.*
	case $1 in
	text)
		find_trees
		# tar dies of head's end; what counts is the size.
		{ tar -cf - --sort=name -C "${trees[0]}" . 2>/dev/null || true; } | head -c $((text_mib * mib)) >data || true
		[ "$(stat -c %s data)" = $((text_mib * mib)) ] || gather data $((text_mib * mib)) "${trees[@]}" -- -name '*.[ch]'
		;;
	binaries) gather data $((text_mib * mib)) /usr/bin /usr/lib -- '(' -path '/usr/bin/*' -o -name '*.so*' ')' ;;
	esac
	echo "$1" >data.is
}
codec_job() { # codec_job NAME INPUT STEP: makes NAME.json
	echo '{"steps": [{"step": "read", "from": "'"$2"'"}, {'"$3"'}, {"step": "write", "to": "-"}]}' >"$1.json"
}
codec_sizes() { # codec_sizes OURS THEIRS LIMIT: in bytes; without LIMIT, for information
	local ratio
	ratio=$(quotient "$1" "$2")
	result=
	[ -z "$3" ] || verdict "$ratio" "$3"
	line "  size" "$(mebibytes "$1")" "$(mebibytes "$2")" "$ratio" "${3:+<= $3}" "$result"
}
codec_ours() { "$bytemill" run -q ours.json; }
codec_back() { "$bytemill" run -q back.json; }
pack_case() { # pack_case TITLE STEP PEER TIME-LIMIT SIZE-LIMIT-TEXT SIZE-LIMIT-BINARIES READER...
	local title=$1 step=$2 peer=$3 time=$4 limits=([0]="$5" [1]="$6") what n=0 ours theirs
	shift 6
	cd "$ram"
	for what in text binaries; do
		codec_data "$what"
		codec_job ours data "$step"
		codec_ours >data.packed
		"$@" <data.packed | cmp -s - data || die "$title of $what: what bytemill compressed is not what $1 decompresses"
		ours=$(stat -c %s data.packed)
		rm data.packed
		theirs=$("$peer" | wc -c)
		race "$runs" codec_ours "$peer"
		compare "${title/:/ of $what:}" codec_ours "$peer" "$time"
		codec_sizes "$ours" "$theirs" "${limits[n++]}"
	done
	cd "$tmp"
}
unpack_case() { # unpack_case TITLE WHAT PEER LIMIT: of data.packed, which PEER and back.json decompress
	"$3" | cmp -s - data || die "$1: the packed $2 is not what ${3//_/ } decompresses"
	codec_back | cmp -s - data || die "$1: the packed $2 is not what bytemill decompresses"
	race "$runs" codec_back "$3"
	compare "${1/:/ of $2:}" codec_back "$3" "$4"
}

pigz_6() { pigz -6 -p "$cpus" -c data; }
pigz_1() { pigz -1 -p "$cpus" -c data; }
bgzip_6() { bgzip -@ "$cpus" -l 6 -c data; }
bgzip_1() { bgzip -@ "$cpus" -l 1 -c data; }
zstd_3() { zstd -q -3 -T"$cpus" -c data; }
pigz_d() { pigz -dc data.packed; }
gzip_d() { gzip -dc data.packed; }
igzip_d() { igzip -dc data.packed; }
bgzip_d() { bgzip -@ "$cpus" -dc data.packed; }
zstd_d() { zstd -q -dc data.packed; }

case_gzip6() {
	have "gzip -6: pigz -6" pigz || return 0
	pack_case "gzip -6: pigz -6" '"step": "compress", "level": 6' pigz_6 0.42 1.005 1.0 gzip -dc
}
case_gzip1() {
	have "gzip -1: pigz -1" pigz || return 0
	pack_case "gzip -1: pigz -1" '"step": "compress", "level": 1' pigz_1 0.30 1.0 1.0 gzip -dc
}
case_bgzf() {
	have "BGZF: bgzip" bgzip || return 0
	pack_case "BGZF -6: bgzip -l 6" '"step": "compress", "level": 6, "layout": "bgzf"' bgzip_6 0.9 '' '' gzip -dc
	pack_case "BGZF -1: bgzip -l 1" '"step": "compress", "level": 1, "layout": "bgzf"' bgzip_1 0.9 '' '' gzip -dc
}
case_zstd() {
	have "zstd -3: zstd -3" zstd || return 0
	pack_case "zstd -3: zstd -3 -T$cpus" '"step": "compress", "format": "zstd", "level": 3' zstd_3 1.05 1.02 1.02 zstd -q -dc
}
case_gunzip() {
	local what
	cd "$ram"
	for what in text binaries; do
		codec_data "$what"
		codec_job back data.packed '"step": "decompress"'
		if have "gunzip: pigz -d" pigz; then
			pigz_6 >data.packed
			unpack_case "gunzip, of pigz: pigz -d" "$what" pigz_d 0.45
			unpack_case "gunzip, of pigz: gzip -d" "$what" gzip_d 0.30
		fi
		if have "gunzip, our own: igzip -d" igzip; then
			codec_job ours data '"step": "compress", "level": 6'
			codec_ours >data.packed
			unpack_case "gunzip, our own: igzip -d" "$what" igzip_d 0.60
		fi
		if have "gunzip, our own BGZF: bgzip -d" bgzip; then
			codec_job ours data '"step": "compress", "level": 6, "layout": "bgzf"'
			codec_ours >data.packed
			unpack_case "gunzip, our own BGZF: bgzip -d" "$what" bgzip_d 1.0
		fi
	done
	cd "$tmp"
}
case_unzstd() {
	local what
	have "unzstd: zstd -d" zstd || return 0
	cd "$ram"
	for what in text binaries; do
		codec_data "$what"
		codec_job back data.packed '"step": "decompress"'
		codec_job ours data '"step": "compress", "format": "zstd", "level": 3'
		codec_ours >data.packed
		unpack_case "unzstd, our own: zstd -d" "$what" zstd_d 0.60
	done
	cd "$tmp"
}

seal_ours() { "$bytemill" run -q seal.json; }
seal_age() { age -r "$recipient" -o out.age data; }
open_ours() { "$bytemill" run -q open.json; }
open_age() { age -d -i key -o out data.age; }
# Memory that a virtual machine has given back to its host costs several times as much when it is first touched again,
# whoever does that: it is taken back before the clock runs.
drop_outputs() {
	rm -f out out.age
	cp data touched
	rm touched
}
case_age() {
	local seal="age, encrypt: age -r" open="age, decrypt: age -d" avail
	have "$seal" age age-keygen || return 0
	cd "$ram"
	avail=$(($(df --output=avail -k . | tail -n 1) / 1024))
	gather data $((avail > large_mib * 4 ? large_mib * mib : text_mib * mib)) /usr/lib --
	age-keygen -o key 2>/dev/null
	recipient=$(age-keygen -y key)
	cat >seal.json <<-END
		{ "steps": [
		  { "step": "read", "from": "data" },
		  { "step": "encrypt", "recipients": "$recipient" },
		  { "step": "write", "to": "out.age", "durability": "none" }
		] }
	END
	cat >open.json <<-END
		{ "steps": [
		  { "step": "read", "from": "data.age" },
		  { "step": "decrypt", "identity_file": "key" },
		  { "step": "write", "to": "out", "durability": "none" }
		] }
	END
	seal_ours
	age -d -i key out.age | cmp -s - data || die "what bytemill encrypted is not what age decrypts"
	drop_outputs
	age -r "$recipient" -o data.age data
	open_ours
	cmp -s out data || die "what age encrypted is not what bytemill decrypts"
	before_each=drop_outputs
	race "$runs" seal_ours seal_age open_ours open_age
	before_each=:
	compare "$seal" seal_ours seal_age 0.6
	compare "$open" open_ours open_age 0.6
	rm -f data data.age out out.age key
	cd "$tmp"
}

# The whole way in one pass over the file. What the substitutions say must not go down the pipe, so it goes to files.
pass_ours() { "$bytemill" run -q pass.json; }
pass_shell() {
	# shellcheck disable=SC2002
	cat data | tee >(openssl dgst -r -sha256 >shell.plain) | pigz -6 |
		tee >(openssl dgst -r -sha256 >shell.packed) | age -r "$recipient" >out.age
}
pass_digest() { sha256sum "$@" | cut -c 1-64; }
case_pass() {
	local case="hash, gzip -6, hash, age in one pass:" what
	have "$case" openssl pigz age age-keygen || return 0
	cd "$ram"
	age-keygen -o key 2>/dev/null
	recipient=$(age-keygen -y key)
	cat >pass.json <<-END
		{ "steps": [
		  { "step": "read", "from": "data" },
		  { "step": "hash", "manifest": "plain.sums" },
		  { "step": "compress", "level": 6 },
		  { "step": "hash", "manifest": "packed.sums" },
		  { "step": "encrypt", "recipients": "$recipient" },
		  { "step": "write", "to": "out.age", "durability": "none" }
		] }
	END
	for what in text binaries; do
		codec_data "$what"
		pass_ours
		age -d -i key out.age >packed
		gzip -dc packed | cmp -s - data || die "$case what age and gzip make of the $what is not what was read"
		[ "$(cut -c 1-64 plain.sums)" = "$(pass_digest data)" ] || die "$case wrong digest of the $what"
		[ "$(cut -c 1-64 packed.sums)" = "$(pass_digest packed)" ] || die "$case wrong digest of the packed $what"
		drop_outputs
		pass_shell
		age -d -i key out.age | gzip -dc | cmp -s - data || die "$case the pipe does not keep the $what"
		rm packed
		before_each=drop_outputs
		race "$runs" pass_ours pass_shell
		before_each=:
		compare "${case%:} of $what: a pipe" pass_ours pass_shell 0.45
		drop_outputs
	done
	rm -f key ./*.sums shell.*
	cd "$tmp"
}

range_keys=() range_bytes= range_file=
range_cat() { "$bytemill" cat -q "${range_keys[@]}" --range "$range_bytes" "$range_file"; }
range_pack() { # range_pack OUT OPTIONS-OF-JOB STEP...
	local out=$1 options=$2 steps='{ "step": "read", "from": "original" }' step
	shift 2
	for step; do steps+=", $step"; done
	echo "{ $options \"steps\": [ $steps, { \"step\": \"write\", \"to\": \"$out\", \"durability\": \"none\"${range_write:-} } ] }" >range.json
	"$bytemill" run -q range.json
}
range_line() { # range_line CASE FILE
	local kib
	range_file=$2
	range_cat | cmp -s - original.part || die "the range of $2 is not what is in the original"
	race 20 range_cat
	verdict "${median[range_cat]}" 30000
	line "1 MiB of $range_mib MiB, $1" "$(seconds "${median[range_cat]}")" - - "<= 30 ms" "$result"
	if command -v python3 >/dev/null; then
		python3 "$here/peak_rss.py" peak.kib "$bytemill" cat -q "${range_keys[@]}" --range "$range_bytes" "$2" >/dev/null
		kib=$(<peak.kib)
		verdict "$kib" $((32 << 10))
		line "  peak memory" "$(mebibytes $((kib * 1024)))" - - "<= 32 MiB" "$result"
	fi
	rm "$2"
}
case_range() {
	local gzip='{ "step": "compress", "level": 1 }' bgzf='{ "step": "compress", "level": 1, "layout": "bgzf" }'
	local zstd='{ "step": "compress", "format": "zstd", "level": 1 }' age i range_mib=$((text_mib * range_times)) at
	find_trees
	gather text $((text_mib * mib)) "${trees[@]}" -- -name '*.[ch]'
	for ((i = 0; i < range_times; i++)); do cat text; done >original
	rm text
	at=$((range_mib * mib / 2 - mib / 3)) # not where a chunk begins
	range_bytes=$at-$((at + mib - 1))
	dd if=original of=original.part iflag=skip_bytes,count_bytes skip=$at count=$mib status=none
	"$bytemill" keygen -o range.key 2>/dev/null
	age='{ "step": "encrypt", "recipients": "'$("$bytemill" keygen -y range.key)'" }'

	range_pack out.gz '' "$gzip"
	range_line "gzip, members of 1 MiB" out.gz
	range_pack out.gz '"chunk": "4MiB",' "$gzip"
	range_line "gzip, members of 4 MiB" out.gz
	range_write=', "index": true' range_pack out.gz '' "$bgzf"
	cp out.gz plain.gz
	range_line "BGZF with .gzi" out.gz
	rm out.gz.gzi
	range_line "BGZF without" plain.gz
	range_pack out.zst '' "$zstd"
	range_line "zstd, frames with seek table" out.zst
	range_keys=(-i range.key)
	range_pack out.age '' "$age"
	range_line "age" out.age
	range_pack out.age '' "$gzip" "$age"
	range_line "gzip, members of 1 MiB, in age" out.age
	range_pack out.age '' "$zstd" "$age"
	range_line "zstd, frames with seek table, in age" out.age
	range_keys=()
	rm original original.part range.key
}

engine_line() { # engine_line NAME COLUMN: of the line of bench_engine's table that begins so
	awk -v name="$1" -v column="$2" 'index($0, name) == 1 { split(substr($0, 47), f, " "); print f[column] + 0 }' engine.out
}
case_engine() {
	local case="engine: a chunk, empty stages, 1 thread" build row ns
	build=$(realpath "$(dirname "$bytemill")/../..")
	[ ! -e "$build/CMakeCache.txt" ] || cmake --build "$build" --target bench_engine >engine.build 2>&1 || true
	if [ ! -x "$build/tests/bench/bench_engine" ]; then
		skipped "$case" "bench_engine is not built"
		return 0
	fi
	"$build/tests/bench/bench_engine" "$engine_chunks" >engine.out || die "bench_engine failed: exit code $?"
	for row in "one stream" "1-chunk streams"; do
		ns=$(engine_line "$row, empty stages, 1 thread" 1)
		[ -n "$ns" ] || die "bench_engine has no line for '$row': $(cat engine.out)"
		verdict "$ns" 2000
		line "$case, $row" "$ns ns" - - "<= 2 us" "$result"
	done
	line "  time lost at its lock, 256 KiB, 2 threads" "$(engine_line 'one stream, 256 KiB hashed thrice, 2 threads' 4) %" - - - ''
}

readonly budget_mib=64 base_mib=32
peak() { # peak CASE BYTEMILL-ARGUMENT...
	local case=$1 kib limit=$(((budget_mib + base_mib) * 1024))
	shift
	python3 "$here/peak_rss.py" peak.kib "$bytemill" "$@" >/dev/null 2>"$tmp/stderr" ||
		die "$case: bytemill failed: $(tail -n 5 "$tmp/stderr")"
	kib=$(<peak.kib)
	verdict "$kib" $limit
	line "$case" "$(mebibytes $((kib * 1024)))" - - "<= $((limit / 1024)) MiB" "$result"
}
case_memory() {
	local dir n
	have "peak memory" python3 || return 0

	truncate -s "$sparse" sparse
	cat >sparse.json <<-END
		{ "steps": [
		  { "step": "read", "from": "sparse" },
		  { "step": "hash", "algorithms": ["sha256", "crc32"] },
		  { "step": "copy", "to": "sparse.copy" }
		] }
	END
	peak "peak memory: sparse file of $sparse, copied" run -q --memory ${budget_mib}MiB sparse.json
	[ "$(stat -c %s sparse.copy)" = "$(stat -c %s sparse)" ] || die "the copy of the sparse file has another size"
	rm sparse sparse.copy

	for ((n = 0; n < small_files; n += 1000)); do
		dir=small/$(printf %06d "$n")
		mkdir -p "$dir"
		seq -f 'this is file number %.0f of those' "$n" $((n + 999)) | split -l 1 -d -a 3 - "$dir/file."
	done
	cat >small.json <<-END
		{ "steps": [
		  { "step": "read", "from": "small" },
		  { "step": "hash", "manifest": "small.sums", "name": "{path}" },
		  { "step": "compress" },
		  { "step": "write", "to": "small.gz/{path}.gz", "durability": "none" }
		] }
	END
	peak "peak memory: $small_files small files, compressed" run -q --memory ${budget_mib}MiB small.json
	(cd small && sha256sum --status --strict -c ../small.sums) || die "wrong digests of the small files"
	[ "$(wc -l <small.sums)" = "$small_files" ] || die "not all small files are in the manifest"
	rm -rf small small.gz

	gather large $((text_mib * mib)) /usr/lib --
	cat >wide.json <<-END
		{ "steps": [
		  { "step": "read", "from": "large" },
		  { "step": "hash", "algorithms": ["sha256", "md5", "crc32"] },
		  { "step": "compress", "level": 6 },
		  { "step": "write", "to": "large.gz", "durability": "none" }
		] }
	END
	peak "peak memory: 64 threads, $text_mib MiB, compressed" run -q -j 64 --memory ${budget_mib}MiB wide.json
	gzip -dc large.gz | cmp -s - large || die "what 64 threads compressed is not what gzip decompresses"
	rm large large.gz
}

start_run() { "$bytemill" run -q start.json; }
url_one() { "$bytemill" run -q url1.json; }
url_four() { "$bytemill" run -q url4.json; }
url_curl() { curl -sSf -o /dev/null "$url"; }
url_race() { # url_race TITLE: at $url
	local n rounds=1 # each takes its 20 seconds
	for n in 1 4; do
		cat >url$n.json <<-END
			{ "steps": [
			  { "step": "read", "from": "$url", "connections": $n },
			  { "step": "hash", "algorithms": "xxh3", "manifest": "url$n.sums", "name": "large" }
			] }
		END
	done
	race "$rounds" url_curl url_one url_four
	[ "$(cat url1.sums url4.sums | sort -u)" = "$("$bytemill" hash -a xxh3 large)" ] || die "other bytes than the server's"
	compare "fetch, 4 connections of 50 MiB/s: one, $1" url_four url_one 0.286
	compare "fetch, 1 connection of 50 MiB/s: curl, $1" url_one url_curl 1.05
}
case_url() {
	local url port hold server
	have "fetch in parallel ranges" curl python3 || return 0
	"$bytemill" steps read | grep -q '^URLs: libcurl' || { skipped "fetch in parallel ranges" "no libcurl"; return 0; }
	truncate -s "${large_mib}M" large
	export no_proxy='*'
	mkfifo hold
	python3 "$here/paced_server.py" large $((50 * mib)) port <hold &
	server=$!
	exec {hold}>hold
	until [ -s port ]; do sleep 0.1; done
	url=http://127.0.0.1:$(cat port)/large
	url_race "by connection"
	exec {hold}>&-
	wait "$server"
	rm hold port
	if have "fetch in parallel ranges, nginx" nginx; then
		port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		mkdir -p nginx
		cat >nginx.conf <<-END
			$([ "$(id -u)" != 0 ] || echo 'user root;')
			daemon off; worker_processes 1; pid $tmp/nginx/pid; error_log $tmp/nginx/error;
			events { worker_connections 64; }
			http {
				access_log off; sendfile on;
				client_body_temp_path $tmp/nginx/1; proxy_temp_path $tmp/nginx/2; fastcgi_temp_path $tmp/nginx/3;
				uwsgi_temp_path $tmp/nginx/4; scgi_temp_path $tmp/nginx/5;
				server { listen 127.0.0.1:$port; root $tmp; limit_rate 50m; }
			}
		END
		nginx -c "$tmp/nginx.conf" -p "$tmp/nginx" -e "$tmp/nginx/error" &
		server=$!
		until [ -s nginx/pid ] || ! kill -0 "$server" 2>/dev/null; do sleep 0.1; done
		url=http://127.0.0.1:$port/large
		url_race "nginx"
		kill "$server"
		wait "$server" || true
	fi
	rm -f large
}
case_start() {
	cd "$ram"
	head -c 1024 "$bytemill" >one
	cat >start.json <<-END
		{ "steps": [
		  { "step": "read", "from": "one" },
		  { "step": "hash", "manifest": "one.sums", "name": "one" },
		  { "step": "compress" },
		  { "step": "write", "to": "one.gz" }
		] }
	END
	start_run
	gzip -dc one.gz | cmp -s - one || die "what bytemill compressed is not what gzip decompresses"
	sha256sum --status --strict -c one.sums || die "wrong digest of the small file"
	race 20 start_run
	verdict "${median[start_run]}" 10000
	line "start to end: one job on 1 KiB, in memory" "$(seconds "${median[start_run]}")" - - "<= 10 ms" "$result"
	cd "$tmp"
}

# ---- many small files ----

small_tree() { # small_tree COUNT: small/ with so many files of 1 to 3 KiB, 100 a directory
	python3 - "$1" <<-'END'
		import os, random, sys
		r = random.Random(1)
		for i in range(int(sys.argv[1])):
		    d = f"small/d{i // 100:03}"
		    if i % 100 == 0:
		        os.makedirs(d)
		    with open(f"{d}/f{i % 100:02}", "wb") as f:
		        f.write(r.randbytes(r.randrange(1024, 3072)))
	END
}
durable_clean() { # what earlier runs left to the system to write is not this one's
	rm -rf out
	sync
}
durable_none() { "$bytemill" run -q none.json; }
durable_batch() { "$bytemill" run -q batch.json; }
durable_file() { "$bytemill" run -q file.json; }
case_durable() {
	local count=20000 how
	have "many small files, durable" python3 || return 0
	[ -z "$quick" ] || count=2000
	small_tree "$count"
	for how in none batch file; do
		printf '{"steps": [{"step": "read", "from": "small"}, {"step": "write", "to": "out/{path}", "durability": "%s"}]}' \
			"$how" >"$how.json"
		durable_clean
		"durable_$how"
		diff -rq small out || die "the copies made with durability $how differ"
	done
	before_each=durable_clean
	race "$runs" durable_none durable_batch durable_file
	before_each=:
	compare "$count small files, durability batch: file" durable_batch durable_file 1
	line "$count small files, durability none" "$(seconds "${median[durable_none]}")" - - - ""
	line "  batch: none" "$(seconds "${median[durable_batch]}")" "$(seconds "${median[durable_none]}")" \
		"$(quotient "${median[durable_batch]}" "${median[durable_none]}")" - ""
	line "  file: none" "$(seconds "${median[durable_file]}")" "$(seconds "${median[durable_none]}")" \
		"$(quotient "${median[durable_file]}" "${median[durable_none]}")" - ""
	rm -rf small out
}

sandbox_auto() { "$bytemill" hash -q small; }
sandbox_on() { "$bytemill" hash -q --sandbox on small; }
sandbox_off() { "$bytemill" hash -q --sandbox off small; }
case_sandbox() {
	local count=50000
	have "the sandbox" python3 || return 0
	[ -z "$quick" ] || count=5000
	small_tree "$count"
	if ! "$bytemill" hash -q --sandbox on small >/dev/null 2>&1; then
		skipped "the sandbox" "this kernel has no Landlock"
	else
		race $((4 * runs)) sandbox_auto sandbox_on sandbox_off
		compare "sha256 of $count small files, warm, sandbox auto: off" sandbox_auto sandbox_off 1.03
		line "  sandbox on: off" "$(seconds "${median[sandbox_on]}")" "$(seconds "${median[sandbox_off]}")" \
			"$(quotient "${median[sandbox_on]}" "${median[sandbox_off]}")" - ""
	fi
	rm -rf small
}

history_on() { "$bytemill" run -q --state state "$history"; }
history_off() { "$bytemill" run -q --state state --no-history "$history"; }
history_race() { # history_race NAME DIR: a job that hashes all files of DIR
	history="history.$1.json"
	python3 - "$2" >"$history" <<-'END'
		import json, sys
		print(json.dumps({"steps": [{"step": "read", "from": sys.argv[1]}, {"step": "hash", "manifest": "sums"}]}))
	END
	history_on
	mv sums sums.on
	history_off
	cmp -s sums sums.on || die "the manifests of $2 differ"
	race $((4 * runs)) history_on history_off
}
case_history() {
	local count=50000 history
	have "the history" python3 || return 0
	[ -z "$quick" ] || count=5000
	find_trees
	history_race tree "${trees[0]}"
	compare "sha256 of a tree, warm, on record: not" history_on history_off 1.03
	# The worst that there is: files that take hardly longer than their record.
	small_tree "$count"
	history_race small small
	line "  of $count files of 1 to 3 KiB" "$(seconds "${median[history_on]}")" "$(seconds "${median[history_off]}")" \
		"$(quotient "${median[history_on]}" "${median[history_off]}")" - ""
	rm -rf small state history.*.json sums sums.on
}

# ---- the HTTP service ----

serve_put() { curl -sSf -T out/large "$serve_url/v1/files/large"; }
nginx_put() { curl -sSf -T out/large "$nginx_url/in/large" && sha256sum nginx-in/large; }
serve_get() { curl -sSf -o /dev/null "$serve_url/v1/files/large"; }
nginx_get() { curl -sSf -o /dev/null "$nginx_url/out/large"; }
serve_small() { ab -q -n 10000 -c 64 "$serve_url/v1/files/small"; }
nginx_small() { ab -q -n 10000 -c 64 "$nginx_url/out/small"; }
serve_empty() { rm -f in/large nginx-in/large; }
case_serve() {
	local i port
	have "HTTP service" nginx ab curl || return 0
	if [ "$("$bytemill" serve --openapi 2>/dev/null | head -c 1)" != '{' ]; then
		skipped "HTTP service" "not in this build"
		return 0
	fi
	cd "$ram"
	mkdir -p in out nginx-in nginx-temp
	chmod 755 . in out nginx-in nginx-temp
	head -c $((large_mib * mib)) /dev/urandom >out/large
	head -c 1000 /dev/urandom >out/small
	"$bytemill" serve --state "$ram/state" --listen 127.0.0.1:0 --inbox in --outbox out 2>serve.log &
	serve_pids+=($!)
	for ((i = 0; i < 500; i++)); do
		grep -q 'listening at' serve.log && break
		sleep 0.02
	done
	serve_url=$(sed -n 's/^bytemill: listening at //p' serve.log)
	port=$((${serve_url##*:} > 40000 ? ${serve_url##*:} - 7919 : ${serve_url##*:} + 7919))
	nginx_url=http://127.0.0.1:$port
	cat >nginx.conf <<-END
		worker_processes $cpus; daemon off; pid $ram/nginx.pid; user $(id -un);
		events { worker_connections 1024; }
		http { access_log off; client_max_body_size 0; sendfile on; client_body_temp_path $ram/nginx-temp;
		  server { listen 127.0.0.1:$port;
		    location /in/ { dav_methods PUT; alias $ram/nginx-in/; } location /out/ { alias $ram/out/; } } }
	END
	nginx -c "$ram/nginx.conf" -e "$ram/nginx.log" 2>/dev/null &
	serve_pids+=($!)
	for ((i = 0; i < 500; i++)); do
		curl -sf -o /dev/null "$nginx_url/out/small" && break
		sleep 0.02
	done
	serve_put >/dev/null
	cmp -s in/large out/large || die "what was sent is not what came"
	serve_get
	before_each=serve_empty
	race "$runs" serve_put nginx_put
	compare "upload of $large_mib MiB: nginx, then sha256sum" serve_put nginx_put 0.8
	before_each=:
	race "$runs" serve_get nginx_get
	compare "download of $large_mib MiB: nginx with sendfile" serve_get nginx_get 1.111
	race "$runs" serve_small nginx_small
	compare "10,000 downloads of 1 KB, 64 at once: nginx" serve_small nginx_small 2.0
	serve_off
	wait
	rm -rf in out nginx-in nginx-temp state
	cd "$tmp"
}

# ---- all ----

echo "$("$bytemill" --version), $cpus CPUs ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1))," \
	"median of $runs rounds${quick:+; --quick: these numbers mean little}"
for program in openssl hashdeep rhash rclone pigz igzip bgzip zstd age; do
	command -v "$program" >/dev/null || continue
	case $program in
	openssl) version=$(openssl version | cut -d ' ' -f 1,2) ;;
	hashdeep) version="hashdeep $(hashdeep -V)" ;;
	rhash) version=$(rhash --version 2>&1 | sed -n 1p) ;;
	rclone) version=$(rclone version 2>/dev/null | sed -n 1p) ;;
	pigz) version=$(pigz --version 2>&1 | sed -n 1p) ;;
	igzip) version=igzip\ $(igzip --version 2>&1 | sed -n '1s/.* //p') ;;
	bgzip) version=$(bgzip --version | sed -n '1s/[()]//gp') ;;
	zstd) version=zstd\ $(zstd --version | sed -n 's/.* v\([0-9.]*\).*/\1/p') ;;
	age) version="age $(age --version)" ;;
	esac
	printf '%s%s' "${separator:-with }" "$version"
	separator=', '
done
printf '\n\n'
line case bytemill other ratio target ''
for c in "${chosen[@]}"; do "case_$c"; done
echo
if [ "$misses" -eq 0 ]; then echo "no target missed"; else echo "targets missed: $misses"; fi
