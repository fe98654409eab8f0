#!/bin/bash
# Standard output carries results and nothing else; what cannot be written there is a failure; descriptors that are
# closed at the start never become data files.
. "$(dirname "$0")/lib.sh"

mkdir in
echo one >in/one
echo two >in/two
cat >job.json <<'END'
{"name": "copying", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}"}]}
END

# All is well: a summary on stderr, none of it on stdout, nothing at all with -q, a line a file with -v.
run_bm run job.json
expect_exit 0
expect_no_stdout
expect_stderr_match '^bytemill: 2 files done, 0 failed, 0 skipped; 8 B read, .* written; '
expect_stderr_no_match $'[\e\r]'
run_bm run -q job.json
expect_exit 0
expect_no_stdout
expect_no_stderr
run_bm run -v job.json
expect_exit 0
expect_stderr_match '^bytemill: done: .*in/one \(4 B\)'
run_bm hash in
expect_exit 0
expect_no_stderr

# A failed file is named at once and again at the end, also with -q; the others are done.
run_bm hash in/one $'no\e[1m' in/two
expect_exit 1
expect_stdout <<<"$(sha256sum in/one in/two)"
expect_stderr_match '^bytemill: error: no\\x1b\[1m: .*No such file'
expect_stderr_match '^bytemill: 1 file failed:$'
expect_stderr_match '^bytemill:   no\\x1b\[1m: .*No such file'
expect_stderr_match '^bytemill: 2 files done, 1 failed, '
run_bm hash -q missing
expect_exit 1
expect_stderr_match '^bytemill: error: missing: '

# Nothing was done: exit code 2.
run_bm run missing.json
expect_exit 2
expect_stderr_match 'missing.json.*No such file'
expect_stderr_match '^bytemill: 1 error; nothing was done$'
echo '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out2/{path}", "comibne": true}]}' >wrong.json
run_bm run missing.json wrong.json
expect_exit 2
expect_stderr_match '^wrong.json:1:[0-9]+: error: /steps/1/comibne: .*\(did you mean "combine"\?\)$'
expect_stderr_match '^bytemill: 2 errors; nothing was done$'
[ ! -e out2 ] || fail "something was done"

# The report.
run_bm run -q --report report.jsonl job.json
expect_exit 0
[ "$(wc -l <report.jsonl)" -ge 3 ] || fail "the report: $(cat report.jsonl)"
run_bm run -q --report - job.json
expect_exit 0
[ -s "$stdout" ] || fail "no report on stdout"
run_bm run -q --report no/such/dir job.json
expect_exit 2
expect_stderr_match 'report no/such/dir .*No such file'
# Where the job files are wrong, an older report stays.
run_bm run -q --report report.jsonl wrong.json
expect_exit 2
[ -s report.jsonl ] || fail "the report was emptied"

# Outputs that do not get out.
closed() { # closed STATUS COMMAND...: with what is redirected by the caller
	local want=$1
	shift
	status=0
	last="$*"
	"$@" || status=$?
	expect_exit "$want"
}
if [ -c /dev/full ]; then
	closed 1 "$BYTEMILL" steps >/dev/full 2>"$stderr"
	expect_stderr_match 'standard output: No space left'
	closed 1 "$BYTEMILL" hash in >/dev/full 2>"$stderr"
	expect_stderr_match 'No space left'
	closed 1 "$BYTEMILL" run -q --report /dev/full job.json 2>"$stderr"
	expect_stderr_match 'report.*No space left'
	# A stderr that is full is no reason to fail.
	closed 0 "$BYTEMILL" run job.json 2>/dev/full
fi
closed 1 "$BYTEMILL" steps >&- 2>"$stderr"
expect_stderr_match 'standard output: Bad file descriptor'
closed 1 "$BYTEMILL" hash in >&- 2>"$stderr"
expect_stderr_match 'Bad file descriptor'
closed 1 "$BYTEMILL" hash <&- >"$stdout" 2>"$stderr"
expect_stderr_match 'Bad file descriptor'

# Without any of the three the outputs are still right.
rm -r out
closed 0 "$BYTEMILL" run job.json <&- >&- 2>&-
expect_same in/one out/one
expect_same in/two out/two
expect_no_temp .

# A reader that went away is an error code, not a death by SIGPIPE.
mkfifo pipe
(
	code=0
	"$BYTEMILL" hash -v in >pipe 2>"$stderr" || code=$?
	echo "$code" >code
) &
exec 3<pipe
exec 3<&-
wait
read -r status <code
# It may have been quick enough to fill the pipe before the reader left.
[ "$status" = 1 ] || [ "$status" = 0 ] || fail "exit code $status, expected 0 or 1"
