#!/usr/bin/env bash
# A run that was killed is gone on with: what is complete and unchanged is not done again, and all outputs and manifests
# are those of a run that was not cut. The job's last input is a FIFO, where it stays until it is killed.
. "$(dirname "$0")/lib.sh"

files=30
mkfifo fifo
make_inputs() {
	rm -rf in
	for i in $(seq "$files"); do
		mkdir -p "in/d$((i % 5))"
		head -c $((i * 37)) /dev/zero | tr '\0' "$(printf '\\%03o' $((64 + i % 26)))" >"in/d$((i % 5))/f$i"
	done
	find in -type f -exec touch -d '2 hours ago' {} +
}
make_inputs
job() { # NAME STEP...
	printf '{"name": "%s", "steps": [{"step": "read", "from": ["in", "fifo"]}, %s]}\n' "$1" "$2"
}
steps='{"step": "hash", "manifest": "SUMS"}, {"step": "compress", "format": "gzip", "level": 1},
	{"step": "hash", "algorithms": ["md5", "xxh64"], "format": "json", "manifest": "out/SUMS.gz"},
	{"step": "write", "to": "out/{path}.gz"}'
job nightly "$steps" >job.json

feed() { # runs it with something in the FIFO
	echo stream >fifo &
	local writer=$!
	run_bm "$@"
	kill "$writer" 2>/dev/null || true # where it was not read
	wait "$writer" 2>/dev/null || true
}
count_outputs() { find out -name '*.gz' ! -name SUMS.gz | wc -l; }
all_are_there() { [ "$(count_outputs)" = "$files" ]; }
# In a log of records a path stands behind its length.
is_recorded() {
	$python - "$BYTEMILL_STATE/done" "$files" <<'END'
import pathlib, sys
log = b"".join(p.read_bytes() for p in pathlib.Path(sys.argv[1]).glob("*"))
paths = [b"d%d/f%d" % (i % 5, i) for i in range(1, int(sys.argv[2]) + 1)]
sys.exit(not all(bytes([len(p)]) + p in log for p in paths))
END
}
# Started, and killed with everything done, and on record, but the FIFO.
cut() {
	rm -rf out SUMS
	mkdir out
	"$BYTEMILL" run -q "${1:-job.json}" &
	pid=$!
	wait_until all_are_there
	wait_until is_recorded
	kill -9 $pid
	wait $pid 2>/dev/null || true
}
expect_whole() {
	expect_same SUMS want.SUMS
	diff -r out want || fail "the outputs are not those of a run that was not cut"
}

feed run -q --no-history job.json
expect_exit 0
mv out want
mv SUMS want.SUMS
[ ! -e "$BYTEMILL_STATE/catalog.db" ] || fail "--no-history made a catalog"

# It goes on; its temporary files go, those of others and of the living stay.
cut
run_bm runs
expect_exit 0
expect_stdout_match ' interrupted .* nightly$'
id=$(awk '/interrupted/ { print $1 }' "$stdout")
other=out/d1/.bytemill-20200101T000000.000000Z-1-0.tmp
touch "out/d1/.bytemill-$id-77.tmp" "$other" "out/d1/.bytemill-$id-78.tmp"
exec 9<"out/d1/.bytemill-$id-78.tmp"
flock 9
rm out/d1/f1.gz # else nothing is done in this directory
find out -name '*.gz' -printf '%P %i\n' | sort >before
feed run job.json
exec 9<&-
expect_exit 0
expect_stderr_match 'nightly: the run that began at .* did not come to its end; what is complete since and unchanged is skipped'
expect_stderr_match "2 files done, 0 failed, $((files - 1)) skipped"
expect_stderr_match '1 temporary file of a run that was killed was removed'
[ -e "$other" ] && [ -e "out/d1/.bytemill-$id-78.tmp" ] && [ ! -e "out/d1/.bytemill-$id-77.tmp" ] || fail "wrong temporary files"
rm out/d1/.bytemill-*
find out -name '*.gz' -printf '%P %i\n' | sort >after
[ "$(join before after | awk '$2 == $3' | wc -l)" = $((files - 1)) ] || fail "outputs that were complete were made again"
expect_whole
# That was its end: the next run does all.
feed run job.json
expect_stderr_match "$((files + 1)) files done, 0 failed, 0 skipped"
expect_whole

