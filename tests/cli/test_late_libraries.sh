# libcurl and libmicrohttpd are loaded by the runs that need them: where they cannot be, those say so, and all others work.
. "$(dirname "$0")/lib.sh"
need_unsanitized # those builds link them
"$BYTEMILL" steps read >steps
grep -q '^URLs: libcurl' steps || skip "built without libcurl"

mkdir broken
for name in libcurl libcurl-gnutls libmicrohttpd; do
	for version in 4 12 13; do echo "no library" >"broken/$name.so.$version"; done
done
export LD_LIBRARY_PATH=$tmp/broken

echo abc >a
run_bm hash a
expect_exit 0

run_bm steps read
expect_exit 0
expect_stdout_match '^URLs: none: a library that this needs cannot be loaded'

echo '{"steps": [{"step": "read", "from": "http://127.0.0.1:1/x"}, {"step": "copy", "to": "out/{path}"}]}' >j.json
run_bm run j.json
expect_exit 2
expect_stderr_match 'a library that this needs cannot be loaded: .*libcurl'
[ ! -e out ] || fail "something was done"

if "$BYTEMILL" help | grep -q '^ *bytemill serve\|^ *serve '; then
	mkdir inbox
	run_bm serve --inbox inbox --listen 127.0.0.1:0
	expect_exit 2
	expect_stderr_match 'a library that this needs cannot be loaded: .*libmicrohttpd'
	run_bm serve --openapi
	expect_exit 1
	expect_no_stdout
	expect_stderr_match 'a library that this needs cannot be loaded: .*libmicrohttpd'
fi
