#!/bin/bash
# bytemill bag: BagIt bags are made in place and elsewhere, and validated. Checked by sha256sum and sha512sum, and by
# bagit-python where python has it (no Debian package does: PYTHONPATH may name its place).
. "$(dirname "$0")/lib.sh"
need_cmd sha256sum sha512sum

has_bagit=false
if "$python" -c 'import bagit' 2>/dev/null; then has_bagit=true; fi

# As bagit-python: the whole bag, its tag files too.
foreign_says() { # valid|bad DIR
	$has_bagit || return 0
	if "$python" -c 'import bagit, sys; bagit.Bag(sys.argv[1]).validate()' "$2" > foreign 2>&1; then
		[ "$1" = valid ] || fail "bagit-python: $2 is valid"
	else
		[ "$1" = bad ] || fail "bagit-python: $2 is not valid: $(cat foreign)"
	fi
}
says() { # EXIT DIR LINE...: what --validate says of it, and no more
	run_bm bag --validate "$2"
	expect_exit "$1"
	local bag=$2
	shift 2
	(for line in "$@"; do printf '%s\n' "$line"; done) | sort > want
	grep -v "^$bag: " "$stdout" | sort > got || true
	diff -u want got > difference || fail "$bag: $(cat difference)"
}
fill() { # DIR
	mkdir -p "$1/d/e" "$1/data"
	echo one > "$1/one"
	echo two > "$1/d/two"
	: > "$1/d/e/empty"
	echo hidden > "$1/.hidden"
	echo inner > "$1/data/inner"
	echo blank > "$1/ two  blanks"
	echo star > "$1/*star"
	printf 'ä' > "$1/ä&<b>"
}
odd() { # DIR: names with what is percent-encoded, or what bagit-python cannot read
	echo end > "$1/blank at the end "
	printf 'b' > "$1"/$'\xff\xfe'
	echo lf > "$1"/$'line\nfeed'
	echo cr > "$1"/$'carriage\rreturn'
	echo p > "$1/100%"
	echo p > "$1/%0A"
	echo p > "$1/%25"
}

# ---- elsewhere ----
fill src
cp -a src before
run_bm bag src --to 'out{x}/bag'
expect_exit 2
run_bm bag src --to 'out{x}' -a sha256,sha512 --info 'Source-Organization=An archive: "A"' --info Bag-Count='1 of 1'
expect_exit 0
diff -r before src || fail "the source was changed"
diff -r before 'out{x}/data' || fail "the payload is another"
(cd 'out{x}' && sha256sum --quiet -c manifest-sha256.txt tagmanifest-sha256.txt &&
	sha512sum --quiet -c manifest-sha512.txt tagmanifest-sha512.txt) || fail "foreign programs do not find it so"
[ "$(wc -l < 'out{x}/manifest-sha256.txt')" = 8 ] || fail "not every file is in the manifest"
printf 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n' | cmp - 'out{x}/bagit.txt' || fail "bagit.txt"
bytes=$(find src -type f -printf '%s\n' | awk '{n += $1} END {print n}')
grep -qx "Payload-Oxum: $bytes.8" 'out{x}/bag-info.txt' || fail "Payload-Oxum: $(cat 'out{x}/bag-info.txt')"
grep -qx 'Source-Organization: An archive: "A"' 'out{x}/bag-info.txt' || fail "--info"
grep -qxE 'Bagging-Date: [0-9]{4}-[0-9]{2}-[0-9]{2}' 'out{x}/bag-info.txt' || fail "no date"
expect_no_temp 'out{x}'
says 0 'out{x}'
foreign_says valid 'out{x}'
run_bm bag src --to 'out{x}'
expect_exit 2
expect_stderr_match 'not empty'

# ---- in place, and names of all kinds ----
cp -a src place
odd place
cp -a place place.before
run_bm bag place -a sha256
expect_exit 0
diff -r place.before place/data || fail "the payload is another"
[ ! -e place/.bytemill.bag ] || fail "the stage is left"
says 0 place
grep -q 'data/line%0Afeed$' place/manifest-sha256.txt || fail "LF"
grep -q 'data/carriage%0Dreturn$' place/manifest-sha256.txt || fail "CR"
grep -q 'data/100%25$' place/manifest-sha256.txt || fail "%"
run_bm bag place
expect_exit 2
expect_stderr_match 'a bag already'
diff -r place.before place/data || fail "a bag was made a bag again"

