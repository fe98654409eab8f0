#!/bin/bash
# decrypt of what is damaged: every flipped bit and every cut of a small file, and what is let out of a large one before
# its fault; keys and passphrases in the wrong places, that others may read, or that are none.
. "$(dirname "$0")/lib.sh"

"$BYTEMILL" keygen -o key 2>/dev/null
"$BYTEMILL" keygen -o other.key 2>/dev/null
me=$("$BYTEMILL" keygen -y key)
secret=$(tail -n 1 key)
mkdir in
$python -c '
import random
noise = random.Random(5).randbytes(3 << 20)
open("in/small", "wb").write(noise[:17])
open("in/large", "wb").write(noise)'
cat >make.json <<END
{"steps": [{"step": "read", "from": "in"}, {"step": "encrypt", "recipients": "$me"}, {"step": "write", "to": "age/{path}"}]}
END
run_bm run make.json
expect_exit 0

# ---- every bit and every length of a small file; what is at fault is written to no file ----

mkdir bad
$python - <<'END'
import base64
small = open("age/small", "rb").read()
for bit in range(8 * len(small)):
    b = bytearray(small)
    b[bit // 8] ^= 1 << bit % 8
    open("bad/flip-%04d" % bit, "wb").write(b)
for n in range(len(small)):
    open("bad/cut-%03d" % n, "wb").write(small[:n])
open("bad/longer", "wb").write(small + b"x")
open("bad/longer-by-nul", "wb").write(small + b"\0")
text = base64.b64encode(small)
armor = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
armor += b"".join(text[i:i + 64] + b"\n" for i in range(0, len(text), 64)) + b"-----END AGE ENCRYPTED FILE-----\n"
open("age/armor", "wb").write(armor)
for n in range(len(armor) - 1):  # it may do without its last line feed
    open("bad/armor-cut-%03d" % n, "wb").write(armor[:n])
for bit in range(8 * len(armor)):
    b = bytearray(armor)
    b[bit // 8] ^= 1 << bit % 8
    if b[bit // 8] not in b" \t\n\v\f\r":  # white space around armor and CR LF are allowed
        open("bad/armor-flip-%04d" % bit, "wb").write(b)
END
count=$(find bad -type f | wc -l)
for step in decrypt decompress; do
	cat >bad.json <<END
{"steps": [{"step": "read", "from": ["bad", "age/armor"]}, {"step": "copy", "to": "copies/{path}", "durability": "none"},
  {"step": "$step", "identity_file": "key"}, {"step": "write", "to": "decoded/{name}", "durability": "none"}]}
END
	rm -rf decoded copies
	run_bm run -q -j 3 bad.json
	expect_exit 1
	[ "$(grep -c '^bytemill: error: bad/' "$stderr")" = "$count" ] || fail "not every one is an error"
	[ "$(find decoded copies -type f | sort | tr '\n' ' ')" = "copies/armor decoded/armor " ] || fail "of bad files there is something"
	expect_same in/small decoded/armor
	expect_stderr_match 'error: bad/cut-050: the age file ends within its header: it was cut off, at offset 50'
	expect_stderr_match 'error: bad/longer: age chunk at byte [0-9]+: the last chunk'
	expect_stderr_match 'error: bad/armor-cut-100: .*, at line [0-9]'
	if [ $step = decrypt ]; then
		expect_stderr_match 'error: bad/cut-000: this is not an age file: it is empty'
	else
		expect_stderr_match 'error: bad/cut-000: empty, not a gzip, zstd or age file'
	fi
done

# ---- of a large file all that was authentic in front of the fault goes into a pipe, and not a byte more ----

$python - <<'END'
import random
rnd = random.Random(7)
large = open("age/large", "rb").read()
start = len(large) - 48 * 65552
cases = open("cases", "w")
def case(name, data, good):
    open("large-" + name, "wb").write(data)
    cases.write("%s %d\n" % (name, good * 65536))
for i in (0, 1, 15, 16, 17, 32, 46, 47):
    b = bytearray(large)
    b[start + i * 65552 + rnd.randrange(65552)] ^= 1 << rnd.randrange(8)
    case("flip-%d" % i, b, i)
for i in (1, 16, 32, 47):
    case("cut-%d" % i, large[:start + i * 65552], i)
    case("cut-%d-less" % i, large[:start + i * 65552 - 1], i - 1)
    case("cut-%d-more" % i, large[:start + i * 65552 + 1], i)
chunk = lambda i: large[start + i * 65552:start + (i + 1) * 65552]
case("swapped", large[:start] + chunk(0) + chunk(2) + chunk(1) + large[start + 3 * 65552:], 1)
case("twice", large[:start + 65552 * 20] + chunk(19) + large[start + 20 * 65552:], 20)
case("without", large[:start + 65552 * 20] + large[start + 21 * 65552:], 20)
case("longer", large + b"x", 48)
END
while read -r name good; do
	for chunk in 64KiB 1MiB; do
		echo '{"chunk": "'$chunk'", "steps": [{"step": "read", "from": "large-'"$name"'"}, {"step": "decrypt", "identity_file": "key"},
			{"step": "copy", "to": "copy"}, {"step": "write", "to": "-"}]}' >large.json
		run_bm run -q -j 4 large.json
		expect_exit 1
		expect_stderr_match "error: large-$name: age chunk at byte"
		head -c "$good" in/large | cmp -s - "$stdout" || fail "$name: $(stat -c %s "$stdout") bytes let out, not $good"
		[ ! -e copy ] || fail "$name: there is a copy"
	done
done <cases
expect_no_temp .

# ---- what is refused ----

refuse() { # refuse STEP WHAT: step 1 of a job, a message
	echo '{"steps": [{"step": "read", "from": "in/small"}, '"$1"', {"step": "write", "to": "refused"}]}' >refuse.json
	run_bm run refuse.json
	expect_exit 2
	expect_no_stdout
	expect_stderr_match "$2"
	expect_stderr_match 'nothing was done'
	if grep -iq "${secret:20:30}" "$stderr"; then fail "the key is shown"; fi
	[ ! -e refused ] || fail "something was done"
}
printf 'a passphrase\n' >pass
printf 'two\nlines\n' >lines
chmod 600 pass lines
echo "$secret" >secrets.txt
refuse '{"step": "encrypt"}' 'nothing says whom to encrypt for'
refuse '{"step": "encrypt", "recipients": []}' 'nothing says whom to encrypt for'
refuse '{"step": "encrypt", "recipients": "'"$me"'", "passphrase_file": "pass"}' '/steps/1/passphrase_file: passphrase_file cannot go with recipients'
refuse '{"step": "encrypt", "recipients": "'"${me%?}b"'"}' '/steps/1/recipients: .* is not an age recipient'
refuse '{"step": "encrypt", "recipients": "ssh-ed25519 AAAA"}' 'SSH keys are not supported'
refuse '{"step": "encrypt", "recipients": "'"$secret"'"}' 'refuse.json:1:[0-9]+: error: a secret key stands in the job file'
refuse '{"step": "decrypt", "identity_file": "'"$secret"'"}' 'a secret key stands in the job file'
refuse '{"step": "decrypt", "identities": "'"${secret,,}"'"}' 'a secret key stands in the job file'
refuse '{"step": "decrypt"}' 'nothing says how to decrypt'
refuse '{"step": "decrypt", "identity_file": []}' 'identity_file is an empty array; allowed: a path or an array of paths'
refuse '{"step": "decrypt", "identity_file": "-"}' '/dev/stdin'
refuse '{"step": "decrypt", "passphrase": "x"}' 'unknown key "passphrase"'
refuse '{"step": "decrypt", "identity_file": "key", "max_work": 23}' 'an integer from 1 to 22'
refuse '{"step": "decrypt", "identity_file": "no-such.key"}' 'no-such.key: cannot open it for reading: No such file'
refuse '{"step": "decrypt", "identity_file": "pass"}' 'pass:1: not an age identity'
refuse '{"step": "decrypt", "identity_file": ["key", "in/large"]}' 'in/large: .*\(mode 0644\).*chmod 600'
refuse '{"step": "decrypt", "passphrase_file": "lines"}' 'lines: there is more than one line'
refuse '{"step": "encrypt", "passphrase_file": "lines"}' 'lines: there is more than one line'
refuse '{"step": "encrypt", "passphrase_file": "secrets.txt"}' 'secrets.txt: .*\(mode 0644\)'
refuse '{"step": "encrypt", "recipients_file": "in"}' 'in: .*Is a directory'
refuse '{"step": "encrypt", "recipients_file": "in/large"}' 'in/large: over 1048576 bytes'
refuse '{"step": "encrypt", "recipients_file": "/dev/null"}' 'null: there is no recipient in it'
refuse '{"step": "encrypt", "recipients_file": "secrets.txt"}' 'secrets.txt:1: a secret key stands where a recipient'
refuse '{"step": "decompress", "format": "gzip", "identity_file": "key"}' '/steps/1/identity_file: identity_file is of no use where format is "gzip"'
refuse '{"step": "decompress", "depth": 5}' 'depth is 5; allowed: an integer from 1 to 4'
refuse '{"step": "decompress", "identity_file": "*.key"}' '\*\.key: cannot open'
for mode in 0640 0604 0620 0666; do
	chmod $mode key
	refuse '{"step": "decrypt", "identity_file": "key"}' "key: .*\(mode $mode\).*chmod 600"
	refuse '{"step": "decompress", "depth": 2, "identity_file": "key"}' "key: .*\(mode $mode\).*chmod 600"
	run_bm keygen -y key
	expect_exit 2
	expect_stderr_match "key: .*\(mode $mode\)"
done
chmod 600 key

# What counts is the file that a link leads to, not the link.
ln -s key link
install -m 644 key open.key
ln -s open.key open-link
refuse '{"step": "decrypt", "identity_file": "open-link"}' 'open-link: .*\(mode 0644\)'
echo '{"steps": [{"step": "read", "from": "age/small"}, {"step": "decrypt", "identity_file": "link"}, {"step": "write", "to": "-"}]}' >link.json
run_bm run -v --report report.jsonl link.json
expect_exit 0
expect_stdout in/small
if grep -iq "${secret:20:30}" "$stderr" report.jsonl; then fail "the key is shown"; fi

# A key in a value that is put into the job is none the better.
# shellcheck disable=SC2016
for option in identity_file passphrase_file max_work; do
	echo '{"steps": [{"step": "read", "from": "age/small"}, {"step": "decrypt", "'$option'": "${KEY}"}, {"step": "write", "to": "-"}]}' >set.json
	run_bm run --set "KEY=$secret" set.json
	expect_exit 2
	if grep -iq "${secret:20:30}" "$stderr"; then fail "the key is shown"; fi
	[ $option = max_work ] || expect_stderr_match "$option is a secret key: put it into a file"
	KEY=$secret run_bm run set.json
	expect_exit 2
	if grep -iq "${secret:20:30}" "$stderr"; then fail "the key is shown"; fi
done

# Documentation may speak of keys.
echo '{"description": "identity_file holds AGE-SECRET-KEY-1...", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "-"}]}' >doc.json
run_bm run -q doc.json
expect_exit 0

# An age file that there is no key for is told as one.
echo '{"steps": [{"step": "read", "from": "age"}, {"step": "decompress"}, {"step": "write", "to": "refused/{path}"}]}' >nokey.json
run_bm run -q nokey.json
expect_exit 1
expect_stderr_match 'error: age/armor: this is an age file, .*identity_file'
expect_stderr_match 'error: age/small: this is an age file'
[ ! -e refused ] || [ -z "$(find refused -type f)" ] || fail "something was written"

# While keys are in memory no core is dumped.
mkfifo hang
echo '{"steps": [{"step": "read", "from": "hang"}, {"step": "decrypt", "identity_file": "key"}, {"step": "write", "to": "-"}]}' >hang.json
ulimit -S -c 1000 || skip "no limit on cores can be set here"
"$BYTEMILL" run -q hang.json >/dev/null 2>&1 &
pid=$!
exec 8>hang # it is open once the run has made its plan and begun to read
grep -Eq '^Max core file size +0 ' "/proc/$pid/limits" || fail "a core could be dumped: $(grep core "/proc/$pid/limits")"
# What may not be dumped, nor looked into by others of the same user, belongs to root in /proc.
nobody() { exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
if [ "$(id -u)" = 0 ] && [ -z "${BM_SANITIZE:-}" ] && (nobody "$BYTEMILL" --version) >/dev/null 2>&1; then
	mkfifo -m 666 hang2
	cp key nobodys-key
	chown 65534 nobodys-key
	chmod 755 "$top" "$tmp"
	for secret in '"step": "decrypt", "identity_file": "nobodys-key"' '"step": "hash", "algorithms": "md5"'; do
		echo '{"steps": [{"step": "read", "from": "hang2"}, {'"$secret"'}, {"step": "write", "to": "-"}]}' >hang2.json
		nobody "$BYTEMILL" run -q --no-lock hang2.json >/dev/null 2>&1 &
		other=$!
		exec 9>hang2
		owner=$(stat -c %u "/proc/$other/environ")
		exec 9>&-
		wait $other || true
		case $secret in
		*key*) [ "$owner" = 0 ] || fail "a process with keys can be dumped" ;;
		*) [ "$owner" = 65534 ] || fail "the test sees no difference" ;;
		esac
	done
fi
exec 8>&-
code=0
wait $pid || code=$?
[ $code = 1 ] || fail "exit code $code of an empty input"
