# The example of a nightly pull, as it stands: what is wrong is left out, what is there is not fetched again.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/url_lib.sh"
need_url
start_server

mkdir -p www
printf foo >www/tool
head -c 100000 /dev/urandom >www/seven
sed "s|https://files.example/releases/tool-1.2.tar.gz|$base/plain/tool|; s|https://files.example/data|$base/plain/seven|
	s|https://files.example/news/today.json|$base/cutonce-1,plain/tool?today|" "$BM_SOURCE_DIR/examples/nightly-pull.list" >list
pull() { run_bm run --set LIST="$tmp/list" --set OUT="$tmp/out" "$BM_SOURCE_DIR/examples/nightly-pull.json"; }

sed -i 's|cutonce-1,plain/tool.today|cutonce-1,plain/today|' list
cp www/seven www/today
pull
expect_exit 0
expect_same www/tool out/tool
expect_same www/seven out/data/seven.csv
expect_same www/today out/today
before=$(requests GET)
pull
expect_exit 0
expect_stderr_match '3 skipped'
[ "$(requests GET)" = "$before" ] || fail "fetched again"
rm out/tool
printf bar >www/tool
pull
expect_exit 1
expect_stderr_match 'tool: has the sha256 fcde2b2e.* was expected'
[ ! -e out/tool ] || fail "published"
expect_no_temp out
