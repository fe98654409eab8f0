#!/bin/bash
# Under systemd, or what does as it does: systemd-socket-activate hands over the socket, and a socket takes what the service
# says of itself. A stop in the middle of a body lets that end.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"
need_cmd systemd-socket-activate

mkdir in out
echo known >out/f
cat >notified.py <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
s.settimeout(120)
while True:
    text = s.recv(4096).decode()
    with open("notified", "a") as f:
        f.write(text.strip() + "\n")
    if "STOPPING=1" in text:
        break
END
$python notified.py &
listener=$!
at_end "kill $listener 2>/dev/null"
wait_until test -S notify
systemd-socket-activate -l "$tmp/socket" -E NOTIFY_SOCKET="$tmp/notify" -E BYTEMILL_STATE="$BYTEMILL_STATE" -E PATH="$PATH" \
	"$BYTEMILL" serve --inbox in --outbox out --timeout 60s --drain 60s 2>serve.log &
serve_pid=$!
at_end "kill -9 $serve_pid 2>/dev/null"
wait_until test -S socket
[ ! -e notified ] || fail "ready before anybody has called"
# The first call starts it, and is answered by it.
req --unix-socket socket http://localhost/v1/files/f
expect_code 200
[ "$(cat body)" = known ] || fail "$(cat body)"
wait_until grep -qx READY=1 notified
cat >half.py <<'END'
import os, signal, socket, sys, time
pid = int(sys.argv[1])
s = socket.socket(socket.AF_UNIX)
s.settimeout(120)
s.connect("socket")
s.sendall(b"PUT /v1/files/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n" + b"y" * 1000000)
while not any(n.startswith(".bytemill-") for n in os.listdir("in")):
    time.sleep(0.01)
os.kill(pid, signal.SIGTERM)
while "STOPPING=1" not in open("notified").read():
    time.sleep(0.01)
s.sendall(b"y" * 1000000)
assert s.recv(1000).startswith(b"HTTP/1.1 201")
END
$python half.py $serve_pid || fail "half.py: $(cat serve.log)"
rc=0
wait $serve_pid || rc=$?
[ "$rc" = 0 ] || fail "it ended with $rc: $(cat serve.log)"
wait $listener
[ "$(grep -c . notified)" = 2 ] && [ "$(tail -n 1 notified)" = STOPPING=1 ] || fail "what it said: $(cat notified)"
[ "$(stat -c %s in/half)" = 2000000 ] || fail "the body that was under way"
expect_no_temp in
# The socket is systemd's: who comes next is for the next one.
[ -S socket ] || fail "the socket was removed"
