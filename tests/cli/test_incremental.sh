#!/usr/bin/env bash
# A job that says "incremental" touches only what is new or changed, and its manifests are whole all the same. A catalog
# that cannot be used stops no job.
. "$(dirname "$0")/lib.sh"

for i in $(seq 40); do mkdir -p in/d$((i % 4)) && echo "$i" >in/d$((i % 4))/f$i; done
find in -type f -exec touch -d '2 hours ago' {} +
steps='{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/SUMS", "format": "json"},
	{"step": "write", "to": "out/{path}", "durability": "none"}'
echo "{\"name\": \"inc\", \"incremental\": true, \"steps\": [$steps]}" >job.json
expect_files() { expect_exit 0 && expect_stderr_match "$1 files? done, 0 failed, $2 skipped"; }
expect_equal() { # to a run that does all
	cp -a out was
	run_bm run -q --no-history job.json
	diff -r out was || fail "not the outputs and manifests of a run that does all"
	rm -rf was
}

run_bm run job.json
expect_files 40 0
cp out/SUMS SUMS.1

# The second time no input is opened, and no output is written.
find out -type f ! -name SUMS -printf '%p %i %C@\n' | sort >before
run_bm run job.json
expect_files 0 40
expect_stderr_match '0 B read, 0 B written'
find out -type f ! -name SUMS -printf '%p %i %C@\n' | sort >after
expect_same before after
expect_same out/SUMS SUMS.1
run_bm run --report report job.json
[ "$(grep -c '"state":"skipped","unchanged":true,"bytes":0,"digests":\[{"step":1' report)" = 40 ] || fail "the report"
export ASAN_OPTIONS=detect_leaks=0 # it wants to trace, too
if command -v strace >/dev/null && strace -o trace true 2>/dev/null; then
	strace -f -o trace -e trace=open,openat,openat2 "$BYTEMILL" run -q job.json
	! grep -E '"f[0-9]+"|/f[0-9]+"' trace || fail "a file was opened"
fi
unset ASAN_OPTIONS

# A record that a disk has damaged costs no other one: it is told once, the file is done again, and then it is well. Also where
# the file fails, and nothing comes in the record's place.
if command -v sqlite3 >/dev/null; then
	damage() { # damage NAME...
		for name; do sqlite3 "$BYTEMILL_STATE/catalog.db" "UPDATE done SET result = CAST(X'02ff' || result AS BLOB) WHERE path = CAST('$name' AS BLOB)"; done
	}
	damage d1/f1 d2/f2
	run_bm run -v job.json
	expect_files 2 38
	expect_stderr_match '^bytemill: inc: .*/catalog\.db: d[12]/f[12]: the record of what was done with this file is damaged; it is dropped'
	[ "$(grep -c 'is damaged' "$stderr")" = 1 ] || fail "told more than once"
	for name in d1/f1 d2/f2; do expect_stderr_match "done: in/$name "; done
	expect_same out/SUMS SUMS.1
	run_bm run job.json
	expect_files 0 40
	expect_stderr_no_match damaged
	damage d3/f3
	mv out/d3 out/d3.there
	echo >out/d3
	run_bm run job.json
	expect_exit 1
	expect_stderr_match 'd3/f3: the record'
	rm out/d3
	mv out/d3.there out/d3
	run_bm run job.json
	expect_files 1 39
	expect_stderr_no_match damaged
fi

# From elsewhere it is the same job.
mkdir elsewhere
(cd elsewhere && "$BYTEMILL" run ../job.json 2>../stderr.elsewhere)
grep -q ' 40 skipped' stderr.elsewhere || fail "another job from elsewhere"

# Changed, new, gone; outputs gone, altered, replaced.
echo more >>in/d1/f1
echo new >in/d1/new
touch -d '1 hour ago' in/d1/f1 in/d1/new
rm in/d2/f2 out/d3/f3
run_bm run -v job.json
expect_files 3 37
for name in d1/f1 d1/new d3/f3; do expect_stderr_match "done: in/$name "; done
rm out/d2/f2
expect_equal
run_bm run job.json # those were other files to it: the run without history made new ones
expect_files 40 0
echo other >out/d1/f5
touch -r in/d1/f5 out/d1/f9 # as it was
cp -p out/d1/f13 x && mv x out/d1/f13
run_bm run job.json
expect_files 2 38
cmp out/d1/f5 in/d1/f5 || fail "an output that was altered stayed"

