# URLs and the rest of Bytemill: signals, proxies, a rate limit, memory, combined outputs, formats, a WebDAV server of rclone.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
start_server

mkdir -p www in
head -c 4000000 /dev/urandom >www/a.bin
seq 100000 >www/text
gzip -k www/text
cp www/a.bin in/a

# A signal ends a transfer at once, though the server says nothing any more; no temp is left.
job stall.json "\"$base/stall-100000/a.bin\"" "$tmp/out/{path}" '"connections": 1, "http": {"timeout": "1h"}'
"$BYTEMILL" run -q stall.json 2>err &
pid=$!
wait_until eval '[ -n "$(find out -name ".bytemill-*" 2>/dev/null)" ] || [ "$(requests stall)" = 1 ]'
kill -TERM $pid
start=$SECONDS
code=0
wait $pid || code=$?
[ "$code" = 143 ] || fail "exit code $code"
[ $((SECONDS - start)) -lt 30 ] || fail "not at once"
[ ! -e out ] || expect_no_temp out

# A proxy, named by the job; its name in the environment is the user's business.
job proxy.json '"http://files.example/plain/a.bin"' "$tmp/out/{path}" "\"http\": {\"proxy\": \"$base\"}"
no_proxy='' run_bm run -q proxy.json
[ "$(requests '^GET http://files.example/plain/a.bin')" -ge 1 ] || fail "not by the proxy"

# What comes through a URL goes through all steps: digests, formats, one output of several inputs.
cat >steps.json <<-END
	{"steps": [{"step": "read", "from": ["$base/plain/text.gz", "$base/norange/text.gz"]},
		{"step": "hash", "algorithms": "sha256", "manifest": "packed"},
		{"step": "decompress"}, {"step": "write", "to": "both", "combine": true}]}
END
run_bm run -q steps.json
expect_exit 0
cat www/text www/text | cmp - both || fail "combined"
[ "$(cut -d' ' -f1 packed | sort -u)" = "$(sha256sum <www/text.gz | cut -d' ' -f1)" ] || fail "bytes as they are"

# limit_rate is kept: 4 MB at 4 MB/s, less what is free at the start.
echo "{\"limit_rate\": 4000000, \"steps\": [{\"step\": \"read\", \"from\": \"$base/plain/a.bin?slow\"}, {\"step\": \"hash\"}]}" >rate.json
start=${EPOCHREALTIME/./}
run_bm run -q rate.json
expect_exit 0
[ $((${EPOCHREALTIME/./} - start)) -gt 700000 ] || fail "too fast"

# A WebDAV server of another maker; with credentials.
if command -v rclone >/dev/null; then
	mkdir dav
	dav=$(free_port)
	rclone serve webdav dav --config /dev/null --addr "127.0.0.1:$dav" --user me --pass word 2>rclone.err &
	pid=$!
	at_end "kill $pid 2>/dev/null; wait $pid 2>/dev/null"
	wait_until curl -s -o /dev/null "http://127.0.0.1:$dav/"
	printf 'machine 127.0.0.1 login me password word\n' >netrc
	chmod 600 netrc
	mkdir -p 'in/b c/d'
	echo x >'in/b c/d/é'
	for if_exists in fail replace skip; do
		echo "{\"steps\": [{\"step\": \"read\", \"from\": \"in\"}, {\"step\": \"copy\", \"to\": \"http://127.0.0.1:$dav/x/{path}\",
			\"if_exists\": \"$if_exists\", \"http\": {\"netrc\": \"netrc\"}}]}" >dav.json
		run_bm run -q dav.json
		expect_exit 0
		diff -r in dav/x || fail "not the same"
	done
	run_bm run -q <(sed 's/skip/fail/' dav.json)
	# A collection is not replaced by a file: what is in it would go.
	curl -sf -u me:word -X MKCOL "http://127.0.0.1:$dav/coll" && echo precious | curl -sf -u me:word -T - "http://127.0.0.1:$dav/coll/p"
	for if_exists in replace fail; do
		echo "{\"steps\": [{\"step\": \"read\", \"from\": \"in/a\"}, {\"step\": \"copy\", \"to\": \"http://127.0.0.1:$dav/coll\",
			\"if_exists\": \"$if_exists\", \"http\": {\"netrc\": \"netrc\"}}]}" >coll.json
		run_bm run -q coll.json
		expect_exit 1
		[ $if_exists = fail ] || expect_stderr_match '/coll: is a collection on the server'
		[ "$(cat dav/coll/p)" = precious ] || fail "the collection is gone"
	done
	expect_no_temp dav
fi
