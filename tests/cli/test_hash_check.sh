#!/bin/bash
# hash --check against sha256sum -c and its kin: the same lines, the same words, the same exit codes, side by side.
. "$(dirname "$0")/lib.sh"
need_cmd sha256sum md5sum sha512sum b2sum

# both PROGRAM ALGORITHM ARG...: stdin is the file "in" where there is one. A list is read before the files in it, so with
# --warn its bad lines are told first: there the lines of stderr are compared as a set.
both() {
	local program=$1 algorithm=$2 wanted=0 in=/dev/null with=()
	shift 2
	[ ! -e in ] || in=in
	[ "$algorithm" = any ] || with=(-a "$algorithm")
	"$program" -c "$@" <"$in" >"$top/theirs" 2>"$top/theirs.err" || wanted=$?
	sed -i "s/^$program: /bytemill: /" "$top/theirs.err"
	run_bm hash -c "${with[@]}" "$@" <"$in"
	cmp -s "$stdout" "$top/theirs" || fail "stdout is not that of $program -c $*: $(diff "$top/theirs" "$stdout")"
	if [[ " $* " =~ ' --warn ' ]]; then
		sort -o "$top/theirs.err" "$top/theirs.err"
		sort -o "$stderr" "$stderr"
	fi
	cmp -s "$stderr" "$top/theirs.err" || fail "stderr is not that of $program -c $*: $(diff "$top/theirs.err" "$stderr")"
	expect_exit "$wanted"
}
# With every option, and with what they make of each other.
both_all() {
	both "$@"
	for option in --quiet --status --strict --warn --ignore-missing; do both "$@" "$option"; done
	both "$@" --strict --warn
	both "$@" --warn --quiet
	both "$@" --quiet --warn
	both "$@" --status --warn
	both "$@" --warn --status
	both "$@" --ignore-missing --status
	both "$@" --ignore-missing --quiet --strict
}

mkdir -p t/sub
printf 'one\n' >t/one
printf 'two\n' >t/two
printf 'three\n' >t/sub/three
: >t/empty
printf 'blank\n' >'t/a name'
printf 'dash\n' >t/-dash
printf 'star\n' >'t/*star'
for n in {1..60}; do printf '%s\n' "$n" >"t/sub/n$n"; done
find t -type f | LC_ALL=C sort -r >names
list() { tr '\n' '\0' <names | xargs -0 "$@"; }

# Good lists, of several programs; the order of the list is kept.
list sha256sum >good
list sha256sum --tag >good.bsd
list sha256sum -b >good.binary
for list in good good.bsd good.binary; do
	both_all sha256sum sha256 "$list"
	both_all sha256sum any "$list"
done
for program in md5sum sha1sum sha224sum sha384sum sha512sum; do
	list "$program" >"l.$program"
	list "$program" --tag >"l.$program.bsd"
	both "$program" "${program%sum}" "l.$program"
	both "$program" "${program%sum}" "l.$program.bsd"
	both "$program" any "l.$program.bsd" --quiet
done
list b2sum >l.b2
list b2sum --tag >l.b2.bsd
both b2sum blake2b l.b2
both b2sum blake2b l.b2.bsd

# Bad, missing, unreadable; names that come twice; names outside.
cp good mixed
{
	printf '%064d  t/one\n' 0
	printf '%064d  t/gone\n' 0
	printf '%064d  t/sub\n' 0
	printf '%064d  t/one/below\n' 0
	printf '%064d  /nonexistent/x\n' 0
	sha256sum t/one t/one "$PWD/t/two"
	printf '%064d  ../%s/t/one\n' 0 "${PWD##*/}"
} >>mixed
both_all sha256sum sha256 mixed
both_all sha256sum any mixed
sed -n 62,999p mixed >bad
both_all sha256sum sha256 bad
printf '%064d  t/gone\n%064d  t/gone2\n' 0 0 >only-missing
both_all sha256sum sha256 only-missing
if [ "$(id -u)" -ne 0 ]; then
	printf 'x' >t/secret
	sha256sum t/secret >secret
	chmod 0 t/secret
	both_all sha256sum sha256 secret
fi

# Lines that are none.
first=$(sed -n 1p good)
printf '%s\n' 'nonsense' '# a comment' '' "$first" "${first%% *}" "${first%% *}  " "${first#?}" "g${first#?}" "  $first" \
	"${first%%  *} t/one" 'MD5 (t/one) = 5bbf5a52328e7439ae6e719dfe712200' 'SHA256 (t/one = 12' 'SHA256 (t/one) = 12' \
	'd41d8cd98f00b204e9800998ecf8427e  t/empty' "\\${first%% *}  t/o\\ne" "\\${first%% *}  t/o\\xne" "$first" >malformed
# A tag with something in it that is no letter; blanks where coreutils takes any number, and where it does not.
printf '%s (t/one) = %s\n' 'S\HA256' "${first%% *}" $'\x01SHA256' "${first%% *}" '\S\HA256' "${first%% *}" -SHA256 "${first%% *}" >>malformed
one=$(sha256sum t/one | cut -c-64)
printf 'SHA256 (t/one)%s%s\n' '  = ' "$one" $'\t=' "$one" $' \t =\t \t' "$one" '= =' "$one" ' == ' "$one" >>malformed
both_all sha256sum sha256 malformed
printf 'nonsense\nmore of it\n' >nonsense
both_all sha256sum sha256 nonsense
: >none
both_all sha256sum sha256 none
printf '# only a comment\n\n' >comment
both_all sha256sum sha256 comment
list md5sum >md5
both_all sha256sum sha256 md5
head -c 4096 /dev/urandom | tr -d '\0' >noise
both sha256sum sha256 noise

