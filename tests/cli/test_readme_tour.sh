#!/bin/bash
# What the README shows is what happens: every command of its tour is run, in order, and must print what stands there.
# Only dates, times, rates, keys, the number of threads and the order of lines (two streams, several threads) may differ.
# Its links and those of docs/ lead somewhere.
. "$(dirname "$0")/lib.sh"

readme=$BM_SOURCE_DIR/README.md
awk '/^## /{tour = /A tour/; next} tour && /^```/{block = !block; if (block) print "@"; next} tour && block' "$readme" >tour
# A line "$ COMMAND" goes on in those that begin with four blanks or stand before the END of a here document.
awk -v shown="$tmp/shown" '
	/^@$/ {next}
	here {print; if ($0 == "END") here = 0; next}
	/^\$ / {print substr($0, 3); here = /<<.END/; more = /\\$/; next}
	more {print; more = /\\$/; next}
	{print >shown}' tour >commands
[ "$(grep -c bytemill commands)" -ge 10 ] || fail "only $(grep -c bytemill commands) commands were found in the tour"
sed -i 's|^PATH=.*|cd "$TOUR"|; s|/tmp/demo|$TOUR/demo|g' commands
mkdir -p bin tour.d
ln -s "$BYTEMILL" bin/bytemill
PATH=$tmp/bin:$PATH TOUR=$tmp/tour.d JOBS=$BM_SOURCE_DIR/jobs bash commands >got 2>&1 || fail "the tour failed: $(cat got)"
for file in shown got; do
	sed -E -e 's/20[0-9]{2}-[0-9]{2}-[0-9]{2}/DATE/g' -e 's/age1[a-z0-9]{58}/AGE/g' \
		-e 's/; [0-9.]+ m?s(, [0-9.]+ [KMGT]?i?B\/s)?$/; TIME/' -e 's/[0-9]+ threads? and/N threads and/' -e 's/codec states .*/codec states/' \
		-e 's|engine libdeflate \(.*\)|engine X|; s#engine (zlib|rows).*#engine X#' $file | sort >$file.same
done
diff shown.same got.same >differ || fail "the README shows other lines (<) than there are (>): $(cat differ)"

for page in "$readme" "$BM_SOURCE_DIR"/docs/*.md; do
	{ grep -oE '\]\([^):#]+\)' "$page" || true; } | tr -d '()' | while read -r link; do
		[ -e "$(dirname "$page")/${link#]}" ] || fail "${page##*/}: ${link#]} is not there"
	done
done
