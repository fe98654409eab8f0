#!/bin/bash
# compress with format zstd and decompress of zstd: round-trips over sizes, chunks, levels and threads, what zstd itself
# says of the output, the seek table, files of other makers, damage, caps, and several formats in one job.
. "$(dirname "$0")/lib.sh"
need_cmd zstd

mkdir in
$python - <<'END'
import random
rnd = random.Random(3)
text = b"".join(b"%d some text that repeats, %d\n" % (i * i, i % 97) for i in range(90000))
noise = rnd.randbytes(300000)
for n in (0, 1, 4095, 4096, 4097, 8192, 65535, 65536, 65537, 131072, 131073, 1048576, 2000001):
    open("in/text-%07d" % n, "wb").write(text[:n])
    if n <= len(noise):
        open("in/noise-%07d" % n, "wb").write(noise[:n])
open("in/mixed", "wb").write(noise[:70000] + bytes(700000) + text[:70000] + noise[70000:140000])
END

# ---- round-trips; the output hangs on the job alone ----

jobs() { # jobs FORMAT-OPTIONS CHUNK: compress in -> z, hash on the way, and back z -> back
	cat <<END
{"jobs": [
  {"name": "there", $2 "steps": [{"step": "read", "from": "in"}, {"step": "compress", "format": "zstd" $1},
    {"step": "hash", "manifest": "SUMS"}, {"step": "write", "durability": "none", "to": "z/{path}.zst"}]},
  {"name": "back", "after": ["there"], $3 "steps": [{"step": "read", "from": "z"}, {"step": "decompress"},
    {"step": "write", "durability": "none", "to": "back/{stem}"}]}
]}
END
}
round_trip() { # round_trip OPTIONS CHUNK CHUNK-BACK
	jobs "$@" >job.json
	rm -rf z back first SUMS
	run_bm run -j 1 job.json
	expect_exit 0
	expect_stderr_no_match 'warning|error'
	diff -r in back >&2 || fail "not what went in: $*"
	find z -name '*.zst' -exec zstd -q -t {} + || fail "zstd -t: $*"
	sha256sum --quiet -c SUMS >&2 || fail "SUMS: $*"
	mv z first
	rm -rf back
	run_bm run -j 7 job.json
	expect_exit 0
	diff -r first z >&2 || fail "other bytes with other threads: $*"
	diff -r in back >&2 || fail "not what went in: $*"
	expect_no_temp .
}
round_trip '' '' ''
round_trip ', "level": 3' '"chunk": "64KiB",' ''
round_trip ', "level": 1' '"chunk": "4KiB",' '"chunk": "4KiB",'
round_trip ', "level": -5' '"chunk": "100000",' '"chunk": "64KiB",'
round_trip ', "level": 19' '"chunk": "128KiB",' '"chunk": "16MiB", "memory": "128MiB",'
round_trip ', "level": 12' '"chunk": "1MiB",' '"chunk": "4KiB",'
for f in in/*; do
	zstd -q -dc "z/${f#in/}.zst" | cmp -s - "$f" || fail "zstd -d: $f"
done

# The default level is zstd's own, and the table says so.
run_bm validate job.json
expect_stdout_match 'zstd level 12'
jobs '' '' '' >job.json
run_bm validate job.json
expect_exit 0
expect_stdout_match 'chunks of 8 MiB'
expect_stdout_match 'zstd level 3'

# ---- the seek table ----

check_table() { # check_table FILE CHUNK PLAIN
	$python - "$@" <<'END'
import struct, subprocess, sys
z, chunk, plain = open(sys.argv[1], "rb").read(), int(sys.argv[2]), open(sys.argv[3], "rb").read()
count, flags, magic = struct.unpack("<IBI", z[-9:])
assert magic == 0x8F92EAB1 and flags == 0x80, "footer"
table = z[-(17 + 12 * count):]
assert struct.unpack("<II", table[:8]) == (0x184D2A5E, len(table) - 8), "header"
assert count == max(1, -(-len(plain) // chunk)), "%d frames" % count
at = begin = 0
for i in range(count):
    size, content, checksum = struct.unpack("<III", table[8 + 12 * i:20 + 12 * i])
    frame = z[at:at + size]
    assert struct.unpack("<I", frame[-4:])[0] == checksum, "checksum of frame %d" % i
    if i % 50 == 0 or i == count - 1:
        out = subprocess.run(["zstd", "-qdc"], input=frame, stdout=subprocess.PIPE, check=True).stdout
        assert out == plain[begin:begin + content] and content == len(out), "frame %d" % i
    at, begin = at + size, begin + content
assert at == len(z) - len(table) and begin == len(plain), "sums"
END
}
# A table far longer than a chunk has room for, behind a last frame that cannot be made smaller.
cat >job.json <<'END'
{"chunk": "4KiB", "steps": [{"step": "read", "from": ["in/text-2000001", "in/noise-0131073", "in/text-0000000", "in/text-0004096"]},
  {"step": "compress", "format": "zstd"}, {"step": "hash", "manifest": "SUMS"}, {"step": "write", "to": "z/{name}.zst"}]}
END
rm -rf z
run_bm run job.json
expect_exit 0
expect_stderr_no_match warning
sha256sum --quiet -c SUMS >&2
for f in text-2000001 noise-0131073 text-0000000 text-0004096; do
	check_table "z/$f.zst" 4096 "in/$f" || fail "table of $f"
done
zstd -lv z/text-2000001.zst >list 2>/dev/null
grep -q '^# Zstandard Frames: 489$' list || fail "$(cat list)"
grep -q '^# Skippable Frames: 1$' list || fail "$(cat list)"

# ---- several formats in one job ----

cat >job.json <<'END'
{"jobs": [
  {"name": "a", "chunk": "64KiB", "steps": [{"step": "read", "from": "in"}, {"step": "compress", "level": 1}, {"step": "copy", "to": "gz/{path}"},
    {"step": "decompress"}, {"step": "compress", "format": "zstd"}, {"step": "copy", "to": "gz-zst/{path}"},
    {"step": "compress"}, {"step": "compress", "format": "zstd", "level": 1}, {"step": "write", "to": "nested/{path}"}]},
  {"name": "b", "after": ["a"], "steps": [{"step": "read", "from": "nested"}, {"step": "decompress", "format": "zstd"},
    {"step": "decompress", "format": "gzip"}, {"step": "decompress"}, {"step": "write", "to": "un/{path}"}]},
  {"name": "both", "after": ["a"], "steps": [{"step": "read", "from": "gz"}, {"step": "decompress"},
    {"step": "write", "to": "un-both/{path}"}]}
]}
END
run_bm run job.json
expect_exit 0
expect_stderr_no_match 'warning|error'
diff -r in un >&2
diff -r in un-both >&2
for f in gz-zst/*; do zstd -qdc <"$f" | cmp - "in/${f#gz-zst/}"; done
for f in nested/*; do zstd -qdc <"$f" | gzip -dc | zstd -qdc | cmp - "in/${f#nested/}"; done
# No room for the table, where a later step relies on the size of a chunk: a warning, and a good file.
cat in/text-2000001 in/text-2000001 >twice
cat >job.json <<'END'
{"chunk": "4KiB", "steps": [{"step": "read", "from": ["twice", "in/text-1048576"]}, {"step": "compress", "format": "zstd"},
  {"step": "copy", "to": "bounded/{name}"}, {"step": "compress"}, {"step": "write", "to": "bounded-gz/{name}"}]}
END
run_bm run job.json
expect_exit 0
for f in twice text-1048576; do
	zstd -qdc <bounded/$f | cmp - "$([ $f = twice ] || echo in/)$f"
	gzip -dc <bounded-gz/$f | cmp - bounded/$f
done
expect_stderr_match 'twice.*too many frames for a seek table'
expect_stderr_no_match 'text-1048576'
# The last chunk is empty and the table in it just fits: the step behind must find it where there is room for its work.
mkdir frames
$python - <<'END'
import random
noise = random.Random(4).randbytes(870 * 4096)
for n in range(846, 870, 2):
    open("frames/%d" % n, "wb").write(noise[:n * 4096])
END
cat >job.json <<'END'
{"jobs": [
  {"name": "a", "chunk": "4KiB", "steps": [{"step": "read", "from": "frames"}, {"step": "compress", "format": "zstd", "level": 1},
    {"step": "write", "durability": "none", "to": "frames-zst/{path}"}]},
  {"name": "b", "after": ["a"], "chunk": "4KiB", "steps": [{"step": "read", "from": "frames-zst"}, {"step": "decompress"},
    {"step": "compress", "format": "zstd", "level": 1}, {"step": "compress", "format": "zstd", "level": 1},
    {"step": "write", "durability": "none", "to": "frames-twice/{path}"}]}
]}
END
run_bm run job.json
expect_exit 0
expect_stderr_match 'too many frames' # the largest are past it
expect_stderr_no_match 'frames-zst/846: '
for f in frames/*; do zstd -qdc <"frames-twice/${f#frames/}" | zstd -qdc | cmp - "$f"; done

# ---- files of other makers ----

mkdir zst want
put() { cat "${@:2}" >"want/$1"; }
t=in/text-2000001 n=in/noise-0131073
zstd -q -c $t >zst/plain && put plain $t
zstd -q -19 -c $t >zst/high && put high $t
zstd -q --fast=4 --no-check -c $t >zst/fast && put fast $t
zstd -q -c <$t >zst/pipe && put pipe $t
zstd -q -c <in/text-0000000 >zst/zero && put zero in/text-0000000
zstd -q --long=27 -c $t $n >zst/long && put long $t $n
zstd -q --adapt -c <$t >zst/adapt && put adapt $t
# The window of --ultra -22, without its memory: zstd itself takes no larger one unasked.
zstd -q --ultra -22 --zstd=wlog=27,chainLog=18,hashLog=18 -c <$t >zst/ultra && put ultra $t
zstd -q -T2 -B256KiB -c $t >zst/threads && put threads $t
zstd -q -c $t $n in/text-0000000 in/text-0000001 in/mixed >zst/many && put many $t $n in/text-0000000 in/text-0000001 in/mixed
{ cat zst/pipe zst/plain && zstd -qc <$n && cat zst/high; } >zst/known-and-not && put known-and-not $t $t $n $t
for ((i = 0; i < 400; i++)); do zstd -qc in/text-0000001; done >zst/tiny
for ((i = 0; i < 400; i++)); do cat in/text-0000001; done >want/tiny
{ printf 'P*M\030\3\0\0\0abc' && cat zst/plain && printf '_*M\030\0\0\0\0' && head -c 100000 /dev/zero | sed '1s/^/S*M\x18\xa0\x86\x01\x00/' && cat zst/long; } >zst/skippable
put skippable $t $t $n
printf 'P*M\030\3\0\0\0abc' >zst/skippable-only && put skippable-only /dev/null
if command -v pzstd >/dev/null; then pzstd -q -p 3 -c $t >zst/pzstd && put pzstd $t; fi
for f in zst/*; do zstd -qdc <"$f" | cmp - "want/${f#zst/}" || fail "the test's own $f"; done
cat >job.json <<'END'
{"jobs": [
  {"name": "small", "chunk": "4KiB", "steps": [{"step": "read", "from": "zst"}, {"step": "hash", "manifest": "SUMS"}, {"step": "decompress"},
    {"step": "write", "durability": "none", "to": "small/{path}"}]},
  {"name": "medium", "chunk": "300KiB", "steps": [{"step": "read", "from": "zst"}, {"step": "decompress", "format": "zstd"},
    {"step": "write", "durability": "none", "to": "medium/{path}"}]},
  {"name": "normal", "steps": [{"step": "read", "from": "zst"}, {"step": "decompress"}, {"step": "write", "durability": "none", "to": "normal/{path}"}]}
]}
END
for threads in 1 6; do
	rm -rf small medium normal
	run_bm run -j $threads job.json
	expect_exit 0
	expect_stderr_no_match 'warning|error'
	for d in small medium normal; do diff -r want $d >&2 || fail "$d with $threads threads"; done
	(cd zst && sha256sum --quiet -c ../SUMS) >&2
done

# From a pipe and to a pipe.
cat >pipe.json <<'END'
{"steps": [{"step": "read", "from": "-"}, {"step": "decompress"}, {"step": "compress", "format": "zstd", "level": 1},
  {"step": "write", "to": "-"}]}
END
cat zst/many | "$BYTEMILL" run -q pipe.json | zstd -qdc | cmp - want/many

# ---- what cannot be read ----

mkdir bad
$python - <<'END'
import struct
plain, many = open("zst/plain", "rb").read(), open("zst/many", "rb").read()
def save(name, data):
    open("bad/" + name, "wb").write(data)
for at in (0, 1, 3, 4, 5, 8, 9, 13, 1000, len(plain) // 2, len(plain) - 5, len(plain) - 4, len(plain) - 1):
    save("cut-%d" % at, plain[:at])
    if 0 < at <= 1000:
        save("cut-second-%d" % at, many[:len(plain) + at])
for bit in list(range(0, 8 * 14)) + list(range(8 * 2000, 8 * 2004)) + list(range(8 * (len(plain) - 4), 8 * len(plain))):
    if bit == 36: # the header's unused bit
        continue
    b = bytearray(plain)
    b[bit // 8] ^= 1 << bit % 8
    save("flip-%d" % bit, bytes(b))
save("garbage-behind", plain + b"garbage")
save("zeros-behind", plain + bytes(10))
save("neither", b"neither of them")
save("old", b"\x27\xb5\x2f\xfd" + plain[4:])
save("skip-cut", plain + b"P*M\x18\x10\0\0\0abc")
END
cat >bad.json <<'END'
{"jobs": [
  {"name": "small", "chunk": "4KiB", "steps": [{"step": "read", "from": "bad"}, {"step": "decompress"}, {"step": "write", "durability": "none", "to": "out-small/{path}"}]},
  {"name": "normal", "steps": [{"step": "read", "from": "bad"}, {"step": "decompress"}, {"step": "write", "durability": "none", "to": "out-normal/{path}"}]}
]}
END
run_bm run -j 5 bad.json
expect_exit 1
expect_no_temp .
[ -z "$(find out-small out-normal -type f 2>/dev/null)" ] || fail "made of damage: $(find out-small out-normal -type f)"
for f in bad/*; do
	[ "$(grep -acE "error: $f: " "$stderr")" = 2 ] || fail "$f is not named twice"
done
second=$(stat -c %s zst/plain)
expect_stderr_match "bad/cut-0: empty, not a gzip, zstd or age file"
expect_stderr_match "bad/cut-1000: zstd frame at byte 0: unexpected end of file in the compressed data, at its offset 1000"
expect_stderr_match "bad/cut-second-1000: zstd frame at byte $second: unexpected end of file.* offset 1000"
expect_stderr_match "bad/garbage-behind: trailing garbage at byte $second"
expect_stderr_match 'bad/neither: not a gzip, zstd or age file'
expect_stderr_match 'bad/old: .*0\.7 or older'
expect_stderr_match "bad/skip-cut: zstd frame at byte $second: unexpected end of file in a skippable frame"
expect_stderr_match 'bad/flip-[0-9]+: zstd frame at byte 0: .* at its offset [0-9]+'

# A dictionary.
mkdir parts
split -b 2000 -a 3 in/text-1048576 parts/p.
if zstd -q --train parts/p.* --maxdict=4000 -o dict >train.log 2>&1; then
	zstd -q -D dict -c in/text-0004096 >dictionary.zst
	cat >job.json <<'END'
{"steps": [{"step": "read", "from": "dictionary.zst"}, {"step": "decompress"}, {"step": "write", "to": "never"}]}
END
	run_bm run job.json
	expect_exit 1
	expect_stderr_match 'dictionary.zst: zstd frame at byte 0: compressed with the dictionary [0-9]+'
fi

# ---- caps ----

caps() { # caps OPTION FILE
	cat >job.json <<END
{"steps": [{"step": "read", "from": "$2"}, {"step": "decompress", $1}, {"step": "write", "to": "capped"}]}
END
	rm -f capped
	run_bm run job.json
}
head -c 40000000 /dev/zero >zero
zstd -q -c zero >known.zst
zstd -q -c <zero >unknown.zst
zstd -q --long=27 -c <$t >long.zst
for f in known.zst unknown.zst; do
	caps '"max_size": 39999999' $f
	expect_exit 1
	expect_stderr_match 'max_size'
	[ ! -e capped ] || fail "the cap was passed"
	caps '"max_ratio": 1000' $f
	expect_exit 1
	expect_stderr_match 'max_ratio'
	caps '"max_size": 40000000, "max_ratio": 100000' $f
	expect_exit 0
	expect_same capped zero
done
caps '"max_window": "64MiB"' long.zst
expect_exit 1
expect_stderr_match 'window of 128 MiB.* 64 MiB are allowed.*max_window'
caps '"max_window": "128MiB"' long.zst
expect_exit 0
expect_same capped $t
zstd -q --long=31 -c <$t >longest.zst
caps '"max_size": 0' longest.zst
expect_exit 1
expect_stderr_match 'window of 2 GiB.* 128 MiB are allowed.*max_window'
[ ! -e capped ] || fail "a window of 2 GiB was taken"
caps '"max_window": "2GiB"' longest.zst
expect_exit 0
expect_same capped $t
# The window's cap holds whatever way a frame is read.
caps '"max_window": "1MiB"' known.zst
expect_exit 1
zstd -q -c in/text-2000001 >two.zst
caps '"max_window": "1MiB"' two.zst
expect_exit 1
expect_stderr_match 'window of'
caps '"format": "gzip"' two.zst
expect_exit 1
expect_stderr_match 'not a gzip file'
gzip -c $t >two.gz
caps '"format": "zstd"' two.gz
expect_exit 1
expect_stderr_match 'not a zstd file'

# ---- what cannot be asked for ----

refuse() { # refuse OPTIONS RE
	cat >job.json <<END
{"steps": [{"step": "read", "from": "in"}, {"step": "compress", $1}, {"step": "write", "to": "never/{path}"}]}
END
	run_bm validate job.json
	expect_exit 2
	expect_stderr_match "$2"
}
refuse '"format": "zstd", "level": 0' '/level: level is 0; format "zstd" has 1 to 19, and the faster -1 to -100'
refuse '"format": "zstd", "level": 20' '/level: level is 20; allowed: an integer from -100 to 19'
refuse '"format": "zstd", "layout": "bgzf"' '/layout: layout is for format "gzip"'
refuse '"format": "zstd", "engine": "zlib"' '/engine: engine is for format "gzip"'
refuse '"level": -1' '/level: level is -1'
refuse '"format": "zst"' 'did you mean "zstd"'
