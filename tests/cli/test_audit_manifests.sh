#!/bin/bash
# bytemill audit and manifests as they come: of all kinds, cut, with bad lines, from Windows, with names that lead astray.
. "$(dirname "$0")/lib.sh"

mkdir -p tree/sub
echo a >tree/a
echo b >tree/b
echo c >tree/sub/c
(cd tree && sha256sum a b sub/c) >SUMS
ok() { expect_stdout_match "^ok +$1\$"; }

# ---- kinds and algorithms

for algorithm in md5 sha1 sha224 sha384 sha512 b2; do
	(cd tree && "${algorithm}sum" a b sub/c) >sums.txt
	run_bm audit sums.txt tree
	expect_exit 0
	ok 3
done
for algorithm in sha3-256 sha512-256 blake2s xxh3 xxh64 xxh128 crc32 sha256; do
	for format in gnu bsd json; do
		(cd tree && "$BYTEMILL" hash -a "$algorithm" --format "$format" .) >sums.txt
		run_bm audit sums.txt tree
		expect_exit 0
		ok 3
	done
done
# 64 digits: which algorithm is tried out, and said; told, it is not.
(cd tree && "$BYTEMILL" hash -a sha3-256 .) >sums.txt
run_bm audit sums.txt tree
expect_exit 0
expect_stderr_match 'sums.txt does not say so, but its digests are sha3-256'
run_bm audit -a sha3-256 sums.txt tree
expect_exit 0
expect_no_stderr
run_bm audit -a sha256 sums.txt tree
expect_exit 3
run_bm audit -a sha257 sums.txt tree
expect_exit 2
expect_stderr_match '"sha257" is no algorithm'
if command -v hashdeep >/dev/null; then
	(cd tree && hashdeep -c md5,sha1,sha256 -l -r .) >deep.txt
	run_bm audit deep.txt tree
	expect_exit 0
	ok 3
	cp tree/a kept
	echo xxxx >tree/a
	run_bm audit deep.txt tree
	expect_exit 3
	expect_stdout_match '^changed +a: has 5 bytes, the manifest says 2; not read'
	mv kept tree/a
fi

# A bag: the payload manifest is about data/ alone.
mkdir -p bag
cp -R tree bag/data
(cd bag && find data -type f -print0 | sort -z | xargs -0 sha256sum >manifest-sha256.txt)
printf 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n' >bag/bagit.txt
(cd bag && sha256sum bagit.txt manifest-sha256.txt >tagmanifest-sha256.txt)
for manifest in manifest tagmanifest; do
	run_bm audit bag/$manifest-sha256.txt
	expect_exit 0
done
echo d >bag/data/d
run_bm audit bag/manifest-sha256.txt
expect_exit 3
expect_stdout_match '^new +data/d$'

# From a pipe.
run_bm audit - tree <SUMS
expect_exit 0
ok 3
(cd tree && run_bm audit - <../SUMS && expect_exit 0)

# Names with a directory in front.
(sha256sum tree/a tree/b tree/sub/c) >front
run_bm audit front tree --strip tree
expect_exit 0
ok 3
run_bm audit front tree # which is what "hash tree" prints
expect_exit 0
ok 3
expect_stderr_match '^bytemill: front: its names begin with tree/, and are taken for names below that$'
cp front front2
echo d >tree/d
run_bm audit front2 tree --update new
expect_exit 0
sha256sum -c --quiet --strict front2 || fail "sha256sum -c says no"
grep -q ' tree/d$' front2 || fail "the new name"
rm tree/d
run_bm audit front
expect_exit 3 # front's directory has other files
run_bm audit front --under tree
expect_exit 0
ok 3

# ---- bad lines

