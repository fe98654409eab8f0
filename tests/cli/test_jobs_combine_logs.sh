#!/bin/bash
# jobs/combine-logs.json: one file of all, in the order of their names, and its .gz from the job after it.
. "$(dirname "$0")/lib.sh"

mkdir -p logs/b out
cp /usr/include/stdio.h logs/c.log
cp /usr/include/stdlib.h logs/b/x.log
cp /usr/include/string.h logs/b.log
cp /usr/include/errno.h logs/not.txt
head -c 3000000 /dev/urandom >logs/a.log
: >logs/empty.log
job=$BM_SOURCE_DIR/jobs/combine-logs.json
# The order is that of LC_ALL=C sort over the paths.
(cd logs && find . -name '*.log' -printf '%P\0' | sort -z | xargs -0 cat) >want
for threads in 1 2 8; do
	rm -rf out
	mkdir out
	before=$(date +%F)
	run_bm run -q -j "$threads" "$job" --set LOGS="$tmp/logs" --set OUT="$tmp/out"
	[ "$before" = "$(date +%F)" ] || skip "the day changed meanwhile"
	expect_exit 0
	expect_no_stderr
	expect_same want "out/all-$before.log"
	gzip -t "out/all-$before.log.gz" || fail "gzip -t"
	zcat "out/all-$before.log.gz" | cmp - want || fail "the .gz differs"
	(cd out && sha256sum -c --strict --quiet SHA256SUMS) || fail "sha256sum -c says no"
	[ "$(wc -l <out/SHA256SUMS)" = 1 ] || fail "lines in SHA256SUMS"
done

# Once more over what is there: the same again.
cp -r out first
run_bm run -q "$job" --set LOGS="$tmp/logs" --set OUT="$tmp/out"
expect_exit 0
[ "$before" = "$(date +%F)" ] || skip "the day changed meanwhile"
diff -r first out >&2 || fail "the second run differs"
expect_no_temp .
