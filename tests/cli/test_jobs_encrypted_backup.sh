#!/bin/bash
# jobs/encrypted-backup.json: what is in the backup only the owner of a key can read, and it is what was there.
. "$(dirname "$0")/lib.sh"
need_cmd zstd

mkdir -p source/letters
cp /usr/include/stdio.h source/letters/one.txt
cp /usr/include/stdlib.h source/two.txt
: >source/empty
head -c 2500000 /dev/urandom >source/large
chmod 640 source/two.txt
touch -d '3 days ago' source/two.txt
for name in mine yours; do
	run_bm keygen -o $name.key
	expect_exit 0
	run_bm keygen -y $name.key
	expect_exit 0
	cat "$stdout" >>recipients.txt
done
job=$BM_SOURCE_DIR/jobs/encrypted-backup.json
today=$(date +%F)
run_bm run "$job" --set SOURCE="$tmp/source" --set BACKUP="$tmp/backup" --set RECIPIENTS="$tmp/recipients.txt"
expect_exit 0
expect_stderr_match '^bytemill: 4 files done, 0 failed, 0 skipped; '
today2=$(date +%F)
[ -d "backup/$today" ] || today=$today2 # it was midnight
[ "$(cd "backup/$today" && find . -type f | sort | tr '\n' ' ')" = \
	"./SHA256SUMS ./SHA256SUMS.age ./empty.age ./large.age ./letters/one.txt.age ./two.txt.age " ] ||
	fail "in the backup: $(find backup)"
(cd source && sha256sum --quiet --strict -c "$tmp/backup/$today/SHA256SUMS") >&2 || fail "digests of the files"
(cd "backup/$today" && sha256sum --quiet --strict -c SHA256SUMS.age) >&2 || fail "digests of the backup"
[ "$(stat -c '%a %Y' "backup/$today/two.txt.age")" = "$(stat -c '%a %Y' source/two.txt)" ] || fail "mode or time"
if grep -raq 'stdio' backup/*/letters; then fail "it can be read without a key"; fi

for key in mine yours; do
	cat >restore.json <<END
{"steps": [{"step": "read", "from": "backup/$today", "include": "*.age", "exclude": "SHA256SUMS.age"},
  {"step": "decompress", "depth": 2, "identity_file": "$key.key"}, {"step": "hash", "manifest": "$key.sums", "name": "{path}"},
  {"step": "write", "to": "$key/{dir}/{stem}"}]}
END
	run_bm run restore.json
	expect_exit 0
	for name in letters/one.txt two.txt empty large; do expect_same "source/$name" "$key/$name"; done
	if command -v age >/dev/null; then
		for name in letters/one.txt two.txt empty large; do
			age -d -i $key.key "backup/$today/$name.age" | zstd -qdc | cmp - "source/$name" || fail "age and zstd: $name"
		done
	fi
done
expect_no_temp .
