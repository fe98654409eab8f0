#!/bin/bash
# LONGER
# Others who change the tree under a run: a directory that turns into a link and back all the time, target directories that
# are removed, a file that gets longer under the read.
. "$(dirname "$0")/../cli/lib.sh"
racer=$BM_BUILD_DIR/tests/fault/bm_racer

# ---- a directory of the tree is now itself, now a link out of it: nothing that lies outside is ever read
mkdir -p tree/sub/deep outside/deep
echo inside >tree/sub/deep/file
echo inside >tree/other
echo OUTSIDE >outside/deep/file
echo OUTSIDE >outside/secret
ln -s "$tmp/outside" link
printf '{"steps": [{"step": "read", "from": "tree"}, {"step": "hash"}, {"step": "write", "to": "out/{path}"}]}' >job.json
flips=20000
[ -z "${BM_TORTURE:-}" ] || flips=500000
outside=$(sha256sum outside/secret | cut -c 1-64)
runs=0 seen=0
SECONDS=0 box=0
[ -z "${BM_TORTURE:-}" ] || box=${TORTURE_SECONDS:-0}
# On a slow machine the racer is through before so many runs are: then it begins again.
while [ $runs -lt 10 ] || [ $SECONDS -lt "$box" ]; do
	"$racer" tree/sub link "$flips" &
	pid=$!
	at_end "kill $pid 2>/dev/null"
	while kill -0 $pid 2>/dev/null; do
		[ "$box" = 0 ] || [ $SECONDS -lt "$box" ] || kill $pid 2>/dev/null || true
		rm -rf out
		run_bm run -q -j 2 job.json
		case $status in 0 | 1) ;; *) fail "exit code $status" ;; esac
		! grep -rq OUTSIDE out || fail "a file outside of the tree was read: $(grep -rl OUTSIDE out)"
		expect_same tree/other out/other
		[ ! -e out/sub/deep/file ] || seen=$((seen + 1))
		run_bm hash -q tree
		case $status in 0 | 1) ;; *) fail "exit code $status" ;; esac
		grep -q ' tree/other$' "$stdout" || fail "no digest of tree/other"
		! grep -q "^$outside" "$stdout" || fail "a file outside of the tree was digested: $(cat "$stdout")"
		runs=$((runs + 1))
	done
	wait $pid || [ "$box" != 0 ] || fail "the racer"
done
echo "$runs runs, $seen of them found a directory"
[ "$(cat outside/deep/file outside/secret)" = $'OUTSIDE\nOUTSIDE' ] || fail "the outside was changed"
[ "$(find outside | wc -l)" = 4 ] || fail "something new is outside: $(find outside)"

# ---- target directories are removed all the time: what is said to be done was done, and nothing of a temp is left
mkdir -p many/{a,b,c}
for i in $(seq 200); do
	echo "$i" >"many/a/$i"
	echo "$i" >"many/b/$i"
	head -c 100000 /dev/urandom >"many/c/$i"
done
printf '{"steps": [{"step": "read", "from": "many"}, {"step": "hash"}, {"step": "write", "to": "gone/{path}", "durability": "none"}]}' >job.json
"$BYTEMILL" run -q job.json >"$stdout" 2>"$stderr" &
pid=$!
last="(while its targets are removed) run job.json"
while kill -0 $pid 2>/dev/null; do rm -rf gone/b gone/c 2>/dev/null || true; done
status=0
wait $pid || status=$?
case $status in
0) ;;
1) expect_stderr_match "^bytemill: error: many/[abc]/[0-9]+: gone/[abc]/[0-9]+: .*(No such file|removed)" ;;
*) fail "exit code $status" ;;
esac
expect_same many/a/200 gone/a/200
expect_no_temp gone
run_bm run -q job.json
expect_exit 0
diff -r many gone >&2 || fail "the next run did not do all"

# ---- a source that is written to all the time: named, and nothing of it takes its name
mkdir growing
head -c 30000000 /dev/zero >growing/log
echo calm >growing/calm
(while [ ! -e stop ]; do echo "a line" >>growing/log; done) &
writer=$!
at_end "kill $writer 2>/dev/null"
for steps in '{"step": "copy", "to": "out2/{path}"}' '{"step": "hash", "manifest": "out2.SUMS"}, {"step": "write", "to": "out2/{path}"}'; do
	printf '{"steps": [{"step": "read", "from": "growing"}, %s]}' "$steps" >job.json
	for _ in $(seq 100); do # a writer that gets no CPU meanwhile changes nothing
		rm -rf out2
		run_bm run job.json
		[ "$status" = 0 ] || break
	done
	expect_exit 1
	expect_stderr_match '^bytemill: error: growing/log: .*changed while it was read'
	expect_same growing/calm out2/calm
	[ ! -e out2/log ] || fail "a torn copy got its name"
	expect_no_temp out2
done
touch stop
