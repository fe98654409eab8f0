#!/bin/bash
# bytemill audit --catalog, killed at any instant: the database is whole, no record is wrong or lost, and the next audits
# come to where one that was not killed would have.
. "$(dirname "$0")/lib.sh"
need_cmd sqlite3
db=$BYTEMILL_STATE/catalog.db

files=1500 kills=6 sparse=250M
[ -z "${BM_SANITIZE:-}" ] || { files=400 kills=3; }
[[ "${BM_SANITIZE:-}" != *thread* ]] || sparse=50M # which then take as long as five times as much do otherwise, and longer
mkdir -p tree/{a,b,c,d}
$python - $files <<'END'
import sys
for d in "abcd":
    for i in range(int(sys.argv[1])):
        with open("tree/%s/%04d" % (d, i), "w") as f:
            f.write("%s %d\n" % (d, i) * 50)
END
for d in a b c d; do truncate -s $sparse "tree/$d/sparse"; done # so that it takes longer than a batch of the catalog
(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >SUMS

check() { # the database, and each record in it
	[ "$(sqlite3 "$db" 'PRAGMA integrity_check')" = ok ] || fail "the database is damaged: $1"
	"$BYTEMILL" catalog --export tree >exported || [ $? = 2 ] || fail "no export: $1"
	comm -23 <(sort exported) <(sort SUMS) >wrong
	[ ! -s wrong ] || fail "$1: wrong records: $(head -n 3 wrong)"
}
killed=0
kill_after() { # SECONDS ARG...: an audit with these, killed then, and gone when this returns
	local seconds=$1 pid
	shift
	"$BYTEMILL" audit -q --catalog tree "$@" >/dev/null 2>&1 &
	pid=$!
	sleep "$seconds"
	kill -KILL "$pid" 2>/dev/null || true
	status=0
	wait "$pid" 2>/dev/null || status=$?
	case $status in
	0 | 3) ;;
	137) killed=$((killed + 1)) ;;
	*) fail "killed, and exit code $status" ;;
	esac
}
# Somewhere in the time that an audit of everything takes on this machine.
begun=$(date +%s%N)
"$BYTEMILL" audit -q --catalog tree --state "$PWD/other-state" >/dev/null
whole_ms=$((($(date +%s%N) - begun) / 1000000 + 1))
kill_one() {
	local ms=$((RANDOM % whole_ms))
	kill_after "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
}

# ---- the first pass

have=0
for ((round = 1; round <= 2 * kills; round++)); do
	kill_one
	if [ $killed = 0 ]; then # it was through before: the machine has less to do now than when that was measured
		rm -f "$db" "$db-journal"
		whole_ms=$((whole_ms * 2 / 3 + 1))
	fi
	[ -e "$db" ] || continue
	check "first pass, kill $round"
	now=$(wc -l <exported)
	[ "$now" -ge "$have" ] || fail "records were lost: $have, then $now"
	have=$now
done
[ "$killed" -gt 0 ] || fail "nothing was killed"
run_bm audit --catalog tree
expect_exit 0
check "first pass, the end"
expect_same exported SUMS
[ "$(sqlite3 "$db" 'SELECT count(*) FROM files WHERE state <> 0')" = 0 ] || fail "something is not well"

# ---- a directory got another name, some files were lost, one is rotted

mv tree/b tree/moved
rm tree/d/000?
touch -r tree/c/0001 stamp
good=$(sha256sum tree/c/0001 | cut -d' ' -f1 | tr a-f A-F)
printf R | dd of=tree/c/0001 conv=notrunc status=none
touch -r stamp tree/c/0001
sed 's,  b/,  moved/,' SUMS >more
cat more >>SUMS
for ((round = 1; round <= kills; round++)); do
	kill_one
	check "changes, kill $round"
done
run_bm audit --catalog tree
expect_exit 3
check "changes, the end"
[ "$(sqlite3 "$db" "SELECT hex(digest) || state FROM files WHERE path = CAST('c/0001' AS BLOB)")" = "${good}1" ] ||
	fail "the digest of the rotted file is not what it was"
expect_stdout_match '^missing  *10$' # and no b/: what moved is known to have moved, however often the audit was killed
run_bm audit -q --catalog tree --update missing,rotted
expect_exit 0
run_bm audit -q --catalog tree
expect_exit 0
run_bm catalog --export tree
(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) | expect_stdout -

# ---- everything again, the oldest first: a kill does not begin it anew

(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >SUMS
start=$(sqlite3 "$db" 'SELECT max(verified) FROM files')
verified() { sqlite3 "$db" "SELECT count(*) FROM files WHERE verified > $start"; }
have=0 rounds=0
until [ "$(verified)" = "$(wc -l <SUMS)" ]; do
	[ $((rounds += 1)) -le 40 ] || fail "it does not come to an end"
	kill_after $((1 + rounds / 4)) --percent 100
	check "all due, $rounds"
	now=$(verified)
	[ "$now" -ge "$have" ] || fail "what was verified is not any more"
	have=$now
done
