#!/bin/bash
# Runs over HTTP: queued, run, watched, cancelled; what is wrong with a job is told as on the command line; a service that
# was killed knows its runs when it comes back.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir tree jobs outside
for i in 1 2 3 4 5; do echo "file $i" >tree/$i; done
cat >jobs/sums.json <<END
{"name": "sums", "steps": [{"step": "read", "from": "$tmp/tree"}, {"step": "hash", "algorithms": ["sha256"], "manifest": "$tmp/\${OUT}"}]}
END
# Waits until somebody writes into the FIFO: a run that is under way for as long as the test wants.
mkfifo gate
cat >jobs/wait.json <<END
{"steps": [{"step": "read", "from": "$tmp/gate"}, {"step": "write", "to": "$tmp/waited"}]}
END
echo '{"steps": [{"step": "read", "form": "x"}, {"step": "hash", "algorithms": ["sha257"]}, {"step": "write", "to": "{nam}"}]}' >jobs/bad.json
echo '{"steps": [{"step": "read", "from": "/nonexistent"}, {"step": "hash"}]}' >jobs/missing.json
mkfifo gate2
sed 's/gate/gate2/; s/waited/waited2/' jobs/wait.json >jobs/wait2.json
serve_start --jobs jobs

post() { req -X POST --data "$1" "$url/v1/runs"; }
run_id() { jq -r .id body; }
state_is() { # state_is ID STATE
	req "$url/v1/runs/$1"
	expect_code 200
	[ "$(jq -r .state body)" = "$2" ]
}

post '{"job": "sums", "set": {"OUT": "SUMS"}}'
expect_code 202
id=$(run_id)
expect_head "^location: /v1/runs/$id"
wait_until state_is "$id" done
expect_json '.job == "sums" and .files_done == 5 and .bytes_read == 35 and (.queued <= .started) and (.started <= .ended)'
(cd tree && sha256sum --quiet -c ../SUMS) || fail "SUMS"
req "$url/v1/runs/$id/report"
expect_code 200
expect_head '^content-type: application/jsonl'
[ "$(jq -s '[.[] | select(.type == "file")] | length' body)" = 5 ] || fail "the report"
[ "$(jq -rs '.[-1].run' body)" = "$id" ] || fail "the report's summary is of another run"
req -N "$url/v1/runs/$id/events"
[ "$(grep -c '^event: end' body)" = 1 ] || fail "events: $(cat body)"

