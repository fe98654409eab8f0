#!/bin/bash
# bytemill audit --repair-from: damaged and missing files come right from a copy, block by block; what the copy cannot mend
# is left as it is, byte by byte.
. "$(dirname "$0")/lib.sh"

flip() { # FILE OFFSET...: one bit each; the time of change stays, as with rot
	$python - "$@" <<'END'
import os, sys
st = os.stat(sys.argv[1])
with open(sys.argv[1], "r+b") as f:
    for at in map(int, sys.argv[2:]):
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 8]))
os.utime(sys.argv[1], ns=(st.st_atime_ns, st.st_mtime_ns))
END
}
mkdir -p good/sub
for size in 0 1 65535 65536 65537 3000000; do head -c "$size" /dev/urandom >"good/f$size"; done
head -c 200000 /dev/urandom >good/sub/deep
hostile=$'new\nline \x1b[31m\xff -'
head -c 200000 /dev/urandom >"good/$hostile"
head -c 200000 /dev/urandom >good/--force
(cd good && "$BYTEMILL" hash -q --format json --blocks 64KiB -o ../sums.json .)
fresh() { rm -rf tree && cp -a good tree; }
same() { # the tree is as the good one, and nothing is left over
	diff -r good tree || fail "the tree is not right"
	expect_no_temp tree tree/sub
}
repair() { run_bm audit sums.json tree --repair-from good "$@"; }

# One file, damage of every kind: what is told, at any number of threads, and that it is gone.
check() { # FILE LINE PREPARE...: a regular expression of what is told
	local file=$1 line=$2 threads
	shift 2
	for threads in 1 2 8; do
		fresh
		chmod 640 "tree/$file"
		touch -h -d '2001-02-03 04:05:06.789' "tree/$file"
		"$@"
		touch -d '2001-02-03 04:05:06.789' "tree/$file"
		repair -j "$threads"
		expect_exit 0
		cp "$stdout" "told.$threads"
		expect_stdout_match "^repaired +$file: $line\$"
		expect_stdout_match '^repaired +1$'
		expect_stdout_match '^unrepaired +0$'
		same
		[ "$(stat -c '%a %.9Y' "tree/$file")" = '640 981173106.789000000' ] || fail "mode or time are others: $(stat "tree/$file")"
	done
	expect_same told.1 told.2
	expect_same told.1 told.8
	run_bm audit -q sums.json tree
	expect_exit 0
}
check f3000000 'bytes 0-65535 of 3000000' flip tree/f3000000 0
check f3000000 'bytes 2949120-2999999 of 3000000' flip tree/f3000000 2999999
check f3000000 'bytes 65536-131071 of 3000000' flip tree/f3000000 65536
check f3000000 'bytes 0-131071 of 3000000' flip tree/f3000000 65535 65536
check f3000000 'bytes 0-65535, 983040-1048575, 2949120-2999999 of 3000000' flip tree/f3000000 5 1000000 2999999
check f3000000 'bytes 983040-2999999 of 3000000' truncate -s 1000000 tree/f3000000
check f3000000 'bytes 0-2999999 of 3000000' truncate -s 0 tree/f3000000
check f3000000 '7 bytes behind its end are cut off' truncate -s 3000007 tree/f3000000
check f1 'bytes 0-0 of 1' flip tree/f1 0
check f0 '5 bytes behind its end are cut off' truncate -s 5 tree/f0
check sub/deep 'bytes 196608-199999 of 200000' flip tree/sub/deep 199999
check --force 'bytes 0-65535 of 200000' flip tree/--force 9

# Missing files come back with the manifest's time; so does a directory, and a hostile name.
fresh
rm -r tree/sub tree/f65537
flip "tree/$hostile" 65536
repair --format json
expect_exit 0
same
[ "$(stat -c %y tree/f65537)" = "$(stat -c %y good/f65537)" ] || fail "another time"
grep '"type":"repair' "$stdout" | $python -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
assert rows[-1] == {"type": "repairs", "repaired": 3, "unrepaired": 0}, rows[-1]
assert [r["verdict"] for r in rows[:-1]] == ["missing", "rotted", "missing"], rows
assert rows[0]["path"] == "f65537" and rows[0]["whole"] is True and rows[0]["bytes"] == 65537, rows[0]
assert rows[1]["ranges"] == [[65536, 131071]] and rows[1]["result"] == "repaired" and "path_base64" in rows[1], rows[1]'