{
	head -1 SUMS
	echo 'this is no entry'
	sed 1d SUMS
	printf '%s  \n' "$(head -c 64 /dev/zero | tr '\0' 0)"
} >bad
run_bm audit bad tree
expect_exit 1
ok 3
expect_stdout_match '^bad lines +2$'
expect_stderr_match '^bytemill: warning: bad:2: .*found "this is no entry"$'
expect_stderr_match '^bytemill: warning: bad:5: '
run_bm audit bad tree -q # not to be silenced
expect_exit 1
expect_stderr_match 'bad:2'
run_bm audit bad tree --strict
expect_exit 2
expect_no_stdout
expect_stderr_match '^bytemill: error: bad:2: .*\(2 bad lines\)$'
for i in $(seq 100); do echo "junk $i"; done >>bad
run_bm audit bad tree
expect_exit 1
[ "$(grep -c '^bytemill: warning: bad:' "$stderr")" = 20 ] || fail "not 20 lines"
expect_stderr_match '102 bad lines, of which the first 20 were shown'
run_bm audit bad tree -v
[ "$(grep -c '^bytemill: warning: bad:' "$stderr")" = 102 ] || fail "not all lines"
for i in 1 2 3; do echo "junk $i"; done >bad
run_bm audit bad tree
expect_exit 2
expect_no_stdout

# Cut in the middle of a line; without its last line end.
head -c $(($(wc -c <SUMS) - 40)) SUMS >cut
run_bm audit cut tree
expect_exit 3 # sub/c is new
expect_stderr_match 'cut:3: '
expect_stdout_match '^bad lines +1$'
expect_stdout_match '^new +sub/c$'
head -c -1 SUMS >cut
run_bm audit cut tree
expect_exit 0
expect_stderr_match 'cut:3: the last line has no end: the manifest may have been cut short'

# Empty, binary, a directory, not there.
: >empty
run_bm audit empty tree
expect_exit 3
expect_stdout_match '^new +3$'
head -c 100000 /dev/urandom >binary
run_bm audit binary tree
expect_exit 2
expect_no_stdout
for manifest in tree nowhere; do
	run_bm audit "$manifest" tree
	expect_exit 2
	expect_no_stdout
	expect_stderr_match "$manifest"
done

# From Windows; with a byte order mark; with comments and blank lines.
sed 's/$/\r/' SUMS >crlf
run_bm audit crlf tree
expect_exit 0
ok 3
{
	printf '\xef\xbb\xbf'
	cat SUMS
} >bom
run_bm audit bom tree
expect_exit 0
ok 3
{
	echo '# a comment'
	echo
	cat SUMS
	echo
} >comments
run_bm audit comments tree
expect_exit 0
ok 3

# Out of order, twice, with ./ and //: all the same.
{
	sed -n 3p SUMS
	sed -n 1p SUMS
	sed -n 1p SUMS | sed 's,  a,  ./a,'
	sed -n 2p SUMS | sed 's,  b,  .//./b,'
} >shuffled
run_bm audit shuffled tree
expect_exit 0
ok 3
# Twice, and not the same: one of the two has to be wrong.
{
	cat SUMS
	sed -n 2p SUMS | sed 's,  b,  a,'
} >twice
run_bm audit twice tree
expect_exit 3
expect_stdout_match '^changed +a: '

# ---- names that lead out

echo secret >secret
mkdir -p tree2
cp -R tree/. tree2
{
	cat SUMS
	sha256sum secret | sed 's,  ,  ../,'
	sha256sum "$PWD/secret"
	(cd tree && sha256sum a) | sed 's,  a,  sub/../a,'
} >unsafe
run_bm audit unsafe tree
expect_exit 1
ok 3
expect_stdout_match '^bad lines +3$'
expect_stderr_match 'unsafe:4: ../secret is refused: its "\.\." may lead out'
expect_stderr_match 'unsafe:5: .*/secret is refused: it is absolute'
run_bm audit unsafe tree --strict
expect_exit 2
run_bm audit unsafe tree --allow-unsafe
expect_exit 0
ok 6
echo public >secret
run_bm audit unsafe tree --allow-unsafe
expect_exit 3
expect_stdout_match '^changed +2$'
# Absolute names below the root are no others.
sha256sum "$PWD"/tree/a "$PWD"/tree/b "$PWD"/tree/sub/c >absolute
run_bm audit absolute tree
expect_exit 0
ok 3
ln -s tree link
run_bm audit absolute link
expect_exit 0
(cd tree && run_bm audit ../absolute . && expect_exit 0)
run_bm audit absolute tree2
expect_exit 2 # no good line
expect_no_temp .
