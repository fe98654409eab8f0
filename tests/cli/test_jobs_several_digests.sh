#!/bin/bash
# jobs/several-digests.json: each manifest is its program's.
. "$(dirname "$0")/lib.sh"

cp -R /usr/include/openssl tree
head -c 3000001 /dev/urandom >tree/large
: >tree/empty
job=$BM_SOURCE_DIR/jobs/several-digests.json
mkdir out
run_bm run -q "$job" --set TREE="$tmp/tree" --set OUT="$tmp/out"
expect_exit 0
expect_no_stderr
[ "$(cd out && echo *)" = "crc32.sums md5.sums sha1.sums sha256.sums sha512.sums" ] || fail "$(ls out)"
total=$(find tree -type f | wc -l)
for algorithm in md5 sha1 sha256 sha512; do
	(cd tree && "${algorithm}sum" -c --strict --quiet "../out/$algorithm.sums") || fail "${algorithm}sum -c says no"
	[ "$(wc -l <"out/$algorithm.sums")" = "$total" ] || fail "lines in $algorithm.sums"
done
# CRC-32 as python's zlib has it.
(cd tree && $python - ../out/crc32.sums "$total" <<'END') || fail "crc32.sums is wrong"
import sys, zlib
lines = open(sys.argv[1]).read().splitlines()
assert len(lines) == int(sys.argv[2])
for line in lines:
    digest, name = line.split("  ", 1)
    with open(name, "rb") as f:
        assert "%08x" % zlib.crc32(f.read()) == digest, name
END
expect_no_temp .
