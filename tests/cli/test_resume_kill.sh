#!/usr/bin/env bash
# Killed in the middle of any system call that makes a change, and started again: the end is always the same. strace is
# asked to kill it at its n-th call.
. "$(dirname "$0")/lib.sh"
need_cmd strace

mkdir in
for i in $(seq 120); do mkdir -p in/d$((i % 4)) && echo "$i" >in/d$((i % 4))/f$i; done
find in -type f -exec touch -d '2 hours ago' {} +
cat >job.json <<'END'
{"steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/SUMS"},
	{"step": "copy", "to": "out/copy/{path}", "durability": "none"},
	{"step": "compress", "format": "gzip", "layout": "bgzf"},
	{"step": "write", "to": "out/{path}.gz", "index": true, "preserve": false}]}
END
run_bm run -q --no-history job.json
expect_exit 0
mv out want
export ASAN_OPTIONS=detect_leaks=0 # it wants to trace, too
strace -f -o trace -e trace=renameat true 2>/dev/null || skip "strace may not trace here"

check() { # CALLS COUNT: killed at that call, again and again with the same state, till it comes to its end
	local rounds=0
	rm -rf out
	while :; do
		rounds=$((rounds + 1))
		status=0
		strace -f -qq -o trace -e trace="$1" -e inject="$1:signal=KILL:when=$2" "$BYTEMILL" run -q -j 2 job.json \
			>/dev/null 2>&1 || status=$?
		[ $status = 137 ] || break
		[ $rounds -lt 4 ] || break
	done
	run_bm run job.json
	expect_exit 0
	diff -r out want || fail "killed at $1 number $2: another end"
	expect_no_temp out
}
check renameat,renameat2 1
check renameat,renameat2 9
check unlinkat,unlink 3
check fsync,fdatasync 1
check fsync,fdatasync 4
check fsync,fdatasync 12
check pwrite64 7
check pwrite64 30
check ftruncate 2
run_bm runs --json
expect_stdout_match '"state":"interrupted"'

# Killed when records of some files have come to the disk: these are not done again.
need_cmd sqlite3
rm -rf out
mkfifo last
sed 's/"from": "in"/"from": ["in", "last"]/' job.json >two.json
"$BYTEMILL" run -q two.json &
pid=$!
has_records() { [ -n "$(find "$BYTEMILL_STATE/done" -type f -size +0 2>/dev/null)" ]; }
wait_until has_records
kill -KILL $pid
wait $pid 2>/dev/null || true
rm last
echo last >last
run_bm run two.json
expect_exit 0
expect_stderr_match ' [1-9][0-9]* skipped'
rm out/SUMS out/last.gz out/last.gz.gzi out/copy/last want/SUMS
diff -r out want || fail "killed with records: another end"
expect_no_temp out
