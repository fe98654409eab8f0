#!/bin/bash
# bytemill audit beside the programs that people used before: the same counts where those are right.
. "$(dirname "$0")/lib.sh"
need_cmd hashdeep rclone

export RCLONE_CONFIG=/dev/null
cp -R /usr/include/linux tree
chmod -R u+w tree
(cd tree && sha256sum -- * 2>/dev/null || true) >/dev/null
(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >SUMS
(cd tree && hashdeep -c sha256 -l -r .) >deep
count=$(wc -l <SUMS)

compare() {
	run_bm audit SUMS tree --format rclone
	sort "$stdout" >ours
	rclone -q checksum sha256 SUMS tree --combined - 2>/dev/null | sort >theirs || true
	diff theirs ours >difference || fail "rclone: $(head difference)"
	run_bm audit SUMS tree --format gnu
	cp "$stdout" ours
	local code=0
	(cd tree && sha256sum -c ../SUMS 2>/dev/null) >theirs || code=$?
	diff <(sort theirs) <(sort ours) >difference || fail "sha256sum: $(head difference)"
	# hashdeep counts what it knows nothing of as new: changed ones too; and a file of which there are copies is "moved".
	run_bm audit deep tree
	for what in ok moved new missing duplicate changed; do
		eval "$what=$(awk -v what="$what" '/^$/ { exit } $1 == what { gsub(",", "", $2); print $2 }' "$stdout")"
	done
	(cd tree && hashdeep -a -v -k ../deep -r -l . 2>/dev/null || true) >theirs
	[ "$(sed -n 's/^ *Files matched: //p' theirs)" = "${ok:-0}" ] || fail "hashdeep, ok: $ok; $(cat theirs)"
	[ "$(sed -n 's/^ *New files found: //p' theirs)" = $((${new:-0} + ${changed:-0})) ] || fail "hashdeep, new: $(cat theirs)"
	[ "$(sed -n 's/^ *Files moved: //p' theirs)" = $((${moved:-0} + ${duplicate:-0})) ] || fail "hashdeep, moved: $(cat theirs)"
}

compare
[ "${ok:?}" = "$count" ] || fail "not all ok"
files=(tree/*.h)
echo x >>"${files[0]}"
compare
rm "${files[1]}"
compare
mv "${files[2]}" tree/moved-here
compare
cp "${files[3]}" tree/a-copy
echo new >tree/new
compare
[ "$ok" = $((count - 3)) ] && [ "${changed:-0}" = 1 ] && [ "${moved:-0}" = 1 ] && [ "${duplicate:-0}" = 1 ] && [ "${new:-0}" = 1 ] ||
	fail "the counts"
mkdir tree/more
for f in "${files[@]:10:20}"; do mv "$f" tree/more/; done
compare
