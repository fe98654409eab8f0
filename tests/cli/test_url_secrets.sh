# Credentials come from files that nobody else may read, go to the host that the user named, and nowhere else; TLS.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
need_cmd openssl
start_server
mkdir -p www
head -c 100000 /dev/urandom >www/a.bin

fetch() { # fetch URL HTTP
	rm -rf out
	job j.json "\"$1\"" "$tmp/out/{path}" "\"http\": {$2}"
	run_bm run --report r.jsonl j.json
	! grep -aq 'secret word\|opensesame' "$stdout" "$stderr" r.jsonl || fail "a secret is shown"
}

printf 'machine 127.0.0.1 login me password "secret word"\n' >netrc
printf '# for the tests\nX-Key: opensesame\r\n\n' >headers
chmod 600 netrc headers
fetch "$base/auth/a.bin" ''
expect_exit 1
expect_stderr_match '401 \(Unauthorized: are there credentials'
fetch "$base/auth/a.bin" '"netrc": "netrc"'
expect_exit 0
expect_same www/a.bin out/a.bin
fetch "$base/key/a.bin" '"header_file": "headers"'
expect_exit 0
expect_same www/a.bin out/a.bin

# Also where a run may read nothing but what its jobs name.
for option in '"netrc": "netrc"' '"header_file": "headers"'; do
	what=auth
	[[ $option == *netrc* ]] || what=key
	job j.json "\"$base/$what/a.bin\"" "$tmp/out/{path}" "\"http\": {$option}"
	run_bm run --sandbox auto j.json
	expect_exit 0
	run_bm run $("$BYTEMILL" hash -q --sandbox on /dev/null >/dev/null 2>&1 && echo --sandbox=on) j.json
	expect_exit 0
done

# Others may read it: not used at all.
for file in netrc headers; do
	for mode in 640 604; do
		chmod $mode $file
		fetch "$base/plain/a.bin" "\"$([ $file = netrc ] && echo netrc || echo header_file)\": \"$file\""
		expect_exit 2
		expect_stderr_match "$file: .*may be read by others \(mode 0$mode\).*chmod 600"
	done
	chmod 600 $file
done
printf 'Range: bytes=0-1\n' >bad
chmod 600 bad
fetch "$base/plain/a.bin" '"header_file": "bad"'
expect_exit 2
expect_stderr_match 'bad: line 1 of the header file has a header that belongs to the transfer'
printf 'no colon: secret word\n' >bad
fetch "$base/plain/a.bin" '"header_file": "bad"'
expect_exit 2
expect_stderr_match 'line 1 of the header file is no header'

# A redirect to the same place keeps them; one to another host, though it is the same machine, goes without.
printf 'default login me password "secret word"\n' >netrc
fetch "$base/up-$port/a.bin" '"header_file": "headers", "netrc": "netrc"'
expect_exit 0
[ "$(requests '^GET /plain/a.bin .*auth=Basic .* key=opensesame 206$')" = 1 ] || fail "credentials were not kept"
getent hosts localhost | grep -q '127.0.0.1\|::1' || skip "no localhost here"
: >"$log"
fetch "$base/to-$port/a.bin" '"header_file": "headers", "netrc": "netrc"'
expect_exit 0
expect_same www/a.bin out/a.bin
[ "$(requests '^GET /to-[0-9]*/a.bin .*auth=Basic .* key=opensesame 302$')" = 1 ] || fail "not sent"
[ "$(requests '^GET /plain/a.bin .*auth=None key=None 206$')" = 1 ] || fail "credentials went to another host"

# TLS: our own authority, its absence, and no way back to http.
plain_port=$port
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
	-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem 2>/dev/null
cat key.pem ca.pem >both.pem
start_server both.pem
tls=https://127.0.0.1:$port
fetch "$tls/plain/a.bin" '"ca_file": "ca.pem"'
expect_exit 0
expect_same www/a.bin out/a.bin
fetch "$tls/plain/a.bin" ''
expect_exit 1
expect_stderr_match 'certificate.*ca_file'
fetch "$tls/up-$plain_port/a.bin" '"ca_file": "ca.pem"'
expect_exit 1
expect_stderr_match 'from https to http .*not followed'
[ ! -e out ] || [ -z "$(find out -type f)" ] || fail "something was published"
