#!/bin/bash
# One signal ends a run that waits where nobody answers: a pipe whose reader has stopped, a FIFO that nobody opens. The
# exit status tells it, no temp file is left, nothing is published.
. "$(dirname "$0")/lib.sh"

head -c 3000000 /dev/zero >in
mkfifo out names

stuck() { # stuck COMMAND...: SIGINT after a second; SIGKILL, which the test would see, where that was not enough
	local status=0
	last="$*"
	timeout --preserve-status -s INT -k 20 1 "$@" 2>"$stderr" || status=$?
	expect_exit 130
	expect_no_temp .
	[ ! -e copy ] || fail "copy was published"
}
expect_exit() { [ "$status" = "$1" ] || fail "exit code $status of $last"; }

echo '{"steps": [{"step": "read", "from": "in"}, {"step": "copy", "to": "copy"}, {"step": "write", "to": "-"}]}' >stdout.json
echo '{"steps": [{"step": "read", "from": "in"}, {"step": "copy", "to": "copy"}, {"step": "write", "to": "out"}]}' >fifo.json
echo '{"steps": [{"step": "read", "from": "names"}, {"step": "copy", "to": "copy"}]}' >reader.json

stuck "$BYTEMILL" run fifo.json # nobody opens the other end
stuck "$BYTEMILL" run reader.json
stuck "$BYTEMILL" hash --files-from names
exec 7<>out # a reader that never reads
stuck "$BYTEMILL" run fifo.json
stuck "$BYTEMILL" run stdout.json >&7
stuck "$BYTEMILL" hash /usr/include >&7
exec 7<&-
