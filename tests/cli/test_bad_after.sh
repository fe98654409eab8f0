#!/bin/bash
# Jobs after jobs: what an earlier one wrote is read by a later one; a failed one stops those after it and no others;
# on_error stop.
. "$(dirname "$0")/lib.sh"

mkdir in
for i in 1 2 3 4 5; do seq "$i" "$((i + 1000))" >"in/$i"; done

# A chain through one directory and through directories below it.
cat >job.json <<'END'
{"jobs": [
  {"name": "third", "after": "second", "steps": [
    {"step": "read", "from": "out", "include": "*.gz"}, {"step": "decompress"}, {"step": "write", "to": "out/{dir}/{stem}.back"}]},
  {"name": "first", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/sub/{path}"}]},
  {"name": "second", "after": ["first"], "steps": [
    {"step": "read", "from": "out/sub"}, {"step": "hash", "manifest": "out/sub/SUMS"}, {"step": "compress"},
    {"step": "write", "to": "out/sub/{path}.gz"}]},
  {"name": "fourth", "after": ["third"], "steps": [
    {"step": "read", "from": "out"}, {"step": "hash", "manifest": "ALL"}]}
]}
END
for threads in 1 2 8; do
	rm -rf out
	run_bm run -j "$threads" job.json
	expect_exit 0
	expect_stderr_match '^bytemill: 4 jobs done, 31 files done, 0 failed'
	[ "$(find out -type f | wc -l)" = 16 ] || fail "$(find out -type f)"
	for i in 1 2 3 4 5; do
		expect_same "in/$i" "out/sub/$i"
		expect_same "in/$i" "out/sub/$i.back"
		zcat "out/sub/$i.gz" | cmp - "in/$i" || fail "$i.gz"
	done
	(cd out/sub && sha256sum -c --strict --quiet SUMS) || fail "sha256sum -c says no"
	(cd out && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >want
	expect_same want ALL
done
expect_no_temp .

# A conflict that shows only when the later job starts: that job fails, with a reason, and writes nothing.
rm -rf out
cat >late.json <<'END'
{"jobs": [
  {"name": "first", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}"}]},
  {"name": "second", "after": "first", "steps": [{"step": "read", "from": "out"}, {"step": "write", "to": "one/x"}]},
  {"name": "third", "after": "second", "steps": [{"step": "read", "from": "out"}, {"step": "write", "to": "never/{path}"}]}
]}
END
run_bm run late.json
expect_exit 1
expect_stderr_match 'one/x: .*out/1 and .*out/2 would both be written here'
expect_stderr_match '1 jobs done, 1 failed, 1 skipped'
[ ! -e one ] && [ ! -e never ] || fail "it wrote"

# A failed job stops those after it, however far; others run.
cat >fail.json <<'END'
{"jobs": [
  {"name": "bad", "steps": [{"step": "read", "from": ["in/1", "missing"]}, {"step": "write", "to": "bad/{path}"}]},
  {"name": "next", "after": "bad", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "next/{path}"}]},
  {"name": "last", "after": "next", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "last/{path}"}]},
  {"name": "other", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "other/{path}"}]}
]}
END
for quiet in "" -q; do
	rm -rf bad other
	# shellcheck disable=SC2086
	run_bm run $quiet --report report.jsonl fail.json
	expect_exit 1
	expect_stderr_match 'missing: .*No such file'
	expect_stderr_match '^bytemill: error: next: skipped: a job that it comes after has failed'
	expect_stderr_match '^bytemill: error: last: skipped: '
	expect_stderr_match '^bytemill: 1 jobs done, 1 failed, 2 skipped, 6 files done, 1 failed'
done
# That is what follows from a failure, not one more: the summary has none of its own.
tail -n 1 report.jsonl | grep -q '"jobs_skipped":2.*"cancelled":false}$' || fail "$(tail -n 1 report.jsonl)"
expect_same in/1 bad/1
[ ! -e next ] && [ ! -e last ] || fail "a job after the failed one ran"
diff -r in other >&2 || fail "the other job did not run"

# Nothing could be used: said for the job, with its name once.
sed 's|"in/1", "missing"|"missing"|; s|{"step": "write", "to": "bad/{path}"}|{"step": "hash", "manifest": "bad.sums"}|' fail.json >nothing.json
run_bm run -q nothing.json
expect_exit 1
expect_stderr_match '^bytemill: error: bad: no input could be used: manifests and combined outputs were left as they were$'
[ ! -e bad.sums ] || fail "a manifest of nothing"

# on_error stop: what came before stays, the rest is not begun, the manifest is not there.
cat >stop.json <<'END'
{"on_error": "stop", "steps": [{"step": "read", "from": ["in/1", "missing", "in/2", "in/3"]},
  {"step": "hash", "manifest": "SUMS"}, {"step": "write", "to": "stop/{path}"}, {"step": "write", "to": "joined", "combine": true}]}
END
run_bm run -j 1 --io-depth 1 stop.json
expect_exit 1
expect_stderr_match 'missing: .*No such file'
[ ! -e SUMS ] && [ ! -e joined ] || fail "an incomplete list or join got its name"
[ ! -e stop/3 ] || fail "it went on after the failure"
expect_no_temp .
# continue: all others, and a manifest of them.
sed 's/stop"/continue"/' stop.json >continue.json
run_bm run -j 1 continue.json
expect_exit 1
cat in/1 in/2 in/3 >want
expect_same want joined
(cd in && sha256sum 1 2 3) | sed 's|  |  stop/|' >want
expect_same want SUMS
