#!/bin/bash
# encrypt and decrypt: round-trips over sizes, chunks and threads; what age itself reads of ours and we of its; several
# recipients, files of recipients, passphrases, armor, descriptors.
. "$(dirname "$0")/lib.sh"
need_cmd age age-keygen

age-keygen -o key 2>/dev/null
age-keygen -o other.key 2>/dev/null
age-keygen -o stranger.key 2>/dev/null
me=$(age-keygen -y key) other=$(age-keygen -y other.key)

mkdir in
$python - <<'END'
import random
noise = random.Random(5).randbytes(3 << 20)
K = 65536
for n in (0, 1, 17, K - 1, K, K + 1, 2 * K, 262143, 262144, 262145, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + K, 3 << 20):
    open("in/%07d" % n, "wb").write(noise[:n])
open("in/zeros", "wb").write(bytes(700000))
END
truncate -s 3M in/hole

# ---- we write, age reads; and the way back ----

jobs() { # jobs CHUNK CHUNK-BACK
	cat <<END
{"jobs": [
  {"name": "there", $1 "steps": [{"step": "read", "from": "in"}, {"step": "encrypt", "recipients": ["$other", "$me"]},
    {"step": "hash", "manifest": "SUMS"}, {"step": "write", "durability": "none", "to": "age/{path}.age"}]},
  {"name": "back", "after": ["there"], $2 "steps": [{"step": "read", "from": "age"}, {"step": "decrypt", "identity_file": "key"},
    {"step": "write", "durability": "none", "to": "back/{stem}"}]}
]}
END
}
round_trip() { # round_trip THREADS CHUNK CHUNK-BACK
	jobs "$2" "$3" >job.json
	rm -rf age back SUMS
	run_bm run -j "$1" job.json
	expect_exit 0
	expect_stderr_no_match 'warning|error'
	diff -r in back >&2 || fail "not what went in: $*"
	sha256sum --quiet -c SUMS >&2 || fail "SUMS: $*"
	for f in in/*; do
		age -d -i key "age/${f#in/}.age" | cmp -s - "$f" || fail "age -d: $f ($*)"
	done
	expect_no_temp .
}
round_trip 1 '' ''
round_trip 2 '"chunk": "64KiB",' '"chunk": "4KiB",'
round_trip 3 '"chunk": "100000",' '"chunk": "64KiB",'
round_trip 8 '"chunk": "4KiB",' '"chunk": "1000000",'
round_trip 8 '' '"chunk": "16MiB", "memory": "128MiB",'

# A chunk too many would be as wrong as one too few: the size is what the format says.
for f in in/*; do
	n=$(stat -c %s "$f")
	chunks=$(((n + 65535) / 65536))
	[ $chunks -gt 0 ] || chunks=1
	mac=$(grep -a -b -m 1 -- '^--- ' "age/${f#in/}.age" | head -n 1 | cut -d: -f1)
	[ "$(stat -c %s "age/${f#in/}.age")" = $((mac + 4 + 43 + 1 + 16 + n + 16 * chunks)) ] || fail "size of $f.age"
done
# No key is made twice.
for f in age/*; do grep -a -m 2 '^-> X25519 ' "$f"; done | sort | uniq -d >twice
[ ! -s twice ] || fail "stanzas that are there twice: $(head -n 3 twice)"

# Out of a pipe and into one.
cat >pipe.json <<END
{"steps": [{"step": "read", "from": "-"}, {"step": "encrypt", "recipients": "$me"}, {"step": "decrypt", "identity_file": "key"},
  {"step": "write", "to": "-"}]}
END
for f in in/*; do
	run_bm run -q pipe.json <"$f"
	expect_exit 0
	expect_stdout "$f"
done

# ---- age writes, we read ----

mkdir theirs
for f in in/*; do
	age -r "$me" -o "theirs/${f#in/}" "$f"
	age -a -r "$other" -r "$me" -o "theirs/${f#in/}.armor" "$f"
done
# An identity file with several keys, comments, and line breaks of another system.
{
	printf '# not ours\r\n'
	tail -n 1 stranger.key
	printf '\n'
	cat key
} >several.key
chmod 600 several.key
for keys in '"several.key"' '["stranger.key", "key", "other.key"]'; do
	for threads in 1 2 3 8; do
		rm -rf plain
		cat >theirs.json <<END
{"steps": [{"step": "read", "from": "theirs"}, {"step": "decrypt", "identity_file": $keys},
  {"step": "write", "durability": "none", "to": "plain/{path}"}]}
END
		run_bm run -j $threads theirs.json
		expect_exit 0
		for f in in/*; do
			expect_same "$f" "plain/${f#in/}"
			expect_same "$f" "plain/${f#in/}.armor"
		done
	done
done
cat >theirs.json <<END
{"steps": [{"step": "read", "from": "theirs"}, {"step": "decrypt", "identity_file": "stranger.key"}, {"step": "write", "to": "no/{path}"}]}
END
run_bm run -q theirs.json
expect_exit 1
expect_stderr_match 'error: theirs/0000000: none of the identities given is a recipient of the age file'
[ ! -e no ] || [ -z "$(find no -type f)" ] || fail "without a key: $(find no -type f)"

# ---- recipients from files ----

printf '# mine\n%s\n\n' "$me" >mine.txt
printf '%s\r\n' "$other" >others.txt
cat >files.json <<END
{"steps": [{"step": "read", "from": "in/0000017"}, {"step": "encrypt", "recipients_file": ["mine.txt", "others.txt"]},
  {"step": "write", "to": "files.age"}]}
END
run_bm validate files.json
expect_stdout_match 'encrypt +age, for 2 recipients'
run_bm run files.json
expect_exit 0
for k in key other.key; do age -d -i $k files.age | cmp - in/0000017; done
[ "$(grep -ac '^-> X25519 ' files.age)" = 2 ] || fail "not two recipients"
if age -d -i stranger.key files.age >/dev/null 2>&1; then fail "anybody can read it"; fi
# A header that is longer than a chunk of the job.
for ((i = 0; i < 60; i++)); do age-keygen 2>/dev/null | age-keygen -y; done >many.txt
cat >files.json <<END
{"chunk": "4KiB", "steps": [{"step": "read", "from": ["in/0000017", "in/0065537"]}, {"step": "encrypt", "recipients_file": "many.txt", "recipients": "$me"},
  {"step": "compress", "format": "zstd"}, {"step": "decompress"}, {"step": "write", "to": "{name}.many"}]}
END
run_bm run files.json
expect_exit 0
for f in 0000017 0065537; do age -d -i key $f.many | cmp - in/$f; done

# ---- passphrases ----

printf 'correct horse  battery\n' >pass
printf 'wrong\n' >wrong
chmod 600 pass wrong
cat >pass.json <<END
{"jobs": [
  {"name": "a", "steps": [{"step": "read", "from": ["in/0000017", "in/0065537"]}, {"step": "encrypt", "passphrase_file": "pass"},
    {"step": "write", "to": "pass-{name}.age"}]},
  {"name": "b", "after": ["a"], "steps": [{"step": "read", "from": "pass-0065537.age"}, {"step": "decrypt", "passphrase_file": "pass"},
    {"step": "write", "to": "pass-back"}]}
]}
END
: >pass-0065537.age # what is listed must be there; it is replaced by then
run_bm validate pass.json
expect_stdout_match 'encrypt +age, with a passphrase \(256 MiB for a while'
expect_stdout_match 'decrypt +age, with a passphrase'
run_bm run pass.json
expect_exit 0
expect_same in/0065537 pass-back
cat >terminal.py <<'END'
# Answers every question of age on a terminal of its own with the passphrase.
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
while True:
    try:
        part = os.read(fd, 1000)
    except OSError:
        break
    if not part:
        break
    seen += part
    if b"passphrase" in seen and b":" in seen[seen.rindex(b"passphrase"):]:
        seen = b""
        os.write(fd, b"correct horse  battery\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
$python terminal.py age -d -o by-age pass-0000017.age
expect_same in/0000017 by-age
$python terminal.py age -p -o by-age.age in/0065537
cat >pass.json <<END
{"steps": [{"step": "read", "from": "by-age.age"}, {"step": "decrypt", "passphrase_file": "pass", "identity_file": "key"}, {"step": "write", "to": "-"}]}
END
run_bm run -q pass.json
expect_exit 0
expect_stdout in/0065537
sed -i 's/"pass"/"wrong"/' pass.json
run_bm run pass.json
expect_exit 1
expect_no_stdout
expect_stderr_match 'by-age.age: the passphrase is wrong'
sed -i 's/"wrong"/"pass", "max_work": 17/' pass.json
run_bm run pass.json
expect_exit 1
expect_stderr_match 'by-age.age: .*work factor over 17: .*128 MiB'

# A descriptor of the caller's can be read only once, though plans are made again where memory is short.
cat >fd.json <<END
{"memory": "6MiB", "steps": [{"step": "read", "from": "theirs/1048577"}, {"step": "decrypt", "identity_file": "/dev/fd/7"}, {"step": "write", "to": "-"}]}
END
run_bm run -q -j 64 fd.json 7< <(cat key)
expect_exit 0
expect_stdout in/1048577
