#!/bin/bash
# zstd files with windows of 128 MiB, which are no part of the budget: at any number of threads and files at once they take
# as much again as memory, or one of them where that is more. Files that wait for one another's windows all come to
# their end: joined in order, one in the other, from pipes.
. "$(dirname "$0")/lib.sh"
need_cmd zstd

mib=150
[ -z "${BM_SANITIZE:-}" ] || mib=20
$python - $mib <<'END' | zstd -q -1 --long=27 -c >long.zst
import random, sys
block = random.Random(1).randbytes(1 << 20)
for i in range(int(sys.argv[1])):
    sys.stdout.buffer.write(bytes([i]) + block[1:])
END
zstd -qdc --long=27 long.zst | sha256sum | cut -c 1-64 >want
mkdir in out
for i in 1 2 3 4 5 6 7 8; do ln long.zst in/$i; done

unpack() { # unpack MOST_MIB STEPS OPTION...: no more than so many MiB at the peak
	local most=$1 steps=$2 peak
	shift 2
	echo '{"memory": "192MiB", "steps": [{"step": "read", "from": "in"}, '"$steps"']}' >job.json
	last="run -q $* job.json"
	status=0
	$python "$BM_SOURCE_DIR/tests/bench/peak_rss.py" peak timeout 300 "$BYTEMILL" run -q "$@" job.json >"$stdout" 2>"$stderr" || status=$?
	expect_exit 0
	expect_no_stderr
	peak=$(($(<peak) / 1024))
	[ -n "${BM_SANITIZE:-}" ] || [ $peak -le "$most" ] || fail "peak memory $peak MiB, $most are allowed: $*"
}
hashed() { # hashed SUMS: 8 right ones
	[ "$(cut -c 1-64 "$1" | uniq -c | tr -s ' ' | sed 's/^ //')" = "8 $(<want)" ] || fail "wrong digests: $(cat "$1")"
}
# The budget, the fixed base, the one window that fits beside it, and one more: a file is let in that a later one may depend on.
one=$((192 + 32 + 128 + 128))
for threads in 1 2 8; do
	unpack $one '{"step": "decompress"}, {"step": "hash", "manifest": "SUMS"}' -j $threads
	hashed SUMS
done
unpack $one '{"step": "decompress"}, {"step": "hash", "manifest": "SUMS"}' -j 8 --io-depth 1
hashed SUMS
# Joined: the later ones cannot be written before the earlier ones.
for threads in 1 8; do
	unpack $one '{"step": "decompress"}, {"step": "hash", "manifest": "SUMS"}, {"step": "write", "to": "/dev/null", "combine": true}' -j $threads
	hashed SUMS
done
# One in the other: each file has two windows at once.
if [ -z "${BM_SANITIZE:-}" ]; then
	rm in/*
	$python - long.zst <<'END' | zstd -q -1 --long=27 -c >twice.zst
import struct, sys
data = open(sys.argv[1], "rb").read()
noise = b"".join(i.to_bytes(8, "little") * 1000 for i in range(1200))
out = sys.stdout.buffer
for _ in range(18):  # what is to be skipped makes it long enough for such a window
    out.write(struct.pack("<II", 0x184D2A50, len(noise)) + noise)
out.write(data)
END
	for i in 1 2 3 4 5 6 7 8; do ln twice.zst in/$i; done
	unpack $((one + 256)) '{"step": "decompress", "depth": 2}, {"step": "hash", "manifest": "SUMS"}' -j 8
	hashed SUMS
fi
# From pipes that one program fills in turn, with more than fits anywhere: neither may wait for the other's end.
$python - <<'END' | zstd -q -1 --long=27 -c >noise.zst
import random, sys
for i in range(60):
    sys.stdout.buffer.write(random.Random(i).randbytes(1 << 20))
END
zstd -qdc --long=27 noise.zst | sha256sum | cut -c 1-64 >want
mkfifo a b
echo '{"memory": "48MiB", "steps": [{"step": "read", "from": ["a", "b"]}, {"step": "decompress"}, {"step": "hash", "manifest": "SUMS"}]}' >job.json
$python - noise.zst <<'END' &
import sys
data = open(sys.argv[1], "rb").read()
a, b = open("a", "wb", 0), open("b", "wb", 0)
for at in range(0, len(data), 65536):
    a.write(data[at:at + 65536])
    b.write(data[at:at + 65536])
END
run_bm run -q -j 8 job.json
wait
expect_exit 0
[ "$(cut -c 1-64 SUMS | uniq -c | tr -s ' ')" = " 2 $(<want)" ] || fail "wrong digests from pipes"
