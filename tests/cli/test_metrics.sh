#!/bin/bash
# --metrics: a text file that Prometheus' own parser takes, whatever the run came to; replaced as a whole; errors told.
. "$(dirname "$0")/lib.sh"
need_cmd jq
$python -c 'import prometheus_client.parser' 2>/dev/null || skip "no python3-prometheus-client here"

# metrics FILE JQ: what the parser makes of it, [{name, type, labels, value}]
metrics() {
	$python - "$1" <<'END' | jq -c "$2"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
out = []
for family in text_string_to_metric_families(open(sys.argv[1], encoding="utf-8").read()):
    assert family.documentation, family.name
    for s in family.samples:
        out.append({"name": s.name.removeprefix("bytemill_last_run_"), "type": family.type, "labels": s.labels, "value": s.value})
json.dump(out, sys.stdout)
END
	! command -v promtool >/dev/null || promtool check metrics <"$1" >&2 || fail "promtool does not take $1"
}
value() { metrics "$1" "[.[] | select(.name == \"$2\" and .labels.job_name == \"$3\") | .value | floor]"; }

mkdir in
head -c 3000 /dev/urandom >in/one
head -c 4000 /dev/urandom >in/two
job() { # job NAME FROM: to n.json
	jq -n --arg name "$1" --argjson from "$2" \
		'{name: $name, steps: [{step: "read", from: $from}, {step: "copy", to: "out/{name}", if_exists: "skip"}]}' >n.json
}
job good '"in"'
before=$(date +%s)
run_bm run -q --metrics m.prom n.json
expect_exit 0
expect_no_stderr
[ "$(metrics m.prom '[.[] | .type] | unique')" = '["gauge"]' ] || fail "$(cat m.prom)"
[ "$(metrics m.prom '[.[] | .name] | unique | sort')" = \
	'["bytes_read","bytes_written","differences","duration_seconds","exit_code","files","success","timestamp_seconds"]' ] ||
	fail "$(cat m.prom)"
for row in exit_code=0 success=1 bytes_read=7000 bytes_written=7000 differences=0; do
	[ "$(value m.prom "${row%=*}" good)" = "[${row#*=}]" ] || fail "${row%=*}: $(cat m.prom)"
done
[ "$(metrics m.prom '[.[] | select(.name == "files") | [.labels.state, (.value | floor)]]')" = '[["done",2],["failed",0],["skipped",0]]' ] ||
	fail "$(cat m.prom)"
metrics m.prom '.[] | select(.name == "timestamp_seconds") | .value' | { read -r at; awk -v a="$at" -v b="$before" -v n="$(date +%s)" 'BEGIN { exit !(a >= b && a < n + 1) }' || fail "timestamp $at"; }
[ "$(stat -c %a m.prom)" = 644 ] || fail "its mode is $(stat -c %a m.prom)"

# Each job's own figures; a failure, one that is skipped, and names that have to be escaped.
cat >n.json <<'END'
{"jobs": [{"name": "a \"b\" \\ é", "steps": [{"step": "read", "from": ["in/one", "nowhere"]}, {"step": "hash"}]},
          {"name": "other", "steps": [{"step": "read", "from": "in/two"}, {"step": "hash"}]},
          {"name": "late", "after": "a \"b\" \\ é", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}]}
END
run_bm run -q --metrics m.prom n.json
expect_exit 1
[ "$(metrics m.prom '[.[] | select(.name == "success" or .name == "bytes_read" or .name == "exit_code") | [.name, .labels.job_name, (.value | floor)]]')" = \
	'[["success","a \"b\" \\ é",0],["success","other",1],["success","late",0],["exit_code","a \"b\" \\ é",1],["exit_code","other",1],["exit_code","late",1],["bytes_read","a \"b\" \\ é",3000],["bytes_read","other",4000],["bytes_read","late",0]]' ] ||
	fail "$(cat m.prom)"

