#!/bin/bash
# Job files that are no job files: exit code 2, what is wrong and where, nothing done; quickly, and in bounded memory.
. "$(dirname "$0")/lib.sh"

mkdir in
echo data >in/one
read='{"step": "read", "from": "in"}'
write='{"step": "write", "to": "out/{path}"}'
good='{"steps": ['$read', '$write']}'
refused() { # refused RE: what is in bad.json
	run_bm run bad.json
	expect_exit 2
	expect_no_stdout
	expect_stderr_match "$1"
	expect_stderr_match 'nothing was done$'
	expect_stderr_no_match $'[\e]'
	[ "$(wc -c <"$stderr")" -lt 20000 ] || fail "much ado: $(wc -c <"$stderr") bytes"
	[ ! -e out ] || fail "something was done"
	run_bm validate bad.json
	expect_exit 2
	expect_no_stdout
}

: >bad.json
refused '^bad.json(:1:[0-9]+)?: error: .*empty'
printf '  \n\t ' >bad.json
refused '^bad.json(:[0-9]+:[0-9]+)?: error: .*empty'
for cut in 1 10 20 40 60; do
	printf '%s' "${good:0:cut}" >bad.json
	refused '^bad.json:1:[0-9]+: error: '
done
printf '%s x' "$good" >bad.json
refused '^bad.json:1:[0-9]+: error: '
printf '%s%s' "$good" "$good" >bad.json
refused '^bad.json:1:[0-9]+: error: '

# Nested deeply: no crash.
$python -c 'print("[" * 1000000)' >bad.json
refused '^bad.json:1:[0-9]+: error: .*(deep|nest)'
$python -c 'print("{\"a\":" * 1000000)' >bad.json
refused '^bad.json:1:[0-9]+: error: .*(deep|nest)'
$python -c 'print("{\"steps\": " + "[" * 500 + "]" * 500 + "}")' >bad.json
refused '^bad.json:1:[0-9]+: error: '

# 100 MB: of blanks, of one string, of steps.
$python -c 'print(" " * 100000000)' >bad.json
refused '^bad.json.*error: '
$python -c 'print("{\"name\": \"" + "x" * 100000000 + "\"}")' >bad.json
refused '^bad.json.*error: '
$python -c 'print("{\"jobs\": [" + "{}," * 33000000 + "{}]}")' >bad.json
refused '^bad.json.*error: '
rm bad.json
truncate -s 20G bad.json
refused '^bad.json.*error: '
rm bad.json

# Bytes that are no UTF-8, a BOM, NUL, UTF-16.
printf '{"name": "\xff\xfe", "steps": [%s, %s]}' "$read" "$write" >bad.json
refused '^bad.json:1:[0-9]+: error: .*UTF-8'
printf '{"steps": [{"step": "read", "from": "in\xc0\xaf"}, %s]}' "$write" >bad.json
refused '^bad.json:1:[0-9]+: error: .*UTF-8'
printf '%s\0' "$good" >bad.json
refused '^bad.json:1:[0-9]+: error: '
printf '{"steps": [{"step": "read", "from": "in\\u0000x"}, %s]}' "$write" >bad.json
refused '^bad.json:1:[0-9]+: error: '
printf '%s' "$good" | iconv -t UTF-16 >bad.json
refused '^bad.json:1:[0-9]+: error: '
head -c 5000 /dev/urandom >bad.json
refused '^bad.json(:[0-9]+:[0-9]+)?: error: '
# An escape sequence in a name does not reach the terminal.
printf '{"steps": [{"step": "r\x1b[31m"}]}' >bad.json
refused '^bad.json:1:[0-9]+: error: '
printf '{"steps": [{"step": "r\\u001b[31m"}]}' >bad.json
refused 'error: /steps/0/step: '

# Every fault at once, each with its place and what is allowed.
cat >bad.json <<'END'
{
  "name": "many",
  "name": "many",
  "memroy": "1GiB",
  "steps": [
    {"step": "read", "from": "in", "min_size": -5, "max_size": "-1KiB", "older_than": "-3d"},
    {"step": "compress", "level": 99},
    {"step": "compres"},
    {"step": "hash", "algorithms": ["sha256", "sha265"]},
    {"step": "write"}
  ]
}
END
refused '^bad.json:3:[0-9]+: error: /name: .*twice|duplicate'
expect_stderr_match '^bad.json:4:[0-9]+: error: /memroy: .*\(did you mean "memory"\?\)$'
expect_stderr_match '^bad.json:6:[0-9]+: error: /steps/0/min_size: .*-5'
expect_stderr_match '^bad.json:6:[0-9]+: error: /steps/0/max_size: .*-1KiB'
expect_stderr_match '^bad.json:6:[0-9]+: error: /steps/0/older_than: .*-3d'
expect_stderr_match '^bad.json:7:[0-9]+: error: /steps/1/level: .*99.*-100 to 19'
expect_stderr_match '^bad.json:8:[0-9]+: error: /steps/2/step: .*\(did you mean "compress"\?\)$'
expect_stderr_match '^bad.json:9:[0-9]+: error: /steps/3/algorithms/1: .*\(did you mean "sha256"\?\)$'
expect_stderr_match '^bad.json:10:[0-9]+: error: /steps/4.*to'

# What is no file.
mkdir dir.json
run_bm run dir.json
expect_exit 2
expect_stderr_match 'dir.json: .*directory; a job file is wanted'
mkdir nightly
printf '%s' "$good" >nightly.json
run_bm run nightly
expect_exit 2
expect_stderr_match '^nightly: error: .*directory \(did you mean "nightly\.json"\?\)$'
rmdir nightly
run_bm validate nightly
expect_exit 2
expect_stderr_match '^nightly: error: .*No such file.* \(did you mean "nightly\.json"\?\)$'
rm nightly.json
printf '%s' "$good" | gzip >packed.json
run_bm run packed.json
expect_exit 2
expect_stderr_match '^packed.json:1:1: error: this is no job file: .*found \\x1f$'
run_bm run ''
expect_exit 2
run_bm run missing.json
expect_exit 2
expect_stderr_match 'missing.json: .*No such file'
run_bm run
expect_exit 2
printf '%s' "$good" | run_bm run -q -
expect_exit 0
expect_same in/one out/one
rm -r out
# A good file beside a bad one is not run.
printf '%s' "$good" >good.json
echo '{' >bad.json
run_bm run good.json bad.json
expect_exit 2
[ ! -e out ] || fail "half of it was done"
expect_no_temp .
