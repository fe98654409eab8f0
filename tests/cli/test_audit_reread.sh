#!/bin/bash
# bytemill audit: a digest that is wrong is read again past the page cache, and the two readings are told apart. A library
# that is loaded first gives wrong bytes: in the first reading, or in each.
. "$(dirname "$0")/lib.sh"
need_unsanitized
need_cmd "${BM_CC:=cc}" strace

cat >wrong.c <<'END'
/* preadv2 and pread of files called "wrong..." give bytes that are not there: "once" in the page cache only, "always" in each
 * reading others, "gone" fails past the cache. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_wrong(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	return strstr(path, "/wrong") != NULL;
}

static int mode(const char *word)
{
	const char *m = getenv("WRONG");

	return m != NULL && strcmp(m, word) == 0;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "preadv2");
	ssize_t n = real(fd, iov, count, offset, flags);

	if (n > 0 && is_wrong(fd))
		((char *)iov[0].iov_base)[n / 2] ^= 1;
	return n;
}
ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return preadv2(fd, iov, count, offset, flags);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "preadv");
	ssize_t n = real(fd, iov, count, offset);

	if (n > 0 && is_wrong(fd))
		((char *)iov[0].iov_base)[n / 2] ^= 1;
	return n;
}
ssize_t preadv64(int fd, const struct iovec *iov, int count, off_t offset)
{
	return preadv(fd, iov, count, offset);
}

ssize_t pread(int fd, void *buf, size_t size, off_t offset)
{
	ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread");
	ssize_t n;

	if (is_wrong(fd) && mode("gone")) {
		errno = EIO;
		return -1;
	}
	n = real(fd, buf, size, offset);
	if (n > 0 && is_wrong(fd) && mode("always"))
		((char *)buf)[n / 3] ^= 2;
	return n;
}
ssize_t pread64(int fd, void *buf, size_t size, off_t offset)
{
	return pread(fd, buf, size, offset);
}
END
"$BM_CC" -O1 -fPIC -shared -o wrong.so wrong.c -ldl 2>cc.log || skip "no compiler: $(cat cc.log)"

mkdir tree
head -c 3000000 /dev/urandom >tree/wrong.large
head -c 4096 /dev/urandom >tree/wrong.page
echo small >tree/wrong.small
echo right >tree/right
(cd tree && "$BYTEMILL" hash -a sha256,md5 --format json .) >sums
run_bm audit sums tree
expect_exit 0
with() { # with MODE ARG...: a run with wrong bytes
	local mode=$1
	shift
	last=${*@Q}
	status=0
	WRONG=$mode LD_PRELOAD=$PWD/wrong.so "$BYTEMILL" "$@" >"$stdout" 2>"$stderr" || status=$?
}

# Wrong in memory, right on the disk.
with once audit sums tree
expect_exit 0
expect_stdout_match '^ok +4$'
for f in wrong.large wrong.page wrong.small; do
	expect_stderr_match "^bytemill: warning: tree/$f: the first reading had other bytes than the second, which is right"
done
[ "$(wc -l <"$stderr")" = 3 ] || fail "other lines"
with once audit sums tree --format json
[ "$(jq -r 'select(.path == "wrong.small") | .digests[] | select(.algorithm == "md5") | .hex' "$stdout")" = \
	"$(md5sum <tree/wrong.small | cut -d' ' -f1)" ] || fail "the digest that is told"

# Wrong each time, and not the same.
with always audit sums tree
expect_exit 3
expect_stdout_match '^ok +1$'
expect_stdout_match '^(changed|rotted) +wrong.large: .*; read again it gave other bytes, which are not right either'

# The disk does not give it.
with gone audit sums tree
expect_exit 1
expect_stdout_match '^unreadable +3$'
expect_stdout_match '^unreadable +wrong.large: read past the cache, to make sure of a wrong digest: cannot read: Input/output error$'

# Damage that is there is read twice, the second time with O_DIRECT where that can be had; an ok file once.
printf X | dd of=tree/right conv=notrunc status=none
strace -f -qq -e trace=openat,openat2,pread64,fadvise64 -o trace "$BYTEMILL" audit sums tree >"$stdout" 2>"$stderr" || status=$?
expect_stdout_match '^changed +right: '
grep -qw O_DIRECT trace || fail "no reading past the cache"
[ "$(grep -cw O_DIRECT trace)" = 1 ] || fail "more files were read again"

# Against the catalog, a file that is compared block by block: the blocks that are wrong are read again, no others.
mkdir slots
head -c 3000000 /dev/urandom >slots/wrong.large
run_bm audit -q --catalog slots --blocks 512KiB
expect_exit 0
for at in 1048576 2097152; do
	with once audit --catalog slots --max-bytes 1100000
	expect_exit 0
	expect_stdout_match "^not-checked  wrong.large: read up to byte $at of 3000000: the next run goes on from there\$"
	expect_stderr_match 'slots/wrong.large: the first reading had other bytes than the second, which is right'
done
with once audit --catalog slots --max-bytes 1100000
expect_exit 0
expect_stdout_match '^ok +1$'
with gone audit --catalog slots --max-bytes 1100000
expect_exit 1
expect_stdout_match '^unreadable  wrong.large: read past the cache, to make sure of a wrong digest: cannot read: Input/output error$'
with always audit --catalog slots --max-bytes 1100000
expect_exit 3
expect_stdout_match '^rotted +wrong.large: [12] of 2 blocks of 524288 bytes .*; read again it gave other bytes, which are not right either'
touch -r slots/wrong.large stamp
printf X | dd of=slots/wrong.large bs=1 seek=600000 conv=notrunc status=none
touch -r stamp slots/wrong.large
status=0
strace -f -qq -e trace=openat,pread64 -o trace "$BYTEMILL" audit --catalog slots --max-bytes 1100000 >"$stdout" 2>"$stderr" || status=$?
expect_exit 3
expect_stdout_match 'damaged: bytes 524288-1048575 of 3000000$'
direct=$(grep -w O_DIRECT trace | sed 's/.*= //')
[ "$(grep -c "pread64($direct, .*, 524288)" trace)" = 1 ] || fail "the block was not read again"
[ "$(grep -c "pread64($direct, " trace)" = 1 ] || fail "others were"
