# Lists of URLs: names, expected digests and sizes, lines that are wrong; what is shown of a URL.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
start_server

mkdir -p www/sub
head -c 400000 /dev/urandom >www/a.bin
head -c 70000 /dev/urandom >www/b.bin
cp www/b.bin 'www/b c'
sha() { sha256sum <"$1" | cut -d' ' -f1; }
a=$(sha www/a.bin) b=$(sha www/b.bin)

run_list() { # the list's lines on stdin
	rm -rf out
	cat >list
	cat >j.json <<-END
		{"steps": [{"step": "read", "urls_from": "list"},
			{"step": "hash", "algorithms": ["sha256"], "manifest": "sums"},
			{"step": "copy", "to": "out/{path}"}]}
	END
	run_bm run --report r.jsonl j.json
}

# Lines and objects, in their order; comments and blanks are passed over.
run_list <<-END
	# what we pull
	$base/plain/b.bin

	{"url": "$base/plain/a.bin", "name": "deep/er/A", "sha256": "$a", "size": 400000}
	  $base/plain/b%20c?x=1&sig=abcdef#part	
	{"url": "$base/plain/b.bin", "name": "again", "sha512": "$(sha512sum <www/b.bin | cut -d' ' -f1)", "md5": "$(md5sum <www/b.bin | cut -d' ' -f1)", "sha1": "$(sha1sum <www/b.bin | cut -d' ' -f1 | tr a-f A-F)"}
END
expect_exit 0
expect_same www/a.bin out/deep/er/A
expect_same www/b.bin out/again
expect_same www/b.bin 'out/b c'
sha256sum -c --strict --status sums || fail "manifest"
[ "$(cut -c67- sums | tr '\n' ' ')" = "out/b.bin out/deep/er/A out/b c out/again " ] || fail "order"
jq -r 'select(.display) | .display' r.jsonl >shown || true
grep -q 'sig=\.\.\.' r.jsonl || fail "the report does not say which URL"
! grep -q abcdef r.jsonl "$stderr" || fail "a signature is shown"

# The same from standard input.
rm -rf out
cat >stdin.json <<-END
	{"steps": [{"step": "read", "urls_from": "-"}, {"step": "copy", "to": "$tmp/out/{path}"}]}
END
echo "$base/plain/a.bin" | run_bm run -q stdin.json
expect_exit 0
expect_same www/a.bin out/a.bin

# What is not as expected is not published, and the others are.
for wrong in "\"sha256\": \"$b\"" "\"md5\": \"$(printf '%032d' 0)\"" '"size": 400001'; do
	run_list <<-END
		{"url": "$base/plain/a.bin", $wrong}
		$base/plain/b.bin
	END
	expect_exit 1
	expect_stderr_match "a.bin: (has the (sha256|md5) [0-9a-f]+, and [0-9a-f]+ was expected|is 400000 bytes on the server, and 400001 were expected)"
	[ ! -e out/a.bin ] || fail "published in spite of $wrong"
	expect_same www/b.bin out/b.bin
	expect_no_temp out
done
# A server that does not say the size.
run_list <<<"{\"url\": \"$base/chunked/a.bin\", \"size\": 400001}"
expect_exit 1
expect_stderr_match 'is 400000 bytes on the server, and 400001 were expected'

