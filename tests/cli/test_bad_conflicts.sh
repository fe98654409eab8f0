#!/bin/bash
# Outputs that hit each other, their own inputs, or what else the run reads: exit code 2 and nothing written where it can
# be known before, a failed file where not; never lost data.
. "$(dirname "$0")/lib.sh"

mkdir -p t/x t/y
echo 1 >t/a
echo 2 >t/b
echo x >t/x/n
echo y >t/y/n
job() { printf '%s' "$1" >job.json; }
refused() { # refused RE: exit code 2, a message, the tree as it was
	run_bm run job.json
	expect_exit 2
	expect_stderr_match "$1"
	expect_stderr_match 'nothing was done$'
	(find . -type f ! -name '*.json' ! -name list -printf '%p ' -exec cat {} \; | sort) >"$top/after"
	expect_same "$top/before" "$top/after"
	expect_no_temp .
}
(find . -type f -printf '%p ' -exec cat {} \; | sort) >"$top/before"

# Two streams, one output: both are named.
job '{"steps": [{"step": "read", "from": "t"}, {"step": "write", "to": "out/{name}"}]}'
refused 'out/n: t/x/n and t/y/n would both be written here; put \{path\} into the target, or say "combine": true$'
job '{"steps": [{"step": "read", "from": ["t/x", "t/y"]}, {"step": "write", "to": "out/{path}"}]}'
refused 'out/n: t/x/n and t/y/n would both be written here; read from one directory above both, or say "combine": true$'
job '{"steps": [{"step": "read", "from": "t/*"}, {"step": "write", "to": "out/one"}]}'
refused 'out/one: .*a and .*b would both be written here.*combine'
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "t/x"}, {"step": "write", "to": "out/{path}"}]},
	{"name": "two", "steps": [{"step": "read", "from": "t/y"}, {"step": "write", "to": "out/{path}"}]}]}'
refused 'out/n: t/x/n and t/y/n would both be written here, by /jobs/0/steps/1 \(write\) and /jobs/1/steps/1 \(write\) of job\.json; give one of them another "to"$'
# One stream, one output, but two steps: they are named, not the input twice.
job '{"steps": [{"step": "read", "from": "t/x"}, {"step": "hash"}, {"step": "copy", "to": "out/{path}"}, {"step": "compress"},
	{"step": "write", "to": "out/./{name}"}]}'
refused 'out/n: t/x/n would be written here twice, by /steps/2 \(copy\) and /steps/4 \(write\) of job\.json; give one of them another "to"$'
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "t"}, {"step": "write", "to": "fine/{path}"}]},
	{"name": "two", "steps": [{"step": "read", "from": "t/y"}, {"step": "copy", "to": "out/{name}"}, {"step": "copy", "to": "out/{path}"}]}]}'
refused 'out/n: t/y/n would be written here twice, by /jobs/1/steps/1 \(copy\) and /jobs/1/steps/2 \(copy\) of job\.json; '
# ... or two jobs, of one file or of two.
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "t/x"}, {"step": "write", "to": "out/{path}"}]},
	{"name": "two", "steps": [{"step": "read", "from": "t/x"}, {"step": "compress"}, {"step": "write", "to": "out/{path}"}]}]}'
refused 'out/n: t/x/n would be written here twice, by /jobs/0/steps/1 \(write\) and /jobs/1/steps/2 \(write\) of job\.json; '
job '{"steps": [{"step": "read", "from": "t/x"}, {"step": "write", "to": "out/{path}"}]}'
sed 's/"steps"/"name": "two", "steps"/' job.json >$'two\n.json'
run_bm run job.json $'two\n.json'
expect_exit 2
expect_stderr_match 'out/n: t/x/n would be written here twice, by /steps/1 \(write\) of job\.json and /steps/1 \(write\) of two\\n\.json; '
rm two*
# One step, but the input is named twice.
job '{"steps": [{"step": "read", "from": ["t/x", "t/x"]}, {"step": "write", "to": "out/{path}"}]}'
refused 'out/n: t/x/n is read twice, and would be written here twice; name it once in the inputs$'
# The same directory under another name.
mkdir real
ln -s real link
job '{"jobs": [{"name": "one", "steps": [{"step": "read", "from": "t/x"}, {"step": "write", "to": "real/{path}"}]},
	{"name": "two", "steps": [{"step": "read", "from": "t/y"}, {"step": "write", "to": "link/{path}"}]}]}'
