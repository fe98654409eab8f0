#!/bin/bash
# bytemill audit: one flipped bit is one changed file, wherever it is; nothing else is said of any other.
. "$(dirname "$0")/lib.sh"

mkdir tree
sizes=(1 2 63 64 65 4095 4096 4097 262143 262144 262145 1000003)
for size in "${sizes[@]}"; do head -c "$size" /dev/urandom >"tree/f$size"; done
(cd tree && sha256sum f*) >gnu
(cd tree && "$BYTEMILL" hash -a crc32,md5,xxh3 .) >bsd
(cd tree && "$BYTEMILL" hash -a blake2b --format json .) >json
flip() { # FILE OFFSET: one bit
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
for size in "${sizes[@]}"; do
	for at in 0 $((size / 2)) $((size - 1)); do
		flip "tree/f$size" "$at"
		for sums in gnu bsd json; do
			run_bm audit "$sums" tree
			expect_exit 3
			expect_stdout_match "^ok +$((${#sizes[@]} - 1))\$"
			[ "$(sed '1,/^$/d' "$stdout" | wc -l)" = 1 ] || fail "other files"
			expect_stdout_match "^changed +f$size: "
		done
		flip "tree/f$size" "$at"
	done
done
for sums in gnu bsd json; do
	run_bm audit "$sums" tree
	expect_exit 0
done

# A bit of the manifest.
for at in 0 17 63; do
	cp gnu bad
	flip bad "$at"
	run_bm audit bad tree
	case $status in 1 | 2 | 3) ;; *) fail "exit code $status" ;; esac
	# A digit that became '#' makes the line a comment, and the file new.
	[ -s "$stderr" ] || expect_stdout_match '^(changed|new)'
done
