#!/bin/bash
# Manifests as other programs write them, over a tree of hostile names, are read whole and right.
. "$(dirname "$0")/../cli/lib.sh"
here=$BM_SOURCE_DIR/tests/manifest
READ=$BYTEMILL
$python "$here/names.py" tree

# reads LIST ALGORITHMS READ_OPTIONS PROGRAM ARG...: what PROGRAM prints for the files of LIST in the tree. Its manifest is
# called $name.
name=sums
reads() {
	local list=$1 algorithms=$2 options=$3
	shift 3
	(cd tree && xargs -0 -a "../$list.list" "$@") >"$name" 2>errors || fail "$*: $(head -c 300 errors)"
	# shellcheck disable=SC2086
	"$READ" -r $options "$name" >entries || fail "$* is not read: $(head -c 300 "$name" | cat -v)"
	# shellcheck disable=SC2086
	$python "$here/check_entries.py" tree "$list.list" $algorithms <entries || fail "$*: other entries"
}
have() {
	command -v "$1" >/dev/null && return
	echo "no $1 here: not tried"
	return 1
}

for algorithm in md5 sha1 sha224 sha256 sha384 sha512; do
	for options in "" -b --tag -z "--tag -z"; do
		# shellcheck disable=SC2086
		reads all $algorithm "" "${algorithm}sum" $options
	done
done
for options in "" --tag -z; do
	# shellcheck disable=SC2086
	reads all blake2b "-a blake2b" b2sum $options
	# shellcheck disable=SC2086
	reads all blake2b-128 "-a blake2b" b2sum -l 128 $options
done
name=B2SUMS reads all blake2b-8 "" b2sum -l 8
if cksum -a sha256 /dev/null >/dev/null 2>&1; then
	for algorithm in md5 sha1 sha256 blake2b sm3; do
		reads all $algorithm "" cksum -a $algorithm
		reads all $algorithm "-a $algorithm" cksum -a $algorithm --untagged
	done
	reads all blake2b-72 "" cksum -a blake2b -l 72
	(cd tree && xargs -0 -a ../nolf.list cksum -a crc) >crc
	run_bm crc
	expect_exit 2
	expect_stderr_match 'looks like a CRC as cksum'
fi
if have openssl; then
	for pair in md5:md5 sha256:sha256 sha512-256:sha512-256 sha3-384:sha3-384 blake2b512:blake2b blake2s256:blake2s; do
		reads nolf "${pair#*:}" "" openssl dgst "-${pair%:*}"
		# A CR at the end of a GNU line is the line's, as for sha256sum -c, and openssl does not escape it.
		reads nocr "${pair#*:}" "-a ${pair#*:}" openssl dgst -r "-${pair%:*}"
	done
fi
if have hashdeep; then
	reads nolf "md5 sha1 sha256" "" hashdeep -l -c md5,sha1,sha256
	reads nolf sha1 "" hashdeep -l -c sha1
fi
if have rhash; then
	reads sfv crc32 "-d" rhash --sfv
	reads sfv "sha256 md5" "-d" rhash --bsd --sha256 --md5
	reads sfv sha3-512 "-a sha3-512" rhash --simple --sha3-512
fi
if have xxhsum; then
	# What the digests are is told by the first form; the others must say the same.
	for pair in 1:xxh64 2:xxh128; do
		(cd tree && xargs -0 -a ../nolf.list xxhsum -q "-H${pair%:*}" 2>/dev/null) | cut -c1-$((${pair%:*} * 16)) >"${pair#*:}"
	done
	(cd tree && xargs -0 -a ../nolf.list xxhsum -q -H0 2>/dev/null) | cut -c1-8 >xxh32
	(cd tree && xargs -0 -a ../nolf.list xxhsum -q -H3 --tag 2>/dev/null) | sed 's/.* = //' >xxh3
	for pair in 0:xxh32 1:xxh64 2:xxh128 3:xxh3; do
		reads nolf "${pair#*:}" "-k xxhsum" xxhsum -q "-H${pair%:*}"
		reads nolf "${pair#*:}" "" xxhsum -q "-H${pair%:*}" --tag
		reads nolf "${pair#*:}" "" xxhsum -q "-H${pair%:*}" --tag --little-endian
	done
	sed 's/^/XXH3_/; s/$/  name/' xxh3 | "$READ" - >found
	[ "$(head -n 2 found | cut -f1,4 | tr '\n' ' ')" = "xxhsum name	xxh3:$(head -n 1 xxh3) " ] || fail "XXH3_: $(head -n 2 found)"
fi
if have rclone; then
	for algorithm in md5 sha256; do
		rclone hashsum $algorithm tree >sums 2>errors || fail "rclone: $(cat errors)"
		"$READ" -r -k rclone sums >entries || fail "rclone's sums are not read"
		$python "$here/check_entries.py" tree all.list $algorithm <entries || fail "rclone: other entries"
	done
fi
if $python -c 'import bagit' 2>/dev/null; then
	mkdir bag
	(cd tree && xargs -0 -a ../sfv.list cp --parents -t ../bag)
	$python -m bagit --sha256 bag
	name=bag/manifest-sha256.txt
	sed 's| data/| |' $name >sums
	"$READ" -r -k bagit -a sha256 sums >entries || fail "bagit's manifest is not read"
	$python "$here/check_entries.py" tree sfv.list sha256 <entries || fail "bagit: other entries"
fi
