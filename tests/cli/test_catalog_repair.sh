#!/bin/bash
# audit --catalog --repair-from: what is damaged or missing by the catalog's records comes right from a copy, block by block
# where these have digests of blocks; what somebody wrote is on record from now on, and is left alone.
. "$(dirname "$0")/lib.sh"
need_cmd jq

export BYTEMILL_STATE=$tmp/state
mkdir -p tree/tree
for i in 1 2 3; do head -c 300000 /dev/urandom >tree/f$i; done
echo inner >tree/tree/inner # a name that begins with that of the root
echo gone >tree/gone
: >tree/empty
find tree -type f -exec touch -d '2020-01-01' {} +
cp -a tree copy
run_bm audit --catalog --blocks 64KiB tree
expect_exit 0

rot() { # FILE OFFSET
	printf 'QQQ' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
	touch -d '2020-01-01' "$1"
}
damage() {
	rot tree/f2 100000
	rm -rf tree/gone tree/tree
	echo more >>tree/f3
}
damage
cp tree/f3 f3
run_bm audit --catalog tree --repair-from copy --report report.jsonl
expect_exit 0
expect_stdout_match '^rotted *1$'
expect_stdout_match '^missing *2$'
expect_stdout_match '^repaired    f2: bytes 65536-131071 of 300000$'
expect_stdout_match '^repaired    gone: all of its 5 bytes$'
expect_stdout_match '^repaired    tree/inner: all'
expect_stdout_match '^unrepaired *0$'
[ "$(jq -r 'select(.type == "repair").path' report.jsonl | sort | tr '\n' ' ')" = 'f2 gone tree/inner ' ] || fail "the report"
cmp f3 tree/f3 || fail "a file that somebody wrote was repaired"
cp f3 copy/f3
diff -r tree copy || fail "not as the copy"
run_bm audit --catalog tree
expect_exit 0
run_bm catalog
expect_exit 0
expect_stdout_no_match damaged

# Wrong in the copy, too; not in it; not asked for.
rot tree/f1 10
rot tree/f2 10
rot copy/f2 20
rm tree/gone copy/gone tree/tree/inner
run_bm audit --catalog tree --repair-from copy --only rotted --format json
expect_exit 3
[ "$(jq -r 'select(.type == "repair") | "\(.path) \(.result)"' "$stdout" | sort | tr '\n' ' ')" = 'f1 repaired f2 unrepaired ' ] ||
	fail "--only: $(cat "$stdout")"
cmp tree/f1 copy/f1 || fail "f1"
run_bm audit --catalog tree --repair-from copy --report page.html -q
expect_exit 3
expect_stdout_match '^unrepaired  gone: there is no copy'
expect_stdout_match '^repaired    tree/inner: all'
grep -q 'tree/inner' page.html || fail "the page"
expect_no_temp tree

# What does not go together.
for args in '-n' '--update rotted' '--only changed' '--only ok'; do
	# shellcheck disable=SC2086
	run_bm audit --catalog tree --repair-from copy $args
	expect_exit 2
done
run_bm audit --catalog tree --repair-from nowhere
expect_exit 2