# Line ends: CR LF, none at the end, a list of one blank (BSD md5 -r).
sed 's/$/\r/' good >crlf
both_all sha256sum sha256 crlf
sed 's/$/\r/' malformed >crlf.malformed
both_all sha256sum sha256 crlf.malformed
head -c -1 good >cut
both_all sha256sum sha256 cut
sed 's/  / /' l.md5sum >reversed
both md5sum md5 reversed
# The first line decides, also where it is of no use: the blanks in front of the names are theirs then.
printf '%s\n' "\\${first%% *} \\tt/one" "$first" "${first%% *}   t/one" "${first%% *} t/one" >reversed.bad
both_all sha256sum sha256 reversed.bad
printf '%s\n' "${first%% *} " "$first" >reversed.empty
both_all sha256sum sha256 reversed.empty

# Hostile names, escaped and not.
mkdir h
hostile=($'h/line\nbreak' $'h/return\rname' 'h/back\slash' $'h/both\n\\' $'h/esc\e[31mred' $'h/\xff\xfe' 'h/per%cent%0A' 'h/a,b'
	"h/quote'" 'h/"double"' 'h/dollar$x' 'h/semi;colon' $'h/tab\t' 'h/ümläut' 'h/#hash' 'h/~' 'h/{' 'h/a=b' 'h/c:d' 'h/[x]' 'h/?'
	"h/both'\"" "h/it's \$5" $'h/it\'s\nx' $'h/\n\'' "h/{it's" 'h/ends ' '#h' '~h' '{' '}' 'a]b' $'\x7f' $'h/\x01\x02' $'h/a\nb\nc' $'h/\n' 'h/!')
for name in "${hostile[@]}"; do printf '%s' "$name" >"$name"; done
sha256sum -- "${hostile[@]}" >escaped
sha256sum --tag -- "${hostile[@]}" >escaped.bsd
both_all sha256sum sha256 escaped
both_all sha256sum sha256 escaped.bsd
sed 's/[0-9a-f]\{63\}  h/000000000000000000000000000000000000000000000000000000000000000  h/' escaped >escaped.bad
grep -q ' h' escaped.bad
both_all sha256sum sha256 escaped.bad
rm -f -- "${hostile[@]}" # their names quoted, now that they are not there
both_all sha256sum sha256 escaped
for name in escaped escaped.bsd; do LC_ALL=C.UTF-8 both sha256sum sha256 "$name"; done

# Standard input, "-" within a list, several lists, lists that are not there.
cp good in
both_all sha256sum sha256
both_all sha256sum sha256 -
both sha256sum sha256 good - bad
both_all sha256sum sha256 good nowhere mixed nonsense
both sha256sum sha256 'no where' t t/sub "it's"
printf '%s  -\n' "$(sha256sum t/one | cut -c-64)" >stdin-listed
cp t/one in
both sha256sum sha256 stdin-listed
cp stdin-listed in
both_all sha256sum sha256 -
rm in
printf '%064d  /dev/null\n%s  /dev/null\n' 0 "$(sha256sum </dev/null | cut -c-64)" >device
both sha256sum sha256 device

# At any number of threads.
for j in 1 2 8; do
	run_bm hash -c -j "$j" mixed
	mv "$stdout" "out.$j"
	expect_exit 1
done
expect_same out.1 out.2
expect_same out.1 out.8

# More than sha256sum does: NUL-ended lists, lists of several algorithms, hashdeep's and JSON's, all found out.
sha256sum -z t/one t/two t/sub/three >nul
run_bm hash -c -z nul
expect_exit 0
printf '%s: OK\n' t/one t/two t/sub/three | expect_stdout
run_bm hash -c nul
expect_exit 0
printf '%s: OK\n' t/one t/two t/sub/three | expect_stdout
run_bm hash -c -z - <nul
expect_exit 0
printf '%s: OK\n' t/one t/two t/sub/three | expect_stdout
{
	sha256sum --tag t/one
	md5sum t/two
	b2sum --tag t/sub/three
} >several
run_bm hash -c several
expect_exit 0
printf '%s: OK\n' t/one t/two t/sub/three | expect_stdout
run_bm hash --format json -o list.json t/one t/two
expect_exit 0
run_bm hash -c list.json
expect_exit 0
printf '%s: OK\n' t/one t/two | expect_stdout
printf 'x' >>t/two
run_bm hash -c list.json several
expect_exit 1
printf '%s\n' 't/one: OK' 't/two: FAILED' 't/one: OK' 't/two: FAILED' 't/sub/three: OK' | expect_stdout

# In one place with the results, what is said of all of them comes behind them.
"$BYTEMILL" hash -c list.json >both 2>&1 || true
expect_same both <(printf '%s\n' 't/one: OK' 't/two: FAILED' 'bytemill: WARNING: 1 computed checksum did NOT match')
"$BYTEMILL" audit --format gnu --under t --ignore-new list.json . >both 2>&1 || true
expect_same both <(printf '%s\n' 't/one: OK' 't/two: FAILED' 'bytemill: warning: 1 computed checksum did NOT match')

# What does not go together.
for args in '-c --tag good' '-c -o x good' '-c -a sha256,md5 good' '-c -a nothing good' '--strict good' '--ignore-missing good' \
	'--warn good' '--status good' '-c - -'; do
	# shellcheck disable=SC2086
	run_bm hash $args
	expect_exit 2
	expect_no_stdout
done
