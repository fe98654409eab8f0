#!/bin/bash
# decompress: gzip of other makers, many members, padding, garbage behind; files that are cut short or damaged fail,
# leave nothing, and say where; caps on size and ratio.
. "$(dirname "$0")/lib.sh"

mkdir gz want
$python - <<'END'
import random
rnd = random.Random(2)
open("text", "wb").write(b"".join(b"%d some text that repeats\n" % (i * i) for i in range(60000)))
open("random", "wb").write(rnd.randbytes(700001))
open("zero", "wb").write(b"")
open("one", "wb").write(b"1")
END
# name: the parts of the content
put() { cat "${@:2}" >"want/$1"; }
for name in text random zero one; do
	gzip -9 <"$name" >"gz/gzip-$name.gz" && put "gzip-$name" "$name"
	gzip -n --fast <"$name" >"gz/fast-$name.gz" && put "fast-$name" "$name"
	if command -v pigz >/dev/null; then
		pigz -b 128 -p 3 <"$name" >"gz/pigz-$name.gz" && put "pigz-$name" "$name"
		pigz -i -b 128 <"$name" >"gz/pigzi-$name.gz" && put "pigzi-$name" "$name"
		pigz -11 -b 128 <"one" >"gz/zopfli-$name.gz" && put "zopfli-$name" one
	fi
	if command -v bgzip >/dev/null; then
		bgzip -c "$name" >"gz/bgzf-$name.gz" && put "bgzf-$name" "$name"
	fi
	if command -v igzip >/dev/null; then
		igzip -c "$name" >"gz/igzip-$name.gz" 2>/dev/null && put "igzip-$name" "$name"
	fi
done
gzip -c text >gz/named.gz && put named text # FNAME
cat gz/gzip-text.gz gz/gzip-zero.gz gz/fast-random.gz gz/gzip-one.gz >gz/many.gz && put many text zero random one
for ((i = 0; i < 300; i++)); do cat gz/gzip-one.gz; done >gz/tiny.gz && for ((i = 0; i < 300; i++)); do cat one; done >want/tiny
{ cat gz/gzip-text.gz; head -c 100000 /dev/zero; } >gz/padded.gz && put padded text
{ cat gz/gzip-one.gz; head -c 513 /dev/zero; cat gz/gzip-text.gz; head -c 5 /dev/zero; } >gz/padded2.gz && put padded2 one text
# Members with IG, small and larger than any chunk here, and one with every header field there is.
$python - <<'END'
import struct, zlib
def member(data, extra=b"", name=None, comment=None, hcrc=False, flags=0):
    flags |= (4 if extra else 0) | (8 if name is not None else 0) | (16 if comment is not None else 0) | (2 if hcrc else 0)
    c = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = c.compress(data) + c.flush()
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\1\2\3\4\0\3"
    if extra:
        head += struct.pack("<H", len(extra)) + extra
    if name is not None:
        head += name + b"\0"
    if comment is not None:
        head += comment + b"\0"
    if hcrc:
        head += struct.pack("<H", zlib.crc32(head) & 0xffff)
    return head, body + struct.pack("<II", zlib.crc32(data), len(data) & 0xffffffff)
def pgzip(data, step):
    out = b""
    for i in range(0, max(len(data), 1), step):
        head, rest = member(data[i:i + step], b"IG\4\0" + bytes(4))
        out += head[:16] + struct.pack("<I", len(head) + len(rest)) + head[20:] + rest
    return out
text, rnd = open("text", "rb").read(), open("random", "rb").read()
def save(name, gz, want):
    open("gz/%s.gz" % name, "wb").write(gz)
    open("want/" + name, "wb").write(want)
