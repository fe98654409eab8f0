# s3:// as input and output, at a server that checks every signature by itself.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url

start_s3() { # sets $port and $log
	local portfile=$top/port.$((servers += 1)) pipe=$top/hold.$servers
	log=$top/log.$servers
	mkfifo "$pipe"
	S3_TOKEN=${1:-} "$python" "$BM_SOURCE_DIR/tests/cli/s3_server.py" "$log" "$portfile" <"$pipe" 2>"$top/s3.err" &
	local pid=$!
	exec {hold}>"$pipe"
	at_end "kill $pid 2>/dev/null; wait $pid 2>/dev/null"
	wait_until test -s "$portfile"
	port=$(cat "$portfile")
}
start_s3
unset "${!AWS_@}"
export AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=very/secret+words AWS_REGION=test-region-1
export AWS_ENDPOINT_URL=http://127.0.0.1:$port/

mkdir -p 'in/a b'
head -c 20000000 /dev/urandom >in/large
head -c 8388608 /dev/urandom >in/part
head -c 8388609 /dev/urandom >in/part1
head -c 300000 /dev/urandom >'in/a b/x+y=?#%é'
: >in/empty

run_job() { # run_job READ TO [MORE]
	echo "{\"memory\": \"128MiB\", \"steps\": [{\"step\": \"read\", $1}, {\"step\": \"copy\", \"to\": \"$2\"${3:+, $3}}]}" >j.json
	run_bm run --report r.jsonl j.json
	! grep -aq 'very/secret' "$stdout" "$stderr" r.jsonl || fail "a secret is shown"
	! grep -aq '^#' "$log" || fail "$(cat "$log")"
}

# Out and in again: what is small by one PUT, what is large in parts; in ranges.
run_job '"from": "in"' 's3://bucket/pre fix/{path}'
expect_exit 0
[ "$(requests '^PUT [^?]* 200$')" = 3 ] || fail "small objects"
[ "$(requests '^PUT /bucket/pre%20fix/large.partNumber=[123]&uploadId=id%2F[0-9]*%2Bx%3D 200$')" = 3 ] || fail "parts"
[ "$(requests '^POST .*uploadId=.* 200$')" = 2 ] || fail "uploads"
run_job '"urls": [{"url": "s3://bucket/pre fix/large"}, {"url": "s3://bucket/pre fix/part"}, {"url": "s3://bucket/pre fix/part1"},
	{"url": "s3://bucket/pre fix/empty"}, {"url": "s3://bucket/pre fix/a b/x+y=?#%é", "name": "a b/x+y=?#%é"}]' "$tmp/back/{path}"
expect_exit 0
diff -r in back || fail "not the same"
[ "$(requests '^GET /bucket/pre%20fix/large 206$')" -ge 3 ] || fail "not in ranges"
run_job '"from": "s3://bucket/pre fix/a b/x+y=?#%é"' "$tmp/one/{path}"
expect_exit 0
expect_same 'in/a b/x+y=?#%é' 'one/x+y=?#%é'

# What exists.
run_job '"from": "in"' 's3://bucket/pre fix/{path}' '"if_exists": "fail"'
expect_exit 1
expect_stderr_match '/large: exists already'
run_job '"from": "in/part1"' 's3://bucket/new' '"if_exists": "fail"'
expect_exit 0
before=$(requests '^(PUT|POST)')
run_job '"from": "in"' 's3://bucket/pre fix/{path}' '"if_exists": "skip"'
expect_exit 0
[ "$(requests '^(PUT|POST)')" = "$before" ] || fail "not skipped"

# A part that may pass is sent again; one that does not ends the upload, and nothing of it stays.
run_job '"from": "in/large"' 's3://bucket/flaky'
expect_exit 0
run_job '"from": "in/large"' 's3://bucket/denied'
expect_exit 1
expect_stderr_match 's3://bucket/denied: cannot put a part: the server answered 403'
[ "$(requests '^DELETE /bucket/denied.uploadId=.* 503$')" = 1 ] || fail "not given up"
[ "$(requests '^DELETE /bucket/denied.uploadId=.* 204$')" = 1 ] || fail "parts are left"
run_job '"from": "in/large"' 's3://bucket/error200'
expect_exit 1
expect_stderr_match 'cannot complete the upload: the server says InternalError'
run_job '"from": "s3://bucket/nothing"' "$tmp/x/{path}"
expect_exit 1
expect_stderr_match 's3://bucket/nothing: cannot fetch: the server answered 404'

# Credentials: from a file, for its owner alone; a profile; none at all; wrong ones; a token.
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
run_job '"from": "s3://bucket/new"' "$tmp/x/{path}"
expect_exit 2
expect_stderr_match 'nothing says who we are'
mkdir -p "$HOME/.aws"
cat >"$HOME/.aws/credentials" <<-END
	[other]
	aws_access_key_id = AKIAOTHER
	aws_secret_access_key = wrong
	[default]
	# ours
	aws_access_key_id = AKIATEST
	aws_secret_access_key=very/secret+words
END
chmod 644 "$HOME/.aws/credentials"
run_job '"from": "s3://bucket/new"' "$tmp/x/{path}"
expect_exit 2
expect_stderr_match 'may be read by others'
chmod 600 "$HOME/.aws/credentials"
run_job '"from": "s3://bucket/new"' "$tmp/x/{path}"
expect_exit 0
expect_same in/part1 x/new
if "$BYTEMILL" hash -q --sandbox on /dev/null >/dev/null 2>&1; then
	echo "{\"steps\": [{\"step\": \"read\", \"from\": \"s3://bucket/new\"}, {\"step\": \"write\", \"to\": \"x/{path}\"}]}" >boxed.json
	run_bm run --sandbox on boxed.json
	expect_exit 0
fi
start_s3 a-token/1
unset AWS_ENDPOINT_URL
export AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=very/secret+words AWS_SESSION_TOKEN=a-token/1
http="\"http\": {\"endpoint\": \"http://127.0.0.1:$port\", \"region\": \"test-region-1\"}"
AWS_REGION=elsewhere run_job '"from": "in/part1"' 's3://b/t' "$http"
expect_exit 0
AWS_REGION=elsewhere run_job "\"from\": \"s3://b/t\", $http" "$tmp/token/{path}"
expect_exit 0
expect_same in/part1 token/t
AWS_SECRET_ACCESS_KEY=wrong run_bm run -q j.json
expect_exit 1
expect_stderr_match 'the server answered 403'
