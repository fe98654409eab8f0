#!/bin/bash
# What a run with nobody watching tells, and to whom: nothing on standard error while all is well and a short whole account
# when not; the log.
. "$(dirname "$0")/lib.sh"

mkdir in
echo one >in/one
echo two >in/two
cat >good.json <<'END'
{"name": "good", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}"}]}
END
cat >bad.json <<'END'
{"name": "bad", "steps": [{"step": "read", "from": ["in", "nowhere/x", "nowhere/y"]}, {"step": "hash", "manifest": "SUMS"}]}
END
cat >two.json <<'END'
{"jobs": [{"name": "a", "steps": [{"step": "read", "from": "nowhere/x"}, {"step": "hash", "manifest": "SUMS.a"}]},
          {"name": "b", "after": "a", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}]}
END
time_re='20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}[+-][0-9]{4}'
run_re='20[0-9]{6}T[0-9]{6}\.[0-9]{6}Z-[0-9]+'

# ---- --quiet ----
run_bm run --quiet good.json
expect_exit 0
expect_no_stdout
expect_no_stderr
run_bm run --quiet --no-lock bad.json # each thing once, and the figures
expect_exit 1
sed 's/; [0-9.]* s.*//' "$stderr" >found
expect_bytes "standard error" found - <<'END'
bytemill: error: nowhere/x: cannot read: No such file or directory
bytemill: error: nowhere/y: cannot read: No such file or directory
bytemill: 2 files done, 2 failed, 0 skipped; 8 B read, 0 B written
END
run_bm run --quiet two.json
expect_exit 1
sed 's/; [0-9.]* s.*//' "$stderr" >found
expect_bytes "standard error" found - <<'END'
bytemill: error: nowhere/x: cannot read: No such file or directory
bytemill: error: a: no input could be used: manifests and combined outputs were left as they were
bytemill: error: b: skipped: a job that it comes after has failed
bytemill: 0 jobs done, 1 failed, 1 skipped, 0 files done, 1 failed, 0 skipped; 0 B read, 0 B written
END
# Without it the failures are named again at the end.
run_bm run bad.json
[ "$(grep -c 'nowhere/x: cannot read' "$stderr")" = 2 ] || fail "not named again"

