#!/bin/bash
# Every output of a job of many steps is the same, byte for byte, at any number of threads, I/O depth and memory; and what
# was compressed and decompressed on the way is what was read.
. "$(dirname "$0")/lib.sh"

mkdir in
cp -R /usr/include/asm-generic in/text
cp /usr/include/*.h in/
head -c 5000000 /dev/urandom >in/random
{ yes 'a line that repeats' || true; } | head -c 3000000 >in/repeats
truncate -s 3000000 in/hole
: >in/empty
head -c 65536 /dev/urandom >in/chunk
head -c 65537 /dev/urandom >in/chunk-1
cat >job.json <<'END'
{"jobs": [
  {"name": "one", "chunk": "64KiB", "steps": [
    {"step": "read", "from": "in"},
    {"step": "hash", "algorithms": ["sha256", "md5", "crc32", "xxh128"], "format": "bsd", "manifest": "${OUT}/plain.sums"},
    {"step": "copy", "to": "${OUT}/mirror/{path}"},
    {"step": "compress", "level": 3},
    {"step": "hash", "manifest": "${OUT}/packed.sums"},
    {"step": "copy", "to": "${OUT}/packed/{path}.gz"},
    {"step": "copy", "to": "${OUT}/all.gz", "combine": true},
    {"step": "decompress"},
    {"step": "hash", "manifest": "${OUT}/back.sums", "format": "json"},
    {"step": "compress", "layout": "single", "level": 1},
    {"step": "copy", "to": "${OUT}/single/{path}.gz"},
    {"step": "decompress"},
    {"step": "hash", "algorithms": "sha256", "manifest": "${OUT}/last.sums", "name": "{path}"},
    {"step": "write", "to": "${OUT}/back/{path}"}]},
  {"name": "two", "steps": [
    {"step": "read", "from": ["in/random", "in/text", "in/empty"]},
    {"step": "hash", "manifest": "${OUT}/two.sums"},
    {"step": "write", "to": "${OUT}/two.all", "combine": true}]}
]}
END
sed -i 's/"step": "\(copy\|write\)",/"step": "\1", "durability": "none",/' job.json
run() { # run OUT OPTION...
	local out=$1
	shift
	run_bm run -q "$@" --report report.jsonl --set OUT="$tmp/$out" job.json
	expect_exit 0
	expect_no_stderr
	# In the report all but times is the same, in the order of the listing within a job.
	grep -a '"job": *"one"\|"one"' report.jsonl | grep -a '"path"' | sed "s|$tmp/$out|OUT|g" >"$out.report"
}
run first -j 1 --io-depth 1
(cd in && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >want
expect_same want first/last.sums
diff -r in first/mirror >&2 || fail "mirror"
diff -r in first/back >&2 || fail "back"
(cd first && sed -n 's/^\(SHA256\|MD5\) (\(.*\)) = /\1 (\2) = /p' plain.sums | cksum -c --strict --quiet) || fail "cksum -c says no"
(cd first/packed && sha256sum -c --strict --quiet <(sed 's|  packed/|  |' ../packed.sums)) || fail "sha256sum -c packed"
zcat first/all.gz | cmp - <(cd in && find . -type f -print0 | sort -z | xargs -0 cat) || fail "all.gz"
zcat first/single/random.gz | cmp - in/random || fail "single"
cat in/random > want
(cd in/text && find . -type f -print0 | sort -z | xargs -0 cat) >>want
expect_same want first/two.all
[ -s first.report ] || fail "no lines in the report: $(head -c 1000 report.jsonl)"

for options in '-j 2' '-j 3 --io-depth 3' '-j 8' '-j 32 --io-depth 1' '-j 2 --memory 8MiB'; do
	# shellcheck disable=SC2086
	run other $options
	diff -r first other >&2 || fail "$options: the outputs differ"
	expect_same first.report other.report
	rm -rf other
done
