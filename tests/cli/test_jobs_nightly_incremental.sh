#!/bin/bash
# jobs/nightly-incremental.json: the second night reads what is new and changed, and the digests are of all.
. "$(dirname "$0")/lib.sh"
need_cmd zstd

cp -R /usr/include/asm-generic tree
find tree -type f -exec touch -d '2 hours ago' {} +
run_job() { run_bm run "$BM_SOURCE_DIR/jobs/nightly-incremental.json" --set SOURCE="$tmp/tree" --set BACKUP="$tmp/backup"; }
check() {
	expect_exit 0
	(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) | diff - backup/SHA256SUMS || fail "the digests"
	while IFS= read -r name; do
		zstd -qdc "backup/files/$name.zst" | cmp - "tree/$name" || fail "$name"
	done < <(cd tree && find . -type f -printf '%P\n')
}
run_job
check
echo more >>tree/types.h
echo new >tree/new.h
touch -d '1 hour ago' tree/types.h tree/new.h
run_job
check
expect_stderr_match "2 files done, 0 failed, $(($(find tree -type f | wc -l) - 2)) skipped"
