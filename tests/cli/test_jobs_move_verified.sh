#!/bin/bash
# jobs/move-verified.json: what is moved is there, with its digest, and gone from where it was; what is there already under
# another's name stays where it is.
. "$(dirname "$0")/lib.sh"

mkdir -p inbox/a archive/files
for i in 1 2 3; do head -c ${i}00000 /dev/urandom >inbox/a/$i; done
(cd inbox && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >want
echo other >archive/files/there
echo mine >inbox/there
find inbox -type f -exec touch -d '1 hour ago' {} +
run_job() { run_bm run -q "$BM_SOURCE_DIR/jobs/move-verified.json" --set INBOX="$tmp/inbox" --set ARCHIVE="$tmp/archive"; }
run_job
expect_exit 1
expect_stderr_match 'archive/files/there: .*exists'
[ "$(find inbox -type f)" = inbox/there ] && [ "$(cat inbox/there archive/files/there)" = $'mine\nother' ] ||
	fail "not moved as it should be: $(find inbox archive -type f)"
(cd archive/files && sha256sum -c --quiet ../../want) || fail "wrong bytes"
(cd archive/sums && sha256sum -c --strict --quiet ./*.sha256) || fail "wrong digests"
rm archive/files/there
run_job
expect_exit 0
[ -z "$(find inbox -type f)" ] && [ "$(cat archive/files/there)" = mine ] || fail "not moved the second time"
[ "$(cat archive/sums/*.sha256 | wc -l)" = 4 ] || fail "the digests of the first run are gone"
