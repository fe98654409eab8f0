#!/usr/bin/python3
"""names.py TREE - makes a tree of files whose names were made to break manifests, and beside it, NUL-ended and relative
to it: all.list; nolf.list, those without LF; sfv.list, those that SFV can carry and rhash takes as they are;
nocr.list, those of nolf that do not end in CR."""
import os
import sys

root = os.fsencode(sys.argv[1])
names = set()
for byte in range(1, 256):  # every byte but / and NUL, alone, in front, in the middle, at the end
    b = bytes([byte])
    if b != b"/":
        names |= {b, b + b"xx", b"y" + b + b"z", b"w" + b}
names -= {b"."}
names |= {
    b"\\n", b"a\nb\r\\\n", b"x) = y", b") = ", b"  two", b" *star", b"SHA256 (x) = 0", b"%0A", b"%25", b"%%%% HASHDEEP-1.0",
    b"a,b,\"c\"", b"; c", b"## x", b"-", b"--help", b"#", b"\xed\xa0\x80", b"\xe2\x90", b"\xe2\x90\xa0",
    "lf\u240aq".encode(), "\u00e9".encode(), "e\u0301".encode(), b"{\"path\":\"x\"}", b"x" * 200, b"\xff" * 200, b"\n" * 200,
    b"deadbeef  x", b"x 0123ABCD", b"dir/e/f", b"dir/ g", b"dir/h\n/i\r",
}
# Without U+201B: rclone does not find such files again.


def plain(name):
    return not (set(name) & set(b"\n\r\\") or name[:1] in b" \t;" or name[-1:] in b" \t" or not name.isascii() or
                any(c < 32 or c == 127 for c in name))


ordered = sorted(names)
for i, name in enumerate(ordered):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(name * (i % 7))
for list_name, wanted in (("all", lambda n: True), ("nolf", lambda n: b"\n" not in n), ("sfv", plain),
                          ("nocr", lambda n: b"\n" not in n and not n.endswith(b"\r"))):
    with open(list_name + ".list", "wb") as f:
        f.write(b"".join(b"./" + n + b"\0" for n in ordered if wanted(n)))
