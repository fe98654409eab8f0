#!/usr/bin/env bash
# The history of runs: list, detail, JSON, the page, and how long it is kept.
. "$(dirname "$0")/lib.sh"

run_bm runs
expect_exit 2
expect_stderr <<'END'
bytemill: error: no run is on record yet
END
mkdir in
for i in 1 2 3; do seq "$i"00 >in/f$i; done
cat >job.json <<'END'
{"name": "night <b>&", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "algorithms": "md5"},
	{"step": "compress", "format": "gzip"}, {"step": "write", "to": "out/{path}.gz"}]}
END
run_bm run -q job.json
expect_exit 0
evil=$'in/gone\e[2m<script>'
mkdir out/bad && ln -s "$PWD/nowhere" "$evil"
cat >two.json <<'END'
{"jobs": [
	{"name": "first", "steps": [{"step": "read", "from": ["in", "in/none"]}, {"step": "hash"}]},
	{"name": "second", "after": "first", "steps": [{"step": "read", "from": "in"}, {"step": "hash"}]},
	{"name": "third", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "S"}]}
]}
END
sed -i 's|"in/none"|"in/n\\u001b<none>"|' two.json
run_bm run -q two.json
expect_exit 1

run_bm runs
expect_exit 0
expect_stdout_match '^RUN +STATE +STARTED +TIME +FILES +FAILED +SKIPPED +READ +RATE +JOB$'
expect_stdout_match '^2[0-9TZ.-]+ +failed +20..-..-.. ..:..:.. .* 6 +1 +0 .* first and 2 more$'
expect_stdout_match '^2[0-9TZ.-]+ +done +20..-..-.. ..:..:.. .* 3 +0 +0 .* night <b>&$'
[ "$(sed -n 2p "$stdout" | grep -c first)" = 1 ] || fail "the latest is not the first"
run_bm runs -n 1
[ "$(wc -l <"$stdout")" = 2 ] || fail "not one line"
run_bm runs --job third
[ "$(wc -l <"$stdout")" = 2 ] || fail "not the runs of one job"
run_bm runs --job other
[ "$(wc -l <"$stdout")" = 1 ] || fail "runs of a job that there is not"

run_bm runs --json
cp "$stdout" list.json
$python - <<'END' || fail "the list as JSON"
import json
rows = [json.loads(l) for l in open("list.json")]
assert [r["state"] for r in rows] == ["failed", "done"] and [r["jobs"] for r in rows] == [3, 1]
assert rows[0]["exit_code"] == 1 and rows[1]["exit_code"] == 0 and rows[1]["job"] == "night <b>&"
assert rows[1]["files_done"] == 3 and rows[1]["bytes_read"] == 292 + 692 + 1092, rows[1]
assert rows[1]["started"] <= rows[1]["ended"] <= rows[0]["started"]
open("ids", "w").write(rows[0]["run"] + "\n" + rows[1]["run"] + "\n")
END
{ read -r failed && read -r good; } <ids
run_bm runs "$failed"
expect_exit 0
expect_stdout_match '^state +failed, exit code 1$'
expect_stdout_match '^job first \(two.json\): failed$'
expect_stdout_match '^job second \(two.json\): skipped$'
expect_stdout_match '^job third \(two.json\): done$'
expect_stdout_match '^  in/n\\x1b<none>: .*No such file'
! grep "$(printf '\033')" "$stdout" || fail "a raw escape"
run_bm runs "${good%??}"
expect_stdout_match '^  0 +read +3 +2.03 KiB +2.03 KiB +[0-9.]+ s$'
expect_stdout_match '^  2 +compress +3 +2.03 KiB +[0-9.]+ '
run_bm runs --json "$failed"
cp "$stdout" one.json
$python - <<'END' || fail "one run as JSON"
import json
r = json.load(open("one.json"))
assert [j["state"] for j in r["jobs"]] == ["failed", "skipped", "done"]
assert [f["input"] for f in r["failures"]] == ["in/n\x1b<none>"] and r["failures"][0]["errno"] == 2
s = r["jobs"][0]["steps"]
assert [x["kind"] for x in s] == ["read", "hash"] and s[1]["files"] == 3 and s[1]["bytes_in"] == 2076, s
END

