#!/bin/bash
# Resumable uploads by tus 1.0: what the protocol asks for, and uploads that go on after the sender, or the service, is gone.
# With tus-js-client where npm can have it (BM_TUS_JS names a directory with its node_modules).
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir in jobs
cat >jobs/pack.json <<END
{"steps": [{"step": "read", "from": "x"}, {"step": "compress", "format": "gzip"}, {"step": "write", "to": "$tmp/in/{path}.gz"}]}
END
serve_start --inbox in --jobs jobs --max-upload 32MiB
tus=(-H 'Tus-Resumable: 1.0.0')
body_type='Content-Type: application/offset+octet-stream'
meta() { printf 'Upload-Metadata: filename %s' "$(printf %s "$1" | base64 -w0)"; }
create() { # create LENGTH NAME [ARG...]; sets at
	local length=$1 name=$2
	shift 2
	req -X POST "${tus[@]}" -H "Upload-Length: $length" -H "$(meta "$name")" "$@" "$url/v1/tus"
	at=$url$(sed -n 's/\r$//; s/^Location: //p' head)
}
patch() { # patch OFFSET FILE [ARG...]
	local offset=$1 file=$2
	shift 2
	req -X PATCH "${tus[@]}" -H "$body_type" -H "Upload-Offset: $offset" --data-binary "@$file" "$@" "$at"
}
offset_is() {
	req -I "${tus[@]}" "$at"
	expect_code 200
	expect_head "^upload-offset: $1"$'\r'
	expect_head '^cache-control: no-store'
}
head -c 3000000 /dev/urandom >data
head -c 1000000 data >part1
tail -c +1000001 data >part2

req -X OPTIONS "$url/v1/tus"
expect_code 204
expect_head '^tus-version: 1.0.0'
expect_head '^tus-extension: creation,creation-with-upload,checksum,termination,expiration'
expect_head '^tus-max-size: 33554432'

# What could not come to a good end is refused before it begins.
for job in none "$(printf 'n%.0s' {1..15000})"; do
	req -X POST "${tus[@]}" -H 'Upload-Length: 5' -H "$(meta x), job $(printf %s "$job" | base64 -w0)" "$url/v1/tus"
	expect_problem 404
done
create 5 x -H 'Upload-Concat: partial'
expect_problem 501
create 5 "$(printf 'd/%.0s' {1..101})f"
expect_problem 400
[ -z "$(ls "$BYTEMILL_STATE/serve-tus")" ] || fail "something is kept"

# In two parts, with checksums; a wrong one leaves the offset.
create 3000000 'a/b {x} ü/data'
expect_code 201
expect_head '^tus-resumable: 1.0.0'
expect_head '^upload-expires: '
offset_is 0
patch 0 part1 -H "Upload-Checksum: sha1 $(openssl dgst -sha1 -binary part2 | base64)"
expect_problem 460
offset_is 0
patch 0 part1 -H "Upload-Checksum: sha1 $(openssl dgst -sha1 -binary part1 | base64)"
expect_code 204
expect_head '^upload-offset: 1000000'
offset_is 1000000
[ ! -e in/a ] || fail "published before it was complete"
patch 0 part1
expect_problem 409
patch 1000001 part2
expect_problem 409
patch 1000000 data
expect_problem 413
offset_is 1000000
patch 1000000 part2 -H "Upload-Checksum: sha256 $(openssl dgst -sha256 -binary part2 | base64)"
expect_code 204
expect_head '^upload-offset: 3000000'
expect_head "^repr-digest: sha-256=:"
expect_same data "in/a/b {x} ü/data"
offset_is 3000000
patch 3000000 /dev/null
expect_code 204
# With its creation; empty; chunked; through a job.
create 3000000 whole -H "$body_type" --data-binary @data
expect_code 201
expect_head '^upload-offset: 3000000'
expect_same data in/whole
create 0 empty
expect_code 201
[ -f in/empty ] && [ ! -s in/empty ] || fail "an empty file"
create 3000000 chunked
patch 0 data -H 'Transfer-Encoding: chunked'
expect_code 204
expect_same data in/chunked
req -X POST "${tus[@]}" -H "Upload-Length: 3000000" -H "$(meta job/f), job $(printf pack | base64)" -H "$body_type" --data-binary @data "$url/v1/tus"
expect_code 201
gzip -dc in/job/f.gz | cmp - data || fail "the job"

# What is wrong.
req -X POST -H "Upload-Length: 5" -H "$(meta x)" "$url/v1/tus"
expect_problem 412
for length in -1 x '' 18446744073709551616 9223372036854775808; do
	create "$length" x
	expect_problem 400
done
create 33554433 x
expect_problem 413
for name in '' . .. ../x /etc/x a/../../x a//b .bytemill-1; do
	create 5 "$name"
	expect_problem 400
done
req -X POST "${tus[@]}" -H "Upload-Length: 5" "$url/v1/tus"
expect_problem 400
for bad in 'filename !!!!' 'filename Zm9v,,' 'filename Zm9v, filename Zm9v' ', filename Zm9v' 'filename Zm9'; do
	req -X POST "${tus[@]}" -H "Upload-Length: 5" -H "Upload-Metadata: $bad" "$url/v1/tus"
	expect_problem 400
