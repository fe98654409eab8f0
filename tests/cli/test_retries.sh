#!/bin/bash
# "retries": an error that passes is waited out, one that stays is told with the number of attempts, others are final at
# once. A library that is loaded first makes the errors.
. "$(dirname "$0")/lib.sh"
need_unsanitized
need_cmd "${BM_CC:=cc}" jq

cat >flaky.c <<'END'
/* open, preadv2 and preadv of files called "flaky..." fail, each FAIL_COUNT times a name, with FAIL_ERRNO; FAIL_CALL is
 * "open" or "read"; or "temp": then the first FAIL_COUNT openings of temporary files do. Each failure is a line in FAIL_LOG: milliseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { char name[64]; int count; } seen[64];

static int fails(const char *call, const char *name)
{
	const char *base = strrchr(name, '/');
	int is_failing = 0;

	base = base != NULL ? base + 1 : name;
	if (strcmp(call, "open") == 0 && strncmp(base, ".bytemill-", 10) == 0)
		call = base = "temp"; /* each has a name of its own */
	else if (strncmp(base, "flaky", 5) != 0)
		return 0;
	if (strcmp(getenv("FAIL_CALL"), call) != 0)
		return 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < 64; i++) {
		if (seen[i].name[0] == '\0')
			snprintf(seen[i].name, sizeof(seen[i].name), "%s", base);
		if (strcmp(seen[i].name, base) != 0)
			continue;
		is_failing = seen[i].count++ < atoi(getenv("FAIL_COUNT"));
		break;
	}
	if (is_failing && getenv("FAIL_LOG") != NULL) {
		struct timespec t;
		FILE *f = fopen(getenv("FAIL_LOG"), "a");

		clock_gettime(CLOCK_MONOTONIC, &t);
		fprintf(f, "%lld\n", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000);
		fclose(f);
	}
	pthread_mutex_unlock(&lock);
	if (is_failing)
		errno = atoi(getenv("FAIL_ERRNO"));
	return is_failing;
}

static int fails_fd(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	return fails("read", path);
}

/* What the caches answer is asked for with openat2 by syscall(): of these files they know nothing. */
long syscall(long number, ...)
{
	long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && strstr((const char *)a[1], "flaky") != NULL) {
		errno = EAGAIN;
		return -1;
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int openat(int dir, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
	va_list ap;

	va_start(ap, flags);
	int mode = va_arg(ap, int);
	va_end(ap);
	return fails("open", path) ? -1 : real(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	int mode = va_arg(ap, int);
	va_end(ap);
	return openat(dir, path, flags, mode);
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "preadv2");

	return fails_fd(fd) ? -1 : real(fd, iov, count, offset, flags);
}
ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return preadv2(fd, iov, count, offset, flags);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "preadv");

	return fails_fd(fd) ? -1 : real(fd, iov, count, offset);
}
ssize_t preadv64(int fd, const struct iovec *iov, int count, off_t offset)
{
	return preadv(fd, iov, count, offset);
}
END
"$BM_CC" -O1 -fPIC -shared -o flaky.so flaky.c -ldl 2>cc.log || skip "no compiler: $(cat cc.log)"

flaky() { # flaky CALL ERRNO COUNT RETRIES: runs the job on in/
	last="with $*"
	rm -rf out times
	jq -n --argjson n "$4" '{name: "r", retries: $n, steps: [{step: "read", from: "in"}, {step: "hash", manifest: "sums"},
		{step: "copy", to: "out/{path}"}]}' >r.json
	status=0
	FAIL_CALL=$1 FAIL_ERRNO=$2 FAIL_COUNT=$3 FAIL_LOG=$PWD/times LD_PRELOAD=$PWD/flaky.so \
		"$BYTEMILL" run r.json >"$stdout" 2>"$stderr" || status=$?
}
# shellcheck disable=SC2034
EIO=5 EAGAIN=11 EACCES=13 ETIMEDOUT=110 ESTALE=116 ENOENT=2
declare -A text=([5]='Input/output error' [11]='Resource temporarily unavailable' [110]='Connection timed out'
	[116]='Stale file handle' [13]='Permission denied' [2]='No such file or directory')

