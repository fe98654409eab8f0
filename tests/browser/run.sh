#!/bin/bash
# tests/browser/run.sh - page.mjs in a directory of its own. `make browser` sees to what it needs: node, Chromium, ffmpeg, and
# playwright-core in build/browser. SHOTS=DIR keeps the screenshots. Exit code 77: skipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
modules=${BM_BROWSER_MODULES:-$here/../../build/browser/node_modules}

skip() {
	echo "skipped: $*"
	exit 77
}
for cmd in node ffmpeg sha256sum; do
	command -v $cmd >/dev/null || skip "$cmd is not installed (make browser)"
done
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "Chromium is not installed (make browser)"
[ -d "$modules/playwright-core" ] || skip "playwright-core is not there (make browser)"
[ "$("$BYTEMILL" serve --openapi 2>/dev/null | head -c 1)" = '{' ] || skip "built without the service"

top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
trap 'exit 1' INT TERM
[ -z "${SHOTS-}" ] || { mkdir -p "$SHOTS" && SHOTS=$(cd "$SHOTS" && pwd); }
export CHROMIUM SHOTS
# Modules are looked for beside the script, not beside the caller.
ln -s "$(cd "$modules" && pwd)" "$top/node_modules"
cp "$here/page.mjs" "$top/"
mkdir "$top/work"
cd "$top/work"
timeout 300 node ../page.mjs
