# tests/cli/url_lib.sh - after lib.sh: servers for the tests of URLs.
#   need_url                  skips where bytemill was built without libcurl
#   start_server [CERT]       url_server.py over $tmp/www; sets $port and $base; its log is $tmp/log.PORT
#   requests RE               how many of its log's lines match
#   job FILE FROM TO [MORE]   writes a job: read with "from": FROM (JSON), copy to TO; MORE goes into read
need_cmd python3
export no_proxy='*'
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy

need_url() { "$BYTEMILL" steps read | grep -q '^URLs: libcurl' || skip "built without libcurl"; }

start_server() {
	local portfile=$top/port.$((servers += 1)) pipe=$top/hold.$servers
	mkdir -p "$tmp/www"
	mkfifo "$pipe"
	"$python" "$BM_SOURCE_DIR/tests/cli/url_server.py" "$tmp/www" "$top/log.$servers" "$portfile" "$@" <"$pipe" 2>"$top/server.err.$servers" &
	local pid=$!
	exec {hold}>"$pipe" # the server ends with this descriptor
	at_end "kill $pid 2>/dev/null; wait $pid 2>/dev/null"
	wait_until test -s "$portfile"
	port=$(cat "$portfile") log=$top/log.$servers
	base=http://127.0.0.1:$port
}
servers=0

requests() { grep -aEc -e "$1" "$log" || true; }

job() {
	cat >"$1" <<-END
		{"steps": [{"step": "read", "from": $2${4:+, $4}}, {"step": "copy", "to": "$3"}]}
	END
}
