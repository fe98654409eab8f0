#!/bin/bash
# Manifests that the manifest layer writes, over a tree of hostile names, are good for the programs whose kind they are.
. "$(dirname "$0")/../cli/lib.sh"
here=$BM_SOURCE_DIR/tests/manifest
$python "$here/names.py" tree

# writes LIST ARG...: a manifest of LIST's files, in the file sums, with none of them refused; refused is what was left out.
writes() {
	local list=$1
	shift
	(cd tree && "$WRITE_MANIFEST" "$@" <"../$list.list") >sums 2>refused || fail "write_manifest $*: $(cat refused)"
	[ ! -s refused ] || [ "${allow_refused:-}" = 1 ] || fail "refused: $(head -n 3 refused)"
}
good_for() {
	(cd tree && "$@") >found 2>&1 || fail "$*: $(grep -av 'OK$' found | head -n 5 | cat -v)"
}
have() {
	command -v "$1" >/dev/null && return
	echo "no $1 here: not tried"
	return 1
}

for algorithm in md5 sha1 sha224 sha256 sha384 sha512 blake2b; do
	program=${algorithm/blake2b/b2}sum
	for kind in gnu bsd; do
		writes all $kind $algorithm
		good_for "$program" -c --strict --quiet ../sums
		[ "$(wc -l <sums)" = "$(tr -dc '\0' <all.list | wc -c)" ] || fail "$kind $algorithm: not a line a file"
		options=()
		[ $kind = gnu ] || options=(--tag)
		(cd tree && xargs -0 -a ../all.list "$program" "${options[@]}") >want
		expect_same sums want
		writes all -0 $kind $algorithm
		(cd tree && xargs -0 -a ../all.list "$program" -z "${options[@]}") >want
		expect_same sums want
	done
done
if cksum -a sha256 /dev/null >/dev/null 2>&1; then
	writes all bsd md5,sha1,sha256,blake2b
	good_for cksum -c --strict --quiet ../sums
fi
if have hashdeep; then
	writes nocr hashdeep md5,sha1,sha256
	(cd tree && xargs -0 -a ../nocr.list hashdeep -a -vv -l -k ../sums) >found 2>&1 || fail "hashdeep -a: $(tail -n 20 found)"
	grep -qx 'hashdeep: Audit passed' found || fail "hashdeep: $(cat found)"
	allow_refused=1 writes all hashdeep md5
	[ "$(grep -ac '^refused' refused)" = "$(($(tr -dc '\0' <all.list | wc -c) - $(tr -dc '\0' <nocr.list | wc -c)))" ] ||
		fail "other names are refused: $(cat -v refused)"
fi
if have rhash; then
	writes sfv sfv crc32
	good_for rhash -c ../sums
	writes sfv bsd sha256
	good_for rhash -c ../sums
fi
if have xxhsum; then
	for algorithm in xxh64 xxh128 xxh3; do
		writes nolf xxhsum $algorithm
		good_for xxhsum -q -c --strict ../sums
	done
fi
if have rclone; then
	writes all rclone sha256
	sed 's|  \./|  |' sums >plain # rclone's names have no ./
	rclone checksum sha256 plain tree --combined combined >/dev/null 2>errors || fail "rclone checksum: $(cat errors)"
	[ "$(grep -ac '^= ' combined)" = "$(tr -dc '\0' <all.list | wc -c)" ] || fail "rclone: $(grep -av '^=' combined | cat -v)"
fi

# BagIt has no reader here that keeps to the RFC about '%': the RFC's words are few.
writes all bagit sha512
$python - sums <<'END' || fail "BagIt"
import hashlib, re, sys
names = set()
for line in open(sys.argv[1], "rb").read().split(b"\n")[:-1]:
    hex, path = re.fullmatch(rb"([0-9a-f]{128})[ \t]+([^\r]*)", line).groups()
    assert not re.search(rb"%(?!0A|0D|25)", path), path
    path = re.sub(rb"%(0A|0D|25)", lambda m: bytes([int(m[1], 16)]), path)
    assert hashlib.sha512(open(b"tree/" + path, "rb").read()).hexdigest().encode() == hex, path
    names.add(path)
assert names == set(open("all.list", "rb").read().split(b"\0")[:-1])
END
writes all json sha256,crc32
$python - sums <<'END' || fail "JSON"
import base64, hashlib, json, sys, zlib
names = set()
for line in open(sys.argv[1], "rb").read().split(b"\n")[:-1]:
    o = json.loads(line)
    path = base64.b64decode(o["path_base64"]) if "path_base64" in o else o["path"].encode()
    data = open(b"tree/" + path, "rb").read()
    assert o["size"] == len(data) and o["sha256"] == hashlib.sha256(data).hexdigest() and o["crc32"] == "%08x" % zlib.crc32(data)
    names.add(path)
assert names == set(open("all.list", "rb").read().split(b"\0")[:-1])
END
if $python -c 'import bagit' 2>/dev/null; then
	mkdir -p bag/data
	grep -zv % sfv.list >bag.list # bagit.py takes %25 for itself
	(cd tree && xargs -0 -a ../bag.list cp --parents -t ../bag/data)
	writes bag bagit sha256
	sed 's|  \./|  data/|' sums >bag/manifest-sha256.txt
	printf 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n' >bag/bagit.txt
	$python -m bagit --validate bag || fail "bagit --validate"
fi
