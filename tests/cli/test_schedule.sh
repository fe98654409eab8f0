#!/bin/bash
# schedule: the crontab line and the systemd units, as cron, the shell, crontab(1) and systemd-analyze read them. A cron
# daemon runs such a line in test_schedule_cron.sh.
. "$(dirname "$0")/lib.sh"

mkdir in bin jobs "jobs/a b%c'd"
echo text >in/a
cat >"jobs/a b%c'd/job.json" <<'END'
{"name": "night ly%", "steps": [{"step": "read", "from": "../../in"}, {"step": "write", "to": "out/{path}"}]}
END
cp "jobs/a b%c'd/job.json" jobs/plain.json
sed -i 's/night ly%/plain/; s,\.\./\.\./in,../in,' jobs/plain.json

# ---- what is wrong ----
usage() { # usage RE ARG...
	local re=$1
	shift
	run_bm schedule "$@"
	expect_exit 2
	expect_no_stdout
	expect_stderr_match "^bytemill: error: .*$re"
}
usage 'no job file' --cron '0 3 * * *'
usage 'nothing says when.*--cron "0 3 \* \* \*"$' jobs/plain.json
usage 'nothing says when.*--on-calendar' --systemd jobs/plain.json
usage 'standard input.*cannot be scheduled' --cron @daily -
usage '--on-calendar goes with --systemd' --on-calendar 03:00 jobs/plain.json
usage '--output goes with --systemd' --cron @daily -o bin jobs/plain.json
usage '--cron and --on-calendar' --systemd --cron @daily --on-calendar 03:00 jobs/plain.json
usage '--install is for crontabs' --systemd --cron @daily --install jobs/plain.json
usage '--remove.*alone' --remove --cron @daily jobs/plain.json
usage 'unknown option "--dry-run"' --dry-run --cron @daily jobs/plain.json
usage '"0 3 \* \*" has 4 fields; it takes 5: minute, hour' --cron '0 3 * *' jobs/plain.json
usage '"0 0 3 \* \* \*" has 6 fields' --cron '0 0 3 * * *' jobs/plain.json
usage 'minute is "60": allowed: 0 to 59' --cron '60 * * * *' jobs/plain.json
usage 'hour is "24": allowed: 0 to 23' --cron '* 24 * * *' jobs/plain.json
usage 'hour is "": allowed' --cron '* 1,,2 * * *' jobs/plain.json
usage 'day of the month is "0": allowed: 1 to 31' --cron '* * 0 * *' jobs/plain.json
usage 'month is "foo": allowed: 1 to 12 or jan to dec' --cron '* * * foo *' jobs/plain.json
usage 'day of the week is "8": allowed: 0 to 7' --cron '* * * * 8' jobs/plain.json
usage 'day of the week is "SUNDAY"' --cron '* * * * SUNDAY' jobs/plain.json
usage 'hour is "22-5": the range goes backwards; write it as two' --cron '0 22-5 * * *' jobs/plain.json
usage 'minute is "5/10": a step goes with a range' --cron '5/10 * * * *' jobs/plain.json
usage 'minute is "\*/0": a step is a number from 1 on' --cron '*/0 * * * *' jobs/plain.json
usage 'no year has such a day' --cron '0 0 30 2 *' jobs/plain.json
usage 'no year has such a day' --cron '0 0 31 4,6,9,11 *' jobs/plain.json
usage '"@dayly" is no word.*did you mean "@daily"' --cron @dayly jobs/plain.json
# Any words were taken, and such a timer never runs. Where systemd can be asked it is; elsewhere what does not look like it is
# refused.
mkdir nobody liar
printf '#!/bin/sh\nexit 1\n' >liar/systemd-analyze # one that knows no "calendar"
chmod +x liar/systemd-analyze
no_time() { # no_time PATH WHEN...
	local path=$1 when
	for when in "${@:2}"; do
		PATH=$path run_bm schedule --systemd --on-calendar="$when" jobs/plain.json
		expect_exit 2
		expect_no_stdout
		expect_stderr_match 'error: --on-calendar: ".*" is no time that systemd takes.*; allowed: .*"Mon\.\.Fri 03:00"'
	done
}
a_time() {
	local path=$1 when
	for when in "${@:2}"; do
		PATH=$path run_bm schedule --systemd --on-calendar "$when" jobs/plain.json
		expect_exit 0
		expect_stdout_match '^OnCalendar='
	done
}
no_time "$tmp/nobody" sometimes 3am 3 'Mo..Fr 03:00' '03:00 daily' 'Mon..' -h
no_time "$tmp/liar:$PATH" 3am
no_time "$PATH" 3am 3 -h
a_time "$tmp/nobody" Weekly Mon 'Mon, 03:00' 'sat,sunday *-*-1..7 18:30' '*-*~01 04:30:00.5' 'Mon..Fri *-*-* 03:00 Europe/Berlin' @1900000000
a_time "$tmp/liar:$PATH" '03:00 UTC'
a_time "$PATH" 'sat,sunday *-*-1..7 18:30'
PATH=$tmp/nobody run_bm schedule --systemd --on-calendar dayly jobs/plain.json
expect_stderr_match 'did you mean "daily"'
echo '{"steps": [{"step": "raed"}]}' >jobs/wrong.json
run_bm schedule --cron @daily jobs/wrong.json
expect_exit 2
expect_no_stdout
expect_stderr_match 'jobs/wrong.json:1:.*did you mean "read"'
# A job that needs a variable of this shell's would fail at night.
sed 's,"out/,"${TARGET}/,' jobs/plain.json >jobs/env.json
TARGET=x run_bm schedule --cron @daily jobs/env.json
expect_exit 2
expect_stderr_match '\$\{TARGET\} is not set'
expect_stderr_match 'of the environment the job will have HOME, LOGNAME, PATH=/usr/bin:/bin and SHELL'
run_bm schedule --cron @daily --set TARGET=x jobs/env.json
expect_exit 0
expect_stdout_match '^@daily /[^ ]*bytemill run --quiet --state ([^ ]*) --log \1/logs/plain\.log --set TARGET=x [^ ]*/jobs/env\.json # bytemill-schedule [0-9a-f]{16}$'
# So would its notify command that only the PATH of this shell leads to.
mkdir mine
printf '#!/bin/sh\n' >mine/tell-me
chmod +x mine/tell-me
sed 's,{,{"notify": {"command": ["tell-me"]}\,,' jobs/plain.json >jobs/tells.json
PATH=$PWD/mine:$PATH run_bm schedule --cron @daily jobs/tells.json
expect_exit 0
expect_stderr_match 'warning: .*the notify command tell-me cannot be run as things are \(it is looked for along PATH\)'
PATH=$PWD/mine:$PATH run_bm validate jobs/tells.json
expect_exit 0
expect_no_stderr