# Damaged in both, in different places: each has what the other lacks; the copy stays as it is.
fresh
cp -a good copy
flip tree/f3000000 70000
flip copy/f3000000 700000
cp copy/f3000000 kept
run_bm audit sums.json tree --repair-from copy
expect_exit 0
same
expect_same copy/f3000000 kept

# In the same place: nothing is touched, and told; the others are repaired all the same.
flip tree/f3000000 70000 2000000
flip copy/f3000000 70001
flip tree/f65536 3
rm copy/f1 tree/f1
flip copy/sub/deep 1
rm tree/sub/deep
cp -p tree/f3000000 kept
inode=$(stat -c %i tree/f3000000)
run_bm audit sums.json tree --repair-from copy
expect_exit 3
expect_stdout_match '^repaired +f65536: bytes 0-65535 of 65536$'
expect_stdout_match '^unrepaired +f3000000: bytes 65536-131071 are wrong in the copy, too$'
expect_stdout_match '^unrepaired +f1: there is no copy of it$'
expect_stdout_match '^unrepaired +sub/deep: the copy is not as the manifest says, either$'
expect_stdout_match '^repaired +1$'
expect_stdout_match '^unrepaired +3$'
expect_same tree/f3000000 kept
[ "$(stat -c %i tree/f3000000)" = "$inode" ] || fail "it was replaced"
[ ! -e tree/f1 ] || fail "made of nothing"
[ ! -e tree/sub/deep ] || fail "restored from a bad copy"
expect_same tree/f65536 good/f65536
expect_no_temp tree tree/sub

# --dry-run says what would be done, and does nothing; --only leaves the rest alone.
cp -a tree before
run_bm audit sums.json tree --repair-from good --dry-run
expect_exit 3
expect_stdout_match '^repairable  f3000000: bytes 65536-131071, 1966080-2031615 of 3000000$'
expect_stdout_match '^repairable  sub/deep: all of its 200000 bytes$'
expect_stdout_match '^repairable +3$'
diff -r before tree || fail "a dry run wrote"
repair --only rotted
expect_exit 0
expect_same tree/f3000000 good/f3000000
[ ! -e tree/f1 ] || fail "missing files were not asked for"
repair
expect_exit 0
same

# The report has them behind the run's summary, a page in lists of its own; both also of a dry run.
fresh
flip tree/f3000000 70000
rm tree/f1
mv good/sub/deep kept
flip tree/sub/deep 1
for dry in --dry-run ''; do
	run_bm audit sums.json tree --repair-from good --report page.html $dry
	expect_exit 3
	$python - page.html "$dry" <<-'END'
		import re, sys
		page = open(sys.argv[1]).read()
		dry = sys.argv[2] != ""
		counts = dict(re.findall(r'id="n-(\w+)">(\d+)<', page))
		assert (counts["repaired"], counts["unrepaired"], counts["missing"], counts["rotted"]) == ("2", "1", "1", "2"), counts
		answer = re.search(r'<p class="answer bad">(.*?)</p>', page).group(1)
		assert ("2 files could be repaired, 1 file could not." if dry else "2 files were repaired, 1 file could not.") in answer, answer
		assert ("<h2 id=\"repaired\"" in page) and (">Repairable</h2>" in page) == dry, page
		lists = {h: re.findall(r'<code dir="auto">(.*?)</code></th><td role="cell">(.*?)</td>', part)
		         for h, part in re.findall(r'<h2 id="(repaired|unrepaired)"(.*?)</section>', page, re.S)}
		assert lists["repaired"] == [("f1", "all of its 1 bytes"), ("f3000000", "bytes 65536-131071 of 3000000")], lists
		assert lists["unrepaired"] == [("sub/deep", "there is no copy of it")], lists
	END
done
mv kept good/sub/deep
fresh
flip tree/f3000000 70000
flip tree/sub/deep 1
mv good/sub/deep kept
run_bm audit sums.json tree --repair-from good --report report.jsonl --quiet
expect_exit 3
mv kept good/sub/deep
$python - <<-'END'
	import json
	rows = [json.loads(line) for line in open("report.jsonl")]
	types = [r["type"] for r in rows]
	assert types[-4:] == ["summary", "repair", "repair", "repairs"] and set(types[:-4]) == {"file"}, types
	assert rows[-3]["path"] == "f3000000" and rows[-3]["ranges"] == [[65536, 131071]] and rows[-3]["result"] == "repaired"
	assert rows[-2]["path"] == "sub/deep" and rows[-2]["reason"] == "there is no copy of it", rows[-2]
	assert rows[-1] == {"type": "repairs", "repaired": 1, "unrepaired": 1}, rows[-1]
