#!/bin/bash
# Files whose time of change is before 1970, or so far away that no number of nanoseconds has it: hash, audit, diff and the catalog.
. "$(dirname "$0")/lib.sh"
need_cmd jq

mkdir tree
for f in far near before half plain; do echo "content of $f" >"tree/$f"; done
touch -d @9999999999999 tree/far # the file system's last, where it has fewer
touch -d @-9000000000 tree/near
touch -d @-1.75 tree/before
touch -d @-0.5 tree/half
[ "$(stat -c %Y tree/far)" -gt 9223372036 ] && [ "$(stat -c %.Y tree/before)" = -1.750000000 ] || skip 'the file system has no such times'
mtime() { jq -r "select(.path == \"$1\").mtime" sums.json; }

(cd tree && "$BYTEMILL" hash -q --format json .) | sed 's,"\./,",' >sums.json
[ "$(mtime far)" = 9223372036854775807 ] || fail "far: $(mtime far)"
[ "$(mtime before)" = -1750000000 ] || fail "before: $(mtime before)"
run_bm audit sums.json tree
expect_exit 0
expect_stdout <<<'ok                                 5'
run_bm audit -q --catalog tree
expect_exit 0
run_bm audit --catalog tree
expect_exit 0
expect_stderr_match '^bytemill: 0 B read, 5 files not due$'

# ---- whole seconds: -2 is that of -1.75, and -1 is not; so is diff's opinion

for f in before half; do
	touch -r "tree/$f" stamp
	printf C >wrong
	dd if=wrong of="tree/$f" conv=notrunc status=none
	touch -r stamp "tree/$f"
done
sed -i 's/"-1750000000"/"-2000000000"/; s/"-500000000"/"0"/' sums.json
run_bm audit sums.json tree
expect_exit 3
expect_stdout_match '^rotted +before: '
expect_stdout_match '^changed +half: '
(cd tree && "$BYTEMILL" hash -q --format json .) | sed 's,"\./,",' >now.json
run_bm diff sums.json now.json
expect_exit 3
expect_stdout_match '^rotted +before: '
expect_stdout_match '^changed +half: '
