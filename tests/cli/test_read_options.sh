#!/bin/bash
# What the step read takes: include, exclude, lists of names, ages, sizes, links, hidden names, one file system; each
# compared with find.
. "$(dirname "$0")/lib.sh"

mkdir -p tree/sub/deep/debug tree/debug/x tree/.git/objects 'tree/a b'
for name in top.log sub/one.log sub/two.txt sub/deep/three.log sub/deep/debug/four.log debug/five.log debug/x/six.log .hidden .git/config \
	.git/objects/aa sub/.dot.log 'a b/c d.log' $'sub/new\nline.log' 'sub/[x].log' sub/-n; do
	echo "$name" >"tree/$name"
done
: >tree/sub/empty
follow=
takes() { # takes OPTIONS FIND_ARG...: the read step with OPTIONS lists what find does
	local options=$1
	shift
	echo '{"steps": [{"step": "read", "from": "tree"'"${options:+, $options}"'}, {"step": "hash", "null": true, "manifest": "-"}]}' >job.json
	run_bm run -q job.json
	expect_exit 0
	(cd tree && find $follow . -type f "$@" -printf '%P\0' | sort -z) >want
	sed -z 's/^[0-9a-f]*  //' "$stdout" >found
	cmp -s want found || fail "$options: (-expected, +found)
$(diff -u <(tr '\0' '\n' <want) <(tr '\0' '\n' <found))"
}

takes ''
takes '"include": "*.log"' -name '*.log'
takes '"include": "**/*.log"' -name '*.log'
takes '"include": "sub/*.log"' -path './sub/*.log' ! -path './sub/*/*'
takes '"include": "sub/**"' -path './sub/*'
takes '"include": "**/debug/**"' -path '*/debug/*'
takes '"include": ["*.txt", "debug/**"]' '(' -name '*.txt' -o -path './debug/*' ')'
takes '"include": "sub/\\[x\\].log"' -name '\[x\].log'
takes '"include": "sub/[[]x].log"' -name '\[x\].log'
takes '"include": "*.none"' -false
takes '"exclude": "debug"' ! -path '*/debug/*'
takes '"exclude": "debug/"' ! -path './debug/*'
takes '"exclude": "debug/**"' ! -path './debug/*'
takes '"exclude": "**/debug/**"' ! -path '*/debug/*'
takes '"exclude": ["*.log", ".*"]' ! -name '*.log' ! -path '*/.*'
takes '"include": "*.log", "exclude": "sub/**"' -name '*.log' ! -path './sub/*'
takes '"hidden": false' ! -path '*/.*'
takes '"min_size": 1' -size +0
takes '"min_size": 8, "max_size": 12' -size +7c -size -13c
takes '"max_size": "1KiB"'

# Ages: against the clock of the run.
touch -d '3 days ago' tree/top.log tree/sub/one.log
touch -d '2 hours ago' tree/sub/two.txt
touch -d '10 minutes ago' tree/.hidden
touch -d '1 hour' tree/sub/-n # in the future
takes '"older_than": "1d"' -mmin +1440
takes '"older_than": "90m"' -mmin +90
takes '"newer_than": "1d"' -mmin -1440
takes '"older_than": "5m", "newer_than": "3h"' -mmin +5 -mmin -180
takes '"newer_than": 0' -newermt now

# Lists of names: in the list's own order, relative to from, absolute, with NUL; what is not there fails, the others do not.
list() { # list OPTIONS: names from the file list
	echo '{"steps": [{"step": "read", '"$1"'}, {"step": "hash", "null": true, "manifest": "-"}]}' >job.json
	run_bm run -q job.json
	sed -z 's/^[0-9a-f]*  //' "$stdout" >found
}
(cd tree && find . -type f -printf '%P\0' | sort -rz) >list
list '"from": "tree", "files_from": "list", "files_from_null": true'
expect_exit 0
expect_same list found
printf '%s\n' top.log sub/two.txt "$tmp/tree/debug/five.log" ./sub/../sub/one.log >list
list '"from": "tree", "files_from": "list"'
expect_exit 0
printf '%s\0' top.log sub/two.txt "${tmp#/}/tree/debug/five.log" sub/one.log >want
expect_same want found
printf 'tree/top.log\n\nmissing\n../outside\ntree/sub/two.txt' >list
list '"files_from": "list"'
expect_exit 1
expect_stderr_match '^bytemill: error: missing: .*No such file'
expect_stderr_match '^bytemill: error: \.\./outside: .*leads out of the directory'
printf '%s\0' tree/top.log tree/sub/two.txt >want
expect_same want found
list '"files_from": "no-list"'
expect_exit 1
expect_stderr_match 'no-list: cannot open the list of inputs: No such file'
find tree -name '*.txt' | (list '"files_from": "-"' && expect_same <(printf 'tree/sub/two.txt\0') found)
# A directory in a list is walked, filters hold there too.
echo tree/debug >list
list '"files_from": "list", "include": "*.log"'
printf '%s\0' tree/debug/five.log tree/debug/x/six.log >want
expect_same want found

# Several roots, patterns, files: in the order given.
echo '{"steps": [{"step": "read", "from": ["tree/sub/two.txt", "tree/debug", "tree/*.log", "tree/s*/*.log", "tree/nothing/"]},
	{"step": "hash", "format": "json", "manifest": "-"}]}' >job.json
run_bm run -q job.json
expect_exit 1
expect_stderr_match 'tree/nothing'
printf '%s\n' two.txt five.log x/six.log top.log $'sub/.dot.log' 'sub/[x].log' $'sub/new\\nline.log' sub/one.log >want
sed 's/^{"path":"\([^"]*\)".*/\1/' "$stdout" >found
diff -u want found >&2 || fail "several roots"

# Links.
ln -s sub tree/dirlink
ln -s ../top.log tree/sub/filelink
takes ''
follow=-L
takes '"follow_symlinks": true'
follow=
# A root may be a link in any case.
ln -s tree root
echo '{"steps": [{"step": "read", "from": "root", "include": "top.log"}, {"step": "hash", "manifest": "-"}]}' >job.json
run_bm run -q job.json
expect_stdout <<<"$(cd tree && sha256sum top.log)"

# One file system.
if [ "$(id -u)" = 0 ] && mkdir tree/mount && mount -t tmpfs -o size=64k tmpfs tree/mount 2>/dev/null; then
	at_end 'umount -l "$tmp/tree/mount" 2>/dev/null'
	echo other >tree/mount/file
	takes '"one_filesystem": true' -xdev
	[ "$(tr '\0' '\n' <found | grep -c mount/)" = 0 ] || fail "it went over"
	takes '"one_filesystem": false'
	[ "$(tr '\0' '\n' <found | grep -c mount/)" = 1 ] || fail "it did not go over"
	umount tree/mount
fi
