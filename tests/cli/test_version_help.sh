#!/bin/bash
# --version and --help, of the program and of each command; what happens to a command that there is not.
. "$(dirname "$0")/lib.sh"

commands=(run validate hash audit catalog runs diff bag cat steps keygen schedule)

run_bm --version
expect_exit 0
expect_no_stderr
expect_stdout_match "^bytemill ${BM_VERSION//./\\.}( |$)"

run_bm --help
expect_exit 0
expect_no_stderr
expect_stdout_match '^[Uu]sage: bytemill '
for command in "${commands[@]}"; do expect_stdout_match "(^| )$command( |$)"; done
cp "$stdout" help
run_bm -h
expect_exit 0
expect_stdout help

for command in "${commands[@]}"; do
	run_bm "$command" --help
	expect_exit 0
	expect_no_stderr
	expect_stdout_match "^[Uu]sage: bytemill $command( |$)"
	run_bm "$command" --version
	expect_exit 0
	expect_stdout_match '^bytemill [0-9]'
	# Help is help wherever it stands, and does nothing else.
	run_bm "$command" does-not-exist --help
	expect_exit 0

	run_bm "$command" --no-such-option
	expect_exit 2
	expect_no_stdout
	expect_stderr_match 'no-such-option'
done

# Lines fit a terminal, and a pipe gets no escape sequences.
for args in --help 'run --help' 'hash --help' 'diff --help' 'cat --help'; do
	# shellcheck disable=SC2086
	run_bm $args
	expect_stdout_no_match '.{121}'
	expect_stdout_no_match $'\e'
done

run_bm hash --help
cp "$stdout" help
for args in 'help hash' '--help hash' '-h hash'; do
	# shellcheck disable=SC2086
	run_bm $args
	expect_exit 0
	expect_stdout help
done
run_bm --help hsah
expect_exit 2
expect_stderr_match 'did you mean "hash"'

run_bm hsah
expect_exit 2
expect_no_stdout
expect_stderr_match 'hsah'
expect_stderr_match '(^|[^a-z])hash([^a-z]|$)'

run_bm vaildate x.json
expect_exit 2
expect_stderr_match 'validate'

run_bm no-such-thing-at-all
expect_exit 2
expect_no_stdout
expect_stderr_match '--help'

run_bm
expect_exit 2
expect_no_stdout
expect_stderr_match '[Uu]sage|--help'

run_bm --no-such-option
expect_exit 2
expect_no_stdout

run_bm run
expect_exit 2
expect_no_stdout
expect_stderr_match 'JOB'

# A result that cannot be written is not a success.
if [ -c /dev/full ]; then
	status=0
	"$BYTEMILL" --help >/dev/full 2>"$stderr" || status=$?
	[ "$status" -ne 0 ] || fail "--help to a full device: exit code 0"
	expect_stderr_match 'No space left'
fi
