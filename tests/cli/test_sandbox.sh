#!/bin/bash
# The sandbox: a run reads and writes what its job names, and nothing else.
. "$(dirname "$0")/lib.sh"

mkdir temp in elsewhere
export TMPDIR=$tmp/temp
seq 100 >in/a
seq 200 >in/b
echo secret >elsewhere/secret
job() { printf '%s' "$1" >job.json; }
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{date}/{path}"}]}'

run_bm run --sandbox on -n job.json
expect_exit 0
run_bm run --sandbox on job.json
if [ "$status" = 2 ] && grep -q Landlock "$stderr"; then
	skip "$(cat "$stderr")"
fi
expect_exit 0
diff -r in out/*/ >&2 || fail "they differ"

# A link in the tree of outputs leads out of it.
day=$(basename out/*)
for sandbox in on auto; do
	rm "out/$day/a"
	echo old >elsewhere/a
	ln -s "$tmp/elsewhere/a" "out/$day/a"
	run_bm run --sandbox $sandbox job.json
	expect_exit 1
	expect_stderr_match "^bytemill: error: in/a: .*out/$day/a: .*Permission denied; the sandbox keeps this run to the files that the job names .--sandbox off"
	[ "$(cat elsewhere/a)" = old ] || fail "written through the link"
done
run_bm run --sandbox off job.json
expect_exit 0
expect_same in/a elsewhere/a

# A root that leads elsewhere when its turn comes than when the run began: job 1 waits for a pipe meanwhile.
rm -rf out
mkdir out # else the directory that it is to be made in is what may be written
mkfifo gate
ln -s in root
cat >job.json <<'END'
{"jobs": [
	{"name": "first", "steps": [{"step": "read", "from": "gate"}, {"step": "write", "to": "out/first", "combine": true}]},
	{"name": "second", "after": "first", "steps": [{"step": "read", "from": "root"}, {"step": "write", "to": "out/{path}"}]}
]}
END
swap() { # the run opens the gate when it is under way
	exec 7>gate
	ln -sfn elsewhere root
	exec 7>&-
}
swap &
run_bm run --sandbox on job.json
wait
expect_exit 1
expect_stderr_match '^bytemill: error: root: .*Permission denied; the sandbox'
[ ! -e out/secret ] || fail "read what the job did not name"
# Where no step changes bytes, reading is restricted only when asked for; where one does, by itself.
sed -i 's/"read", "from": "root"}/&, {"step": "compress"}/' job.json
ln -sfn in root
swap &
run_bm run job.json
wait
expect_exit 1
expect_stderr_match '^bytemill: error: root: .*Permission denied; the sandbox'
sed -i 's/, {"step": "compress"}//' job.json
ln -sfn in root
swap &
run_bm run job.json
wait
expect_exit 0
rm -rf out/*
swap &
run_bm run --sandbox off job.json
wait
expect_exit 0
expect_same elsewhere/secret out/secret
rm gate root
ln -s "$tmp/elsewhere/secret" in/link

# Whoever asks for links to be followed gets them.
rm -rf out
job '{"steps": [{"step": "read", "from": "in", "follow_symlinks": true}, {"step": "write", "to": "out/{path}"}]}'
run_bm run --sandbox on job.json
expect_exit 0
expect_same elsewhere/secret out/link
rm in/link

# All that a run may need: directories that are not there yet, devices, keys, manifests, reports, metrics, logs, spills, a
# state directory, lists, moves, jobs after jobs, standard output.
run_bm keygen -o key
recipient=$("$BYTEMILL" keygen -y key)
printf 'in/a\n' >list
mkfifo fifo
cat fifo >fifo.out &
cat >job.json <<END
{"jobs": [
	{"name": "pack", "steps": [{"step": "read", "from": ["in/a", "in/b"]},
		{"step": "hash", "algorithms": "md5", "manifest": "new/{date}/sums"}, {"step": "compress"},
		{"step": "encrypt", "recipients": "$recipient"},
		{"step": "write", "to": "new/{job}/{path}.gz.age", "durability": "batch", "verify": "reread"}]},
	{"name": "unpack", "after": "pack", "steps": [{"step": "read", "from": "new/pack", "remove": true},
		{"step": "decrypt", "identity_file": "key"}, {"step": "decompress"}, {"step": "write", "to": "new/plain/{stem}"}]},
	{"name": "listed", "steps": [{"step": "read", "files_from": "list"}, {"step": "write", "to": "-"}]},
	{"name": "device", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "/dev/null", "combine": true}]},
	{"name": "fifo", "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "fifo", "combine": true}]},
	{"name": "verify", "after": "unpack", "steps": [{"step": "read", "from": "in"}, {"step": "verify", "manifest": "list.sums"}]}
]}
END
(cd in && md5sum a b) >list.sums
mkdir logs
run_bm run --sandbox on --report reports.jsonl --metrics logs/metrics.prom --log logs/log --state "$tmp/st/ate" job.json
expect_exit 0
expect_stdout in/a
wait
cat in/a in/b | cmp - fifo.out
[ -s logs/metrics.prom ] && [ -s reports.jsonl ] && [ -d st/ate ] || fail "not all is there"
ls new/plain/*.gz >/dev/null
[ -z "$(find new/pack -type f)" ] || fail "inputs are left"

# The other commands that have it.
run_bm hash --sandbox on -a md5 -o own.sums in/a in/b
expect_exit 0
run_bm hash --sandbox on -c own.sums
expect_exit 0
run_bm audit --sandbox on list.sums in
expect_exit 0
run_bm audit --sandbox on --report page.html list.sums in
expect_exit 0
[ -s page.html ] || fail "no page"
gzip -k in/a
run_bm cat --sandbox on in/a.gz
expect_exit 0
expect_stdout in/a
rm in/a.gz

# A notify command may do what it likes.
cat >job.json <<END
{"notify": {"on": "always", "command": ["sh", "-c", "cat >$tmp/elsewhere/told"]},
	"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}"}]}
END
run_bm run -q --sandbox on job.json
expect_exit 0
grep -q '"state":"done"' elsewhere/told || fail "nobody was told"

# It is up before there is any thread but the first; and a kernel without it: a warning, or a refusal.
if command -v strace >/dev/null && [ -z "${BM_SANITIZE:-}" ] && strace -o /dev/null true 2>/dev/null; then
	strace -f -o trace -e trace=landlock_restrict_self,prctl,clone3,clone,vfork "$BYTEMILL" run -q job.json
	# The clone before it is the notifier's.
	grep -v 'exited\|SIGCHLD' trace | grep -m2 -n 'CLONE_THREAD\|landlock_restrict_self' >order
	head -n 1 order | grep -q landlock_restrict_self || fail "threads were started before"
	grep -q 'prctl(PR_SET_NO_NEW_PRIVS, 1' trace || fail "rights can be gained"
	without() {
		status=0
		strace -f -o trace -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error="$1" "$BYTEMILL" run "${@:2}" \
			job.json >"$stdout" 2>"$stderr" || status=$?
		last="run ${*:2} (no Landlock: $1)"
	}
	without ENOSYS
	expect_exit 0
	expect_stderr_match '^bytemill: warning: this kernel has no Landlock .*; the run goes on without a sandbox'
	without EOPNOTSUPP -q
	expect_exit 0
	expect_no_stderr
	without ENOSYS --sandbox off
	expect_exit 0
	expect_stderr_no_match Landlock
	without EOPNOTSUPP --sandbox on
	expect_exit 2
	expect_stderr_match '^bytemill: error: Landlock is turned off in this kernel'
	expect_stderr_match 'nothing was done'
else
	echo "skipped: strace is needed to look at the order of calls"
fi

run_bm run --sandbox maybe job.json
expect_exit 2
expect_stderr_match '^bytemill: error: --sandbox is "maybe"; allowed: auto, on, off'
