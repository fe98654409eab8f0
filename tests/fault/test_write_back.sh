#!/bin/bash
# A disk that takes what is written to it and then cannot keep it: the error comes with fsync, once. The file fails, its
# old bytes stay under its name, and nothing that fsync was refused for is put in place by a second try.
. "$(dirname "$0")/../cli/lib.sh"
need_root
need_cmd mkfs.ext4

mkdir tm lo in
mount -t tmpfs -o size=12m tmpfs tm 2>/dev/null || skip "cannot mount a tmpfs"
at_end 'umount "$tmp/tm" || umount -l "$tmp/tm"'
truncate -s 64M tm/img
mkfs.ext4 -qF -E nodiscard,lazy_itable_init=0 -O ^has_journal tm/img
mount -o loop,errors=continue tm/img lo 2>/dev/null || skip "no loop device can be mounted"
at_end 'umount "$tmp/lo" || umount -l "$tmp/lo"'

echo small >in/a
head -c 20000000 /dev/urandom >in/large
mkdir lo/out
echo old >lo/out/large
sync -f lo
for steps in '{"step": "copy", "to": "lo/out/{path}"}' '{"step": "hash", "manifest": "lo/SUMS"}, {"step": "write", "to": "lo/out/{path}"}'; do
	printf '{"steps": [{"step": "read", "from": "in"}, %s]}' "$steps" >job.json
	run_bm run -j 1 --io-depth 1 job.json
	expect_exit 1
	expect_stderr_match '^bytemill: error: (in/large: )?.*lo/.*: (fsync failed|fsync of this directory failed|cannot write).*(Input/output error|No space left)'
	[ "$(cat lo/out/large)" = old ] || fail "a file whose bytes the disk has lost was put in place"
	expect_no_temp lo
done