save("ig-small", pgzip(text, 30000), text)
save("ig-large", pgzip(text + rnd, 1 << 20), text + rnd)
save("ig-whole", pgzip(rnd * 4, len(rnd) * 4), rnd * 4)
save("ig-mixed", pgzip(text, 70000) + b"".join(member(rnd)) + pgzip(rnd, 65536), text + rnd + rnd)
save("fields", b"".join(member(text, b"xy\3\0abc" + b"ZZ\0\0", b"../../x\n/abs", b"a comment\x1b[31m", True)), text)
save("long-name", b"".join(member(text, name=b"n" * 100000)), text)
save("long-extra", b"".join(member(text, extra=b"xy" + struct.pack("<H", 65000) + b"e" * 65000)), text)
END
cat >job.json <<'END'
{"jobs": [
  {"name": "small", "chunk": "4KiB", "steps": [{"step": "read", "from": "gz"}, {"step": "hash", "manifest": "SUMS"}, {"step": "decompress"},
    {"step": "write", "durability": "none", "to": "small/{stem}"}]},
  {"name": "medium", "chunk": "64KiB", "steps": [{"step": "read", "from": "gz"}, {"step": "decompress"},
    {"step": "write", "durability": "none", "to": "medium/{stem}"}]},
  {"name": "normal", "steps": [{"step": "read", "from": "gz"}, {"step": "decompress"}, {"step": "write", "durability": "none", "to": "normal/{stem}"}]}
]}
END
for threads in 1 3 8; do
	rm -rf small medium normal
	run_bm run -q -j "$threads" job.json
	expect_exit 0
	expect_no_stderr
	for out in small medium normal; do diff -r want "$out" >&2 || fail "-j $threads: $out differs"; done
done
(cd gz && sha256sum -c --strict --quiet ../SUMS) || fail "the hash in front of decompress"
expect_no_temp .

# Garbage behind the last member: a warning, as gzip has it, and all of the content; the hash step still sees all bytes.
mkdir garbage
{ cat gz/gzip-text.gz; printf 'not gzip at all'; head -c 200000 /dev/urandom; } >garbage/a.gz
{ cat gz/gzip-text.gz; printf '\36x'; } >garbage/b.gz
{ cat gz/gzip-text.gz; printf '\0\0\0x'; } >garbage/c.gz
cat >garbage.json <<'END'
{"chunk": "64KiB", "steps": [{"step": "read", "from": "garbage"}, {"step": "hash", "manifest": "garbage.sums"}, {"step": "decompress"},
  {"step": "write", "to": "out/{stem}"}]}
END
run_bm run garbage.json
expect_exit 0
for name in a b c; do
	expect_stderr_match "^bytemill: warning: garbage/$name.gz: trailing garbage at byte "
	expect_same text "out/$name"
done
expect_stderr_match "garbage/a.gz: trailing garbage at byte $(stat -c %s gz/gzip-text.gz) ignored"
(cd garbage && sha256sum -c --strict --quiet ../garbage.sums) || fail "not all bytes were hashed"

# What cannot be decoded: every cut of a small file, and every damaged byte of the body and trailer that gzip finds.
mkdir bad
$python - <<'END'
import random
def cut(name, ends):
    data = open("gz/%s.gz" % name, "rb").read()
    for end in ends:
        open("bad/cut-%s-%d.gz" % (name, end), "wb").write(data[:end])
    return data
