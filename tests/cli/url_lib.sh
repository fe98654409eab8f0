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

# A port that was free a moment ago. Of a program that takes no 0 for "any".
free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# nginx over $tmp/www: /dav/ (WebDAV), /put/ (PUT, DELETE and MKCOL alone), /make/ (PUT that makes directories), /closed/
# (user me, password "secret word"), / (reading). Sets $port, $base and $log, whose lines are "METHOD URI STATUS overwrite=".
start_nginx() {
	local tries module=/usr/lib/nginx/modules/ngx_http_dav_ext_module.so modules=''
	need_cmd nginx openssl
	nginx -V 2>&1 | grep -q http_dav_module || skip "nginx has no dav module"
	[ -e "$module" ] || skip "nginx has no module dav_ext"
	modules="load_module $module;"
	mkdir -p "$top/nginx" "$tmp/www"/{dav,put,make,closed}
	printf 'me:%s\n' "$(openssl passwd -apr1 'secret word')" >"$top/nginx/users"
	log=$top/nginx/access
	for tries in 1 2 3 4 5; do
		port=$(free_port) base=http://127.0.0.1:$port
		cat >"$top/nginx/conf" <<-END
			$modules
			$([ "$(id -u)" != 0 ] || echo 'user root;')
			daemon off; worker_processes 1; pid $top/nginx/pid; error_log $top/nginx/error;
			events { worker_connections 256; }
			http {
				log_format short '\$request_method \$request_uri \$status overwrite=\$http_overwrite te=\$http_transfer_encoding length=\$content_length none=\$http_if_none_match';
				access_log $log short;
				client_body_temp_path $top/nginx/body; proxy_temp_path $top/nginx/t1; fastcgi_temp_path $top/nginx/t2;
				uwsgi_temp_path $top/nginx/t3; scgi_temp_path $top/nginx/t4; client_max_body_size 0;
				server {
					listen 127.0.0.1:$port; root $tmp/www;
					location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }
					location /put/ { dav_methods PUT DELETE MKCOL; }
					location /make/ { dav_methods PUT; create_full_put_path on; }
					location /small/ { dav_methods PUT; client_max_body_size 100k; }
					location /closed/ {
						auth_basic x; auth_basic_user_file $top/nginx/users;
						dav_methods PUT DELETE MKCOL MOVE; dav_ext_methods PROPFIND OPTIONS;
					}
					${1:-}
				}
			}
		END
		nginx -c "$top/nginx/conf" -p "$top/nginx" -e "$top/nginx/error" 2>"$top/nginx/start" &
		nginx_pid=$!
		at_end "kill $nginx_pid 2>/dev/null; wait $nginx_pid 2>/dev/null"
		wait_until eval 'test -s "$top/nginx/pid" || ! kill -0 $nginx_pid 2>/dev/null'
		if kill -0 $nginx_pid 2>/dev/null; then return; fi
	done
	fail "nginx does not start: $(cat "$top/nginx/start" "$top/nginx/error")"
}
