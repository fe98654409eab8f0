#!/bin/bash
# jobs/demo-usr-include.json over all of /usr/include, and every job file in jobs/ has a test here.
. "$(dirname "$0")/lib.sh"

for file in "$BM_SOURCE_DIR"/jobs/*.json; do
	name=$(basename "$file" .json)
	[ "$name" = job.schema ] && continue
	grep -lq "jobs/$name.json" "$BM_SOURCE_DIR"/tests/cli/test_jobs_*.sh || fail "no test runs jobs/$name.json"
done

# 16,000 files of output: in memory where that can be had.
out=$tmp/out
if [ -w /dev/shm ] && [ "$(df -k --output=avail /dev/shm | tail -n 1)" -gt 1000000 ]; then
	out=$(mktemp -d /dev/shm/bytemill-test.XXXXXX)
	at_end 'rm -rf "$out"'
	ln -s "$out" out
fi
run_bm run "$BM_SOURCE_DIR/jobs/demo-usr-include.json" --set OUT="$out"
expect_exit 0
total=$(find /usr/include -type f | wc -l)
expect_stderr_match "^bytemill: $total files done, 0 failed, 0 skipped(;|, [0-9]+ passed over;) "
[ "$(find out/mirror/ -type f | wc -l)" = "$total" ] || fail "files in mirror"
[ "$(find out/gz -type f | wc -l)" = "$total" ] || fail "files in gz"
(cd /usr/include && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >want
expect_same want out/SHA256SUMS
(cd out/mirror && sha256sum -c --strict --quiet ../SHA256SUMS) || fail "sha256sum -c mirror"
(cd out/gz && sha256sum -c --strict --quiet ../SHA256SUMS.gz) || fail "sha256sum -c gz"
[ "$(wc -l <out/SHA256SUMS.gz)" = "$total" ] || fail "lines in SHA256SUMS.gz"
find out/gz -type f -print0 | xargs -0 gzip -t || fail "gzip -t"
# All of it decompressed is all of it.
find out/gz -type f -printf '%P\0' | sort -z | (cd out/gz && xargs -0 zcat) | sha256sum >found
find /usr/include -type f -printf '%P.gz\0' | sort -z | sed -z 's/\.gz$//' | (cd /usr/include && xargs -0 cat) | sha256sum >want
expect_same want found
expect_no_temp out/