# A run that could not start, one that was stopped by a signal, a dry run, one that was refused.
cat >conflict.json <<'END'
{"name": "conflict", "steps": [{"step": "read", "from": ["in/one", "in/two"]}, {"step": "write", "to": "flat/x"}]}
END
run_bm run -q --metrics m.prom conflict.json
expect_exit 2
[ "$(metrics m.prom '[.[] | select(.name == "success" or .name == "exit_code") | (.value | floor)]')" = '[0,2]' ] || fail "$(cat m.prom)"
cp m.prom old
run_bm run -q -n --metrics m.prom n.json
expect_same m.prom old
mkfifo gate
job stopped '"gate"'
"$BYTEMILL" run -q --metrics m.prom n.json >/dev/null 2>&1 &
victim=$!
held() { grep -qs "^pid $victim$" "$BYTEMILL_STATE"/locks/*.lock; }
wait_until held
run_bm run -q --metrics m.prom n.json
expect_exit 4
expect_same m.prom old
exec 9>gate
kill -TERM "$victim"
wait "$victim" 2>/dev/null || true
exec 9>&-
[ "$(metrics m.prom '[.[] | select(.name == "success" or .name == "exit_code") | (.value | floor)]')" = '[0,143]' ] || fail "$(cat m.prom)"

# Whoever reads meanwhile sees the old file or the new one: it is another file each time, and nothing else is left.
job good '"in"'
exec 8<m.prom
run_bm run -q --metrics m.prom n.json
[ "$(stat -c %i m.prom)" != "$(stat -L -c %i /dev/fd/8)" ] || fail "it was written in place"
cmp -s - m.prom <&8 && fail "the old one had the same content"
exec 8<&-
expect_no_temp .

# It is no input of the run, wherever it stands.
run_bm run -q --metrics in/m.prom n.json
run_bm run -q --metrics in/m.prom n.json
expect_exit 0
[ ! -e out/m.prom ] || fail "the metrics were read as an input"
rm in/m.prom

# Files of the program's own that cannot be where they are to be: nothing is done.
mkdir -p some/dir
rm -r out
while IFS='|' read -r option text; do
	# shellcheck disable=SC2086
	run_bm run -q $option n.json
	expect_exit 2
	expect_stderr_match "^bytemill: error: $text"
	expect_stderr_match '^bytemill: nothing was done$'
	[ ! -e out ] || fail "$option: it was done"
done <<'END'
--metrics nowhere/m.prom|nowhere/m.prom: the metrics cannot be written \(make its directory first\): No such file
--metrics some/dir|some/dir: the metrics cannot be written \(name a file in it\): Is a directory
--metrics n.json/m.prom|n.json/m.prom: the metrics cannot be written \(what its path has for a directory is none\): Not a
--report nowhere/r|the report nowhere/r cannot be written \(make its directory first\): No such file
--report some/dir|the report some/dir cannot be written \(name a file in it\): Is a directory
--log some/dir|some/dir: the log cannot be opened \(name a file in it\): Is a directory
--log n.json/l|n.json/l: the log cannot be opened \(what its path has for a directory is none\): Not a directory
END
# It cannot be written in the end: a warning, and exit code 1 where all else was well. The old one stays.
cp m.prom old
# With the limit of 1 block not even a short file can be had in whole where all else is written already.
cat >hash.json <<'END'
{"name": "hash", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]}
END
(ulimit -f 1 && run_bm run -q --no-lock --metrics m.prom hash.json && echo "$status" >code && cp "$stderr" said)
[ "$(<code)" = 1 ] || fail "exit code $(<code)"
grep -q '^bytemill: warning: m.prom: the metrics cannot be written: File too large' said || fail "$(cat said)"
expect_same m.prom old
expect_no_temp .
# A job file that was named by mistake is not lost.
cp n.json keep.json
run_bm run -q --metrics n.json n.json
expect_exit 2
expect_stderr_match 'would replace n\.json, which holds no metrics of bytemill'
expect_same n.json keep.json
run_bm run --metrics - n.json
expect_exit 2
run_bm run --metrics in n.json
expect_exit 2

# A crontab line carries it, with its whole path.
run_bm schedule --cron @daily --metrics m.prom n.json
expect_exit 0
expect_stdout_match " --metrics $tmp/m\.prom "
