#!/bin/bash
# Options: what is wrong is named with what is allowed and the nearest word, exit code 2, and nothing is done.
. "$(dirname "$0")/lib.sh"

echo '{"steps":[{"step":"read","from":"in"},{"step":"write","to":"out/{path}"}]}' >job.json
mkdir in
echo text >in/a

usage() { # usage RE ARG...: the arguments are refused with a message that matches RE
	local re=$1
	shift
	run_bm "$@"
	expect_exit 2
	expect_no_stdout
	expect_stderr_match "^bytemill: error: .*$re"
	expect_stderr_match '--help'
	[ ! -e out ] || fail "something was done"
}

usage '"--reprot" \(did you mean "--report"\?\)' run --reprot x job.json
usage 'unknown option "-Z"' run -Z job.json
usage '--threads is "0"; allowed: 1 to 1024' run -j 0 job.json
usage '--threads is "1025"; allowed: 1 to 1024' run --threads=1025 job.json
usage '--threads is "-1"' run -j-1 job.json
usage '--threads is "2x"' run -j 2x job.json
usage '--threads is "99999999999999999999"' run -j 99999999999999999999 job.json
usage '--io-depth is ""' run --io-depth= job.json
usage '--threads wants a value' run job.json -j
usage '--memory.*5Q' run --memory 5Q job.json
usage '--memory is "0"' run --memory 0 job.json
usage '--memory.*-1' run --memory=-1 job.json
usage '--progress is "sometimes"; allowed: auto, always, never' run --progress sometimes job.json
usage '--progress is "alwyas".*did you mean "always"' run --progress alwyas job.json
usage '--quiet takes no value' run --quiet=1 job.json
usage 'ambiguous: .*--output.*--one-file-system|ambiguous: .*--one-file-system.*--output' hash --o x
usage '--set is "1A=3"' run --set 1A=3 job.json
usage '--set is "NAME"' run --set NAME job.json
usage '--report is empty' run --report= job.json
usage 'unknown option "--set"' hash --set A=b x
usage 'unknown option "--dry-run"' steps --dry-run
usage 'no job file' validate
usage 'standard input.*2 times' run - -
usage '--algorithm is "sha265".*allowed: md5, .*did you mean "sha256"' hash -a sha265 x
usage '--algorithm is ""' hash -a md5,,sha1 x
usage '--format gnu.*2 algorithms.*bsd, json' hash -a md5,sha1 --format gnu x
usage '--format is "xml"; allowed: gnu, bsd, json' hash --format xml x
usage '--tag.*--format is "json"' hash --tag --format json x
usage '--zero' hash -z --tag x
usage '--zero' hash -z -a md5,sha1 x
usage '--from0' hash --from0 x
usage '--include' hash --include '[a' x
usage '--exclude' hash --exclude '' x
usage 'standard input.*2 times' hash - --files-from -
usage 'no step is called "comprss".*did you mean "compress"' steps comprss
usage '--schema and --man' steps --schema --man
usage 'report.*standard output' hash --report - in/a
usage 'options come after' -q run job.json
usage '"-q" is no command' -q
usage 'argument 2 is empty.*wanted is \[PATH\]' hash in ""
usage 'argument 1 is empty.*wanted is JOB\.json' run "" job.json
usage 'in is a directory: the manifest comes first' audit in
usage 'in is a directory: the manifest comes first' audit in in/SHA256SUMS
usage 'in is a directory, and diff compares two manifests' diff in/a in
usage 'compress is a step of a job, not a command' compress in/a
usage 'none: No such file or directory' bag none
usage 'in/a is no directory' bag in/a
usage 'unknown option "--\\x1b\[31m"' run $'--\e[31m' job.json

# What is right in other programs, or in other commands, is told where it is found here.
usage 'sha256sum is no command: "bytemill hash"' sha256sum in/a
usage 'check is no command: .*"bytemill hash -c LIST"' check in/a
usage 'zcat is no command: "bytemill cat FILE"' zcat in/a
usage 'pigz is no command: a job file' pigz in/a
usage 'version is no command: "bytemill --version"' version
usage 'unknown command "job\.json"; "bytemill run job\.json"' job.json
usage '"--sha1": did you mean "--algorithm sha1"' hash --sha1 in/a
usage '"-r": directories are taken' hash -r in
usage '"--decompress": without it cat' cat --decompress in/a
usage '"--jobs": did you mean "--threads"' run --jobs 4 job.json
usage '"--port": did you mean "--listen"' serve --port 80
usage '"--check": did you mean "--validate"' bag --check in
usage '"--json": it is an option of bytemill catalog, runs$' validate --json job.json
usage '"--set": it is an option of bytemill run, validate, schedule$' hash --set A=b x
usage '"-z": it is an option of bytemill hash$' run -z job.json
usage '"--level": it is a key of the job file, in the step compress$' run --level 9 job.json
usage '"--durability": .* in the step copy, write$' run --durability=none job.json

# A value that took an operand for itself is named before the operand is missed; too many are counted.
(cd in && sha256sum a >SUMS)
usage '--update: "in/SUMS" is none of the verdicts' audit --update in/SUMS
usage 'perhaps ROOT; 3 were given' audit in/SUMS in more
usage 'two manifests; 3 were given' diff in/SUMS in/SUMS in/SUMS
run_bm run http://h/j.json
expect_exit 2
expect_stderr_match '^http://h/j\.json: error: cannot open: No such file or directory; .*curl URL \| bytemill run -$'
usage 'http://h/x is a URL, and hash takes files.*curl' hash http://h/x
usage 'https://h/x\.gz is a URL, and cat takes files' cat https://h/x.gz

# Nothing to do is told.
mkdir none
run_bm hash none
expect_exit 0
expect_no_stdout
expect_stderr_match '^bytemill: 0 files done'
run_bm hash -q none
expect_no_stderr
# ... but one whose reader went away was not without files.
head -c 5000000 /dev/zero >big
"$BYTEMILL" cat big 2>said | head -c 2 >/dev/null || true
! grep -q 'files done' said || fail "a summary: $(cat said)"
run_bm hash -c in/SUMS
expect_exit 1
expect_stderr_match 'a: No such file'
expect_stderr_match 'names in a list are taken from the working directory'

# A word of the shell's that never was an option: names may begin with a dash.
echo text >./--tag
run_bm hash -- --tag
expect_exit 0
expect_stdout <<<"$(sha256sum -- --tag)"

# Cut short, after operands, and letters together.
run_bm validate job.json --thr 1 -qv
expect_exit 0
[ ! -e out ] || fail "validate wrote something"
run_bm run job.json --dry -j1
expect_exit 0
[ ! -e out ] || fail "--dry-run wrote something"
run_bm run -qj 2 job.json
expect_exit 0
expect_no_stdout
expect_no_stderr
expect_same in/a out/a
