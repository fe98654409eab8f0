#!/bin/bash
# jobs/audit-tree.json: what is as the manifest says is nothing to speak of; what is not is, and in the exit code.
. "$(dirname "$0")/lib.sh"
need_cmd jq

cp -R /usr/include/linux tree
chmod -R u+w tree
job=$BM_SOURCE_DIR/jobs/audit-tree.json
sets=(--set TREE="$tmp/tree" --set MANIFEST="$tmp/sums")
run_bm run -q "$BM_SOURCE_DIR/jobs/checksum-tree.json" "${sets[@]}"
expect_exit 0
for threads in 1 3 8; do
	run_bm run -q -j "$threads" "$job" "${sets[@]}"
	expect_exit 0
	expect_no_stdout
	expect_no_stderr
done
echo damage >>tree/fs.h
rm tree/stat.h
mv tree/time.h tree/time-moved.h
run_bm run "$job" "${sets[@]}" --report report.jsonl
expect_exit 3
expect_stderr_match "^bytemill: error: $tmp/tree/fs.h: sha256 is "
expect_stderr_match "^bytemill: error: $tmp/tree/stat.h: is missing$"
jq -r 'select(.verdict != null and .verdict != "ok") | .verdict + " " + .path' report.jsonl >found
expect_same found <(printf 'changed fs.h\nmissing stat.h\nmoved time-moved.h\n')

# The manifest inside the tree is no news.
mv sums tree/sums
run_bm run -q "$job" --set TREE="$tmp/tree" --set MANIFEST="$tmp/tree/sums"
expect_exit 3
expect_stderr_no_match 'sums'
run_bm run "$job" --set TREE="$tmp/tree"
expect_exit 2
expect_stderr_match '/steps/1/manifest.*MANIFEST'
