#!/bin/bash
# The bar: on a terminal, and nowhere else; a line of text never stands beside what is left of it.
. "$(dirname "$0")/lib.sh"

need_cmd "$python"
mkdir in
for i in 1 2 3; do echo $i >in/$i; done
ln -s nowhere in/link
cat >job.json <<'END'
{"steps": [{"step": "read", "from": ["in", "missing", "-"]}, {"step": "hash", "manifest": "sums"}]}
END

# terminal.py COLUMNS COMMAND...: stderr is a terminal, stdin a pipe that brings something for a second and a half.
cat >terminal.py <<'END'
import fcntl, os, pty, struct, subprocess, sys, termios, threading, time
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=slave,
                         start_new_session=True)
os.close(slave)
def feed():
    try:
        for _ in range(15):
            child.stdin.write(b'x' * 100000)
            child.stdin.flush()
            time.sleep(0.1)
        child.stdin.close()
    except OSError:
        pass
threading.Thread(target=feed, daemon=True).start()
seen = b''
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    if not data:
        break
    seen += data
sys.stdout.buffer.write(seen.replace(b'\r\n', b'\n'))
sys.exit(child.wait())
END
on_terminal() { # on_terminal COLUMNS ARG...: what the terminal got is in the file seen
	status=0
	last="$* (on a terminal)"
	"$python" terminal.py "$1" "$BYTEMILL" "${@:2}" >seen 2>"$stderr" || status=$?
}
export TERM=xterm

on_terminal 80 run job.json
expect_exit 1 # missing
grep -q $'\r.*[0-9] [KM]iB.*\e\\[K' seen || fail "no bar: $(cat -v seen)"
# After the bar was taken away every line starts at the first column; the last line is the summary.
grep -aq $'^\\(.*\r\e\\[K\\)\\?bytemill: 4 files done, 1 failed' seen || fail "the summary: $(cat -v seen)"
if grep -aoE $'\r[^\r\e]{80,}' seen; then fail "wider than the terminal"; fi

on_terminal 30 run -q job.json
if grep -q $'\r' seen; then fail "a bar with --quiet: $(cat -v seen)"; fi
on_terminal 80 run --progress never --no-color job.json
if grep -q $'[\r\e]' seen; then fail "a bar or colour: $(cat -v seen)"; fi
TERM=dumb on_terminal 80 run job.json
if grep -q $'[\r\e]' seen; then fail "a bar or colour on a dumb terminal: $(cat -v seen)"; fi
NO_COLOR=1 on_terminal 80 run --progress never job.json
if grep -q $'\e' seen; then fail "colour in spite of NO_COLOR: $(cat -v seen)"; fi
on_terminal 80 run --progress never job.json
grep -q $'\e\\[31merror:\e\\[0m' seen || fail "no colour: $(cat -v seen)"

# In a pipe: nothing; with always, lines.
{ sleep 1; } | run_bm run job.json
expect_stderr_no_match $'[\r\e]'
{ sleep 2; } | run_bm run --progress always job.json
expect_stderr_no_match $'[\r\e]'
expect_stderr_match '^bytemill: [0-9.]+ [KMG]?i?B.* files?'
