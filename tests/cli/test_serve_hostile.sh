#!/bin/bash
# Clients that mean harm, or that break down: the right status where there can be one, nothing published, no temp file
# left, and others are served all the while.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir in out
head -c 40000000 /dev/zero >out/large
echo ok >out/f
serve_start --inbox in --outbox out --timeout 1s --read-timeout 2s --max-upload 64MiB --connections 300

cat >hostile.py <<'END'
import http.client, json, os, socket, sys, threading, time
PORT = int(os.environ["port"])

def connect():
    s = socket.create_connection(("127.0.0.1", PORT))
    s.settimeout(60)
    return s

def answer(s):
    """Status of the first final reply, None where the connection ends without one."""
    data = b""
    while True:
        try:
            part = s.recv(65536)
        except ConnectionResetError:
            part = b""
        data += part
        while data.startswith(b"HTTP/1.1 100") and b"\r\n\r\n" in data:
            data = data.split(b"\r\n\r\n", 1)[1]
        if not part or b"\r\n\r\n" in data:
            break
    return int(data.split(b" ")[1]) if data.startswith(b"HTTP/1.1 ") else None

def ask(raw, shut=True):
    s = connect()
    try:
        s.sendall(raw)
        if shut:
            s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    status = answer(s)
    s.close()
    return status

def served():
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("GET", "/v1/files/f")
    r = c.getresponse()
    assert (r.status, r.read()) == (200, b"ok\n")
    c.close()

def expect(what, found, *allowed):
    if found not in allowed:
        sys.exit("%s: %s, not %s" % (what, found, allowed))

PUT = b"PUT /v1/files/bad HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"x" * 1000
# Lengths that lie, and what can be read in two ways. A connection that just ends is what a body that is too short gets.
for head in (b"Content-Length: 2000\r\n", b"Content-Length: 18446744073709551615\r\n"):
    expect(head, ask(PUT + head + b"\r\n" + BODY), None, 413)
for head in (b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: 10, 20\r\n", b"Content-Length: 0x10\r\n",
             b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 1000\r\nTransfer-Encoding: chunked\r\n",
             b"Content-Length: \r\n", b"Content-Length: 5 5\r\n"):
    expect(head, ask(PUT + head + b"\r\n" + BODY), 400, 413, None)
for head in (b"Content-Length : 5\r\n", b"Content-Length\t: 5\r\n", b"Content-Length:\r\n 5\r\n", b"Content-Length: 5\r\n 6\r\n",
             b"Transfer-Encoding:\r\n chunked\r\n", b"Transfer-Encoding : chunked\r\n", b"X(): y\r\n", b" X: y\r\n"):
    expect(head, ask(PUT.replace(b"bad", b"good") + head + b"\r\n" + BODY), 400)
