#!/bin/bash
# The example that uses only the public API does what the program does.
. "$(dirname "$0")/lib.sh"

example=$BM_BUILD_DIR/examples/run_job
[ -x "$example" ] || skip "the examples are not built"
mkdir in
echo one >in/one
echo two >in/two
echo '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}"}]}' >job.json
echo '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}", "x": 1}]}' >wrong.json

run() {
	last="(example) $*"
	status=0
	"$example" "$@" >"$stdout" 2>"$stderr" || status=$?
}
run job.json
expect_exit 0
expect_no_stderr
expect_stdout_match '^done: .*in/one, 4 bytes$'
expect_stdout_match '^2 done, 0 failed, 0 skipped: 8 bytes read, '
expect_same in/one out/one
run wrong.json
expect_exit 2
expect_stderr_match '^wrong.json:1:[0-9]+: /steps/1/x: '
run missing.json
expect_exit 2
run
expect_exit 2

cat >endless.json <<'END'
{"steps": [{"step": "read", "from": "-"}, {"step": "write", "to": "endless", "combine": true}]}
END
status=0
yes | timeout --preserve-status -s INT 1 "$example" endless.json >"$stdout" 2>"$stderr" || status=${PIPESTATUS[1]}
expect_exit 130
expect_stdout_match '\(stopped\)$'
expect_no_temp .
[ ! -e endless ] || fail "an incomplete output got its name"
