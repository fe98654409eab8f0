#!/bin/bash
# bytemill hash prints what sha256sum prints over the sorted tree, byte for byte, at any number of threads, whatever the
# names; and what the other programs print for the other algorithms and formats.
. "$(dirname "$0")/lib.sh"

# A tree of real files, and one of names that were made to break things.
mkdir tree
cp -R /usr/include/linux tree/linux
(cd tree/linux && find . -type d | head -n 40 | while read -r d; do : >"$d/empty"; done)
$python - tree/names <<'END'
import os, sys
root = os.fsencode(sys.argv[1])
os.mkdir(root)
for byte in range(1, 256):  # every byte but / and NUL, alone and in the middle
    if byte in b"/":
        continue
    for name in (b"x" + bytes([byte]) + b"y", bytes([byte])):
        if name != b".":
            with open(root + b"/" + name, "wb") as f:
                f.write(name * byte)
for name in (b"\n", b"a\nb\r\\\n", b"\\", b"\\n", b"\x1b[2J\x1b]0;x\x07", b"\xff\xfe\xc0\x80", b"\xed\xa0\x80", b"-", b"--help",
             b"-rf", b" lead", b"trail ", b"%s%n", b"%", b"*", b"?", b"[a]", b"{path}", b"${HOME}", b"$(x)", b"~", b"#", b"'", b'"',
             b"x" * 255, b"\n" * 255, b"\xff" * 255, b"...", b"..x", "\u00e9".encode(), "e\u0301".encode()):
    with open(root + b"/" + name, "wb") as f:
        f.write(name)
    os.makedirs(root + b".d/" + name)
    with open(root + b".d/" + name + b"/" + name[:200], "wb") as f:
        f.write(name + b"/")
END
# Where a directory's name and a file's differ by a byte around "/": the order is that of whole paths.
mkdir tree/a tree/a.b tree/a0
touch tree/a/z tree/a.b/z tree/a0/z tree/a- 'tree/a!' tree/a.txt
head -c 5000000 /dev/urandom >tree/large
head -c 262144 /dev/urandom >tree/one-chunk
head -c 262145 /dev/urandom >tree/one-more

# Files of several chunks between small ones: two of any kind go through SHA-256 together.
mkdir tree/mixed
for i in $(seq 24); do
	case $((i % 4)) in
	0) size=$((1048576 * (2 + i % 5) + i * 37)) ;;
	1) size=$((i * 131)) ;;
	2) size=$((i % 8 == 2 ? 0 : 1048576 * (i % 3 + 1))) ;;
	3) size=$((262144 + i)) ;;
	esac
	head -c "$size" /dev/urandom >"tree/mixed/$i"
done

find tree -type f -print0 | sort -z >list0
xargs -0 sha256sum <list0 >want
for options in '-j 1' '-j 2' '-j 3' '-j 8' '-j 1 --io-depth 1' '-j 2 --io-depth 1' '-j 3 --memory 4MiB'; do
	# shellcheck disable=SC2086
	run_bm hash $options tree
	expect_exit 0
	expect_stdout want
	expect_no_stderr
done
run_bm hash --files-from list0 --from0
expect_stdout want
sha256sum -c --strict --quiet want || fail "sha256sum -c says no"

