#!/bin/bash
# bytemill diff: each verdict made on purpose, between manifests of every kind, with names that others stumble over; the
# same as an audit of the tree; nothing is read but the manifests.
. "$(dirname "$0")/lib.sh"
need_cmd jq sha256sum md5sum

listed() { sed -n '/^$/,$p' "$stdout" | tail -n +2; }
expect_listed() { expect_bytes 'the list' <(listed) /dev/stdin; }
expect_count() { # VERDICT N
	[ "$(sed '/^$/,$d' "$stdout" | sed -n "s/^$1  *//p")" = "$2" ] || fail "count of $1"
}
sums() { # DIR: of all that is in it, as sha256sum has it
	(cd "$1" && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}

# ---- the same

mkdir -p a/d
for i in 1 2 3 4 5 6 7 8 9; do echo "content $i" >"a/f$i"; done
echo deep >a/d/deep
: >a/empty
sums a >A
run_bm diff A A
expect_exit 0
expect_no_stderr
expect_stdout <<'END'
ok                                11
END
run_bm diff -q A A
expect_exit 0
expect_no_stdout
expect_no_stderr
{ sed -n "4,\$p" A; tac A | tail -n 3; } >shuffled
sed 's,  ,  ./,' A >dots
sed 's/$/\r/' A >crlf
(cd a && "$BYTEMILL" hash -q --format json .) >A.json
(cd a && find . -type f -printf '%P\0' | xargs -0 sha256sum --tag) >A.bsd
(cd a && find . -type f -printf '%P\0' | xargs -0 sha256sum -z) >A.nul
{
	printf '%%%%%%%% HASHDEEP-1.0\n%%%%%%%% size,md5,sha256,filename\n'
	(cd a && for f in d/deep empty f?; do
		printf '%s,%s,%s,%s\n' "$(stat -c %s "$f")" "$(md5sum <"$f" | cut -c-32)" "$(sha256sum <"$f" | cut -c-64)" "$f"
	done)
} >A.deep
sed 's,  , ,' A >manifest-sha256.txt
for one in A shuffled dots crlf A.json A.bsd A.nul A.deep manifest-sha256.txt; do
	for other in A shuffled A.json A.bsd A.nul A.deep manifest-sha256.txt; do
		run_bm diff "$one" "$other"
		expect_exit 0
		expect_no_stderr
		expect_count ok 11
	done
done
run_bm diff - A <shuffled
expect_exit 0
run_bm diff A - <A.json
expect_exit 0
: >none
run_bm diff none none
expect_exit 0
run_bm diff none A
expect_exit 3
expect_count new 11
run_bm diff A none
expect_exit 3
expect_count missing 11

# No file is read: there is none.
mv a elsewhere
run_bm diff A shuffled
expect_exit 0
mv elsewhere a

# ---- each verdict, and all of them at once as an audit has them

cp -a a b
echo Changed >b/f1
rm b/f2
mv b/f3 b/d/f3
cp b/f4 b/copy
echo new >b/new
: >b/empty2
sums b >B
run_bm diff A B
expect_exit 3
expect_no_stderr
expect_stdout <<'END'
ok                                 8
changed                            1
missing                            1
moved                              1
duplicate                          1
new                                2

changed     f1: sha256 was 59e709625682d8e5..., is now c26f241ab13a3f83...
missing     f2
moved       d/f3 (was f3)
duplicate   copy (of f4)
new         empty2
new         new
END
cp "$stdout" want
run_bm diff A.json B
expect_exit 3
expect_stdout want
run_bm audit A b
expect_exit 3
sed 's/: sha256.*//' want >want.names
sed 's/: sha256.*//' "$stdout" >found.names
expect_same found.names want.names
for format in gnu rclone; do
	run_bm audit A b --format "$format"
	mv "$stdout" want.format
	grep -v '^WARN' "$stderr" >want.err || true
	run_bm diff A B --format "$format"
	expect_exit 3
	expect_stdout want.format
	expect_stderr want.err
done
run_bm diff A B --format json
expect_exit 3
jq -r 'select(.type == "file") | [.verdict, .path, .other // "-"] | join(" ")' "$stdout" >found
expect_bytes 'verdicts' found /dev/stdin <<'END'
ok d/deep -
ok empty -
changed f1 -
ok f4 -
ok f5 -
ok f6 -
ok f7 -
ok f8 -
ok f9 -
duplicate copy f4
moved d/f3 f3
new empty2 -
missing f2 -
new new -
END
[ "$(jq -c 'select(.type == "summary") | [.verdicts.ok, .verdicts.changed, .verdicts.moved, .bad_lines]' "$stdout")" = '[8,1,1,0]' ] || fail "summary"
[ "$(jq -r 'select(.path == "f2") | .digests[0].hex' "$stdout")" = "$(sed -n 's/  f2$//p' A)" ] || fail "the digest of a missing file"
[ "$(jq -r 'select(.path == "f1") | .digests[0].hex' "$stdout")" = "$(sed -n 's/  f1$//p' B)" ] || fail "the digest of a changed file"

# The other way round.
run_bm diff B A
expect_exit 3
expect_listed <<'END'
changed     f1: sha256 was c26f241ab13a3f83..., is now 59e709625682d8e5...
missing     copy
missing     empty2
missing     new
moved       f3 (was d/f3)
new         f2
END

# --only and --under
run_bm diff A B --only new,moved
expect_exit 3
expect_listed <<'END'
moved       d/f3 (was f3)
new         empty2
new         new
END
run_bm diff A B --only rotted
expect_exit 0
run_bm diff A B --under d
expect_exit 3
expect_listed <<'END'
new         d/f3
END
run_bm diff A B --under ./d/ --under f4
expect_exit 3
expect_count ok 2
run_bm diff A B --under f4 --under f # f is no file and no directory there, which may be a slip
expect_exit 1
expect_count ok 1
expect_stderr_match 'error: --under f: nothing was compared: neither manifest has'

# rotted: other bytes, though size and time are the same; not where either is missing.
for size in '"size":9,' '"size":10,' ''; do
	for time in '"mtime":"1700000000123456789",' '"mtime":"1700000000000000000",' '"mtime":"1700000001123456789",' ''; do
		printf '{"path":"x",%s%s"md5":"00000000000000000000000000000001"}\n' "$size" "$time" >now.json
		printf '{"path":"x","size":9,"mtime":"1700000000123456789","md5":"00000000000000000000000000000002"}\n' >before.json
		run_bm diff before.json now.json
		expect_exit 3
		case $size$time in
		'"size":9,"mtime":"1700000000'*) expect_listed <<<'rotted      x: md5 was 0000000000000000..., is now 0000000000000000...; size and time of change are as they were' ;;
		*) expect_listed <<<'changed     x: md5 was 0000000000000000..., is now 0000000000000000...' ;;
		esac
	done
