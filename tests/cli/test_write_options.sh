#!/bin/bash
# What the steps write and copy do with what is there already, and what they keep of the input: through the engine (with a
# hash step) and as a copy in the kernel alike.
. "$(dirname "$0")/lib.sh"

job() { printf '%s' "$1" >job.json; }
mkdir -p in/sub
seq 1 1000 >in/a
: >in/empty
seq 5 3000 >in/sub/b
head -c 3000000 /dev/urandom >in/large
printf 'no newline' >in/short

# if_exists, by both ways.
for middle in '' '{"step": "hash", "algorithms": "md5"}, '; do
	write() { job '{"steps": [{"step": "read", "from": "in"}, '"$middle"'{"step": "write", "to": "out/{path}"'"${1:+, $1}"'}]}'; }
	rm -rf out
	write ''
	run_bm run job.json
	expect_exit 0
	diff -r in out >&2 || fail "they differ"
	# replace
	echo old >out/a
	ino=$(stat -c %i out/a)
	run_bm run job.json
	expect_exit 0
	diff -r in out >&2 || fail "they differ"
	[ "$(stat -c %i out/a)" != "$ino" ] || fail "written in place"
	# skip
	echo old >out/a
	rm out/large
	write '"if_exists": "skip"'
	run_bm run job.json
	expect_exit 0
	if [ -z "$middle" ]; then expect_stderr_match '^bytemill: 1 file done, 0 failed, 4 skipped'; fi
	[ "$(cat out/a)" = old ] || fail "not skipped"
	expect_same in/large out/large
	# fail
	rm out/large
	write '"if_exists": "fail"'
	run_bm run job.json
	expect_exit 1
	expect_stderr_match '^bytemill: error: in/a: .*out/a: exists already'
	expect_stderr_match '^bytemill: 1 file done, 4 failed'
	[ "$(cat out/a)" = old ] || fail "not left alone"
	expect_same in/large out/large
	# append, and to what is not there
	rm -rf out
	mkdir out
	echo before >out/a
	chmod 640 out/a
	write '"if_exists": "append"'
	for i in 1 2; do
		run_bm run job.json
		expect_exit 0
	done
	{
		echo before
		cat in/a in/a
	} | cmp - out/a || fail "append"
	[ "$(stat -c %a out/a)" = 640 ] || fail "append changed the mode"
	cat in/large in/large | cmp - out/large || fail "append large"
	cat in/sub/b in/sub/b | cmp - out/sub/b || fail "append b"
	expect_no_temp .
done

# Mode, times, owner, xattrs, ACL; holes; and what the input has not does not come either.
chmod 600 in/a
chmod 4755 in/sub/b
chmod 1444 in/short
touch -d '2001-02-03 04:05:06.123456789 UTC' in/a
touch -d '1969-01-01 UTC' in/short
[ "$(id -u)" != 0 ] || chown 1234:2345 in/short
attrs=false
setfattr -n user.k -v $'v\x01al' in/a 2>/dev/null && setfattr -n user.empty in/a && attrs=true
acl=false
setfacl -m u:1234:r-- in/sub/b 2>/dev/null && acl=true
truncate -s 20M in/sparse
printf middle | dd of=in/sparse bs=1 seek=9999990 conv=notrunc status=none
truncate -s 5M in/hole # nothing but a hole
truncate -s 4097 in/tiny-hole
meta() { (cd "$1" && find . -type f -printf '%p %s %m %U %G %T@\n' | sort); }
meta in >want
for middle in '' '{"step": "hash", "algorithms": "md5"}, ' '{"step": "compress", "level": 1}, {"step": "decompress"}, '; do
	rm -rf out
	job '{"steps": [{"step": "read", "from": "in"}, '"$middle"'{"step": "write", "to": "out/{path}"}]}'
	run_bm run job.json
	expect_exit 0
	expect_stderr_no_match 'warning'
	diff -r in out >&2 || fail "they differ"
	meta out >found
	diff -u want found >&2 || fail "metadata"
	if $attrs; then
		(cd in && getfattr -d -m - a) >"$top/1"
		(cd out && getfattr -d -m - a) >"$top/2"
		expect_same "$top/1" "$top/2"
	fi
	if $acl; then
		getfacl -c --absolute-names in/sub/b >"$top/1"
		getfacl -c --absolute-names out/sub/b >"$top/2"
		expect_same "$top/1" "$top/2"
	fi
	[ "$(du -k out/sparse | cut -f1)" -le 200 ] || fail "$middle: the holes were filled: $(du -k out/sparse)"
	[ "$(du -k out/hole | cut -f1)" -le 64 ] || fail "$middle: the hole was filled: $(du -k out/hole)"
	# Not kept where it is not asked for.
	rm -rf out
	job '{"steps": [{"step": "read", "from": "in"}, '"$middle"'{"step": "write", "to": "out/{path}", "preserve": false, "sparse": false}]}'
	run_bm run job.json
	expect_exit 0
	diff -r in out >&2 || fail "they differ"
	[ -z "$(find out -type f ! -perm 644)" ] || fail "modes: $(ls -lR out)"
	[ -z "$(find out -type f -mmin +5)" ] || fail "times: $(ls -lR out)"
	[ -z "$(find out -type f ! -user "$(id -u)")" ] || fail "owners: $(ls -lR out)"
	if $attrs; then [ -z "$(getfattr -d out/a)" ] || fail "xattrs"; fi
	[ "$(du -k out/hole | cut -f1)" -ge 5000 ] || fail "$middle: sparse false left a hole: $(du -k out/hole)"
