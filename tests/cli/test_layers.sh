#!/bin/bash
# decompress with depth: formats one inside the other, of any making, and what is none in the middle of them; errors and
# warnings that say in which layer; what goes into a pipe before an error; caps over all layers together.
. "$(dirname "$0")/lib.sh"
need_cmd zstd

"$BYTEMILL" keygen -o key 2>/dev/null
me=$("$BYTEMILL" keygen -y key)
echo '{"steps": [{"step": "read", "from": "-"}, {"step": "encrypt", "recipients": "'"$me"'"}, {"step": "write", "to": "-"}]}' >age.json

# A file NAME.FORMAT.FORMAT..., and what is left of it after 1, 2, 3 and 4 formats are taken off.
mkdir files want-{1,2,3,4}
BM_KEY=$me $python - <<'END'
import gzip, os, random, struct, subprocess, zlib
rnd = random.Random(11)
text = b"".join(b"%d some text that repeats\n" % (i * i) for i in range(40000))
noise = rnd.randbytes(300001)

def pipe(command, data):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
def age(data):
    return pipe([os.environ["BYTEMILL"], "run", "-q", "age.json"], data)
def indexed(data):  # members that tell their size, as bytemill makes them
    out = b""
    for i in range(0, max(len(data), 1), 65536):
        part = data[i:i + 65536]
        c = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = c.compress(part) + c.flush() + struct.pack("<II", zlib.crc32(part), len(part))
        out += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0IG\x04\0" + struct.pack("<I", 20 + len(body)) + body
    return out
make = {"gz": lambda d: gzip.compress(d, 3), "idx": indexed, "zst": lambda d: pipe(["zstd", "-qc"], d),
        "zsts": lambda d: b"".join(pipe(["zstd", "-qc", "-1"], d[i:i + 50000]) for i in range(0, max(len(d), 1), 50000)), "age": age}
if subprocess.run("command -v age", shell=True, stdout=subprocess.DEVNULL).returncode == 0:
    make["asc"] = lambda d: pipe(["age", "-a", "-r", os.environ["BM_KEY"]], d)
plain = {
    "text": text, "noise": noise, "empty": b"", "one": b"x", "paren": b"(", "byte1f": b"\x1f", "magic": b"\x1f\x8c gzip?",
    "zmagic": b"\x28\xb5\x2f", "blanks": b" \n\t" * 3000, "blank": b" ", "nul": bytes(100000),
    "age-prefix": b"age-encryption.or", "age-word": b"age-encryption and more", "dashes": b"-----BEGIN AGE ENCRYPTED", "spaced": b"\n" * 1020 + b"-----BEGIN",
}
chains = [["gz"], ["zst"], ["age"], ["idx"], ["gz", "age"], ["idx", "age"], ["zst", "age"], ["zsts", "age"], ["age", "gz"], ["age", "zst"],
          ["gz", "gz"], ["idx", "zst"], ["zst", "idx"], ["gz", "zst", "age"], ["age", "age", "zsts"], ["gz", "age", "idx", "zst"],
          ["zst", "gz", "age", "age"], ["gz", "gz", "gz", "gz", "gz"]]
chains += [["asc"], ["idx", "asc"], ["asc", "gz"], ["asc", "asc", "zst"]] if "asc" in make else []
for name, data in plain.items():
    for chain in chains:
        stages = [data]
        for format in chain:
            stages.append(make[format](stages[-1]))
        stages.reverse()
        file = ".".join([name] + chain)
        open("files/" + file, "wb").write(stages[0])
        for depth in range(1, 5):
            open("want-%d/%s" % (depth, file), "wb").write(stages[min(depth, len(chain))])
END
count=$(find files -type f | wc -l)

