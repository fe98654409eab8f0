#!/bin/bash
# The service gives out files: whole, by range, on conditions; and never one that is not below the outbox.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir -p out/sub out/dir.d
seq 50000 >out/a.txt
head -c 700000 /dev/urandom >out/sub/noise.gz
: >out/empty
printf 'x' >"out/sub/a {name} + 100% ü"
echo secret >secret
ln -s ../secret out/link
ln -s .. out/up
mkfifo out/fifo
serve_start --outbox out
size=$(stat -c %s out/a.txt)

req "$url/v1/files/a.txt"
expect_code 200
expect_same body out/a.txt
expect_head '^content-type: text/plain; charset=utf-8'
expect_head "^content-length: $size"
expect_head '^accept-ranges: bytes'
etag=$(sed -n 's/\r$//; s/^ETag: //p' head)
modified=$(sed -n 's/\r$//; s/^Last-Modified: //p' head)
req -I "$url/v1/files/a.txt"
expect_code 200
expect_head "^content-length: $size"
req "$url/v1/files/sub/noise.gz"
expect_same body out/sub/noise.gz
expect_head '^content-type: application/gzip'
expect_no_head '^content-encoding'
req "$url/v1/files/empty"
expect_code 200
[ ! -s body ] || fail "an empty file is not"
req "$url/v1/files/sub/a%20%7Bname%7D%20+%20100%25%20%C3%BC"
expect_code 200
[ "$(cat body)" = x ] || fail "the wrong file"

# Ranges.
range() { # range SPEC FIRST COUNT
	req -r "$1" "$url/v1/files/a.txt"
	expect_code 206
	tail -c +$(($2 + 1)) out/a.txt | head -c "$3" >want || true
	expect_same want body
	expect_head "^content-range: bytes $2-$(($2 + $3 - 1))/$size"
}
range 0-0 0 1
range 10-19 10 10
range -7 $((size - 7)) 7
range $((size - 3))- $((size - 3)) 3
range 5-99999999999999999999999 5 $((size - 5))
range -99999999999999999999 0 "$size"
for bad in $size- 99999999999999999999999- -0; do
	req -H "Range: bytes=$bad" "$url/v1/files/a.txt"
	expect_problem 416
	expect_head "^content-range: bytes \*/$size"
done
req -H 'Range: bytes=0-' "$url/v1/files/empty"
expect_problem 416
for ignored in 'bytes=5-3' 'bytes=' 'bytes=a-b' 'lines=0-1' 'bytes=0-1;2-3' 'bytes' 'bytes=--5' "bytes=0-,0-" "bytes=$(seq -s, 40 | sed 's/[0-9]\+/&-&/g')"; do
	req -H "Range: $ignored" "$url/v1/files/a.txt"
	expect_code 200
	expect_same body out/a.txt
done
# Several: read by a foreign reader of MIME.
req -D head -H 'Range: bytes=0-9, 100-199 ,-5,9999999-' "$url/v1/files/a.txt"
expect_code 206
$python - <<'END'
import email, re
head = open("head", "rb").read().split(b"\r\n", 1)[1]
m = email.message_from_bytes(head.strip() + b"\r\n\r\n" + open("body", "rb").read())
data = open("out/a.txt", "rb").read()
want = [(0, 9), (100, 199), (len(data) - 5, len(data) - 1)]
parts = m.get_payload()
assert m.get_content_type() == "multipart/byteranges" and len(parts) == len(want), (m.get_content_type(), len(parts))
raw = open("body", "rb").read()
for p, (a, b) in zip(parts, want):
    assert p["Content-Range"] == "bytes %d-%d/%d" % (a, b, len(data)), p["Content-Range"]
    assert p["Content-Range"].encode() + b"\r\n\r\n" + data[a:b + 1] + b"\r\n--" in raw
assert int(m["Content-Length"]) == len(raw)
END

