#!/bin/bash
# compress: all layouts at every level and several chunk sizes, inputs around the chunk's size; read by gzip, pigz, igzip,
# bgzip and python, and by decompress again. Every engine that this build has.
. "$(dirname "$0")/lib.sh"

inputs() { # inputs DIR CHUNK
	mkdir -p "$1"
	$python - "$1" "$2" <<'END'
import random, sys
root, chunk = sys.argv[1], int(sys.argv[2])
rnd = random.Random(chunk)
words = [b"alpha", b"beta", b"gamma", b"\n", b"delta", b"0", b"1", b"bytemill"]
for size in (0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk):
    with open("%s/random.%d" % (root, size), "wb") as f:
        f.write(rnd.randbytes(size))
    text = b" ".join(rnd.choices(words, k=size // 4 + 1)) + b"." * size
    with open("%s/text.%d" % (root, size), "wb") as f:
        f.write(text[:size])
END
}
check() { # check IN GZ
	local name
	(cd "$2" && find . -name '*.gz' -print0 | xargs -0 gzip -t) || fail "gzip -t in $2"
	for name in "$1"/*; do
		gzip -dc "$2/${name##*/}.gz" | cmp - "$name" || fail "gzip -dc $2/${name##*/}.gz"
	done
	[ "$(find "$2" -type f | wc -l)" = "$(find "$1" -type f | wc -l)" ] || fail "files in $2"
}
others() { # others IN GZ: the slower or rarer readers
	local name
	if command -v pigz >/dev/null; then pigz -t "$2"/*.gz || fail "pigz -t in $2"; fi
	for name in "$1"/*; do
		if command -v igzip >/dev/null; then
			igzip -dc "$2/${name##*/}.gz" | cmp - "$name" || fail "igzip -dc $2/${name##*/}.gz"
		fi
	done
	$python - "$1" "$2" <<'END' || fail "python's gzip in $2"
import gzip, os, sys
for name in os.listdir(sys.argv[1]):
    assert gzip.open("%s/%s.gz" % (sys.argv[2], name)).read() == open("%s/%s" % (sys.argv[1], name), "rb").read(), name
END
}
run_jobs() { # run_jobs CHUNK LEVELS...: all layouts at each level, in one run, and back again in another
	local chunk=$1 layout level jobs='' back=''
	shift
	for layout in indexed single bgzf; do
		for level; do
			jobs+=${jobs:+,}'{"name": "'$layout$level'", "chunk": "'$chunk'", "steps": [{"step": "read", "from": "in.'$chunk'"},
				{"step": "compress", "layout": "'$layout'", "level": '$level'}, {"step": "write", "durability": "none",
				"to": "gz.'$chunk'/{job}/{path}.gz"}]}'
			back+=${back:+,}'{"name": "'$layout$level'", "chunk": "'$chunk'", "steps": [{"step": "read",
				"from": "gz.'$chunk'/'$layout$level'"}, {"step": "decompress"}, {"step": "write", "durability": "none",
				"to": "back.'$chunk'/{job}/{stem}"}]}'
		done
	done
	echo "{\"jobs\": [$jobs]}" >job.json
	run_bm run -q job.json
	expect_exit 0
	expect_no_stderr
	echo "{\"jobs\": [$back]}" >job.json
	run_bm run -q job.json
	expect_exit 0
	expect_no_stderr
	for layout in indexed single bgzf; do
		for level; do
			check "in.$chunk" "gz.$chunk/$layout$level"
			diff -r "in.$chunk" "back.$chunk/$layout$level" >&2 || fail "$chunk $layout $level: not the same again"
		done
	done
}

inputs in.4KiB 4096
inputs in.64KiB 65536
inputs in.1MiB 1048576
run_jobs 4KiB 0 1 6 9
run_jobs 64KiB 0 1 2 3 4 5 6 7 8 9
run_jobs 1MiB 1 6
for layout in indexed single bgzf; do
	for chunk in 4KiB 64KiB; do
		others "in.$chunk" "gz.$chunk/${layout}9"
		others "in.$chunk" "gz.$chunk/${layout}0"
	done
done

