#!/bin/bash
# One run of a job at a time: a second start exits 4 at once and says who is at it, or waits; whoever dies lets go.
. "$(dirname "$0")/lib.sh"

# A run lasts until somebody opens the FIFO for writing and closes it again: "echo >gate".
mkfifo gate
mkdir in
echo text >in/a
cat >job.json <<'END'
{"name": "held", "steps": [{"step": "read", "from": ["in", "gate"]}, {"step": "write", "to": "out/{path}"}]}
END
at_end 'kill -KILL $(cat "$tmp"/*.pid 2>/dev/null) 2>/dev/null'

starts() { # starts NAME ARG...: in the background, reading $input; NAME.err, and NAME.exit when it is over
	local name=$1
	shift
	(
		code=0
		"$BYTEMILL" run "$@" <"${input:-/dev/null}" >/dev/null 2>"$name.err" &
		echo $! >"$name.pid"
		wait $! || code=$?
		rm "$name.pid"
		echo "$code" >"$name.exit.new"
		mv "$name.exit.new" "$name.exit"
	) 2>/dev/null &
}
says() { grep -aEqs -e "$2" "$1.err"; }
ended() { [ -e "$1.exit" ]; }
ends_with() { # ends_with NAME CODE
	wait_until ended "$1"
	[ "$(<"$1.exit")" = "$2" ] || fail "$1 ended with $(<"$1.exit"), expected $2: $(cat "$1.err")"
}
holder() { sed -n 's/^pid //p' "$BYTEMILL_STATE"/locks/*.lock; }
is_held() { [ -n "$(cat "$BYTEMILL_STATE"/locks/*.lock 2>/dev/null)" ]; }
holder_lives() { [ -n "$(holder)" ] && kill -0 "$(holder)" 2>/dev/null; }
is_free() { ! is_held; }
signed() { grep -qsx "$1" "$BYTEMILL_STATE"/locks/*.lock; }

# ---- 50 starters: one runs ----
for ((i = 0; i < 50; i++)); do starts "s$i" job.json; done
all_but_one_ended() { [ "$(find . -name 's*.exit' | wc -l)" = 49 ]; }
wait_until all_but_one_ended
[ "$(cat s*.exit | sort | uniq -c | tr -s ' ')" = " 49 4" ] || fail "not 49 times exit code 4: $(cat s*.exit | sort | uniq -c)"
winner=$(holder)
[ -n "$winner" ] && kill -0 "$winner" || fail "the lock file does not name a living process: $winner"
grep -aEq "^bytemill: error: job\.json: job held is already running: process $winner since 20[0-9-]+ [0-9:]+; --wait 10m" s*.err ||
	fail "not the message that was expected: $(cat s*.err)"
[ "$(cat s*.err | grep -ac "already running: process $winner since")" = 49 ] || fail "not every one was told"
echo go >gate
winner_ended() { [ "$(find . -name 's*.exit' | wc -l)" = 50 ]; }
wait_until winner_ended
[ "$(grep -lx 0 s*.exit | wc -l)" = 1 ] || fail "the one that ran did not end well"
expect_same in/a out/a
is_free || fail "the lock file names a holder after the end"
rm -f s*

# ---- whoever is killed lets go, and what it left in the lock file means nothing ----
starts victim job.json
wait_until is_held
kill -KILL "$(holder)"
ends_with victim 137
is_held || fail "the test wants a lock file that still names the dead process"
starts next job.json
wait_until holder_lives
echo go >gate
ends_with next 0

# ---- --wait: until the other one ends, or until the time is over ----
starts first job.json
wait_until is_held
starts second --wait 50s job.json
wait_until says second '^bytemill: job\.json: job held is already running: waiting up to 50 s for process [0-9]+ since '
run_bm run --wait 300ms job.json
expect_exit 4
expect_stderr_match 'already running: process [0-9]+ since .*; waited for 0\.3 s$'
expect_stderr_match '^bytemill: nothing was done$'
run_bm run -q --wait 100ms job.json
expect_exit 4
[ "$(wc -l <"$stderr")" = 2 ] || fail "-q is to say only that it was refused"
[ ! -e second.exit ] || fail "the second one did not wait"
echo go >gate
ends_with first 0
echo go >gate
ends_with second 0

# ---- what is one job: the file's real path and the job's name ----
mkdir sub
ln -s ../job.json sub/link.json
starts holds job.json
wait_until is_held
for name in sub/link.json "$PWD/job.json" ./sub/../job.json; do
	run_bm run "$name"
	expect_exit 4
done
run_bm run --state elsewhere -q job.json --dry-run
expect_exit 0
[ ! -e elsewhere ] || fail "a dry run made a state directory"
run_bm validate job.json
expect_exit 0
sed 's/\["in", "gate"\]/"in"/; s/held/free/; s/out/out1/' job.json >copy.json
run_bm run -q copy.json # another file
expect_exit 0
run_bm run -q copy.json job.json # all or none
expect_exit 4
expect_stderr_match 'job\.json: job held is already running'
# The name may say which: two places, two jobs.
cat >places.json <<'END'
{"name": "to-${PLACE}", "steps": [{"step": "read", "from": ["in", "gate2"]}, {"step": "write", "to": "${PLACE}/{path}"}]}
END
mkfifo gate2
starts usb --set PLACE=usb places.json
wait_until signed 'job to-usb'
run_bm run --set PLACE=usb places.json
expect_exit 4
sed 's/\["in", "gate2"\]/"in"/' places.json >places.new
cat places.new >places.json
run_bm run -q --set PLACE=nas places.json
expect_exit 0
echo go >gate2
ends_with usb 0

# --no-lock runs beside it; another state directory knows nothing of it.
sed 's/\["in", "gate"\]/"in"/; s/out/out2/' job.json >job.new
cat job.new >job.json
run_bm run -q --no-lock job.json
expect_exit 0
expect_same in/a out2/a
run_bm run -q --state elsewhere job.json
expect_exit 0
[ "$(stat -c %a elsewhere elsewhere/locks elsewhere/locks/*.lock | tr '\n' ' ')" = "700 700 600 " ] || fail "modes of the state directory"
echo go >gate
ends_with holds 0

# Several jobs in a file are one thing; a job on standard input is known by its text.
cat >two.json <<'END'
{"jobs": [{"name": "a", "steps": [{"step": "read", "from": "gate"}, {"step": "hash"}]},
          {"name": "b", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}]}
END
starts two two.json
wait_until signed 'file two.json'
run_bm run two.json
expect_exit 4
expect_stderr_match 'error: two\.json is already running'
echo go >gate
ends_with two 0
input=two.json starts text -
wait_until is_held
run_bm run - <two.json
expect_exit 4
expect_stderr_match 'error: standard input is already running'
sed 's/"b"/"c"/; s/"gate"/"in"/' two.json | run_bm run -q -
expect_exit 0
echo go >gate
ends_with text 0

# ---- where there can be no lock nothing is done ----
echo file >occupied
run_bm run --state occupied job.json
expect_exit 2
expect_stderr_match '^bytemill: error: .*/occupied/locks: the directory for the state of runs cannot be made: Not a directory'
expect_stderr_match -- '--state names another directory for it, --no-lock does without'
run_bm run --wait 1s --no-lock job.json
expect_exit 2
run_bm run --wait 0 job.json
expect_exit 2
expect_stderr_match -- '--wait is "0"; allowed: more than 0'
run_bm run --wait soon job.json
expect_exit 2

# The default place: root's is the machine's, others' is their own.
if [ "$(id -u)" != 0 ]; then
	env -u BYTEMILL_STATE "$BYTEMILL" run -q job.json
	[ -d "$XDG_STATE_HOME/bytemill/locks" ] || fail "not below XDG_STATE_HOME"
	env -u BYTEMILL_STATE -u XDG_STATE_HOME "$BYTEMILL" run -q job.json
	[ -d "$HOME/.local/state/bytemill/locks" ] || fail "not below HOME"
fi
