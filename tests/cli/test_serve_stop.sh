#!/bin/bash
# A service that is stopped while others send: it ends as it should, whatever they begin meanwhile, and is in nobody's way.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

# Forms of many small files, the next of which comes when the service has given up all that were under way; then a byte
# now and then, so that no time-out ends it.
cat >forms.py <<'END'
import os, signal, socket, sys, threading, time
port, pid = int(os.environ["port"]), int(sys.argv[1])
stopped = threading.Event()
HEAD = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=BB\r\nContent-Length: %d\r\n\r\n"

def form(i, s):
    try:
        s.sendall(HEAD % (1 << 40))
        n, end = 0, None
        while end is None or time.monotonic() < end:
            n += 1
            s.sendall(b'--BB\r\nContent-Disposition: form-data; name="a"; filename="%d-%d"\r\n\r\nxxxxx\r\n' % (i, n))
            if end is None and stopped.is_set():
                end = time.monotonic() + 0.05
        while True:
            s.sendall(b"x")
            time.sleep(0.02)
    except OSError:
        pass

threads = [threading.Thread(target=form, args=(i, socket.create_connection(("127.0.0.1", port)))) for i in range(10)]
for t in threads: t.start()
while len(os.listdir("in")) < 20:
    time.sleep(0.01)
os.kill(pid, signal.SIGTERM)
stopped.set()
for t in threads: t.join()
END
mkdir in
# (A sender who is told the end of the connection, and not that it was reset, may wait for 110 s.)
for round in 1 2 3; do
	serve_start --inbox in --memory 64MiB --drain 1ms
	timeout 60 $python forms.py $serve_pid || fail "round $round: the service lets senders go on for ever"
	rc=0
	wait $serve_pid || rc=$?
	[ $rc = 1 ] || fail "round $round: ended with $rc, not 1: $(cat serve.log)"
	expect_no_temp in
	[ -z "$(find in -type f ! -size 5c)" ] || fail "not whole: $(find in -type f ! -size 5c)"
	rm -r in
	mkdir in
done

# The next service takes over the name of a UNIX socket while the one before still drains, and keeps it.
cat >half.py <<'END'
import os, signal, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect("sock")
s.sendall(b"PUT /v1/files/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1000000)
while not any(n.startswith(".bytemill-") for n in os.listdir("in")):
    time.sleep(0.01)
os.kill(int(sys.argv[1]), signal.SIGTERM)
while not os.path.exists("next"):
    time.sleep(0.01)
s.sendall(b"x" * 1000000)
s.settimeout(60)
assert s.recv(1000).startswith(b"HTTP/1.1 201")
END
serve_at_sock() {
	rm -f serve.log
	"$BYTEMILL" serve --inbox in --listen "unix:$tmp/sock" 2>serve.log &
	serve_pid=$!
	at_end "kill -9 $serve_pid 2>/dev/null"
	serve_await
}
serve_at_sock
first=$serve_pid
$python half.py "$first" &
half=$!
is_free() { ! curl -s --unix-socket sock http://localhost/healthz >/dev/null; }
wait_until is_free
serve_at_sock
touch next
wait $half || fail "half.py"
wait "$first" || fail "the first one ended with $?"
[ "$(stat -c %s in/half)" = 2000000 ] || fail "not all of it"
req --unix-socket sock http://localhost/healthz
expect_code 200
serve_stop
[ ! -e sock ] || fail "the socket is left"
