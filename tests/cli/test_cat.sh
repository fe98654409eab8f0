#!/bin/bash
# cat: files of all makers and stacks of formats, decoded; ranges of them, by seeking where that can be, else from the
# start, which -v tells apart; what there is to say about files that are damaged, missing, or end before the range.
. "$(dirname "$0")/lib.sh"

seq 1 250000 >text                          # 1.6 MB
head -c 700000 "$BYTEMILL" >binary
cat text binary text text >data             # 5.6 MB, which is several chunks of each kind
printf 'plain\0\n' >short
: >empty
size=$(stat -c %s data)
age-keygen -o key 2>/dev/null || run_bm keygen -o key
"$BYTEMILL" keygen -o other 2>/dev/null
recipient=$("$BYTEMILL" keygen -y key)
(umask 077 && echo 'correct horse' >passphrase)

slice() { # slice FILE FIRST COUNT
	{ tail -c +$(($2 + 1)) "$1" || true; } | head -c "$3"
}
pack() { # pack TO STEP...: data through the steps
	local to=$1 steps='{"step": "read", "from": "'${from:-data}'"}' step
	shift
	for step; do steps+=", $step"; done
	echo '{"chunk": "'"${chunk:-256KiB}"'", "steps": ['"$steps"', {"step": "write", "to": "'"$to"'", "durability": "none"'"${more:-}"'}]}' >pack.json
	"$BYTEMILL" run -q pack.json || fail "packing $to"
}
gz='{"step": "compress", "level": 1}'
bgzf='{"step": "compress", "level": 1, "layout": "bgzf"}'
zst='{"step": "compress", "format": "zstd", "level": 1}'
age='{"step": "encrypt", "recipients": "'$recipient'"}'
pass='{"step": "encrypt", "passphrase_file": "passphrase"}'

# ---- files of every kind: what -v says of a range of it ----

declare -A how
how[data]='plain bytes'
pack indexed.gz "$gz" && how[indexed.gz]='gzip, from member to member'
pack blocks.gz "$bgzf" && how[blocks.gz]='BGZF, from block to block'
more=', "index": true' pack index.gz "$bgzf" && how[index.gz]='BGZF, by its index \(\.gzi\)'
pack frames.zst "$zst" && how[frames.zst]='zstd, by its seek table'
pack data.age "$age" && how[data.age]='age, by the number of the chunk'
pack data.gz.age "$gz" "$age" && how[data.gz.age]='age, by the number of the chunk; in it gzip, from member to member'
pack data.zst.age "$zst" "$age" && how[data.zst.age]='age, .*; in it zstd, by its seek table'
pack data.age.gz "$age" "$gz" && how[data.age.gz]='gzip, from member to member; in it age, .*'
pack three "$gz" "$age" "$zst" && how[three]='zstd, .*; in it age, .*; in it gzip, .*'
pack four "$zst" "$age" "$gz" "$gz" && how[four]='gzip, .*; in it gzip, .*; in it age, .*; in it zstd, .*'
pack pass.age "$pass" # see below
stream='there is no seeking in it: .*; decoded from its start'
gzip -c data >gzip.gz && how[gzip.gz]=$stream
pack single.gz '{"step": "compress", "layout": "single"}' && how[single.gz]=$stream
pack single.gz.age '{"step": "compress", "layout": "single"}' "$age" && how[single.gz.age]=$stream
cat indexed.gz gzip.gz >joined.gz # found out only where the second begins
if command -v pigz >/dev/null; then pigz -c data >pigz.gz && how[pigz.gz]=$stream; fi
if command -v bgzip >/dev/null; then
	bgzip -c data >bgzip.gz && how[bgzip.gz]='BGZF, from block to block'
	bgzip -i -I bgzipi.gz.gzi -c data >bgzipi.gz && how[bgzipi.gz]='BGZF, by its index \(\.gzi\)'
fi
if command -v zstd >/dev/null; then
	zstd -qc <data >stream.zst && how[stream.zst]=$stream
	zstd -q data -o whole.zst && how[whole.zst]='zstd, from frame to frame'
	split -b 900000 data part. && for part in part.*; do zstd -q "$part"; done
	cat part.*.zst >many.zst && how[many.zst]='zstd, from frame to frame'
	rm part.*