done
create 5 five
printf hello >hello
req -X PATCH "${tus[@]}" -H 'Content-Type: text/plain' -H 'Upload-Offset: 0' --data-binary @hello "$at"
expect_problem 415
patch x hello
expect_problem 400
for sum in 'sha1' 'sha1 AAAA' "md4 $(head -c 16 hello | base64)" 'sha1 !'; do
	patch 0 hello -H "Upload-Checksum: $sum"
	expect_problem 400
done
five=$at
for id in none 0123456789abcdef0123456789abcdef x%2Fy; do
	at=$url/v1/tus/$id
	patch 0 hello
	expect_problem 404
	req -X DELETE "${tus[@]}" "$at"
	expect_problem 404
done
at=$five
req -X DELETE "${tus[@]}" "$at"
expect_code 204
req -I "${tus[@]}" "$at"
expect_code 404

# A sender that vanishes, a service that is killed: what came counts.
create 3000000 resumed
export at
cat >part.py <<'END'
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(os.environ["port"])))
path = os.environ["at"].split("/", 3)[3]
s.sendall(("PATCH /%s HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\n"
    "Upload-Offset: 0\r\nContent-Length: 3000000\r\n\r\n" % path).encode() + open("data", "rb").read()[:1000000])
if len(sys.argv) > 1:
    open("sent", "w").close()
    s.recv(1)
END
$python part.py
has_come() {
	req -I "${tus[@]}" "$at"
	grep -q '^Upload-Offset: 1000000' head
}
wait_until has_come
# A connection that is there, but silent, does not hold up who goes on, as it would until it times out.
create 3000000 silent
$python part.py stay 2>/dev/null &
wait_until has_come
goes_on() {
	patch 1000000 part2
	[ "$code" = 204 ] || [ "$code" = 423 ] || fail "status $code"
	[ "$code" = 204 ]
}
SECONDS=0
wait_until goes_on
[ $SECONDS -lt 50 ] || fail "held up for $SECONDS s"
expect_same data in/silent
rm -f sent
create 3000000 killed
$python part.py stay 2>/dev/null &
wait_until has_come
patch 0 data
expect_problem 423
path=${at#"$url"}
kill -9 $serve_pid
wait || true
serve_start --inbox in
at=$url$path
offset_is 1000000
patch 1000000 part2
expect_code 204
expect_same data in/killed
serve_stop
[ "$(find "$BYTEMILL_STATE/serve-tus" -type f ! -name '*.json' | wc -l)" = 1 ] || fail "what is left: $(find "$BYTEMILL_STATE/serve-tus")"
# What nobody has gone on with for a day goes.
find "$BYTEMILL_STATE/serve-tus" -type f -exec touch -d '2 days ago' {} +
serve_start --inbox in
is_empty() { [ -z "$(find "$BYTEMILL_STATE/serve-tus" -mindepth 1)" ]; }
wait_until is_empty

# tus' own client.
if [ -z "${BM_TUS_JS:-}" ] && command -v npm >/dev/null; then
	BM_TUS_JS=${TMPDIR:-/tmp}/bytemill-tus-js
	[ -d "$BM_TUS_JS/node_modules/tus-js-client" ] || (mkdir -p "$BM_TUS_JS" && cd "$BM_TUS_JS" && HOME=$tmp timeout 60 npm install --silent --no-audit --no-fund tus-js-client@4.3.1 >/dev/null 2>&1) || true
fi
if [ -d "${BM_TUS_JS:-}/node_modules/tus-js-client" ] && command -v node >/dev/null; then
	cat >client.js <<'END'
const tus = require(process.env.BM_TUS_JS + '/node_modules/tus-js-client')
const fs = require('fs')
const size = 3000000
let aborted = false
function upload(name, options) {
  return new Promise((done, fail) => {
    const u = new tus.Upload(fs.createReadStream('data'), {
      endpoint: process.env.url + '/v1/tus', uploadSize: size, metadata: { filename: name }, retryDelays: null,
      onError: fail, onSuccess: () => done(u), ...options(() => u, done) })
    u.start()
  })
}
(async () => {
  await upload('js/whole', () => ({}))
  await upload('js/chunks', () => ({ chunkSize: 700000 }))
  await upload('js/with-creation', () => ({ uploadDataDuringCreation: true, chunkSize: 1000000 }))
  // Stopped half-way, then resumed by another one that knows its URL.
  const half = await upload('js/resumed', (u, done) => ({ chunkSize: 500000, onChunkComplete: async (n, accepted) => {
    if (accepted >= 1000000 && !aborted) { aborted = true; await u().abort(); done(u()) } } }))
  await upload('js/resumed', () => ({ uploadUrl: half.url, chunkSize: 600000 }))
  const gone = await upload('js/gone', (u, done) => ({ chunkSize: 500000, onChunkComplete: async () => { await u().abort(true); done(u()) } }))
})().catch(e => { console.error(e); process.exit(1) })
END
	BM_TUS_JS=$BM_TUS_JS timeout 60 node client.js >client.log 2>&1 || fail "tus-js-client: $(cat client.log)"
	for f in whole chunks with-creation resumed; do expect_same data in/js/$f; done
	[ ! -e in/js/gone ] || fail "given up, and there"
else
	echo "skipped: tus-js-client (no npm, or it cannot be had)"
fi
serve_stop
expect_no_temp in
