# A URL as input: whole, in pieces, over transfers that break, and from servers that do not keep their word.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
start_server

mkdir -p www
head -c 3000000 /dev/urandom >www/a.bin
{ head -c 1000000 www/a.bin; head -c 2000000 /dev/urandom; } >www/a.bin.new
touch -d '2020-02-02 02:02:02' www/a.bin
: >www/empty
printf x >www/one

fetch() { # fetch MODES [NAME]: exit code and output are looked at by the caller
	rm -rf out
	job j.json "\"$base/$1/${2:-a.bin}\"" "$tmp/out/{path}" "${3:-\"connections\": 1}"
	run_bm run j.json
}
good() { # good MODES [NAME] [MORE]
	fetch "$@"
	expect_exit 0
	expect_same "www/${2:-a.bin}" "out/${2:-a.bin}"
	expect_no_temp out
}
bad() { # bad RE MODES [NAME] [MORE]
	local re=$1
	shift
	fetch "$@"
	expect_exit 1
	expect_stderr_match "$re"
	[ -z "$(find out -type f 2>/dev/null)" ] || fail "something was published"
}

# Every way to say where the end is; empty and tiny; the time of change goes along.
for modes in plain norange weak date bare chunked close,bare; do
	good "$modes"
	good "$modes" empty
	good "$modes" one
done
good plain
[ "$(stat -c %Y out/a.bin)" = "$(stat -c %Y www/a.bin)" ] || fail "mtime"
[ "$(stat -c %a out/a.bin)" = 644 ] || fail "mode"

# A transfer that breaks goes on where it stopped, with the validator; each byte is asked for once.
good plain,cut-700000
[ "$(requests '^GET /plain,cut-700000/a.bin range=bytes=700000- if-range="[0-9a-f]*" .* 206$')" = 1 ] || fail "not resumed"
[ "$(requests '^GET /plain,cut-700000/')" = 5 ] || fail "requests"
good date,cut-700000
[ "$(requests '^GET /date,cut-700000/a.bin range=bytes=700000- if-range=.*GMT .* 206$')" = 1 ] || fail "not resumed by date"
# Without one it begins anew, and goes on where that is the same.
good weak,cutonce-700000
good norange,cutonce-700000
good chunked,cutonce-700000
[ "$(requests '(weak|chunked),cutonce-700000/a.bin range=bytes')" = 0 ] || fail "a range without a validator"
good plain,onlyrange-1,cutonce-700000

# Never a splice of two versions: what has gone on by then is not in the new one.
for modes in change-1,plain change-1,weak change-1,keeps,norange change-1,date; do
	fetch "$modes,cutonce-2000000"
	expect_exit 0
	expect_stderr_match 'changed on the server while it was fetched: fetched once more from the start'
	expect_same www/a.bin.new out/a.bin
	expect_no_temp out
done
# Where inputs are joined what was written cannot be begun anew: it fails, and the next input follows.
cat >both.json <<-END
	{"steps": [{"step": "read", "from": ["$base/change-1,cutonce-2000000,joined/a.bin", "$base/plain/one"], "connections": 1},
		{"step": "write", "to": "both", "combine": true}]}
END
run_bm run both.json
expect_exit 1
expect_stderr_match 'a.bin: changed on the server while it was fetched: the [0-9]+ bytes that had come are not in the new version'
[ ! -e both ] || expect_same www/one both
# The new version begins as the old one did: all of it is taken.
rm -rf out
job j.json "\"$base/plain,change-1,cutonce-700000/a.bin\"" "$tmp/out/{path}" '"connections": 1'
run_bm run j.json
expect_exit 0
expect_same www/a.bin.new out/a.bin

# What may pass is waited for, what will not is told.
good fail-3-503
good fail-1-429,after-1
expect_stderr_match 'only after 1 failure' 
bad 'answered 503 .*Service Unavailable.*, tried 4 times' fail-9-503
bad 'answered 503 .*Retry-After: 99999' fail-9-503,after-99999
bad 'answered 404 \(Not Found\)' plain nothing
bad 'answered 410' status-410
bad 'more than 10 redirects' loop
bad 'after 3000000 of 3000010 bytes' short,norange
[ "$(requests '^GET /loop/')" = 11 ] || fail "redirects"

# Servers that send less than was asked for: the rest is asked for, too. More, or nobody knows how much: not taken.
good part-700000
[ "$(requests '^GET /part-700000/.* 206$')" = 5 ] || fail "requests"
good part-700000,cutonce-100
bad 'replies in parts \(206\) are not what was asked for' part-700000,bare
bad 'replies in parts \(206\) are not what was asked for' part-700000,more-5
bad 'Content-Length is none, or there are two' norange,length-5
bad 'Content-Length is none, or there are two' norange,only-99999999999999999999999
good norange,length-3000000
# Nothing that a part could be compared with: not put to what has come.
fetch plain,change-1,mute,cutonce-2000000
expect_exit 0
expect_same www/a.bin.new out/a.bin
# No range was asked for, and this answer does not end by asking again and again.
bad 'answered 416' status-416

# Silence.
good stallonce-500000 a.bin '"connections": 1, "http": {"timeout": "500ms"}'


# Nobody there; no such thing.
job j.json "\"http://127.0.0.1:1/x\"" "$tmp/out/{path}"
run_bm run j.json
expect_exit 1
expect_stderr_match '^bytemill: .*http://127.0.0.1:1/x: cannot fetch: .*tried 4 times'
