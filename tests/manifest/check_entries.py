#!/usr/bin/python3
"""check_entries.py TREE LIST ALGORITHM... - reads what read_manifest -r prints: there must be exactly the files of LIST
(NUL-ended, "./" in front), each once for each ALGORITHM or once with all of them, with the right digests and, where it is
known, the right size. xxh* are taken from the file of that name: lines of HEX and two blanks, in LIST's order."""
import hashlib
import os
import sys
import zlib

tree, list_name, algorithms = os.fsencode(sys.argv[1]), sys.argv[2], sys.argv[3:]


def digest(algorithm, data):
    if algorithm == "crc32":
        return "%08x" % zlib.crc32(data)
    if algorithm.startswith("blake2b-"):
        return hashlib.blake2b(data, digest_size=int(algorithm[8:]) // 8).hexdigest()
    return hashlib.new({"sha512-256": "sha512_256"}.get(algorithm, algorithm.replace("sha3-", "sha3_")), data).hexdigest()


names = [n[2:] for n in open(list_name, "rb").read().split(b"\0")[:-1]]
want = {}
for algorithm in algorithms:
    given = open(algorithm).read().split() if algorithm.startswith("xxh") else None
    for i, name in enumerate(names):
        data = open(os.path.join(tree, name), "rb").read()
        want[name, algorithm] = given[i] if given else digest(algorithm, data)

found = sys.stdin.buffer.read().split(b"\0")
assert found.pop() == b"", "the last entry is cut"
for entry in found:
    size, digests, name = entry.split(b"\t", 2)
    if name.startswith(b"./"):
        name = name[2:]
    assert size == b"-" or int(size) == os.path.getsize(os.path.join(tree, name)), (name, size)
    assert digests, name
    for word in digests.decode().split():
        algorithm, value = word.split(":")
        assert want.pop((name, algorithm), "no such file, or twice") == value, (name, word)
assert not want, (len(want), sorted(want)[:5])
