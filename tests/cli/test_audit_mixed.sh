#!/bin/bash
# bytemill audit: all ten verdicts in one run, in every format, report and page; and exit codes where only part of them is left.
. "$(dirname "$0")/lib.sh"
need_cmd jq

mkdir -p tree/d
for f in ok changed rotted moved twin new missing unreadable not-checked z-written; do echo "content of $f" >"tree/$f"; done
(cd tree && "$BYTEMILL" hash -q --format json .) >all.json
# One line of an algorithm that is not known here, one of a file whose digest is listed twice over.
grep -v '"\(./\)\?new"' all.json | sed '/not-checked/s/"sha256":"[0-9a-f]*"/"tiger":"0123456789abcdef0123456789abcdef0123456789abcdef"/' >sums.json
grep -q tiger sums.json || fail "the line of tiger"
before=$(stat -c %y tree/rotted)
printf C | dd of=tree/rotted conv=notrunc status=none
touch -d "$before" tree/rotted
echo Content of changed >tree/changed
touch -d '2001-02-03' tree/changed
mv tree/moved tree/d/moved
cp tree/twin tree/d/duplicate
rm tree/missing tree/unreadable
mkfifo tree/unreadable

# One is written all the time; at the rate allowed its reading takes a second. Its line has no size, which would be wrong.
head -c 1500000 /dev/zero >tree/z-written
sed -i '/z-written/s/"size":[0-9]*,//' sums.json
mixed() { # OPTION...: as run_bm
	(while :; do echo x >>tree/z-written; done) &
	local writer=$!
	at_end "kill $writer 2>/dev/null"
	run_bm audit sums.json tree --limit-rate 1MiB "$@"
	kill "$writer"
	wait "$writer" || true
	truncate -s 1500000 tree/z-written
}

mixed --report report.jsonl
expect_exit 3
sed '/^$/q' "$stdout" | sed '/^$/d' | expect_bytes 'the counts' /dev/stdin <(
	printf '%-21s %14s\n' ok 2 rotted 1 changed 1 unreadable 1 changed-while-reading 1 missing 1 not-checked 1 moved 1 duplicate 1 new 1
)
sed '1,/^$/d' "$stdout" | awk '{ print $1, $2 }' | sed 's/:$//' | expect_bytes 'the list' /dev/stdin <(
	printf '%s\n' 'rotted rotted' 'changed changed' 'unreadable unreadable' 'changed-while-reading z-written' 'missing missing' \
		'not-checked not-checked' 'moved d/moved' 'duplicate d/duplicate' 'new new'
)
jq -r 'select(.type == "file") | .verdict + " " + .path' report.jsonl | LC_ALL=C sort >found
LC_ALL=C sort >want <<'LIST'
ok ok
ok twin
changed changed
rotted rotted
moved d/moved
duplicate d/duplicate
new new
missing missing
unreadable unreadable
changed-while-reading z-written
not-checked not-checked
LIST
expect_same want found
jq -e 'select(.type == "summary") | .verdicts | [.[]] | add == 11' report.jsonl >/dev/null || fail "the summary's counts"

mixed --format rclone --only unreadable,changed-while-reading,not-checked
expect_exit 1 # no differences among these, and they could not be checked
sort "$stdout" | expect_bytes 'rclone' /dev/stdin <(printf '! %s\n' not-checked unreadable z-written)
run_bm audit sums.json tree --format gnu --only ok,new,duplicate
expect_exit 3
expect_stdout <<'LIST'
ok: OK
twin: OK
LIST
expect_no_temp .
