#!/bin/bash
# compress and back: every format at sizes around each boundary of a chunk and at random ones, in chunks from 4 KiB to
# 64 MiB, of text and of what does not compress; every file is read by all the programs there are for its format.
. "$(dirname "$0")/lib.sh"
need_cmd gzip zstd

# The formats, as "name:options of compress".
formats=('indexed:"level": 6' 'single:"level": 1, "layout": "single"' 'bgzf:"level": 1, "layout": "bgzf"' 'zst:"format": "zstd"')
few=

inputs() { # inputs CHUNK SIZE...: in/KIND-SIZE; "random" is a size of some chunks
	rm -rf in
	mkdir in
	$python - "$@" <<'EOF'
import random, sys
chunk, sizes = int(sys.argv[1]), sys.argv[2:]
rnd = random.Random(chunk)
sizes = [rnd.randrange(4 * chunk) if size == "random" else int(size) for size in sizes]
words = [rnd.randbytes(rnd.randrange(3, 12)) for _ in range(500)]
pool = b" ".join(rnd.choices(words, k=200000))
for i, size in enumerate(sizes):
    text = b"".join(pool[rnd.randrange(len(pool) // 2):] for _ in range(2 * size // len(pool) + 2))[:size]
    assert len(text) == size
    if i % 3 != 1:
        open("in/text-%d" % size, "wb").write(text)
    if i % 3 != 2:
        open("in/noise-%d" % size, "wb").write(rnd.randbytes(size))
EOF
}
same() { cmp - "$2" || fail "$1 does not give $2 back"; } # same WHO FILE: stdin is FILE
readers() { # readers FORMAT: out/FORMAT by the programs of others
	local file name
	for file in out/"$1"/*; do
		name=in/${file##*/}
		if [ "$1" = zst ]; then
			zstd -qdc <"$file" | same "zstd -d" "$name"
			zstd -lv "$file" >"$top/list" 2>&1 || fail "zstd -lv $file: $(cat "$top/list")"
			continue
		fi
		gzip -dc <"$file" | same "gzip -d" "$name"
		[ -z "$few" ] || continue
		if command -v igzip >/dev/null; then igzip -dc <"$file" | same "igzip -d" "$name"; fi
		if command -v libdeflate-gzip >/dev/null; then libdeflate-gzip -dc <"$file" | same "libdeflate-gzip -d" "$name"; fi
		if [ "$1" = bgzf ] && command -v bgzip >/dev/null; then bgzip -dc <"$file" | same "bgzip -d" "$name"; fi
	done
	if [ "$1" = zst ]; then
		zstd -qt out/zst/* || fail "zstd -t"
		return
	fi
	[ -z "$few" ] || return 0
	if command -v pigz >/dev/null; then
		for file in out/"$1"/*; do pigz -t <"$file" || fail "pigz -t $file"; done
	fi
	$python - "out/$1" <<'EOF' || fail "python's gzip"
import gzip, os, sys
for name in os.listdir(sys.argv[1]):
    data = gzip.open(os.path.join(sys.argv[1], name)).read()
    assert data == open("in/" + name, "rb").read(), name
EOF
}
round_trip() { # round_trip CHUNK|default [OPTION...]: all of in, through every format
	local chunk='"chunk": '$1',' format name jobs='' back=''
	[ "$1" != default ] || chunk=
	shift
	for format in "${formats[@]}"; do
		name=${format%%:*}
		jobs+=${jobs:+,}'{"name": "'$name'", '$chunk' "steps": [{"step": "read", "from": "in"}, {"step": "compress", '${format#*:}'},
			{"step": "write", "durability": "none", "to": "out/{job}/{path}"}]}'
		back+=${back:+,}'{"name": "'$name'", '$chunk' "steps": [{"step": "read", "from": "out/'$name'"}, {"step": "decompress"},
			{"step": "write", "durability": "none", "to": "back/{job}/{path}"}]}'
	done
	rm -rf out back
	echo "{\"jobs\": [$jobs]}" >job.json
	run_bm run -q "$@" job.json
	expect_exit 0
	expect_no_stderr
	echo "{\"jobs\": [$back]}" >job.json
	run_bm run -q "$@" job.json
	expect_exit 0
	expect_no_stderr
	for format in "${formats[@]}"; do
		name=${format%%:*}
		diff -r in "back/$name" >&2 || fail "$chunk $name is not the same again"
		readers "$name"
	done
	rm -rf out back
}

for chunk in 4096 10007 65280 262144; do
	inputs $chunk 0 1 $((chunk - 1)) $chunk $((chunk + 1)) $((2 * chunk - 1)) $((2 * chunk)) $((2 * chunk + 1)) random random random random
	round_trip $chunk
done
# As they are where the job says nothing of chunks: 1 MiB for gzip, 8 MiB for zstd.
inputs 1048576 1048575 1048576 1048577 random
round_trip default
# What follows is read by one program a format.
few=1
inputs 8388608 8388607 8388608 8388609
round_trip default

# The largest chunks that there are.
if [ -z "${BM_SANITIZE:-}" ]; then
	chunk=67108864
	inputs $chunk $((chunk + 1))
	round_trip $chunk --memory 1GiB
fi