# ---- --log FILE ----
# A log is what a run without --quiet says, with time, run and level.
levels() { sed -E "s/^$time_re $run_re //" "$1"; }
run_bm run -q --log logs/deep/good.log good.json
expect_exit 0
expect_no_stderr
[ "$(stat -c %a logs/deep/good.log)" = 600 ] || fail "mode $(stat -c %a logs/deep/good.log)"
levels logs/deep/good.log | sed 's/; [0-9.]* s.*//' >found
expect_bytes "the log" found - <<'END'
info: started: 1 job: good
info: 2 files done, 0 failed, 0 skipped; 8 B read, 8 B written
info: ended: exit code 0
END
run_bm run -q --log logs/deep/good.log bad.json # appended
expect_exit 1
levels logs/deep/good.log | sed 's/; [0-9.]* s.*//' | tail -n +4 >found
expect_bytes "the log" found - <<'END'
info: started: 1 job: bad
error: nowhere/x: cannot read: No such file or directory
error: nowhere/y: cannot read: No such file or directory
info: 2 files done, 2 failed, 0 skipped; 8 B read, 0 B written
info: ended: exit code 1
END
[ "$(cut -d ' ' -f 2 logs/deep/good.log | sort -u | wc -l)" = 2 ] || fail "not two run ids"
run_bm run --report report.jsonl --log id.log good.json
[ "$(cut -d ' ' -f 2 id.log | sort -u)" = "$(tail -n 1 report.jsonl | jq -r .run)" ] || fail "the run id is another than the report's"
ln -s nowhere in/link # a message and a warning, not shown with -q
run_bm run -q -v --log v.log good.json
grep -q ' info: done: in/one (4 B) -> out/one$' v.log || fail "no line for a finished file with -v"
grep -q ' info: good: 1 symbolic link was not followed$' v.log || fail "a message that -q leaves out is not in the log"
rm in/link
echo '{"name": "w", "steps": [{"step": "read", "from": "in"}, {"step": "compress"}]}' >warns.json
run_bm run -q --log w.log warns.json
expect_exit 2
grep -q ' error: warns.json:1:.*nothing to do' w.log || fail "a job file's fault is not in the log"
grep -q ' info: ended: exit code 2$' w.log || fail "no end in the log"
# Names cannot break a line of it.
sed 's,"in","in/esc\\u001bc\\nape",; s/good/esc/' good.json >esc.json
run_bm run -q --log esc.log esc.json
expect_exit 1
LC_ALL=C grep -q '[[:cntrl:]]' esc.log && fail "control characters in the log"
grep -q ' error: in/esc\\x1bc\\nape: ' esc.log || fail "the name is not escaped: $(cat esc.log)"
# Lines of two runs at once do not mix.
for i in 1 2 3 4 5 6 7 8; do "$BYTEMILL" run -q -v --no-lock --log both.log good.json 2>/dev/null & done
wait
grep -Evq "^$time_re $run_re info: " both.log && fail "lines are mixed"
[ "$(wc -l <both.log)" = 40 ] || fail "lines are lost: $(wc -l <both.log)"
# It is no input, though it lies among them and grows.
sed 's/good/log/; s,"out/,"out2/,' good.json >own.json
run_bm run -v --log in/own.log own.json
expect_exit 0
expect_stderr_match '1 input was passed over: it is an output of this run'
[ ! -e out2/own.log ] || fail "the log was read"
rm in/own.log
sed 's,"in","in/one",; s/good/log/' good.json >named.json
run_bm run --log in/one named.json
expect_exit 2
expect_stderr_match 'in/one: this file is named as an input and would be replaced'
printf 'one\n' | cmp -s - <(head -n 1 in/one) || fail "the input is gone"
echo one >in/one
run_bm run --log x.log --report x.log good.json
expect_exit 2
expect_stderr_match 'the log and the report are one file'
run_bm run --log in good.json
expect_exit 2
expect_stderr_match '^bytemill: error: in: the log cannot be opened \(name a file in it\): Is a directory$'
expect_stderr_match '^bytemill: nothing was done$'
run_bm run --log other.log --dry-run good.json
expect_exit 0
[ ! -e other.log ] || fail "a dry run wrote a log"
if [ -w /dev/full ]; then # what is lost is told, also with -q
	run_bm run -q --log /dev/full good.json
	expect_exit 0
	expect_stderr <<<'bytemill: warning: /dev/full: the log is not complete: No space left on device'
fi

# ---- --log syslog: a socket of our own in a /dev of our own ----
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	cat >listen.py <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
open("ready", "w").close()
while True:
    line = s.recv(65536)
    sys.stdout.buffer.write(line.rstrip(b"\0\n") + b"\n")
    sys.stdout.flush()
    if b" ended: " in line:
        break
END
	timeout 60 unshare -m --propagation private bash -euc '
		mount -t tmpfs none /dev
		mknod -m 666 /dev/null c 1 3
		mknod -m 666 /dev/urandom c 1 9
		'"$python"' listen.py >syslogged &
		until [ -e ready ]; do sleep 0.02; done
		"$BYTEMILL" run -q --log syslog bad.json 2>/dev/null || true
		wait
	' || fail "syslog: $?"
	# <facility * 8 + level>: user.info, user.err
	grep -Eq "^<14>.* bytemill\[[0-9]+\]: $run_re info: started: 1 job: bad$" syslogged || fail "syslog: $(cat syslogged)"
	grep -Eq "^<11>.* $run_re error: nowhere/x: cannot read: No such file" syslogged || fail "syslog: $(cat syslogged)"
	grep -Eq "^<14>.* $run_re info: ended: exit code 1$" syslogged || fail "syslog: $(cat syslogged)"
fi
if [ ! -e /dev/log ]; then
	run_bm run --log syslog good.json
	expect_exit 2
	expect_stderr_match 'nobody takes system log messages here'
fi

