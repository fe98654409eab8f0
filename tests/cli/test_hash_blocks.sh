#!/bin/bash
# Digests of blocks: hash --blocks writes those that python computes, behind any step and at any number of threads, and an
# audit names the blocks that are damaged, and no others.
. "$(dirname "$0")/lib.sh"

mkdir tree
for size in 0 1 4095 4096 4097 65536 300001 5000000; do head -c "$size" /dev/urandom >"tree/f$size"; done
cat >check.py <<'END'
import base64, hashlib, json, os, sys
manifest, root, block, algorithm = sys.argv[1], os.fsencode(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
count = 0
for line in open(manifest):
    e = json.loads(line)
    name = base64.b64decode(e["path_base64"]) if "path_base64" in e else e["path"].encode()
    data = open(os.path.join(root, name), "rb").read()
    want = [hashlib.new(algorithm, data[i:i + block]).hexdigest() for i in range(0, len(data), block)]
    assert e["blocks"] == {"size": block, "algorithm": algorithm, "digests": want}, (name, e["blocks"]["size"])
    assert e["size"] == len(data)
    count += 1
print(count)
END
for size in 4096 5000 65536 1048576 1073741824; do
	for threads in 1 2 8; do
		(cd tree && "$BYTEMILL" hash -q -j "$threads" --memory 64MiB --format json --blocks $size -o "../m.$threads" .)
	done
	expect_same m.1 m.2
	expect_same m.1 m.8
	[ "$($python check.py m.1 tree "$size" sha256)" = 8 ] || fail "not all files"
done

# Behind steps that change the bytes, chunks are of any length; the first algorithm is the one.
cat >job.json <<'END'
{"steps": [{"step": "read", "from": "tree"},
 {"step": "hash", "algorithms": ["md5", "sha256"], "manifest": "in.json", "format": "json", "blocks": "8KiB"},
 {"step": "compress", "format": "gzip"},
 {"step": "hash", "algorithms": ["sha512"], "manifest": "gz.json", "format": "json", "blocks": "4KiB", "name": "{path}.gz"},
 {"step": "write", "to": "out/{path}.gz"},
 {"step": "decompress"},
 {"step": "hash", "manifest": "back.json", "format": "json", "blocks": "10000"}]}
END
run_bm run job.json
expect_exit 0
$python check.py in.json tree 8192 md5 >/dev/null
$python check.py gz.json out 4096 sha512 >/dev/null
$python check.py back.json tree 10000 sha256 >/dev/null

# A large file has larger blocks; where its size is not known, none.
truncate -s 300M sparse
run_bm hash --format json --blocks 4KiB sparse
expect_exit 0
expect_stdout_match '"blocks":\{"size":8192,'
head -c 300M /dev/zero | run_bm hash --format json --blocks 4KiB -
expect_exit 0
expect_stdout_no_match blocks
expect_stderr_match 'more than 65536 blocks of 4096 bytes'

# What cannot be.
run_bm hash --blocks 1MiB tree
expect_exit 2
expect_stderr_match 'blocks goes with --format json only'
run_bm hash --format json --blocks 4095 tree
expect_exit 2
sed 's/"format": "json", "blocks": "8KiB"/"blocks": "8KiB"/' job.json >bad.json
run_bm validate bad.json
expect_exit 2
expect_stderr_match '/steps/1/blocks: only lines in json format'

# ---- which bytes

flip() { # FILE OFFSET...: one bit each
	$python - "$@" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    for at in map(int, sys.argv[2:]):
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 8]))
END
}
(cd tree && "$BYTEMILL" hash -q --format json --blocks 64KiB -o ../sums.json .)
cp -a tree good
damage() { # WHAT: as the audit tells it, of the only bad file, at any number of threads
	local threads
	for threads in 1 2 8; do
		run_bm audit -q -j "$threads" sums.json tree
		expect_exit 3
		sed '1,/^$/d' "$stdout" >"told.$threads"
	done
	expect_same told.1 told.2
	expect_same told.1 told.8
	[ "$(wc -l <told.1)" = 1 ] || fail "other files"
	[[ "$(cat told.1)" == *"; $1" ]] || fail "wanted: $1; told: $(cat told.1)"
	cp -a good/. tree
}
mtime_of() { touch -r "good/$1" "tree/$1"; }
flip tree/f5000000 0
mtime_of f5000000
damage 'size and time of change are as they were; damaged: bytes 0-65535 of 5000000'
flip tree/f5000000 4999999
damage 'damaged: bytes 4980736-4999999 of 5000000'
flip tree/f5000000 65535
damage 'damaged: bytes 0-65535 of 5000000'
flip tree/f5000000 65536
damage 'damaged: bytes 65536-131071 of 5000000'
flip tree/f5000000 131071 131072
damage 'damaged: bytes 65536-196607 of 5000000'
flip tree/f5000000 0 1 65536 1000000 4999999
damage 'damaged: bytes 0-131071, 983040-1048575, 4980736-4999999 of 5000000'
flip tree/f1 0
damage 'damaged: bytes 0-0 of 1'
truncate -s 1000000 tree/f5000000
damage 'damaged: bytes 983040-4999999 of 5000000; cut off behind byte 1000000'
truncate -s 0 tree/f5000000
damage 'damaged: bytes 0-4999999 of 5000000; cut off behind byte 0'
echo more >>tree/f5000000
damage 'as it was in its first 5000000 bytes, 5 more follow'
echo more >>tree/f5000000
flip tree/f5000000 4999999
damage 'damaged: bytes 4980736-4999999 of 5000000; behind its 5000000 bytes, 5 more follow'
echo more >>tree/f0
damage 'as it was in its first 0 bytes, 5 more follow'

# Many ranges: the first 32, and how many more there are.
# shellcheck disable=SC2046
flip tree/f5000000 $(seq 0 131072 4999999)
run_bm audit sums.json tree --format json --report report.jsonl
expect_exit 3
grep '"path":"f5000000"' "$stdout" | $python -c '
import json, sys
d = json.load(sys.stdin)["damage"]
assert d["size"] == d["found"] == 5000000, d
assert d["ranges"] == [[i * 131072, i * 131072 + 65535] for i in range(32)], d
assert d["more_ranges"] == 7 and d["bytes"] == 38 * 65536 + 5000000 - 38 * 131072, d'
grep '"path":"f5000000"' "$stdout" >told
grep '"path":"f5000000"' report.jsonl >reported
expect_same told reported
run_bm audit sums.json tree
expect_stdout_match ' of 5000000 and 7 more ranges$'
