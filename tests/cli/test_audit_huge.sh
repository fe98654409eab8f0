#!/bin/bash
# bytemill audit, diff and hash -c with a manifest of two million lines: right, and within bounded memory.
# LONG
. "$(dirname "$0")/lib.sh"

mkdir tree
for i in {0..9}; do echo "content $i" >"tree/f$i"; done
$python - <<-'PY'
	import hashlib, os
	with open("SUMS", "w") as f, open("sums.json", "w") as j:
	    for i in range(2000000):
	        k = i * 777767 % 2000000
	        name = f"f{k}" if k < 10 else f"gone/{k % 977}/a name of some length, {k}"
	        data = open(f"tree/f{k}", "rb").read() if k < 10 else b"%d" % k
	        digest = hashlib.sha256(data).hexdigest()
	        f.write(f"{digest}  {name}\n")
	        j.write(f'{{"path":"{name}","size":{len(data)},"sha256":"{digest}"}}\n')
PY
expect_peak() { # KIB: of the last one
	[ -n "${BM_SANITIZE:-}" ] || [ "$(<peak)" -le "$1" ] || fail "$(<peak) KiB of memory; at most $1 were to be used"
}
run_measured() { # ARG...: as run_bm
	last=${*@Q}
	status=0
	$python "$BM_SOURCE_DIR/tests/bench/peak_rss.py" peak "$BYTEMILL" "$@" >"$stdout" 2>"$stderr" || status=$?
}
for manifest in SUMS sums.json; do
	run_measured audit "$manifest" tree --memory 64MiB
	expect_exit 3
	expect_stdout_match '^ok +10$'
	expect_stdout_match '^missing +1,999,990$'
	[ "$(grep -c '^missing     gone/' "$stdout")" = 1999990 ] || fail "not all are listed"
	expect_peak $((320 * 1024))
	run_measured audit "$manifest" tree --memory 64MiB --ignore-missing
	expect_exit 0
	expect_stdout_match '^ok +10$'
done
run_measured diff SUMS sums.json
expect_exit 0
expect_stdout_match '^ok +2,000,000$'
expect_peak $((400 * 1024))
(cd tree && run_bm hash -c --ignore-missing --quiet ../SUMS && expect_exit 0 && expect_no_stdout && expect_no_stderr)
expect_no_temp .