done

# Nothing in common to compare; a size is enough for changed.
printf '{"path":"x","size":3,"md5":"00000000000000000000000000000001"}\n' >before.json
printf '{"path":"x","size":3,"sha1":"0000000000000000000000000000000000000001"}\n' >now.json
run_bm diff before.json now.json
expect_exit 1
expect_stdout <<'END'
ok                                 0
not-checked                        1

not-checked  x: no algorithm in common: md5 before, sha1 now
END
sed -i 's/"size":3/"size":4/' now.json
run_bm diff before.json now.json
expect_exit 3
expect_listed <<<'changed     x: had 3 bytes, has now 4'
# One in common is enough, and one that differs is, too; algorithms that are not known here can be compared.
printf 'MD5 (x) = %032d\nSHA1 (x) = %040d\nBLAKE3 (y) = %064d\n' 1 2 3 >before
printf 'SHA1 (x) = %040d\nSHA256 (x) = %064d\nBLAKE3 (y) = %064d\n' 2 9 3 >now
run_bm diff before now
expect_exit 0
expect_count ok 2
printf 'MD5 (x) = %032d\nSHA1 (x) = %040d\nBLAKE3 (y) = %064d\n' 1 3 4 >now
run_bm diff before now
expect_exit 3
expect_listed <<'END'
changed     x: sha1 was 0000000000000000..., is now 0000000000000000...
changed     y: blake3 was 0000000000000000..., is now 0000000000000000...
END
# A line that does not say what it is of is of what the other manifest says.
printf 'SHA3-256 (x) = %064d\n' 7 >before
printf '%064d  x\n' 7 >now
for pair in 'before now' 'now before'; do
	# shellcheck disable=SC2086
	run_bm diff $pair
	expect_exit 0
	expect_count ok 1
done
printf 'SHA3-256 (x) = %064d\nSHA256 (y) = %064d\n' 7 8 >before
printf '%064d  x\n%064d  y\n' 7 8 >now
run_bm diff before now # SHA-256 then
expect_exit 1
expect_count ok 1
expect_count not-checked 1

