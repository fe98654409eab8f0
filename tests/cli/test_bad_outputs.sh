#!/bin/bash
# Outputs that cannot be written: a full disk, a limit on file sizes, directories in the way, readers that go away. The old
# file stays, no temp file is left, the other files are done.
. "$(dirname "$0")/lib.sh"

job() { printf '%s' "$1" >job.json; }
mkdir in
echo small >in/a
head -c 3000000 /dev/urandom >in/large
echo small too >in/z

# ulimit -f: the large one fails.
mkdir out
echo old >out/large
for steps in '{"step": "write", "to": "out/{path}"}' '{"step": "hash"}, {"step": "write", "to": "out/{path}"}' \
	'{"step": "write", "to": "out/{path}", "durability": "none"}'; do
	job '{"steps": [{"step": "read", "from": "in"}, '"$steps"']}'
	(
		ulimit -f 1024
		run_bm run job.json
		echo "$status" >status
	)
	read -r status <status
	expect_exit 1
	expect_stderr_match '^bytemill: error: in/large: .*out/large: .*File too large'
	expect_stderr_match '^bytemill: 2 files done, 1 failed'
	[ "$(cat out/large)" = old ] || fail "the old file is gone"
	expect_same in/a out/a
	expect_same in/z out/z
	expect_no_temp .
done
# combine: nothing of it is there.
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/all", "combine": true}]}'
(
	ulimit -f 1024
	run_bm run job.json
	echo "$status" >status
)
read -r status <status
expect_exit 1
expect_stderr_match 'out/all: .*File too large'
[ ! -e out/all ] || {
	# What is there may only be whole files.
	cat in/a in/z >want
	expect_same want out/all
}
expect_no_temp .

# A directory where the file should be, a file where the directory should be, a link into nowhere.
rm -rf out
mkdir -p out/a out/sub
echo file >out/large
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/a: .*out/a: is a directory'
expect_same in/large out/large
expect_same in/z out/z
job '{"steps": [{"step": "read", "from": "in/z"}, {"step": "write", "to": "out/large/{path}"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/z: .*out/large.*Not a directory'
expect_same in/large out/large
ln -s ../target out/link
ln -s loop out/loop
job '{"steps": [{"step": "read", "from": "in/z"}, {"step": "write", "to": "out/link"}]}'
run_bm run job.json
expect_exit 0
expect_same in/z target
[ -L out/link ] || fail "the link was replaced"
job '{"steps": [{"step": "read", "from": "in/z"}, {"step": "write", "to": "out/loop"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match 'out/loop: .*(symbolic link)'
expect_no_temp .

# Manifests and combined outputs that cannot be where they are to be are refused before anything is read.
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/w/{path}"}]},
	{"name": "two", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/sub"}]}]}'
for command in validate run; do
	run_bm $command job.json
	expect_exit 2
	expect_no_stdout
	expect_stderr <<'END'
bytemill: error: out/sub: is a directory: name a file in it
bytemill: nothing was done
END
done
[ ! -e out/w ] || fail "the other job has begun"
ln -s sub out/dirlink
for to in out/a out/dirlink in/a/SUMS in/a/b/SUMS; do
	run_bm hash in -o "$to"
	expect_exit 2
	expect_stderr_match "^bytemill: error: $to: (is a directory: name a file in it|cannot be made, since in/a is no directory: )"
	job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "combine": true, "to": "'"$to"'"}]}'
	run_bm run job.json
	expect_exit 2
	expect_stderr_match "^bytemill: error: $to: "
done
rm out/dirlink
expect_no_temp .
# Directories that are not there are made, as ever.
run_bm hash in -o out/not/there/SUMS
expect_exit 0
(cd out/not/there && [ -s SUMS ]) || fail "no manifest"
rm -r out/not out/sub out/a

