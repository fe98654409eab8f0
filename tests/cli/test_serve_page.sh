#!/bin/bash
# The page: its files, its policy, nothing of other hosts and nothing inline in it. What it does in a browser is
# tests/browser.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir jobs out
token=0123456789abcdef0123456789abcdef
echo $token >token
chmod 600 token
serve_start --jobs jobs --outbox out --token-file token
auth=(-H "Authorization: Bearer $token")

# Without the token, as it is where that is asked for.
files=$(cd "$BM_SOURCE_DIR/src/serve/page" && ls)
[ "$(wc -w <<<"$files")" -ge 9 ] || fail "the page's files: $files"
for file in $files; do
	path=/page/$file
	[ "$file" != index.html ] || path=/
	req "$url$path"
	expect_code 200
	expect_same body "$BM_SOURCE_DIR/src/serve/page/$file"
	for directive in "default-src 'none'" "script-src 'self'" "style-src 'self'" "img-src 'self' blob:" "media-src 'self'" "connect-src 'self'" \
		"form-action 'self'" "base-uri 'none'" "frame-ancestors 'none'"; do
		expect_head "^content-security-policy: (.*; )?$directive(;|"$'\r'")"
	done
	expect_no_head '^content-security-policy: .*unsafe'
	expect_head '^x-content-type-options: nosniff'
	expect_head '^referrer-policy: no-referrer'
	expect_head '^cache-control: no-cache'
	case $file in
	*.html) expect_head '^content-type: text/html; charset=utf-8' ;;
	*.css) expect_head '^content-type: text/css; charset=utf-8' ;;
	*.js) expect_head '^content-type: text/javascript' ;;
	*.svg) expect_head '^content-type: image/svg\+xml' ;;
	*) fail "what is $file?" ;;
	esac
	etag=$(sed -n 's/\r$//; s/^ETag: //p' head)
	req -H "If-None-Match: $etag" "$url$path"
	expect_code 304
	expect_head '^content-security-policy: '
	req -H 'If-None-Match: "other"' "$url$path"
	expect_code 200
done
for path in /page/none /page/..%2Fapp.js /page/style.css/x; do
	req "$url$path"
	[ "$code" = 404 ] || [ "$code" = 400 ] || [ "$code" = 401 ] || fail "status $code of $path"
done
# No other host, no script or style within the HTML, no way from a text to HTML.
cd "$BM_SOURCE_DIR/src/serve/page" || exit 1
! grep -nE '(https?:)?//[a-z0-9]' ./* | grep -v 'http://www.w3.org/2000/svg' || fail "another host"
! grep -nEi '<style|style=|<script[^>]*>[^<]|javascript:|[ "]on[a-z]+=' index.html || fail "something inline"
! grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc|setAttribute\(.(style|on)' ./*.js || fail "a text could become HTML"
cd "$tmp" || exit 1

req "$url/v1/service"
expect_problem 401
req "${auth[@]}" "$url/v1/service"
expect_json '.jobs and .outbox and .token and .catalog and (.inbox | not) and (.version | length > 0)'
serve_stop
