#!/bin/bash
# decompress: every single flipped bit and every truncation of a small file of each format and maker, at -j 1 and -j 2: an error, and
# nothing written, or (a bit that says nothing about the data, as of a time stamp) the right bytes. Then random damage of
# larger files: the same outcome, byte for byte and word for word, at -j 1 and -j 8; with the parallel way and the serial
# one the same bytes; and never any that the formats' own programs do not find there.
. "$(dirname "$0")/lib.sh"
need_cmd gzip zstd
"$BYTEMILL" keygen -o key 2>/dev/null
me=$("$BYTEMILL" keygen -y key)

# The formats, as "name:options of compress".
formats=('indexed:"level": 6' 'stored:"level": 0' 'single:"level": 6, "layout": "single"' 'bgzf:"level": 6, "layout": "bgzf"'
	'zst:"format": "zstd"')
pack() { # pack PLAIN CHUNK DIR: PLAIN in each format, as DIR/FORMAT
	local format jobs=''
	for format in "${formats[@]}"; do
		jobs+=${jobs:+,}'{"name": "'${format%%:*}'", "chunk": '$2', "steps": [{"step": "read", "from": "'$1'"},
			{"step": "compress", '${format#*:}'}, {"step": "write", "durability": "none", "to": "'$3'/{job}"}]}'
	done
	echo "{\"jobs\": [$jobs]}" >pack.json
	run_bm run -q pack.json
	expect_exit 0
}
unpack() { # unpack OUT CHUNK OPTION...: all below bad/; some of it cannot be
	local out=$1 chunk=$2
	shift 2
	echo '{"chunk": '"$chunk"', "steps": [{"step": "read", "from": "bad"}, {"step": "decompress", "depth": 2, "identity_file": "key"},
		{"step": "write", "durability": "none", "to": "'"$out"'/{path}"}]}' >unpack.json
	run_bm run "$@" unpack.json
	expect_exit 1
	expect_no_temp .
	grep -a '^bytemill: \(error\|warning\): ' "$stderr" | sort -u >"$out.said"
}

# ---- every bit and every cut of small files ----

# Three chunks that become very short, each by itself.
$python - <<'EOF'
import random
rnd = random.Random(5)
open("plain", "wb").write(b"".join((rnd.randbytes(24) * 200)[:n] for n in (4096, 4096, 1000)))
open("block", "wb").write((rnd.randbytes(24) * 3000)[:70000])
open("few", "wb").write(rnd.randbytes(100))
EOF
pack plain 4096 small
# BGZF in blocks of their own length, whatever the chunk: two of them.
echo '{"steps": [{"step": "read", "from": "block"}, {"step": "compress", "layout": "bgzf"}, {"step": "write", "to": "small/blocks"}]}' >job.json
run_bm run -q job.json
expect_exit 0
rm small/bgzf small/stored # the one is like it, the other long
# Encrypted, by itself and around gzip.
echo '{"jobs": [
	{"name": "age", "steps": [{"step": "read", "from": "few"}, {"step": "encrypt", "recipients": "'"$me"'"}, {"step": "write", "to": "small/{job}"}]},
	{"name": "gz.age", "chunk": 4096, "steps": [{"step": "read", "from": "plain"}, {"step": "compress"},
		{"step": "encrypt", "recipients": "'"$me"'"}, {"step": "write", "to": "small/{job}"}]}]}' >job.json
run_bm run -q job.json
expect_exit 0
# Of others: a member with name and time, several of them, frames with one to skip between them.
gzip -c block >small/gzip
{ head -c 300 plain | gzip -n1 && tail -c +301 plain | gzip -n9; } >small/gzips
{ head -c 5000 plain | zstd -qc && printf 'Q*M\030\3\0\0\0abc' && tail -c +5001 plain | zstd -qc; } >small/zstds
if command -v pigz >/dev/null; then pigz -c block >small/pigz; fi
if command -v bgzip >/dev/null; then bgzip -c block >small/bgzip; fi
if command -v age >/dev/null; then age -r "$me" few >small/age-age; fi
cat >units.py <<'EOF'
# The places that the formats vouch for: where units begin and end, and the bytes of which no bit may change unnoticed.
import struct
def units(name, data):
    """(start, end) of each member or frame, and of the table behind them"""
    at, out = 0, []
    if name in ("single", "gzip", "pigz") or "age" in name:
        return [(0, len(data))]
    if name == "gzips":
        second = data.index(b"\x1f\x8b\x08\0", 10)
        return [(0, second), (second, len(data))]
    if name == "zstds":
        skip = data.index(b"Q*M\x18")
        return [(0, skip), (skip, skip + 11), (skip + 11, len(data))]
    if name == "zst":
        count, = struct.unpack("<I", data[-9:-5])
        table = len(data) - 17 - 12 * count
        for i in range(count):
            size, = struct.unpack("<I", data[table + 8 + 12 * i:table + 12 + 12 * i])
            out.append((at, at + size))
            at += size
        assert at == table
        return out + [(table, len(data))]
    while at < len(data):
        if data[at + 12:at + 14] == b"IG":
            size, = struct.unpack("<I", data[at + 16:at + 20])
        else:
            size = 1 + struct.unpack("<H", data[at + 16:at + 18])[0]
        out.append((at, at + size))
        at += size
    return out
def sure(name, data):
    out = set()
    if "age" in name:
        return set(range(len(data)))
    for start, end in units(name, data):
        if name == "zstds":
            if data[start:start + 1] != b"Q":
                out.update(range(start, start + 4), range(end - 4, end))
        elif name != "zst":
            out.update(range(start, start + 3), range(end - 8, end))
        elif end < len(data):
            out.update(range(start, start + 4), range(end - 4, end))
    return out