# A manifest that cannot be written in the end fails the job, with the name of the manifest.
job '{"steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/sub"}, {"step": "write", "to": "out/sub/{path}"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match 'out/sub: is a directory'
# Two jobs that fail so: both are told, by name, with -q too.
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/1"}, {"step": "copy", "to": "out/1/{path}"}]},
	{"name": "two", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/2"}, {"step": "copy", "to": "out/2/{path}"}]}]}'
for quiet in "" -q; do
	rm -rf out/1 out/2
	# shellcheck disable=SC2086
	run_bm run $quiet job.json
	expect_exit 1
	expect_stderr_match '^bytemill: error: one: .*out/1: is a directory'
	expect_stderr_match '^bytemill: error: two: .*out/2: is a directory'
	expect_stderr_match '^bytemill: 0 jobs done, 2 failed, '
done
# One job with several that fail: each is told, once, and those that can be written are written.
job '{"steps": [{"step": "read", "from": "in"}, {"step": "copy", "to": "out/sub/{path}"}, {"step": "copy", "to": "out/md5/{path}"},
	{"step": "copy", "to": "out/sha224/{path}"}, {"step": "hash", "manifest": "out/sub"},
	{"step": "hash", "algorithms": ["md5", "sha1", "sha224"], "manifest": "out/{algorithm}"},
	{"step": "hash", "manifest": "out/SUMS"}, {"step": "write", "to": "out/all", "combine": true}]}'
cat in/a in/large in/z >want
for quiet in "" -q; do
	rm -rf out
	# shellcheck disable=SC2086
	run_bm run $quiet job.json
	expect_exit 1
	for path in sub md5 sha224; do
		[ "$(grep -c "^bytemill: error: .*out/$path: is a directory" "$stderr")" = 1 ] || fail "out/$path is not told once"
	done
	expect_stderr_match '^bytemill: 3 files done, 0 failed'
	expect_same want out/all
	(cd in && sha256sum -c --strict --quiet ../out/SUMS) || fail "sha256sum -c says no"
	(cd in && sha1sum -c --strict --quiet ../out/sha1) || fail "sha1sum -c says no"
	expect_no_temp .
done
# Of what was begun before the disk was full nothing gets its name, and one line says why, not one a file.
mkdir many
(cd many && seq -f '%0200.0f' 3000 | xargs touch)
job '{"steps": [{"step": "read", "from": "many"}, {"step": "hash", "algorithms": "md5", "manifest": "/dev/full"},
	{"step": "hash", "manifest": "out/new"}]}'
run_bm run -q job.json
expect_exit 1
[ "$(grep -c '/dev/full: .*No space left' "$stderr")" = 1 ] || fail "it is not told once"
[ ! -e out/new ] || fail "a manifest that is not whole got its name"
expect_no_temp .
rm -r many

# A FIFO as output, with a reader that takes all, and one that goes away.
rm -rf out
mkdir out
mkfifo out/fifo
cat out/fifo >got &
job '{"steps": [{"step": "read", "from": "in/large"}, {"step": "write", "to": "out/fifo"}]}'
run_bm run job.json
wait
expect_exit 0
expect_same in/large got
[ -p out/fifo ] || fail "the FIFO was replaced"
head -c 10 out/fifo >got &
run_bm run job.json
wait
expect_exit 1
expect_stderr_match 'out/fifo: .*reader has gone'
# /dev/null stays what it is, /dev/full says so.
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "/dev/null", "combine": true}]}'
run_bm run job.json
expect_exit 0
[ -c /dev/null ] || fail "/dev/null is gone"
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "/dev/full", "combine": true}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match '/dev/full: .*No space left'

# Standard output that ends: its reader has gone, or was never there.
job '{"steps": [{"step": "read", "from": "in"}, {"step": "copy", "to": "copied/{path}"}, {"step": "write", "to": "-"}]}'
status=0
last='run job.json | head -c 1'
"$BYTEMILL" run job.json 2>"$stderr" | head -c 1 >/dev/null || status=${PIPESTATUS[0]}
expect_exit 1
expect_stderr_match 'reader has gone'
last='hash | head -c 1' status=0
for ((i = 0; i < 3000; i++)); do echo in/a; done >list
"$BYTEMILL" hash --files-from list 2>"$stderr" | head -c 1 >/dev/null || status=${PIPESTATUS[0]}
expect_exit 1
expect_stderr_match 'Broken pipe'
for command in "hash in" "run job.json"; do
	last="$command >&-" status=0
	# shellcheck disable=SC2086
	"$BYTEMILL" $command >&- 2>"$stderr" || status=$?
	expect_exit 1
	expect_stderr_match 'Bad file descriptor'
done
last='run <&-' status=0
job '{"steps": [{"step": "read", "from": ["in/a", "-", "in/z"]}, {"step": "write", "to": "stdin/{name}"}]}'
"$BYTEMILL" run job.json <&- 2>"$stderr" || status=$?
expect_exit 1
expect_stderr_match '^bytemill: error: -: .*Bad file descriptor'
expect_same in/a stdin/a
expect_same in/z stdin/z
expect_no_temp .