# It is in the history, as any run, which says where it came from.
run_bm runs --json
[ "$(jq -r "select(.run == \"$id\") | [.kind, .state, .files_done, .job] | join(\" \")" "$stdout")" = "serve done 5 sums" ] || fail "not in the history"
run_bm runs
expect_stdout_match "^$id .* sums \(serve\)$"
run_bm runs "$id"
expect_stdout_match '^from      serve$'

# What is wrong is told as validate tells it.
post '{"job": "bad"}'
expect_problem 422
run_bm validate jobs/bad.json
expect_exit 2
[ "$(jq '.errors | length' body)" = "$(grep -c 'error: /' "$stderr")" ] || fail "other faults than validate: $(cat body)"
jq -r '.errors[] | "\(.line):\(.column): error: \(.pointer): \(.message)" + (if .suggestion then " (did you mean \"\(.suggestion)\"?)" else "" end)' body >told
sed -n 's|^jobs/bad.json:||p' "$stderr" | grep 'error: /' | diff - told || fail "other words than validate"
post '{"job": "sums"}'
expect_problem 422
expect_json '.errors[0].message | test("OUT")'
for bad in '' '[]' '{' '{"job": 5}' '{}' '{"jop": "sums"}' '{"job": "sums", "set": []}' '{"job": "sums", "set": {"OUT": 5}}' '{"job": "sums", "job": "x"}' \
	'{"resume": "none"}' '{"resume": "x", "job": "sums"}'; do
	post "$bad"
	expect_problem 422
	expect_json '.errors | length > 0'
done
post '{"jop": "sums"}'
expect_json '.errors[0].suggestion == "job" and .errors[0].pointer == "/jop"'
for name in none ../jobs/sums /etc/passwd a/b; do
	post "{\"job\": \"$name\"}"
	expect_problem 404
done
head -c 1100000 /dev/zero | tr '\0' ' ' >long
req --data-binary @long "$url/v1/runs"
expect_problem 413
post '{"job": "missing"}'
id=$(run_id)
wait_until state_is "$id" failed
expect_json '.error | test("/nonexistent")'
for path in nope "$id/nope" "nope/report" nope/events; do
	req "$url/v1/runs/$path"
	expect_problem 404
done

# One after the other; watched; cancelled.
post '{"job": "wait"}'
first=$(run_id)
wait_until state_is "$first" running
post '{"job": "sums", "set": {"OUT": "SUMS2"}}'
second=$(run_id)
post '{"job": "sums", "set": {"OUT": "SUMS3"}}'
third=$(run_id)
state_is "$second" queued || fail "two at once"
curl -sSN "$url/v1/runs/$first/events" >events &
watcher=$!
wait_until grep -qs '"state":"running"' events
req -X DELETE "$url/v1/runs/$third"
expect_code 202
state_is "$third" cancelled || fail "not cancelled"
# What is not over is in any list.
req "$url/v1/runs?limit=0"
expect_json '[.runs[].state] == ["queued", "running"]'
req -X DELETE "$url/v1/runs/$third"
expect_problem 409
# The same job by hand: its lock is held.
run_bm run jobs/wait.json
expect_exit 4
echo data >gate
wait $watcher
grep -q '^event: end' events || fail "no end: $(cat events)"
sed -n 's/^data: //p' events | jq -es '.[0].state == "running" and .[-1].state == "done" and .[-1].bytes_read == 5' >/dev/null || fail "events: $(cat events)"
[ "$(cat waited)" = data ] || fail "not what went in"
wait_until state_is "$second" done
[ -s SUMS2 ] && [ ! -e SUMS3 ] || fail "what ran: $(ls)"
post '{"job": "wait"}'
id=$(run_id)
wait_until state_is "$id" running
req -X DELETE "$url/v1/runs/$id"
expect_code 202
wait_until state_is "$id" cancelled
req "$url/v1/runs"
[ "$(jq '.runs | length' body)" = 6 ] && [ "$(jq -r '.runs[0].id' body)" = "$id" ] || fail "the list: $(cat body)"
req "$url/v1/runs?limit=2"
expect_json '(.runs | length == 2) and .count == 6'
req "$url/v1/runs?limit="
expect_problem 400
req "$url/metrics"
grep -qx 'bytemill_serve_runs{state="done"} 3' body || fail "metrics: $(cat body)"
serve_stop
serve_start --jobs jobs
state_is "$first" done && state_is "$id" cancelled || fail "forgotten"

# Stopped and killed with runs under way: they are known as interrupted, and can be asked for again.
for signal in TERM KILL; do
	post '{"job": "wait"}'
	first=$(run_id)
	post '{"job": "sums", "set": {"OUT": "AGAIN"}}'
	second=$(run_id)
	wait_until state_is "$first" running
	kill -$signal $serve_pid
	wait $serve_pid || true
	serve_start --jobs jobs
	state_is "$first" interrupted && state_is "$second" interrupted || fail "after $signal: $(cat body)"
	rm -f AGAIN
	post "{\"resume\": \"$second\"}"
	expect_code 202
	id=$(run_id)
	wait_until state_is "$id" done
	[ -s AGAIN ] || fail "not resumed"
done
# A run goes on where the one before was ended, and what was done is on record.
mkfifo gate3
cat >jobs/many.json <<END
{"steps": [{"step": "read", "from": ["$tmp/tree", "$tmp/gate3"]}, {"step": "write", "to": "$tmp/many/{name}"}]}
END
all_but_gate() {
	req "$url/v1/runs/$first"
	jq -e '.files_done == 5' body >/dev/null
}
post '{"job": "many"}'
first=$(run_id)
wait_until all_but_gate
kill $serve_pid
wait $serve_pid || true
run_bm runs --json "$first"
[ "$(jq -r '"\(.state) \(.files_done)"' "$stdout")" = "cancelled 5" ] || fail "the history"
serve_start --jobs jobs
state_is "$first" interrupted || fail "$(cat body)"
post "{\"resume\": \"$first\"}"
second=$(run_id)
wait_until state_is "$second" running
echo x >gate3
wait_until state_is "$second" done
expect_json '.files_skipped == 5 and .files_done == 1'
# One that was killed: how far it came is what the history says.
post '{"job": "wait"}'
first=$(run_id)
wait_until state_is "$first" running
kill -9 $serve_pid
wait $serve_pid || true
run_bm runs --json "$first"
[ "$(jq -r .state "$stdout")" = interrupted ] || fail "killed, and not known as interrupted"
seen=$(jq -r .ended "$stdout")
serve_start --jobs jobs
state_is "$first" interrupted || fail "$(cat body)"
expect_json ".ended == \"$seen\""
# What is taken out of the history is forgotten.
nothing_on_record() {
	run_bm runs --keep 1s
	run_bm runs --json
	[ ! -s "$stdout" ]
}
wait_until nothing_on_record
serve_stop
serve_start --jobs jobs
req "$url/v1/runs/$second"
expect_problem 404
[ ! -e "$BYTEMILL_STATE/serve/$second.json" ] && [ ! -e "$BYTEMILL_STATE/serve/$second.jsonl" ] || fail "forgotten, but still there"
# Damaged records are passed over.
echo '{' >"$BYTEMILL_STATE/serve/20000101T000000.000000Z-1.json"
head -c 1000 /dev/urandom >"$BYTEMILL_STATE/serve/x.json"
serve_stop
# Two at once.
serve_start --jobs jobs --runs 2
grep -q '2 records' serve.log || fail "damage is not told"
post '{"job": "wait"}'
first=$(run_id)
post '{"job": "wait2"}'
second=$(run_id)
wait_until state_is "$first" running
wait_until state_is "$second" running
echo a >gate
echo b >gate2
wait_until state_is "$second" done
wait_until state_is "$first" done
# A watcher does not hold up the end.
post '{"job": "wait"}'
id=$(run_id)
wait_until state_is "$id" running
rm -f events # of before: it would be taken for what the watcher sees
curl -sSN "$url/v1/runs/$id/events" >events &
watcher=$!
wait_until grep -qs running events
serve_stop
wait $watcher
mkdir -p confined/in second outside
echo data >confined/in/f
echo secret >outside/secret
ln -s ../outside confined/link
serve_start --allow-submit confined --allow-submit second

# Whole job files, confined.
submit() { post "{\"file\": {\"steps\": [$1]}, \"set\": {\"SUB\": \"in\"}}"; }
submit '{"step": "read", "from": "${SUB}"}, {"step": "hash", "manifest": "SUMS"}, {"step": "write", "to": "'"$tmp"'/second/{date}/{path}"}'
expect_code 202
id=$(run_id)
wait_until state_is "$id" done
expect_same confined/in/f second/*/f
[ -s confined/SUMS ] || fail "no manifest"
read='{"step": "read", "from": "in"}'
write='{"step": "write", "to": "out/{path}"}'
refused() { # refused POINTER STEPS
	submit "$2"
	expect_problem 422
	expect_json ".errors | map(.pointer) == [\"$1\"]"
}
for from in /etc/passwd "$tmp/outside" ../outside in/../../outside link link/secret "link/*" "lin*/../../outside" - / "$tmp/confined-not" '{dir}/..'; do
	submit '{"step": "read", "from": "'"$from"'"}, '"$write"
	expect_problem 422
done
for to in "$tmp/outside/{path}" '../{path}' '{dir}/../{path}' 'link/{path}' '..{ext}/x' '{date:..}/x' '{date:.}./x' '/dev/null' - '{job}/../x' '/{path}'; do
	refused /steps/1/to "$read"', {"step": "write", "to": "'"$to"'"}'
done
refused /steps/1/manifest "$read"', {"step": "hash", "manifest": "/tmp/{algorithm}"}'
refused /steps/1/passphrase_file "$read"', {"step": "encrypt", "passphrase_file": "../outside/secret"}, '"$write"
refused /steps/1/identity_file "$read"', {"step": "decrypt", "identity_file": ["/etc/shadow"]}, '"$write"
refused /steps/0/files_from '{"step": "read", "files_from": "in/f"}, '"$write"
# Nor may the service be made to ask other servers, which its client may not be able to reach.
if "$BYTEMILL" steps read | grep -q urls_from; then
	refused /steps/0/from '{"step": "read", "from": "http://127.0.0.1:1/x"}, '"$write"
	refused /steps/0/urls '{"step": "read", "urls": {"url": "http://127.0.0.1:1/x"}}, '"$write"
	refused /steps/0/urls_from '{"step": "read", "urls_from": "in/f"}, '"$write"
	refused /steps/1/to "$read"', {"step": "write", "to": "http://127.0.0.1:1/{path}"}'
fi
refused /steps/0/follow_symlinks '{"step": "read", "from": "in", "follow_symlinks": true}, '"$write"
refused /steps/1/manifest "$read"', {"step": "verify", "manifest": "/etc/passwd"}'
refused /steps/1/allow_unsafe "$read"', {"step": "verify", "manifest": "SUMS", "allow_unsafe": true}'
post '{"file": {"notify": {"command": ["touch", "'"$tmp"'/pwned"]}, "steps": ['"$read, $write"']}}'
expect_problem 422
expect_json '.errors | map(.pointer) == ["/notify"]'
post '{"file": {"name": "..", "steps": ['"$read"', {"step": "write", "to": "{job}/{path}"}]}}'
expect_problem 422
post '{"file": {"steps": ['"$read"', {"step": "write", "to": "out/${HOME}"}]}}'
expect_problem 422
post '{"file": 5}'
expect_problem 422
# As text: faults have the lines that the sender sees.
text() { jq -n --arg text "$1" '{file: $text}'; }
post "$(text $'{"steps": [\n{"step": "raed"}]}')"
expect_problem 422
expect_json '.errors[0] | .line == 2 and .suggestion == "read"'
post "$(text '{')"
expect_problem 422
post "$(text "{\"steps\": [$read, {\"step\": \"write\", \"to\": \"/etc/{path}\"}]}")"
expect_problem 422
expect_json '.errors[0].pointer == "/steps/1/to"'
post "$(text "{\"steps\": [$read, {\"step\": \"write\", \"to\": \"text/{path}\"}]}")"
expect_code 202
id=$(run_id)
wait_until state_is "$id" done
expect_same confined/in/f confined/text/f
post '{"file": {}, "job": "x"}'
expect_problem 422
[ ! -e pwned ] && [ "$(ls outside)" = secret ] || fail "out of bounds"
serve_stop
serve_start --jobs jobs
post '{"file": {"steps": ['"$read, $write"']}}'
expect_problem 403
serve_stop