# One that was changed within the time that its file system can tell of is never trusted.
echo now >in/d0/now
touch -d '10 seconds' in/d0/now
run_bm run -q job.json
run_bm run job.json
expect_files 0 41
is_seen=
for _ in 1 2 3 4 5; do
	touch -d '1 second' in/d0/now
	run_bm run -q job.json
	[ "$(stat -c %.9Y in/d0/now)" \> "$(date +%s.%N)" ] || continue # this machine took too long for it
	run_bm run job.json
	expect_files 1 40
	is_seen=1 && break
done
[ -n "$is_seen" ] || echo "skipped: an input of this very moment, since this machine is too slow"
touch -d '2 hours ago' in/d0/now

# All of it; and what was read again.
run_bm run --all job.json
expect_files 41 0
run_bm run --paranoid job.json
expect_files 0 41
expect_stderr_no_match ' 0 B read'
printf 9 | dd of=in/d3/f7 conv=notrunc status=none
touch -r in/d3/f11 in/d3/f7
run_bm run job.json
expect_files 0 41
run_bm run --paranoid job.json
expect_files 1 40
cmp in/d3/f7 out/d3/f7 || fail "other bytes were not seen"
# Without a digest of the input on record nothing can be compared.
echo '{"incremental": true, "steps": [{"step": "read", "from": "in"}, {"step": "copy", "to": "copy/{path}"}]}' >copy.json
run_bm run copy.json
expect_files 41 0
run_bm run copy.json
expect_files 0 41
run_bm run --paranoid copy.json
expect_files 41 0

# A date in a path: of another day they are other outputs. Another level, digest or key: another job.
cat >dated.json <<'END'
{"incremental": true, "steps": [{"step": "read", "from": "in"}, {"step": "compress", "format": "gzip", "level": ${LEVEL}},
	{"step": "write", "to": "dated/${DAY}/{path}.gz"}]}
