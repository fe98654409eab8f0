#!/bin/bash
# A service with very little memory works with smaller chunks and windows: nobody is told to try again for ever. What is too
# little for one request says so.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"
need_cmd zstd gzip

mkdir in out jobs
seq 300000 >plain
gzip -c plain >out/one.gz
zstd -qc plain >out/one.zst
zstd -qc <plain >out/streamed.zst
"$BYTEMILL" keygen -o key 2>/dev/null
echo '{"steps": [{"step": "read", "from": "plain"}, {"step": "compress", "format": "zstd"},
	{"step": "encrypt", "recipients": "'"$("$BYTEMILL" keygen -y key)"'"}, {"step": "write", "to": "out/own.zst.age"}]}' >make.json
run_bm run -q make.json
expect_exit 0
# A window of 64 MiB that tells no size, which is a stream, and one that does.
head -c 70000000 /dev/zero >zeros
zstd -qc --long=26 <zeros >out/long.zst
zstd -qc --long=26 zeros >out/long_known.zst
echo '{"steps": [{"step": "read", "from": "x"}, {"step": "compress"}, {"step": "write", "to": "'"$tmp"'/in/{path}.gz"}]}' >jobs/pack.json

for memory in 128KiB 256KiB 1MiB 16MiB; do
	serve_start --inbox in --outbox out --jobs jobs -i key --memory $memory
	req -T plain "$url/v1/files/up-$memory"
	expect_code 201
	expect_same plain in/up-$memory
	for f in one.gz one.zst streamed.zst own.zst.age; do
		req "$url/v1/files/$f?decode=1"
		case $memory:$f in
		# What the file is like asks for a window or a unit of its size.
		128KiB:*.zst* | 256KiB:*.zst* | 1MiB:*.zst*) [ "$code" = 200 ] || expect_problem 422 ;;
		*) expect_code 200 ;;
		esac
		[ "$code" != 200 ] || cmp body plain || fail "$memory: $f: not what is in it"
	done
	# What a job needs is no matter of who else is there.
	req -T plain "$url/v1/files/packed-$memory?job=pack"
	[ "$code" = 201 ] || expect_problem 422
	for f in long.zst long_known.zst; do
		req "$url/v1/files/$f?decode=1"
		expect_problem 422
		expect_json '.detail | test("window of 64 MiB") and test("--memory")'
	done
	serve_stop
done
# Where there is more than one decoder is given at first, a larger window gets it.
serve_start --outbox out --memory 128MiB
for f in long.zst long_known.zst; do
	req "$url/v1/files/$f?decode=1"
	expect_code 200
	cmp body zeros || fail "$f: not what is in it"
done
given_back() {
	req "$url/metrics"
	grep -qx 'bytemill_serve_upload_memory_bytes 0' body
}
wait_until given_back
serve_stop

# Without an inbox there are uploads, too: those that go through a job.
serve_start --jobs jobs
req -T plain "$url/v1/files/alone?job=pack"
expect_code 201
gzip -dc in/alone.gz | cmp - plain || fail "not what was sent"
serve_stop

run_bm serve --listen 127.0.0.1:0 --inbox in --memory 4KiB
expect_exit 2
expect_stderr_match 'memory is 4 KiB.* 128 KiB'
