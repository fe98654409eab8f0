#!/bin/bash
# The man page: its section STEPS is what the table of steps says, every option of --help is in it, and groff has nothing
# to say about it. With BM_UPDATE=1 the section is put in anew.
. "$(dirname "$0")/lib.sh"

page=$BM_SOURCE_DIR/src/cli/bytemill.1
begin='.\" STEPS: begin'
end='.\" STEPS: end'

run_bm steps --man
expect_exit 0
cp "$stdout" want
[ -s want ] || fail "no section STEPS"
if [ "${BM_UPDATE:-0}" = 1 ]; then
	awk -v begin="${begin//\\/\\\\}" -v end="${end//\\/\\\\}" '
		$0 == end { inside = 0 }
		!inside { print }
		$0 == begin { inside = 1; while ((getline line < "want") > 0) print line }' "$page" >updated
	cat updated >"$page"
fi
awk -v begin="${begin//\\/\\\\}" -v end="${end//\\/\\\\}" '
	$0 == end { inside = 0 }
	inside { print }
	$0 == begin { inside = 1 }' "$page" >found
diff -u found want >difference || fail "the section STEPS is not that of the table; BM_UPDATE=1 $0 mends it: $(cat difference)"

for command in run validate hash audit catalog runs diff bag cat steps keygen schedule serve; do
	run_bm "$command" --help
	grep -oE -- '--[a-z][a-z0-9-]+' "$stdout" | sort -u |
		while read -r option; do
			grep -qF -- "${option//-/\\-}" "$page" || fail "$option of $command is not in the man page"
		done
done
# In the middle of a macro's argument groff takes a quotation mark for its end, and shows none: \(dq is one.
! grep -nE '^\.[BIR]{1,2} ([^" ]+ |"[^"]*" )*[^" ]+"' "$page" || fail "a bare quotation mark inside an argument"
grep -q "^\.TH BYTEMILL 1 .*\"bytemill $BM_VERSION\"" "$page" || fail "the man page is of another version"

if command -v groff >/dev/null; then
	groff -man -Tutf8 -wall -z "$page" 2>warnings || true
	[ ! -s warnings ] || fail "groff: $(cat warnings)"
fi