done
# The umask holds for what is not preserved, and no output is ever readable before it has its mode.
rm -rf out
umask 077
run_bm run job.json
umask 022
[ -z "$(find out -type f ! -perm 600)" ] && [ "$(stat -c %a out)" = 700 ] || fail "umask: $(ls -lR out)"

# A default ACL of the target's directory does not let others in.
if $acl; then
	rm -rf out
	mkdir out
	setfacl -d -m u:1234:rwx out
	job '{"steps": [{"step": "read", "from": "in/a"}, {"step": "write", "to": "out/{path}"}]}'
	run_bm run job.json
	expect_exit 0
	[ "$(getfacl -c --absolute-names out/a | grep -c 1234)" = 0 ] && [ "$(stat -c %a out/a)" = 600 ] || fail "$(getfacl out/a)"
fi

# Placeholders.
rm -rf out
job '{"name": "j", "steps": [{"step": "read", "from": "in/sub/b"}, {"step": "copy", "to": "out/{job}/{date:%Y}/x{name}y/{stem}{ext}"},
	{"step": "copy", "to": "out/{run}/{dir}/f"}, {"step": "copy", "to": "out/${V}/{{f}}"}]}'
run_bm run --set 'V=a b{{path}}-{job}' job.json
expect_exit 0
expect_same in/sub/b "out/j/$(date +%Y)/xby/b"
expect_same in/sub/b 'out/a b{path}-j/{f}'
[ "$(find out -name f -type f | wc -l)" = 1 ] || fail "$(find out)"

# combine: in listing order at any number of threads; one that fails in the middle leaves nothing of itself.
rm -rf out
mkdir parts
for i in 1 2 3 4 5 6 7 8 9; do head -c $((i * 70000)) /dev/urandom | gzip -1 >parts/$i.gz; done
cp parts/7.gz seven.gz
damage() { printf 'XXXXXXXX' | dd of=parts/7.gz bs=1 seek=$(($(stat -c %s parts/7.gz) - 100)) conv=notrunc status=none; }
damage
for exists in replace append; do
	for threads in 1 2 8; do
		echo before >all
		job '{"chunk": "64KiB", "steps": [{"step": "read", "from": "parts"}, {"step": "decompress"},
			{"step": "write", "to": "all", "combine": true, "if_exists": "'$exists'"}]}'
		run_bm run -j $threads job.json
		expect_exit 1
		expect_stderr_match '^bytemill: error: parts/7.gz: '
		{
			[ $exists = replace ] || echo before
			zcat parts/[1-6].gz parts/[89].gz
		} | cmp - all || fail "combine, $exists, -j $threads"
	done
done
# The last one fails.
mv parts/7.gz parts/99.gz
run_bm run job.json
expect_exit 1
cp all all.want
{ cat all.want; zcat parts/[1-689].gz; } >want
run_bm run job.json
expect_exit 1
expect_same want all
# No inputs: an empty file, not none; fail where it exists.
job '{"steps": [{"step": "read", "from": "parts", "include": "*.none"}, {"step": "write", "to": "none", "combine": true, "if_exists": "fail"}]}'
run_bm run job.json
expect_exit 0
[ -e none ] && [ ! -s none ] || fail "no empty output"
run_bm run job.json
expect_exit 1
expect_stderr_match 'none: exists already'
expect_no_temp .
