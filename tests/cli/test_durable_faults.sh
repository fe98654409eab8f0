#!/bin/bash
# Moves and batches when the disk fails, and when the run is killed at any moment: an input is there, or all that was to be
# made of it is complete.
. "$(dirname "$0")/lib.sh"
need_cmd strace
need_unsanitized
strace -qq -f --seccomp-bpf -e trace=none -e inject=fsync:error=EIO true 2>/dev/null || skip "strace cannot inject faults here"

mkdir -p kept/sub
for i in 1 2 3; do
	head -c $((i * 50000)) /dev/urandom >kept/$i
	head -c $((i * 7)) /dev/urandom >kept/sub/$i
done
fresh() {
	rm -rf in out
	cp -a kept in
}
inject() { # inject CALL:WHAT [ARG...]: runs the job so
	local what=$1
	shift
	status=0
	{ strace -qq -f --seccomp-bpf -o trace -e "trace=${what%%:*}" -e "inject=$what" "$BYTEMILL" run -j1 --io-depth 1 "$@" job.json \
		>"$stdout" 2>"$stderr" || status=$?; } 2>/dev/null # the shell tells of what was killed
	last="strace -e inject=$what"
}
no_loss() { # WHY
	local f
	(cd kept && find . -type f) | while read -r f; do
		if [ -e "in/$f" ]; then
			cmp -s "kept/$f" "in/$f" || fail "$1: in/$f is not what it was"
		else
			cmp -s "kept/$f" "out/1/$f" || fail "$1: $f is lost"
			gzip -dc "out/2/$f.gz" 2>/dev/null | cmp -s "kept/$f" - || fail "$1: the second output of $f is lost"
			[ -z "$manifest" ] || grep -q "  1/${f#./}\$" out/sums || fail "$1: $f is gone before its digest is there"
		fi
	done
	# Whatever has a name is complete.
	[ ! -e out/1 ] || (cd out/1 && find . -type f ! -name '.bytemill-*') | while read -r f; do
		cmp -s "kept/$f" "out/1/$f" || fail "$1: out/1/$f is not complete"
	done
}

for durability in batch file; do
	for manifest in '' '{"step": "hash", "algorithms": "md5", "manifest": "out/sums"},'; do
		cat >job.json <<-END
			{"steps": [{"step": "read", "from": "in", "remove": true}, $manifest
			{"step": "copy", "to": "out/1/{path}", "durability": "$durability"}, {"step": "compress"},
			{"step": "write", "to": "out/2/{path}.gz", "durability": "$durability"}]}
		END
		# The disk fails: nothing is removed, and what was to be synced has no name.
		calls="fsync"
		[ $durability = file ] || calls="fsync syncfs"
		for call in $calls; do
			fresh
			inject "$call:error=EIO"
			expect_exit 1
			expect_stderr_no_match ' removed[,;]'
			diff -r kept in >&2 || fail "inputs were removed though $call failed"
			expect_no_temp out
			if [ "$call" = syncfs ]; then
				expect_stderr_match 'not put in place, nor is any file that was written with it'
				[ -z "$(find out/1 out/2 -type f)" ] || fail "outputs took their names though syncfs failed"
			else # out/ was made in it
				expect_stderr_match '^bytemill: (error: )?\.: fsync of this directory failed'
			fi
		done
		fresh
		inject "unlinkat:error=EACCES"
		expect_exit 1
		expect_stderr_match 'cannot be removed'
		no_loss "unlinkat fails"

		# Killed at every moment at which something on the disk changes.
		for call in renameat fsync syncfs unlinkat; do
			for n in $(seq 100); do
				fresh
				inject "$call:signal=KILL:when=$n"
				no_loss "killed at $call $n"
				if [ "$status" -eq 0 ]; then
					break
				fi
				[ "$status" -eq 137 ] || fail "exit code $status"
			done
			[ "$n" -lt 100 ] || fail "never came to an end"
			# The next run ends it.
			[ "$call" != unlinkat ] || [ -z "$(find in -type f)" ] || fail "inputs are left"
		done
	done
done

# After a kill in the middle the next run makes the rest.
manifest=
sed -i 's/"copy"/"copy", "verify": "reread"/' job.json
fresh
inject "renameat:signal=KILL:when=3"
run_bm run job.json
expect_exit 0
[ -z "$(find in -type f)" ] || fail "inputs are left"
diff -r -x '.bytemill-*' kept out/1 >&2 || fail "they differ"

# A disk that takes the bytes and loses them when it comes to write them.
if [ "$(id -u)" = 0 ] && command -v mkfs.ext4 >/dev/null && mkdir tm lo && mount -t tmpfs -o size=12m tmpfs tm 2>/dev/null; then
	at_end "umount '$tmp/tm'"
	truncate -s 64M tm/img
	mkfs.ext4 -qF -E nodiscard,lazy_itable_init=0 -O ^has_journal tm/img
	if mount -o loop,errors=continue tm/img lo 2>/dev/null; then
		at_end "umount '$tmp/lo'"
		rm -rf in
		mkdir in
		for i in $(seq 40); do head -c 500000 /dev/zero | tr '\0' "$((i % 10))" >in/$i; done
		cat >job.json <<-'END'
			{"steps": [{"step": "read", "from": "in", "remove": true}, {"step": "write", "to": "lo/out/{path}", "durability": "batch"}]}
		END
		run_bm run job.json
		expect_exit 1
		expect_stderr_match '^bytemill: 0 files done, 40 failed'
		[ -z "$(find lo/out -type f)" ] || fail "outputs that are not on the disk took their names"
		[ "$(find in -type f | wc -l)" = 40 ] || fail "inputs were removed"
	else
		echo "skipped: no loop device can be mounted here"
	fi
else
	echo "skipped: a disk that fails wants root and a tmpfs"
fi
