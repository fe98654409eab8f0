#!/bin/bash
# bytemill audit --catalog --blocks: digests of blocks on record, damaged bytes named and repaired, and files that are read
# in parts: by --max-bytes, by --max-duration, by a kill.
. "$(dirname "$0")/lib.sh"
need_cmd jq sqlite3
# A hundred audits, each of which waits for the disk a few times: not here.
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
	BYTEMILL_STATE=$(mktemp -d /dev/shm/bytemill-test.XXXXXX)
	at_end "rm -rf '$BYTEMILL_STATE'"
fi
db=$BYTEMILL_STATE/catalog.db

query() { sqlite3 -cmd ".timeout 20000" "$db" "$1"; }
of() { query "SELECT $2 FROM files WHERE path = CAST('$1' AS BLOB)"; }
part() { query "SELECT next_block FROM progress WHERE path = CAST('$1' AS BLOB)"; }
expect_count() { # VERDICT N
	[ "$(sed '/^$/,$d' "$stdout" | sed -n "s/^$1  *//p")" = "$2" ] || fail "count of $1"
}
bytes_read() { jq -r 'select(.type == "summary").bytes_read' "$stdout"; }
flip() { # FILE OFFSET: one bit, with the times as they were
	local byte
	touch -r "$1" "$tmp/stamp"
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
	touch -r "$tmp/stamp" "$1"
}
sound() { [ "$(query 'PRAGMA integrity_check')" = ok ] || fail "the database is damaged"; }
# A flipped bit gives a file another ctime: on record it is to be as if the disk had done it.
as_by_disk() {
	local set="SET ctime = $(stat -c %.Z "$1" | tr -d .) WHERE path = CAST('${1##*/}' AS BLOB)"
	query "UPDATE files $set; UPDATE progress $set"
}

# ---- which files have blocks, and what is on record

mkdir tree
head -c 1000000 /dev/urandom >tree/a
head -c 65536 /dev/urandom >tree/b
head -c 65537 /dev/urandom >tree/c
: >tree/empty
cp -a tree copy
run_bm audit --catalog tree --blocks 64KiB
expect_exit 0
expect_count new 4
[ "$(query 'SELECT CAST(path AS TEXT), block_bytes FROM files')" = 'a|65536
b|
c|65536
empty|' ] || fail "which files have blocks"
"$BYTEMILL" hash --format json --blocks 64KiB -q tree | jq -c '[(.path | sub("tree/"; "")), .sha256, .blocks.digests]' >expected
run_bm catalog --export --json tree
expect_exit 0
cp "$stdout" sums.json
jq -c '[.path, .sha256, (.blocks.digests // [.sha256])]' "$stdout" >found
sed -i 's/,null\]$/,[]]/' expected
jq -c '[.[0], .[1], (if .[2] == null or .[2] == [] then [.[1]] else .[2] end)]' expected >expected2
expect_bytes 'digests of blocks' found expected2
# It is remembered, files that are there get them when they are read, and moved ones keep them.
run_bm audit -q --catalog tree --blocks 0
head -c 200000 /dev/urandom >tree/d
run_bm audit -q --catalog tree
[ "$(of d block_bytes)" = '' ] || fail "blocks, though --blocks 0 was said"
run_bm audit -q --catalog tree --blocks 64KiB
run_bm audit -q --catalog tree --older-than 0
expect_exit 0
[ "$(of d block_bytes)" = 65536 ] || fail "a file that was read again has no blocks"
mv tree/d tree/e
run_bm audit --catalog tree
expect_count moved 1
[ "$(of e block_bytes)" = 65536 ] || fail "a moved file lost its blocks"
run_bm catalog --export --json tree
[ "$(jq -r 'select(.path == "e").blocks.digests | length' "$stdout")" = 4 ] || fail "a moved file lost its blocks"
rm tree/e
run_bm audit -q --catalog tree --update missing
touch tree/a
run_bm audit --catalog tree
expect_count ok 1
[ "$(query 'SELECT sum(count) FROM blocks')" = 18 ] || fail "blocks of a touched file"
cp -p copy/a tree/a
run_bm audit -q --catalog tree
sound

# ---- damaged bytes are named, to people, in JSON and on a page, and what was exported repairs them

flip tree/a 0
flip tree/a 131072
flip tree/a 196608
flip tree/a 999999
run_bm audit --catalog tree --report page.html
expect_exit 3
expect_stdout_match '^rotted +a: .*; damaged: bytes 0-65535, 131072-262143, 983040-999999 of 1000000$'
grep -q '131072' page.html || fail "no damaged range on the page"
run_bm audit --catalog tree --format json
[ "$(jq -c 'select(.path == "a").damage.ranges' "$stdout")" = '[[0,65535],[131072,262143],[983040,999999]]' ] ||
	fail "ranges: $(jq -c 'select(.path == "a")' "$stdout")"
run_bm catalog
expect_exit 3
expect_stdout_match 'damaged     a .*damaged: bytes 0-65535, 131072-262143, 983040-999999 of 1000000$'
run_bm catalog --export --json tree
expect_exit 0
cp "$stdout" sums.json
run_bm audit sums.json tree --repair-from copy
expect_exit 0
expect_stdout_match '^repaired    a: bytes 0-65535, 131072-262143, 983040-999999 of 1000000$'
expect_same tree/a copy/a
run_bm audit --catalog tree
expect_exit 0
expect_count ok 1
[ "$(of a state)" = 0 ] || fail "a repaired file is still on record as damaged"

# ---- too large for a slot: on record block by block, then verified block by block

mkdir big
head -c 1000000 /dev/urandom >big/file
slots() { # N ARG...: audits until nothing is left, N of them
	local n=$1 i
	shift
	for ((i = 1; i <= n; i++)); do
		run_bm audit --catalog big --blocks 64KiB --format json "$@"
		expect_exit "${slots_exit:-0}"
		[ "$(bytes_read)" -le 200000 ] || fail "slot $i read $(bytes_read) bytes"
		sound
		if [ "$i" -lt "$n" ]; then
			[ "$(part file)" = $((i * 3)) ] || fail "after slot $i: block $(part file)"
			[ "$(jq -r 'select(.path == "file").verdict' "$stdout")" = not-checked ] || fail "slot $i: its verdict"
		fi
	done
	[ -z "$(part file)" ] || fail "progress is left"
}
now() { date +%s%N; }
begun=$(now)
slots 6 --max-bytes 200000 # 3 blocks each; 16 there are
[ "$(of file 'block_bytes, digest IS NULL, how')" = '65536|1|2' ] || fail "record of a file that was read in parts: $(of file '*')"
[ "$(of file verified)" -gt "$begun" ] || fail "its age"
run_bm catalog --export big
expect_exit 1
expect_stderr_match '^bytemill: (warning: )?1 file was left out: read in parts so far'
run_bm catalog --export --json big
expect_exit 0
jq -r '.blocks.digests[]' "$stdout" >found
split -b 65536 --filter='sha256sum | cut -c-64' big/file >expected
expect_same found expected
# That is enough for an audit, and for a repair, of a file that is damaged or missing.
cp "$stdout" bare.json
cp -a big bare
echo other >bare/other
cp -a bare bare.copy
run_bm audit bare.json bare --ignore-new
expect_exit 0
expect_count ok 1
flip bare/file 65536
flip bare/file 999999
run_bm audit bare.json bare --ignore-new
expect_exit 3
expect_stdout_match '^rotted +file: 2 of 16 blocks of 65536 bytes are not as the manifest says; .*; damaged: bytes 65536-131071, 983040-999999 of 1000000$'
touch bare/file
run_bm audit bare.json bare --ignore-new
expect_exit 3
expect_stdout_match '^changed +file: .*; damaged: bytes 65536-131071, 983040-999999 of 1000000$'
flip bare.copy/file 70000
run_bm audit bare.json bare --ignore-new --repair-from bare.copy
expect_exit 3
expect_stdout_match '^unrepaired  file: bytes 65536-131071 are wrong in the copy, too$'
flip bare.copy/file 70000
run_bm audit bare.json bare --ignore-new --repair-from bare.copy
expect_exit 0
expect_same bare/file bare.copy/file
rm bare/file
flip bare.copy/file 5
run_bm audit bare.json bare --ignore-new --repair-from bare.copy
expect_exit 3
expect_stdout_match '^unrepaired  file: the copy is not as the manifest says, either$'
flip bare.copy/file 5
run_bm audit bare.json bare --ignore-new --repair-from bare.copy
expect_exit 0
expect_same bare/file bare.copy/file
truncate -s 999999 bare/file
run_bm audit bare.json bare --ignore-new
expect_exit 3
expect_stdout_match '^changed +file: has 999999 bytes, the manifest says 1000000; not read$'
# Brought up to date, it has the digest of the whole.
for size in 999999 1000000; do
	cp bare.json new.json
	truncate -s "$size" bare/file
	flip bare/file $((size % 1000)) # the byte that was cut off may have been a zero
	run_bm audit new.json bare --ignore-new --update changed
	expect_exit 0
	[ "$(jq -r .sha256 new.json)" = "$(sha256sum bare/file | cut -c-64)" ] || fail "$size bytes: the new digest"
	run_bm audit new.json bare --ignore-new
	expect_exit 0
done
# Verified in parts: its age is that of the block that was read first.
query 'UPDATE files SET verified = verified - 86400000000000'
begun=$(now)
slots 6 --max-bytes 200000 --older-than 1h
first=$(of file verified)
[ "$first" -gt "$begun" ] && [ "$first" -lt "$(now)" ] || fail "its age after a round"
[ "$(of file 'how, state')" = '2|0' ] || fail "how it was verified"
run_bm audit --catalog big --max-bytes 200000 --older-than 1h
expect_stderr_match '^bytemill: 0 B read, 1 file not due$'
# In one go it gets the digest of the whole.
run_bm audit --catalog big --older-than 0
expect_exit 0
expect_count ok 1
[ "$(of file 'hex(digest)')" = "$(sha256sum big/file | cut -c-64 | tr a-f A-F)" ] || fail "the digest of the whole"
run_bm catalog --export big
expect_exit 0
(cd big && sha256sum -c --quiet "$stdout") || fail "GNU lines"

# ---- somebody wrote it between two slots: it is begun anew

due() { query 'UPDATE files SET verified = verified - 86400000000000'; }
slot() { run_bm audit --catalog big --max-bytes 200000 --older-than 1h "$@"; }
due
slot
[ "$(part file)" = 3 ] || fail "the first slot"
run_bm catalog big
expect_stdout_match '^  1 file read in part: 192 KiB so far, 785 KiB to go$'
run_bm catalog --json big
[ "$(jq -c 'select(.type == "root") | [.in_part, .in_part_bytes]' "$stdout")" = '[1,196608]' ] || fail "in JSON"
touch big/file
slot
expect_exit 0
[ "$(part file)" = 3 ] || fail "a file that was touched is carried on"
slots_exit=0
for i in 2 3 4 5; do
	slot
	[ "$(part file)" = $((i * 3)) ] || fail "slot $i after it was touched"
done
slot
expect_count ok 1
[ "$(of file 'digest IS NOT NULL')" = 1 ] || fail "a file that was but touched lost its digest"
head -c 900000 /dev/urandom >big/file
for i in 1 2 3 4; do slot; done
[ "$(part file)" = 12 ] || fail "a changed file is not carried on"
slot
expect_exit 0
expect_count changed 1
split -b 65536 --filter='sha256sum | cut -c-64' big/file >expected
run_bm catalog --export --json big
jq -r '.blocks.digests[]' "$stdout" >found
expect_same found expected
# It grows while it is being carried on.
due
slot
echo more >>big/file
for i in 1 2 3 4 5; do slot; done
expect_exit 0
expect_count changed 1

# ---- rot: in a block that this round has not come to yet, now; in one that it has, in the next

run_bm audit -q --catalog big --older-than 0
cp -p big/file file.good
size=$(stat -c %s big/file)
due
slot # 0 1 2
flip big/file $((7 * 65536 + 5))
as_by_disk big/file
slot # 3 4 5
expect_exit 0
slot # 6 7 8
expect_exit 3
expect_stdout_match "^rotted +file: 1 of 3 blocks of 65536 bytes is not as the catalog says \(bytes 393216-589823 of it were read\); size and time of change are as they were; damaged: bytes 458752-524287 of $size\$"
[ "$(of file state)" = 1 ] || fail "not on record as damaged"
[ "$(part file)" = 7 ] || fail "progress beyond a damaged block: $(part file)"
slot # until it is mended: that block alone
expect_exit 3
expect_stdout_match "^rotted +file: .*; it was found damaged before; damaged: bytes 458752-524287 of $size\$"
expect_stderr_match '^bytemill: 64 KiB read'
run_bm audit --catalog big # no limit: all of it
expect_exit 3
expect_stdout_match "damaged: bytes 458752-524287 of $size\$"
cp -p file.good big/file
for i in 1 2 3 4; do
	slot
	expect_exit 0
	[ "$(of file state)" = 1 ] || fail "well again, with half of it read"
done
slot
expect_exit 0
expect_count ok 1
[ "$(of file 'state, digest IS NOT NULL')" = '0|1' ] || fail "its record after it was mended"
due
slot # 0 1 2
slot # 3 4 5
flip big/file 70000
as_by_disk big/file
for i in 1 2 3; do
	slot
	expect_exit 0
done
[ "$(of file state)" = 0 ] || fail "rot in a block that was verified before"
due
slot
expect_exit 3
expect_stdout_match "damaged: bytes 65536-131071 of $size\$"
cp -p file.good big/file
run_bm audit -q --catalog big
expect_exit 0

# ---- nobody said --blocks, but with a limit that it does not fit in it has them all the same

mkdir unsaid
head -c 100000 /dev/urandom >unsaid/file
for i in 1 2; do # 32 KiB each, the largest power of two that fits; then the rest does
	run_bm audit --catalog unsaid --max-bytes 40000
	expect_exit 0
	expect_count not-checked 1
done
run_bm audit --catalog unsaid --max-bytes 40000
expect_exit 0
expect_count new 1
[ "$(query 'SELECT block_bytes, state FROM files WHERE size = 100000')" = '32768|0' ] || fail "its record"
head -c 50000 /dev/urandom >unsaid/whole
run_bm audit -q --catalog unsaid
run_bm audit --catalog unsaid --max-bytes 40000 --only missing
expect_stderr_match 'larger than --max-bytes alone, and without digests of blocks.*: 1 file, 48.8 KiB'

# ---- the time, SIGTERM, and kill -9

mkdir long
head -c 256M /dev/zero >long/zeros # not a hole, so that it can be read slowly
slow=(--limit-rate 60MiB)
for limit in 300ms 2s; do # a slow machine does not come to a block in the first
	run_bm audit --catalog long --blocks 1MiB --max-duration $limit "${slow[@]}"
	expect_exit 0
	[ -z "$(part zeros)" ] || break
done
expect_stdout_match '^not-checked +zeros: read up to byte [0-9]+ of 268435456: the next run goes on from there$'
expect_stderr_match '1 file was read in part, and will be carried on from there next time'
have=$(part zeros)
[ "${have:-0}" -gt 0 ] || fail "nothing was read in the time"
more() {
	local now
	now=$(part zeros)
	[ "${now:-0}" -gt "$have" ]
}
for signal in TERM KILL; do
	"$BYTEMILL" audit -q --catalog long "${slow[@]}" >/dev/null 2>&1 &
	pid=$!
	at_end "kill -9 $pid 2>/dev/null"
	wait_until more
	kill -"$signal" "$pid"
	wait "$pid" 2>/dev/null || true
	sound
	now=$(part zeros)
	[ "$now" -gt "$have" ] || fail "lost by SIG$signal: $have, then $now"
	have=$now
done
run_bm audit --catalog long --format json
expect_exit 0
[ "$(bytes_read)" -le $((268435456 - have * 1048576)) ] || fail "what was read before was read again"
[ -z "$(part zeros)" ] || fail "progress is left"
[ "$(query "SELECT count(*) FROM blocks WHERE partial = 1")" = 0 ] || fail "gathered digests are left"
run_bm catalog --export --json long
zeros=$(head -c 1048576 /dev/zero | sha256sum | cut -c-64)
[ "$(jq -r '.blocks.digests[]' "$stdout" | sort | uniq -c | tr -s ' ')" = " 256 $zeros" ] || fail "digests of blocks"
# The same where it is verified.
query 'UPDATE files SET verified = verified - 86400000000000'
have=0
"$BYTEMILL" audit -q --catalog long --older-than 1h "${slow[@]}" >/dev/null 2>&1 &
pid=$!
at_end "kill -9 $pid 2>/dev/null"
wait_until more
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
sound
have=$(part zeros)
[ "$(query 'SELECT count(*) FROM blocks WHERE partial = 1')" = 0 ] || fail "digests that are on record were gathered"
run_bm audit --catalog long --older-than 1h --format json
expect_exit 0
[ "$(bytes_read)" -le $((268435456 - have * 1048576)) ] || fail "blocks that were verified were read again"
[ "$(query "SELECT how, state FROM files WHERE path = CAST('zeros' AS BLOB)")" = '2|0' ] || fail "not verified in parts"
# A part of the bytes on record: of a large file as much as that.
query 'UPDATE files SET verified = verified - 86400000000000'
run_bm audit --catalog long --percent 5 --older-than 1h --format json
[ "$(bytes_read)" = 12582912 ] || fail "5 % is $(bytes_read) bytes"
[ "$(part zeros)" = 12 ] || fail "5 % is $(part zeros) blocks"
# A file that is gone leaves no progress, nor does one that became small.
cp long/zeros long/other
for limit in 300ms 2s; do
	run_bm audit --catalog long --max-duration $limit --older-than 1h "${slow[@]}"
	[ -z "$(part other)" ] || break
done
[ -n "$(part other)" ] || fail "nothing of it was read"
rm long/other
truncate -s 5 long/zeros
run_bm audit -q --catalog long
[ "$(query 'SELECT count(*) FROM progress, roots WHERE root = roots.id AND CAST(roots.path AS TEXT) LIKE "%/long"')" = 0 ] || fail "progress is left"
sound

# ---- carried on, it counts as verified when it was begun, before this audit was: it has had its turn all the same

for i in 1 2 3 4 5; do # whether it was put on record before it is asked what is due is a matter of luck
	rm -rf "turns$i"
	mkdir "turns$i"
	for name in b c d; do head -c 70000 /dev/urandom >"turns$i/$name"; done
	for name in a k m n o; do echo "$name" >"turns$i/$name"; done
	run_bm audit -q --catalog "turns$i" --blocks 4KiB
	head -c 4096 /dev/urandom >>"turns$i/b"
	echo more >>"turns$i/a"
	run_bm audit -q --catalog "turns$i" --max-bytes 10000 --exclude c
	run_bm audit -j 4 --catalog "turns$i" --older-than 0 --format json
	expect_exit 0
	jq -r 'select(.type == "file") | .verdict + " " + .path' "$stdout" | sort >found
	expect_bytes 'the verdicts' found <(printf '%s\n' 'changed b' 'ok a' 'ok c' 'ok d' 'ok k' 'ok m' 'ok n' 'ok o')
done
