#!/bin/bash
# tests/fuzz/run.sh DIR SECONDS [NAME...] - runs the libFuzzer targets of the build in DIR (all, or those named) for so many
# seconds each, two at a time. What they find to be of interest is kept in DIR/corpus/NAME for the next time; an input that
# makes one fail is told, and belongs into seeds/NAME when that is mended.
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
fuzz() {
	local more=() log=$dir/corpus/$1.log
	[ "$1" != job ] || more=("$source_dir/tests/jobs/valid" "$source_dir/jobs")
	mkdir -p "$dir/corpus/$1"
	if "$dir/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=3000 -print_final_stats=1 \
		-artifact_prefix="$dir/corpus/$1." "$dir/corpus/$1" "$seeds/$1" "${more[@]}" >"$log" 2>&1; then
		echo "fuzz $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs tried in $seconds s"
	else
		echo "fuzz $1: FAILED"
		tail -n 60 "$log"
		return 1
	fi
}

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
