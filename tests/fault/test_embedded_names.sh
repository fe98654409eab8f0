#!/bin/bash
# A gzip member may hold a name; it is nobody's path.
. "$(dirname "$0")/../cli/lib.sh"

mkdir in
$python - <<'END'
import gzip, struct, zlib
def member(name, data=b"content\n", end=b"\0"):
    c = zlib.compressobj(6, zlib.DEFLATED, -15)
    return b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + name + end + c.compress(data) + c.flush() + struct.pack("<II", zlib.crc32(data), len(data))
for i, name in enumerate([b"../../escape", b"/tmp/bytemill-escape", b"a\nb", b"\x1b[2J", b"a/../../escape", b"x" * 70000, b"", b"plain"]):
    open("in/%d.gz" % i, "wb").write(member(name))
open("in/unterminated.gz", "wb").write(member(b"x" * 100, end=b"")[:60])
END
printf '{"steps": [{"step": "read", "from": "in"}, {"step": "decompress"}, {"step": "write", "to": "out/{stem}"}]}' >job.json
run_bm run job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/unterminated.gz: '
expect_stderr_match '^bytemill: 8 files done, 1 failed'
for i in 0 1 2 3 4 5 6 7; do expect_same <(echo content) "out/$i"; done
[ "$(find . -name '*escape*' | wc -l)" = 0 ] && [ ! -e ../escape ] && [ ! -e /tmp/bytemill-escape ] || fail "a name out of a file was used as a path"
[ "$(find out | wc -l)" = 9 ] || fail "more files than inputs: $(find out)"
! grep -q $'\x1b' "$stderr" || fail "a raw escape"
expect_no_temp out
