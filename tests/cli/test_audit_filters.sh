#!/bin/bash
# bytemill audit: parts of a tree, some verdicts only, and what is passed over.
. "$(dirname "$0")/lib.sh"

mkdir -p tree/a/b tree/ab 'tree/st*r' tree/.hid
for f in a/1 a/2 a/b/3 ab/4 'st*r/5' str.6 .hid/7 .8 9.tmp; do echo "content $f" >"tree/$f"; done
(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >SUMS
ok() { expect_stdout_match "^ok +$1\$"; }

# --under: of the tree and of the manifest, and nothing beside it.
echo changed >tree/a/1
rm tree/ab/4
echo new >tree/ab/new
run_bm audit SUMS tree --under a
expect_exit 3
expect_stdout <<END
ok                                 2
changed                            1

changed     a/1: sha256 is $(sha256sum <tree/a/1 | head -c 16)..., the manifest says $(grep ' a/1$' SUMS | head -c 16)...
END
run_bm audit SUMS tree --under a/b --under ./a/2/
expect_exit 0
ok 2
run_bm audit SUMS tree --under a/1
expect_exit 3
ok 0
run_bm audit SUMS tree --under ab
expect_exit 3
ok 0
expect_stdout_match '^missing +1$'
expect_stdout_match '^new +1$'
run_bm audit SUMS tree --under 'st*r' # no pattern
expect_exit 0
ok 1
run_bm audit SUMS tree --under st # the beginning of a name is none: there is nothing of it to compare
expect_exit 1
ok 0
expect_stderr_match 'error: --under st: nothing was compared: there is no file or directory of this name'
run_bm audit -q SUMS tree --under a/b --under a/bb/ # beside one that is right
expect_exit 1
expect_stderr_match 'error: --under a/bb/: nothing was compared'
expect_stderr_no_match 'under a/b:'
run_bm audit SUMS tree --under a --under typo
expect_exit 3
expect_stderr_match 'error: --under typo: nothing'
for name in /a '' a/../ab .. a//b a/./b; do
	run_bm audit SUMS tree --under "$name"
	expect_exit 2
	expect_stderr_match 'under wants a name below ROOT'
	run_bm diff SUMS SUMS --under "$name"
	expect_exit 2
done
for name in . ./ .//a ./a// a; do
	run_bm audit SUMS tree --under "$name" --only ok
	expect_exit 0
	ok '[1-9]'
	run_bm diff SUMS SUMS --under "$name"
	expect_exit 0
done
run_bm diff SUMS SUMS --under a --under st
expect_exit 1
expect_stderr_match 'error: --under st: nothing was compared: neither manifest has'
run_bm audit SUMS tree --under a --include '*'
expect_exit 2

# --include, --exclude, --no-hidden: what they leave out is neither new nor missing.
run_bm audit SUMS tree --exclude ab --exclude /a/1
expect_exit 0
ok 7
run_bm audit SUMS tree --include 'a/**' --exclude 1
expect_exit 0
ok 2
run_bm audit SUMS tree --exclude 'a*/**' --no-hidden
expect_exit 0
ok 3
rm -r tree/.hid tree/.8
run_bm audit SUMS tree --exclude 'a*/**' --no-hidden
expect_exit 0
rm tree/9.tmp
run_bm audit SUMS tree --exclude 'a*/**' --no-hidden --exclude '*.tmp'
expect_exit 0

# What leaves nothing: a name or a pattern that was asked for is a failure, what is merely passed over is none.
run_bm audit SUMS tree --include '*.jgp'
expect_exit 1
expect_stderr_match 'error: nothing was compared: no file is left that --include lets through$'
run_bm audit SUMS tree --include 'a/**' --exclude a
expect_exit 1
expect_stderr_match 'lets through \(with --exclude\)'
run_bm audit SUMS tree --include 'a/b/**' --include '*.jpg' # one that matches nothing here is in order
expect_exit 0
for args in '--exclude *' '--under a --exclude a' '--under a --exclude a/*'; do
	# shellcheck disable=SC2086
	(set -f && run_bm audit SUMS tree $args && echo "$status" >code && cp "$stderr" said)
	[ "$(cat code)" = 0 ] || fail "$args: $(cat code said)"
	grep -q '^bytemill: nothing was compared: no file is left (with --exclude)$' said || fail "$args: $(cat said)"
done
run_bm audit -q SUMS tree --exclude '*'
expect_exit 0
expect_no_stderr
mkdir empty tree/bare
ln -s a tree/link
: >NONE
run_bm audit --kind gnu NONE empty
expect_exit 0
expect_stderr_match '^bytemill: nothing was compared: no file is left$'
run_bm audit SUMS tree --under bare
expect_exit 0
run_bm audit SUMS tree --under link
expect_exit 1
expect_stderr_match 'link: .* symbolic link, and --follow'
rm tree/link
# Files that are gone and may be gone are no misspelling of those that are there; a name that is nowhere is.
run_bm audit SUMS tree --under ab --ignore-missing --ignore-new
expect_exit 0
rm -r tree/bare empty
mv tree/ab gone
run_bm audit SUMS tree --under ab --ignore-missing
expect_exit 1
mv gone tree/ab

# --ignore-new, --ignore-missing
run_bm audit SUMS tree --ignore-missing --ignore-new
expect_exit 3
expect_stdout_match '^changed +1$'
expect_stdout_no_match 'missing|new'
run_bm audit SUMS tree --ignore-missing
expect_stdout_match '^new +1$'
expect_stdout_no_match 'missing'
run_bm audit SUMS tree --ignore-new
expect_stdout_match '^missing +4$'
expect_stdout_no_match 'new'
echo 'content a/1' >tree/a/1
run_bm audit SUMS tree --ignore-missing --ignore-new
expect_exit 0
ok 5
mv tree/a/2 tree/moved
run_bm audit SUMS tree --ignore-new
expect_exit 3
expect_stdout_match '^missing +a/2$'
mv tree/moved tree/a/2

# --only: what is listed, and what counts.
echo changed >tree/a/1
run_bm audit SUMS tree --only missing,new
expect_exit 3
expect_stdout_no_match '^changed +a/1'
expect_stdout_match '^changed +1$'
[ "$(sed '1,/^$/d' "$stdout" | wc -l)" = 5 ] || fail "not five lines"
run_bm audit SUMS tree --only moved,duplicate
expect_exit 0
run_bm audit SUMS tree --only ok --format gnu
expect_exit 0
[ "$(grep -c ': OK$' "$stdout")" = 4 ] || fail "not four"
expect_stdout_no_match FAILED
run_bm audit SUMS nowhere --only changed # what could not be checked counts all the same
expect_exit 1
run_bm audit SUMS tree --only chnaged
expect_exit 2
expect_stderr_match 'did you mean "changed"'
run_bm audit SUMS tree --only ''
expect_exit 2

# Operands.
run_bm audit
expect_exit 2
run_bm audit SUMS tree tree
expect_exit 2
run_bm audit -n SUMS tree
expect_exit 0
expect_stdout_match 'verify +SUMS: gnu, 9 entries, sha256$'
expect_no_temp .
