#!/bin/bash
# The step verify in job files: beside other steps, after the job that makes its manifest, through symbolic names.
. "$(dirname "$0")/lib.sh"
need_cmd jq

mkdir -p tree/d
for i in 1 2 3 4; do echo "content $i" >"tree/f$i"; done
echo deep >tree/d/deep
(cd tree && sha256sum f* d/deep) >SUMS

# A file that is not as it should be is not copied; one that is not in the manifest is.
cat >copy.json <<'END'
{ "steps": [ { "step": "read", "from": "tree" }, { "step": "verify", "manifest": "SUMS" },
	{ "step": "hash", "manifest": "copies/SUMS" }, { "step": "copy", "to": "copies/{path}" } ] }
END
run_bm run -q copy.json
expect_exit 0
expect_no_stdout
expect_no_stderr
diff -r tree copies --exclude SUMS >difference || fail "$(cat difference)"
rm -r copies
echo changed >tree/f1
echo new >tree/new
rm tree/f2
run_bm run copy.json --report report.jsonl
expect_exit 3
expect_stderr_match '^bytemill: error: tree/f1: sha256 is .*, the manifest says '
expect_stderr_match '^bytemill: error: tree/f2: is missing$'
expect_stderr_match '4 files done, 2 failed, 0 skipped; 3 ok, 1 changed, 1 new, 1 missing; '
[ ! -e copies/f1 ] && [ ! -e copies/f2 ] || fail "a bad file was copied"
(cd copies && sha256sum -c --quiet --strict SUMS) || fail "the manifest of the copies"
[ "$(wc -l <copies/SUMS)" = 4 ] || fail "its lines"
jq -r 'select(.type == "file") | .verdict' report.jsonl | sort | uniq -c | tr -s ' ' >found
expect_same found <(printf ' 1 changed\n 1 missing\n 1 new\n 3 ok\n')
# Only new files: nothing has failed, and yet it is not as the manifest says.
sed -i '/ f[12]$/d' SUMS
rm tree/f1
run_bm run -q copy.json
expect_exit 3
expect_stderr_match '^bytemill: 4 files done, 0 failed, 0 skipped; 3 ok, 1 new; '

# "stop" stops at the first file that is not ok.
echo changed >tree/f3
sed 's/{ "steps"/{ "on_error": "stop", "steps"/' copy.json >stop.json
rm -r copies
run_bm run -q stop.json
expect_exit 3
[ ! -e copies/SUMS ] || fail "the job went on"

# What was written is verified by the next job, with the manifest that the first has made.
rm -rf tree/new copies
cat >chain.json <<'END'
{ "jobs": [
	{ "name": "mirror", "steps": [ { "step": "read", "from": "tree" },
		{ "step": "hash", "manifest": "out/{date:%Y}.sums", "name": "{path}" }, { "step": "copy", "to": "out/{path}" } ] },
	{ "name": "check", "after": "mirror", "steps": [ { "step": "read", "from": "out" },
		{ "step": "verify", "manifest": "out/{date:%Y}.sums" } ] } ] }
END
run_bm run chain.json --report report.jsonl
expect_exit 0
expect_stderr_match ' 3 ok;'
run_bm run -q chain.json # and again, over what is there
expect_exit 0
sed -i 's/"check", "after": "mirror"/"check"/' chain.json
rm -r out
run_bm run -q chain.json # not without the order: there is no manifest yet
expect_exit 2
expect_stderr_match '\.sums'

# validate says what it knows, and changes nothing.
run_bm validate copy.json
expect_exit 0
expect_stdout_match 'verify +SUMS: gnu, 3 entries, sha256$'
mv SUMS away
run_bm validate copy.json
expect_exit 2
mv away SUMS
echo junk >>SUMS
run_bm run copy.json
expect_exit 3
expect_stderr_match 'SUMS:4: neither'
expect_stderr_match '1 bad line in manifests; '
sed 's/"manifest": "SUMS"/"manifest": "SUMS", "strict": true/' copy.json >strict.json
run_bm run strict.json
expect_exit 2
expect_stderr_match 'SUMS:4: '

# A manifest on standard input; little memory, where the plan is made twice.
sed -i '$d' SUMS
rm -r copies
sed 's/"SUMS"/"-"/; s/{ "steps"/{ "memory": "1MiB", "steps"/' copy.json >stdin.json
echo 'content 3' >tree/f3
run_bm run -q -j 8 stdin.json <SUMS
expect_exit 0
diff -r tree copies --exclude SUMS >difference || fail "$(cat difference)"
expect_no_temp .