# ---- "notify": the account as JSON, for those who asked ----
cat >tell.sh <<'END'
#!/bin/sh
cat >"$1.json.new" && mv "$1.json.new" "$1.json"
END
chmod +x tell.sh
mkdir sub
cp tell.sh sub/
notify_job() { # notify_job FILE JOB ON [FROM]: its command leaves what it reads in JOB.json, here
	printf '{"name": "%s", "notify": {"on": "%s", "command": ["./tell.sh", "%s"]}, "steps": [{"step": "read", "from": %s}, {"step": "hash"}]}\n' \
		"$2" "$3" "$tmp/$2" "${4:-\"$tmp/in\"}" >"$1"
}
field() { jq -c "$2" "$1.json"; }
notify_job sub/n.json ok always # the program is beside the job file
run_bm run -q sub/n.json
expect_exit 0
expect_no_stderr
[ "$(field ok '[.type, .job, .state, .exit_code, .files_done, .files_failed, .failures, .failures_left_out, .summary.files_done, .summary.jobs_done]')" = \
	'["notify","ok","done",0,2,0,[],0,2,1]' ] || fail "not the account of a good run: $(cat ok.json)"
[ "$(field ok '[.file, (.run == .summary.run), .host]')" = "[\"sub/n.json\",true,\"$(uname -n)\"]" ] || fail "$(cat ok.json)"
notify_job n.json nogood failure
run_bm run -q n.json
[ ! -e nogood.json ] || fail "told of a good run though it asked for failures"
notify_job n.json nobad success "[\"in\", \"nowhere\"]"
run_bm run -q n.json
expect_exit 1
[ ! -e nobad.json ] || fail "told of a bad run though it asked for successes"
notify_job n.json bad failure "[\"in\", \"nowhere\"]"
run_bm run -q n.json
expect_exit 1
[ "$(field bad '[.state, .exit_code, .files_done, .files_failed, .failures]')" = \
	'["failed",1,2,1,["nowhere: cannot read: No such file or directory"]]' ] || fail "$(cat bad.json)"
