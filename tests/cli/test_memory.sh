#!/bin/bash
# Peak memory is the budget and at most 32 MiB more, whatever the size and number of files and threads.
. "$(dirname "$0")/lib.sh"
need_unsanitized

measured() { # measured BUDGET_MIB COMMAND...: runs bytemill with that budget; fails where it takes more
	local budget=$1 peak
	shift
	last="$*"
	status=0
	$python - "$top/peak" "$BYTEMILL" "$@" >"$stdout" 2>"$stderr" <<'END' || status=$?
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL)
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code if code >= 0 else 128 - code)
END
	expect_exit 0
	peak=$(<"$top/peak")
	echo "$((peak / 1024)) MiB with a budget of $budget: $*"
	[ "$peak" -le $(((budget + 32) * 1024)) ] || fail "peak memory $((peak / 1024)) MiB, budget $budget MiB"
}

# A large file: 20 GiB of hole. Its digests must be right too.
truncate -s 20G sparse
measured 64 hash -a xxh128 --memory 64MiB sparse
if command -v xxhsum >/dev/null; then
	truncate -s 1G gib
	xxhsum -q -H2 gib >want
	measured 64 hash -a xxh128 --memory 64MiB gib
	expect_stdout want
fi

# Many small files: 50,000 in a tree, 55,000 in one directory. Where there is a file system in memory, since making them
# takes longer than reading them.
files=$tmp
if [ -w /dev/shm ] && files=$(mktemp -d /dev/shm/bytemill-test.XXXXXX); then
	at_end 'rm -rf "$files"'
fi
$python - "$files" <<'END'
import os, sys
os.chdir(sys.argv[1])
os.mkdir("all")
for d in range(101):
    os.makedirs("all/%03d" % d)
    fd = os.open("all/%03d" % d, os.O_RDONLY)
    for i in range(500 if d < 100 else 55000):
        os.close(os.open("file-%06d" % i, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
END
measured 64 hash --memory 64MiB "$files/all"
[ "$(wc -l <"$stdout")" = 105000 ] || fail "lines"
measured 64 hash --memory 64MiB -j 64 -o SUMS "$files/all"
sha256sum </dev/null | cut -d' ' -f1 >want
cut -d' ' -f1 SUMS | uniq | cmp - want || fail "digests"
# From a list; with two roots, and a report.
find "$files/all/100" -type f >list
measured 64 hash --memory 64MiB --files-from list
cat >job.json <<END
{"steps": [{"step": "read", "from": ["$files/all/000", "$files/all/100"]}, {"step": "compress"},
  {"step": "write", "to": "/dev/null", "combine": true}]}
END
measured 64 run -q --memory 64MiB --report /dev/null job.json

# Every buffer in use: all threads, all kinds of steps.
head -c 60000000 /dev/urandom >large
mkdir larges
head -c 20000000 large >larges/0
for ((i = 1; i < 6; i++)); do ln larges/0 larges/$i; done
cat >steps.json <<'END'
{"steps": [{"step": "read", "from": ["larges", "large"]}, {"step": "hash", "algorithms": ["xxh3", "crc32"]}, {"step": "compress", "level": 0},
  {"step": "hash", "algorithms": ["xxh128"]}, {"step": "decompress"}, {"step": "compress", "level": 0, "layout": "single"},
  {"step": "decompress"}, {"step": "hash", "algorithms": ["xxh3"]}]}
END
measured 64 run --memory 64MiB -j 64 steps.json
measured 256 run --memory 256MiB -j 64 steps.json
measured 256 run --memory 256MiB -j 2 steps.json
# As little as can work is told, and works.
run_bm run -q --memory 1MiB steps.json
expect_exit 2
expect_stderr_match 'memory is 1(\.00)? ?MiB, but these steps need [0-9.]+ ?MiB at the least; raise memory or lower chunk$'
least=$(grep -Eo 'need [0-9]+' "$stderr" | cut -d' ' -f2)
measured $((least + 1)) run --memory $((least + 1))MiB -j 8 steps.json