# Lines that are wrong say where, and nothing of what stands there; the others are fetched.
run_list <<-END
	{"url": "$base/plain/a.bin", "name": "../up"}
	{"url": "$base/plain/a.bin", "name": "/abs"}
	{"url": "$base/plain/a.bin", "sha256": "12"}
	{"url": "$base/plain/a.bin", "sha": "12"}
	{"url": "$base/plain/a.bin"
	{"name": "x"}
	ftp://127.0.0.1/x
	http://me:hunter2@127.0.0.1/x
	{"url": "http://me:hunter2@127.0.0.1/x"}
	http:///x
	$base/plain/b.bin
END
expect_exit 1
for n in 1 2 3 4 5 6 7 8 9 10; do expect_stderr_match "list:$n: "; done
expect_stderr_match 'list:8: .*user name or password.*netrc'
expect_stderr_match '10 files? failed'
! grep -q hunter2 "$stderr" r.jsonl || fail "a password is shown"
expect_same www/b.bin out/b.bin

# Names: never out of the directory.
printf 'x' >'www/..%2fup'
mkdir -p www/d
for pair in '%2e%2e:_..' '.%2e%2F%2e%2e%2fetc:.._.._etc' 'a%00b:a_b' 'a?..%2f=/x/y:a' ':index.html' '%zz:%zz' '.bytemill-1.tmp:_.bytemill-1.tmp'; do
	path=${pair%:*} name=${pair##*:}
	job n.json "\"$base/status-404/$path\"" "$tmp/out/{path}"
	run_bm run --report r.jsonl n.json
	expect_exit 1
	[ "$(jq -r 'select(.path) | .path' r.jsonl)" = "$name" ] || fail "$path became $(cat r.jsonl)"
done

# Two that would be written to one file are found before anything is fetched.
cat >two.json <<-END
	{"steps": [{"step": "read", "urls": [{"url": "$base/plain/a.bin?1"}, {"url": "$base/plain/a.bin?2"}]},
		{"step": "copy", "to": "$tmp/out/{path}"}]}
END
run_bm run two.json
expect_exit 2
expect_stderr_match 'a.bin\?1 and http.*a.bin\?2 would both be written here'
[ "$(requests 'a.bin.[12]')" = 0 ] || fail "something was fetched"

# if_exists skip: not fetched where it is there.
cat >skip.json <<-END
	{"steps": [{"step": "read", "from": "$base/plain/a.bin?skip"}, {"step": "copy", "to": "$tmp/out/{path}", "if_exists": "skip"}]}
END
run_bm run -q skip.json
expect_exit 0
expect_same www/a.bin out/a.bin
run_bm run skip.json
expect_exit 0
expect_stderr_match '1 skipped'
[ "$(requests 'a.bin.skip')" = 1 ] || fail "fetched again"

# The job file: what is wrong is found there, and a password is not repeated.
wrong() { # wrong RE READ
	echo "{\"steps\": [{\"step\": \"read\", $2}, {\"step\": \"copy\", \"to\": \"out/{path}\"}]}" >w.json
	run_bm validate w.json
	expect_exit 2
	expect_stderr_match "$1"
	! grep -q hunter2 "$stdout" "$stderr" || fail "a password is shown"
}
wrong '/steps/0/from.*user name or password.*netrc' '"from": "https://me:hunter2@host.example/x"'
wrong '/steps/0/urls.* as number 2, a URL with a user name or password' '"urls": [{"url": "http://h.example/"}, {"url": "http://me:hunter2@host.example/x"}]'
wrong 'http.proxy holds a user name' '"from": "http://h.example/x", "http": {"proxy": "http://me:hunter2@proxy.example:1"}'
wrong '/steps/0/urls/sha256.* 64 to 64 bytes' '"urls": {"url": "http://h.example/x", "sha256": "abc"}'
wrong 'sha256 must be 64 hexadecimal digits' "\"urls\": {\"url\": \"http://h.example/x\", \"sha256\": \"$(printf 'x%.0s' {1..64})\"}"
wrong 'unknown key "sha"' '"urls": {"url": "http://h.example/x", "sha": "abc"}'
wrong '"url" is missing' '"urls": [{"name": "x"}]'
wrong 'name must be a relative path' '"urls": [{"url": "http://h.example/x", "name": "a/../../b"}]'
wrong 'there is no URL here' '"from": "w.json", "http": {"timeout": "1s"}'
wrong 'urls is a string; allowed: an object' '"urls": "http://me:hunter2@h.example/x"'
wrong 'urls is a string; allowed: an object' '"urls": ["http://me:hunter2@h.example/x"]'
echo "{\"steps\": [{\"step\": \"read\", \"from\": \"$base/plain/a.bin?sig=hunter2\", \"urls_from\": \"list\"}, {\"step\": \"copy\", \"to\": \"out/{path}\"}]}" >v.json
run_bm validate v.json
expect_exit 0
expect_stdout_match 'sig=\.\.\., URLs from .*list'
