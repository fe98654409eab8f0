#!/bin/bash
# write and copy, option index: the index of a BGZF output is what bgzip makes of it, bgzip finds its way with it, and it
# never stands beside a file that it is not of.
. "$(dirname "$0")/lib.sh"

mkdir in in/sub
: >in/empty
printf x >in/one
seq 1 20000 >in/small
seq 1 700000 >in/sub/large
head -c 300000 "$BYTEMILL" >in/binary
job() { # job CHUNK TO...: one write each
	local to chunk=$1 steps='{"step": "read", "from": "in"}, {"step": "compress", "layout": "bgzf", "level": 1}'
	shift
	for to; do steps+=', {"step": "write", "to": "'$to'", "index": true}'; done
	echo '{"name": "indexed", "chunk": "'"$chunk"'", "steps": ['"$steps"']}' >job.json
}

# Byte for byte as bgzip -r, in chunks of any size, which several steps may ask for; a hash between changes nothing.
for chunk in 4KiB 64KiB 65KiB 1MiB 64MiB; do
	job $chunk "out.$chunk/{path}.gz" "more.$chunk/{path}.gz"
	run_bm run -q job.json
	expect_exit 0
	expect_no_stderr
	diff -r "out.$chunk" "more.$chunk" >&2 || fail "two writes, two indexes"
	[ "$(find "out.$chunk" -name '*.gz.gzi' | wc -l)" = 5 ] || fail "indexes: $(find "out.$chunk")"
	[ "$(stat -c %s "out.$chunk/empty.gz.gzi")" = 8 ] || fail "an empty file has an index of no entries"
	if command -v bgzip >/dev/null; then
		# Of an empty file bgzip 1.16 says that its index has -1 entries.
		for name in one small sub/large binary; do
			cp "out.$chunk/$name.gz" again.gz
			rm -f again.gz.gzi
			bgzip -r again.gz
			expect_same "out.$chunk/$name.gz.gzi" again.gz.gzi
		done
		for at in 0 1 65279 65280 65281 3000000 4500000; do
			bgzip -b $at -s 70000 "out.$chunk/sub/large.gz" >part
			{ tail -c +$((at + 1)) in/sub/large || true; } | head -c 70000 >want
			expect_same part want
		done
	fi
done

# What is said of it.
job 1MiB 'v/{path}.gz'
run_bm run -v --report report.jsonl job.json
expect_exit 0
expect_stderr_match '^bytemill: done: in/small \(.*\) -> v/small\.gz, v/small\.gz\.gzi$'
grep -q '"path":"v/small.gz.gzi","bytes":24' report.jsonl || fail "the report: $(grep small report.jsonl)"
run_bm validate job.json
expect_stdout_match 'to v/\{path\}\.gz, with an index \(\.gzi\)$'
[ "$(stat -c '%a %Y' v/small.gz.gzi)" = "$(stat -c '%a %Y' in/small)" ] || fail "mode and time of the index"

# An index is replaced with its file, and goes where the file does: a link stays one.
rm v/small.gz
ln -s real.gz v/small.gz
cp v/sub/large.gz.gzi v/small.gz.gzi
run_bm run -q job.json
expect_exit 0
[ -L v/small.gz ] && [ -f v/real.gz ] || fail "the link"
[ "$(stat -c %s v/small.gz.gzi)" = 24 ] || fail "the old index is still there"
# With if_exists skip neither is touched.
sed -i 's/"index": true/"index": true, "if_exists": "skip"/' job.json
rm v/one.gz v/one.gz.gzi v/binary.gz.gzi
run_bm run -q job.json
expect_exit 0
[ -f v/one.gz ] && [ -f v/one.gz.gzi ] && [ ! -e v/binary.gz.gzi ] || fail "if_exists skip: $(ls v)"

# A file that fails leaves what was there, both.
job 1MiB 'f/{path}.gz'
run_bm run -q job.json
expect_exit 0
cp -a f f.was
cat >fail.json <<'END'
{"steps": [{"step": "read", "from": "damaged.gz"}, {"step": "decompress"}, {"step": "compress", "layout": "bgzf"},
	{"step": "write", "to": "f/small.gz", "index": true}]}
END
seq 1 400000 | gzip >damaged.gz
truncate -s 700000 damaged.gz
run_bm run -q fail.json
expect_exit 1
diff -r f.was f >&2 || fail "a failed file changed its output or its index"
# An index that cannot be made is the file's failure, and the file stays as it was.
rm f/small.gz.gzi
mkdir f/small.gz.gzi
run_bm run -q job.json
expect_exit 1
expect_stderr_match 'in/small: .*f/small.gz.gzi: '
expect_same f.was/small.gz f/small.gz
expect_no_temp f v

# Names: an index that is another's output is found before anything is written, whichever comes first.
cp in/one in/one.gzi
job 1MiB 'same/{path}'
run_bm run -q job.json
expect_exit 2
expect_stderr_match 'same/one.gzi: in/one and in/one.gzi would both be written here, by /steps/2 \(.*write\) and /steps/2'
expect_stderr_match 'index of write'
[ ! -e same ] || fail "something was written"
rm in/one.gzi
# Outputs beside the inputs: in the second run neither the files nor their indexes are read.
mkdir beside
cp in/one in/small beside
sed 's,"in","beside",; s,same/,beside/,; s,{path},{path}.gz,' job.json >beside.json
run_bm run -q beside.json
expect_exit 0
run_bm run -v beside.json
expect_exit 0
[ "$(ls beside | tr '\n' ' ')" = 'one one.gz one.gz.gzi small small.gz small.gz.gzi ' ] || fail "beside: $(ls beside)"
