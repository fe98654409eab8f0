# tests/cli/lib.sh - sourced first by every tests/cli/test_*.sh. A script starts in an empty directory ($tmp, removed at
# its end; kept where KEEP=1 and it failed), with nothing on stdin, and ends at the first expectation that does not hold.
#   run_bm ARG...             runs bytemill; its stdin is run_bm's (a pipe into run_bm is fine)
#   expect_exit N             of the last run_bm; 128+N where a signal ended it
#   expect_stdout [FILE]      stdout is FILE's bytes, or those on stdin: expect_stdout <<'END'
#   expect_stderr [FILE]      the same for stderr
#   expect_no_stdout          nothing at all, as expect_no_stderr
#   expect_stdout_match RE    some line matches (grep -E), as expect_stderr_match
#   expect_stdout_no_match RE no line does, as expect_stderr_no_match
#   expect_same FILE FILE     the bytes are equal
#   expect_no_temp DIR...     no temp file of bytemill's is left
#   wait_until COMMAND...     until it succeeds, a minute at most (asked again every 20 ms)
#   at_end COMMAND            is run when the script ends in whatever way, last one first: umount "$tmp/disk"
#   skip WHY, need_cmd PROG..., need_root, need_unsanitized
#   fail WHY                  ends the test; shows the last run_bm
# $stdout and $stderr are the files with what the last run_bm wrote. Programs that a Debian package brings for the
# system's Python are run with $python.
set -Eeuo pipefail
shopt -s lastpipe inherit_errexit

: "${BYTEMILL:?the program to test}"
BM_SOURCE_DIR=${BM_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
export LC_ALL=C TZ=UTC
unset NO_COLOR COLUMNS
umask 022
# shellcheck disable=SC2034
python=/usr/bin/python3

top=$(mktemp -d "${TMPDIR:-/tmp}/bytemill-test.XXXXXX")
tmp=$top/work stdout=$top/stdout stderr=$top/stderr
export HOME=$top/home XDG_STATE_HOME=$top/state XDG_RUNTIME_DIR=$top/runtime BYTEMILL_STATE=$top/state/bytemill
mkdir -m 700 "$tmp" "$HOME" "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR"
touch "$stdout" "$stderr"
cd "$tmp"
exec </dev/null
last='(none)' status=

at_end_commands=()
at_end() { at_end_commands=("$1" "${at_end_commands[@]}"); }

cleanup() {
	local code=$? command
	trap - EXIT
	cd /
	for command in "${at_end_commands[@]}"; do eval "$command" || true; done
	if [ "$code" -ne 0 ] && [ "$code" -ne 77 ] && [ "${KEEP:-0}" = 1 ]; then
		echo "kept: $tmp"
	else
		chmod -R u+rwx "$top" 2>/dev/null || true
		rm -rf "$top"
	fi
	exit "$code"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'echo "${BASH_SOURCE[0]##*/}:$LINENO: failed ($?): $BASH_COMMAND" >&2' ERR

fail() {
	local depth=1
	while [ "${BASH_SOURCE[depth]##*/}" = lib.sh ]; do depth=$((depth + 1)); done
	{
		echo "${BASH_SOURCE[depth]##*/}:${BASH_LINENO[depth - 1]}: $*"
		echo "last run: bytemill $last"
		echo "exit code: $status"
		echo "---- stdout (first lines)"
		head -n 40 "$stdout" | cat -v
		echo "---- stderr (first lines)"
		head -n 40 "$stderr" | cat -v
	} >&2
	exit 1
}

wait_until() {
	local tries=3000
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || fail "waited in vain for: $*"
		sleep 0.02
	done
}

skip() {
	echo "skipped: $*"
	exit 77
}
need_cmd() {
	local prog
	for prog in "$@"; do command -v "$prog" >/dev/null || skip "no $prog here"; done
}
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
need_unsanitized() { [ -z "${BM_SANITIZE:-}" ] || skip "not with a sanitizer"; }

run_bm() {
	last=${*@Q}
	status=0
	"$BYTEMILL" "$@" >"$stdout" 2>"$stderr" || status=$?
}

expect_exit() { [ "$status" = "$1" ] || fail "exit code $status, expected $1"; }
expect_bytes() { # expect_bytes NAME FOUND EXPECTED
	cat -- "$3" >"$top/expected" # it may be a pipe
	cmp -s -- "$2" "$top/expected" || fail "$1 is not as expected (-expected, +found):
$({ diff -a -u --label expected --label found "$top/expected" "$2" || true; } | head -n 60 | cat -v)"
}
expect_stdout() { expect_bytes stdout "$stdout" "${1:-/dev/stdin}"; }
expect_stderr() { expect_bytes stderr "$stderr" "${1:-/dev/stdin}"; }
expect_no_stdout() { [ ! -s "$stdout" ] || fail "stdout is not empty"; }
expect_no_stderr() { [ ! -s "$stderr" ] || fail "stderr is not empty"; }
expect_stdout_match() { grep -aEq -e "$1" "$stdout" || fail "no line on stdout matches: $1"; }
expect_stderr_match() { grep -aEq -e "$1" "$stderr" || fail "no line on stderr matches: $1"; }
expect_stdout_no_match() { ! grep -aEq -e "$1" "$stdout" || fail "a line on stdout matches: $1"; }
expect_stderr_no_match() { ! grep -aEq -e "$1" "$stderr" || fail "a line on stderr matches: $1"; }
expect_same() { cmp -- "$1" "$2" >&2 || fail "$1 and $2 differ"; }
expect_no_temp() {
	local left
	left=$(find "$@" -name '.bytemill-*' -print | cat -v)
	[ -z "$left" ] || fail "temp files are left: $left"
}
