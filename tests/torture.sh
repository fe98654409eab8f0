#!/bin/bash
# tests/torture.sh - make torture: all that takes long, stage by stage, in a box of TORTURE_MINUTES (60), builds included.
#
# A stage that fails does not stop those after it; what could not be built is not tried. In the end there is a line for each
# stage, with the seeds and what was tried, and the exit code is 1 where one has failed. Each stage gets its part of the time
# that is left when it begins: what one leaves over goes to those after it. A real cron daemon and manifests of two million
# lines take the 5 minutes that they take: a box below 10 minutes is gone over.
#
# TORTURE_SEED=N: everything random follows from N, and with the same box on the same machine nearly the same is tried
# again. Without it the seed is another one each time, and what the fuzzers found to be of interest is kept for the next
# time (build/fuzz/corpus). The output of each stage is also in build/torture/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

minutes=${TORTURE_MINUTES:-60}
[[ $minutes =~ ^[1-9][0-9]{0,4}$ ]] || {
	echo "torture: TORTURE_MINUTES is \"$minutes\": a number of minutes is wanted, from 1 on" >&2
	exit 2
}
seed=${TORTURE_SEED:-$(((RANDOM * 32768 + RANDOM) % 999999999 + 1))}
[[ $seed =~ ^[1-9][0-9]{0,8}$ ]] || {
	echo "torture: TORTURE_SEED is \"$seed\": a number from 1 to 999999999 is wanted" >&2
	exit 2
}
export BM_SEED=$seed
logs=build/torture
rm -rf "$logs"
mkdir -p "$logs"
SECONDS=0
end=$((minutes * 60))
names=() results=() took=()
failed=0

# The parts of the time: LONG_PART of it for the scripts of which the rounds may go on for as long as there is time, and so on.
LONG_PART=4 SWEEP_PART=3 FUZZ_PART=8
parts_left=$((LONG_PART + 4 * SWEEP_PART + FUZZ_PART))
FIXED_SECONDS=300 # of the scripts without rounds
share() { # share PART: $seconds, of what is left
	local left=$((end - SECONDS))
	seconds=$((left > 0 ? left * $1 / parts_left : 0))
	[ $seconds -ge 10 ] || seconds=10
	parts_left=$((parts_left - $1))
}

note() { # note NAME RESULT SECONDS
	names+=("$1") results+=("$2") took+=("$3")
	[ "$2" != FAILED ] || failed=1
}
stage() { # stage NAME COMMAND...: its exit code is the command's
	local name=$1 begun=$SECONDS code=0
	shift
	echo "==== $name: $*"
	"$@" 2>&1 | tee "$logs/$name.log" || code=1
	note "$name" "$([ $code = 0 ] && echo ok || echo FAILED)" $((SECONDS - begun))
	return $code
}
not_tried() { for name; do note "$name" "not tried" 0; done; }

# What a log says of its seeds and of what was tried; ctest puts a number before each line.
tried() {
	sed -En 's/^[0-9]+: //; s/\r//g; /(^| )seed [0-9]+|tried [0-9]+|[0-9]+ (rounds|runs|power cuts|lists)\b|^FAILED|\*\*\*(Skipped|Failed|Timeout|Exception)|^skipped/p' \
		"$1" | awk '!seen[$0]++' | head -n 40
}
summary() {
	trap - EXIT
	local i
	echo
	echo "==== torture: seed $seed, $((SECONDS / 60)) of $minutes minutes"
	for i in "${!names[@]}"; do
		printf '%-10s %5d s  %s\n' "${results[i]}" "${took[i]}" "${names[i]}"
		[ ! -e "$logs/${names[i]}.log" ] || tried "$logs/${names[i]}.log" | cut -c 1-200 | sed 's/^/                      /'
	done
	[ $failed = 0 ] || echo "==== torture: FAILED; the whole output is in $logs, TORTURE_SEED=$seed tries the same"
	exit $failed
}
trap summary EXIT
trap 'echo "==== torture: stopped"; failed=1; exit 1' INT TERM HUP

# The sanitizers: see the Makefile.
fixed=()
! setarch -R true 2>/dev/null || fixed=(setarch -R)

test_preset() { # test_preset NAME PRESET OPTION...: with $seconds for each test that has rounds
	local name=$1 preset=$2
	shift 2
	TORTURE_SECONDS=$seconds stage "$name" "${fixed[@]}" ctest --preset "$preset" --timeout $((seconds + 1800)) "$@" || true
}

build() { # build PRESET OPTION...
	[ "$1" != fuzz ] || scripts/setup.sh clang || return 1
	[ -e "build/$1/build.ninja" ] || cmake --preset "$1" || return 1
	cmake --build --preset "$@"
}

if stage build-release build release; then
	share $LONG_PART
	rounds=$(grep -l TORTURE_SECONDS tests/*/test_*.sh | wc -l)
	seconds=$((seconds > FIXED_SECONDS ? (seconds - FIXED_SECONDS) / rounds : 0))
	[ $seconds -ge 10 ] || seconds=10
	test_preset long torture -E '_sweep'
	for sweep in kill_sweep fault_sweep; do
		share $SWEEP_PART
		test_preset "$sweep" torture -R "fault\\.$sweep"
	done
else
	not_tried long kill_sweep fault_sweep
	parts_left=$((parts_left - LONG_PART - 2 * SWEEP_PART))
fi
if stage build-asan build asan; then
	for sweep in kill_sweep fault_sweep; do
		share $SWEEP_PART
		test_preset "$sweep-asan" torture-asan -R "fault\\.$sweep"
	done
else
	not_tried kill_sweep-asan fault_sweep-asan
	parts_left=$((parts_left - 2 * SWEEP_PART))
fi
if stage build-fuzz build fuzz --target fuzzers; then
	share $FUZZ_PART
	targets=(tests/fuzz/fuzz_*.c)
	turns=$(((${#targets[@]} + 1) / 2)) # two at a time
	seconds=$((seconds / turns))
	stage fuzz env FUZZ_SEED="${TORTURE_SEED:-0}" "${fixed[@]}" tests/fuzz/run.sh build/fuzz $((seconds > 10 ? seconds : 10)) || true
else
	not_tried fuzz
fi