for name in "gzip-text", "ig-small", "fields", "many":
    n = len(open("gz/%s.gz" % name, "rb").read())
    cut(name, [0, 1, 2, 3, 9, 10, 11, 15, 18, 19, 25, 31, 32, 33, n // 3, n // 2, n - 9, n - 8, n - 4, n - 1])
rnd = random.Random(3)
for name in "gzip-text", "ig-small", "fast-random", "ig-whole":
    data = open("gz/%s.gz" % name, "rb").read()
    for at in [len(data) - 1, len(data) - 5, len(data) - 8] + [rnd.randrange(100, len(data)) for _ in range(5)]:
        open("bad/flip-%s-%d.gz" % (name, at), "wb").write(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:])
data = bytearray(open("gz/ig-small.gz", "rb").read())
for size in (0, 1, 19, 31, 100, 0xffffffff, 1 << 31):  # what the field claims
    data[16:20] = size.to_bytes(4, "little")
    open("bad/claim-%d.gz" % size, "wb").write(data)
open("bad/plain.gz", "wb").write(b"this is plain text and no gzip")
open("bad/stray-1f.gz", "wb").write(open("gz/gzip-text.gz", "rb").read() + b"\x1f")  # the start of a cut member
open("bad/method.gz", "wb").write(b"\x1f\x8b\x07" + bytes(40))
open("bad/flags.gz", "wb").write(b"\x1f\x8b\x08\xe0" + bytes(40))
END
cat >bad.json <<'END'
{"chunk": "16KiB", "steps": [{"step": "read", "from": ["bad", "gz/gzip-one.gz"]}, {"step": "decompress"},
  {"step": "write", "durability": "none", "to": "decoded/{stem}"}]}
END
for threads in 1 8; do
	rm -rf decoded
	run_bm run -j "$threads" --report report.jsonl bad.json
	expect_exit 1
	expect_same one decoded/gzip-one
	expect_no_temp .
	for file in bad/*.gz; do
		name=$(basename "$file" .gz)
		if gzip -dc "$file" >"$top/by-gzip" 2>/dev/null; then
			# gzip takes it: then the bytes must be the same. (It does not look at size fields.)
			if [ -e "decoded/$name" ]; then
				expect_same "$top/by-gzip" "decoded/$name"
			else
				expect_stderr_match "^bytemill: error: bad/$name.gz: .*size"
			fi
		else
			[ ! -e "decoded/$name" ] || fail "$name was decoded"
			expect_stderr_match "^bytemill: error: bad/$name.gz: .+"
		fi
	done
done
expect_stderr_match '^bytemill: error: bad/cut-gzip-text-15.gz: .*unexpected end of file in the compressed data, at its offset 15$'
expect_stderr_match '^bytemill: error: bad/plain.gz: .*not .*gzip'

# Caps.
head -c 50000000 /dev/zero >zeros
gzip -1 <zeros >zeros.gz
layouts=
for layout in indexed bgzf; do
	layouts+=${layouts:+,}'{"name": "'$layout'", "steps": [{"step": "read", "from": "zeros"}, {"step": "compress", "layout": "'$layout'"},
		{"step": "write", "to": "zeros-{job}.gz"}]}'
done
echo '{"jobs": ['"$layouts"']}' >cap.json
run_bm run -q cap.json
expect_exit 0
for cap in '"max_size": "1MiB"' '"max_ratio": 100'; do
	echo '{"steps": [{"step": "read", "from": ["zeros.gz", "zeros-indexed.gz", "zeros-bgzf.gz", "gz/gzip-text.gz"]}, {"step": "decompress", '"$cap"'}, {"step": "write",
		"to": "capped/{stem}"}]}' >cap.json
	rm -rf capped
	run_bm run cap.json
	expect_exit 1
	for name in zeros zeros-indexed zeros-bgzf; do
		expect_stderr_match "^bytemill: error: $name.gz: decodes to more than $(cut -d'"' -f2 <<<"$cap")"
		[ ! -e capped/$name ] || fail "the capped file was written"
	done
	expect_no_temp .
done
[ "$(stat -c %s text)" -gt 1048576 ] || fail "text is too small to tell"
expect_same text capped/gzip-text
echo '{"steps": [{"step": "read", "from": ["zeros.gz", "zeros-indexed.gz", "zeros-bgzf.gz"]}, {"step": "decompress", "max_size": 50000000, "max_ratio": 2000}, {"step": "write",
	"to": "capped/{stem}"}]}' >cap.json
run_bm run -q cap.json
expect_exit 0
for name in zeros zeros-indexed zeros-bgzf; do expect_same zeros capped/$name; done
