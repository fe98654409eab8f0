#!/bin/bash
# hash --format and catalog --export: what the programs whose formats these are write and check. Each list is read back here,
# too, and says that all is well; a name that a format cannot hold is told, and all others are there.
. "$(dirname "$0")/lib.sh"

mkdir -p t/sub
printf 'one\n' >t/one
printf 'two\n' >'t/sub/a name, with 100%'
printf 'esc\n' >$'t/esc\e[31m\xff'
: >t/empty
head -c 300000 /dev/urandom >t/big

# written FORMAT ARG...: t's list is in "list", which is of that kind and right, and damage is found with it.
written() {
	run_bm hash --format "$1" -o list "${@:2}" t
	expect_exit 0
	run_bm audit --kind "$1" -a "${algorithm:-sha256}" --ignore-new list .
	expect_exit 0
	expect_stdout_match 'ok *5'
	cp -r t damaged
	printf 'X' | dd of=damaged/big bs=1 seek=7 conv=notrunc status=none
	mv t whole && mv damaged t
	run_bm audit --kind "$1" -a "${algorithm:-sha256}" --ignore-new list .
	expect_exit 3
	expect_stdout_match 'changed *1'
	rm -r t && mv whole t
}
written hashdeep
head -2 list | cmp - <(printf '%%%%%%%% HASHDEEP-1.0\n%%%%%%%% size,md5,sha256,filename\n') || fail "not hashdeep's head"
written hashdeep -a sha1
written hashdeep -a sha256,md5,sha1
algorithm=md5 written rclone -a md5
written rclone
written bagit
algorithm=crc32 written sfv
algorithm=xxh64 written xxhsum
algorithm=xxh32 written xxhsum -a xxh32
algorithm=xxh3 written xxhsum -a xxh3

# The programs themselves. No size is known of what hashdeep is to find, so it is in the list.
if command -v hashdeep >/dev/null; then
	run_bm hash --format hashdeep -o list t
	hashdeep -l -r -a -k list t >said || fail "hashdeep: $(cat said)"
	printf 'y' >>t/one
	! hashdeep -l -r -a -k list t >said || fail "hashdeep finds nothing wrong"
	printf 'one\n' >t/one
fi
if command -v xxhsum >/dev/null; then
	for algorithm in xxh32 xxh64 xxh128; do
		run_bm hash --format xxhsum -a $algorithm -o list t
		xxhsum -q -c list >said 2>&1 || fail "xxhsum: $(cat said)"
	done
fi
if command -v rhash >/dev/null; then
	run_bm hash --format sfv -o list t/one t/big t/empty
	rhash --sfv -c list >said 2>&1 || fail "rhash: $(cat said)"
fi
if command -v rclone >/dev/null; then
	(cd t && "$BYTEMILL" hash --format rclone -o ../list one big empty sub)
	RCLONE_CONFIG=/dev/null rclone checksum sha256 list t --one-way 2>said || fail "rclone: $(cat said)"
fi

# Names that they cannot hold: told, and the exit code says so, but the others are there.
mkdir odd
printf 'a' >odd/a
printf 'b' >$'odd/b\nb'
printf 'c' >odd/c
for format in hashdeep sfv xxhsum; do
	run_bm hash --format $format -o list odd
	expect_exit 1
	expect_stderr_match 'odd/b\\nb.*line feed'
	expect_stderr_match 'without 1 file'
	grep -q 'odd/a' list && grep -q 'odd/c' list || fail "$format: the others are not there"
done
run_bm hash --format rclone -o list odd
expect_exit 0

# What does not go together.
for args in '--format sfv -a md5' '--format hashdeep -a sha512' '--format rclone -a md5,sha1' '--format xxhsum -a sha256' \
	'--format hashdeep -z' '--format sfv --blocks 64KiB'; do
	# shellcheck disable=SC2086
	run_bm hash $args t
	expect_exit 2
	expect_no_stdout
done

# In a job; each algorithm in a manifest of its own.
cat >job.json <<'END'
{"steps": [{"step": "read", "from": "t"},
  {"step": "hash", "algorithms": ["md5", "sha256"], "format": "hashdeep", "manifest": "list.{algorithm}"},
  {"step": "hash", "algorithms": "crc32", "format": "sfv", "manifest": "list.sfv"}]}
END
run_bm run --no-history job.json
expect_exit 0
for list in list.md5 list.sha256 list.sfv; do
	run_bm audit $list t
	expect_exit 0
	expect_stdout_match 'ok *5'
done
sed 's/"crc32"/"md5"/' job.json >wrong.json
run_bm run --no-history wrong.json
expect_exit 2
expect_stderr_match 'steps/2/format.*allowed: crc32'

# The catalog's.
run_bm audit --catalog --state state t
expect_exit 0
for format in hashdeep rclone bagit bsd; do
	"$BYTEMILL" catalog --state state --export --format $format >list
	run_bm audit --kind $format -a sha256 list t
	expect_exit 0
	expect_stdout_match 'ok *5'
done
run_bm catalog --state state --export --format sfv
expect_exit 2
expect_no_stdout

# Lists of b2sum -l, cksum and xxhsum -H0, with and without tags, found out.
cd t
b2sum --tag -l 256 one big >../list.bsd
b2sum -l 504 one >../list.504
b2sum -l 160 empty big >../list.b2
cksum -a sm3 one big >../list.sm3 2>/dev/null || printf 'SM3 (empty) = 1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b\n' >../list.sm3
cd ..
for list in list.bsd list.b2 list.sm3 '-a blake2b list.504'; do
	# shellcheck disable=SC2086
	run_bm audit --ignore-new $list t
	expect_exit 0
	expect_stdout_match 'ok *[12]'
done
cp t/one t/two
sed -i 's/(big)/(two)/' list.bsd
run_bm audit --ignore-new list.bsd t
expect_exit 3
expect_stdout_match 'changed *two'
run_bm hash -a blake2b-256 t/one
b2sum -l 256 t/one | expect_stdout
