#!/bin/bash
# tests/fuzz/run.sh DIR SECONDS [NAME...] - runs the libFuzzer targets of the build in DIR (all, or those named) for so many
# seconds each, two at a time. An input that makes one fail is told, and belongs into seeds/NAME when that is mended.
# FUZZ_SEED=N: what is tried follows from N and the seeds in the repository, as far as the time is enough for; only where a
# target compares with a time or an address it may take another way each time. Without it, or with 0, the seed is another
# each time, and what was found to be of interest is kept in DIR/corpus/NAME for the next time.
set -uo pipefail
dir=${1:?the build directory} seconds=${2:?how long}
shift 2
seeds=$(cd "$(dirname "$0")/seeds" && pwd)
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1

names=("$@")
if [ $# = 0 ]; then
	for program in "$dir"/tests/fuzz/fuzz_*; do
		case ${program##*/} in *_replay | *.*) ;; *) names+=("${program##*/fuzz_}") ;; esac
	done
fi
seed=${FUZZ_SEED:-0}
fuzz() {
	local from=("$seeds/$1") log=$dir/corpus/$1.log corpus=$dir/corpus/$1 used=$seed
	[ "$1" != job ] || from+=("$source_dir/tests/jobs/valid" "$source_dir/jobs")
	if [ "$seed" = 0 ]; then
		used=$((RANDOM * 32768 + RANDOM + 1))
	else
		# Directories are read in the order that the file system has them in.
		corpus=$dir/corpus/$1.fixed
		rm -rf "$corpus"
		find "${from[@]}" -type f | LC_ALL=C sort | paste -sd, | tr -d '\n' >"$dir/corpus/$1.inputs"
		from=("-seed_inputs=@$dir/corpus/$1.inputs")
	fi
	mkdir -p "$corpus"
	if "$dir/tests/fuzz/fuzz_$1" -seed="$used" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=3000 -print_final_stats=1 \
		-artifact_prefix="$dir/corpus/$1." "$corpus" "${from[@]}" >"$log" 2>&1; then
		echo "fuzz $1: seed $used, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs tried in $seconds s"
	else
		echo "fuzz $1: seed $used, FAILED"
		tail -n 60 "$log"
		return 1
	fi
}

mkdir -p "$dir/corpus"
failed=0
for ((i = 0; i < ${#names[@]}; i += 2)); do
	pids=()
	for name in "${names[@]:i:2}"; do
		fuzz "$name" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
done
exit "$failed"