# ---- the line: cron takes the backslash from "\%", the shell the quotes ----
as_cron() { # as_cron LINE: runs its command as cron does
	local command=${1#* * * * * }
	(cd / && env -i HOME=/ LOGNAME=x SHELL=/bin/sh PATH=/usr/bin:/bin /bin/sh -c "${command//\\%/%}")
}
run_bm schedule --cron ' 7  3 * *	1-5' -j2 --report "r %.jsonl" --memory 64MiB --wait 1h30m "jobs/a b%c'd/job.json"
expect_exit 0
expect_no_stderr
[ "$(wc -l <"$stdout")" = 1 ] || fail "not one line"
line=$(<"$stdout")
[[ $line == '7 3 * * 1-5 /'* ]] || fail "the time is not as given: $line"
unescaped=${line//\\%/}
[[ $unescaped != *%* ]] || fail "a % that cron would take for a line break: $line"
as_cron "$line" || fail "the command fails: $line"
expect_same in/a "jobs/a b%c'd/out/a"
[ -s "r %.jsonl" ] || fail "the report is not where it was asked for"
grep -q ' info: 1 file done, ' "$BYTEMILL_STATE/logs/night_ly_.log" || fail "no log"
# The lock is the one of a run by hand, though cron knows nothing of BYTEMILL_STATE.
find "$BYTEMILL_STATE" -name '*.lock' | grep -q . || fail "another state directory than here"
touch $'jobs/line\nbreak.json' 'jobs/back\\slashes.json'
cp jobs/plain.json $'jobs/line\nbreak.json'
cp jobs/plain.json 'jobs/back\\slashes.json'
run_bm schedule --cron @daily $'jobs/line\nbreak.json'
expect_exit 2
expect_stderr_match 'line break'
run_bm schedule --cron @daily 'jobs/back\\slashes.json'
expect_exit 2
expect_stderr_match 'backslashes'
run_bm schedule --cron @daily --set "A=$(printf '%01000d' 1)" jobs/plain.json
expect_exit 2
expect_stderr_match 'crontab line would have [0-9]+ bytes'

# ---- --install and --remove, with a crontab(1) of our own ----
cat >bin/crontab <<'END'
#!/bin/bash
# Keeps it in $tab; refuses a text that does not end its last line, as crontab(1) does.
[ -z "${crontab_fails:-}" ] || { echo "crontab: you are not allowed" >&2; exit 1; }
case $1 in
-l) [ -e "$tab" ] || { echo "no crontab for somebody" >&2; exit 1; }; cat "$tab" ;;
-) cat >"$tab.new"; [ ! -s "$tab.new" ] || [ -z "$(tail -c 1 "$tab.new")" ] || exit 1; mv "$tab.new" "$tab"; echo x >>"$tab.writes" ;;
esac
END
chmod +x bin/crontab
export tab=$tmp/tab PATH=$tmp/bin:$PATH
writes() { [ -e "$tab.writes" ] && wc -l <"$tab.writes" || echo 0; }
sched() { run_bm schedule --state /s "$@"; expect_no_stdout; }

