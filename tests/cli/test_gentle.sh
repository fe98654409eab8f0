#!/bin/bash
# --limit-rate and "limit_rate" hold within 10 % over some seconds, for one file, many small ones and a pipe, and end at
# once when the run is stopped; --nice and --ionice are every thread's.
# RUN_SERIAL
. "$(dirname "$0")/lib.sh"

timed() { # timed MIN_MS MAX_MS ARG...: a run that takes so long
	local min=$1 max=$2 start ms
	shift 2
	start=$(date +%s%N)
	run_bm "$@"
	ms=$((($(date +%s%N) - start) / 1000000))
	expect_exit 0
	echo "$ms ms, wanted $min to $max: $*"
	[ "$ms" -ge "$min" ] && [ "$ms" -le "$max" ] || fail "it took $ms ms, not $min to $max"
}

mkdir large small
head -c 30000000 /dev/urandom >large/file
seq 1 1000 | while read -r i; do head -c 3000 /dev/zero >"small/$i"; done
# 3 s, 10 % either way.
timed 2700 3300 hash --limit-rate 10000000 large
timed 2700 3300 hash --limit-rate 1000000 small
cat large/file | timed 2700 3300 hash --limit-rate 10000000 -
truncate -s 1G hole
timed 0 2500 hash -a xxh3 --limit-rate 1MiB hole # of which nothing is read
# A job's own, that of the run over all jobs, and a job that only copies, which the kernel would do without a pace.
cat >copy.json <<'END'
{"name": "copy", "limit_rate": 10000000, "steps": [{"step": "read", "from": "large"}, {"step": "copy", "to": "out/{path}"}]}
END
timed 2700 3300 run -q copy.json
expect_same large/file out/file
cat >two.json <<'END'
{"jobs": [{"name": "a", "limit_rate": "1KiB", "steps": [{"step": "read", "from": "large"}, {"step": "hash"}]},
          {"name": "b", "steps": [{"step": "read", "from": "large"}, {"step": "hash"}]}]}
END
timed 2700 3300 run -q --limit-rate 20000000 two.json
# Stopped in the middle of a wait of half a minute.
cat >slow.json <<'END'
{"name": "slow", "chunk": "32MiB", "steps": [{"step": "read", "from": "large"}, {"step": "copy", "to": "late/{path}"}, {"step": "hash"}]}
END
"$BYTEMILL" run -q --limit-rate 1000000 slow.json 2>/dev/null &
victim=$!
held() { grep -qs "^pid $victim$" "$BYTEMILL_STATE"/locks/*.lock && [ "$(ls "/proc/$victim/task" | wc -l)" -gt 2 ]; }
wait_until held
start=$(date +%s%N)
kill -TERM "$victim"
wait "$victim" && fail "it was not stopped" || [ $? = 143 ] || fail "not by the signal"
[ $((($(date +%s%N) - start) / 1000000)) -lt 5000 ] || fail "it waited on"
expect_no_temp .

# --nice and --ionice.
need_cmd ionice
mkfifo gate
echo '{"name": "gentle", "notify": {"on": "always", "command": ["sh", "-c", "nice >nice; ionice >ionice"]}, "steps": [{"step": "read", "from": "gate"}, {"step": "hash"}]}' >gentle.json
"$BYTEMILL" run -q --nice 7 --ionice best-effort:6 gentle.json &
victim=$!
reading() { [ "$(ls "/proc/$victim/task" | wc -l)" -gt 2 ]; }
wait_until held
exec 9>gate
wait_until reading
for task in "/proc/$victim/task"/*; do
	[ "$(sed 's/.*) //' "$task/stat" | cut -d' ' -f17)" = $(($(nice) + 7)) ] || fail "niceness of $task"
	[ "$(ionice -p "${task##*/}")" = 'best-effort: prio 6' ] || fail "$(ionice -p "${task##*/}")"
done
exec 9>&-
wait "$victim"
[ "$(<nice)" = "$(nice)" ] || fail "the notify command is nice too: $(<nice)"
run_bm hash --ionice idle small/1
expect_exit 0
expect_no_stderr
for bad in fast idle:1 best-effort:8 best-effort: best-effort:77 realtime:x b ''; do
	run_bm hash --ionice "$bad" small/1
	expect_exit 2
	expect_no_stdout
done
run_bm hash --nice 20 small/1
expect_exit 2
run_bm schedule --cron @daily --nice 10 --ionice idle --limit-rate 20MiB copy.json
expect_stdout_match ' --nice 10 --ionice idle --limit-rate 20MiB '