# What has changed since is done again: an input, a new one, one of the same size and time behind another inode; outputs
# that are gone or were altered. One that is gone is nowhere any more.
cut
echo changed >in/d0/f5
echo new >in/d0/new
touch -d '1 hour ago' in/d0/new in/d0/f5
cp -p in/d1/f1 in/d1/x && mv in/d1/x in/d1/f1
rm out/d2/f2.gz in/d3/f3
echo more >>out/d4/f4.gz
feed run -v job.json
expect_stderr_match "6 files done, 0 failed, $((files - 5)) skipped"
for name in d0/f5 d0/new d1/f1 d2/f2 d4/f4; do expect_stderr_match "done: in/$name "; done
expect_stderr_match 'unchanged: in/d2/f7$'
rm out/d3/f3.gz # of the run that was cut
mv out after.out && mv SUMS after.SUMS
feed run -q --no-history job.json
expect_same SUMS after.SUMS
diff -r out after.out || fail "the outputs are not those of a run that was not cut"
make_inputs
cp in/d0/f5 .

# Everything again: asked for, or another job.
cut
feed run --all job.json
expect_stderr_match "$((files + 1)) files done, 0 failed, 0 skipped"
expect_stderr_match 'all is done again, as was asked for'
expect_whole
cut
last_id() { "$BYTEMILL" runs -n 1 | awk 'NR == 2 { print $1 }'; }
left=out/d1/.bytemill-$(last_id)-77.tmp
touch "$left"
job nightly "${steps/level\": 1/level\": 9}" >other.json
feed run other.json
expect_stderr_match "$((files + 1)) files done, 0 failed, 0 skipped"
[ ! -e "$left" ] || fail "what the job has left was forgotten when it was changed"
feed run job.json # the first one is still not at its end; but its outputs are not its own any more
expect_stderr_match "$((files + 1)) files done, 0 failed, 0 skipped"
expect_whole

# Same size, same time, same inode, other bytes: only who reads it can know.
cut
printf X | dd of=in/d0/f10 conv=notrunc status=none
touch -r in/d0/f15 in/d0/f10
touch -r in/d0/f15 stamp
feed run -v --paranoid job.json
expect_stderr_match "2 files done, 0 failed, $((files - 1)) skipped"
expect_stderr_match 'done: in/d0/f10 '
make_inputs

# Nobody writes to the directories of a killed run again, where its id or day is in their names.
job dated '{"step": "hash", "manifest": "lists/{run}/{algorithm}/SUMS"}, {"step": "copy", "to": "dated/{run}/{path}"}' >dated.json
"$BYTEMILL" run -q dated.json &
pid=$!
wait_until eval '[ "$(find dated -name "f*" 2>/dev/null | wc -l)" = "$files" ]'
kill -9 $pid
wait $pid 2>/dev/null || true
id=$(last_id)
mkdir -p "lists/$id/sha256"
left=("lists/$id/sha256/.bytemill-$id-76.tmp" "dated/$id/.bytemill-$id-77.tmp" "dated/$id/d3/.bytemill-$id-78.tmp")
touch "${left[@]}" "dated/$id/d3/$(basename "$other")"
feed run dated.json
expect_exit 0
for temp in "${left[@]}"; do [ ! -e "$temp" ] || fail "$temp was left"; done
[ -e "dated/$id/d3/$(basename "$other")" ] || fail "another's temporary file is gone"
rm -r dated lists

# A signal is no end either.
rm -rf out SUMS
mkdir out
"$BYTEMILL" run -q job.json 2>err &
pid=$!
wait_until all_are_there
kill -TERM $pid
wait $pid && fail "ended well" || [ $? = 143 ] || fail "not by the signal"
run_bm runs -n 1
expect_stdout_match ' cancelled '
feed run job.json
expect_stderr_match "1 files? done, 0 failed, $files skipped"
expect_whole

# What is joined cannot be divided: all again, and that is said. The plan says it, too.
job joined '{"step": "write", "to": "joined", "combine": true}' >joined.json
feed run -q --no-history joined.json
mv joined want.joined
"$BYTEMILL" run -q joined.json &
pid=$!
wait_until eval 'ls .bytemill-*-*.tmp >/dev/null 2>&1'
kill -9 $pid
wait $pid 2>/dev/null || true
feed run joined.json
expect_exit 0
expect_stderr_match 'joined: .* did not come to its end; step 1 \(write\) joins all inputs into one output, so all is done again'
expect_stderr_match "$((files + 1)) files done"
expect_same joined want.joined
expect_no_temp .
run_bm validate joined.json
expect_stdout_match 'if it is cut off: begins anew, since step 1 \(write\) joins all inputs into one output$'
run_bm validate job.json
expect_stdout_match 'if it is cut off: goes on where it was$'
