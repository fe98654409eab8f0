#!/bin/bash
# Files and directories without permission, read and written by a user who is not root.
. "$(dirname "$0")/lib.sh"

as_user=()
if [ "$(id -u)" = 0 ]; then
	need_cmd setpriv
	chmod 755 "$top"
	chown -R 65534:65534 "$tmp" "$HOME" "$XDG_STATE_HOME"
	chmod 755 "$tmp"
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	"${as_user[@]}" test -x "$BYTEMILL" || skip "nobody may not run $BYTEMILL"
fi
run_as() { # as run_bm, as that user
	last=${*@Q}
	status=0
	"${as_user[@]}" "$BYTEMILL" "$@" >"$stdout" 2>"$stderr" || status=$?
}

"${as_user[@]}" bash -c 'mkdir -p in/locked in/listed in/entered out/shut; echo 1 >in/a; echo 2 >in/secret; echo 3 >in/z
	echo 4 >in/locked/x; echo 5 >in/listed/x; echo 6 >in/entered/x; chmod 0 in/secret in/locked; chmod 444 in/listed; chmod 111 in/entered'
cat >job.json <<'END'
{"steps": [{"step": "read", "from": ["in", "in/entered/x"]}, {"step": "hash", "manifest": "SUMS"}, {"step": "copy", "to": "out/{path}"}]}
END
run_as run --report report.jsonl job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/secret: .*Permission denied'
expect_stderr_match '^bytemill: error: in/locked: .*Permission denied'
expect_stderr_match '^bytemill: error: in/entered: .*Permission denied'
expect_stderr_match '^bytemill: error: in/listed(/x)?: .*Permission denied'
expect_stderr_match '^bytemill: 4 files failed:$'
expect_stderr_match '^bytemill: 3 files done, 4 failed'
[ "$(cut -d' ' -f3 SUMS | tr '\n' ' ')" = "out/a out/z out/x " ] || fail "$(cat SUMS)"
"${as_user[@]}" sha256sum -c --strict --quiet SUMS || fail "sha256sum -c says no"
expect_no_temp out
run_as hash in/secret in/a
expect_exit 1
expect_stdout <<<"$(sha256sum in/a)"

# Where nothing can be written: each file says so, nothing is left.
"${as_user[@]}" chmod 555 out/shut
echo '{"steps": [{"step": "read", "from": ["in/a", "in/z"]}, {"step": "write", "to": "out/shut/{path}"}]}' >shut.json
run_as run shut.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/a: .*out/shut/a: .*Permission denied'
expect_stderr_match '^bytemill: 0 files done, 2 failed'
echo '{"steps": [{"step": "read", "from": "in/a"}, {"step": "hash", "manifest": "out/shut/SUMS"}, {"step": "write", "to": "out/b"}]}' >shut.json
for command in run validate; do # before anything is read
	run_as $command shut.json
	expect_exit 2
	expect_stderr_match 'out/shut/SUMS: cannot be made in the directory out/shut: Permission denied'
done
echo '{"steps": [{"step": "read", "from": "in/a"}, {"step": "write", "to": "out/shut/new/dir/{path}"}]}' >shut.json
run_as run shut.json
expect_exit 1
expect_stderr_match 'out/shut/new.*: .*Permission denied'
expect_no_temp out
# A report that cannot be written: before anything is done.
run_as run --report out/shut/report shut.json
expect_exit 2
expect_stderr_match 'out/shut/report.*Permission denied'

# A file that is there and may not be written is replaced, as mv would: the directory decides. One in a directory that may
# be entered but not listed too.
"${as_user[@]}" bash -c 'mkdir out/dark; echo old >out/dark/a; chmod 400 out/dark/a; chmod 333 out/dark'
echo '{"steps": [{"step": "read", "from": "in/a"}, {"step": "write", "to": "out/dark/{path}"}]}' >dark.json
run_as run dark.json
expect_exit 0
[ "$("${as_user[@]}" cat out/dark/a)" = 1 ] || fail "not replaced"

# An owner that cannot be kept: a warning, and no set-user-ID bit for another owner.
if [ "$(id -u)" = 0 ]; then
	echo run >in/suid
	chown 1234:1234 in/suid
	chmod 4755 in/suid
	echo '{"steps": [{"step": "read", "from": "in/suid"}, {"step": "write", "to": "out/{path}"}]}' >suid.json
	run_as run suid.json
	expect_exit 0
	expect_stderr_match '^bytemill: warning: in/suid: owner: Operation not permitted'
	[ "$(stat -c '%u %a' out/suid)" = "65534 755" ] || fail "$(stat out/suid)"
	# Root keeps all of it.
	run_bm run suid.json
	expect_exit 0
	expect_stderr_no_match 'warning'
	[ "$(stat -c '%u %g %a' out/suid)" = "1234 1234 4755" ] || fail "$(stat out/suid)"
fi