if command -v bgzip >/dev/null; then
	for name in gz.*/bgzf*/*.gz; do
		bgzip -t "$name" || fail "bgzip -t $name"
	done
fi

# Every engine, with every level that it has, gives the same bytes back; the rows of BGZF blocks in chunks of any size.
run_bm steps compress
engines=$(tr '\n' ' ' <"$stdout" | sed -n 's/.* This build has for gzip the engines \([^.]*\)\..*/\1/p' | tr -d ,)
[[ $engines == zlib* ]] || fail "steps compress names no engines"
for engine in $engines; do
	case $engine in
	zlib) levels='0 1 9' ;;
	libdeflate) levels='0 1 2 6 10 12' ;;
	isal) levels='1 2 3' ;;
	rows) levels=6 ;;
	esac
	for layout in indexed bgzf; do
		for level in $levels; do
			dir=$engine$layout$level
			echo '{"chunk": "64KiB", "steps": [{"step": "read", "from": "in.64KiB"}, {"step": "compress", "engine": "'$engine'",
				"layout": "'$layout'", "level": '$level'}, {"step": "write", "durability": "none", "to": "'$dir'/{path}.gz"}]}' >job.json
			run_bm validate job.json
			expect_stdout_match "gzip level $level, layout $layout, engine $engine \(as asked for\)"
			run_bm run -q job.json
			expect_exit 0
			check in.64KiB "$dir"
			for chunk in 16KiB 64KiB 1MiB; do
				echo '{"chunk": "'$chunk'", "steps": [{"step": "read", "from": "'$dir'"}, {"step": "decompress"},
					{"step": "write", "durability": "none", "to": "'$dir.$chunk'/{stem}"}]}' >job.json
				run_bm run -q job.json
				expect_exit 0
				diff -r in.64KiB "$dir.$chunk" >&2 || fail "$dir, read in chunks of $chunk"
			done
		done
	done
done

# The plan says which engine "auto" is, for either direction.
picked() { # picked LAYOUT LEVEL ENGINE
	echo '{"steps": [{"step": "read", "from": "in.64KiB"}, {"step": "compress", "layout": "'$1'", "level": '$2'}, {"step": "decompress"},
		{"step": "write", "to": "never/{path}"}]}' >job.json
	run_bm validate job.json
	expect_exit 0
	expect_stdout_match "gzip level $2, layout $1, engine $3 "
	expect_stdout_match "decompress  gzip .*, engine $reader; or zstd"
}
fast=zlib good=zlib reader='zlib'
if [[ $engines == *libdeflate* ]]; then fast=libdeflate good=libdeflate reader='libdeflate \(whole members\) and zlib \(streams\)'; fi
six=$good
if [ "$(uname -m)" = x86_64 ]; then six=rows; fi
if [[ $engines == *isal* ]]; then fast=isal reader=${reader/zlib/isal}; fi
picked indexed 1 $fast
picked bgzf 1 $fast
picked indexed 6 "$six"
picked indexed 7 $good
picked bgzf 6 $good
picked bgzf 9 $good
picked single 6 zlib

# The bytes do not depend on the number of threads.
for threads in 1 8; do
	echo '{"chunk": "64KiB", "steps": [{"step": "read", "from": "in.64KiB"}, {"step": "compress", "level": 6},
		{"step": "write", "durability": "none", "to": "threads'$threads'/{path}.gz"}]}' >job.json
	run_bm run -q -j "$threads" job.json
	expect_exit 0
done
diff -r threads1 threads8 >&2 || fail "one thread makes other bytes than eight"

# The shape: one member a chunk with its size in the field IG, or one member and no field; no name and no time in either.
$python - <<'END' || fail "the members"
import struct, zlib
def members(data):
    n = 0
    while data:
        assert data[:3] == b"\x1f\x8b\x08" and data[4:8] == bytes(4)
        d = zlib.decompressobj(31)
        d.decompress(data)
        assert d.eof
        size = len(data) - len(d.unused_data)
        if data[3] == 4:
            assert data[12:16] == b"IG\x04\x00" and struct.unpack("<I", data[16:20])[0] == size, (data[12:20], size)
        else:
            assert data[3] == 0
        yield data[3]
        data = d.unused_data
for size, count in ((0, 1), (1, 1), (65535, 1), (65536, 1), (65537, 2), (196608, 3)):
    for level in "0", "1", "6", "9":
        for kind in "text", "random":
            flags = list(members(open("gz.64KiB/indexed%s/%s.%d.gz" % (level, kind, size), "rb").read()))
            assert flags == [4] * count, (size, flags)
            flags = list(members(open("gz.64KiB/single%s/%s.%d.gz" % (level, kind, size), "rb").read()))
            assert flags == [0], (size, flags)
END
# A level does what it says.
size() { stat -c %s "gz.64KiB/$1/text.196608.gz"; }
[ "$(size indexed0)" -gt 196608 ] && [ "$(size indexed1)" -gt "$(size indexed9)" ] && [ "$(size indexed9)" -lt 98304 ] ||
	fail "sizes: $(size indexed0) $(size indexed1) $(size indexed9)"
