#!/bin/bash
# What cmake --install puts down can be used: the program runs, a C program finds header and library by pkg-config, and
# the library exports the public API and nothing else.
. "$(dirname "$0")/lib.sh"

need_cmd cmake pkg-config nm
prefix=$tmp/usr
cmake --install "$BM_BUILD_DIR" --prefix "$prefix" >install.log || fail "$(cat install.log)"

version=$("$prefix/bin/bytemill" --version)
[[ $version == "bytemill $BM_VERSION"* ]] || fail "installed program says: $version"
for file in include/bytemill/bytemill.h include/bytemill/error.h share/man/man1/bytemill.1 \
	share/bytemill/jobs/job.schema.json; do
	[ -s "$prefix/$file" ] || fail "not installed: $file"
done

pc=$(find "$prefix" -name bytemill.pc -printf '%h')
[ -n "$pc" ] || fail "not installed: bytemill.pc"
export PKG_CONFIG_PATH=$pc
[ "$(pkg-config --modversion bytemill)" = "$BM_VERSION" ] || fail "bytemill.pc has another version"
libdir=$(pkg-config --variable=libdir bytemill)

cat >use.c <<'END'
#include <bytemill/bytemill.h>
#include <bytemill/error.h>
#include <stdio.h>
int main(void)
{
	return puts(bm_status_text(BM_ERR_NOMEM)) < 0;
}
END
read -ra flags <<<"$(pkg-config --cflags --libs bytemill)"
"${BM_CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror ${BM_SANITIZE:+"-fsanitize=$BM_SANITIZE"} use.c -o use "${flags[@]}" \
	"-Wl,-rpath,$libdir"
[ "$(./use)" = "out of memory" ] || fail "the C program says: $(./use)"

# Each header stands on its own, in C++ too.
for file in "$prefix"/include/bytemill/*.h; do
	echo "#include <bytemill/${file##*/}>" >one.c
	"${BM_CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only "-I$prefix/include" one.c ||
		fail "${file##*/} wants another one before it"
	if command -v c++ >/dev/null; then
		c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only "-I$prefix/include" -x c++ one.c ||
			fail "${file##*/} is not good for C++"
	fi
done

nm -D --defined-only --format=posix "$libdir/libbytemill.so" | awk '$2 ~ /[TDBRVW]/ { print $1 }' >exported
if grep -v '^bm_' exported >foreign; then fail "exported, but not ours: $(tr '\n' ' ' <foreign)"; fi
# Each BM_API function of the headers is there, and each that is there is in the headers.
cat "$prefix"/include/bytemill/*.h | sed -n 's/^BM_API .*[ *]\(bm_[a-z0-9_]*\)(.*/\1/p' | sort -u >declared
sort -u exported | diff declared - >difference || fail "declared (<) and exported (>) differ: $(cat difference)"