# What the time went into: half a second of sleep at 4 KiB/s is the read step's.
run_bm run -q --limit-rate 4KiB job.json
expect_exit 0
run_bm runs -n 1 --json
slow=$($python -c 'import json,sys; print(json.load(sys.stdin)["run"])' <"$stdout")
run_bm runs --json "$slow"
cp "$stdout" slow.json
$python - <<'END' || fail "the time of the steps"
import json
s = json.load(open("slow.json"))["jobs"][0]["steps"]
assert [x["kind"] for x in s if "busy_ms" in x] == ["read", "hash", "compress", "write"], s
assert s[0]["busy_ms"] >= 200 and s[0]["busy_ms"] > s[1]["busy_ms"], s
END
run_bm runs 2
expect_exit 2
expect_stderr_match 'more than one run whose id begins with 2'
run_bm runs 1999
expect_exit 2
expect_stderr_match 'no run 1999 on record'
for wrong in "--json --html x" "--keep 90d --json" "--keep 90d $good" "$good --job x" "$good $good"; do
	# shellcheck disable=SC2086
	run_bm runs $wrong
	expect_exit 2
	expect_no_stdout
done

# The page: well-formed, nothing but its own style, nobody's names in it raw.
run_bm runs --html list.html
expect_exit 0
run_bm runs --html one.html "$failed"
expect_exit 0
grep -q '>Busy</th>' one.html || fail "no time of the steps on the page"
$python - <<'END' || fail "the pages"
import base64, hashlib, html.parser, re
for name in "list.html", "one.html":
    text = open(name).read()
    style = re.search("<style>(.*?)</style>", text, re.S).group(1)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in text
    assert "<script" not in text and "<b>" not in text and "\x1b" not in text and "<none>" not in text
    class P(html.parser.HTMLParser):
        open = []
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br"): self.open.append(tag)
        def handle_endtag(self, tag): assert self.open.pop() == tag, tag
    p = P(); p.feed(text); assert p.open == [], p.open
assert "night &lt;b&gt;&amp;" in open("list.html").read()
assert "n\\x1b&lt;none&gt;" in open("one.html").read()
END
mkdir dir.html
run_bm runs --html dir.html
expect_exit 1

# A run that goes on is running; one that was killed is interrupted.
mkfifo fifo
echo '{"steps": [{"step": "read", "from": "fifo"}, {"step": "hash"}]}' >wait.json
"$BYTEMILL" run -q wait.json &
pid=$!
is_running() { "$BYTEMILL" runs | grep -q ' running .* wait$'; }
wait_until is_running
kill -9 $pid
wait $pid 2>/dev/null || true
run_bm runs -n 1
expect_stdout_match ' interrupted .* wait$'
run_bm run -q --no-history job.json
run_bm runs
[ "$(wc -l <"$stdout")" = 5 ] || fail "--no-history is on record"
run_bm run -q -n job.json
run_bm runs
[ "$(wc -l <"$stdout")" = 5 ] || fail "a dry run is on record"

# What is old goes: asked for, and by itself after a year.
age() { # ID DAYS
	$python - "$BYTEMILL_STATE/catalog.db" "$1" "$2" <<'END'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
ns = int(sys.argv[3]) * 86400 * 10**9
n = c.execute("UPDATE runs SET started = started - ? WHERE id = ?", (ns, sys.argv[2].encode())).rowcount
c.commit()
assert n == 1
END
}
age "$good" 100
run_bm runs --keep 101d
expect_exit 0
expect_no_stderr
run_bm runs --keep 90d
expect_exit 0
expect_no_stdout
expect_stderr <<'END'
bytemill: 1 run was dropped from the history
END
run_bm runs "$good"
expect_exit 2
age "$failed" 366
run_bm run -q job.json
run_bm runs "$failed"
expect_exit 2

# The name of a job in place of an id, and one that no run has.
run_bm runs nosuch
expect_exit 2
expect_stderr_match 'there is no run nosuch'
expect_stderr_match '"bytemill runs --job NAME"'
run_bm runs --job nosuch
expect_exit 0
expect_stderr_match 'no run of a job of this name is on record: nosuch'
run_bm catalog
expect_exit 0
expect_no_stdout
expect_stderr_match 'nothing is on record yet: bytemill audit --catalog ROOT'

# A number alone would be seconds, and drop all but everything; 0 is 0 in any unit.
run_bm runs --json
cp "$stdout" before
for keep in 5 1.5 ' 90'; do
	run_bm runs --keep "$keep"
	expect_exit 2
	expect_no_stdout
done
run_bm runs --keep 5
expect_stderr_match 'error: --keep is "5", and a number alone would be seconds; say what it is, as 5d for days or 5s for seconds'
run_bm audit --catalog in --older-than 30
expect_exit 2
expect_stderr_match '--older-than is "30".* 30d for days'
run_bm runs --json
expect_stdout before
run_bm runs --keep 1w
expect_exit 0