refused 'real/n: .*t/x/n and .*t/y/n would both be written here'
printf 't/a\nt/b\n./t/a\n' >list
job '{"steps": [{"step": "read", "files_from": "list"}, {"step": "write", "to": "out/{path}"}]}'
refused 'out/t/a: t/a and ./t/a would both be written here; name each input once, '

# A list that can be read once: the second one fails, the first stays.
printf 't/a\nt/b\nt/a\n' >list
job '{"steps": [{"step": "read", "files_from": "-"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json <list
expect_exit 1
expect_stderr_match '^bytemill: error: t/a: .*out/t/a: .*would both be written here'
expect_same t/a out/t/a
expect_same t/b out/t/b
expect_no_temp .
rm -r out
# There too it is told when it is two steps.
printf 't/a\nt/b\n' >list
job '{"steps": [{"step": "read", "files_from": "-"}, {"step": "copy", "to": "out/{path}"}, {"step": "write", "to": "out/t/{name}"}]}'
run_bm run job.json <list
expect_exit 1
for file in a b; do
	expect_stderr_match "^bytemill: error: t/$file: .*out/t/$file: t/$file would be written here twice, by /steps/1 \\(copy\\) and /steps/2 \\(write\\) of job\\.json; "
done
[ ! -e out ] || fail "it wrote"

# An output that is its own input.
job '{"steps": [{"step": "read", "from": "t"}, {"step": "compress"}, {"step": "write", "to": "t/{path}"}]}'
refused 't/a: this output is its own input'
job '{"steps": [{"step": "read", "from": "t/a"}, {"step": "write", "to": "t/a", "if_exists": "append"}]}'
refused 't/a: this output is its own input'
job '{"steps": [{"step": "read", "from": "t/a"}, {"step": "write", "to": "t/a", "combine": true}]}'
refused 't/a: this file is named as an input and would be replaced'
job '{"steps": [{"step": "read", "from": ["t/b", "t/a"]}, {"step": "write", "to": "t/a", "combine": true, "if_exists": "append"}]}'
refused 't/a: this file is named as an input and would be replaced'
job '{"steps": [{"step": "read", "from": "t/a"}, {"step": "hash", "manifest": "t/a"}]}'
refused 't/a: this file is named as an input and would be replaced'
run_bm hash -o t/a t/b t/a
expect_exit 2
[ "$(cat t/a)" = 1 ] || fail "the input was replaced"
printf '%s\n' "$tmp/t/a" >list
job '{"steps": [{"step": "read", "files_from": "list"}, {"step": "compress"}, {"step": "write", "to": "/{path}"}]}'
refused 't/a: this output is its own input'
# Where a link hides it, it is found when it is opened.
ln -s a t/link
for pair in link:a a:link; do
	job '{"steps": [{"step": "read", "from": "t/'"${pair%:*}"'"}, {"step": "compress"}, {"step": "write", "to": "t/'"${pair#*:}"'"}]}'
	run_bm run job.json
	expect_exit 1
	expect_stderr_match 'is its own input'
	[ "$(cat t/a)" = 1 ] || fail "the input was replaced"
done
rm t/link

# A manifest and an output of one name: known only when the file comes; it fails, the others are done.
echo of-mine >t/SUMS
job '{"steps": [{"step": "read", "from": "t"}, {"step": "hash", "manifest": "out/SUMS"}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match 't/SUMS: .*manifest'
(cd out && sha256sum -c --strict --quiet SUMS) || fail "sha256sum -c says no"
diff -r -x SUMS t out >&2 || fail "the others were not written"
rm -r out t/SUMS

# Outputs inside the tree that is read are no inputs, in the first run nor in the second.
job '{"steps": [{"step": "read", "from": "t"}, {"step": "hash", "manifest": "t/SUMS"}, {"step": "copy", "to": "t/mirror/{path}"},
	{"step": "compress"}, {"step": "write", "to": "t/{path}.gz"}]}'
for i in 1 2; do
	run_bm run job.json
	expect_exit 0
	expect_stderr_match '^bytemill: 4 files done, 0 failed'
	[ "$(find t -type f | wc -l)" = 13 ] || fail "run $i: $(find t -type f)"
	(cd t && sha256sum -c --strict --quiet SUMS) || fail "run $i: sha256sum -c says no"
	[ "$(wc -l <t/SUMS)" = 4 ] || fail "run $i: lines"
	gzip -t t/a.gz t/b.gz t/x/n.gz t/y/n.gz
done
expect_stderr_match 'passed over: (it is an output|they are outputs) of this run'
expect_stderr_match '^bytemill: 4 files done, 0 failed, 0 skipped, [0-9]+ passed over; '
expect_no_temp .
