#!/bin/bash
# jobs/compress-old-logs.json: old logs become .gz once; young ones, debug/ and what is no log stay out.
. "$(dirname "$0")/lib.sh"

mkdir -p logs/app logs/debug
cp /usr/include/stdio.h logs/app/one.log
cp /usr/include/stdlib.h logs/two.log
cp /usr/include/string.h logs/debug/three.log
cp /usr/include/errno.h logs/app/four.txt
cp /usr/include/time.h logs/young.log
: >logs/empty.log
head -c 2500000 /dev/urandom >logs/large.log
find logs -name '*.*' ! -name young.log -exec touch -d '3 days ago' {} +
job=$BM_SOURCE_DIR/jobs/compress-old-logs.json
run_bm run "$job" --set LOGS="$tmp/logs" --set ARCHIVE="$tmp/archive"
expect_exit 0
expect_stderr_match '^bytemill: 4 files done, 0 failed, 0 skipped; '
[ "$(cd archive && find . -type f | sort | tr '\n' ' ')" = "./app/one.log.gz ./empty.log.gz ./large.log.gz ./two.log.gz " ] ||
	fail "in the archive: $(cd archive && find . -type f)"
for name in app/one two empty large; do
	gzip -t "archive/$name.log.gz" || fail "gzip -t $name"
	zcat "archive/$name.log.gz" | cmp - "logs/$name.log" || fail "$name differs"
	[ "$(stat -c %Y "archive/$name.log.gz")" = "$(stat -c %Y "logs/$name.log")" ] || fail "mtime of $name"
done

# Again: what is there stays as it is, even where the log has grown; a new old log is added.
sums() { (cd archive && find . -type f ! -name five.log.gz -exec sha256sum {} + | sort); }
sums >before
echo more >>logs/two.log
touch -d '2 days ago' logs/two.log
cp logs/app/one.log logs/five.log
touch -d '2 days ago' logs/five.log
run_bm run "$job" --set LOGS="$tmp/logs" --set ARCHIVE="$tmp/archive"
expect_exit 0
expect_stderr_match '^bytemill: 1 file done, 0 failed, 4 skipped; '
sums >after
expect_same before after
zcat archive/five.log.gz | cmp - logs/five.log || fail "five differs"
expect_no_temp .
