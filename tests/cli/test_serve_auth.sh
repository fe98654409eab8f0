#!/bin/bash
# Who may call, and where the service listens: tokens, origins, hosts, TLS, UNIX sockets, sockets from systemd.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir out
echo data >out/f
token=0123456789abcdef0123456789abcdef
echo $token >token
chmod 600 token

refused() {
	run_bm serve --outbox out "$@"
	expect_exit 2
	expect_no_stdout
}
refused --listen 0.0.0.0:0
expect_stderr_match 'token-file'
refused --listen '[::]:0'
refused --listen :::0
refused --listen 0.0.0.0:0 --token-file token
expect_stderr_match 'tls-cert'
refused --listen 127.0.0.1:99999
refused --listen nonsense
refused --listen unix:
expect_stderr_match 'what follows "unix:" has 0 bytes; allowed: a path of 1 to 107$'
refused job.json
expect_stderr_match '"job.json" is none; --jobs DIR'
mkdir -m 755 tokens
refused --listen 127.0.0.1:0 --token-file tokens
expect_stderr_match 'tokens: is a directory: name the file with the token in it'
refused --listen 127.0.0.1:0 --tls-cert token
expect_stderr_match 'go together.*--tls-key was not given'
# What could never match or hold anything is a slip: it is told at the start, not by requests that fail.
for origin in good.example '*' https:// https://good.example/ https://good.example/page; do
	refused --listen 127.0.0.1:0 --allow-origin "$origin"
	expect_stderr_match 'allow-origin is ".*"; allowed: .*https://HOST'
done
refused --listen 127.0.0.1:0 --jobs none
expect_stderr_match 'none: cannot open the directory of job files: No such file'
refused --listen 127.0.0.1:0 --allow-submit out --allow-submit token
expect_stderr_match 'token: cannot open the directory of --allow-submit: Not a directory'
refused --listen 127.0.0.1:0 --token-file none
refused --listen 127.0.0.1:0 --tls-cert token
refused --listen "unix:$tmp/token"
chmod 644 token
refused --listen 127.0.0.1:0 --token-file token
expect_stderr_match 'chmod 600'
chmod 600 token
echo short >short
chmod 600 short
refused --listen 127.0.0.1:0 --token-file short
run_bm serve --inbox none --listen 127.0.0.1:0
expect_exit 2
run_bm serve
expect_exit 2

# Without a token: a host that is this machine's, no page of another site.
serve_start --outbox out --allow-origin https://good.example
req "$url/v1/files/f"
expect_code 200
for host in evil.example evil.example:$port 127.0.0.1.evil.example localhost.evil 10.0.0.1; do
	req -H "Host: $host" "$url/v1/files/f"
	expect_problem 403
done
for host in localhost localhost:$port 127.0.0.1:99 '[::1]:80'; do
	req -H "Host: $host" "$url/v1/files/f"
	expect_code 200
done
for origin in https://evil.example null "http://127.0.0.1.evil.example" "https://127.0.0.1:$port" "http://127.0.0.1:1"; do
	req -H "Origin: $origin" "$url/v1/files/f"
	expect_problem 403
done
req -H 'Sec-Fetch-Site: cross-site' "$url/v1/files/f"
expect_problem 403
for origin in "$url" https://good.example; do
	req -H "Origin: $origin" "$url/v1/files/f"
	expect_code 200
done
serve_stop

# With one.
serve_start --outbox out --token-file token
for header in 'X: y' 'Authorization: Bearer' "Authorization: Bearer ${token}0" "Authorization: Bearer ${token%?}" 'Authorization: Bearer x' "Authorization: Basic $token" \
	"Authorization: $token"; do
	for path in /v1/files/f /metrics /nothing; do
		req -H "$header" "$url$path"
		expect_problem 401
		expect_head '^www-authenticate: Bearer'
	done
done
req -T out/f "$url/v1/files/g"
expect_problem 401
req -H "Authorization: Bearer $token" "$url/v1/files/f"
expect_code 200
req -H "authorization: bearer $token" "$url/v1/files/f"
expect_code 200
req -H "Authorization: Bearer $token" -H 'Origin: https://evil.example' "$url/v1/files/f"
expect_problem 403
req "$url/healthz"
expect_code 200

