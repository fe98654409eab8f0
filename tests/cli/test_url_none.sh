# A build without libcurl says so where a job has a URL, before anything is done.
. "$(dirname "$0")/lib.sh"
"$BYTEMILL" steps read >steps
if grep -q '^URLs: libcurl' steps; then skip "built with libcurl"; fi

for read in '"from": ["a", "http://127.0.0.1:1/x"]' '"urls": {"url": "https://127.0.0.1:1/x"}' '"urls_from": "a"'; do
	echo x >a
	echo "{\"steps\": [{\"step\": \"read\", $read}, {\"step\": \"copy\", \"to\": \"out/{path}\"}]}" >j.json
	run_bm run j.json
	expect_exit 2
	expect_stderr_match 'built without libcurl \(BM_WITH_CURL\)'
	[ ! -e out ] || fail "something was done"
done
