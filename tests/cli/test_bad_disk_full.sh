#!/bin/bash
# A full disk, by bytes and by inodes: the old files are as they were, no temp file is left, what fits is done.
. "$(dirname "$0")/lib.sh"
need_root

job() { printf '%s' "$1" >job.json; }
mkdir in disk
for i in 1 2 3 4; do head -c 200000 /dev/urandom >in/$i; done
head -c 2000000 /dev/urandom >in/large
mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null || skip "cannot mount a tmpfs"
at_end 'umount "$tmp/disk" || umount -l "$tmp/disk"'

for steps in '{"step": "copy", "to": "disk/{path}"}' '{"step": "hash"}, {"step": "write", "to": "disk/{path}"}' \
	'{"step": "compress", "level": 0, "layout": "single"}, {"step": "write", "to": "disk/{path}"}'; do
	rm -f disk/*
	echo old >disk/large
	job '{"steps": [{"step": "read", "from": "in"}, '"$steps"']}'
	run_bm run -j 2 --io-depth 1 job.json
	expect_exit 1
	expect_stderr_match '^bytemill: error: in/large: .*disk/large: .*No space left'
	[ "$(cat disk/large)" = old ] || fail "the old file is gone"
	expect_no_temp disk
	for i in 1 2 3 4; do
		[ ! -e disk/$i ] || { gzip -dc disk/$i 2>/dev/null || cat disk/$i; } | cmp - in/$i || fail "disk/$i is not whole"
	done
done
# One after the other all small ones fit.
rm -f disk/*
job '{"steps": [{"step": "read", "from": ["in/1", "in/2", "in/large", "in/3", "in/4"]}, {"step": "hash", "manifest": "disk/SUMS"},
	{"step": "write", "to": "disk/{path}"}]}'
run_bm run -j 1 --io-depth 1 job.json
expect_exit 1
[ "$(wc -l <disk/SUMS)" = "$(find disk -type f ! -name SUMS | wc -l)" ] || fail "lines and files: $(ls disk) $(cat disk/SUMS)"
(cd disk && sha256sum -c --strict --quiet SUMS) || fail "sha256sum -c says no"
expect_no_temp disk

# A combined output, an append and a manifest that do not fit.
rm -f disk/*
head -c 300000 in/large >disk/all
cp disk/all before
for exists in replace append; do
	job '{"steps": [{"step": "read", "from": "in/large"}, {"step": "write", "to": "disk/all", "combine": true, "if_exists": "'$exists'"}]}'
	run_bm run job.json
	expect_exit 1
	expect_stderr_match 'No space left'
	expect_same before disk/all
	expect_no_temp disk
done
head -c 600000 /dev/zero >disk/filler
mkdir many
(cd many && seq -f '%0200.0f' 3000 | xargs touch)
echo old >disk/SUMS
job '{"steps": [{"step": "read", "from": "many"}, {"step": "hash", "algorithms": "md5", "manifest": "disk/SUMS"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match 'disk/SUMS: .*No space left'
[ "$(cat disk/SUMS)" = old ] || fail "the old manifest is gone"
expect_no_temp disk

# No inodes.
umount disk
mount -t tmpfs -o size=4m,nr_inodes=5 tmpfs disk
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "disk/{path}"}]}'
run_bm run -j 1 --io-depth 1 job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/.*: .*disk/.*: .*No space left'
for file in disk/*; do expect_same "in/${file#disk/}" "$file"; done
[ "$(find disk -type f | wc -l)" -ge 3 ] || fail "$(ls disk)"
expect_no_temp disk

# Read only.
mount -o remount,ro disk
run_bm run job.json
expect_exit 1
expect_stderr_match 'Read-only file system'
expect_stderr_match '^bytemill: 0 files done, 5 failed'
