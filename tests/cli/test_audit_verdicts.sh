#!/bin/bash
# bytemill audit: each verdict made on purpose, alone and mixed; the same in every format and at any number of threads.
. "$(dirname "$0")/lib.sh"
need_cmd jq

fresh() { # the tree as the manifest has it
	rm -rf tree
	mkdir -p tree/d/e tree/x
	for i in 1 2 3 4 5 6 7 8 9; do echo "content $i" >"tree/f$i"; done
	echo deep >tree/d/e/deep
	echo dx >tree/d/x
	: >tree/empty
	head -c 3000000 /dev/urandom >tree/large
	(cd tree && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >SUMS
	(cd tree && "$BYTEMILL" hash -q --format json .) >sums.json
}
listed() { sed -n '/^$/,$p' "$stdout" | tail -n +2; }
expect_listed() { expect_bytes 'the list' <(listed) "${1:-/dev/stdin}"; }
expect_count() { # VERDICT N
	[ "$(sed '/^$/,$d' "$stdout" | sed -n "s/^$1  *//p")" = "$2" ] || fail "count of $1"
}

# ---- all is well

fresh
run_bm audit SUMS tree
expect_exit 0
expect_no_stderr
expect_stdout <<'END'
ok                                13
END
run_bm audit -q SUMS tree
expect_exit 0
expect_no_stdout
expect_no_stderr
run_bm audit sums.json tree
expect_exit 0
mkdir beside
cp SUMS tree/SUMS # the manifest itself is no news, where the root is its directory
run_bm audit tree/SUMS
expect_exit 0
expect_count ok 13
cp SUMS tree/SUMS~
run_bm audit tree/SUMS
expect_exit 0
(cd tree && run_bm audit SUMS && expect_exit 0 && expect_count ok 13)
ln -s ../tree/SUMS beside/link
run_bm audit beside/link tree
expect_exit 0

# ---- each alone

fresh
echo Content 3 >tree/f3
run_bm audit SUMS tree
expect_exit 3
expect_count ok 12
expect_count changed 1
listed | grep -qE '^changed     f3: sha256 is [0-9a-f]{16}\.\.\., the manifest says [0-9a-f]{16}\.\.\.$' || fail "the line"

fresh
rm tree/d/x
run_bm audit SUMS tree
expect_exit 3
expect_count missing 1
expect_listed <<<'missing     d/x'

fresh
echo something >tree/d/new
run_bm audit SUMS tree
expect_exit 3
expect_count ok 13
expect_listed <<<'new         d/new'

fresh
mv tree/f5 tree/d/e/f5
run_bm audit SUMS tree
expect_exit 3
expect_count ok 12
expect_listed <<<'moved       d/e/f5 (was f5)'

fresh
cp tree/f5 tree/d/e/f6
run_bm audit SUMS tree
expect_exit 3
expect_count ok 13
expect_listed <<<'duplicate   d/e/f6 (of f5)'

fresh
before=$(stat -c %Y.%y tree/f7)
printf C | dd of=tree/f7 conv=notrunc status=none
touch -d "@$(stat -c %Y tree/f7)" tree/f7
touch -d "${before#*.}" tree/f7
run_bm audit sums.json tree
expect_exit 3
expect_count rotted 1
listed | grep -q '^rotted      f7: sha256 is .*; size and time of change are as they were$' || fail "the line"
run_bm audit SUMS tree # which has no times
expect_exit 3
expect_count changed 1
touch tree/f7
run_bm audit sums.json tree
expect_exit 3
expect_count changed 1

fresh
if [ "$(id -u)" = 0 ]; then
	mount -t tmpfs -o size=1m tmpfs tree/x 2>/dev/null || skip "no mount here"
	umount tree/x
fi

# A size that is wrong is enough, and the file is not read; with --always-read it is.
fresh
head -c 100 /dev/urandom >>tree/large
run_bm audit sums.json tree
expect_exit 3
listed | grep -q '^changed     large: has 3000100 bytes, the manifest says 3000000; not read$' || fail "the line"
run_bm audit --format json sums.json tree
[ "$(jq -r 'select(.path == "large") | .bytes' "$stdout")" = 0 ] || fail "it was read"
run_bm audit --always-read sums.json tree
expect_exit 3
listed | grep -q '^changed     large: sha256 is ' || fail "the line"

# A file that cannot be read.
fresh
if [ "$(id -u)" != 0 ]; then
	chmod 0 tree/f2
	run_bm audit SUMS tree
	expect_exit 1
	expect_count unreadable 1
	chmod 0 tree/d # nothing below it is missing
	chmod 644 tree/f2
	run_bm audit SUMS tree
	expect_exit 1
	expect_count unreadable 3
	chmod 755 tree/d
fi
fresh
rm tree/f2
mkfifo tree/f2
run_bm audit SUMS tree
expect_exit 1
expect_count unreadable 1

# A directory in the place of a file: what was there is missing. A link to the file is the file.
fresh
rm tree/f2 tree/d/x
mkdir tree/f2
ln -s f3 tree/d/x
mv tree/f4 elsewhere
ln -s ../elsewhere tree/f4
run_bm audit SUMS tree
expect_exit 3
expect_count missing 2
expect_count ok 11

# The directory is not there, or empty: nothing is missing.
fresh
run_bm audit SUMS nowhere
expect_exit 1
expect_count not-checked 13
expect_stdout_match '^not-checked  f1: the directory nowhere cannot be looked at: No such file or directory$'
run_bm audit SUMS beside/../tree/x
expect_exit 1
expect_count not-checked 13
expect_stdout_match '^not-checked  f1: .* is empty: is its disk mounted\?$'
run_bm audit SUMS SUMS
expect_exit 2
expect_stderr_match 'SUMS: is not a directory'

# Out of time.
run_bm audit --max-duration 0 SUMS tree
expect_exit 1
expect_count not-checked 13
expect_count ok 0
run_bm audit --max-duration 1h SUMS tree
expect_exit 0

# ---- moved, duplicates, swapped

# Moved and changed is missing and new: there is no telling. Swapped files have both changed.
fresh
mv tree/f1 tree/g1
echo more >>tree/g1
cp tree/f2 swap
mv tree/f3 tree/f2
mv swap tree/f3
run_bm audit SUMS tree
expect_exit 3
expect_count ok 10
expect_count changed 2
expect_count missing 1
expect_count new 1

# Two of the same content, one of them gone, and a third that is new: that is the one that moved.
fresh
cp tree/f1 tree/g1
(cd tree && sha256sum g1) >>SUMS
rm tree/g1
cp tree/f1 tree/d/h1
run_bm audit SUMS tree
expect_exit 3
expect_count ok 13
expect_listed <<<'moved       d/h1 (was g1)'
# ... and a fourth one.
cp tree/f1 tree/d/i1
run_bm audit SUMS tree
expect_listed <<'END'
moved       d/h1 (was g1)
duplicate   d/i1 (of f1)
END

# A copy of a file that has changed meanwhile has its old bytes.
fresh
cp tree/f1 tree/backup
echo other >tree/f1
run_bm audit SUMS tree
expect_exit 3
expect_count changed 1
listed | grep -qx 'new         backup (has the digest that the manifest has of f1)' || fail "the line"

# Two missing files of one content, two new ones: each has its own.
fresh
cp tree/f1 tree/g1
(cd tree && sha256sum g1) >>SUMS
mkdir tree/m
mv tree/g1 tree/m/g1
mv tree/f1 tree/m/f1
run_bm audit SUMS tree
expect_listed <<'END'
moved       m/f1 (was f1)
moved       m/g1 (was g1)
END

# Hard links: each name is a file; a new link is a copy.
fresh
ln tree/f1 tree/f1.link
rm tree/f2
ln tree/f3 tree/f2
run_bm audit SUMS tree
expect_exit 3
expect_count changed 1
listed | grep -qx 'duplicate   f1.link (of f1)' || fail "the link"

# Empty files are nobody's copies.
fresh
: >tree/also-empty
rm tree/empty
: >tree/empty2
run_bm audit SUMS tree
expect_exit 3
expect_listed <<'END'
missing     empty
new         also-empty
new         empty2
END

# A moved directory.
fresh
mv tree/d tree/dd
run_bm audit SUMS tree
expect_exit 3
expect_listed <<'END'
moved       dd/e/deep (was d/e/deep)
moved       dd/x (was d/x)
END

# ---- all mixed: formats, threads

fresh
echo Content 1 >tree/f1
rm tree/f2
mv tree/f3 tree/d/f3
cp tree/f4 tree/d/f4
echo new >tree/new
before=$(stat -c %y tree/f5)
printf C | dd of=tree/f5 conv=notrunc status=none
touch -d "$before" tree/f5
run_bm audit -j 1 sums.json tree
expect_exit 3
cp "$stdout" want
for threads in 2 3 8; do
	for i in 1 2 3; do
		run_bm audit -j "$threads" sums.json tree
		expect_exit 3
		expect_stdout want
	done
done
run_bm audit sums.json tree --format gnu
expect_exit 3
expect_stdout <<'END'
d/e/deep: OK
d/x: OK
empty: OK
f1: FAILED
f4: OK
f5: FAILED
f6: OK
f7: OK
f8: OK
f9: OK
large: OK
f3: FAILED open or read
f2: FAILED open or read
END
expect_stderr <<'END'
bytemill: warning: 2 listed files could not be read
bytemill: warning: 2 computed checksums did NOT match
END
(cd tree && sha256sum -c ../SUMS 2>/dev/null || true) | sort >want.gnu
sort "$stdout" | expect_bytes 'what sha256sum -c says, in another order' /dev/stdin want.gnu
run_bm audit sums.json tree --format rclone
expect_exit 3
sort "$stdout" >found
sort >want.rclone <<'END'
= d/e/deep
= d/x
= empty
* f1
+ f2
+ f3
- d/f3
- d/f4
= f4
* f5
= f6
= f7
= f8
= f9
= large
- new
END
expect_same want.rclone found
run_bm audit sums.json tree --format json
expect_exit 3
jq -r 'select(.type == "file") | .verdict + " " + .path + " " + (.other // "-") + " " + .state' "$stdout" | sort >found
sort >want <<'END'
ok d/e/deep - done
ok d/x - done
ok empty - done
changed f1 - failed
missing f2 - failed
moved d/f3 f3 done
duplicate d/f4 f4 done
ok f4 - done
rotted f5 - failed
ok f6 - done
ok f7 - done
ok f8 - done
ok f9 - done
ok large - done
new new - done
END
expect_same want found
jq -c 'select(.type == "summary") | [.verdicts.ok, .verdicts.changed, .verdicts.rotted, .verdicts.moved,
	.verdicts.duplicate, .verdicts.new, .verdicts.missing, .bad_lines]' "$stdout" >found
expect_same found <(echo '[9,1,1,1,1,1,1,0]')
# What a missing file should have been, and a changed one is.
[ "$(jq -r 'select(.path == "f2") | .digests[0].hex' "$stdout")" = "$(grep ' f2$' SUMS | cut -d' ' -f1)" ] || fail "f2"
[ "$(jq -r 'select(.path == "f1") | .digests[0].hex' "$stdout")" = "$(sha256sum <tree/f1 | cut -d' ' -f1)" ] || fail "f1"
# The report has the same lines, whatever is shown.
run_bm audit sums.json tree --only new --report report.jsonl
expect_exit 3
jq -r 'select(.type == "file") | .verdict + " " + .path + " " + (.other // "-") + " " + .state' report.jsonl | sort >found
expect_same want found
expect_no_temp .

# A link that leads nowhere: nobody has changed anything, but it cannot be read.
rm -rf linked
mkdir linked
echo a >linked/a
(cd linked && sha256sum a >../SUMS)
ln -s nowhere linked/dangling
run_bm audit SUMS linked --follow
expect_exit 1
expect_stdout_match '^unreadable  dangling: cannot follow this symbolic link: No such file or directory$'
