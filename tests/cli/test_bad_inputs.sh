#!/bin/bash
# Inputs that are missing, unreadable, or change under way: named with a reason, exit code 1, the others done, no output
# of theirs.
. "$(dirname "$0")/lib.sh"

job() { printf '%s' "$1" >job.json; }
mkdir in
for name in a b c; do seq 1 5000 >"in/$name"; done

# Missing: a file, a directory, a pattern.
job '{"steps": [{"step": "read", "from": ["missing", "in/a", "no/dir", "in/*.none", "in/b"]}, {"step": "hash", "manifest": "SUMS"},
	{"step": "write", "to": "out/{name}"}]}'
run_bm run --report report.jsonl job.json
expect_exit 1
expect_stderr_match '^bytemill: error: missing: .*No such file'
expect_stderr_match '^bytemill: error: no/dir: .*No such file'
expect_stderr_match '^bytemill: error: in/\*\.none: nothing matches this pattern'
expect_stderr_match '^bytemill: 3 files failed:$'
expect_stderr_match '^bytemill:   missing: .*No such file'
expect_stderr_match '^bytemill: 2 files done, 3 failed, '
expect_same in/a out/a
expect_same in/b out/b
[ "$(wc -l <SUMS)" = 2 ] || fail "lines in SUMS"
[ "$(grep -c '"failed"' report.jsonl)" -ge 3 ] || fail "the report: $(cat report.jsonl)"
expect_no_temp .
rm -rf out

# Loops of links, with follow_symlinks; dangling links; a link to itself.
mkdir -p loop/d/e
echo x >loop/d/file
ln -s ../.. loop/d/e/up
ln -s self loop/self
ln -s nowhere loop/dangling
ln -s file loop/d/link
job '{"steps": [{"step": "read", "from": "loop", "follow_symlinks": true}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match 'loop/d/e/up: .*loop'
expect_stderr_match 'loop/self: .*(symbolic links|loop)'
expect_stderr_match 'loop/dangling: .*No such file'
expect_same loop/d/file out/d/file
expect_same loop/d/file out/d/link
[ ! -L out/d/link ] || fail "a link was made"
# Without: they are skipped, and that is said.
rm -rf out
job '{"steps": [{"step": "read", "from": "loop"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 0
expect_stderr_match '4 symbolic links were not followed'
expect_stderr_match '^bytemill: 1 file done, 0 failed, 0 skipped, 4 passed over; '
[ "$(find out -type f | wc -l)" = 1 ] || fail "$(find out)"
[ "$(find out ! -type f ! -type d | wc -l)" = 0 ] || fail "$(find out)"
rm -rf out
# With -q the report says it, and the plan says it before.
run_bm run -q --report report.jsonl job.json
expect_exit 0
expect_no_stderr
tail -n 1 report.jsonl | grep -q '"passed_over":{"symlinks":4,"special":0,"other_filesystem":0,"own_outputs":0}' ||
	fail "the report: $(tail -n 1 report.jsonl)"
run_bm validate job.json
expect_exit 0
expect_stdout_match '^  inputs: 1 files, '
expect_stdout_match '^  4 symbolic links were not followed$'
run_bm hash -v loop
expect_exit 0
expect_stderr_match '^bytemill: 4 symbolic links were not followed$'
expect_stderr_match '^bytemill: 1 file done, 0 failed, 0 skipped, 4 passed over; '
rm -rf out
# A link to a directory in which include might find something counts too, one to a file that include leaves out does not.
mkdir links
ln -s ../loop/d links/dir
ln -s ../loop/d/file links/file
ln -s ../loop/d/file links/file.log
ln -s nowhere links/dangling
job '{"steps": [{"step": "read", "from": "links", "include": "*.log"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 0
expect_stderr_match '2 symbolic links were not followed'
job '{"steps": [{"step": "read", "from": "links", "include": "*.log", "exclude": "dir"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 0
expect_stderr_match '1 symbolic link was not followed'
rm -rf out links

# Sockets, FIFOs and devices below a directory are passed over, and that is said; a FIFO named itself is read.
mkdir special
mkfifo special/fifo
echo y >special/file
job '{"steps": [{"step": "read", "from": "special"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 0
expect_stderr_match '1 socket, pipe or device was passed over'
expect_stderr_match '^bytemill: 1 file done, 0 failed, 0 skipped, 1 passed over; '
# Jobs are added up, also those that fail and with -q.
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "special"}, {"step": "hash"}]},
	{"name": "two", "steps": [{"step": "read", "from": ["special", "loop", "missing"]}, {"step": "hash"}]}]}'
run_bm run -q --report report.jsonl job.json
expect_exit 1
expect_stderr_match '^bytemill: 1 jobs done, 1 failed, 3 files done, 1 failed, 0 skipped, 6 passed over; '
tail -n 1 report.jsonl | grep -q '"passed_over":{"symlinks":4,"special":2,"other_filesystem":0,"own_outputs":0}' ||
	fail "the report: $(tail -n 1 report.jsonl)"