fi
if command -v age >/dev/null; then
	age -r "$recipient" -o foreign.age data && how[foreign.age]='age, by the number of the chunk'
	age -a -r "$recipient" -o armor.age data && how[armor.age]=$stream
fi

# ---- whole ----

keys=(-i other -i key --passphrase-file passphrase)
for name in "${!how[@]}"; do
	run_bm cat "${keys[@]}" "$name"
	expect_exit 0
	expect_no_stderr
	expect_stdout data
	run_bm cat "${keys[@]}" <"$name"
	expect_exit 0
	expect_stdout data
	[ $name != pass.age ] || continue # its passphrase takes a second
	run_bm cat --memory $((${#name} % 2 ? 5 : 24))MiB "${keys[@]}" "$name" # with smaller chunks
	expect_exit 0
	expect_no_stderr
	expect_stdout data
done
run_bm cat --memory 1MiB indexed.gz
expect_exit 2
expect_stderr_match 'memory is 1 MiB, but .*; raise memory$'
run_bm cat joined.gz
expect_exit 0
expect_stdout <(cat data data)
# A passphrase is made slow to try on purpose, and with a sanitizer it is ten times slower: three runs of it, since what is
# behind the key is what data.age has.
run_bm cat "${keys[@]}" - <pass.age
expect_exit 0
expect_no_stderr
expect_stdout data
run_bm cat -v "${keys[@]}" --range 65535-400000 pass.age
expect_exit 0
expect_stdout <(slice data 65535 334466)
expect_stderr_match '^bytemill: pass\.age: age, by the number of the chunk$'
run_bm cat "${keys[@]}" --range "-70000" pass.age
expect_exit 0
expect_stdout <(slice data $((size - 70000)) 70000)

# In the order that was asked for, and what is in no format as it is; twice is twice. A name may be anything.
mv single.gz $'na\nme \e[1m.gz'
run_bm cat -i key short - empty indexed.gz short -- $'na\nme \e[1m.gz' data.age <frames.zst
expect_exit 0
expect_no_stderr
expect_stdout <(cat short data empty data short data data)
mv $'na\nme \e[1m.gz' single.gz
run_bm cat empty
expect_exit 0
expect_no_stdout
# What looks like the beginning of a format, and is too short to be one, is plain.
for bytes in '\x1f' '\x28\xb5' 'age-encryption.org' '-----BEGIN'; do
	printf -- "$bytes" >start
	run_bm cat start
	expect_exit 0
	expect_stdout start
	run_bm cat --range 0-99 start
	expect_exit 0
	expect_stdout start
done
# Four formats and no more.
from=four more= pack five "$gz"
run_bm cat -i key five
expect_exit 0
[ "$(head -c 4 "$stdout" | od -An -tx1)" = ' 28 b5 2f fd' ] || fail "the fifth format: $(head -c 4 "$stdout" | od -An -tx1)"
cp "$stdout" fifth
run_bm cat fifth
expect_exit 0
expect_stdout data
run_bm cat -i key --range 100-199 five
expect_exit 0
expect_stdout <(slice fifth 100 100)

# Files of the kernel are not as long as stat(2) tells: empty, or a page.
for file in /proc/version /sys/kernel/mm/transparent_hugepage/enabled; do
	{ [ -r $file ] && cat $file >want 2>/dev/null; } || continue
	long=$(stat -c %s want)
	run_bm cat -v --range 3-8 $file
	expect_exit 0
	expect_stdout <(slice want 3 6)
	expect_stderr_match "^bytemill: $file: not as long as its size says"
	run_bm cat --range -5 $file
	expect_exit 0
	expect_no_stderr
	expect_stdout <(tail -c 5 want)
	run_bm cat --range $long- $file
	expect_exit 1
	expect_stderr_match "there are $long bytes"
done

# Caps: on windows for whole files and for ranges, by seeking or not; on what comes out.
if command -v zstd >/dev/null; then
	head -c 40000000 /dev/zero >zeros
	zstd -qc --long=25 <zeros >long_stream.zst
	zstd -qc --long=25 zeros >long.zst
	for name in long.zst long_stream.zst; do
		for args in "" "--range 5-9"; do
			run_bm cat --max-window 32MiB $args $name
			expect_exit 0
			expect_stdout <([ -n "$args" ] && head -c 5 zeros || cat zeros)
			run_bm cat --max-window 16MiB $args $name
			expect_exit 1
			expect_no_stdout
			expect_stderr_match "$name: .*a window of 32 MiB in memory, and 16 MiB are allowed; .*the limit is --max-window\$"
		done
	done
	run_bm cat --max-ratio 1000 long.zst
	expect_exit 1
	expect_stderr_match 'long.zst: .*more than --max-ratio \(1000\) times'
	rm zeros
fi
for bad in 1 3GiB; do
	run_bm cat --max-window $bad indexed.gz
	expect_exit 2
	expect_stderr_match "^bytemill: error: --max-window is \"$bad\"; allowed: 1 KiB to 2 GiB"
done
run_bm cat --max-size $((size - 1)) gzip.gz
expect_exit 1
expect_stderr_match 'gzip.gz: .*more than --max-size'
run_bm cat --max-size $size gzip.gz
expect_exit 0
expect_stdout data

# One that is missing, a directory, one that cannot be decoded: the others come out.
run_bm cat short missing . indexed.gz
expect_exit 1
expect_stdout <(cat short data)
expect_stderr_match '^bytemill: error: missing: .*No such file'
expect_stderr_match '^bytemill: error: \.: it is a directory$'
run_bm cat .
expect_exit 1
run_bm cat short data.age indexed.gz
expect_exit 1
expect_stdout <(cat short data)
expect_stderr_match '^bytemill: error: data\.age: .*give --identity or --passphrase-file$'
run_bm cat -i other data.age
expect_exit 1
expect_no_stdout
head -c 100000 gzip.gz >cut.gz
run_bm cat cut.gz
expect_exit 1
expect_stderr_match '^bytemill: error: cut\.gz: .*unexpected end'
cp indexed.gz garbage.gz
echo garbage >>garbage.gz
run_bm cat garbage.gz
expect_exit 0
expect_stdout data
expect_stderr_match '^bytemill: warning: garbage\.gz: trailing garbage'

# Keys: of files that others may read none is taken; what is wrong with one is told before anything is done.
cp key open.key
chmod 644 open.key
run_bm cat -i open.key data.age
expect_exit 2
expect_no_stdout
expect_stderr_match 'open\.key: '
run_bm cat -i short data.age
expect_exit 2
run_bm cat --passphrase-file missing data.age
expect_exit 2
expect_stderr_match 'missing: '
run_bm cat -i <(cat key) data.age
expect_exit 0
expect_stdout data

# ---- ranges ----

# Around the ends and the chunks' boundaries, and anywhere; with what each of them holds.
mkdir ranges
$python - "${!how[@]}" <<'END'
import random, sys
data = open("data", "rb").read()
size = len(data)
for name in sys.argv[1:]:
    rnd = random.Random(name)
    ends = [0, 1, 65535, 65536, 262143, 262144, 5 * 262144 - 1, size - 1]
    with open("ranges/" + name, "w") as out:
        for n, first in enumerate(rnd.sample(ends, 4) + [rnd.randrange(size) for i in range(4)]):
            last = first + rnd.choice([1, 2, 1000, 65536, 300000]) - 1
            want = "ranges/%s.%d" % (name, n)
            print(first, last, want, file=out)
            open(want, "wb").write(data[first:last + 1])
END
for name in "${!how[@]}"; do
	while read -r first last want; do
		run_bm cat "${keys[@]}" --range "$first-$last" "$name"
		expect_exit 0
		expect_no_stderr
		expect_same "$want" "$stdout"
	done <"ranges/$name"
	run_bm cat -v "${keys[@]}" --range "$((size - 100))-" "$name"
	expect_exit 0
	slice data $((size - 100)) 100 >want
	expect_same want "$stdout"
	expect_stderr_match "^bytemill: ${name//./\\.}: ${how[$name]}\$"
	run_bm cat "${keys[@]}" --range "-70000" "$name"
	expect_exit 0
	slice data $((size - 70000)) 70000 >want
	expect_same want "$stdout"
	run_bm cat "${keys[@]}" --range "-99999999999" "$name"
	if [ "${how[$name]}" = "$stream" ]; then
		expect_exit 1 # so much of the end of a stream is not kept
		expect_stderr_match "^bytemill: error: ${name//./\\.}: .*64 MiB.*--range A-"
	else
		expect_exit 0
		expect_stdout data
	fi
	# Behind the end: 416. Partly: what there is.
	run_bm cat "${keys[@]}" --range "$size-" "$name"
	expect_exit 1
	expect_no_stdout
	expect_stderr_match "^bytemill: error: ${name//./\\.}: --range begins at byte $size, and there are $size bytes\$"
	run_bm cat "${keys[@]}" --range "$((size - 1))-18446744073709551615" "$name"
	expect_exit 0
	[ "$(stat -c %s "$stdout")" = 1 ] || fail "$name: the last byte"
done
# How is told before the bytes, which may end in the middle of a line.
"$BYTEMILL" cat -v --range 5-9 indexed.gz >both 2>&1
head -n 1 both | grep -qx 'bytemill: indexed\.gz: gzip, from member to member' || fail "first comes: $(head -c 100 both)"
# One file that fails is one line, as other filters have it; of several all is said.
run_bm cat none
expect_exit 1
expect_stderr <<<'bytemill: error: none: cannot read: No such file or directory'
run_bm cat none indexed.gz
expect_exit 1
expect_stderr_match '^bytemill: 1 file done, 1 failed'

# A range over the place from which on there is no seeking.
run_bm cat -v --range "$((size - 10))-$((size + 9))" joined.gz
expect_exit 0
{ tail -c 10 data && head -c 10 data; } >want
expect_same want "$stdout"
expect_stderr_match 'joined\.gz: there is no seeking in it: '
run_bm cat --range 0-9 joined.gz
expect_exit 0
expect_no_stderr
# Nothing comes from that place on: it is the end of the range, not behind it.
{ cat indexed.gz && gzip </dev/null; } >ended.gz
for range in "$((size - 10))-" "$((size - 10))-$((size + 9))"; do
	run_bm cat --range "$range" ended.gz
	expect_exit 0
	expect_no_stderr
	tail -c 10 data | expect_stdout
done
run_bm cat --range "$size-" ended.gz
expect_exit 1
expect_no_stdout
expect_stderr_match "ended\.gz: --range begins at byte $size, and there are $size bytes\$"

# From what cannot be sought in at all.
for name in data indexed.gz frames.zst; do
	run_bm cat -v --range 100000-100999 <"$name"
	expect_exit 0
	expect_stderr_match '^bytemill: -: standard input: read from its start$'
	slice data 100000 1000 >want
	expect_same want "$stdout"
	run_bm cat --range -1000 - <"$name"
	expect_exit 0
	slice data $((size - 1000)) 1000 >want
	expect_same want "$stdout"
	run_bm cat --range "$size-" <"$name"
	expect_exit 1
	expect_no_stdout
	expect_stderr_match "^bytemill: error: -: --range begins at byte $size, and there are $size bytes\$"
done
mkfifo pipe
cat indexed.gz >pipe &
run_bm cat -v --range 5-9 pipe
expect_exit 0
expect_stderr_match '^bytemill: pipe: not a regular file: read from its start$'
slice data 5 5 >want
expect_same want "$stdout"
wait
# What is in no format is read no further than the range: this would not end.
{ yes || true; } | timeout 60 "$BYTEMILL" cat --range 100000-100001 >"$stdout" || fail "yes: $?"
expect_stdout <<<"y"

# Ends of files.
run_bm cat --range -5 empty
expect_exit 0
expect_no_stdout
run_bm cat --range 0- empty
expect_exit 1
expect_stderr_match '^bytemill: error: empty: --range begins at byte 0, and there are 0 bytes$'
run_bm cat --range 0- missing
expect_exit 1
expect_stderr_match '^bytemill: error: missing: .*No such file'
run_bm cat --range 0- .
expect_exit 1
for range in '' - a 1 1-a 3-2 -0 0x1-2 1-2-3 1,2 ' 1-2' 18446744073709551616- 1--2; do
	run_bm cat --range "$range" data
	expect_exit 2
	expect_no_stdout
done
run_bm cat --range 3-2 data
expect_stderr_match '^bytemill: error: --range is "3-2"; it ends before it begins$'
run_bm cat --range 0-1 data data
expect_exit 2
run_bm cat - -
expect_exit 2

# Only what is needed is read: all other members are damaged but for their sizes, and the range is right all the same;
# the range that needs one of them is an error, and not a byte of it comes out.
$python - <<'END'
import struct
data = bytearray(open("indexed.gz", "rb").read())
at = n = 0
while at < len(data):
    size = struct.unpack("<I", data[at + 16:at + 20])[0]
    if n != 7:
        for i in range(at + 20, at + size - 8):
            data[i] ^= 0x55
    at += size
    n += 1
open("damaged.gz", "wb").write(data)
END
run_bm cat --range $((7 * 262144 + 1))-$((8 * 262144 - 1)) damaged.gz
# The first is looked at: does it begin with another format?
expect_exit 1
expect_no_stdout
expect_stderr_match '^bytemill: error: damaged\.gz: gzip member at byte 0: '
$python - <<'END'
import struct
good, data = open("indexed.gz", "rb").read(), bytearray(open("damaged.gz", "rb").read())
size = struct.unpack("<I", good[16:20])[0]
data[:size] = good[:size]
open("damaged.gz", "wb").write(data)
END
run_bm cat --range $((7 * 262144 + 1))-$((8 * 262144 - 1)) damaged.gz
expect_exit 0
slice data $((7 * 262144 + 1)) 262143 >want
expect_same want "$stdout"
run_bm cat --range $((7 * 262144 + 1))-$((8 * 262144)) damaged.gz
expect_exit 1
slice data $((7 * 262144 + 1)) 262143 >want
expect_same want "$stdout"
expect_stderr_match '^bytemill: error: damaged\.gz: gzip member at byte [0-9]+: '
# The same of an age file: the chunk before is damaged.
$python - <<'END'
data = bytearray(open("data.age", "rb").read())
data[len(data) // 2] ^= 1
open("damaged.age", "wb").write(data)
END
run_bm cat -i key --range 0-99999 damaged.age
expect_exit 0
expect_stdout <(slice data 0 100000)
run_bm cat -i key --range $((size / 2))- damaged.age
expect_exit 1
expect_no_stdout
expect_stderr_match '^bytemill: error: damaged\.age: age chunk at byte [0-9]+: '
head -c $((200 + 5 * 65552)) data.age >cut.age
run_bm cat -i key --range 0-9 cut.age
expect_exit 1
expect_no_stdout

# An index that is of another file is not used.
cp blocks.gz stale.gz
cp index.gz.gzi stale.gz.gzi
head -c 1000 /dev/zero >>stale.gz.gzi
run_bm cat --range 4000000-4000999 stale.gz
expect_exit 0
expect_stdout <(slice data 4000000 1000)
expect_stderr_match '^bytemill: warning: stale\.gz: the index \(\.gzi\) is not used: '
run_bm cat -q --range 4000000-4000999 stale.gz
expect_exit 0
expect_no_stderr

# A key that can be read but once is good for both ways.
run_bm cat -i <(cat key) --range 100-199 single.gz.age
expect_exit 0
expect_stdout <(slice data 100 100)

# ---- outputs that do not get out ----

for args in '' '--range 0-' '--range -1000'; do
	for name in data indexed.gz gzip.gz; do
		status=0
		last="cat $args $name"
		if [ -c /dev/full ]; then
			# shellcheck disable=SC2086
			"$BYTEMILL" cat $args "$name" >/dev/full 2>"$stderr" || status=$?
			expect_exit 1
			expect_stderr_match 'No space left'
		fi
	done
done
mkfifo out
for args in '' '--range 0-'; do
	(
		code=0
		# shellcheck disable=SC2086
		"$BYTEMILL" cat $args indexed.gz >out 2>"$stderr" || code=$?
		echo "$code" >code
	) &
	exec 3<out
	exec 3<&-
	wait
	read -r status <code
	expect_exit 1
	expect_stderr_match 'the reader has gone'
done
