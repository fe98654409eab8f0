#!/bin/bash
# jobs/checksum-tree.json: the manifest is what sha256sum -c takes, and the same at any number of threads.
. "$(dirname "$0")/lib.sh"

cp -R /usr/include/linux tree
: >tree/empty
job=$BM_SOURCE_DIR/jobs/checksum-tree.json
for threads in 1 3 8; do
	run_bm run -q -j "$threads" "$job" --set TREE="$tmp/tree" --set MANIFEST="$tmp/sums.$threads"
	expect_exit 0
	expect_no_stdout
	expect_no_stderr
done
(cd tree && sha256sum -c --strict --quiet ../sums.1) || fail "sha256sum -c says no"
(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >want
expect_same want sums.1
expect_same want sums.3
expect_same want sums.8

# A damaged file shows.
printf x >>tree/empty
(cd tree && ! sha256sum -c --status ../sums.1) || fail "the damage was not seen"

# Into the tree itself: again and again it is no input.
for i in 1 2; do
	run_bm run -q "$job" --set TREE="$tmp/tree" --set MANIFEST="$tmp/tree/SHA256SUMS"
	expect_exit 0
	(cd tree && sha256sum -c --strict --quiet SHA256SUMS) || fail "sha256sum -c says no, run $i"
	[ "$(wc -l <tree/SHA256SUMS)" = "$(find tree -type f ! -name SHA256SUMS | wc -l)" ] || fail "the lines of run $i"
done
expect_no_temp .

# What is not set is an error before anything is done.
run_bm run "$job" --set TREE="$tmp/tree"
expect_exit 2
expect_stderr_match '/steps/1/manifest.*MANIFEST'
