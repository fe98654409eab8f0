#!/bin/bash
# Readers that take their time: who pauses is waited for, who takes too little is cut off, and nobody is waited for at the
# cost of others.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir out
head -c 16000000 /dev/urandom >out/large
cat >slow.py <<'END'
import hashlib, http.client, os, socket, sys, time
PORT = int(os.environ["port"])

def connect(rcvbuf=1 << 20):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.settimeout(120)
    s.connect(("127.0.0.1", PORT))
    return s

def reader(rcvbuf=1 << 20):
    s = connect(rcvbuf)
    s.sendall(b"GET /v1/files/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return s

def rest(s, most=1 << 30, pause=0):
    """All that comes from now on; how many bytes, and their digest where all of them came."""
    data = bytearray()
    try:
        while len(data) < most and (part := s.recv(65536)):
            data += part
            time.sleep(pause)
    except ConnectionResetError:
        pass
    body = data.partition(b"\r\n\r\n")[2]
    return len(body), hashlib.sha256(body).digest()

def silent_is_cut():
    """Who says nothing is cut off after --timeout: so one has gone by."""
    s = connect()
    assert s.recv(1) == b""

def metric(name):
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    c.request("GET", "/metrics", headers={"Connection": "close"})
    text = c.getresponse().read().decode()
    c.close()
    return int(text.split("\nbytemill_serve_%s " % name)[1].split()[0])

with open("out/large", "rb") as f:
    content = f.read()
WHOLE = len(content), hashlib.sha256(content).digest()
if sys.argv[1] == "patience":
    s = reader()
    for i in range(2): silent_is_cut()
    assert rest(s) == WHOLE, "a reader that paused"
    # In place of others nobody is waited for.
    s = reader()
    end = time.monotonic() + 100
    while metric("connections") > 1:
        assert time.monotonic() < end, "a reader that pauses keeps its connection from others"
        others = [connect() for i in range(14)]
        for o in others:
            try:
                o.recv(1)
            except ConnectionResetError:
                pass
            o.close()
    assert rest(s) != WHOLE
elif sys.argv[1] == "rate":
    # 64 KiB in 50 ms are 1.25 MiB a second at the most.
    found = rest(reader(65536), pause=0.05)
    assert found[0] < WHOLE[0], "a reader that takes too little"
    assert metric("connections_cut_total") == 1
    # And over the time that a player is paused, too.
    s = reader()
    end = time.monotonic() + 100
    while metric("connections") > 1:
        assert time.monotonic() < end, "a reader that takes nothing"
        time.sleep(0.1)
END
serve_start --outbox out --timeout 1s --read-timeout 1h --connections 16
$python slow.py patience || fail "slow.py"
serve_stop
serve_start --outbox out --timeout 1s --read-timeout 2s --min-rate 10MiB
$python slow.py rate || fail "slow.py"
serve_stop
