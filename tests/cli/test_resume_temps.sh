#!/usr/bin/env bash
# Temporary files of a killed run go also from directories that somebody holds when the next run first comes there, and
# from those in which it has nothing to do.
. "$(dirname "$0")/lib.sh"
need_cmd flock

mkdir -p in/d
echo f | tee in/d/f >in/d/g
touch -d '2 hours ago' in/d/f in/d/g
mkfifo last
cat >job.json <<'END'
{"name": "temps", "incremental": true, "steps": [{"step": "read", "from": ["in", "last"]},
	{"step": "write", "to": "out/{path}", "durability": "batch"}]}
END
other=out/d/.bytemill-20200101T000000.000000Z-1-1.tmp
is_running() { "$BYTEMILL" runs --json 2>/dev/null | sed -n 1p | grep -q '"state":"running"'; }
killed() { # OPTION...: a run that is killed while it reads the pipe; what it leaves in out/d, whatever it came to
	exec 8<>last
	"$BYTEMILL" run -q "$@" job.json 8>&- &
	local pid=$!
	wait_until is_running
	wait_until [ -d out/d ]
	kill -KILL $pid
	wait $pid 2>/dev/null || true
	exec 8>&-
	id=$("$BYTEMILL" runs --json 2>/dev/null | sed -n '1s/.*"run":"\([^"]*\)".*/\1/p')
	[ -n "$id" ] || fail "no run on record"
	echo left >"out/d/.bytemill-$id-999.tmp"
	echo other >$other
}
check() { # WHERE
	local left
	left=$(find out -name ".bytemill-$id-*")
	[ -z "$left" ] || fail "left $1: $left"
	[ -e $other ] || fail "the temporary file of another was removed"
}

killed
exec 8<>last 9<out/d
flock -s 9
"$BYTEMILL" run -q job.json 8>&- 9>&- &
pid=$!
# It has been there when it writes there, or has written.
writes() {
	[ -e out/d/f ] || [ -n "$(find out/d -name '.bytemill-*' ! -name ".bytemill-$id-*" ! -path "$other")" ]
}
wait_until writes
exec 9<&-
exec 8>&-
wait $pid || fail "exit code $?"
check "where the directory was held"

killed --all
printf '' >last &
run_bm run -v job.json
wait
expect_exit 0
check "where all was skipped"
