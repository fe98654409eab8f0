#!/bin/bash
# jobs/mirror-with-digests.json: bytes, modes, times, xattrs and holes are the mirror's too, and the digests beside it are
# the mirror's.
. "$(dirname "$0")/lib.sh"
need_cmd getfattr setfattr

cp -R --preserve=mode,timestamps /usr/include/asm-generic tree
mkdir tree/sub
echo secret >tree/sub/secret
chmod 600 tree/sub/secret
echo run >tree/sub/run
chmod 755 tree/sub/run
truncate -s 8M tree/sparse
printf tail | dd of=tree/sparse bs=1 seek=5000000 conv=notrunc status=none
touch -d '2001-02-03 04:05:06.123456789' tree/sub/secret tree/sparse
attrs=true
setfattr -n user.note -v 'of mine' tree/sub/run 2>/dev/null || attrs=false

run_bm run -q "$BM_SOURCE_DIR/jobs/mirror-with-digests.json" --set TREE="$tmp/tree" --set MIRROR="$tmp/mirror"
expect_exit 0
expect_no_stderr
diff -r --no-dereference tree mirror/files >&2 || fail "the mirror differs"
(cd mirror && sha256sum -c --strict --quiet SHA256SUMS) || fail "sha256sum -c says no"
[ "$(wc -l <mirror/SHA256SUMS)" = "$(find tree -type f | wc -l)" ] || fail "lines in SHA256SUMS"
meta() { (cd "$1" && find . -type f -printf '%p %m %U %G %T@\n' | sort); }
meta tree >want
meta mirror/files >found
expect_same want found
[ "$(du -k mirror/files/sparse | cut -f1)" -le 200 ] || fail "the holes were filled: $(du -k mirror/files/sparse)"
if $attrs; then
	[ "$(getfattr --only-values -n user.note mirror/files/sub/run)" = "of mine" ] || fail "xattr"
fi
expect_no_temp .
