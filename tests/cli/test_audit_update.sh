#!/bin/bash
# bytemill audit --update: what was named is brought up to date, all else stays byte for byte, and the manifest before is kept.
. "$(dirname "$0")/lib.sh"
need_cmd jq

fresh() {
	rm -rf tree
	mkdir -p tree/d
	for i in 1 2 3 4 5 6; do echo "content $i" >"tree/f$i"; done
	echo x >tree/d/x
}
disturb() {
	echo Content 1, longer >tree/f1
	rm tree/f2
	mv tree/f3 tree/d/f3
	cp tree/f4 tree/d/f4
	echo new >tree/new
}
sums() { (cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 "${1:-sha256sum}" ${2:+"$2"}); }
all=new,duplicate,changed,moved,missing

# All at once: the manifest of the tree as it is, in order where it was in order.
for program in sha256sum md5sum "sha256sum --tag" b2sum; do
	read -r name flag <<<"$program"
	fresh
	sums "$name" "$flag" >SUMS
	cp SUMS before
	disturb
	run_bm audit SUMS tree --update $all
	expect_exit 0
	expect_stderr_match '^bytemill: SUMS: 2 added, 1 changed, 1 moved, 1 removed; the one before is SUMS~$'
	expect_same before SUMS~
	sort SUMS >found
	sums "$name" "$flag" | sort >want
	expect_same want found
	run_bm audit SUMS tree
	expect_exit 0
	# Nothing to do is nothing done.
	stamp=$(stat -c %i.%y SUMS)
	run_bm audit SUMS tree --update $all
	expect_exit 0
	expect_stderr_no_match added
	[ "$(stat -c %i.%y SUMS)" = "$stamp" ] || fail "it was written again"
done

# Each by itself; the rest still counts.
fresh
sums >SUMS
disturb
cp SUMS before
for verdict in new duplicate changed moved missing; do
	cp before SUMS
	run_bm audit SUMS tree --update "$verdict"
	expect_exit 3
	[ "$(diff before SUMS | grep -c '^[<>]')" = "$(case $verdict in changed | moved) echo 2 ;; *) echo 1 ;; esac)" ] ||
		fail "$verdict: $(diff before SUMS)"
done
cp before SUMS
run_bm audit SUMS tree --update new --only new
expect_exit 0 # the others were not asked for

# Comments, blank and bad lines, order, marks, line ends: as they were.
fresh
{
	printf '\xef\xbb\xbf# made by hand\r\n'
	sums | tac | sed 's,  , *./,; s/$/\r/'
	printf '\r\njunk\r\n# the end\r\n'
} >SUMS
disturb
cp SUMS before
run_bm audit SUMS tree --update $all
expect_exit 1 # the bad line
expect_same before SUMS~
{
	printf '\xef\xbb\xbf# made by hand\r\n'
	for f in new f6 f5 f4; do [ $f = new ] || (cd tree && sha256sum -b $f); done | sed 's, \*, *./,; s/$/\r/'
	(cd tree && sha256sum d/f3 f1) | sed 's,  ,  ./,; s/$/\r/'
	(cd tree && sha256sum -b d/x) | sed 's, \*, *./,; s/$/\r/'
	printf '\r\njunk\r\n# the end\r\n'
	(cd tree && sha256sum d/f4 new) | sed 's,  ,  ./,; s/$/\r/'
} >want
expect_same want SUMS

# Without an end of the last line, one is put before what is added.
fresh
sums | tac >SUMS
truncate -s -1 SUMS
echo new >tree/zz
run_bm audit SUMS tree --update new
expect_exit 0
[ "$(wc -l <SUMS)" = 8 ] || fail "lines"
(cd tree && sha256sum -c --quiet --strict ../SUMS) || fail "sha256sum -c says no"

# NUL-ended.
fresh
sums sha256sum -z >SUMS
disturb
echo odd >$'tree/line\nfeed'
run_bm audit SUMS tree --update $all
expect_exit 0
sort -z SUMS >found
sums sha256sum -z | sort -z >want
expect_same want found

# hashdeep: head and columns.
if command -v hashdeep >/dev/null; then
	fresh
	(cd tree && hashdeep -c md5,sha256 -l -r .) >deep
	disturb
	run_bm audit deep tree --update $all
	expect_exit 0
	grep '^[0-9]' deep | sort >found
	(cd tree && hashdeep -c md5,sha256 -l -r .) | grep '^[0-9]' | sort >want
	expect_same want found
	grep -q '^%%%% HASHDEEP-1.0$' deep || fail "the head is gone"
	echo line >$'tree/line\nfeed' # hashdeep cannot say that
	run_bm audit deep tree --update new
	expect_exit 3
	expect_stderr_match 'not brought up to date: line\\nfeed: '
fi