# ---- in place, stopped: at each state, as bag_place.h has them, a second run comes to the same end ----
finished() { # DIR
	run_bm bag "$1" -a sha256
	expect_exit 0
	diff -r before "$1/data" || fail "$1: the payload is another"
	says 0 "$1"
	[ ! -e "$1/.bytemill.bag" ] || fail "$1: the stage is left"
}
cp -a src s1
mkdir -p s1/.bytemill.bag/data
echo 'half a line' > s1/.bytemill.bag/manifest-sha256.txt
finished s1
for state in 2 3 4; do
	cp -a src "s$state"
	"$BYTEMILL" bag "s$state" -a sha256 -q
	mkdir "s$state/.bytemill.bag"
	case $state in
	2) # some of the payload is on its way
		mv "s$state"/*.txt "s$state/.bytemill.bag"
		mv "s$state/data" "s$state/.bytemill.bag/data"
		mv "s$state/.bytemill.bag/data/d" "s$state/.bytemill.bag/data/data" "s$state"
		;;
	3) mv "s$state"/*.txt "s$state/.bytemill.bag" ;;
	4) mv "s$state/bagit.txt" "s$state/manifest-sha256.txt" "s$state/.bytemill.bag" ;;
	esac
	finished "s$state"
done

# ---- killed at some instant, again and again, and it comes to the same end ----
cp -a src killed
for delay in 001 002 004 006 008 010 012 014 016 020 030; do
	timeout -s KILL "0.$delay" "$BYTEMILL" bag killed -a sha256 -q 2> /dev/null || true
	find killed -name bagit.txt -path 'killed/bagit.txt' | grep -q . && break
done
run_bm bag killed -a sha256
[ "$status" = 0 ] || expect_exit 2
diff -r before killed/data || fail "killed: the payload is another"
says 0 killed
[ ! -e killed/.bytemill.bag ] || fail "killed: the stage is left"

# ---- elsewhere, stopped: the next run goes on, at whatever state, and what is not its own stays as it is ----
for delay in 002 004 008 012 016 020 030; do
	timeout -s KILL "0.$delay" "$BYTEMILL" bag src --to there -a sha256 -q 2> /dev/null || true
	[ ! -e there/bagit.txt ] || break
done
run_bm bag src --to there -a sha256
[ "$status" = 0 ] || [ -e there/bagit.txt ] || fail "there: $(cat "$stderr")"
diff -r before there/data || fail "there: the payload is another"
says 0 there
expect_no_temp there
[ ! -e there/.bytemill.bag ] || fail "there: the mark is left"
# All that a run may have left: tag files, temporary ones, half of the payload, an older version of a file.
mkdir -p half/data/d
: > half/.bytemill.bag
echo 'half a line' > half/manifest-sha512.txt
echo 'half a line' > half/bag-info.txt
echo old > half/data/one
: > half/data/d/.bytemill-20200101T000000.000000Z-1-1.tmp
: > half/.bytemill-bag-1.tmp
run_bm bag src --to half -a sha256
expect_exit 0
expect_stderr_match 'going on where'
diff -r before half/data || fail "half: the payload is another"
says 0 half
foreign_says valid half
expect_no_temp half
[ ! -e half/.bytemill.bag ] && [ ! -e half/manifest-sha512.txt ] || fail "half: not all of the earlier run is gone"
# Killed between the last two steps.
: > half/.bytemill.bag
run_bm bag src --to half -a sha256
expect_exit 0
expect_stderr_match 'has made it'
[ ! -e half/.bytemill.bag ] || fail "half: the mark is left"
says 0 half
# Files that the bag is not to have: nothing is removed, and they are named.
rm half/bagit.txt
: > half/.bytemill.bag
echo mine > half/data/d/mine
run_bm bag src --to half -a sha256
expect_exit 2
expect_stderr_match 'half/data/d/mine'
[ "$(cat half/data/d/mine)" = mine ] || fail "a file was removed"
rm half/data/d/mine
echo mine > half/mine
run_bm bag src --to half -a sha256
expect_exit 2
expect_stderr_match 'mine is in it'
rm half/mine
exec 9>>half/.bytemill.bag
flock 9
run_bm bag src --to half -a sha256 9>&-
expect_exit 4
exec 9>&-
run_bm bag src --to half -a sha256
expect_exit 0
says 0 half

# ---- links can be in no manifest: nothing is moved; elsewhere they are left out ----
cp -a src linked
ln -s one linked/link
run_bm bag linked
expect_exit 1
[ -e linked/one ] && [ ! -e linked/.bytemill.bag ] || fail "something was moved"
run_bm bag linked --to unlinked
expect_exit 0
says 0 unlinked
foreign_says valid unlinked

# ---- what is wrong with a bag ----
"$BYTEMILL" bag src --to good -a sha256,sha512 -q
spoil() { rm -rf bad; cp -a good bad; }
spoil
echo 'on3' > bad/data/one
says 3 bad "$("$BYTEMILL" bag --validate bad | grep '^data/one: sha')"
grep -q '^data/one: sha' want || fail "the changed file is not named"
expect_stdout_match '^bad: not valid$'
foreign_says bad bad
spoil
rm bad/data/d/two
says 3 bad "Payload-Oxum: there are $((bytes - 4)) bytes in 7 files, wanted are $bytes in 8"
expect_stdout_match '^bad: not complete'
foreign_says bad bad
sed -i '/Payload-Oxum/d' bad/bag-info.txt
run_bm bag --validate bad
expect_exit 3
expect_stdout_match '^data/d/two: missing$'
expect_stdout_match '^bag-info.txt: sha'
spoil
sed -i '/Payload-Oxum/d' bad/bag-info.txt
rm bad/tagmanifest-*
echo more > bad/data/more
says 3 bad 'data/more: in no manifest'
foreign_says bad bad
spoil
rm bad/tagmanifest-*
sed -i '/two$/d' bad/manifest-sha512.txt
says 3 bad 'data/d/two: not in every payload manifest'
sed -i 's/1\.0/0.97/' bad/bagit.txt
says 0 bad
echo free > bad/notes.txt
says 0 bad
echo 'http://example.org/x - data/to%25%0Acome' > bad/fetch.txt
says 3 bad 'data/to%\ncome: yet to be fetched'
expect_stdout_match '^bad: not complete'
spoil
rm bad/tagmanifest-* bad/manifest-*
run_bm bag --validate bad
expect_exit 3
expect_stdout_match 'no payload manifest'
spoil
rm bad/tagmanifest-*
echo "$(printf '%064d' 0)  ../outside" >> bad/manifest-sha256.txt
run_bm bag --validate bad
expect_exit 3
expect_stdout_match 'manifest-sha256.txt:9: .*is no name below data/'
rm bad/bagit.txt
run_bm bag --validate bad
expect_exit 2
expect_no_stdout

# ---- bags that bagit-python made ----
if $has_bagit; then
	cp -a src theirs
	echo lf > theirs/$'line\nfeed'
	"$python" -c 'import bagit; bagit.make_bag("theirs", {"Contact-Name": "Ä"}, checksums=["md5", "sha512"])' > foreign 2>&1 ||
		fail "bagit-python: $(cat foreign)"
	says 0 theirs
	cp -a src ours
	echo lf > ours/$'line\nfeed'
	"$BYTEMILL" bag ours -q -a sha256,sha512
	foreign_says valid ours
fi

# ---- no bag of what could not be read whole; usage ----
run_bm bag no-such-directory --to nothing
expect_exit 2
for args in '' 'a b' '--validate --to x src' '--info x src' '--info a:b=c src' '--info Payload-Oxum=1.1 src' '-a no src'; do
	# shellcheck disable=SC2086
	run_bm bag $args
	expect_exit 2
done
diff -r before src || fail "the source was changed"
if [ "$(id -u)" != 0 ]; then
	cp -a src unread
	chmod 0 unread/one
	run_bm bag unread
	expect_exit 1
	[ ! -e unread/.bytemill.bag ] && [ ! -e unread/bagit.txt ] && [ -e unread/d/two ] || fail "something has moved"
fi

# ---- tag files that are none: a pipe is not waited for, a device without an end not read

mkdir strange
echo one >strange/one
run_bm bag -q -a sha256 strange
expect_exit 0
for name in bagit.txt bag-info.txt fetch.txt manifest-md5.txt; do
	for kind in fifo zero loop directory; do
		rm -rf bad
		cp -R strange bad
		rm -f bad/tagmanifest-sha256.txt "bad/$name"
		case $kind in
		fifo) mkfifo "bad/$name" ;;
		zero) ln -s /dev/zero "bad/$name" ;;
		loop) ln -s "$name" "bad/$name" ;;
		directory) mkdir "bad/$name" ;;
		esac
		status=0
		timeout 60 "$BYTEMILL" bag --validate bad >out 2>&1 || status=$?
		[ "$status" = "$([ "$name" = bagit.txt ] && echo 2 || echo 3)" ] || fail "$name, $kind: exit code $status"
		case $kind in
		loop) grep -q "$name.*be read: Too many levels" out || fail "$name, $kind: $(cat out)" ;;
		*) grep -q "$name.* is not a regular file" out || fail "$name, $kind: $(cat out)" ;;
		esac
	done
done
