#!/bin/bash
# bytemill keygen: the lines that age-keygen writes, where they go, what is never overwritten, and the public keys again.
. "$(dirname "$0")/lib.sh"

pair='^# created: [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})
# public key: (age1[02-9ac-hj-np-z]{58})
AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}
$'
check_pair() { # check_pair FILE STDERR
	local text
	text=$(cat "$1" && echo .)
	[[ ${text%.} =~ $pair ]] || fail "not a pair: $(head -n 2 "$1")"
	[ "$(cat "$2")" = "Public key: ${BASH_REMATCH[2]}" ] || fail "on standard error: $(cat "$2")"
}

chmod 600 "$stdout" # which run_bm keeps
run_bm keygen
expect_exit 0
check_pair "$stdout" "$stderr"
cp "$stdout" first
run_bm keygen -o new.key
expect_exit 0
expect_no_stdout
check_pair new.key "$stderr"
if cmp -s first new.key; then fail "twice the same key"; fi
[ "$(stat -c %a new.key)" = 600 ] || fail "mode $(stat -c %a new.key)"
(umask 777 && "$BYTEMILL" keygen --output strict.key 2>/dev/null)
[ "$(stat -c %a strict.key)" = 0 ] || fail "mode $(stat -c %a strict.key) with umask 777"

# What is there stays as it is, also where it is a link to nowhere.
cp new.key copy
ln -s nowhere dangling
for name in new.key dangling .; do
	run_bm keygen -o $name
	expect_exit 2
	expect_no_stdout
	expect_stderr_match "^bytemill: error: ${name/./\\.}: is there already"
done
expect_same new.key copy
[ ! -e nowhere ] || fail "a link was followed"
run_bm keygen -o no/such/dir.key
expect_exit 1
expect_stderr_match 'no/such/dir.key: cannot make the file \(make its directory first\): No such file or directory'

# After a power cut it is there: the file and its name are on the disk, or there is an error.
if [ -z "${BM_SANITIZE:-}" ] && strace -qq -e trace=none -e inject=fsync:error=EIO true 2>/dev/null; then
	mkdir deep
	under() { "$@" >"$stdout" 2>"$stderr" || status=$?; }
	status=0
	under strace -qq -y -e trace=fsync -o trace "$BYTEMILL" keygen -o deep/a.key
	expect_exit 0
	grep -q "fsync([0-9]*<.*/deep/a.key>)" trace || fail "the file was not synced: $(cat trace)"
	grep -q "fsync([0-9]*<.*/deep>)" trace || fail "its directory was not synced: $(cat trace)"
	for when in 1 2; do
		status=0
		under strace -qq -e trace=fsync -e inject=fsync:error=EIO:when=$when -o trace "$BYTEMILL" keygen -o deep/b.key
		expect_exit 1
		expect_stderr_match '^bytemill: error: deep/b.key: cannot write it to the disk: Input/output error'
		[ ! -e deep/b.key ] || fail "a key that may be gone after a power cut"
	done
fi

# The public keys.
public=$(sed -n 's/^# public key: //p' new.key)
run_bm keygen -y new.key
expect_exit 0
expect_no_stderr
expect_stdout <<<"$public"
run_bm keygen -y <new.key
expect_stdout <<<"$public"
run_bm keygen --public - <new.key
expect_stdout <<<"$public"
chmod 600 first
cat new.key first >both
chmod 600 both
run_bm keygen -o both.pub -y both
expect_exit 0
expect_no_stdout
sed -n 's/^# public key: //p' both | cmp - both.pub || fail "two keys"
run_bm keygen -y both.pub
expect_exit 2
expect_stderr_match 'both.pub:1: a recipient \(a public key\) stands where an identity'
run_bm keygen -y /dev/null
expect_exit 2
expect_stderr_match 'there is no identity in it'

# Usage.
run_bm keygen x
expect_exit 2
expect_stderr_match -- '--public'
run_bm keygen -y new.key first
expect_exit 2
expect_no_stdout

# A file that others may read is told of; a pipe is nobody else's.
(umask 022 && "$BYTEMILL" keygen >open.key 2>messages)
grep -q 'warning: others may read the file .*mode 0644' messages || fail "no warning: $(cat messages)"
(umask 077 && "$BYTEMILL" keygen >shut.key 2>messages)
[ "$(wc -l <messages)" = 1 ] || fail "a warning: $(cat messages)"
"$BYTEMILL" keygen 2>messages | cat >piped.key
[ "$(wc -l <messages)" = 1 ] || fail "a warning: $(cat messages)"
# On a terminal the public key is shown once.
if command -v script >/dev/null; then
	script -qc "'$BYTEMILL' keygen" /dev/null </dev/null | tr -d '\r' >shown
	[ "$(grep -c . shown)" = 3 ] || fail "on a terminal: $(grep -v AGE- shown)"
fi
if [ -c /dev/full ]; then
	status=0
	"$BYTEMILL" keygen >/dev/full 2>"$stderr" || status=$?
	[ $status = 1 ] || fail "exit code $status with a full disk"
	expect_stderr_match 'standard output: cannot write: No space left'
fi

# With the real ones.
need_cmd age age-keygen
[ "$(age-keygen -y new.key)" = "$public" ] || fail "age-keygen -y says $(age-keygen -y new.key)"
age-keygen -o theirs.key 2>/dev/null
run_bm keygen -y theirs.key
expect_stdout < <(age-keygen -y theirs.key)
echo hello | age -r "$public" | age -d -i new.key >hello
[ "$(cat hello)" = hello ] || fail "age with our key"
diff <(sed 's/age1.*/age1/; s/^AGE.*/AGE/; s/[0-9]/0/g' theirs.key) <(sed 's/age1.*/age1/; s/^AGE.*/AGE/; s/[0-9]/0/g' new.key) >&2 ||
	fail "the lines differ from age-keygen's"
