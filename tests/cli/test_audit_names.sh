#!/bin/bash
# bytemill audit and names that other programs stumble over: an unchanged tree has to be ok whoever wrote the manifest, and a
# changed one has to say which file it was.
. "$(dirname "$0")/lib.sh"

mkdir -p tree
names=($'line\nfeed' $'carriage\rreturn' 'back\slash' $'esc\e[31mred' 'per%cent%0A' 'comma,comma' $'not\xff\xfeutf8' ' blank'
	'-dash' '--' '*star' '?' '[a]' '{path}' '\n' '\' $'end\r' $'tab\tx' 'quote"x' "it's" '~' '#x' ';x' '$(x)' '%%%%' '## x'
	$'\xe2\x90\x8a picture' "$(printf 'x%.0s' {1..255})")
for i in "${!names[@]}"; do
	echo "file $i" >"tree/${names[i]}"
	mkdir -p "tree/dir ${names[i]:0:200}"
	echo "deep $i" >"tree/dir ${names[i]:0:200}/${names[i]}"
done
count=$(find tree -type f -printf x | wc -c)
(cd tree && find . -type f -print0 | xargs -0 sha256sum) >gnu.sums
(cd tree && find . -type f -print0 | xargs -0 sha256sum --tag) >bsd.sums
(cd tree && find . -type f -print0 | xargs -0 sha256sum -z) >zero.sums
(cd tree && find . -type f -print0 | xargs -0 b2sum -l 160) >b2.sums
"$BYTEMILL" hash --format json tree >with-tree.json
(cd tree && "$BYTEMILL" hash --format json .) >json.sums
(cd tree && "$BYTEMILL" hash -a md5,sha256 .) >two.sums
for sums in gnu bsd zero json two; do
	run_bm audit "$sums.sums" tree
	expect_exit 0
	expect_stdout <<<"$(printf 'ok%34d' "$count")"
done
run_bm audit with-tree.json .  --under tree
expect_exit 0
run_bm audit with-tree.json tree --strip tree
expect_exit 0
run_bm audit b2.sums tree
expect_exit 0
# An algorithm that is not known here.
mkdir one
echo x >one/a
printf '%%%%%%%% HASHDEEP-1.0\n%%%%%%%% size,tiger,filename\n2,%048d,./a\n' 1 >tiger.sums
run_bm audit tiger.sums one
expect_exit 1
expect_stdout_match '^not-checked +.*: its digest is tiger, which is not known here$'

# Each changed in turn: one line, fit for a terminal, and nothing else.
for name in "${names[@]}"; do
	cp -a "tree/$name" kept
	echo changed >"tree/$name"
	run_bm audit gnu.sums tree
	expect_exit 3
	expect_stdout_match '^changed +1$'
	[ "$(sed -n '/^$/,$p' "$stdout" | wc -l)" = 2 ] || fail "more than one line"
	! LC_ALL=C grep -qa $'[\x01-\x09\x0b-\x1f\x7f]' "$stdout" || fail "a raw control character"
	run_bm audit gnu.sums tree --format gnu
	(cd tree && sha256sum -c ../gnu.sums 2>/dev/null || true) | sort >want
	sort "$stdout" | sed 's,^\\\./,\\,; s,^\./,,' >found
	sed 's,^\\\./,\\,; s,^\./,,' want | sort >want2
	sort found | expect_bytes "sha256sum -c" /dev/stdin want2
	run_bm audit json.sums tree --format json --only changed
	expect_exit 3
	[ "$(wc -l <"$stdout")" = 2 ] || fail "more than one line of JSON"
	mv kept "tree/$name"
done

# Moved, new and missing ones too.
mkdir moved
for i in "${!names[@]}"; do mv "tree/${names[i]}" "moved/${names[i]}"; done
mv moved tree/
run_bm audit json.sums tree --only moved
expect_exit 3
[ "$(sed '1,/^$/d' "$stdout" | grep -c '^moved ')" = "${#names[@]}" ] || fail "not all have moved"

# And brought up to date, in every kind that can hold them.
for sums in gnu bsd zero json two; do
	cp "$sums.sums" now
	run_bm audit now tree --update moved
	expect_exit 0
	run_bm audit now tree
	expect_exit 0
	rm now
done
cp gnu.sums now
run_bm audit now tree --update missing,new --ignore-new
expect_exit 2
run_bm audit now tree --update moved
(cd tree && sha256sum -c --quiet --strict ../now) || fail "sha256sum -c says no"
