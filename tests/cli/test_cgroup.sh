#!/bin/bash
# The limits of the control group count: threads by its CPU quota, memory at most half of what it allows; what is asked
# for by name is taken as said.
. "$(dirname "$0")/lib.sh"
need_root
if [ -d /sys/fs/cgroup/memory ] && [ -d /sys/fs/cgroup/cpu ]; then
	memory=/sys/fs/cgroup/memory/bytemill-test.$$ cpu=/sys/fs/cgroup/cpu/bytemill-test.$$
	bytes=memory.limit_in_bytes
	limit_cpu() { echo 100000 >"$cpu/cpu.cfs_period_us" && echo "$1" >"$cpu/cpu.cfs_quota_us"; }
elif grep -qs memory /sys/fs/cgroup/cgroup.subtree_control && grep -qs cpu /sys/fs/cgroup/cgroup.subtree_control; then
	memory=/sys/fs/cgroup/bytemill-test.$$ cpu=$memory
	bytes=memory.max
	limit_cpu() { echo "$1 100000" >"$cpu/cpu.max"; }
else
	skip "no control groups with memory and cpu here"
fi
mkdir -p "$memory" "$cpu" 2>/dev/null || skip "no control group can be made here"
at_end 'rmdir "$memory" "$cpu"'
echo 134217728 >"$memory/$bytes"
limit_cpu 100000 || skip "no CPU quota can be set here"

mkdir in && echo x >in/x
echo '{"name": "plain", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}' >plain.json
echo '{"name": "said", "memory": "100MiB", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}' >said.json
inside() { # inside COMMAND...: in the two groups
	(
		echo "$BASHPID" >"$memory/cgroup.procs" && echo "$BASHPID" >"$cpu/cgroup.procs" || exit 126
		exec "$BYTEMILL" "$@"
	) >"$stdout" 2>"$stderr" && status=0 || status=$?
	last=$*
	expect_exit 0
}
inside validate plain.json
expect_stdout_match '^1 job, 1 threads .*, 64 MiB of memory$'
inside validate said.json
expect_stdout_match ', 100 MiB of memory$'
inside run -n -j 2 --memory 90MiB plain.json
expect_stdout_match '^1 job, 2 threads .*, 90 MiB of memory$'
inside run plain.json
if [ "$(nproc)" -gt 1 ]; then
	limit_cpu 150000 # a CPU and a half are two threads
	inside validate plain.json
	expect_stdout_match '^1 job, 2 threads '
fi
run_bm validate plain.json
expect_stdout_no_match '64 MiB of memory'
