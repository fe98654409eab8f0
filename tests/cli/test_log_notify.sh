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
expect_stderr_match '^bytemill: error: in: the log cannot be opened: Is a directory$'
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