END
sed -i 's/"level": ${LEVEL}/"level": 1/' dated.json
run_bm run --set DAY='{date}' dated.json
expect_files 41 0
run_bm run --set DAY='{date}' dated.json
expect_files 0 41
mv dated/* dated/2001-01-01
run_bm run --set DAY='{date}' dated.json
expect_files 41 0
sed -i 's/"level": 1/"level": 2/' dated.json
run_bm run --set DAY='{date}' dated.json
expect_files 41 0
# What is read may change: the rest stays done.
sed -i 's/"from": "in"/"from": "in", "exclude": "d3"/' dated.json
run_bm run --set DAY='{date}' dated.json
expect_files 0 31

# A job of its own for each: what depends on it, names from a list, two at once with one catalog.
mkdir many && for i in $(seq 300); do echo "$i" >many/$i; done
touch -d '2 hours ago' many/*
for n in 1 2 3; do
	echo "{\"name\": \"many$n\", \"incremental\": true, \"steps\": [{\"step\": \"read\", \"from\": \"many\"},
		{\"step\": \"write\", \"to\": \"many.$n/{path}\", \"durability\": \"none\"}]}" >many$n.json
done
pids=
for n in 1 2 3; do
	"$BYTEMILL" run many$n.json 2>err.$n &
	pids="$pids $!"
done
for pid in $pids; do wait "$pid" || fail "of jobs side by side one failed"; done
for n in 1 2 3; do
	[ "$(wc -l <err.$n)" = 1 ] || fail "$(cat err.$n)"
	run_bm run many$n.json
	expect_files 0 300
done
find many -type f | sort -r >list
echo '{"incremental": true, "steps": [{"step": "read", "files_from": "list"}, {"step": "hash", "manifest": "M"}]}' >list.json
run_bm run list.json
expect_files 300 0
cp M M.1
run_bm run list.json
expect_files 0 300
expect_same M M.1

# What cannot be had is refused.
echo '{"incremental": true, "steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "x", "combine": true}]}' >bad.json
run_bm validate bad.json
expect_exit 2
expect_stderr_match '/incremental: incremental cannot be had in this job: step 1 \(write\) joins all inputs'
run_bm run --no-history --paranoid job.json
expect_exit 2

# A catalog that is damaged, cannot be written, or has no room: a warning also with --quiet, and all is done.
for kind in damaged other full readonly; do
	rm -rf out
	mkdir -p broken
	case $kind in
	damaged)
		run_bm run -q --state broken job.json
		printf 'no database at all' | dd of=broken/catalog.db conv=notrunc status=none
		;;
	other) rm -rf broken/catalog.db && mkdir broken/catalog.db ;;
	full | readonly)
		rm -rf broken && mkdir broken
		mount -t tmpfs -o size=64k none broken 2>/dev/null || continue
		at_end "umount '$tmp/broken' 2>/dev/null"
		[ $kind = full ] || mount -o remount,ro broken
		;;
	esac
	run_bm run -q --no-lock --state broken job.json
	expect_exit 0
	expect_stderr_match '^bytemill: warning: .*the run goes on without a record'
	[ "$(wc -l <"$stderr")" = 1 ] || fail "$kind: told more than once"
	[ "$(find out -type f | wc -l)" = 42 ] || fail "$kind: not all was done"
	! mountpoint -q broken || umount broken
done

# So it is when it happens half-way.
rm -rf broken && mkdir broken && mkfifo fifo
echo '{"steps": [{"step": "read", "from": ["fifo", "in"]}, {"step": "copy", "to": "half/{path}"}]}' >half.json
is_running() { "$BYTEMILL" runs --state broken 2>/dev/null | grep -q ' running '; }
if mount -t tmpfs -o size=1m none broken 2>/dev/null; then
	"$BYTEMILL" run -q --state broken half.json 2>err &
	pid=$!
	wait_until is_running
	dd if=/dev/zero of=broken/filler bs=4k 2>/dev/null || true
	echo stream >fifo
	wait $pid || fail "a full disk under the catalog made the run fail"
	[ "$(grep -c 'warning: .*the run goes on without a record' err)" = 1 ] && [ "$(wc -l <err)" = 1 ] || fail "$(cat err)"
	[ "$(find half -type f | wc -l)" = 42 ] || fail "not all was done"
	umount broken
else
	echo "skipped: a full disk, since nothing can be mounted here"
fi

# Its directory may lie where it reads.
mkdir self
echo x >self/x
echo '{"steps": [{"step": "read", "from": "self", "hidden": true}, {"step": "hash", "manifest": "S"}]}' >self.json
run_bm run --state self/state self.json
run_bm run --state self/state self.json
expect_exit 0
! grep catalog S || fail "the catalog was read"

# An input that is to be removed goes also where what was made of it is on record: as when a run was cut off before its end.
mkdir -p move/in && echo one >move/in/one && echo two >move/in/two && touch -d '2 hours ago' move/in/*
steps='{"step": "hash", "manifest": "gone/SUMS"}, {"step": "write", "to": "gone/{path}", "if_exists": "skip"}'
echo "{\"name\": \"move\", \"incremental\": true, \"steps\": [{\"step\": \"read\", \"from\": \"in\"}, $steps]}" >move/keep.json
sed 's/"from": "in"/"from": "in", "remove": true/' move/keep.json >move/move.json
mkdir move/gone && echo two >move/gone/two
run_bm run move/keep.json
expect_files 2 0
cp move/gone/SUMS move/SUMS
run_bm run move/move.json
expect_files 0 2
expect_same move/gone/SUMS move/SUMS
[ "$(ls move/in)" = two ] || fail "what was removed: only what has no output that was there before"
[ "$(cat move/gone/one)" = one ] || fail "the output is gone"