sched --install --cron '0 3 * * *' jobs/plain.json
expect_exit 0
expect_stderr_match '^bytemill: added to your crontab: 0 3 \* \* \* /'
run_bm schedule --state /s --cron '0 3 * * *' jobs/plain.json
expect_stdout tab
sched --install --cron '0 3 * * *' jobs/plain.json
expect_stderr_match '^bytemill: your crontab has it already: '
[ "$(writes)" = 1 ] || fail "written though nothing changes"
sched --remove jobs/plain.json
expect_exit 0
expect_stderr_match '^bytemill: taken out of your crontab$'
[ ! -s tab ] || fail "not removed"
sched --remove jobs/plain.json
expect_exit 0
expect_stderr_match 'has no line of this job'

# Every other byte stays: comments, variables, odd blanks, CRLF, bytes that are not UTF-8, a last line without its end.
printf 'MAILTO=root\n\n# a comment # bytemill-schedule\n 5 4 * * *\t/bin/x  \r\n\xff\xfe\n0 1 * * * y # bytemill-schedule 0123456789abcdef\nlast' >others
cp others tab
sched --install --cron '0 3 * * *' jobs/plain.json
expect_exit 0
{ cat others; echo; tail -n 1 tab; } | cmp - tab || fail "other lines have changed"
tail -n 1 tab | grep -q '^0 3 \* \* \* /.*plain\.json # bytemill-schedule [0-9a-f]\{16\}$' || fail "the line is not there: $(tail -n 1 tab)"
# In its place, though its time was changed by hand, or it was turned off; and only once.
{ echo first; sed -n '$s/^0 3/#9 9/p' tab; cat others; echo; tail -n 1 tab; } >changed
cp changed tab
sched --install -q --cron @hourly jobs/../jobs/plain.json
expect_exit 0
expect_no_stderr
{ echo first; sed -n 2p tab; cat others; echo; } | cmp - tab || fail "replaced in another place"
sed -n 2p tab | grep -q '^@hourly /' || fail "not replaced"
sched --install --cron @daily "jobs/a b%c'd/job.json"
[ "$(grep -ac 'bytemill-schedule [0-9a-f]\{16\}$' tab)" = 3 ] || fail "another job has taken the place of the first"
rm jobs/plain.json # it need not be there any more
sched --remove jobs/plain.json
expect_exit 0
sched --remove "jobs/a b%c'd/job.json"
{ echo first; cat others; echo; } | cmp - tab || fail "removal has changed other lines"
expect_exit 0
before=$(writes)
crontab_fails=1 run_bm schedule --install --cron @daily "jobs/a b%c'd/job.json"
expect_exit 2
expect_stderr_match '^bytemill: error: "crontab -l" failed: crontab: you are not allowed$'
PATH=/nowhere run_bm schedule --install --cron @daily "jobs/a b%c'd/job.json"
expect_exit 2
expect_stderr_match 'crontab cannot be run.*cron.*No such file'
[ "$(writes)" = "$before" ] || fail "written in spite of an error"

