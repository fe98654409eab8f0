#!/bin/bash
# bytemill audit --catalog: a file that was written so short a time before it was read that it may be written again and keep
# its times, is read again the next time; what it has then is no damage.
. "$(dirname "$0")/lib.sh"
need_cmd sqlite3
db=$BYTEMILL_STATE/catalog.db
query() { sqlite3 "$db" "$1"; }
expect_count() { # VERDICT N
	[ "$(sed '/^$/,$d' "$stdout" | sed -n "s/^$1  *//p")" = "$2" ] || fail "count of $1"
}

# ---- as it is told by the record

mkdir tree
echo first >tree/f
echo other >tree/g
run_bm audit -q --catalog tree
query 'UPDATE files SET unsettled = 1'
run_bm audit --catalog tree
expect_exit 0
expect_count ok 2
[ "$(query 'SELECT count(*) FROM files WHERE unsettled IS NOT NULL')" = 0 ] || fail "they are read again and again"
query 'UPDATE files SET unsettled = 1'
# All of its times are as on record.
touch -r tree/f stamp
echo again >tree/f
touch -r stamp tree/f
query "UPDATE files SET ctime = $(stat -c %.Z tree/f | tr -d .) WHERE path = CAST('f' AS BLOB)"
run_bm audit --catalog tree
expect_exit 0
expect_count ok 1
expect_count changed 1
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 2

# ---- on a file system whose times are two seconds wide (FAT), or one (ext2 with small inodes)

[ "$(id -u)" = 0 ] || skip "the rest: mounting needs root"
try() { # KIND COMMAND...: makes one in ./image and mounts it on ./disk
	local kind=$1
	shift
	mkdir -p disk
	rm -f image
	truncate -s 4M image
	command -v "$1" >/dev/null && "$@" >/dev/null 2>&1 && mount -o loop -t "$kind" image disk 2>/dev/null || return 1
	at_end "umount '$tmp/disk' 2>/dev/null"
}
tried=0
for kind in vfat ext2; do
	case $kind in
	vfat) try vfat mkfs.vfat image || continue ;;
	ext2) try ext2 mke2fs -q -I 128 -t ext2 image || continue ;;
	esac
	tried=$((tried + 1))
	mkdir disk/tree
	run_bm audit -q --catalog disk/tree
	expect_exit 0
	# Both within one second, and so with the same times: tried until it is so.
	while :; do
		echo one >disk/tree/f
		run_bm audit -q --catalog disk/tree
		before=$(stat -c '%.Y %.Z' disk/tree/f)
		echo two >disk/tree/f
		[ "$(stat -c '%.Y %.Z' disk/tree/f)" = "$before" ] && break
	done
	run_bm audit --catalog disk/tree
	expect_exit 0
	expect_count changed 1
	expect_count rotted ''
	sleep_until=$(($(date +%s) + 3))
	while [ "$(date +%s)" -lt "$sleep_until" ]; do run_bm audit -q --catalog disk/tree; done
	run_bm audit --catalog disk/tree
	expect_stderr_match '^bytemill: 0 B read, 1 file not due$'
	umount disk
done
[ "$tried" -gt 0 ] || skip "the rest: no FAT and no ext2 can be mounted here"
