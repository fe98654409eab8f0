#!/bin/bash
# Uploads: the bytes arrive, under their name, with their digest; what is announced wrongly or comes in part leaves nothing.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir in jobs elsewhere
cat >jobs/pack.json <<END
{"steps": [{"step": "read", "from": "unused"}, {"step": "hash", "algorithms": ["sha512", "md5"]},
	{"step": "compress", "format": "gzip"}, {"step": "write", "to": "$tmp/in/{path}.gz"}]}
END
echo '{"steps": [{"step": "read", "from": "x"}, {"step": "compres"}, {"step": "write", "to": "y", "if_exist": "skip"}]}' >jobs/bad.json
echo '{"steps": [{"step": "read", "from": "x"}, {"step": "verify", "manifest": "m"}]}' >jobs/verify.json
ln -s ../elsewhere in/link
serve_start --inbox in --jobs jobs --max-upload 8MiB

sha() { openssl dgst -sha256 -binary "$1" | base64; }
for size in 0 1 262143 262144 262145 3000001; do
	head -c $size /dev/urandom >f$size
	req -T f$size "$url/v1/files/a/b$size/f$size"
	expect_code 201
	expect_same f$size in/a/b$size/f$size
	expect_head "^location: /v1/files/a/b$size/f$size"
	expect_head "^repr-digest: sha-256=:$(sha f$size | sed 's/[+]/[+]/g'):"
	expect_json ".bytes == $size and .path == \"a/b$size/f$size\" and .digests.sha256 == \"$(sha256sum f$size | cut -d' ' -f1)\""
	# Chunked, over the old one.
	req -T - -X POST "$url/v1/files/a/b$size/f$size" <f$size
	expect_code 201
	expect_same f$size in/a/b$size/f$size
done
# Any name.
req -T f1 "$url/v1/files/%7Bpath%7D%7B%7B/%0A%FF%20%22%5C"
expect_code 201
expect_same f1 $'in/{path}{{/\n\xff "\\'
expect_json '.path_base64 != null'

# Digests: right ones pass, also several; a wrong one leaves the old file.
cp f262145 old
req -T old "$url/v1/files/keep"
md5=$(openssl dgst -md5 -binary f3000001 | base64)
sha512=$(openssl dgst -sha512 -binary f3000001 | base64 -w0)
for good in "Content-Digest: sha-256=:$(sha f3000001):" "Repr-Digest: sha-512=:$sha512:, sha-256=:$(sha f3000001):, unknown=:AAAA:" "Content-MD5: $md5"; do
	req -H "$good" -T f3000001 "$url/v1/files/good"
	expect_code 201
	expect_same f3000001 in/good
	rm in/good
	req -H "$good" -T f262144 "$url/v1/files/keep"
	expect_problem 400
	expect_json '.detail | test("announced")'
	expect_same old in/keep
done
for bad in "Content-Digest: sha-256=$(sha f1)" "Content-Digest: sha-256=:AAAA:" "Content-Digest: sha-256=:$(sha f1):x" 'Content-Digest: nonsense' \
	"Content-MD5: $(sha f1)" "Content-Digest: sha-256=:$(sha f1 | sed 's/.$/!/'):"; do
	req -H "$bad" -T f1 "$url/v1/files/keep"
	expect_problem 400
done
expect_same old in/keep
req -H 'If-None-Match: *' -T f1 "$url/v1/files/keep"
expect_problem 412
expect_same old in/keep

# Through a job.
req -T f3000001 "$url/v1/files/x/y?job=pack"
expect_code 201
gzip -dc in/x/y.gz | cmp - f3000001 || fail "not what was sent"
expect_json ".bytes == 3000001 and .digests.md5 == \"$(md5sum f3000001 | cut -d' ' -f1)\" and (.digests.sha512 | length) == 128"
req -T f1 "$url/v1/files/x/y?job=bad"
expect_problem 422
expect_json '(.errors | length) == 2 and .errors[0].pointer == "/steps/1/step" and .errors[0].suggestion == "compress" and
	.errors[1].pointer == "/steps/2/if_exist" and .errors[1].suggestion == "if_exists" and .errors[0].line == 1 and .errors[0].file == "bad.json"'
req -T f1 "$url/v1/files/x/y?job=verify"
expect_problem 422
for name in none ../jobs/pack pack/../pack %2e%2e/jobs/pack /etc/passwd '' pack%00; do
	req -T f1 "$url/v1/files/x/y?job=$name"
	case $code in 404 | 400) ;; *) fail "job=$name: $code" ;; esac
done

# Where nothing may go.
for path in link/f keep/f; do
	req -T f1 "$url/v1/files/$path"
	expect_problem 409
done
req -T f1 "$url/v1/files/link"
expect_problem 409
req -T f1 "$url/v1/files/a"
expect_problem 409
# More directories than are made for one file.
req -T f1 "$url/v1/files/$(printf 'd/%.0s' {1..101})f"
expect_problem 414
[ ! -e in/d ] || fail "directories are made"
req -T f1 "$url/v1/files/$(printf 'd/%.0s' {1..100})f"
expect_code 201
for path in ../x a/../../x %2e%2e/x a%2f..%2f..%2fx a//b a%00b .bytemill-x; do
	req --path-as-is -X PUT --data-binary @f1 "$url/v1/files/$path"
	expect_problem 400
done
[ -z "$(ls elsewhere)" ] && [ ! -e x ] || fail "something was written outside"

# Too large: known beforehand, and found out.
head -c 9000000 /dev/zero >large
req -T large "$url/v1/files/large"
expect_problem 413
req -T - "$url/v1/files/large" <large
expect_problem 413
[ ! -e in/large ] || fail "too large, and there"
req -H 'Content-Range: bytes 0-0/5' -T f1 "$url/v1/files/keep"
expect_problem 400
# What would be lost if it were passed over.
for condition in 'If-Match: "x"' 'If-None-Match: "x"' 'If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT'; do
	req -H "$condition" -T f1 "$url/v1/files/keep"
	expect_problem 501
done
req -H 'Content-Encoding: gzip' -T f1 "$url/v1/files/keep"
expect_problem 415
expect_same old in/keep

req "$url/metrics"
expect_code 200
$python - <<'END'
from prometheus_client.parser import text_string_to_metric_families as parse
m = {s.name: s.value for f in parse(open("body").read()) for s in f.samples}
assert m["bytemill_serve_uploads_total"] == 19, m
assert m["bytemill_serve_upload_memory_bytes"] == 0, m
END
serve_stop
expect_no_temp in