# ---- systemd ----
run_bm schedule --systemd --cron '0 3 13 * 5' --wait 10m --set 'A=$x"\' "jobs/a b%c'd/job.json"
expect_exit 0
expect_no_stderr
expect_stdout_match '^# /etc/systemd/system/bytemill-night\\x20ly\\x25\.service$'
expect_stdout_match '^ExecStart="/.*" "run" "--quiet" .*"--wait" "10m" "--set" "A=\$\$x\\"\\\\" "/.*/a b%%c.d/job\.json"$'
expect_stdout_match '^OnCalendar=\*-\*-13 03:00:00$'
expect_stdout_match '^OnCalendar=Fri \*-\*-\* 03:00:00$'
# Units that are there already are replaced where they are of the same job files, and of no others: their names are the job's.
mkdir units1
sed 's/night ly%/same/' "jobs/a b%c'd/job.json" >"jobs/a b%c'd/same.json"
sed 's,\.\./\.\./in,../in,' "jobs/a b%c'd/same.json" >jobs/same.json
run_bm schedule --systemd --cron @daily -o units1 jobs/same.json
expect_exit 0
cp -r units1 first
run_bm schedule --systemd --cron @daily -o units1 "jobs/a b%c'd/same.json"
expect_exit 2
expect_stderr_match '^bytemill: error: units1/bytemill-same\.service: this unit is there already, and is not of these job files; give the job another name'
expect_stderr_match '^bytemill: nothing was done$'
diff -r first units1 >&2 || fail "another job's units were changed"
run_bm schedule --systemd --cron @hourly -o units1 jobs/../jobs/same.json
expect_exit 0
cmp -s first/bytemill-same.service units1/bytemill-same.service || fail "the service is another"
grep -q '^OnCalendar=.*\*:00:00$' units1/bytemill-same.timer || fail "the timer was not replaced: $(cat units1/*.timer)"
rm units1/bytemill-same.service # both, or none
echo '[Timer]' >units1/bytemill-same.timer
run_bm schedule --systemd --cron @daily -o units1 jobs/same.json
expect_exit 2
expect_stderr_match '^bytemill: error: units1/bytemill-same\.timer: this unit is there already'
[ ! -e units1/bytemill-same.service ] || fail "one of two was written"
# A unit takes its name when it is complete: the old one stays where the new one cannot be written, and whoever has it open.
rm units1/bytemill-same.timer
run_bm schedule --systemd --cron @daily -o units1 jobs/same.json
expect_exit 0
cp -r units1 second
exec 8<units1/bytemill-same.timer
! (ulimit -f 0 && "$BYTEMILL" schedule --systemd --cron @hourly -o units1 jobs/same.json >/dev/null 2>&1) || fail "it can write"
diff -r second units1 >&2 || fail "a unit was written that is not complete"
run_bm schedule --systemd --cron @hourly -o units1 jobs/same.json
expect_exit 0
cmp -s - second/bytemill-same.timer <&8 || fail "the timer was written over in place"
exec 8<&-
! cmp -s second/bytemill-same.timer units1/bytemill-same.timer || fail "the timer was not replaced"
expect_no_temp units1
run_bm schedule --systemd --cron @daily -o nowhere jobs/same.json
expect_exit 2
expect_stderr_match 'error: nowhere: cannot write units there; name a directory that is there: No such file'
[ ! -e nowhere ] || fail "a directory was made"
command -v systemd-analyze >/dev/null || skip "the rest: no systemd-analyze here"
mkdir units
run_bm schedule --systemd --on-calendar 'Mon..Fri 03:00' -o units --set 'A=$x"\' "jobs/a b%c'd/job.json"
expect_exit 0
expect_stderr_match 'systemctl enable --now'
SYSTEMD_LOG_LEVEL=info systemd-analyze verify units/*.service units/*.timer >verified 2>&1 || fail "systemd-analyze verify: $(cat verified)"
[ ! -s verified ] || fail "systemd-analyze verify: $(cat verified)"
sed -i 's/Mon..Fri/Mo..Fr/' units/*.timer
! systemd-analyze verify units/*.timer >/dev/null 2>&1 || fail "the check cannot fail"

# The times are those of cron: a small cron of ours against systemd's.
cat >cron.py <<'END'
import datetime, sys
names = {n: i for i, n in enumerate("sun mon tue wed thu fri sat".split())}
names.update({n: i + 1 for i, n in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())})
def field(text, low, high):
    values = set()
    for part in text.split(","):
        part, _, step = part.partition("/")
        a, _, b = part.partition("-")
        number = lambda t: names[t.lower()] if t.lower() in names else int(t)
        first, last = (low, high) if a == "*" else (number(a), number(b or a))
        values.update(range(first, last + 1, int(step or 1)))
    return values
words = sys.argv[1].split()
minute, hour, day, month, week = (field(w, *r) for w, r in zip(words, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))))
t = datetime.datetime(2027, 1, 30, 22, 58)
found = 0
while found < 4:
    t += datetime.timedelta(minutes=1)
    w = t.isoweekday()
    by_day, by_week = t.day in day, w in week or w % 7 in week
    fits = by_day and by_week if words[2][0] == "*" or words[4][0] == "*" else by_day or by_week
    if not (fits and t.month in month):
        t = t.replace(hour=23, minute=59)
    elif t.hour in hour and t.minute in minute:
        found += 1
        print(t.strftime("%Y-%m-%d %H:%M"))
END
for when in '0 3 * * *' '*/7 */5 * * *' '*/60 * * * *' '0 0 29 2 *' '0 3 13 * 5' '30 6 1,15 jan-mar,7 *' '0 0 * * 7' '5 5 * * 0-2' \
	'5 5 * * sat,mon' '0 9-17/4 * * mon-fri' '0 0 */10 * 1' '0 0 * * 5-7' '59 23 31 12 *' '0 12 1-7 * *' '10-40/10,55 1,2,3,5 * 2-12/2 *'; do
	run_bm schedule --systemd --cron "$when" "jobs/a b%c'd/job.json"
	expect_exit 0
	sed -n 's/^OnCalendar=//p' "$stdout" |
		while read -r calendar; do
			systemd-analyze calendar --iterations=4 --base-time='2027-01-30 22:58:00' "$calendar" |
				sed -n 's/.*\(Next elapse\|Iter.*\|Iteration.*\): [A-Z][a-z][a-z] \([0-9-]* [0-9:]*\):00 UTC$/\2/p'
		done | sort | uniq | head -n 4 >found
	$python cron.py "$when" >want
	diff want found >difference || fail "$when: systemd runs it at other times than cron: $(cat difference "$stdout")"
done
