#!/bin/bash
# GET with ?decode=1: what is in the file, by range too, whoever made it; damage never passes for the end.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"
need_cmd zstd gzip

mkdir out
seq 200000 >plain
size=$(stat -c %s plain)
"$BYTEMILL" keygen -o key 2>/dev/null
me=$("$BYTEMILL" keygen -y key)
make() { # make NAME STEPS
	echo '{"chunk": "64KiB", "steps": [{"step": "read", "from": "plain"}, '"$2"', {"step": "write", "to": "out/'"$1"'"}]}' >make.json
	run_bm run -q make.json
	expect_exit 0
}
gz='{"step": "compress", "format": "gzip"}'
age='{"step": "encrypt", "recipients": "'$me'"}'
make a.txt.gz "$gz"
make b.txt.gz '{"step": "compress", "format": "gzip", "layout": "bgzf"}'
make a.txt.zst '{"step": "compress", "format": "zstd"}'
make a.txt.age "$age"
make a.txt.gz.age "$gz, $age"
gzip -c plain >out/one.txt.gz
zstd -qc plain >out/one.txt.zst
cat out/one.txt.gz | gzip -c >out/two.txt.gz.gz
cp plain out/plain.txt
: | gzip -c >out/empty.gz
: >out/nothing.gz
head -c 30000 out/one.txt.gz >out/cut.txt.gz
head -c 30000 out/a.txt.gz >out/cut2.txt.gz
head -c 50000 out/a.txt.age >out/cut.age
head -c 100 out/a.txt.age >out/short.age
serve_start --outbox out -i key

for f in a.txt.gz b.txt.gz a.txt.zst a.txt.age a.txt.gz.age one.txt.gz one.txt.zst two.txt.gz.gz plain.txt; do
	req "$url/v1/files/$f?decode=1"
	expect_code 200
	cmp body plain || fail "$f: not what is in it"
	expect_head '^content-type: text/plain'
	req "$url/v1/files/$f?decode=0"
	expect_same body out/$f
	plain_tag=$(grep -i '^etag' head)
	req -r 1000000-1000099 "$url/v1/files/$f?decode=1"
	tag=$(sed -n 's/\r$//; s/^ETag: //p' head)
	[ "$plain_tag" != "$(grep -i '^etag' head)" ] || fail "one tag for two representations"
	case $f in
	one.txt.gz | two.txt.gz.gz) expect_code 200 ;; # no seeking in these
	*)
		expect_code 206
		expect_head "^content-range: bytes 1000000-1000099/$size"
		tail -c +1000001 plain | head -c 100 >want || true
		expect_same want body
		req -r -5 "$url/v1/files/$f?decode=1"
		tail -c 5 plain | cmp - body || fail "$f: the last 5 bytes"
		req -H "Range: bytes=$size-" "$url/v1/files/$f?decode=1"
		expect_problem 416
		;;
	esac
	req -H "If-None-Match: $tag" "$url/v1/files/$f?decode=1"
	expect_code 304
	req -I "$url/v1/files/$f?decode=1"
	expect_code 200
done
req "$url/v1/files/empty.gz?decode=1"
expect_code 200
[ ! -s body ] || fail "something in nothing"
req "$url/v1/files/nothing.gz?decode=1"
expect_code 200
req "$url/v1/files/a.txt.gz?decode=2"
expect_problem 400

# Damage: an answer that says so, or a connection that ends too early.
for f in cut.txt.gz cut2.txt.gz cut.age short.age; do
	req "$url/v1/files/$f?decode=1"
	case $code in
	422) expect_problem 422 ;;
	200\ * | curl\ *) ;; # curl noticed
	*) fail "$f: $code" ;;
	esac
	if [ -s body ] && [ "$code" != 422 ]; then
		head -c "$(stat -c %s body)" plain | cmp - body || fail "$f: wrong bytes"
	fi
done
# Many at once share the budget, and give it back.
for i in 1 2 3 4 5 6; do curl -sS -o got$i "$url/v1/files/one.txt.gz?decode=1" & done
wait $(jobs -p | grep -v "^$serve_pid$")
for i in 1 2 3 4 5 6; do cmp got$i plain || fail "of many at once"; done
given_back() {
	req "$url/metrics"
	grep -qx 'bytemill_serve_upload_memory_bytes 0' body
}
wait_until given_back
serve_stop
# Without the key.
serve_start --outbox out
req "$url/v1/files/a.txt.age?decode=1"
expect_problem 422
expect_json '.detail | test("key")'
serve_stop
