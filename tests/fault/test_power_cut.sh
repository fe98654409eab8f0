#!/bin/bash
# LONGER
# Power cuts: what a disk holds at a random instant of a run. Final names stand for whole files, old or new; a run that had
# ended with exit code 0 has all of its outputs; the run once more makes all of them new.
. "$(dirname "$0")/../cli/lib.sh"
need_root
need_cmd mkfs.ext4
rounds=3 seed=${BM_SEED:-1}
[ -z "${BM_TORTURE:-}" ] || rounds=60 seed=${BM_SEED:-$$}
RANDOM=$seed
echo "seed $seed"

mkdir in lo lo2
for i in $(seq 30); do head -c $((RANDOM * 8)) /dev/urandom >"in/$i"; done
echo small >in/small
: >in/empty
mkdir old
for i in 1 5 9 30 small; do echo "old $i" >"old/$i"; done
cat >job.json <<'END'
{"name": "cut", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "${TO}/SUMS"},
	{"step": "copy", "to": "${TO}/mirror/{path}"}, {"step": "compress", "level": 1},
	{"step": "write", "to": "${TO}/gz/{path}.gz"}]}
END

truncate -s 64M empty.img
mkfs.ext4 -q -F empty.img
cp --sparse=always empty.img img
mount -o loop,commit=600 img lo 2>/dev/null || skip "no loop device can be mounted"
at_end 'umount "$tmp/lo" 2>/dev/null'
at_end 'umount "$tmp/lo2" 2>/dev/null'
umount lo

snapshot() {
	cp --sparse=always img img2
	mount -o loop img2 lo2 # the journal replays
}
check_names() { # what has a final name is whole
	local file name
	while IFS= read -r -d '' file; do
		name=${file##*/}
		case $file in
		*/.bytemill-*) ;;
		lo2/gz/*) gzip -dc "$file" | cmp - "in/${name%.gz}" || fail "$1: $file is not whole" ;;
		lo2/mirror/*) cmp -s "$file" "in/$name" || cmp "$file" "old/$name" || fail "$1: $file is neither old nor new" ;;
		lo2/SUMS) [ "$(wc -l <"$file")" = 32 ] && sed 's,  mirror/,  in/,' "$file" | sha256sum -c --quiet --strict >&2 ||
			fail "$1: the manifest is wrong" ;;
		*) fail "$1: $file is nobody's" ;;
		esac
	done < <(find lo2 -path lo2/lost+found -prune -o -type f -print0)
	for name in old/*; do [ -e "lo2/mirror/${name#old/}" ] || fail "$1: the old ${name#old/} is gone"; done
}
check_all() {
	[ "$(find lo2/mirror lo2/gz lo2/SUMS -type f ! -name '.bytemill-*' | wc -l)" = 65 ] || fail "$1: not all is there"
	diff -r --exclude='.bytemill-*' in lo2/mirror >&2 || fail "$1: not all is new"
}

cut=0 ended=0
SECONDS=0
more() { # TORTURE_SECONDS: so long instead of so often
	if [ -n "${BM_TORTURE:-}" ] && [ -n "${TORTURE_SECONDS:-}" ]; then
		[ $round -lt 3 ] || [ $SECONDS -lt "$TORTURE_SECONDS" ]
	else
		[ $round -lt $rounds ]
	fi
}
for ((round = 0; ; round++)); do
	more || break
	cp --sparse=always empty.img img
	mount -o loop,commit=600 img lo
	mkdir lo/mirror lo/gz # so that nothing is synced but what was renamed
	cp old/* lo/mirror
	sync -f lo
	last="run (round $round)" status=
	"$BYTEMILL" run -q --no-lock --state "$tmp/state" --set TO="$tmp/lo" job.json >"$stdout" 2>"$stderr" &
	pid=$!
	[ $((round % 3)) = 2 ] || sleep "$(printf '0.%03d' $((RANDOM % 250)))"
	if [ $((round % 3)) = 2 ] || ! kill -STOP $pid 2>/dev/null; then
		# It had ended: all must be there, though nothing else has asked for it to be written.
		status=0
		wait $pid || status=$?
		expect_exit 0
		snapshot
		check_names "round $round"
		check_all "round $round"
		ended=$((ended + 1))
	else
		snapshot
		kill -CONT $pid
		check_names "round $round"
		cut=$((cut + 1))
		run_bm run -q --no-lock --state "$tmp/state2" --set TO="$tmp/lo2" job.json
		expect_exit 0
		check_names "round $round, again"
		check_all "round $round, again"
		wait $pid || fail "the run that was not cut"
	fi
	umount lo2 lo
done
echo "$cut power cuts in mid-run, $ended after the end"
[ "$ended" -gt 0 ] || fail "no run had ended"
