#!/bin/bash
# With few descriptors (and 16 are fewer than it needs) a run either does all, or says what it lacks; files that it cannot do are named, and none is damaged.
. "$(dirname "$0")/../cli/lib.sh"

mkdir -p in
for i in 1 2 3 4 5 6 7 8 9; do
	mkdir -p "in/d$i/e/f"
	echo "text $i" >"in/d$i/e/f/$i"
	head -c 300000 /dev/urandom >"in/d$i/large"
done
cat >job.json <<'END'
{"chunk": "64KiB", "memory": "8MiB", "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "out/SUMS"},
	{"step": "copy", "to": "out/mirror/{path}"}, {"step": "compress", "level": 1}, {"step": "write", "to": "out/gz/{path}.gz"}]}
END
for limit in 16 28 256; do
	for threads in 1 8; do
		rm -rf out
		(
			ulimit -n "$limit"
			run_bm run -j "$threads" --io-depth "$threads" job.json
			echo "$status" >status
		) || true
		read -r status <status
		last="run -j $threads with ulimit -n $limit"
		case $status in
		0) diff -r in out/mirror >&2 || fail "not all is there" ;;
		1 | 2) expect_stderr_match 'error: .*Too many open files' ;;
		*) fail "exit code $status" ;;
		esac
		[ "$limit" -lt 256 ] || expect_exit 0
		[ ! -d out ] || expect_no_temp out
		[ ! -d out/mirror ] || while IFS= read -r -d '' file; do
			expect_same "in/${file#out/mirror/}" "$file"
			case $status in 1) [ -e "out/gz/${file#out/mirror/}.gz" ] || grep -aqF "${file#out/mirror/}" "$stderr" ||
				fail "${file#out/mirror/} is not done and not named" ;; esac
		done < <(find out/mirror -type f -print0)
		[ "$status" != 1 ] || for file in in/d?/large in/d?/e/f/?; do
			[ -e "out/gz/${file#in/}.gz" ] || grep -aqF "${file#in/}" "$stderr" || grep -aq 'error: in.*directory' "$stderr" ||
				fail "$file is not done and not named"
		done
	done
done
