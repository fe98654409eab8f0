#!/bin/bash
# Pipes where files usually are: names from one, bytes from one, bytes into one; and what the kernel can do for files.
. "$(dirname "$0")/lib.sh"

mkdir in
for i in 1 2 3; do seq "$i" 1000 >"in/f$i"; done

# A list of names that can be read but once.
echo '{"steps": [{"step": "read", "from": "in", "files_from": "${LIST}"}, {"step": "write", "to": "out/{name}"}]}' >list.json
mkfifo list
printf 'f1\nf2\nf3\n' >list &
run_bm run list.json --set LIST=list
expect_exit 0
diff -r in out || fail "names from a FIFO"
printf 'f1\nf1\n' >list &
run_bm run list.json --set LIST=list
expect_exit 1
expect_stderr_match 'both be written here'

# What came through a pipe gets an ordinary mode.
echo '{"steps": [{"step": "read", "from": "-"}, {"step": "write", "to": "piped"}]}' >piped.json
(umask 022 && seq 5 | "$BYTEMILL" run -q piped.json) || fail "run"
[ "$(stat -c %a piped)" = 644 ] || fail "mode $(stat -c %a piped)"

# Joined into a FIFO: an input that fails in the middle does not take the next one with it.
gzip -c in/f1 >a.gz
gzip -c in/f2 | head -c 100 >b.gz
gzip -c in/f3 >c.gz
mkfifo joined
cat joined >got &
echo '{"steps": [{"step": "read", "from": ["a.gz", "b.gz", "c.gz"]}, {"step": "decompress"},
	{"step": "write", "to": "joined", "combine": true}]}' >join.json
run_bm run join.json
expect_exit 1
wait
expect_stderr_match '2 files done, 1 failed'
expect_same <(tail -n "$(wc -l <in/f3)" got) in/f3

# crc32 beside a single-member gzip, twice.
echo '{"steps": [{"step": "read", "from": "in"}, {"step": "hash", "algorithms": "crc32"}, {"step": "hash", "algorithms": "crc32"},
	{"step": "compress", "layout": "single"}, {"step": "write", "to": "gz/{path}.gz"}]}' >crc.json
run_bm run crc.json
expect_exit 0
zcat gz/f2.gz | cmp - in/f2 || fail "gz/f2.gz"

# Twice compressed and back, over several chunks.
head -c 300000 /dev/urandom >random
echo '{"chunk": "64KiB", "steps": [{"step": "read", "from": "random"}, {"step": "compress"}, {"step": "compress"},
	{"step": "write", "to": "twice"}, {"step": "decompress"}, {"step": "decompress"}, {"step": "compress"}, {"step": "compress"},
	{"step": "decompress"}, {"step": "decompress"}, {"step": "write", "to": "back"}]}' >twice.json
run_bm run twice.json
expect_exit 0
expect_same random back
gzip -dc twice | gzip -dc | cmp - random || fail "twice compressed"

# A pure copy is the kernel's work, of a sparse file too.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null && [ -z "${BM_SANITIZE:-}" ]; then
	truncate -s 20M sparse
	printf x | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none
	echo '{"steps": [{"step": "read", "from": "sparse"}, {"step": "copy", "to": "kernel"}]}' >copy.json
	strace -f -e trace=copy_file_range,ioctl -o trace "$BYTEMILL" run -q copy.json || fail "copy"
	grep -qE 'FICLONE.* = 0|copy_file_range' trace || fail "neither a reflink nor copy_file_range"
	expect_same sparse kernel
	[ "$(stat -c %b kernel)" -le $(($(stat -c %b sparse) + 16)) ] || fail "holes were filled"
fi