# Moved is one to one, first under a like name; a changed file's digest is nobody's copy; CRC-32 tells nothing.
printf '%064d  one/a\n%064d  two/b\n%064d  c\n' 5 5 6 >before
printf '%064d  x/b\n%064d  x/a\n%064d  x/z\n%064d  c\n%064d  e\n' 5 5 5 7 6 >now
run_bm diff before now
expect_exit 3
expect_listed <<'END'
changed     c: sha256 was 0000000000000000..., is now 0000000000000000...
moved       x/a (was one/a)
moved       x/b (was two/b)
duplicate   x/z (of x/a)
new         e (has the digest that the manifest has of c)
END
printf '{"path":"a","crc32":"00000001"}\n' >before
printf '{"path":"b","crc32":"00000001"}\n' >now
run_bm diff before now
expect_exit 3
expect_count missing 1
expect_count new 1

# ---- names

mkdir h
names=($'line\nfeed' $'carriage\rreturn' 'back\slash' $'esc\e[31mred' 'per%cent%0A' 'comma,comma,' $'not\xff\xfeutf8' ' blank'
	'-dash' '--' '*star' '{path}' '\n' '\' $'end\r' $'tab\tx' 'quote"x' "it's" ';x' $'\xe2\x90\x8a picture' "$(printf 'x%.0s' {1..255})")
for i in "${!names[@]}"; do echo "file $i" >"h/${names[i]}"; done
lists() { # DIR PREFIX: as several kinds
	(cd "$1" && find . -type f -printf '%P\0' | xargs -0 sha256sum --) >"$2.gnu"
	(cd "$1" && find . -type f -printf '%P\0' | xargs -0 sha256sum --tag --) >"$2.bsd"
	(cd "$1" && find . -type f -printf '%P\0' | xargs -0 sha256sum -z --) >"$2.nul"
	(cd "$1" && "$BYTEMILL" hash -q --format json .) >"$2.json"
}
lists h H
for one in gnu bsd nul json; do
	for other in gnu bsd nul json; do
		run_bm diff "H.$one" "H.$other"
		expect_exit 0
		expect_count ok "${#names[@]}"
	done
done
cp -a h h2
for i in "${!names[@]}"; do echo "changed $i" >"h2/${names[i]}"; done
lists h2 H2
for format in table gnu rclone json; do
	run_bm audit H.gnu h2 --format "$format" --only changed
	case $format in
	table) sed 's/: sha256.*//' "$stdout" >want ;;
	json) jq -r 'select(.type == "file") | [.verdict, .path, .path_base64] | @json' "$stdout" >want ;;
	*) cp "$stdout" want ;;
	esac
	run_bm diff H.json H2.nul --format "$format" --only changed
	expect_exit 3
	case $format in
	table) sed 's/: sha256.*//' "$stdout" >found ;;
	json) jq -r 'select(.type == "file") | [.verdict, .path, .path_base64] | @json' "$stdout" >found ;;
	*) cp "$stdout" found ;;
	esac
	[ "$(grep -c . found)" -ge "${#names[@]}" ] || fail "$format: not every name is there"
	expect_same found want
done
run_bm diff H.json H2.nul
! LC_ALL=C grep -qa $'[\x01-\x09\x0b-\x1f\x7f\x80-\x9f]' <(LC_ALL=C sed 's/\xe2\x90\x8a//g' "$stdout") || fail "a raw control character"
mkdir m
cp -a h m/h
lists m M
run_bm diff H.bsd M.json --format json
expect_exit 3
[ "$(jq -s 'map(select(.verdict == "moved" and ("h/" + .other == .path or .path_base64 != null))) | length' "$stdout")" = "${#names[@]}" ] ||
	fail "not every name has moved"
run_bm diff M.gnu M.json --under h/--
expect_exit 0
expect_count ok 1

# ---- what is wrong

printf 'nonsense\n%s\n' "$(cat A)" >bad
run_bm diff A bad
expect_exit 1
expect_stderr_match '^bytemill: warning: bad:1: '
expect_stdout_match '^bad lines +1$'
run_bm diff bad B
expect_exit 3
run_bm diff bad A --format json
[ "$(jq 'select(.type == "summary") | .bad_lines' "$stdout")" = 1 ] || fail "bad lines of the summary"
head -c -1 A >cut
run_bm diff A cut
expect_exit 0
expect_stderr_match 'cut:11: the last line has no end'
head -c 1000 /dev/urandom >noise
for args in 'A nowhere' 'nowhere A' 'A noise' 'A a' 'A' '' 'A A A' '- -' 'A A --only moving' 'A A --only unreadable' 'A A --format xml'; do
	# shellcheck disable=SC2086
	run_bm diff $args
	expect_exit 2
	expect_no_stdout
	[ -s "$stderr" ] || fail "no word of it"
done

# ---- more than memory has room for is sorted in a temporary file, and gives the same

