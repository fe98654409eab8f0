#!/bin/bash
# What a person's page asks for: which jobs there are, what is wrong with a job file, what the catalog has.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir jobs audited out
token=0123456789abcdef0123456789abcdef
echo $token >token
chmod 600 token
serve_start --jobs jobs --outbox out --token-file token
auth=(-H "Authorization: Bearer $token")

# Jobs.
echo '{"steps": [{"step": "read", "from": "/x"}, {"step": "hash"}]}' >jobs/b.json
echo '{"steps": [{"step": "read", "from": "${FROM}"}, {"step": "hash"}]}' >jobs/'a ü"<.json'
touch jobs/.hidden.json jobs/notes.txt jobs/.json jobs/$'\xff.json'
req "${auth[@]}" "$url/v1/jobs"
expect_json '.jobs == ["a ü\"<", "b"]'
req "${auth[@]}" "$url/v1/jobs/a%20%C3%BC%22%3C"
expect_code 200
expect_same body jobs/'a ü"<.json'
for path in none .hidden notes.txt ..%2Ftoken; do
	req "${auth[@]}" "$url/v1/jobs/$path"
	[ "$code" = 404 ] || [ "$code" = 400 ] || fail "status $code of $path"
done

# What is wrong with a text: as validate says it, and nothing is opened for it.
check() {
	local file=$1
	shift
	req "${auth[@]}" -X POST --data-binary "@$file" "$url/v1/jobs$*"
}
check jobs/b.json
expect_code 200
expect_json '.jobs | length == 1'
check jobs/'a ü"<.json'
expect_problem 422
expect_json '.errors[0] | .pointer == "/steps/0/from" and .line == 1 and (.message | test("FROM"))'
check jobs/'a ü"<.json' '?set=FROM%3D%2Fa%3Db&set=X='
expect_code 200
for bad in 'set=FROM' 'set=%3Dx' 'set=%zz' 'set='; do
	check jobs/b.json "?$bad"
	expect_problem 400
done
printf '{"steps": [\n{"step": "read", "form": "/x"},\n{"step": "hash", "algorithms": ["sha257"]}]}' >bad.json
check bad.json
expect_problem 422
run_bm validate bad.json
expect_exit 2
jq -r '.errors[] | "\(.line):\(.column): error: \(.pointer): \(.message)" + (if .suggestion then " (did you mean \"\(.suggestion)\"?)" else "" end)' body >told
sed -n 's|^bad.json:||p' "$stderr" | grep 'error: /' | diff - told || fail "other words than validate"
# The service's own environment is not for it.
echo '{"steps": [{"step": "read", "from": "/x"}, {"step": "hash", "algorithms": ["${BYTEMILL_STATE}"]}]}' >env.json
check env.json
expect_problem 422
! grep -qF "$BYTEMILL_STATE" body || fail "the environment is told: $(cat body)"
for bad in '' '[' '5' '{}'; do
	printf %s "$bad" >bad.json
	check bad.json
	expect_problem 422
done
head -c 1100000 /dev/zero | tr '\0' ' ' >bad.json
check bad.json
expect_problem 413

# The catalog: nothing yet, then two roots.
req "$url/v1/catalog"
expect_problem 401
req "${auth[@]}" "$url/v1/catalog"
expect_json '.roots == []'
serve_stop
head -c 1000 /dev/urandom >audited/a
echo b >audited/$'\xff<b>'
run_bm audit --catalog audited
expect_exit 0
rm audited/a
run_bm audit --catalog audited
expect_exit 3
serve_start --outbox out
req "$url/v1/catalog"
expect_code 200
expect_json ".roots | length == 1 and .[0].path == \"$tmp/audited\""
expect_json '.roots[0] | .files == 1 and .bytes == 2 and .ok == 1 and .missing == 1 and .damaged == 0 and .bad_count == 1 and .bad[0].path == "a" and .bad[0].state == "missing"'
expect_json '.roots[0] | [.ages[].files] == [1, 0, 0, 0, 0] and .found.counts[0] == 1 and (.found.counts | length == 12) and (.audited | fromdate > 1600000000)'
# Many at once are one count, and all have the answer.
for i in 1 2 3 4 5 6 7 8; do
	curl -sS "$url/v1/catalog" >"catalog$i" &
	pids[i]=$!
done
for i in 1 2 3 4 5 6 7 8; do
	wait "${pids[i]}"
	expect_same "catalog$i" body
done
serve_stop
# A damaged one is told of.
serve_start --outbox out
head -c 8192 /dev/urandom >"$BYTEMILL_STATE/catalog.db"
req "$url/v1/catalog"
expect_problem 500
serve_stop
