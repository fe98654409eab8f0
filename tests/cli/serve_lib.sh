# tests/cli/serve_lib.sh - after lib.sh, by tests of the service.
#   serve_start ARG...   starts it at a free port of 127.0.0.1; sets url, port, serve_pid. Its stderr is serve.log
#   serve_stop [CODE]    SIGTERM, and waits for the exit code (0)
#   req ARG...           curl; sets code (the status); the body is in body, the head in head
#   expect_code N, expect_head RE, expect_json JQ-FILTER, expect_problem N
need_cmd curl jq
[[ $("$BYTEMILL" serve --openapi 2>&1) != *"built without the service"* ]] || skip "built without the service"

# shellcheck disable=SC2154
serve_start() {
	rm -f serve.log
	"$BYTEMILL" serve --listen 127.0.0.1:0 "$@" 2>serve.log &
	serve_pid=$!
	at_end "kill -9 $serve_pid 2>/dev/null"
	serve_await
}
serve_is_up() {
	grep -qs 'listening at' serve.log || ! kill -0 "$serve_pid" 2>/dev/null
}
serve_await() {
	wait_until serve_is_up
	grep -q 'listening at' serve.log || fail "the service did not start: $(cat serve.log)"
	url=$(sed -n 's/^bytemill: listening at //p' serve.log)
	port=${url##*:}
	export url port
}
serve_stop() {
	kill "$serve_pid"
	local rc=0
	wait "$serve_pid" || rc=$?
	[ "$rc" = "${1:-0}" ] || fail "the service ended with $rc, not ${1:-0}: $(cat serve.log)"
}
req() {
	last="curl ${*@Q}"
	: >body
	: >head
	code=$(curl -sS --max-time 60 -o body -D head -w '%{http_code}' "$@") || code="curl $?"
}
expect_code() { [ "$code" = "$1" ] || fail "status $code, expected $1: $(cat -v head body)"; }
expect_head() { grep -Eqi -e "$1" head || fail "no header matches $1: $(cat -v head)"; }
expect_no_head() { ! grep -Eqi -e "$1" head || fail "a header matches $1: $(cat -v head)"; }
expect_json() { jq -e "$1" body >/dev/null || fail "not so: $1: $(cat -v body)"; }
expect_problem() {
	expect_code "$1"
	expect_head '^content-type: application/problem\+json'
	expect_json ".status == $1 and (.title | length > 0) and (.detail | length > 0)"
}