# Two such stages in one job, and another digest behind them.
for threads in 1 2 8; do
	rm -rf out
	run_bm run -j "$threads" - <<'END'
{ "name": "two-places", "steps": [
    { "step": "read", "from": "tree/mixed" },
    { "step": "hash", "algorithms": ["sha256"], "manifest": "out/before", "name": "tree/mixed/{path}" },
    { "step": "compress", "format": "gzip", "level": 1 },
    { "step": "hash", "algorithms": ["sha256", "sha1"], "manifest": "out/after.{algorithm}", "name": "out/{path}.gz" },
    { "step": "write", "to": "out/{path}.gz" }
] }
END
	expect_exit 0
	for manifest in sha256:out/before sha256:out/after.sha256 sha1:out/after.sha1; do
		[ "$(wc -l <"${manifest#*:}")" = 24 ] || fail "$manifest has not 24 lines"
		"${manifest%:*}sum" -c --strict --quiet "${manifest#*:}" || fail "$manifest"
	done
done

xargs -0 sha256sum --tag <list0 >want
run_bm hash --tag tree
expect_stdout want
xargs -0 sha256sum -z <list0 >want
run_bm hash -z tree
expect_exit 0
expect_stdout want

# The other algorithms, where a program for them is here.
names=(tree/large tree/one-chunk tree/one-more tree/a- $'tree/names/\n' 'tree/names/\' tree/names/%s%n)
for algorithm in md5 sha1 sha224 sha384 sha512 blake2b; do
	program=${algorithm/blake2b/b2}sum
	"$program" "${names[@]}" >want
	run_bm hash -a "$algorithm" "${names[@]}"
	expect_exit 0
	expect_stdout want
	"$program" --tag "${names[@]}" >want
	run_bm hash --tag -a "$algorithm" "${names[@]}"
	expect_stdout want
done
plain=(tree/large tree/one-chunk tree/one-more tree/a-)
if command -v openssl >/dev/null; then
	for algorithm in sha512-256 sha3-224 sha3-256 sha3-384 sha3-512 blake2s; do
		openssl dgst -r "-${algorithm/blake2s/blake2s256}" "${plain[@]}" | sed 's/ \*/  /' >want
		run_bm hash -a "$algorithm" "${plain[@]}"
		expect_exit 0
		expect_stdout want
	done
fi
if command -v xxhsum >/dev/null; then
	for pair in 1:xxh64 2:xxh128; do
		xxhsum -q "-H${pair%:*}" "${plain[@]}" >want
		run_bm hash -a "${pair#*:}" "${plain[@]}"
		expect_exit 0
		expect_stdout want
	done
	for pair in 1:xxh64 2:xxh128 3:xxh3; do
		xxhsum -q --tag "-H${pair%:*}" "${plain[@]}" >want
		run_bm hash --tag -a "${pair#*:}" "${plain[@]}"
		expect_stdout want
	done
fi
$python - "${plain[@]}" >want <<'END'
import sys, zlib
for name in sys.argv[1:]:
    print("%08x  %s" % (zlib.crc32(open(name, "rb").read()), name))
END
run_bm hash -a crc32 "${plain[@]}"
expect_exit 0
expect_stdout want

# Several algorithms: every checker finds its own lines.
run_bm hash -a md5,sha1,sha256,sha512,blake2b "${names[@]}"
expect_exit 0
cp "$stdout" found
for algorithm in MD5 SHA1 SHA256 SHA512 BLAKE2b; do
	grep -a "^\\\\\?$algorithm (" found >lines
	[ "$(wc -l <lines)" = ${#names[@]} ] || fail "$algorithm: $(cat -v lines)"
done
cksum -c --strict --quiet found || fail "cksum -c says no"

# JSON: an object a line, whose names and digests are the files'.
run_bm hash --format json -a md5 -a sha256 tree
expect_exit 0
if command -v jq >/dev/null; then
	[ "$(jq -c . "$stdout" | wc -l)" = "$(tr -dc '\0' <list0 | wc -c)" ] || fail "jq does not see every file"
	[ "$(jq -r 'select(.path == "tree/large") | "\(.size) \(.md5) \(.sha256)"' "$stdout")" = \
		"5000000 $(md5sum <tree/large | cut -d' ' -f1) $(sha256sum <tree/large | cut -d' ' -f1)" ] || fail "tree/large in JSON"
fi
$python - "$stdout" list0 <<'END' || fail "names in JSON"
import base64, hashlib, json, sys
want = open(sys.argv[2], "rb").read().split(b"\0")[:-1]
for line, name in zip(open(sys.argv[1], "rb").read().splitlines(), want, strict=True):
    o = json.loads(line)
    # Where "path" cannot say it, "path_base64" does.
    path = base64.b64decode(o["path_base64"]) if "path_base64" in o else o["path"].encode()
    assert path == name, (o, name)
    data = open(name, "rb").read()
    assert o["size"] == len(data) and o["sha256"] == hashlib.sha256(data).hexdigest(), name
END