mkdir in
head -c 2500000 /dev/urandom >in/flaky.large
echo small >in/flaky.small
echo fine >in/other
(cd in && sha256sum flaky.large flaky.small other) | cut -c 1-64 >want
right() { cut -c 1-64 sums >found && expect_same found want; }
passed=0
for call in open read; do
	for code in $EIO $ESTALE $ETIMEDOUT; do
		flaky $call "$code" 2 2
		expect_exit 0
		right
		diff -r in out >&2 || fail "the copies differ"
		for f in large small; do
			expect_stderr_match "^bytemill: warning: in/flaky\.$f: could be read only after 2 failures: ${text[$code]}"
		done
		expect_stderr_no_match 'in/other'
		# One more than there are retries for.
		flaky $call "$code" 3 2
		expect_exit 1
		expect_stderr_match "in/flaky\.small: cannot .*, tried 3 times: ${text[$code]}"
		[ "$(cat out/other)" = fine ] || fail "the other file was not done"
		[ ! -e out/flaky.large ] || fail "there is an output of what could not be read"
		passed=$((passed + 1))
	done
done
[ "$passed" = 6 ] || fail "not all were tried"
# A network file system says EAGAIN too. Reading takes the first one for a wait that O_NONBLOCK has spared, and none for ever.
flaky read $EAGAIN 4 4
expect_exit 0
right
flaky read $EAGAIN 1000000 1
expect_exit 1
expect_stderr_match "in/flaky\.small: cannot read at byte 0, tried 2 times: ${text[$EAGAIN]}"
# Without retries, and for what does not pass, the first error is final: one failure a file.
for call in open read; do
	flaky $call $EIO 1 0
	expect_exit 1
	expect_stderr_no_match tried
	[ "$(wc -l <times)" = 2 ] || fail "$(wc -l <times) calls failed"
	flaky $call $EACCES 1 5
	expect_exit 1
	expect_stderr_no_match tried
	[ "$(wc -l <times)" = 2 ] || fail "$(wc -l <times) calls failed"
done
# Each wait is twice as long as the one before: 100, 200, 400 ms. Not shorter; how much longer is the machine's affair.
rm in/flaky.large
flaky read $EIO 4 4
expect_exit 0
awk 'NR > 1 && $1 - last < want { exit 1 } { want = NR == 1 ? 100 : 2 * want; last = $1 } END { if (NR != 4) exit 1 }' times ||
	fail "the waits: $(cat times)"

# An output that cannot be opened is waited for, too.
echo small >in/flaky.small
flaky_temp() { # ERRNO COUNT RETRIES
	last="temp with $*"
	rm -rf out times
	jq -n --argjson n "$3" '{name: "t", retries: $n, steps: [{step: "read", from: "in/other"}, {step: "hash"},
		{step: "copy", to: "out/{path}"}]}' >t.json
	status=0
	FAIL_CALL=temp FAIL_ERRNO=$1 FAIL_COUNT=$2 FAIL_LOG=$PWD/times LD_PRELOAD=$PWD/flaky.so \
		"$BYTEMILL" run t.json >"$stdout" 2>"$stderr" || status=$?
	expect_no_temp .
}
flaky_temp $ESTALE 2 2
expect_exit 0
expect_stderr_match '^bytemill: warning: in/other: out/other: could be opened for writing only after 2 failures: Stale file handle'
expect_same in/other out/other
flaky_temp $EIO 3 2
expect_exit 1
expect_stderr_match 'out/other: cannot create a temporary file beside it: Input/output error.*tried 3 times'
[ ! -e out/other ] || fail "there is an output"
for case in "$EIO 1 0" "$EACCES 1 5"; do
	# shellcheck disable=SC2086
	flaky_temp $case
	expect_exit 1
	expect_stderr_no_match tried
	[ "$(wc -l <times)" = 1 ] || fail "$(wc -l <times) calls failed"
done

# A cancel ends the wait. The next one would be of 6.4 s.
jq '.retries = 20' r.json >c.json
FAIL_CALL=read FAIL_ERRNO=$EIO FAIL_COUNT=100 FAIL_LOG=$PWD/cancelled LD_PRELOAD=$PWD/flaky.so "$BYTEMILL" run -q c.json 2>/dev/null &
victim=$!
six() { [ -e cancelled ] && [ "$(wc -l <cancelled)" -ge 7 ]; }
wait_until six
start=$(date +%s%N)
kill -TERM "$victim"
wait "$victim" && fail "it was cancelled" || [ $? = 143 ] || fail "not by the signal"
[ $((($(date +%s%N) - start) / 1000000)) -lt 4000 ] || fail "it waited on"
expect_no_temp .

# A job that only copies is told the same way: the kernel does not say on which side an error was.
echo small >in/flaky.small
jq -n '{name: "k", retries: 2, steps: [{step: "read", from: "in"}, {step: "copy", to: "kout/{path}"}]}' >k.json
FAIL_CALL=read FAIL_ERRNO=$EIO FAIL_COUNT=2 LD_PRELOAD=$PWD/flaky.so "$BYTEMILL" run -q k.json || fail "exit code $?"
diff -r in kout >&2 || fail "the copies differ"
