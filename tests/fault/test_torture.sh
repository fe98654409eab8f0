#!/bin/bash
# tests/torture.sh, with a cmake and a ctest that do nothing: a stage that fails does not stop the others, what was not built is
# not tried, the time is divided, and the end says what was.
. "$(dirname "$0")/../cli/lib.sh"

mkdir -p tests/fuzz tests/fault scripts bin
cp "$BM_SOURCE_DIR/tests/torture.sh" tests
echo '# TORTURE_SECONDS' >tests/fault/test_rounds.sh
touch tests/fuzz/fuzz_{a,b,c}.c
printf '#!/bin/bash\necho "setup $*" >>calls\n' >scripts/setup.sh
cat >tests/fuzz/run.sh <<'END'
#!/bin/bash
echo "fuzz $* FUZZ_SEED=$FUZZ_SEED" >>calls
echo "fuzz a: seed 12, 345 inputs tried in $2 s"
END
cat >bin/cmake <<'END'
#!/bin/bash
echo "cmake $*" >>calls
[[ "$*" != --build*"$no_build"* ]]
END
cat >bin/ctest <<'END'
#!/bin/bash
echo "ctest $* TORTURE_SECONDS=$TORTURE_SECONDS BM_SEED=$BM_SEED" >>calls
echo "7: kill sweep: seed 5, tried 3 of 9 cases in 2 s: fsync 3"
[[ "$*" != *"$no_test"* ]]
END
chmod +x bin/* scripts/* tests/fuzz/*.sh
export PATH=$tmp/bin:$PATH no_build no_test
torture() { # torture: $status, $stdout
	rm -f calls
	last="(tests/torture.sh)" status=0
	tests/torture.sh >"$stdout" 2>"$stderr" || status=$?
}

no_build=none no_test=none TORTURE_MINUTES=44 TORTURE_SEED=77 torture
expect_exit 0
for name in build-release long kill_sweep fault_sweep build-asan kill_sweep-asan fault_sweep-asan build-fuzz fuzz; do
	expect_stdout_match "^ok +[0-9]+ s  $name\$"
done
expect_stdout_match '^==== torture: seed 77, 0 of 44 minutes$'
expect_stdout_match '^ +kill sweep: seed 5, tried 3 of 9 cases'
expect_stdout_match '^ +fuzz a: seed 12, 345 inputs tried'
# 44 minutes are 24 parts: 4 for the scripts (110 s each, less 300 s in all), 3 for each sweep, 8 for the fuzzers, in two
# turns; and what was left over goes to those after it.
near() { # near FOUND WANTED: a slow machine has used some of it
	[ "$1" -le "$2" ] && [ "$1" -ge $(($2 - 50)) ] || fail "wanted $2 s: $(cat calls)"
}
mapfile -t found < <(sed -nE 's/^ctest .* TORTURE_SECONDS=([0-9]+) BM_SEED=77$/\1/p; s/^fuzz build.fuzz ([0-9]+) FUZZ_SEED=77$/\1/p' calls)
wanted=(140 396 465 565 720 1320)
[ ${#found[@]} = ${#wanted[@]} ] || fail "not all was tried: $(cat calls)"
for i in "${!wanted[@]}"; do near "${found[i]}" "${wanted[i]}"; done

# A test fails, and a build: all the others are still tried.
no_build=asan no_test='-R fault\.kill' TORTURE_MINUTES=1 torture
expect_exit 1
expect_stdout_match '^FAILED +[0-9]+ s  kill_sweep$'
expect_stdout_match '^FAILED +[0-9]+ s  build-asan$'
expect_stdout_match '^not tried +0 s  fault_sweep-asan$'
for name in build-release long fault_sweep build-fuzz fuzz; do expect_stdout_match "^ok +[0-9]+ s  $name\$"; done
expect_stdout_match '^==== torture: FAILED; the whole output is in build/torture, TORTURE_SEED=[0-9]+ tries the same$'
[ -s build/torture/kill_sweep.log ] || fail "no log"
grep -q ' FUZZ_SEED=0$' calls || fail "the corpora are not kept: $(cat calls)"

for wrong in 0 x 1.5 -1; do
	TORTURE_MINUTES=$wrong torture
	expect_exit 2
	expect_stderr_match 'a number of minutes is wanted'
	[ ! -e calls ] || fail "something was done"
done
