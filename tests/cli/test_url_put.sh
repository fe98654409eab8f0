# A URL as output, at a real server: WebDAV by a temp name and MOVE, plain PUT, collections, what exists already.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
start_nginx

mkdir -p "in/a/b c" 'in/d%e'
head -c 3000000 /dev/urandom >in/large
head -c 65536 /dev/urandom >in/edge
head -c 65537 /dev/urandom >in/edge1
echo small >'in/a/b c/sm?#all'
: >'in/d%e/empty ü'

put() { # put TO [MORE [JOB]]
	cat >j.json <<-END
		{"name": "a job", ${3:-} "steps": [{"step": "read", "from": "$tmp/in"},
			{"step": "hash", "algorithms": ["sha256"]}, {"step": "copy", "to": "$base/$1"${2:+, $2}}]}
	END
	run_bm run --report r.jsonl j.json
}
same() { diff -r in "www/$1" || fail "www/$1 is not what in is"; expect_no_temp www; }

# WebDAV: to a temp name first, then moved.
put 'dav/x/y/{path}'
expect_exit 0
same dav/x/y
[ "$(requests '^PUT /dav/x/y/([^ ]*/)?\.bytemill-[^/]*\.tmp 201')" = 5 ] || fail "not by a temp"
[ "$(requests '^MOVE /dav/x/y/([^ ]*/)?\.bytemill-[^/]*\.tmp 20[14] overwrite=F')" = 5 ] || fail "not moved"
[ "$(requests '^MKCOL /dav/x/y/ 201')" = 1 ] || fail "collections"
[ "$(requests '^PUT .* te=chunked')" = 2 ] || fail "chunked"
[ "$(requests '^PUT .* te=- length=65536 ')" = 1 ] || fail "not with its length"
jq -r 'select(.outputs) | .outputs[].path' r.jsonl | grep -qx "$base/dav/x/y/a/b%20c/sm%3F%23all" || fail "report"
# Once more: replaced.
echo other >>in/edge
put 'dav/x/y/{path}'
expect_exit 0
same dav/x/y
[ "$(requests '^PROPFIND .* 207')" = 5 ] || fail "not looked at"
[ "$(requests '^MOVE .* 20[14] overwrite=T')" = 5 ] || fail "not replaced"

# Servers that only know PUT: as it is.
for place in put make; do
	put "$place/deep/er/{path}"
	expect_exit 0
	same $place/deep/er
done
[ "$(requests '^MOVE /(put|make)')" = 0 ] || fail "moved"
[ "$(requests '^PUT /make/.*bytemill')" = 0 ] || fail "by a temp"

# What is there already.
put 'dav/x/y/{path}' '"if_exists": "skip"'
expect_exit 0
expect_stderr_match '0 files done, 0 failed, 5 skipped|5 skipped|5 files done'
same dav/x/y
echo old >www/dav/x/y/edge
touch -d 2001-01-01 www/dav/x/y/edge
put 'dav/x/y/{path}' '"if_exists": "fail"'
expect_exit 1
expect_stderr_match '/dav/x/y/edge: exists already'
[ "$(cat www/dav/x/y/edge)" = old ] || fail "replaced"
expect_no_temp www
put 'dav/new/{path}' '"if_exists": "fail"'
expect_exit 0
same dav/new
[ "$(requests '^MOVE .* 20[14] overwrite=F')" = 10 ] || fail "overwrite"
put 'put/new/{path}' '"if_exists": "fail"'
expect_exit 0
same put/new
[ "$(requests '^PUT /put/new/.* none=\*')" = 5 ] || fail "If-None-Match"

# Credentials; none of it is shown.
put 'closed/{path}'
expect_exit 1
expect_stderr_match '401 \(Unauthorized: are there credentials'
expect_stderr_match '5 files failed'
printf 'machine 127.0.0.1 login me password "secret word"\n' >netrc
chmod 600 netrc
put 'closed/{path}' '"http": {"netrc": "netrc"}'
expect_exit 0
same closed
! grep -aq 'secret word' "$stderr" r.jsonl || fail "a secret is shown"

# A server that will not have it: the reason, and nothing left.
put 'small/{path}'
expect_exit 1
expect_stderr_match 'cannot put: the server answered (413|404|405|409)'
put 'nowhere/{path}'
expect_exit 1
expect_stderr_match 'cannot put: the server answered 405'
expect_no_temp www

# A file that fails at an earlier step is not published: not even half.
start_server
cat >j.json <<-END
	{"steps": [{"step": "read", "urls": [{"url": "$base/plain/src", "sha256": "$(printf '0%.0s' {1..64})"}, {"url": "$base/plain/src", "name": "good"}]},
		{"step": "copy", "to": "BASE/dav/f/{path}"}, {"step": "write", "to": "BASE/make/f/{path}"}]}
END
nginx_base=$(sed -n 's|.*listen \(127.0.0.1:[0-9]*\);.*|http://\1|p' "$top/nginx/conf")
sed -i "s|BASE|$nginx_base|g" j.json
cp in/large www/src
run_bm run j.json
expect_exit 1
expect_same in/large www/dav/f/good
expect_same in/large www/make/f/good
[ ! -e www/dav/f/src ] && [ ! -e www/make/f/src ] || fail "published"
wait_until eval '[ -z "$(find www -name ".bytemill-*")" ]'

# A server that closes a connection just when it is used again: the upload takes another one.
cat >closes.py <<'END'
import http.server, threading, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    def log_message(self, *args): pass
    def do_OPTIONS(self):
        self.count += 1
        if self.command == "PUT" and self.count > 1:
            self.rfile.read(1)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        while self.headers.get("Transfer-Encoding") and (size := int(self.rfile.readline(), 16)) > 0:
            body += self.rfile.read(size + 2)[:-2]
        if self.headers.get("Transfer-Encoding"):
            self.rfile.readline()
        if self.command == "PUT":
            open("put", "wb").write(body)
        self.send_response(201 if self.command == "PUT" else 405)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_PUT = do_MKCOL = do_OPTIONS
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
END
mkfifo hold
$python closes.py <hold >closes.port &
exec {hold}>hold
wait_until test -s closes.port
for file in edge1 small; do # as it comes, and kept
	[ -e in/$file ] || echo small >in/$file
	run_bm run -q <(echo "{\"steps\": [{\"step\": \"read\", \"from\": \"$tmp/in/$file\"}, {\"step\": \"copy\", \"to\": \"http://127.0.0.1:$(cat closes.port)/x/f\"}]}")
	expect_exit 0
	expect_same in/$file put
done
exec {hold}>&-

# Job files that ask for what cannot be.
wrong() {
	echo "{\"steps\": [{\"step\": \"read\", \"from\": \"in\"}, {\"step\": \"copy\", $2}]}" >w.json
	run_bm validate w.json
	expect_exit 2
	expect_stderr_match "$1"
}
wrong 'combine cannot be had where to is a URL' '"to": "http://h.example/x", "combine": true'
wrong 'if_exists cannot be "append" where to is a URL' '"to": "http://h.example/{path}", "if_exists": "append"'
wrong 'user name or password' '"to": "http://me:word@h.example/{path}"'
wrong 'names a directory' '"to": "http://h.example/x/"'
wrong 'there is no URL here' '"to": "x/{path}", "http": {"timeout": 1}'