job '{"steps": [{"step": "read", "from": "special"}, {"step": "write", "to": "out/{path}"}]}'
expect_same special/file out/file
seq 1 300000 >special/content
cat special/content >special/fifo &
job '{"steps": [{"step": "read", "from": "special/fifo"}, {"step": "compress"}, {"step": "write", "to": "out/fifo.gz"}]}'
run_bm run job.json
expect_exit 0
zcat out/fifo.gz | cmp - special/content || fail "through the FIFO"
[ "$(stat -c %a out/fifo.gz)" = 644 ] || fail "mode of what came through a FIFO: $(stat -c %a out/fifo.gz)"
wait
rm -rf out

# A large file that grows, shrinks, or is written to while it is read: strace slows the reading down.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null && [ -z "${BM_SANITIZE:-}" ]; then
	slow() { # slow CALL DELAY_US UNTIL COMMAND: runs the job with CALL slowed down, and COMMAND once UNTIL is true
		last="(strace) run job.json; $4"
		status=0
		strace -f -o /dev/null -e trace="$1" -e inject="$1:delay_enter=$2" "$BYTEMILL" run -j 1 --io-depth 1 job.json \
			>"$stdout" 2>"$stderr" &
		local pid=$!
		until eval "$3" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
		eval "$4"
		wait $pid || status=$?
		expect_no_temp .
	}
	# in/a is through and a temp file of in/b's is there.
	begun() { [ -e "$1" ] && [ -n "$(find out -name '.bytemill-*')" ]; }
	job '{"chunk": "64KiB", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "SUMS"}, {"step": "write", "to": "out/{path}"}]}'
	for change in 'echo more >>in/b' 'truncate -s 500000 in/b' 'printf x | dd of=in/b bs=1 seek=900000 conv=notrunc status=none'; do
		head -c 1000000 /dev/urandom >in/b
		rm -rf out SUMS
		slow preadv2 30000 'begun out/a' "$change"
		expect_exit 1
		expect_stderr_match '^bytemill: error: in/b: .*(changed while it was read|ended early)'
		[ ! -e out/b ] || fail "$change: it was written"
		expect_same in/a out/a
		expect_same in/c out/c
		(cd in && sha256sum a c) | sed 's|  |  out/|' >want
		expect_same want SUMS
		# An old output stays.
		rm out/a
		echo old >out/b
		head -c 1000000 /dev/urandom >in/b
		slow preadv2 30000 'begun out/a' "$change"
		expect_exit 1
		[ "$(cat out/b)" = old ] || fail "$change: the old output is gone"
	done
	# The same for the copy in the kernel.
	head -c 1000000 /dev/urandom >in/b
	rm -rf out
	mkdir out
	job '{"steps": [{"step": "read", "from": "in/b"}, {"step": "copy", "to": "out/{path}"}]}'
	slow copy_file_range,ioctl 400000 'begun out' 'echo more >>in/b'
	expect_exit 1
	expect_stderr_match '^bytemill: error: in/b: .*changed while it was read'
	[ ! -e out/b ] || fail "it was written"
	# Vanishing between the listing and the opening.
	rm -rf out
	mkdir many
	for i in 1 2 3 4 5 6 7 8 9; do echo $i >many/$i; done
	job '{"steps": [{"step": "read", "from": "many"}, {"step": "hash"}, {"step": "write", "to": "out/{path}"}]}'
	slow openat2,openat 60000 '[ -e out/1 ]' 'rm many/9'
	[ ! -e out/9 ] || fail "9 came in before it was removed: nothing was tested"
	if [ "$status" != 0 ]; then
		expect_exit 1
		expect_stderr_match '^bytemill: error: many/9: .*No such file'
	fi
	expect_same many/1 out/1
	expect_same many/8 out/8
fi

# Paths past PATH_MAX, read and written.
deep=$($python -c 'print("/".join(["d" * 250] * 20))')
$python - "$deep" <<'END'
import os, sys
os.mkdir("deep")
fd = os.open("deep", os.O_RDONLY)
for part in sys.argv[1].split("/"):
    os.mkdir(part, dir_fd=fd)
    fd = os.open(part, os.O_RDONLY, dir_fd=fd)
with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "w") as f:
    f.write("at the bottom\n")
END
job '{"steps": [{"step": "read", "from": "deep"}, {"step": "hash", "manifest": "SUMS"}, {"step": "copy", "to": "copied/{path}"},
	{"step": "compress"}, {"step": "write", "to": "packed/{path}.gz"}]}'
rm -rf out SUMS
run_bm run job.json
expect_exit 0
printf '%s  copied/%s\n' "$(echo 'at the bottom' | sha256sum | cut -d' ' -f1)" "$deep/file" >want
expect_same want SUMS
diff <(cd deep && tar c --sort=name --mtime=@0 . | tar tv) <(cd copied && tar c --sort=name --mtime=@0 . | tar tv) >&2 ||
	fail "the trees differ"
[ "$(find packed -type f -printf '%f')" = file.gz ] || fail "packed"
# A name of 255 bytes cannot get .gz: that file fails, with the reason.
mkdir long
long=$(printf 'n%.0s' {1..255})
echo 1 >"long/$long"
echo 2 >long/short
job '{"steps": [{"step": "read", "from": "long"}, {"step": "compress"}, {"step": "write", "to": "out/{path}.gz"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match "^bytemill: error: long/nnn.*: .*File name too long"
zcat out/short.gz | cmp - long/short || fail "short"
expect_no_temp .
