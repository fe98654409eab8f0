#!/bin/bash
# What is durable, and when: durability "batch", outputs that are read back, inputs that are removed.
. "$(dirname "$0")/lib.sh"

mkdir -p in/sub
seq 1 1000 >in/a
: >in/empty
seq 5 3000 >in/sub/b
head -c 3000000 /dev/urandom >in/large
truncate -s 5M in/sparse
printf 'end' >>in/sparse
for i in $(seq 20); do echo "$i" >"in/sub/$i"; done
cp -a in kept

job() { printf '%s' "$1" >job.json; }

# ---- batch: the same outputs, in the same order, whatever stands between
for middle in '' '{"step": "hash", "algorithms": "md5", "manifest": "sums"}, ' '{"step": "compress"}, {"step": "decompress"}, '; do
	for options in ', "if_exists": "append"' ', "verify": "reread"'; do
		rm -rf out
		job '{"steps": [{"step": "read", "from": "in"}, '"$middle"'{"step": "copy", "to": "out/1/{path}", "durability": "batch"'"$options"'},
			{"step": "write", "to": "out/2/{path}", "durability": "batch"'"$options"'}]}'
		run_bm run --report report.jsonl job.json
		expect_exit 0
		expect_stderr_match '^bytemill: 25 files done, 0 failed'
		diff -r in out/1 >&2 || fail "they differ"
		diff -r in out/2 >&2 || fail "they differ"
		expect_no_temp out
		sed -n 's/^{"type":"file","job":"job",\("path":"[^"]*"\).*/\1/p' report.jsonl >order
		(cd in && find . -type f -printf '%P\n' | sort | sed 's/.*/"path":"&"/') | cmp - order || fail "the report is in another order"
	done
	[ -z "${middle##*md5*}" ] && [ -n "$middle" ] && { md5sum -c --quiet sums >&2 || fail "the manifest is wrong"; }
done

# An output that cannot be made fails by itself.
rm -rf out
mkdir -p out/a
job '{"steps": [{"step": "read", "from": "in"}, {"step": "write", "to": "out/{path}", "durability": "batch"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/a: .*out/a: is a directory'
expect_stderr_match '^bytemill: 24 files done, 1 failed'
expect_no_temp out

# What waits for its group is not what another run may sweep away, and of a killed run's nothing is left after a sweep:
# unit test_sink.

# ---- reading back: what is read is not what was written
if [ -n "${BM_SANITIZE:-}" ]; then
	echo "skipped: no shim can stand before a sanitizer (unit sink_group has the same)"
elif ! command -v "${BM_CC:=cc}" >/dev/null; then
	echo "skipped: no compiler for the shim"
else
	cat >flip.c <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <string.h>
		#include <unistd.h>
		#include <sys/types.h>
		/* The disk changes one bit of what it is given. */
		ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
		{
			static ssize_t (*real)(int, const void *, size_t, off_t);
			char copy[1 << 16];
			if (!real)
				*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
			if (len >= 5 && len <= sizeof copy && memcmp(data, "1\n2\n3", 5) == 0) {
				memcpy(copy, data, len);
				copy[len / 2] ^= 1;
				data = copy;
			}
			return real(fd, data, len, at);
		}
	END
	"$BM_CC" -shared -fPIC -O1 -o flip.so flip.c -ldl
	for durability in file batch; do
		rm -rf out
		mkdir out
		echo before >out/a
		job '{"steps": [{"step": "read", "from": "in"}, {"step": "hash", "algorithms": "md5"},
			{"step": "write", "to": "out/{path}", "durability": "'$durability'", "verify": "reread"}]}'
		LD_PRELOAD=$PWD/flip.so run_bm run job.json
		expect_exit 1
		expect_stderr_match '^bytemill: error: in/a: .*out/a: other bytes were read back from the disk than were written'
		expect_stderr_match '^bytemill: 24 files done, 1 failed'
		[ "$(cat out/a)" = before ] || fail "the old file was replaced"
		expect_no_temp out
		# Without it nobody notices: the test above can fail.
		sed -i 's/"verify": "reread"/"verify": "none"/' job.json
		LD_PRELOAD=$PWD/flip.so run_bm run job.json
		expect_exit 0
		cmp -s in/a out/a && fail "the shim does nothing"
	done
