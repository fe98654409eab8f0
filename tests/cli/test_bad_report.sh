#!/bin/bash
# What a run writes beside its outputs is never one of its inputs and never lost: the report, standard output in a file.
# And what was there before stays where no input could be used.
. "$(dirname "$0")/lib.sh"

mkdir in
seq 1 >in/f1
seq 2 >in/f2
cp -r in kept

run_bm hash in/f1 in/f2 --report in/f1
expect_exit 2
expect_same kept/f1 in/f1
run_bm hash in -o sums --report sums
expect_exit 2
run_bm hash in --report in/report
expect_exit 0
[ "$(wc -l <"$stdout")" = 2 ] || fail "the report was read as an input"
[ "$(jq -rs 'map(select(.type == "file") | .path) | join(" ")' in/report)" = "f1 f2" ] || fail "the report"
rm in/report

(cd in && "$BYTEMILL" hash -q . >SUMS && sha256sum -c --strict --quiet SUMS) || fail "hash . >SUMS listed itself"
[ "$(wc -l <in/SUMS)" = 2 ] || fail "lines in SUMS"

# No input: yesterday's manifest and combined output are worth more than empty ones.
echo yesterday >all
cp all sums
echo '{"steps": [{"step": "read", "from": "gone"}, {"step": "hash", "manifest": "sums"},
	{"step": "write", "to": "all", "combine": true}]}' >gone.json
run_bm run gone.json
expect_exit 1
expect_stderr_match 'no input could be used: manifests and combined outputs were left as they were'
[ "$(cat all sums)" = $'yesterday\nyesterday' ] || fail "old outputs were replaced"
expect_no_temp .

# Fewer descriptors than files on their way would like: slower, not failed.
for i in $(seq 300); do echo "$i" >"in/h$i"; done
echo '{"steps": [{"step": "read", "from": "in"}, {"step": "copy", "to": "a/{path}", "durability": "none"},
	{"step": "write", "to": "b/{path}", "durability": "none"}]}' >many.json
(ulimit -n 48 && run_bm run -j 8 --io-depth 64 many.json && expect_exit 0) || exit 1
diff -r in a && diff -r in b || fail "copies differ"

# Two manifests in one place by two names.
mkdir m
ln -s m m2
echo '{"steps": [{"step": "read", "from": "kept"}, {"step": "hash", "algorithms": "md5", "manifest": "m/S"},
	{"step": "hash", "algorithms": "sha1", "manifest": "m2/S"}]}' >two.json
run_bm run two.json
expect_exit 2
[ ! -e m/S ] || fail "one of two manifests in one place was written"
