#!/bin/bash
# src/README.md tells new engineers which file to open: each one that it names is there, and no layer is left out.
. "$(dirname "$0")/lib.sh"

map=$BM_SOURCE_DIR/src/README.md
[ -f "$map" ] || fail "no src/README.md"
# A path, or a bare name that stands behind one of the same folder.
grep -o '`[^` ]*`' "$map" | tr -d '`' | grep -E '^[a-z_0-9/]+\.[ch1]$|^(src|tests|include)/' | sort -u >names
[ "$(wc -l <names)" -gt 40 ] || fail "only $(wc -l <names) names were found"
while read -r name; do
	case $name in
	*X.*) continue ;; # for any
	*/*) [ -e "$BM_SOURCE_DIR/$name" ] || [ -e "$BM_SOURCE_DIR/$name.c" ] || fail "$name is not there" ;;
	*) compgen -G "$BM_SOURCE_DIR/src/*/$name" >/dev/null || fail "$name is nowhere in src" ;;
	esac
done <names
for layer in "$BM_SOURCE_DIR"/src/*/; do
	layer=$(basename "$layer")
	grep -q "src/$layer/\|^$layer\b\|── $layer\b" "$map" || fail "nothing is said of src/$layer"
done