fi

# ---- remove: a move
for durability in file batch; do
	rm -rf in out
	cp -a kept in
	job '{"steps": [{"step": "read", "from": "in", "remove": true}, {"step": "copy", "to": "out/1/{path}", "durability": "'$durability'"},
		{"step": "compress"}, {"step": "write", "to": "out/2/{path}.gz", "durability": "'$durability'"}]}'
	run_bm validate job.json
	expect_stdout_match '^  read .*in; each is removed when all is made of it$'
	expect_stdout_match '^  write .*to .*out/2/\{path\}.gz, read back from the disk$'
	run_bm run --report report.jsonl job.json
	expect_exit 0
	expect_stderr_match '^bytemill: 25 files done, 0 failed, 0 skipped, 25 removed'
	[ "$(grep -c '"removed":true' report.jsonl)" = 25 ] || fail "not all are reported as removed"
	grep -q '"files_removed":25' report.jsonl || fail "the summary does not count them"
	[ -z "$(find in -type f)" ] || fail "inputs are left"
	[ -d in/sub ] || fail "a directory was removed"
	diff -r kept out/1 >&2 || fail "they differ"
	gzip -dc out/2/large.gz | cmp - kept/large

	# What was skipped, and what cannot be written, stays.
	rm -rf in out
	cp -a kept in
	mkdir out
	echo other >out/a
	: >out/sub # no directory: nothing can be written below it
	job '{"steps": [{"step": "read", "from": "in", "remove": true},
		{"step": "write", "to": "out/{path}", "durability": "'$durability'", "if_exists": "skip"}]}'
	run_bm run job.json
	expect_exit 1
	expect_stderr_match '^bytemill: 3 files done, 21 failed, 1 skipped, 3 removed'
	diff -r kept/sub in/sub >&2 || fail "what could not be written was removed"
	[ "$(find in -maxdepth 1 -type f)" = in/a ] || fail "others are left"
	expect_same kept/a in/a
done

# A manifest comes first, and where it cannot be written nothing is removed.
rm -rf in out
cp -a kept in
job '{"steps": [{"step": "read", "from": "in", "remove": true}, {"step": "hash", "algorithms": "md5", "manifest": "out/sums"},
	{"step": "write", "to": "out/{path}", "durability": "batch"}]}'
run_bm run job.json
expect_exit 0
expect_stderr_match '^bytemill: 25 files done, 0 failed, 0 skipped, 25 removed'
[ -z "$(find in -type f)" ] || fail "inputs are left"
(cd out && md5sum -c --quiet sums >&2) || fail "the manifest is wrong"
rm -rf in out
cp -a kept in
mkdir -p out/sums
run_bm run job.json
expect_exit 2
expect_stderr_match 'out/sums: is a directory'
diff -r kept in >&2 || fail "inputs were removed"
rm -rf out # ... and where that shows only when all is read
sed -i 's|"step": "read"[^}]*}, |&{"step": "copy", "to": "out/sums/{path}", "durability": "batch"}, |' job.json
run_bm run job.json
expect_exit 1
expect_stderr_match 'out/sums: is a directory'
expect_stderr_no_match ' removed,'
diff -r kept in >&2 || fail "inputs were removed"

# A symbolic link that is followed is not the file that was read.
rm -rf in out
mkdir in elsewhere
echo hello >elsewhere/file
ln -s ../elsewhere/file in/link
job '{"steps": [{"step": "read", "from": "in", "remove": true, "follow_symlinks": true}, {"step": "write", "to": "out/{path}"}]}'
run_bm run job.json
expect_exit 1
expect_stderr_match '^bytemill: error: in/link: not removed: it is a symbolic link to the file that was read'
[ -L in/link ] && [ -f elsewhere/file ] || fail "it is gone"
expect_same elsewhere/file out/link
