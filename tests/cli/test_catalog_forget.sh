#!/bin/bash
# bytemill catalog --forget: a root's rows go, and no others; also where nothing is at its path any more.
. "$(dirname "$0")/lib.sh"
need_cmd sqlite3
query() { sqlite3 "$BYTEMILL_STATE/catalog.db" "$1"; }
check() {
	[ "$(query 'PRAGMA integrity_check; PRAGMA foreign_key_check')" = ok ] || fail "the database is damaged"
	for table in files blocks progress; do
		[ "$(query "SELECT count(*) FROM $table WHERE root NOT IN (SELECT id FROM roots)")" = 0 ] || fail "rows of no root in $table"
	done
}

mkdir -p one/d two
head -c 30000 /dev/urandom >one/large
echo small >one/d/small
echo other >two/other
head -c 20000 /dev/urandom >two/large
for root in one two; do
	run_bm audit -q --catalog --blocks 4KiB $root
	expect_exit 0
done
echo '{"name": "j", "incremental": true, "steps": [{"step": "read", "from": "two"}, {"step": "hash", "manifest": "S"}]}' >job.json
find one two -type f -exec touch -d '2 hours ago' {} +
run_bm run job.json
run_bm run job.json
expect_exit 0
[ "$(query 'SELECT count(*) > 0 FROM blocks')" = 1 ] || fail "no digests of blocks to begin with"
run_bm catalog --export --json two
cp "$stdout" before

for args in '--forget' '--forget --export one' '--forget --json one' '--forget one two' '--forget nowhere'; do
	# shellcheck disable=SC2086
	run_bm catalog $args
	expect_exit 2
	expect_no_stdout
done
rm -rf one
run_bm catalog --forget one
expect_exit 0
expect_no_stdout
expect_stderr <<<"bytemill: forgotten: $tmp/one, with 2 files on record, 29.3 KiB"
check
run_bm catalog --forget one
expect_exit 2
expect_stderr_match 'nothing is on record of .*/one;'
run_bm catalog --export --json two
expect_same "$stdout" before
run_bm run job.json
expect_stderr_match ' 2 skipped'
runs=$(query 'SELECT count(*) FROM runs')
run_bm catalog --forget two # which is there
expect_exit 0
check
[ "$(query 'SELECT count(*) FROM files') $(query 'SELECT count(*) FROM runs')" = "0 $runs" ] || fail "files, or the history"
[ -e two/other ] || fail "a file is gone"
run_bm run job.json # what was done with it is forgotten too
expect_stderr_match '^bytemill: 2 files done, 0 failed, 0 skipped'