peel() { # peel DEPTH THREADS CHUNK
	echo '{'"$3"' "steps": [{"step": "read", "from": "files"}, {"step": "hash", "manifest": "SUMS", "name": "{path}"},
		{"step": "decompress", "depth": '"$1"', "identity_file": "key"}, {"step": "hash", "manifest": "PLAIN", "name": "{path}"},
		{"step": "write", "to": "out/{path}", "durability": "none"}]}' >peel.json
	rm -rf out
	run_bm run -j "$2" peel.json
	expect_exit 0
	expect_stderr_no_match 'warning|error'
	diff -r "want-$1" out >&2 || fail "depth $*"
	(cd files && sha256sum --quiet --strict -c ../SUMS) >&2 || fail "the digests before"
	(cd out && sha256sum --quiet --strict -c ../PLAIN) >&2 || fail "the digests behind"
	[ "$(wc -l <SUMS)" = "$count" ] || fail "lines in SUMS"
}
peel 1 3 ''
peel 2 2 ''
peel 3 8 ''
peel 4 1 ''
peel 4 8 ''
peel 4 3 '"chunk": "4KiB",'
peel 2 8 '"chunk": "70000",'
peel 3 2 '"chunk": "1MiB", "memory": "32MiB",'
expect_no_temp .

# From a pipe into one.
echo '{"steps": [{"step": "read", "from": "-"}, {"step": "decompress", "depth": 4, "identity_file": "key"}, {"step": "write", "to": "-"}]}' >pipe.json
for f in text.gz noise.idx.age empty.gz.age.idx.zst blanks.zst.gz.age.age nul.gz.gz.gz.gz.gz; do
	run_bm run -q pipe.json <files/$f
	expect_exit 0
	expect_stdout want-4/$f
done
# What is in the file itself must be known.
for f in want-4/text.gz want-4/empty.gz want-4/blanks.gz want-4/byte1f.gz want-4/age-prefix.gz want-4/spaced.gz; do
	run_bm run -q pipe.json <$f
	expect_exit 1
	expect_no_stdout
done
# format is the first layer's.
echo '{"steps": [{"step": "read", "from": ["files/text.gz.zst.age", "files/text.idx.zst"]}, {"step": "decompress", "format": "zstd", "depth": 2},
	{"step": "write", "to": "format/{path}"}]}' >format.json
run_bm run -q format.json
expect_exit 1
expect_stderr_match 'error: files/text.gz.zst.age: zstd frame at byte 0: not a zstd file'
expect_same want-2/text.idx.zst format/text.idx.zst
[ ! -e format/text.gz.zst.age ] || fail "there is an output of an age file"

# ---- damage, and where it is ----

mkdir bad
$python - <<'END'
import os
def cut(name, at):
    data = open("files/" + name, "rb").read()
    open("bad/cut-%s-%d" % (name, at), "wb").write(data[:at])
def flip(name, at):
    data = bytearray(open("files/" + name, "rb").read())
    data[at] ^= 4
    open("bad/flip-%s-%d" % (name, at), "wb").write(data)
for name in ("text.gz.zst.age", "noise.idx.age", "noise.age.gz", "text.zsts.age", "noise.gz.age.idx.zst"):
    n = os.path.getsize("files/" + name)
    for at in (5, 30, n // 3, n // 2, n - 20, n - 1):
        cut(name, at)
    for at in (n // 3, n // 2, n - 30, n - 6):
        flip(name, at)
END
# Faults of an inner layer: it was good age or gzip all the way down to there.
head -c 200000 want-1/noise.age.gz | gzip -1 >bad/inner-cut.age.gz
{ head -c 100000 want-1/noise.idx.age && printf 'Q' && tail -c +100002 want-1/noise.idx.age; } >broken.idx
run_bm run -q age.json <broken.idx
cp "$stdout" bad/inner-flip.idx.age
{ cat want-1/noise.idx.age && printf 'garbage'; } >tail.idx
run_bm run -q age.json <tail.idx
cp "$stdout" files/tail.age
echo '{"steps": [{"step": "read", "from": ["bad", "files/tail.age"]}, {"step": "decompress", "depth": 4, "identity_file": "key"},
	{"step": "write", "to": "decoded/{name}", "durability": "none"}]}' >bad.json
