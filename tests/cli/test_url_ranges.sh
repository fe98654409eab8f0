# A large file of a URL in parallel ranges: same bytes, bounded memory, and whole even where ranges break or servers lie.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
start_server

mkdir -p www
head -c 5000000 /dev/urandom >www/a.bin
head -c 5000000 /dev/urandom >www/a.bin.new
head -c 262144 /dev/urandom >www/exact
head -c 524289 /dev/urandom >www/over
: >www/empty

# 8 MiB of memory lend 2 MiB, which makes ranges of 256 KiB: 20 of them.
fetch() { # fetch MODES NAME [CONNECTIONS [MEMORY]]
	rm -rf out
	cat >j.json <<-END
		{"memory": "${4:-8MiB}", "chunk": "64KiB", "steps": [
			{"step": "read", "from": "$base/$1/$2", "connections": ${3:-4}},
			{"step": "hash", "algorithms": ["sha256"], "manifest": "$tmp/sums"},
			{"step": "copy", "to": "$tmp/out/{path}"}]}
	END
	run_bm run --report r.jsonl j.json
}
good() {
	fetch "$@"
	expect_exit 0
	expect_same "www/$2" "out/$2"
	[ "$(cut -d' ' -f1 sums)" = "$(sha256sum <"www/$2" | cut -d' ' -f1)" ] || fail "digest"
	expect_no_temp out
}

good plain a.bin
[ "$(requests '^GET /plain/a.bin range=bytes=[0-9]+-[0-9]+ .* 206$')" = 20 ] || fail "ranges"
[ "$(requests '^GET /plain/a.bin range=bytes=[1-9][0-9]*-[0-9]+ if-range="')" = 19 ] || fail "ranges without a validator"
for name in exact over empty; do good plain $name; done
good plain a.bin 16
good plain a.bin 2

# No memory to read ahead with, or not wanted: one plain request.
good plain,x a.bin 4 1MiB
good plain,y a.bin 1
[ "$(requests '^GET /plain,[xy]/a.bin range=None .* 200$')" = 2 ] || fail "not streamed"

# Servers that have no ranges, or no validator, or cannot count, are streamed.
for modes in norange weak bare chunked wrong empty416; do
	good $modes a.bin
	good $modes empty
done
[ "$(requests '^GET /weak/a.bin ')" = 2 ] || fail "requests without a validator"
good date a.bin # nor where only a date is known, but it has settled

# Broken ranges are carried on with, each where it stopped.
good plain,cut-100000 a.bin
[ "$(requests '^GET /plain,cut-100000/a.bin range=bytes=100000-262143 if-range="')" = 1 ] || fail "not resumed"
good plain,cutonce-5 a.bin
good plain,fail-3-503 a.bin
good plain,onlyrange-4 a.bin # one that forgets its ranges: from the start, compared

# Another version in the middle: it fails, or all is of one version; never a mixture.
touch -d '2020-02-02' www/a.bin
touch -d '2021-02-02' www/a.bin.new
for modes in plain,change-7 plain,change-2 plain,change-1 norange,change-1,cutonce-300000 date,change-7; do
	fetch "$modes" a.bin
	if [ "$status" = 0 ]; then
		expect_same www/a.bin.new out/a.bin
	else
		expect_exit 1
		expect_stderr_match 'changed on the server'
		[ ! -e out/a.bin ] || fail "a mixture"
	fi
	[ "$(requests "^GET /$modes/a.bin ")" -gt 1 ] || fail "no other version was seen"
done

# Redirects: each range goes where the first was sent to.
good "up-$port" a.bin
[ "$(requests "^GET /up-$port/a.bin ")" = 1 ] || fail "redirects"