seq -f '"x%.0f"' 50 | paste -sd, | { read -r list; notify_job n.json many failure "[$list]"; }
run_bm run -q n.json
# The 51st is that the job as a whole had no input.
[ "$(field many '[(.failures | length), .failures_left_out, .files_failed]')" = '[20,30,50]' ] || fail "$(cat many.json)"
# What never began is told too: the lock, outputs in each other's way, a job after one that failed.
notify_job n.json refused failure '"gate"'
mkfifo gate
"$BYTEMILL" run -q n.json >/dev/null 2>&1 &
holds=$!
held() { grep -qs '^job refused' "$BYTEMILL_STATE"/locks/*.lock; }
wait_until held
run_bm run -q n.json
expect_exit 4
[ "$(field refused '[.state, .exit_code, .summary]')" = '["refused",4,null]' ] || fail "$(cat refused.json)"
echo go >gate
wait "$holds"
cat >n.json <<'END'
{"jobs": [{"name": "p", "steps": [{"step": "read", "from": "nowhere"}, {"step": "hash"}]},
          {"name": "after", "after": "p", "notify": {"command": ["./tell.sh", "after"]},
           "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}]}
END
run_bm run -q n.json
[ "$(field after '[.state, .summary.jobs_skipped]')" = '["skipped",1]' ] || fail "$(cat after.json)"
cat >n.json <<'END'
{"name": "conflict", "notify": {"command": ["./tell.sh", "conflict"]},
 "steps": [{"step": "read", "from": ["in/one", "in/two"]}, {"step": "write", "to": "flat/x"}]}
END
run_bm run -q --dry-run n.json
expect_exit 2
[ ! -e conflict.json ] || fail "a dry run told somebody"
run_bm run -q n.json
expect_exit 2
[ "$(field conflict '[.state, .exit_code, (.failures[0] | test("would both be written here"))]')" = '["not_started",2,true]' ] ||
	fail "$(cat conflict.json)"
# A run that is killed cannot tell; it is told all the same. So is one that a signal stops.
victim=
held() { grep -qs "^pid $victim$" "$BYTEMILL_STATE"/locks/*.lock; }
for signal in KILL TERM; do
	notify_job n.json "sig$signal" failure '"gate"'
	"$BYTEMILL" run -q n.json >/dev/null 2>&1 &
	victim=$!
	wait_until held
	exec 9>gate # opens once the run has it open
	kill -$signal "$victim"
	wait "$victim" 2>/dev/null || true
	exec 9>&-
	wait_until test -s "sig$signal.json"
done
[ "$(field sigKILL '[.state, .exit_code, .summary]')" = '["killed",null,null]' ] || fail "$(cat sigKILL.json)"
[ "$(field sigTERM '[.state, .exit_code, .summary.cancelled]')" = '["failed",143,true]' ] || fail "$(cat sigTERM.json)"
# The lock is free once the process is gone, whatever its helper does.
cat >n.json <<'END'
{"name": "slow", "notify": {"command": ["sh", "-c", "read x <gate2; cat >slow.json"]},
 "steps": [{"step": "read", "from": "gate"}, {"step": "hash"}]}
END
mkfifo gate2
"$BYTEMILL" run -q n.json >/dev/null 2>&1 &
victim=$!
wait_until held
exec 9>gate
kill -KILL "$victim"
wait "$victim" 2>/dev/null || true
exec 9>&-
echo go >gate &
run_bm run -q n.json
expect_exit 0
echo go >gate2
wait_until test -s slow.json

# A command that fails is a warning, and changes nothing else.
notify_with() { # notify_with COMMAND TIMEOUT: runs f.json
	printf '{"name": "f", "notify": {"on": "always", "command": %s, "timeout": "%s"}, "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}' \
		"$1" "$2" >f.json
	run_bm run -q f.json
	expect_exit 0
	expect_no_stdout
}
notify_with '["false"]' 60s
expect_stderr <<<'bytemill: warning: f: the notify command false failed with exit code 1'
notify_with '["./no-such-program"]' 60s
expect_stderr <<'END'
bytemill: warning: f: the notify command ./no-such-program cannot be run as things are: No such file or directory
bytemill: warning: f: the notify command ./no-such-program cannot be run: No such file or directory
END
# That is told at the start, too, and where nothing fails.
: >sub/not-executable
mkdir -p bin/hidden sub/a-dir
cp tell.sh bin/hidden/tell-me
chmod -x bin/hidden/tell-me
while IFS='|' read -r command text; do
	printf '{"name": "g", "notify": {"command": %s}, "steps": [{"step": "read", "from": "../in"}, {"step": "hash"}]}' "$command" >sub/g.json
	for args in 'run -q' validate; do
		# shellcheck disable=SC2086
		PATH=$PWD/bin/hidden:$PWD/sub:$PATH run_bm $args sub/g.json
		expect_exit 0
		if [ -z "$text" ]; then
			expect_no_stderr
		else
			expect_stderr <<<"bytemill: warning: g: the notify command $text"
		fi
	done
done <<'END'
["./tell.sh"]|
["cat", "no-such-file"]|
["no-such-program"]|no-such-program cannot be run as things are (it is looked for along PATH): No such file or directory
["../tell.sh/x"]|../tell.sh/x cannot be run as things are: Not a directory
["./a-dir"]|./a-dir cannot be run as things are: Is a directory
["./not-executable"]|./not-executable cannot be run as things are: Permission denied
["tell-me"]|tell-me cannot be run as things are (it is looked for along PATH): Permission denied
["a-dir"]|a-dir cannot be run as things are (it is looked for along PATH): No such file or directory
END
notify_with '["sh", "-c", "kill -TERM $$"]' 60s
expect_stderr <<<'bytemill: warning: f: the notify command sh was killed by signal 15'
notify_with '["sh", "-c", "sleep 60 & wait"]' 200ms
expect_stderr <<<'bytemill: warning: f: the notify command sh took longer than 0.2 s and was ended'
notify_with '["sh", "-c", "trap : TERM; echo $$ >stubborn; while :; do read x <gate2; done"]' 200ms
expect_stderr_match '^bytemill: warning: f: the notify command sh took longer than 0\.2 s and was ended$'
! kill -0 "$(<stubborn)" 2>/dev/null || fail "a command outlived its time limit"
# A signal that comes while a command runs does not wait for its time limit: it and those that it has started are ended, the
# next one is not begun, and both are told.
cat >two.json <<'END'
{"jobs": [{"name": "f1", "notify": {"on": "always", "timeout": "1h",
           "command": ["sh", "-c", "(trap '' TERM; echo $$ >stopped; while :; do read x <gate2; done) & wait"]},
           "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]},
          {"name": "f2", "notify": {"on": "always", "command": ["touch", "never"]},
           "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}]}
END
last="(stopped while it notifies) run -q two.json" status=0
"$BYTEMILL" run -q two.json >"$stdout" 2>"$stderr" &
victim=$!
wait_until test -s stopped
kill -TERM $victim
wait $victim || status=$?
expect_exit 143
expect_stderr <<'END'
bytemill: warning: f1: the notify command sh took longer than 3 s after SIGTERM and was ended
bytemill: warning: f2: the notify command touch was not started: SIGTERM
END
group_is_gone() { ! ps -eo pgid=,stat= | awk -v g="$(<stopped)" '$1 == g && $2 !~ /^Z/ { found = 1 } END { exit !found }'; }
wait_until group_is_gone
[ ! -e never ] || fail "a command was started long after the signal"
# It reads nothing: no matter. Its words are its own; what it prints goes to standard error.
notify_with '["echo", "a  b", "$HOME"]' 60s
expect_stderr <<<'a  b $HOME'

# Nothing waits for a command that leaves somebody behind, and a time limit takes those with it who would not end.
notify_with '["sh", "-c", "(trap : TERM; exec 2>&-; echo $BASHPID $PPID >/dev/null; while :; do read x <gate2; done) & echo $! >child; wait"]' 200ms
! kill -0 "$(<child)" 2>/dev/null || [ "$(ps -o stat= -p "$(<child)" | cut -c1)" = Z ] || fail "a child outlived the time limit"
# All of its descriptors are its own: none of the run's (lock, log, socket) and none of the helper's.
notify_with '["sh", "-c", "ls /proc/self/fd >fds"]' 60s
expect_no_stderr
[ "$(grep -cv '^[0123]$' fds)" = 0 ] || fail "it has descriptors: $(cat fds)" # 3 is the directory that ls lists
# It gets signals as a program of the user's does, also where the run ignores some.
(trap '' PIPE HUP; notify_with '["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]' 60s; cat "$stderr" >sigs)
# Two that are glibc's own, 32 and 33, are ignored in all that posix_spawn starts.
while read -r _ mask; do (((16#$mask & 0x7fffffff) == 0)) || fail "$(cat sigs)"; done <sigs
# Names as long as can be, of which each byte takes six in JSON, and a command that reads none of it or a part.
long=$(printf '\001%.0s' {1..240})
mkdir -p "in2/$long/$long/$long" && touch "in2/$long/$long/$long"/{1..30}
python3 - <<'END'
import json
json.dump({"name": "f", "notify": {"command": ["./tell.sh", "huge"]}, "steps": [
    {"step": "read", "from": "in2"}, {"step": "decompress", "format": "zstd"}, {"step": "write", "to": "out2/{path}"}]}, open("n.json", "w"))
END
run_bm run -q n.json
expect_exit 1
[ "$(field huge '[(.failures | length), .failures_left_out, .files_failed]')" = '[20,10,30]' ] || fail "$(head -c 2000 huge.json)"
sed -i 's|"./tell.sh", "huge"|"head", "-c", "1"|' n.json
run_bm run -q n.json
expect_exit 1
expect_stderr_no_match notify
# What verify finds is no success.
printf one >in3; mkdir v; printf two >v/in3
sha256sum in3 >sums
cat >n.json <<'END'
{"name": "verified", "notify": {"command": ["./tell.sh", "verified"]},
 "steps": [{"step": "read", "from": "v"}, {"step": "verify", "manifest": "sums"}]}
END
run_bm run -q n.json
expect_exit 3
[ "$(field verified '[.state, .exit_code, .differences]')" = '["failed",3,1]' ] || fail "$(cat verified.json)"
cp in3 v/in3
touch v/more
run_bm run -q n.json
expect_exit 3
[ "$(field verified '[.state, .exit_code, .differences]')" = '["different",3,1]' ] || fail "$(cat verified.json)"
# Results that did not get out are no success either.
cat >n.json <<'END'
{"name": "full", "notify": {"command": ["./tell.sh", "full"]},
 "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "-"}]}
END
"$BYTEMILL" run -q n.json >/dev/full 2>/dev/null && fail "results were lost and nothing said"
[ "$(field full '[.state, .exit_code]')" = '["failed",1]' ] || fail "$(cat full.json)"
# Standard error is closed, or a pipe that nobody reads: the run takes no notice.
printf '{"name": "f", "notify": {"on": "always", "command": ["false"]}, "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}' >f.json
"$BYTEMILL" run -q f.json 2>&- || fail "without standard error: $?"
mkfifo nobody
exec 8<>nobody 9>nobody 8<&-
"$BYTEMILL" run -q f.json 2>&9 || fail "with a broken pipe for standard error: $?"
exec 9>&-