for threads in 1 8; do
	rm -rf decoded
	run_bm run -q -j $threads bad.json
	expect_exit 1
	[ "$(grep -c '^bytemill: error: bad/' "$stderr")" = "$(find bad -type f | wc -l)" ] || fail "not every one is an error"
	[ "$(find decoded -type f)" = decoded/tail.age ] || fail "there is $(find decoded -type f)"
	expect_same want-4/noise.idx.age decoded/tail.age
done
expect_stderr_match 'error: bad/inner-cut.age.gz: layer 2: age chunk at byte 196[0-9]+: .*cut off'
expect_stderr_match 'error: bad/inner-flip.idx.age: layer 2: gzip member at byte (65|98)[0-9]+: '
expect_stderr_match 'error: bad/cut-text.gz.zst.age-30: the age file ends within its header: it was cut off, at offset 30'
expect_stderr_match 'error: bad/cut-noise.idx.age-[0-9]+: age chunk at byte '
run_bm run bad.json
expect_stderr_match "warning: files/tail.age: layer 2: trailing garbage at byte $(stat -c %s want-1/noise.idx.age) ignored"

sed 's/^{/{"chunk": "64KiB", /' pipe.json >pipe0.json
cp pipe.json pipe1.json
# Into a pipe goes a true beginning of the content, whatever is at fault, and whichever layer had bytes half done.
for f in bad/*; do
	name=${f#bad/} && name=${name#*-} && name=${name%-*}
	[ -e "want-4/$name" ] || name=noise.idx
	for threads in 1 8; do
		run_bm run -q -j $threads "pipe$((threads % 2)).json" <"$f"
		expect_exit 1
		cmp -s -n "$(stat -c %s "$stdout")" "$stdout" "want-4/$name" || fail "$f: bytes came out that are not in $name"
	done
done
# The same with a step for each layer, and a first one that fails between two members of the second.
echo '{"chunk": "64KiB", "steps": [{"step": "read", "from": "-"}, {"step": "decompress"}, {"step": "decompress"}, {"step": "write", "to": "-"}]}' >two.json
zstd -qc --no-check <want-1/noise.idx.age >whole.zst
for at in 70000 150000 200000 299000; do
	head -c $at whole.zst | run_bm run -q two.json
	expect_exit 1
	[ $at -lt 200000 ] || [ -s "$stdout" ] || fail "cut at $at: nothing came out"
	cmp -s -n "$(stat -c %s "$stdout")" "$stdout" want-4/noise.idx.age || fail "cut at $at: bytes came out that are not in it"
done

# ---- caps ----

head -c 40000000 /dev/zero | gzip -9 | gzip -9 >bomb.gz.gz
head -c 40000000 /dev/zero | zstd -qc | gzip >bomb.zst.gz
for cap in '"max_size": "20MiB"' '"max_ratio": 1000'; do
	for bomb in bomb.gz.gz bomb.zst.gz; do
		echo '{"steps": [{"step": "read", "from": "'$bomb'"}, {"step": "decompress", "depth": 2, '"$cap"'}, {"step": "write", "to": "bomb"}]}' >bomb.json
		run_bm run -q bomb.json
		expect_exit 1
		expect_stderr_match "error: $bomb: layer 2: decodes to more than max_"
		[ ! -e bomb ] || fail "$bomb with $cap was written"
	done
done
# Either layer alone is within the ratio. (Deflate cannot do more than 1032; right below, engines come to it at different bytes.)
echo '{"steps": [{"step": "read", "from": "bomb.gz.gz"}, {"step": "decompress", "max_ratio": 1000}, {"step": "write", "to": "bomb.gz"}]}' >bomb.json
run_bm run -q bomb.json
expect_exit 0
echo '{"steps": [{"step": "read", "from": "bomb.gz"}, {"step": "decompress", "max_ratio": 1040}, {"step": "write", "to": "bomb"}]}' >bomb.json
run_bm run -q bomb.json
expect_exit 0
[ "$(stat -c %s bomb)" = 40000000 ] || fail "size"
