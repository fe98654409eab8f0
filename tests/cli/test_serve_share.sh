#!/bin/bash
# Runs and uploads share one budget and never wait for one another: senders that have stopped in the middle of a body keep
# nobody from memory that is not theirs; a run that waits holds up no upload; who does not fit in is told so.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir in tree jobs
echo data >tree/f
mkfifo gate
echo '{"steps": [{"step": "read", "from": "'"$tmp"'/tree"}, {"step": "write", "to": "'"$tmp"'/copy/{path}"}]}' >jobs/copy.json
echo '{"steps": [{"step": "read", "from": "'"$tmp"'/gate"}, {"step": "write", "to": "'"$tmp"'/waited"}]}' >jobs/wait.json
# Half of 8 MiB is for runs; of the rest 8 uploads have a chunk and a ring of 256 KiB each.
serve_start --inbox in --jobs jobs --memory 8MiB --threads 2
cat >share.py <<'END'
import http.client, json, os, socket, time
port = int(os.environ["port"])

def call(method, path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    c.request(method, path, body, {"Connection": "close"})
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, data

def run(job):
    status, data = call("POST", "/v1/runs", json.dumps({"job": job}))
    assert status == 202, data
    return json.loads(data)["id"]

def wait(run, state):
    end = time.monotonic() + 60
    while json.loads(call("GET", "/v1/runs/" + run)[1])["state"] != state:
        assert time.monotonic() < end, (run, state)
        time.sleep(0.02)

SIZE = 1 << 20
def sender(name):
    s = socket.create_connection(("127.0.0.1", port), timeout=120)
    s.sendall(b"PUT /v1/files/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (name.encode(), SIZE))
    s.sendall(b"x" * (SIZE // 2 + 1000))
    return s

def taken():
    text = call("GET", "/metrics")[1].decode()
    return int(text.split("\nbytemill_serve_upload_bytes_total ")[1].split()[0])

# A run that waits, and senders that wait, too.
waits = run("wait")
wait(waits, "running")
assert call("PUT", "/v1/files/meanwhile", b"y" * SIZE)[0] == 201, "an upload beside a run that waits"
done = taken()
senders = [sender("s%d" % i) for i in range(8)]
end = time.monotonic() + 60
while taken() < done + 8 * (SIZE // 2 + 1000):  # all of it is in: each holds its chunk
    assert time.monotonic() < end
    time.sleep(0.02)
assert call("PUT", "/v1/files/more", b"z")[0] == 503, "more than fit in"
# A run beside senders that wait: it has memory of its own.
with open("gate", "w") as gate:
    gate.write("through\n")
wait(waits, "done")
wait(run("copy"), "done")
for s in senders:
    s.sendall(b"x" * (SIZE - SIZE // 2 - 1000))
for s in senders:
    assert s.recv(1000).startswith(b"HTTP/1.1 201")
for i in range(8):
    with open("in/s%d" % i, "rb") as f:
        assert f.read() == b"x" * SIZE
assert call("PUT", "/v1/files/more", b"z")[0] == 201
END
$python share.py || fail "share.py"
[ "$(cat waited)" = through ] && expect_same tree/f copy/f
serve_stop
expect_no_temp in