END
fresh

# Without digests of blocks all of the file is taken. Other formats are told of it on standard error.
(cd good && sha256sum -- f* sub/deep) >SHA256SUMS
flip tree/f3000000 1
run_bm audit SHA256SUMS tree --ignore-new --repair-from good --format gnu
expect_exit 0
expect_stdout_match '^f3000000: FAILED$'
expect_stderr_match 'repaired +f3000000: all of its 3000000 bytes$'
same

# A line whose blocks and whole contradict each other: not touched.
sed 's#\(f3000000".*"sha256":"\)[0-9a-f]\{8\}#\100000000#' sums.json >odd.json
flip tree/f3000000 1
cp -p tree/f3000000 kept
run_bm audit odd.json tree --repair-from good
expect_exit 3
expect_stdout_match '^unrepaired  f3000000: with its damaged blocks replaced it still has another digest'
expect_same tree/f3000000 kept

# Links: through one that stays below the directory it is repaired, and the link stays; out of it nothing is written.
fresh
mv tree/f65537 tree/sub/moved-here
ln -s sub/moved-here tree/f65537
mkdir outside
mv tree/sub/deep outside/deep
ln -s ../../outside/deep tree/sub/deep
mv tree/f3000000 outside
ln -s ../outside/f3000000 tree/f3000000
flip tree/sub/moved-here 5
flip outside/deep 5
flip outside/f3000000 5
cp -a outside outside.before
repair --ignore-new
expect_exit 3
expect_stdout_match '^repaired +f65537: bytes 0-65535 of 65537$'
expect_stdout_match '^unrepaired +sub/deep: leads out of the directory'
expect_stdout_match '^unrepaired +f3000000: leads out of the directory'
expect_same tree/sub/moved-here good/f65537
[ -L tree/f65537 ] || fail "the link is gone"
diff -r outside outside.before || fail "written outside"
fresh
rm -r tree/sub
mkdir elsewhere
ln -s ../elsewhere tree/sub
repair
expect_exit 3
expect_stdout_match '^unrepaired +sub/deep: leads out of the directory'
[ -z "$(ls elsewhere)" ] || fail "written outside"

# The tree itself is no copy of it.
fresh
flip tree/f3000000 1
run_bm audit sums.json tree --repair-from tree
expect_exit 3
expect_stdout_match '^unrepaired  f3000000: the copy is the very same file$'

# What cannot be.
run_bm audit - tree --repair-from good <sums.json
expect_exit 2
repair --update new
expect_exit 2
repair --only new
expect_exit 2
run_bm audit sums.json tree --repair-from nowhere
expect_exit 2

# ---- killed

mkdir big.good big.tree
head -c 60M /dev/urandom >big.good/file
"$BYTEMILL" hash -q --format json --blocks 64KiB -o big.json big.good
cp -a big.good/file damaged
flip damaged 0 30000000 62000000
cp -a damaged big.tree/file
killed=0
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
	"$BYTEMILL" audit -q --strip big.good big.json big.tree --repair-from big.good >/dev/null 2>&1 &
	pid=$!
	if [ $((round % 2)) = 1 ]; then # at work on the temp file
		wait_until eval 'compgen -G "big.tree/.bytemill-audit-repair-$pid-*" >/dev/null || ! kill -0 $pid 2>/dev/null'
	else # at any instant
		sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	fi
	kill -KILL "$pid" 2>/dev/null || true
	status=0
	wait "$pid" 2>/dev/null || status=$?
	case $status in
	137) killed=$((killed + 1)) ;;
	0) ;;
	*) fail "killed, and exit code $status" ;;
	esac
	if cmp -s big.tree/file big.good/file; then
		cp -a damaged big.tree/file
	else
		expect_same big.tree/file damaged
	fi
done
[ "$killed" -gt 0 ] || fail "nothing was killed"
run_bm audit --strip big.good big.json big.tree --repair-from big.good --ignore-new
expect_exit 0
expect_same big.tree/file big.good/file
expect_no_temp big.tree
