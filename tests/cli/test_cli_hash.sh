#!/bin/bash
# bytemill hash prints what sha256sum prints, byte for byte, whatever the names.
. "$(dirname "$0")/lib.sh"

mkdir -p tree/sub/deeper tree/.hidden tree/empty tree/sub.x
echo 1 >tree/plain
echo 2 >tree/sub/file
echo 3 >tree/sub/deeper/file
echo 4 >tree/sub.x/file
echo 5 >tree/sub-file
echo 6 >tree/.hidden/file
echo 7 >tree/.dot
: >tree/zero
echo 8 >$'tree/line\nfeed'
echo 9 >$'tree/carriage\rreturn'
echo 10 >'tree/back\slash'
echo 11 >$'tree/escape\e[31m'
echo 12 >$'tree/not\xff\xfeutf8'
echo 13 >tree/-n
echo 14 >'tree/ blanks '
echo 15 >'tree/*[?'
echo 16 >'tree/{path}'
head -c 3000000 /dev/urandom >tree/large
ln -s plain tree/link
sorted() { find "$@" -type f -print0 | LC_ALL=C sort -z; }
# shellcheck disable=SC2016
sums() { xargs -0 sh -c 'for f do sha256sum -- "$f"; done' sh; }

sorted tree | sums >want
for threads in 1 2 3 8; do
	run_bm hash -j "$threads" tree
	expect_exit 0
	expect_stdout want
done
cd tree
sha256sum -c --strict --quiet <(run_bm hash . && cat "$stdout") || fail "sha256sum -c says no"
cd ..

# The root as given, with a slash or as a file; the order of the command line.
sorted tree/ | sums >want
run_bm hash tree/
expect_stdout want
run_bm hash tree/zero tree/plain ./tree/large tree/plain
expect_exit 0
expect_stdout <<<"$(sha256sum tree/zero tree/plain ./tree/large tree/plain)"
cd tree
sorted . | sums >../want
run_bm hash .
expect_stdout ../want
run_bm hash '*[?' '{path}'
expect_exit 0
expect_stdout <<<"$(sha256sum '*[?' '{path}')"
cd ..

# Standard input.
run_bm hash <tree/large
expect_exit 0
expect_stdout <<<"$(sha256sum - <tree/large)"
run_bm hash tree/plain - <tree/large
expect_exit 0
expect_stdout <<<"$(sha256sum tree/plain - <tree/large)"

# Algorithms and formats.
for algorithm in md5 sha1 sha224 sha384 sha512 blake2b; do
	program=${algorithm/blake2b/b2}sum
	run_bm hash -a "$algorithm" tree/large tree/zero
	expect_exit 0
	expect_stdout <<<"$("$program" tree/large tree/zero)"
done
run_bm hash --tag $'tree/line\nfeed' tree/plain
expect_exit 0
expect_stdout <<<"$(sha256sum --tag $'tree/line\nfeed' tree/plain)"
run_bm hash -z $'tree/line\nfeed' 'tree/back\slash'
expect_exit 0
sha256sum -z $'tree/line\nfeed' 'tree/back\slash' >want
expect_stdout want
run_bm hash -a md5,sha256 -a sha256 tree/plain tree/large
expect_exit 0
sort "$stdout" >found
{
	md5sum --tag tree/plain tree/large
	sha256sum --tag tree/plain tree/large
} | sort >want
expect_same want found
run_bm hash --format json tree/plain
expect_exit 0
expect_stdout_match "$(sha256sum <tree/plain | cut -d' ' -f1)"

# What is taken.
run_bm hash --exclude 'sub/**' --no-hidden --include '*file' tree
expect_exit 0
expect_stdout <<<"$(sha256sum tree/sub-file tree/sub.x/file)"
run_bm hash -L tree/link
expect_exit 0
expect_stdout <<<"$(sha256sum tree/link)"
sorted tree >list0
sums <list0 >want
run_bm hash --files-from list0 --from0
expect_exit 0
expect_stdout want
printf '%s\n' tree/plain tree/zero | run_bm hash --files-from -
expect_exit 0
expect_stdout <<<"$(sha256sum tree/plain tree/zero)"

# Into a file, which is no input of its own run, and whose name is taken as it is.
cd tree
sorted . | sums >../want
for name in SUMS '{path}' '{nothing' '}'; do
	run_bm hash -o "../$name" .
	expect_exit 0
	expect_no_stdout
	expect_same ../want "../$name"
done
run_bm hash -o SUMS .
expect_exit 0
expect_same ../want SUMS
run_bm hash -o SUMS .
expect_exit 0
expect_same ../want SUMS
cd ..

# A dry run prints a plan and writes nothing.
run_bm hash -n -o not-there tree
expect_exit 0
[ -s "$stdout" ] || fail "no plan"
[ ! -e not-there ] || fail "a dry run wrote"
expect_no_temp .

# What cannot be read does not stop the others.
if [ "$(id -u)" != 0 ]; then
	chmod 0 tree/plain
	run_bm hash tree/plain tree/zero
	expect_exit 1
	expect_stdout <<<"$(sha256sum tree/zero)"
	expect_stderr_match '^bytemill: error: tree/plain: .*Permission denied'
fi