# JSON: size and time too.
fresh
(cd tree && "$BYTEMILL" hash -a md5,sha256 --format json .) >sums.json
disturb
run_bm audit sums.json tree --update $all
expect_exit 0
(cd tree && "$BYTEMILL" hash -a md5,sha256 --format json .) | jq -cS . | sort >want
jq -cS . sums.json | sort >found
expect_same want found

# A file of several lines.
fresh
(cd tree && "$BYTEMILL" hash -a md5,sha256 .) >two
disturb
run_bm audit two tree --update $all
expect_exit 0
sort two >found
(cd tree && "$BYTEMILL" hash -a md5,sha256 .) | sort >want
expect_same want found

# Names with something in front keep it.
fresh
sha256sum tree/f1 tree/f2 "$PWD/tree/f5" | sed "s,  tree,  ./tree," >front
run_bm audit front tree --strip tree --update new
expect_stderr_match '1 entry does not begin with what is to be stripped'
grep -q '  \./tree/d/x$' front || fail "the front of a new name: $(cat front)"

# An empty manifest.
fresh
: >SHA256SUMS
run_bm audit SHA256SUMS tree --update new
expect_exit 0
sums | expect_bytes "the manifest" SHA256SUMS /dev/stdin

# In the tree itself, through a link, with its mode; it lists itself, as it was when it was empty.
fresh
sums >tree/SUMS
chmod 600 tree/SUMS
ln -s tree/SUMS link
echo new >tree/new
run_bm audit link tree --update new
expect_exit 0
expect_stderr_match '^bytemill: link:1: the manifest lists itself'
expect_stderr_match '; the one before is /.*/tree/SUMS~$'
[ -L link ] || fail "the link is gone"
[ "$(stat -c %a tree/SUMS)" = 600 ] || fail "the mode"
grep -v ' SUMS$' tree/SUMS >found
(cd tree && sha256sum -c --quiet --strict ../found && grep -q "  new$" SUMS) || fail "sha256sum -c says no"
[ -e tree/SUMS~ ] || fail "the manifest before was not kept"
run_bm audit tree/SUMS
expect_exit 0 # neither is news

# Digests of blocks: changed lines get those of the file as it is now, with blocks of the same size; the whole manifest is
# what it would be if it were made anew. A file that has grown had its last block end within what is a whole one now.
rm -rf blocks
mkdir blocks
for f in same_size grown grown_by_a_byte cut emptied whole_blocks moved untouched; do
	head -c 42500 /dev/urandom >blocks/$f
done
head -c 40960 /dev/urandom >blocks/whole_blocks
run_bm hash --format json --blocks 4096 -q blocks
expect_exit 0
cp "$stdout" blocks.json
printf 0123456789abcdef | dd of=blocks/same_size bs=1 seek=3333 conv=notrunc 2>/dev/null
head -c 5000 /dev/urandom >>blocks/grown
printf x >>blocks/grown_by_a_byte
truncate -s 9000 blocks/cut
: >blocks/emptied
head -c 1 /dev/urandom >>blocks/whole_blocks
mv blocks/moved blocks/moved_away
run_bm audit blocks.json blocks --update changed,moved
expect_exit 0
expect_stdout_match '^changed     same_size: .*; damaged: bytes 0-4095 of 42500$'
run_bm hash --format json --blocks 4096 -q blocks
sort "$stdout" >want
sort blocks.json >found
expect_same want found
run_bm audit blocks.json blocks
expect_exit 0

# Somebody else is at it; and what a killed one left goes with the next one.
fresh
sums >SHA256SUMS
cp SHA256SUMS was
echo new >tree/new
touch .bytemill-audit-update-0.tmp
exec 9<SHA256SUMS
flock 9
run_bm audit SHA256SUMS tree --update new
expect_exit 3
expect_stderr_match 'SHA256SUMS: somebody else is bringing the manifest up to date; it was left as it is'
expect_same SHA256SUMS was
exec 9<&-
run_bm audit SHA256SUMS tree --update new
expect_exit 0
sums | expect_bytes "the manifest" SHA256SUMS /dev/stdin
expect_no_temp .

# What cannot be.
run_bm audit - tree --update new <SHA256SUMS
expect_exit 2
run_bm audit SHA256SUMS tree --update ok
expect_exit 2
expect_stderr_match '"ok" is none of the verdicts here'
run_bm audit SHA256SUMS tree --update nwe
expect_exit 2
expect_stderr_match 'did you mean "new"'
run_bm audit SHA256SUMS tree --update new -n
expect_exit 0
if [ "$(id -u)" != 0 ]; then
	echo more >tree/more
	mkdir closed
	cp SHA256SUMS closed/
	chmod 555 closed
	run_bm audit closed/SHA256SUMS tree --update new
	expect_exit 3
	expect_same SHA256SUMS closed/SHA256SUMS
	chmod 755 closed
fi
expect_no_temp .
