#!/bin/bash
# jobs/media-through-pipe.json: one large file to standard output, through a slow reader too, and a copy of it.
. "$(dirname "$0")/lib.sh"

head -c 20000001 /dev/urandom >film
job=$BM_SOURCE_DIR/jobs/media-through-pipe.json
status=0
last="run media-through-pipe | (sleep; cat)"
"$BYTEMILL" run "$job" --set FILE="$tmp/film" --set COPY="$tmp/copy/film" 2>"$stderr" | (
	sleep 0.3
	cat >piped
) || status=$?
expect_exit 0
expect_same film piped
expect_same film copy/film
expect_stderr_match '^bytemill: 1 file done, 0 failed, 0 skipped; '

# The digest is in the report.
run_bm run -q --report report.jsonl "$job" --set FILE="$tmp/film" --set COPY="$tmp/copy/film"
expect_exit 0
expect_stdout film
grep -q "$(sha256sum <film | cut -d' ' -f1)" report.jsonl || fail "no digest in the report: $(cat report.jsonl)"

# A reader that goes away: exit code 1 with a reason, and the old copy stays.
echo old >copy/film
status=0
"$BYTEMILL" run "$job" --set FILE="$tmp/film" --set COPY="$tmp/copy/film" 2>"$stderr" | head -c 1 >/dev/null ||
	status=${PIPESTATUS[0]}
expect_exit 1
expect_stderr_match 'film: .*reader has gone.*Broken pipe'
[ "$(cat copy/film)" = old ] || fail "the copy was replaced"
expect_no_temp .