for value in (b"gzip, chunked", b"identity", b"xchunked"):
    expect(value, ask(PUT + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n", False), 501)
expect("body of a GET", ask(b"GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"), 400)
expect("too large", ask(PUT + b"Content-Length: 10000000000000000000\r\n\r\n" + BODY), 413)
# Chunks.
CH = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
for body in (b"zz\r\nxx\r\n0\r\n\r\n", b"-5\r\nxxxxx\r\n0\r\n\r\n", b"5\r\nxxxxxyy\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\nx\r\n0\r\n\r\n",
             b"5\r\nxxxxx\r\n", b"5\r\nxx", b"5", b"", b"5\r\nxxxxx\r\n0", b"\r\n\r\n", b"5;" + b"a" * 200000 + b"\r\nxxxxx\r\n0\r\n\r\n"):
    expect(body[:40], ask(CH + body), 400, 413, 431, 500, None)  # 500: libmicrohttpd, of an endless line
def problem(what, raw, status):
    """The refusal is a JSON problem, and the connection ends after it."""
    s = connect()
    s.sendall(raw)
    s.shutdown(socket.SHUT_WR)
    data = b""
    while part := s.recv(65536):
        data += part
    s.close()
    head, _, body = data.partition(b"\r\n\r\n")
    expect(what, int(head.split(b" ")[1]) if head else None, status)
    if b"content-type: application/problem+json" not in head.lower() or json.loads(body)["status"] != status:
        sys.exit("%s: no problem: %s" % (what, data))
GET = b"GET /v1/files/f HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
problem("other encoding", PUT + b"Transfer-Encoding: gzip\r\n\r\n" + BODY, 501)
problem("two encodings", PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY, 501)
problem("chunks in HTTP/1.0", PUT.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
problem("a length twice", PUT + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY, 400)
problem("length and chunks", PUT + b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
problem("no host", GET + b"\r\n", 400)
problem("two hosts", GET + HOST + b"Host: evil\r\n\r\n", 400)
problem("a blank before the colon", PUT + b"Content-Length : 5\r\n\r\nhello", 400)
problem("a blank in the path", b"GET /v1/files/a b HTTP/1.1\r\n" + HOST + b"\r\n", 400)
problem("an unknown method", b"BREW /v1/files/f HTTP/1.1\r\n" + HOST + b"\r\n", 405)
expect("HTTP/1.0 without a host", ask(b"GET /v1/files/f HTTP/1.0\r\n\r\n", shut=False), 200)
# What libmicrohttpd answers by itself has the right status, and is counted.
def metric(name):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    return int(text.split("\n%s " % name)[1].split()[0])
before = metric('bytemill_serve_replies_4xx_total')
for what, raw, status in (
        ("no version", b"GET /\r\n\r\n", 400), ("no colon", GET + HOST + b"xyz\r\n\r\n", 400),
        ("no number", PUT + b"Content-Length: -1\r\n\r\n", 400), ("too many digits", PUT + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
        ("a bad chunk", CH + b"zz\r\nxx\r\n0\r\n\r\n", 400), ("a huge chunk", CH + b"ffffffffffffffffffff\r\nx\r\n0\r\n\r\n", 413)):
    expect(what, ask(raw, shut=False), status)
found = metric('bytemill_serve_replies_4xx_total') - before
assert found == 6, found
# Heads.
expect("1 MiB of headers", ask(b"GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\n" + b"X-Long: " + b"y" * (1 << 20) + b"\r\n\r\n"), 400, 413, 431, None)
expect("100,000 headers", ask(b"GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 100000 + b"\r\n"), 400, 413, 431, None)
expect("1 MiB of path", ask(b"GET /" + b"y" * (1 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, 413, 414, 431, None)
expect("garbage", ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))), 400, None)
# libmicrohttpd ends the path there.
expect("NUL in the path", ask(b"GET /v1/files/nope\0x HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, 404, None)
expect("NUL in a field", ask(b"GET /v1/files/f HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n"), 200, 400, None)
expect("half a line", ask(b"GET /v1/fi"), None)
expect("nothing", ask(b""), None)
served()

# A body that is announced, refused, and sent all the same.
expect("sent all the same", ask(b"PUT /v1/files/../x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000), 400, None)
# 100-continue: not before the head was looked at, and not where the answer is known.
s = connect()
s.sendall(PUT.replace(b"bad", b"good") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
s.sendall(b"hello")
expect("after 100", answer(s), 201)
s = connect()
s.sendall(PUT + b"Expect: 100-continue\r\nContent-Length: 100000000\r\n\r\n")
assert s.recv(1000).startswith(b"HTTP/1.1 413 ")

# Clients that vanish in the middle of a body, in any way, a hundred of them.
def vanish(i):
    s = connect()
    s.sendall(PUT.replace(b"bad", b"bad%d" % i) + b"Content-Length: 1000000\r\n\r\n" + b"x" * (i * 9001))
    if i % 2:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
    s.close()
threads = [threading.Thread(target=vanish, args=(i,)) for i in range(100)]
for t in threads: t.start()
for t in threads: t.join()
served()

# Slow ones, all at once: a head that never ends, a body that trickles, a reader who does not read, one who says nothing.
start = time.monotonic()
slow = []
for kind in range(40):
    s = connect()
    slow.append(s)
    if kind % 4 == 0: s.sendall(b"GET /v1/fi")
    if kind % 4 == 1: s.sendall(PUT + b"Content-Length: 5000\r\n\r\nx")
    if kind % 4 == 2: s.sendall(b"GET /v1/files/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
def connections():
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    return int(text.split("\nbytemill_serve_connections ")[1].split()[0])
alive = {k for k in range(40) if k % 4 != 2}
while alive or connections() > 1:  # of whoever does not read the kernel tells him nothing
    if time.monotonic() - start > 60:
        sys.exit("not cut off: %s" % alive)
    time.sleep(0.25)
    served()
    for k in list(alive):
        try:
            if k % 4 in (0, 1): slow[k].sendall(b"x")
            slow[k].setblocking(False)
            if k % 4 == 3 and slow[k].recv(1) == b"": alive.discard(k)
        except BlockingIOError:
            pass
        except OSError:
            alive.discard(k)
took = time.monotonic() - start
assert took > 0.5, took
END
$python hostile.py || fail "hostile.py"

no_upload_left() {
	req "$url/metrics"
	grep -qx 'bytemill_serve_upload_memory_bytes 0' body
}
wait_until no_upload_left
[ "$(ls in)" = good ] && [ "$(cat in/good)" = hello ] || fail "in the inbox: $(ls in)"
serve_stop
expect_no_temp in

# SIGTERM in the middle of a transfer: what is under way ends well, nobody new comes in.
cat >drain.py <<'END'
import os, signal, socket, sys, time
port, pid, mode = int(os.environ["port"]), int(sys.argv[1]), sys.argv[2]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"PUT /v1/files/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n" % mode.encode() + b"y" * 1000000)
while not any(n.startswith(".bytemill-") for n in os.listdir("in")):
    time.sleep(0.01)
os.kill(pid, signal.SIGKILL if mode == "killed" else signal.SIGTERM)
if mode == "killed":
    sys.exit()
while True:  # refused from now on
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.01)
    except ConnectionRefusedError:
        break
    except ConnectionResetError:
        pass
if mode == "finish":
    s.sendall(b"y" * 1000000)
    assert s.recv(1000).startswith(b"HTTP/1.1 201"), "finish"
else:
    s.settimeout(60)
    try:
        assert b"201" not in s.recv(1000)
    except ConnectionResetError:
        pass
END
serve_start --inbox in
$python drain.py $serve_pid finish
wait $serve_pid || fail "ended with $?"
[ "$(stat -c %s in/finish)" = 2000000 ] || fail "not all of it"
serve_start --inbox in --drain 1s
$python drain.py $serve_pid cut
rc=0
wait $serve_pid || rc=$?
[ $rc = 1 ] || fail "cut off, and the exit code is $rc"
expect_no_temp in
# kill -9: what was under way is not there, and its temp file is removed when the service comes back.
serve_start --inbox in
$python drain.py $serve_pid killed
wait $serve_pid || true
serve_start --inbox in
wait_until expect_no_temp in
[ "$(ls in)" = $'finish\ngood' ] || fail "in the inbox: $(ls in)"
serve_stop

# A full disk: 507, the old file stays, no temp file is left; there is room again, it goes on.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=1m,mode=700 none small 2>/dev/null; then
	at_end "umount '$tmp/small'"
	serve_start --inbox small
	head -c 500000 /dev/urandom >half
	head -c 5000000 /dev/urandom >much
	req -T half "$url/v1/files/keep"
	expect_code 201
	for length in 'Content-Length: 5000000' 'Transfer-Encoding: chunked'; do
		req -T much -H "$length" "$url/v1/files/keep"
		expect_problem 507
		expect_same half small/keep
		expect_no_temp small
	done
	req -T half "$url/v1/files/more"
	expect_code 201
	serve_stop
else
	echo "skipped: a full disk (no tmpfs can be mounted)"
fi
