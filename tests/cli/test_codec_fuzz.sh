#!/bin/bash
# Differential fuzzing of what decodes: files of every format and of every maker there is, whole, damaged and with parts of
# one another, decoded by many threads in small chunks and by one thread in chunks that are left alone: the same files get
# through, with the same bytes, and the same files do not. But for damage that changes nothing: libdeflate, which has whole
# members, takes distance codes that RFC 1951 does not know and the streaming engines refuse; the bytes are right then.
# Rounds of other data each, BM_FUZZ_ROUNDS (3) of them from BM_FUZZ_SEED (1) on; a failure names its seed.
. "$(dirname "$0")/lib.sh"
need_cmd gzip zstd

rounds=${BM_FUZZ_ROUNDS:-3}
[ -z "${BM_SANITIZE:-}" ] || rounds=${BM_FUZZ_ROUNDS:-1}
first=${BM_FUZZ_SEED:-1}
"$BYTEMILL" keygen -o key 2>/dev/null
me=$("$BYTEMILL" keygen -y key)

cat >make.py <<'EOF'
# make.py SEED: whole/NAME and plain/NAME; the formats of others, and pack.json for our own.
import json, os, random, shutil, subprocess, sys
rnd = random.Random(int(sys.argv[1]))
me = sys.argv[2]
def pipe(data, *command):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
def content():
    size = rnd.choice((0, 1, rnd.randrange(300), rnd.randrange(5000), rnd.randrange(70000), rnd.randrange(300000)))
    kind = rnd.randrange(4)
    if kind == 0:
        return rnd.randbytes(size)
    if kind == 1:
        return bytes(size)
    words = [rnd.randbytes(rnd.randrange(1, 9)) for _ in range(rnd.randrange(1, 400))]
    text = b"".join(rnd.choices(words, k=size // 3 + 1))[:size]
    return text if kind == 2 else text[:size // 2] + rnd.randbytes(size // 4) + text[size // 2:]
for d in ("whole", "plain"):
    os.makedirs(d)
chunk = rnd.choice((4096, 5000, 16384, 65280, 65536, 100000, 1 << 20))
ours = {
    "indexed": [{"level": rnd.choice((1, 6, 9))}], "stored": [{"level": 0}], "single": [{"level": 6, "layout": "single"}],
    "bgzf": [{"layout": "bgzf", "level": rnd.choice((1, 6))}], "zst": [{"format": "zstd", "level": rnd.choice((-5, 1, 3, 9))}],
    "age": [None], "indexed.age": [{}, None], "zst.age": [{"format": "zstd"}, None], "age.indexed": [None, {"level": 1}],
    "zst.indexed": [{"format": "zstd"}, {"level": 1}],
}
jobs = []
def save(directory, name, data):
    with open(os.path.join(directory, name), "wb") as f:
        f.write(data)
for name, chain in ours.items():
    save("plain", name, content())
    steps = [{"step": "encrypt", "recipients": me} if o is None else {"step": "compress", **o} for o in chain]
    jobs.append({"name": name, "chunk": chunk, "steps": [{"step": "read", "from": "plain/" + name}, *steps,
                 {"step": "write", "to": "whole/" + name, "durability": "none"}]})
save(".", "pack.json", json.dumps({"jobs": jobs}).encode())
foreign = {
    "gzip": ("gzip", "-%d" % rnd.randrange(1, 10)), "pigz": ("pigz", "-b128", "-p3"), "pigz-i": ("pigz", "-ib128", "-p3"),
    "igzip": ("igzip", "-1"), "bgzip": ("bgzip", "-c"), "zstd": ("zstd", "-qc"), "zstd-long": ("zstd", "-qc", "--long=27"),
    "age-age": ("age", "-r", me), "age-armor": ("age", "-a", "-r", me),
}
for name, command in foreign.items():
    if shutil.which(command[0]) is None:
        continue
    data = content()
    save("plain", name, data)
    save("whole", name, pipe(data, *command))
for name, command in (("gzips", ("gzip", "-n1")), ("zstds", ("zstd", "-qc"))):
    parts = [content() for _ in range(rnd.randrange(2, 9))]
    save("plain", name, b"".join(parts))
    save("whole", name, b"".join(pipe(part, *command) for part in parts))
EOF
cat >damage.py <<'EOF'
# damage.py SEED COUNT: bad/NAME/N of each file of whole/, N = 0 as it is.
import os, random, sys
rnd = random.Random(int(sys.argv[1]) * 1000003)
whole = {name: open("whole/" + name, "rb").read() for name in sorted(os.listdir("whole"))}
def place(d):  # the ends, where the headers and the tables are, as often as all between
    near = rnd.randrange(3)
    return rnd.randrange(len(d)) if near == 0 else min(len(d) - 1, rnd.randrange(40)) if near == 1 else max(0, len(d) - 1 - rnd.randrange(40))
for name, data in whole.items():
    os.makedirs("bad/" + name)
    for n in range(int(sys.argv[2])):
        d = bytearray(data)
        for _ in range(rnd.choice((1, 1, 1, 2, 4)) if n > 0 else 0):
            if not d:
                break
            at, length, how = place(d), rnd.choice((1, 1, 2, 8, 50, 700, 9000)), rnd.randrange(9)
            if how < 2:
                d[at] ^= 1 << rnd.randrange(8)
            elif how == 2:
                d[at] = rnd.choice((0, 1, 0x7f, 0x80, 0xff))
            elif how == 3:
                d[at:at + length] = rnd.randbytes(min(length, len(d) - at))
            elif how == 4:
                del d[at:at + length]
            elif how == 5:
                d[at:at] = d[rnd.randrange(len(d)):][:length]
            elif how == 6:
                del d[at:]
            elif how == 7:  # what follows is another file, or has been there before
                d += whole[rnd.choice(sorted(whole))]
            else:
                d += rnd.choice((b"\0", b"\0" * 600, b"x", rnd.randbytes(length)))
        with open("bad/%s/%02d" % (name, n), "wb") as f:
            f.write(d)
EOF
cat >compare.py <<'EOF'
# compare.py: what came of bad/ in one/ and in many/.
import filecmp, os
failed = {w: set(line.rstrip("\n") for line in open(w + ".failed", errors="surrogateescape")) for w in ("one", "many")}
harmless = 0
for name in os.listdir("bad"):
    for n in os.listdir("bad/" + name):
        path = name + "/" + n
        good = [w for w in ("one", "many") if "bad/" + path not in failed[w]]
        for w in ("one", "many"):
            assert os.path.exists(w + "/" + path) == (w in good), path + ": neither written nor an error, or both"
        if len(good) == 2:
            assert filecmp.cmp("one/" + path, "many/" + path, False), path
        elif len(good) == 1:
            assert filecmp.cmp(good[0] + "/" + path, "plain/" + name, False), path + ": only " + good[0] + " reads it"
            harmless += 1
assert harmless < 4, harmless
EOF

unpack() { # unpack OUT CHUNK OPTION...
	local out=$1 chunk=$2
	shift 2
	echo '{'"$chunk"' "steps": [{"step": "read", "from": "bad"},
		{"step": "decompress", "depth": 2, "identity_file": "key", "max_size": "64MiB"},
		{"step": "write", "durability": "none", "to": "'"$out"'/{path}"}]}' >unpack.json
	run_bm run "$@" unpack.json
	[ "$status" -le 1 ] || fail "exit code $status (seed $seed)"
	expect_no_temp .
	grep -a '^bytemill: error: ' "$stderr" | sed 's/^bytemill: error: \([^:]*\): .*/\1/' | sort -u >"$out.failed" || true
	grep -a '^bytemill: \(error\|warning\): ' "$stderr" | sort -u >"$out.said" || true
}
for ((seed = first; seed < first + rounds; seed++)); do
	rm -rf whole plain bad one many
	$python make.py "$seed" "$me"
	run_bm run -q pack.json
	expect_exit 0
	$python damage.py "$seed" 25
	unpack one '' -j 1
	unpack many '"chunk": "4KiB",' -j 8
	for path in whole/*; do
		cmp "plain/${path#*/}" "one/${path#*/}/00" >&2 || fail "seed $seed: $path is whole, and is not read"
	done
	$python compare.py || fail "seed $seed: decoded otherwise at -j 8 in small chunks: $(diff one.said many.said | head -n 20)"
	[ -s one.failed ] || fail "seed $seed: nothing was damaged"
done
