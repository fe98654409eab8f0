#!/bin/bash
# bytemill audit --catalog: each verdict made on purpose, what the catalog has on record after it, limits, hostile names,
# roots that are not there, two audits at once.
. "$(dirname "$0")/lib.sh"
need_cmd jq sqlite3
db=$BYTEMILL_STATE/catalog.db

fresh() { # a tree that is on record
	rm -rf tree "$BYTEMILL_STATE"
	mkdir -p tree/d/e
	for i in 1 2 3 4 5 6; do echo "content $i" >"tree/f$i"; done
	echo deep >tree/d/e/deep
	: >tree/empty
	run_bm audit -q --catalog tree
	expect_exit 0
}
listed() { sed -n '/^$/,$p' "$stdout" | tail -n +2; }
expect_listed() { expect_bytes 'the list' <(listed) "${1:-/dev/stdin}"; }
expect_count() { # VERDICT N
	[ "$(sed '/^$/,$d' "$stdout" | sed -n "s/^$1  *//p")" = "$2" ] || fail "count of $1"
}
query() { sqlite3 "$db" "$1"; }
record() { query "SELECT hex(digest) || ' ' || state FROM files WHERE path = CAST('$1' AS BLOB)"; }
sum() { sha256sum "$1" | cut -d' ' -f1 | tr a-f A-F; }
expect_record() { # PATH DIGEST STATE (0 ok, 1 damaged, 2 missing, 3 unreadable)
	[ "$(record "$1")" = "$2 $3" ] || fail "record of $1: $(record "$1")"
}
expect_exported() { # what is on record is what is in the tree
	run_bm catalog --export tree
	expect_exit 0
	(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 -r sha256sum --) | expect_stdout -
}
bytes_read() { jq -r 'select(.type == "summary").bytes_read' "$stdout"; }
rot() { # FILE: other bytes, same size and time
	touch -r "$1" stamp
	printf 'R' | dd of="$1" conv=notrunc status=none
	touch -r stamp "$1"
}

# ---- the first time all is new, the second time nothing is read

rm -rf tree
mkdir -p tree/d/e
for i in 1 2 3 4 5 6; do echo "content $i" >"tree/f$i"; done
echo deep >tree/d/e/deep
: >tree/empty
run_bm audit --catalog tree
expect_exit 0
expect_count ok 0
expect_count new 8
expect_exported
before=$(query 'SELECT path, digest, verified FROM files')
run_bm audit --catalog tree
expect_exit 0
expect_stdout <<<'ok                                 0'
expect_stderr <<<'bytemill: 0 B read, 8 files not due'
[ "$(query 'SELECT path, digest, verified FROM files')" = "$before" ] || fail "the second audit changed records"
run_bm audit -q --catalog tree
expect_exit 0
expect_no_stdout
expect_no_stderr
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 8
[ "$(query 'SELECT count(*) FROM files WHERE how = 1')" = 8 ] || fail "not all are on record as verified"
run_bm audit --catalog "$tmp/tree/" --format json # the same root, whatever it is called
expect_exit 0
[ "$(bytes_read)" = 0 ] || fail "another name for the root made it another root"

# ---- rotted: the old digest stays, until it is back or --update says so

fresh
good=$(sum tree/f1)
cp -p tree/f1 saved
rot tree/f1
run_bm audit --catalog tree
expect_exit 3
expect_count rotted 1
listed | grep -qE '^rotted      f1: sha256 is [0-9a-f]{16}\.\.\., the catalog says .*; size and time of change are as they were$' ||
	fail "the line"
expect_record f1 "$good" 1
run_bm audit --catalog tree # again, until it is mended
expect_exit 3
expect_count rotted 1
expect_record f1 "$good" 1
run_bm catalog
expect_exit 3
expect_stdout_match '^  damaged     f1 \(since 20.*the catalog says'
echo 'touched' >tree/f1 # a time that is another does not make other bytes good
run_bm audit --catalog tree
expect_exit 3
expect_count rotted 1
expect_stdout_match 'it was found damaged before$'
expect_record f1 "$good" 1
cp -p saved tree/f1
run_bm audit --catalog tree
expect_exit 0
expect_count ok 1
expect_record f1 "$good" 0
rot tree/f1
run_bm audit --catalog tree --update missing
expect_exit 3
expect_record f1 "$good" 1
run_bm audit --catalog tree --update rotted
expect_exit 0
expect_count rotted 1
expect_record f1 "$(sum tree/f1)" 0
run_bm audit --catalog tree
expect_exit 0
expect_exported

# ... found where it is due and has not been touched at all: the record is made wrong, not the file
fresh
query "UPDATE files SET digest = zeroblob(32) WHERE path = CAST('f4' AS BLOB)"
run_bm audit --catalog tree
expect_exit 0
run_bm audit --catalog tree --older-than 0
expect_exit 3
expect_count ok 7
expect_count rotted 1

# ---- changed, and touched alone

fresh
echo 'other, longer' >tree/f2
run_bm audit --catalog tree
expect_exit 0
expect_count changed 1
expect_exported
touch -d '2001-02-03' tree/f3
chmod 600 tree/f4
run_bm audit --catalog tree
expect_exit 0
expect_count ok 2
[ "$(query "SELECT mtime / 1000000000 FROM files WHERE path = CAST('f3' AS BLOB)")" = 981158400 ] || fail "mtime on record"
run_bm audit --catalog tree --format json
[ "$(bytes_read)" = 0 ] || fail "what was put on record is read again"

# ---- missing: kept until --update

fresh
gone=$(sum tree/f5)
mv tree/f5 away
for i in 1 2; do
	run_bm audit --catalog tree
	expect_exit 3
	expect_listed <<<'missing     f5'
	expect_record f5 "$gone" 2
done
run_bm audit --catalog tree --only rotted
expect_exit 0
mv away tree/f5
run_bm audit --catalog tree
expect_exit 0
expect_record f5 "$gone" 0
rm tree/f5
run_bm audit --catalog tree --update missing
expect_exit 0
expect_count missing 1
[ -z "$(record f5)" ] || fail "f5 is still on record"
expect_exported

# ---- moved, duplicate, new

fresh
first=$(query "SELECT first_seen FROM files WHERE path = CAST('f6' AS BLOB)")
mv tree/f6 tree/d/f6
cp tree/f1 tree/f1-copy
echo new >tree/d/new
run_bm audit --catalog tree
expect_exit 0
expect_listed <<'END'
moved       d/f6 (was f6)
duplicate   f1-copy (of f1)
new         d/new
END
expect_exported
[ "$(query "SELECT first_seen FROM files WHERE path = CAST('d/f6' AS BLOB)")" = "$first" ] || fail "since when it is known"
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 10

# What has just been changed is not "there and ok", and so nothing is its duplicate.
fresh
echo 'of both' | tee tree/f1 >tree/f1-copy
run_bm audit --catalog tree
expect_exit 0
listed | cut -d: -f1 | expect_bytes 'the list' /dev/stdin <(printf 'changed     f1\nnew         f1-copy\n')
expect_exported

# An audit that did not come to where it could tell: the next one can.
fresh
mv tree/f6 tree/d/g6
run_bm audit -q --catalog tree --exclude f6
expect_exit 0
[ "$(record f6)" = "$(record d/g6)" ] || fail "both are to be on record"
run_bm audit --catalog tree
expect_exit 0
expect_listed <<<'moved       d/g6 (was f6)'
expect_exported
run_bm audit --catalog tree
expect_stdout <<<'ok                                 0'
# A limit may leave it for later: then it is not too late.
fresh
mv tree/f6 tree/d/g6
run_bm audit -q --catalog tree --exclude f6
expect_exit 0
run_bm audit --catalog tree --max-bytes 1
expect_exit 3
expect_listed <<<'missing     f6'
run_bm audit --catalog tree
expect_exit 0
expect_listed <<<'moved       d/g6 (was f6)'
expect_exported
# Where it is due as well, it is read and told of once.
fresh
mv tree/f6 tree/d/g6
mv tree/f5 tree/d/g5
run_bm audit -q --catalog tree --exclude 'f*'
expect_exit 0
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 6
expect_listed <<-'END'
	moved       d/g5 (was f5)
	moved       d/g6 (was f6)
END
expect_exported

# Touched since, so that the walk would have it read: once still, and as what was moved. Written since: changed.
fresh
mv tree/f6 tree/d/g6
echo more >tree/f7
run_bm audit -q --catalog tree --exclude 'f[1-6]'
expect_exit 0
touch -d '2001-02-03 04:05:06' tree/d/g6
echo 'other than more' >tree/f7
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 7
expect_listed <<-END
	changed     f7: sha256 is $(sum tree/f7 | tr A-F a-f | cut -c1-16)..., the catalog says $(echo more | sha256sum | cut -c1-16)...
	moved       d/g6 (was f6)
END
expect_exported
run_bm audit --catalog tree
expect_stdout <<<'ok                                 0'

# What came on record by such an audit, and rotted since, is no new file because what it was a copy of has gone.
fresh
cp tree/f1 tree/d/g1
run_bm audit -q --catalog tree --exclude 'f*'
expect_exit 0
digest=$(sum tree/f1)
rm tree/f1
rot tree/d/g1
run_bm audit --catalog tree
expect_exit 3
listed | cut -d: -f1 | expect_bytes 'the list' /dev/stdin <(printf 'rotted      d/g1\nmissing     f1\n')
expect_record d/g1 "$digest" 1
echo 'content 1' >tree/d/g1
run_bm audit --catalog tree
expect_exit 3
expect_record d/g1 "$digest" 0

# All at once, the same at any number of threads.
for j in 1 8; do
	fresh
	rot tree/f1
	echo longer than before >tree/f2
	rm tree/f3
	mv tree/f4 tree/d/f4
	cp tree/f5 tree/f5-copy
	echo new >tree/new
	run_bm audit -j "$j" --catalog tree --older-than 0
	expect_exit 3
	expect_count ok 4
	listed | cut -d: -f1 | expect_bytes 'the list' /dev/stdin <(cat <<'END'
rotted      f1
changed     f2
missing     f3
moved       d/f4 (was f4)
duplicate   f5-copy (of f5)
new         new
END
	)
done

# ---- unreadable, changed while it is read, a directory or a link in its place

fresh
rm tree/f2
mkfifo tree/f2
run_bm audit --catalog tree
expect_exit 1
expect_count unreadable 1
[ "$(query "SELECT state FROM files WHERE path = CAST('f2' AS BLOB)")" = 3 ] || fail "not on record as unreadable"
rm tree/f2
echo 'content 2' >tree/f2
run_bm audit --catalog tree
expect_exit 0
expect_count ok 1
rm tree/f2 tree/f3
mkdir tree/f2
echo 'content 3' >tree/f2/f3
mv tree/f4 elsewhere
ln -s ../elsewhere tree/f4
run_bm audit --catalog tree
expect_exit 3
expect_listed <<'END'
missing     f2
moved       f2/f3 (was f3)
END

fresh
truncate -s 400M tree/large
(while :; do echo x >>tree/large; done) &
writer=$!
at_end "kill $writer 2>/dev/null"
run_bm audit --catalog tree
expect_exit 1
expect_count changed-while-reading 1
[ -z "$(record large)" ] || fail "a digest of what never was, is on record"
kill "$writer"
wait "$writer" 2>/dev/null || true
run_bm audit -q --catalog tree
expect_exit 0
rm tree/large

# ---- a root that is not what it was: nothing is missing

fresh
mv tree tree.away
run_bm audit --catalog tree
expect_exit 1
expect_count not-checked 8
expect_stdout_match 'f1: the directory tree cannot be looked at'
mkdir tree
run_bm audit --catalog tree
expect_exit 1
expect_count not-checked 8
expect_stdout_match 'f1: the directory tree is empty: is its disk mounted\?'
rmdir tree
mv tree.away tree
query 'UPDATE roots SET device = 1, fsid = 1, uuid = "not-this-one"'
run_bm audit --catalog tree
expect_exit 1
expect_count not-checked 8
expect_stdout_match 'f1: the directory tree is on another file system than before'
[ "$(query 'SELECT count(*) FROM files WHERE state = 0')" = 8 ] || fail "something became of the records"
run_bm audit --catalog tree --new-place
expect_exit 0
run_bm audit --catalog tree
expect_exit 0
run_bm audit --catalog nowhere
expect_exit 2
expect_stderr_match 'nowhere: is not there, and the catalog knows nothing of it'
run_bm audit --catalog tree/f1
expect_exit 2
run_bm audit --catalog
expect_exit 2
run_bm audit --catalog tree --kind gnu
expect_exit 2
run_bm audit SUMS tree --percent 5
expect_exit 2

# ---- limits; the oldest first

fresh
for i in 1 2 3 4 5 6; do # f6 was verified the longest ago
	query "UPDATE files SET verified = verified - $i * 86400000000000 * 10 WHERE path = CAST('f$i' AS BLOB)"
done
run_bm audit --catalog tree --format json
jq -r 'select(.type != "summary") | "\(.path) \(.verdict)"' "$stdout" >found
expect_bytes 'what is due after 30 days' found <(printf '%s ok\n' f6 f5 f4 f3)
# Those of one day are of one age, and read as the walk comes by them; but what was verified since the last complete audit
# comes last, so that one that is always stopped gets on.
fresh
query "UPDATE files SET verified = verified - 3600000000000 * 5"
query "UPDATE files SET verified = verified - 3600000000000 * 7 WHERE path = CAST('f4' AS BLOB)"
query "UPDATE files SET verified = verified + 3600000000000 * 4 WHERE path = CAST('f1' AS BLOB)"
query "UPDATE files SET verified = verified + 3600000000000 * 3 WHERE path = CAST('f2' AS BLOB)"
query 'UPDATE roots SET audited = audited - 3600000000000 * 4'
run_bm audit --catalog tree --older-than 0 --format json
jq -r 'select(.type != "summary") | "\(.path) \(.verdict)"' "$stdout" >found
[ "$(tail -n 2 found | tr '\n' ' ')" = 'f2 ok f1 ok ' ] && [ "$(wc -l <found)" = 8 ] || fail "of one day: $(cat found)"
head -n 6 found | LC_ALL=C sort | cmp - <(head -n 6 found) || fail "not as the walk comes by: $(cat found)"
fresh
for i in 1 2 3 4 5 6; do
	query "UPDATE files SET verified = verified - $i * 86400000000000 * 10 WHERE path = CAST('f$i' AS BLOB)"
done
run_bm audit --catalog tree --older-than 15d --max-bytes 25 # 10 bytes each
expect_exit 0
expect_count ok 2
expect_stderr_match '20 B read, 3 files not due; left for later: 3 files, 30 B'
[ "$(query 'SELECT group_concat(CAST(path AS TEXT)) FROM files WHERE how = 1')" = f5,f6 ] || fail "not the oldest first"
run_bm audit --catalog tree --max-bytes 9 # nothing but deep and empty is as small
expect_exit 0
expect_count ok 2
expect_stderr_match 'larger than --max-bytes alone.*: 6 files, 60 B'
fresh
run_bm audit --catalog tree --percent 40 --format json # of 65 bytes: 26, and the file that goes beyond
expect_exit 0
[ "$(bytes_read)" -ge 26 ] && [ "$(bytes_read)" -le 35 ] || fail "40 %: $(bytes_read) bytes"
run_bm audit --catalog tree --percent 100
expect_exit 0
expect_count ok 8
: >tree/zero # verified later than all others, so the last one that is due
run_bm audit --catalog tree
expect_count new 1
run_bm audit --catalog tree --percent 100
expect_exit 0
expect_count ok 9
rm tree/zero
fresh
run_bm audit --catalog tree --max-duration 0
expect_exit 0
expect_count ok 0
expect_stderr_match 'left for later: 8 files'
# New ones, too, are left, and are not forgotten.
echo 'the ninth file' >tree/f9
run_bm audit --catalog tree --max-bytes 5 --older-than 1d
expect_exit 0
expect_stderr_match '0 B read, 8 files not due; left for later: 1 file, 15 B'
[ -z "$(record f9)" ] || fail "f9 is on record unread"
run_bm audit --catalog tree
expect_count new 1
# One that is being read when the time is up is begun anew. (A machine that is slow comes to it only in more time.)
truncate -s 20G tree/sparse
for limit in 200ms 1s 5s; do
	run_bm audit --catalog tree --older-than 1d --max-duration $limit --blocks 0
	expect_exit 0
	! grep -q 'begun and not read' "$stderr" || break
done
expect_count not-checked 1
expect_stderr_match '1 file was begun and not read to the end'
[ -z "$(record sparse)" ] || fail "half a file is on record"
rm tree/sparse

# ---- patterns: what is left out is neither missing nor due

fresh
rm tree/f1
run_bm audit --catalog tree --older-than 0 --exclude 'f*'
expect_exit 0
expect_count ok 2
run_bm audit --catalog tree --older-than 0 --under d
expect_exit 0
expect_count ok 1
run_bm audit --catalog tree --older-than 1d --under d # nothing of it is due
expect_exit 0
[ "$(grep -c '' "$stderr")" = 1 ] || fail "more than the figures is told"
run_bm audit --catalog tree --older-than 0 --under d --under dd
expect_exit 1
expect_stderr_match 'error: --under dd: nothing was compared: there is no file or directory of this name'
run_bm audit --catalog tree --under f1 # it is gone, and not misspelt
expect_exit 3
run_bm audit --catalog tree
expect_exit 3

# ---- the state directory below the root is no news

fresh
run_bm audit -q --catalog --state "$tmp/tree/d/state" tree
expect_exit 0
run_bm audit --catalog --state "$tmp/tree/d/state" tree
expect_exit 0
expect_stdout <<<'ok                                 0'
expect_stderr_match '^bytemill: 0 B read, 8 files not due$'

# ---- names

fresh
hostile=("$(printf 'line\nfeed')" "$(printf 'carriage\rreturn')" 'back\slash' "$(printf 'esc\033[31mape')" "$(printf 'not \377 utf-8')"
	"$(printf 'n%.0s' {1..255})" ' ' '-dash' '*?[x]' '{path}' "$(printf 'tab\tbed')" $'\xe2\x80\xaeright')
for name in "${hostile[@]}"; do
	echo "$name" >"tree/$name"
	echo "$name" >"tree/d/$name"
done
run_bm audit --catalog tree
expect_exit 0
expect_count new 24
expect_stdout_no_match $'[\x1b\r]'
expect_exported
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 32
run_bm catalog --export --format bsd tree
(cd tree && sha256sum -c --quiet "$stdout") || fail "BSD lines"
run_bm catalog --export --json tree
cp "$stdout" sums.json
run_bm audit sums.json tree
expect_exit 0
expect_count ok 32
for name in "${hostile[@]}"; do rot "tree/$name"; rm "tree/d/$name"; done
run_bm audit --catalog tree
expect_exit 3
expect_count rotted 12
expect_count missing 12
run_bm catalog none
expect_exit 2
expect_stderr_match 'nothing is on record of .*/none; "bytemill catalog" lists'
run_bm catalog
expect_exit 3
expect_stdout_no_match $'[\x1b\r]'
[ "$(grep -c '^  damaged ' "$stdout")" = 12 ] || fail "damaged files are not listed line by line"
run_bm catalog --json
expect_exit 3
[ "$(jq -r 'select(.type == "file").state' "$stdout" | sort | uniq -c | tr -s ' \n' ' ')" = ' 12 damaged 12 missing ' ] || fail "JSON"

# ---- another algorithm for new files

fresh
echo more >tree/more
run_bm audit --catalog tree -a blake2b
expect_exit 0
run_bm audit --catalog tree -a blake2b --older-than 0
expect_exit 0
expect_count ok 9
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 9
# Every file by what is on record of it; one that has only moved, too.
mv tree/more tree/renamed
run_bm audit --catalog tree --older-than 0 -a blake2b
expect_exit 0
expect_count moved 1
[ "$("$BYTEMILL" catalog --export --format bsd | cut -d' ' -f1 | sort -u | tr '\n' ' ')" = 'BLAKE2b SHA256 ' ] || fail "algorithms"
# Where all are of one algorithm, new files are, too.
rm -rf "$BYTEMILL_STATE"
run_bm audit --catalog tree -a md5
expect_exit 0
echo newer >tree/newer
mv tree/renamed tree/more
run_bm audit --catalog tree --older-than 0
expect_exit 0
expect_count ok 8
expect_count moved 1
expect_count new 1
[ "$("$BYTEMILL" catalog --export --format bsd | cut -d' ' -f1 | sort -u)" = MD5 ] || fail "new files have another algorithm"

# ---- a dry run changes nothing; there is no catalog yet

rm -rf "$BYTEMILL_STATE"
run_bm audit --catalog -n tree
expect_exit 0
[ ! -e "$BYTEMILL_STATE" ] || fail "a dry run made the state directory"
run_bm catalog
expect_exit 2
expect_stderr_match 'there is no catalog yet'

# ---- two at once: the second one says so

fresh
truncate -s 20G tree/sparse
"$BYTEMILL" audit -q --catalog tree >first.out 2>first.err &
first=$!
at_end "kill -9 $first 2>/dev/null"
wait_until grep -rqsw "$first" "$BYTEMILL_STATE/locks"
run_bm audit --catalog tree
expect_exit 4
expect_stderr_match "tree is being audited already: process $first since "
expect_no_stdout
run_bm catalog --forget tree # the first one would write of a root that is none
expect_exit 4
expect_stderr_match "tree is being audited already: process $first since "
mkdir other
echo x >other/x
run_bm audit --catalog other # another root is another matter
expect_exit 0
kill -TERM "$first"
wait "$first" && fail "the first one was not stopped" || [ $? = 143 ] || fail "the first one's exit code"
rm tree/sparse
run_bm audit --catalog tree
expect_exit 0
run_bm catalog
expect_exit 0
expect_stdout_match '100 % verified within 30 days, oldest 0 days'
run_bm catalog --export
expect_exit 2
expect_stderr_match 'several'
[ "$(query 'PRAGMA integrity_check')" = ok ] || fail "the database is damaged"

# ---- verified by a clock that was wrong: due at once, and not in the year 2100

fresh
query "UPDATE files SET verified = 4102444800000000000 WHERE path <> CAST('f1' AS BLOB)"
run_bm catalog
expect_stdout_match '^  8 files, 65 B; 15 % verified within 30 days, oldest 0 days$'
expect_stdout_match '^  7 files verified at a time that is yet to come: the clock was wrong; due at the next audit$'
query 'UPDATE files SET verified = 4102444800000000000'
run_bm catalog
expect_stdout_match '^  8 files, 65 B; 0 % verified within 30 days$'
expect_stdout_match '^  8 files verified at a time that is yet to come'
run_bm catalog --json
[ "$(jq -c 'select(.type == "root") | [.future_files, .future_bytes, .verified_30d_files, .oldest_verified]' "$stdout")" = \
	'[8,65,0,null]' ] || fail "verified in the future, in JSON"
query 'UPDATE roots SET audited = audited + 400 * 86400 * 1000000000'
run_bm catalog
expect_stdout_match '^  last complete audit 20.*Z, a time that is yet to come: the clock was wrong$'
query 'UPDATE roots SET audited = audited - 400 * 86400 * 1000000000'
run_bm catalog
expect_stdout_match '^  last complete audit 20[0-9T:-]*Z$'
run_bm audit --catalog tree --older-than 30d
expect_exit 0
expect_count ok 8
run_bm audit --catalog tree --older-than 30d
expect_exit 0
expect_count ok 0

# ---- paths that are longer than the kernel takes: read when they are due, as all others

fresh
$python - <<-'PY'
	import os
	at = os.open("tree", os.O_RDONLY)
	for i in range(25):
	    os.mkdir("d" * 200, dir_fd=at)
	    at = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
	with os.fdopen(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=at), "w") as f:
	    f.write("at the very end\n")
PY
for verdict in new ok; do
	run_bm audit --catalog tree --older-than 0
	expect_exit 0
	expect_count $verdict $([ $verdict = new ] && echo 1 || echo 9)
done
