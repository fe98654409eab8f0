#!/bin/bash
# SIGINT, SIGTERM and SIGHUP: no temp file is left, a summary, and death by that signal.
. "$(dirname "$0")/lib.sh"

cat >job.json <<'END'
{"steps": [{"step": "read", "from": "-"}, {"step": "write", "to": "out", "combine": true}]}
END

# timeout sends its signal to the program and then to its whole group: the pair must not count as "at once".
for signal in INT TERM HUP; do
	status=0
	last="run job.json, SIG$signal"
	yes | timeout --preserve-status -s "$signal" 1 "$BYTEMILL" run job.json >"$stdout" 2>"$stderr" || status=${PIPESTATUS[1]}
	expect_exit $((128 + $(kill -l "$signal")))
	expect_stderr_match "^bytemill: SIG$signal: stopping"
	expect_stderr_match "^bytemill: stopped by SIG$signal: "
	expect_no_stdout
	expect_no_temp .
	[ ! -e out ] || fail "an incomplete output got its name"
done

# The reading is woken before the signal has been dealt with: strace holds up the write that wakes it.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null && [ -z "${BM_SANITIZE:-}" ]; then
	last="(strace) run job.json, SIGTERM"
	{
		echo one
		exec sleep 3
	} | exec strace -D -f -o /dev/null -e trace=write -e inject=write:delay_exit=500000 "$BYTEMILL" run job.json \
		>"$stdout" 2>"$stderr" &
	victim=$!
	sleep 1
	kill -TERM "$victim"
	status=0
	wait "$victim" || status=$?
	expect_exit 143
	expect_stderr_match '^bytemill: stopped by SIGTERM: '
	expect_no_temp .
	[ ! -e out ] || fail "an output that nothing is in got its name"
fi

# What was ignored when the program started (nohup) stays ignored.
{
	echo one
	sleep 2
	echo two
} | (
	trap '' HUP
	exec "$BYTEMILL" run -q job.json
) >"$stdout" 2>"$stderr" &
feeder=$!
sleep 1
kill -HUP "$feeder"
status=0
wait "$feeder" || status=$?
expect_exit 0
expect_no_stderr
expect_same <(printf 'one\ntwo\n') out
