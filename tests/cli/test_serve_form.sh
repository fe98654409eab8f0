#!/bin/bash
# The files of an HTML form: as curl and as a browser send them, in pieces of any size, malformed, cut.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir in jobs
cat >jobs/pack.json <<END
{"steps": [{"step": "read", "from": "x"}, {"step": "compress", "format": "gzip"}, {"step": "write", "to": "$tmp/in/{path}.gz"}]}
END
serve_start --inbox in --jobs jobs --max-upload 4MiB
head -c 3000000 /dev/urandom >large
: >empty
printf '\r\n--\r\n\r\n-----\r\r\n' >traps
echo "quoted" >'a "b" \c;d.txt'

req -F note=hello -F "f=@large" -F "f=@empty" -F 'f=@traps;filename=C:\dir\traps' -F 'f=@"a \"b\" \\c;d.txt"' "$url/v1/files?dir=some/where"
expect_code 201
for f in large empty traps; do expect_same $f in/some/where/$f; done
expect_json ".files | length == 4 and .[0].path == \"some/where/large\" and .[0].bytes == 3000000 and .[0].digests.sha256 == \"$(sha256sum large | cut -d' ' -f1)\""
expect_same 'a "b" \c;d.txt' in/some/where/'c;d.txt'
req -F "f=@large" "$url/v1/files?job=pack"
expect_code 201
gzip -dc in/large.gz | cmp - large || fail "the job"

# What is refused.
req -F note=hello "$url/v1/files"
expect_problem 400
req --data-binary @large "$url/v1/files"
expect_problem 415
req -F f=@large "$url/v1/files?dir=../x"
expect_problem 400
req -F f=@large "$url/v1/files?job=none"
expect_problem 404
head -c 5000000 /dev/zero >huge
req -F f=@traps -F f=@huge -F f=@empty "$url/v1/files?dir=part"
expect_problem 413
expect_json '.files | length == 1 and .[0].path == "part/traps"'
[ "$(ls in/part)" = traps ] || fail "more than the first: $(ls in/part)"
# Two of one name: the second does not replace the first.
req -F "f=@traps" -F "f=@empty;filename=x/traps" "$url/v1/files?dir=twice"
expect_problem 409
expect_json '.files | length == 1'
expect_same traps in/twice/traps
for name in .. . .bytemill-x a/..; do
	req -F "f=@traps;filename=\"$name\"" "$url/v1/files?dir=bad"
	case $code in 400) ;; *) fail "filename $name: $code" ;; esac
done
[ ! -e in/bad ] || fail "a bad name made something"

# By hand: in pieces of any size, and malformed.
cat >form.py <<'END'
import http.client, json, os, random, socket
rnd = random.Random(5)
port = int(os.environ["port"])
def send(body, boundary="XbX", pieces=False):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    head = {"Content-Type": "multipart/form-data; boundary=" + boundary}
    if pieces:
        def parts():
            at = 0
            while at < len(body):
                n = rnd.choice((1, 2, 3, 7, 100, 5000))
                yield body[at:at + n]
                at += n
        c.request("POST", "/v1/files?dir=py", parts(), head, encode_chunked=True)
    else:
        c.request("POST", "/v1/files?dir=py", body, head)
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, json.loads(data)
def part(name, data):
    return b'--XbX\r\nContent-Type: x/y\r\nContent-Disposition: form-data; name="f"; filename="' + name + b'"\r\n\r\n' + data + b"\r\n"
FINISH = b"--XbX--\r\n"
for i in range(30):
    alphabet = [b"\r", b"\n", b"-", b"X", b"b", b"\r\n--Xb", b"\r\n--", b"\0", b"--XbX"]
    data = b"".join(rnd.choice(alphabet) for _ in range(rnd.randrange(400)))
    data = data.replace(b"\r\n--XbX", b"")
    if (b"\r\n" + data).find(b"\r\n--XbX") >= 0: continue
    status, answer = send(b"preamble\r\n" * (i % 3) + part(b"f%d" % i, data) + part(b"g", data * 50 if b"\r\n--XbX" not in data * 50 else b"x") + FINISH + b"epilogue" * (i % 2), pieces=i % 2 == 0)
    assert status == 201, (status, answer)
    assert open("in/py/f%d" % i, "rb").read() == data
status, answer = send(part(b"q%22%0d%0Ax", b"1") + FINISH)
assert status == 201 and open('in/py/q"\r\nx', "rb").read() == b"1", answer
good = part(b"cut", b"data")
for bad in (b"", b"--XbX", b"--XbX--", good, good + b"--XbX", good + b"--XbX-", good + b"--XbXyy\r\n" + FINISH, b"--XbX\r\n\r\ndata\r\n" + FINISH,
            b"--XbX\r\nContent-Disposition: form-data; filename=x\r\n\r\ndata\r\n" + FINISH, b"--XbX\r\nContent-Disposition: attachment; name=f\r\n\r\n" + FINISH,
            b'--XbX\r\nContent-Disposition: form-data; name="f\r\n\r\n' + FINISH, b"--XbX\r\nContent-Disposition: form-data; name=f; filename=a\0b\r\n\r\nx\r\n" + FINISH,
            b"--XbX\r\nX: " + b"y" * 10000 + b"\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nx\r\n" + FINISH):
    status, answer = send(bad)
    assert status == 400, (bad[:80], status, answer)
for boundary in ("", "x" * 71, '"', '"a'):
    assert send(good + FINISH, boundary)[0] == 415, boundary
assert not os.path.exists("in/py/cut") or open("in/py/cut", "rb").read() == b"data"
# One that vanishes in the second file: the first is there, the second is not.
s = socket.create_connection(("127.0.0.1", port))
body = part(b"first", b"1") + part(b"second", b"2" * 100000)[:50000]
s.sendall(b"POST /v1/files?dir=gone HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XbX\r\nContent-Length: 1000000\r\n\r\n" + body)
while not os.path.exists("in/gone/first"): pass
s.close()
END
$python form.py || fail "form.py"
no_upload_left() {
	req "$url/metrics"
	grep -qx 'bytemill_serve_upload_memory_bytes 0' body
}
wait_until no_upload_left
[ "$(ls -A in/gone)" = first ] || fail "of the one that vanished: $(ls -A in/gone)"
serve_stop
expect_no_temp in
