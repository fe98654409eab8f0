#!/bin/bash
# A thousand idle clients and two hundred slow ones, who send or fetch a little at a time, all at once: every one is served,
# others meanwhile too, and memory stays within its budget.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 4000 ] || skip "too few files may be open here"
ulimit -n 4000

mkdir in out
head -c 2000000 /dev/urandom >out/f
serve_start --inbox in --outbox out --memory 256MiB
cat >many.py <<'END'
import hashlib, http.client, os, selectors, socket, time
port = int(os.environ["port"])
data = open("out/f", "rb").read()
def connect():
    return socket.create_connection(("127.0.0.1", port), timeout=60)
idle = [connect() for _ in range(1000)]
STEPS = 10
senders, readers = [], []
for i in range(100):
    s = connect()
    s.sendall(b"PUT /v1/files/f%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (i, len(data)))
    senders.append(s)
for i in range(100):
    s = connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
    s.sendall(b"GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    readers.append([s, b""])
part = len(data) // STEPS - 1
for step in range(STEPS):
    for s in senders:
        s.sendall(data[step * part:(step + 1) * part])
    for r in readers:
        while len(r[1]) < (step + 1) * part:
            got = r[0].recv(65536)
            assert got
            r[1] += got
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("GET", "/healthz")
    assert c.getresponse().status == 200
    c.close()
# No thread waits for any of them: those of one pool, of as many threads as there are CPUs and 16, libmicrohttpd's and a few more.
threads = int(open("/proc/%s/status" % os.environ["serve_pid"]).read().split("\nThreads:")[1].split()[0])
assert threads <= os.cpu_count() + 16 + 10, "%d threads" % threads
for s in senders:
    s.sendall(data[STEPS * part:])
for s in senders:
    assert s.recv(1000).startswith(b"HTTP/1.1 201"), "a slow sender was not served"
for s, text in readers:
    while got := s.recv(65536):
        text += got
    assert text.split(b"\r\n\r\n", 1)[1] == data, "a slow reader was not served"
for i in range(100):
    assert open("in/f%d" % i, "rb").read() == data
for s in idle:
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
for s in idle:
    assert s.recv(1000).startswith(b"HTTP/1.1 200"), "an idle client was not served"
END
serve_pid=$serve_pid $python many.py || fail "many.py"
peak=$(awk '/^VmHWM/ { print $2 }' /proc/$serve_pid/status)
echo "peak memory: $peak KiB"
[ -n "${BM_SANITIZE:-}" ] || [ "$peak" -le $(((256 + 64) * 1024)) ] || fail "peak memory: $peak KiB"
serve_stop
expect_no_temp in
