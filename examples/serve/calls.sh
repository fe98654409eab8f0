#!/bin/bash
# calls.sh [URL] - the service's calls by curl: files in and out, a run that is watched. For one that was started so:
#   bytemill serve --inbox in --outbox in --jobs jobs        (with a token: export TOKEN=...)
set -euo pipefail
url=${1:-http://127.0.0.1:8080}
call() { curl -sSf ${TOKEN:+-H "Authorization: Bearer $TOKEN"} "$@"; }
file=$(mktemp)
trap 'rm -f "$file"' EXIT
seq 100000 >"$file"

# A file, with a digest that is checked before it is published.
call -T "$file" -H "Content-Digest: sha-256=:$(openssl dgst -sha256 -binary "$file" | base64):" "$url/v1/files/demo/numbers.txt"
# Some of it.
call -r 0-9 "$url/v1/files/demo/numbers.txt"
# As a form.
call -F "file=@$file;filename=form.txt" "$url/v1/files?dir=demo"
# Every run there is; a run of a job by name would be: call --data '{"job": "nightly", "set": {"DAY": "today"}}' "$url/v1/runs"
# and then: call -N "$url/v1/runs/ID/events"; call "$url/v1/runs/ID/report"
call "$url/v1/runs"