# Conditions.
cond() { # cond STATUS HEADER...
	local want=$1 args=() h
	shift
	for h; do args+=(-H "$h"); done
	req "${args[@]}" "$url/v1/files/a.txt"
	expect_code "$want"
}
cond 304 "If-None-Match: $etag"
[ ! -s body ] || fail "a body with 304"
expect_head "^etag: "
cond 304 "If-None-Match: \"other\", W/$etag"
cond 304 'If-None-Match: *'
cond 200 'If-None-Match: "other"'
cond 304 "If-Modified-Since: $modified"
cond 200 "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"
cond 200 "If-Modified-Since: $modified" 'If-None-Match: "other"'
cond 412 'If-Match: "other"'
cond 412 "If-Match: W/$etag"
cond 200 "If-Match: $etag"
cond 412 "If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT"
cond 206 "If-Range: $etag" 'Range: bytes=0-1'
cond 200 'If-Range: "other"' 'Range: bytes=0-1'
cond 200 "If-Range: W/$etag" 'Range: bytes=0-1'
cond 200 "If-Range: Sun Nov  6 08:49:37 1994" 'Range: bytes=0-1'
cp out/a.txt new && mv new out/a.txt
cond 200 "If-None-Match: $etag"

# What is not to be had.
for path in nope sub dir.d link up/secret up/out/a.txt fifo a.txt/x; do
	req "$url/v1/files/$path"
	expect_problem 404
done
for path in ../secret sub/../../secret %2e%2e/secret ..%2fsecret sub//noise.gz /etc/passwd . ./a.txt / a%00.txt a% a%2 a%zz sub// .bytemill-x; do
	req --path-as-is "$url/v1/files/$path"
	expect_problem 400
done
for length in 300 5000; do
	req "$url/v1/files/$(head -c $length /dev/zero | tr '\0' n)"
	expect_problem 414
done
long=$(printf '1234567/%.0s' {1..511})
req "$url/v1/files/${long}1234567"
expect_problem 404 # 4,095 bytes
req "$url/v1/files/${long}12345678"
expect_problem 414
req -X DELETE "$url/v1/files/a.txt"
expect_problem 405
expect_head '^allow: .*GET.*HEAD'
req "$url/nothing"
expect_problem 404

# Directories: in byte order, page by page; no link, no FIFO, nothing temporary; names that are no text by their bytes.
printf 'x' >out/sub/$'\xff\n"<b>'
: >out/sub/.bytemill-1.tmp
ln -s noise.gz out/sub/link
req "$url/v1/files/sub/"
expect_code 200
expect_head '^content-type: application/json'
expect_json '[.entries[].href] == ["a%20%7Bname%7D%20%2B%20100%25%20%C3%BC", "noise.gz", "%FF%0A%22%3Cb%3E"] and .path == "sub" and .next == null'
expect_json '.entries[1] | .size == 700000 and .type == "file" and .media_type == "application/gzip" and (.modified | fromdate > 1600000000)'
expect_json '.entries[2].name_base64 == "/woiPGI+"'
req "$url/v1/files/sub/$(jq -r '.entries[2].href' body)"
expect_code 200
[ "$(cat body)" = x ] || fail "the wrong file"
expect_head '^content-security-policy: sandbox'
req "$url/v1/files/"
expect_json '[.entries[] | .name + " " + .type] == ["a.txt file", "dir.d directory", "empty file", "sub directory"]'
req -I "$url/v1/files/"
expect_code 200
mkdir out/many
(cd out/many && seq 2500 | xargs touch)
next= all=
while :; do
	req "$url/v1/files/many/?limit=999&after=$next"
	expect_code 200
	all+=$(jq -r '.entries[].name' body)$'\n'
	next=$(jq -r '.next // empty' body)
	[ -n "$next" ] || break
done
diff <(printf %s "$all") <(seq 2500 | LC_ALL=C sort) || fail "the pages are not the directory"
for path in a.txt/ nope/ link/ up/ fifo/; do
	req "$url/v1/files/$path"
	expect_problem 404
done
for query in limit= limit=0 limit=1001 limit=x after=%zz; do
	req "$url/v1/files/sub/?$query"
	expect_problem 400
done

# A link that is flipped while it is asked for: a thousand times, never what is outside.
(
	while [ ! -e stop ]; do
		ln -sfn ../.. out/flip 2>/dev/null
		rm -f out/flip
		mkdir out/flip && rmdir out/flip
	done
) &
flipper=$!
$python - <<'END'
import http.client, os
c = http.client.HTTPConnection("127.0.0.1", int(os.environ["port"]))
for i in range(1000):
    c.request("GET", "/v1/files/flip/secret")
    r = c.getresponse()
    body = r.read()
    assert r.status == 404 and b"secret" not in body, (r.status, body)
END
touch stop
wait $flipper
serve_stop