EOF
$python - <<'EOF'
import os
for name in os.listdir("small"):
    data = open("small/" + name, "rb").read()
    assert len(data) < 1000, (name, len(data))
    os.makedirs("bad/" + name)
    for at in range(len(data)):
        open("bad/%s/cut-%d" % (name, at), "wb").write(data[:at])
        for bit in range(8):
            damaged = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]
            open("bad/%s/flip-%d-%d" % (name, at, bit), "wb").write(damaged)
EOF
for threads in 1 2; do
	unpack "out$threads" 65536 -j $threads
	$python - "out$threads" <<'EOF' || fail "-j $threads"
import os, sys
from units import sure, units
out = sys.argv[1]
said = open(out + ".said", errors="surrogateescape").read()
failed = set(line.split(": ")[2] for line in said.splitlines() if line.startswith("bytemill: error: "))
assert " warning: " not in said, said
for name in os.listdir("bad"):
    data = open("small/" + name, "rb").read()
    plain = open("block" if name in ("blocks", "gzip", "pigz", "bgzip") else "few" if name in ("age", "age-age") else "plain", "rb").read()
    never, ends, right = sure(name, data), [end for _, end in units(name, data)], 0
    for damaged in os.listdir("bad/" + name):
        path = "%s/%s/%s" % (out, name, damaged)
        assert os.path.exists(path) != ("bad/%s/%s" % (name, damaged) in failed), damaged
        if not os.path.exists(path):
            continue
        got = open(path, "rb").read()
        kind, at = damaged.split("-")[:2]
        if kind == "flip":
            assert got == plain, (name, damaged)
            assert int(at) not in never, (name, damaged)
            right += 1
        else: # between two members; nothing in these formats tells that there was another
            assert int(at) in ends and name in ("indexed", "zst", "gzips", "zstds"), (name, damaged)
            assert plain.startswith(got) and (len(got) in (300, 5000) or len(got) % 4096 == 0 or got == plain), (name, damaged)
    assert right < 8 * len(data) // 2, "%s: %d of %d flipped bits made no difference" % (name, right, 8 * len(data))
EOF
done
expect_same out1.said out2.said
diff -r out1 out2 >&2 || fail "-j 1 and -j 2 differ"
expect_stderr_match "^bytemill: error: bad/indexed/flip-[0-9]+-[0-7]: damaged gzip member at byte [1-9][0-9]*: it begins with "
expect_stderr_match "^bytemill: error: bad/blocks/cut-[0-9]+: BGZF without its end block at byte "
expect_stderr_match "^bytemill: error: bad/zstds/flip-[0-9]+-[0-7]: zstd frame at byte [1-9][0-9]*: "
expect_stderr_match "^bytemill: error: bad/gz.age/flip-[0-9]+-[0-7]: age chunk at byte [1-9][0-9]*: "
rm -rf bad out1 out2 small

# ---- random damage of larger ones ----

$python - <<'EOF'
import random
rnd = random.Random(6)
words = [rnd.randbytes(rnd.randrange(2, 9)) for _ in range(300)]
open("plain", "wb").write(b"".join(rnd.choices(words, k=16000)) + rnd.randbytes(20000))
EOF
pack plain 16384 large
rounds=40
[ -z "${BM_SANITIZE:-}" ] || rounds=15
$python - $rounds <<'EOF'
import os, random, sys
rnd = random.Random(7)
for name in os.listdir("large"):
    data = open("large/" + name, "rb").read()
    os.makedirs("bad/" + name)
    for n in range(int(sys.argv[1])):
        d = bytearray(data)
        for _ in range(rnd.choice((1, 1, 1, 2, 5))):
            at, length = rnd.randrange(len(d)), rnd.choice((1, 1, 4, 20, 300, 5000))
            how = rnd.randrange(6)
            if how == 0:
                d[at] ^= 1 << rnd.randrange(8)
            elif how == 1:
                d[at:at + length] = rnd.randbytes(min(length, len(d) - at))
            elif how == 2:
                del d[at:at + length]
            elif how == 3:
                d[at:at] = rnd.randbytes(length)
            elif how == 4:
                d[at:at] = d[rnd.randrange(len(d)):][:length]
            else:
                del d[max(at, len(d) // 2):]
        open("bad/%s/%d" % (name, n), "wb").write(d)
    open("bad/%s/whole" % name, "wb").write(data)
EOF
unpack parallel 65536 -j 1
unpack parallel8 65536 -j 8
unpack serial 4096 -j 2
expect_same parallel.said parallel8.said
diff -r parallel parallel8 >&2 || fail "-j 1 and -j 8 differ"
for path in bad/*/*; do
	name=${path#bad/}
	if [ -e "parallel/$name" ] && [ -e "serial/$name" ]; then expect_same "parallel/$name" "serial/$name"; fi
	for way in parallel serial; do
		[ -e "$way/$name" ] || continue
		# Exit code 2 of gzip is a warning: trailing garbage.
		case $name in
		zst/*) zstd -qdc <"$path" >"$top/theirs" 2>"$top/why" || fail "zstd cannot read $path, we can: $(cat "$top/why")" ;;
		*) gzip -dc <"$path" >"$top/theirs" 2>"$top/why" || [ $? = 2 ] || fail "gzip cannot read $path, we can: $(cat "$top/why")" ;;
		esac
		expect_same "$top/theirs" "$way/$name"
	done
done
for format in "${formats[@]}"; do
	expect_same plain "parallel/${format%%:*}/whole"
	expect_same plain "serial/${format%%:*}/whole"
done