# A cookie for it: for files, and for nothing else; not for a page that is not ours; not one that was made up.
req -X POST "$url/v1/session"
expect_problem 401
expect_no_head '^set-cookie'
req -X POST -H "Authorization: Bearer $token" -H 'Origin: https://evil.example' "$url/v1/session"
expect_problem 403
req -X POST -H "Authorization: Bearer $token" "$url/v1/session"
expect_code 204
expect_head '^set-cookie: bytemill_session=[0-9a-f.]+; Path=/v1/files/; Max-Age=3600; HttpOnly; SameSite=Strict'$'\r'
cookie=$(sed -n 's/\r$//; s/^Set-Cookie: \([^;]*\);.*/\1/p' head)
for path in f '' nope; do
	req -b "$cookie" "$url/v1/files/$path"
	[ "$code" = "$([ "$path" = nope ] && echo 404 || echo 200)" ] || fail "status $code of $path with the cookie"
done
req -b "$cookie" -r 0-1 -H 'Sec-Fetch-Site: same-origin' "$url/v1/files/f"
expect_code 206
for site in same-site cross-site; do
	req -b "$cookie" -H "Sec-Fetch-Site: $site" "$url/v1/files/f"
	[ "$code" = 401 ] || [ "$code" = 403 ] || fail "status $code for a page of another origin"
done
req -b "$cookie" -H 'Authorization: Bearer x' "$url/v1/files/f"
expect_problem 401
for path in /metrics /v1/runs /v1/jobs /v1/service; do
	req -b "$cookie" "$url$path"
	expect_problem 401
done
req -b "$cookie" -T out/f "$url/v1/files/g"
expect_problem 401
late=$(printf '%016x' $((16#${cookie:17:16} + 1000)))
for bad in "${cookie%?}" "${cookie}0" "bytemill_session=$late${cookie#*=????????????????}" "bytemill_session=" "bytemill_session=${cookie:17:16}." \
	"$(printf %s "$cookie" | tr 0-9 1-90)"; do
	req -b "$bad" "$url/v1/files/f"
	expect_problem 401
done
req -X DELETE -H "Authorization: Bearer $token" "$url/v1/session"
expect_head '^set-cookie: bytemill_session=; .*Max-Age=0'
serve_stop
# The key is of one process.
serve_start --outbox out --token-file token
req -b "$cookie" "$url/v1/files/f"
expect_problem 401
serve_stop

# TLS, at any address.
if openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null; then
	head -c 3000000 /dev/urandom >out/large
	mkdir in
	rm -f serve.log
	"$BYTEMILL" serve --listen 0.0.0.0:0 --outbox out --inbox in --token-file token --tls-cert cert.pem --tls-key key.pem 2>serve.log &
	serve_pid=$!
	at_end "kill -9 $serve_pid 2>/dev/null"
	serve_await
	tls=(--cacert cert.pem -H "Authorization: Bearer $token")
	req "${tls[@]}" "https://localhost:$port/v1/files/large"
	expect_code 200
	expect_same body out/large
	req "${tls[@]}" -T out/large "https://localhost:$port/v1/files/large"
	expect_code 201
	expect_same in/large out/large
	req "${tls[@]}" -X POST "https://localhost:$port/v1/session"
	expect_head '^set-cookie: .*; Secure'
	req "http://localhost:$port/healthz"
	[ "$code" != 200 ] || fail "spoken to without TLS"
	serve_stop
fi

# A UNIX socket, its mode, and a stale one.
for round in 1 2; do
	rm -f serve.log
	"$BYTEMILL" serve --listen "unix:$tmp/sock" --outbox out 2>serve.log &
	serve_pid=$!
	at_end "kill -9 $serve_pid 2>/dev/null"
	serve_await
	[ "$(stat -c %a sock)" = 600 ] || fail "mode $(stat -c %a sock)"
	req --unix-socket sock http://any.name/v1/files/f
	expect_code 200
	expect_same body out/f
	run_bm serve --listen "unix:$tmp/sock" --outbox out
	expect_exit 2
	expect_stderr_match 'somebody listens'
	if [ $round = 1 ]; then
		kill -9 $serve_pid
		wait $serve_pid || true
	else
		serve_stop
		[ ! -e sock ] || fail "the socket is left"
	fi
done

# A socket that is handed over, and what is told of the start and the end.
cat >activate.py <<'END'
import os, socket, subprocess, sys, urllib.request
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind("notify")
notify.settimeout(60)
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
def child():
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
script = 'LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET=%s/notify exec "$BYTEMILL" serve --outbox out' % os.getcwd()
p = subprocess.Popen(["sh", "-c", script], preexec_fn=child, close_fds=False)
try:
    assert notify.recv(100) == b"READY=1"
    with urllib.request.urlopen("http://127.0.0.1:%d/v1/files/f" % s.getsockname()[1]) as f:
        assert f.read() == b"data\n"
    p.terminate()
    assert notify.recv(100) == b"STOPPING=1"
    assert p.wait(60) == 0
finally:
    p.kill()
END
$python activate.py 2>activate.log || fail "$(cat activate.log)"