if [ -z "${BM_SANITIZE:-}" ]; then
	awk 'BEGIN { for (i = 0; i < 700000; i++) printf "%064d  some/directory/%07d/a name that is rather long, so that memory is short %d\n", i, (i * 7919) % 700000, i }' >big
	awk 'NR % 1000 == 1 { $0 = "f" substr($0, 2) } NR % 1000 != 2' big >big2
	run_bm diff big big2
	expect_exit 3
	expect_count ok 698,600
	expect_count changed 700
	expect_count missing 700
fi

# ---- with the catalog on either side, or on both: the same verdicts as between the manifests it exports

state=$tmp/catalog-state
both() { # A B: what diff says, of the exit code too, is what it says of the two as manifests
	local one=$1 other=$2
	run_bm diff --state "$state" --format json "$(as_manifest "$one")" "$(as_manifest "$other")"
	jq -c 'del(.run, .elapsed_ms, .ended, .started) | del(.job)' "$stdout" >as-manifests
	code=$status
	run_bm diff --state "$state" --format json "$one" "$other"
	expect_exit "$code"
	jq -c 'del(.run, .elapsed_ms, .ended, .started) | del(.job)' "$stdout" | expect_bytes "diff $*" /dev/stdin as-manifests
}
as_manifest() { # what catalog:ROOT has, as a file
	case $1 in
	catalog:*) "$BYTEMILL" catalog --state "$state" --export --json "${1#catalog:}" >"export.${1##*/}"; echo "export.${1##*/}" ;;
	*) echo "$1" ;;
	esac
}
rm -rf one two
mkdir -p one/d
for i in 1 2 3 4 5 6 7 8 9; do echo "content $i" >"one/f$i"; done
: >one/empty
printf 'x' >"$(printf 'one/line\nfeed')"
cp -a one two
echo other >two/f1
touch -r one/f1 two/f1
mv two/f2 two/d/f2
cp two/f3 two/f3-copy
rm two/f4
echo new >two/new
: >two/empty2
for root in one two; do "$BYTEMILL" audit -q --state "$state" --catalog "$root"; done
for root in one two; do
	sums "$root" >"$root.sums"
	(cd "$root" && find . -type f -printf '%P\0' | xargs -0 sha256sum --tag) >"$root.bsd"
	(cd "$root" && "$BYTEMILL" hash -q -a md5,sha256 --format json .) >"$root.json"
	(cd "$root" && find . -type f -printf '%P\0' | xargs -0 md5sum) >"$root.md5"
done
for other in two.sums two.bsd two.json two.md5 catalog:two catalog:one/../two/; do both catalog:one "$other"; done
for one in one.sums one.bsd one.json one.md5; do both "$one" catalog:two; done
run_bm diff --state "$state" catalog:one catalog:one
expect_exit 0
run_bm diff --state "$state" catalog:one one.sums
expect_exit 0
# A list that begins with the directory, as given or absolute; names that do not are other files.
"$BYTEMILL" hash -q one >one.given
"$BYTEMILL" hash -q "$PWD/one" >one.absolute
for list in one.given one.absolute; do
	run_bm diff --state "$state" catalog:one $list
	expect_exit 0
	expect_count ok 11
	run_bm diff --state "$state" $list "catalog:$PWD/one"
	[ "$list" = one.given ] || expect_exit 0
done
echo "$(printf '%064d' 7)  elsewhere" >>one.given
run_bm diff --state "$state" catalog:one one.given
expect_exit 3
expect_count ok 11
expect_count new 1
run_bm diff --state "$state" catalog:one catalog:two
expect_exit 3
expect_count moved 1
expect_count duplicate 1
expect_count missing 1
expect_count new 2
expect_count changed 1
run_bm diff --state "$state" catalog:one catalog:two --under d
expect_exit 3
expect_listed <<<'new         d/f2'
# What is damaged or missing on record is as it should be.
rm one/f9
"$BYTEMILL" audit -q --state "$state" --catalog one >/dev/null || true
run_bm diff --state "$state" one.sums catalog:one
expect_exit 0
# sha512/256 and its like: a GNU line is taken for what the catalog says.
"$BYTEMILL" audit -q --state "$state.blake" --catalog two -a blake2b
(cd two && find . -type f -printf '%P\0' | xargs -0 b2sum) >two.b2
run_bm diff --state "$state.blake" two.b2 catalog:two
expect_exit 0
# A root that is not on record, no catalog, and a file of that name.
run_bm diff --state "$state" catalog:nowhere one.sums
expect_exit 2
expect_stderr_match 'nothing is on record of .*/nowhere'
run_bm diff --state "$tmp/none-here" catalog:one one.sums
expect_exit 2
expect_stderr_match 'there is no catalog yet'
[ ! -e "$tmp/none-here" ] || fail "a state directory was made"
cp one.sums catalog:one
run_bm diff --state "$state" ./catalog:one one.sums
expect_exit 0
