/* io_test.h - what the tests of src/io share: a scratch directory, files, and a blocker that checks its own balance. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bm_source.h"

static char scratch_dir[64];

/* Every test runs in an empty directory of its own, which is the working directory. */
static inline int enter_scratch(void **state)
{
	(void)state;
	const char *base = getenv("TMPDIR");
	(void)snprintf(scratch_dir, sizeof scratch_dir, "%.40s/bm-io-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(scratch_dir) || chdir(scratch_dir) != 0)
		return -1;
	return 0;
}

static inline int leave_scratch(void **state)
{
	(void)state;
	char command[128];
	if (chdir("/") != 0)
		return -1;
	(void)snprintf(command, sizeof command, "rm -rf -- '%s'", scratch_dir);
	return system(command) == 0 ? 0 : -1;
}

#define IO_TEST(name) cmocka_unit_test_setup_teardown(name, enter_scratch, leave_scratch)

static inline void make_file_len(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static inline void make_file(const char *path, const char *text)
{
	make_file_len(path, text, strlen(text));
}

static inline void make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
}

/* The whole file, malloc'ed and NUL-terminated; *len may be NULL. */
static inline char *slurp(const char *path, size_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		fail_msg("cannot open %s: %s", path, strerror(errno));
	char *data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	size_t got = 0;
	ssize_t n;
	while ((n = read(fd, data + got, (size_t)st.st_size - got)) > 0)
		got += (size_t)n;
	assert_int_equal(got, st.st_size);
	data[got] = '\0';
	(void)close(fd);
	if (len)
		*len = got;
	return data;
}

static inline void assert_file(const char *path, const char *text)
{
	char *data = slurp(path, NULL);
	assert_string_equal(data, text);
	free(data);
}

static inline size_t count_fds(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Names in dir that begin with prefix. */
static inline size_t count_names(const char *dir, const char *prefix)
{
	size_t n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(d);
	return n;
}

static int blocked_now;
static unsigned blocked_count;

static inline void test_block(void *arg)
{
	(void)arg;
	assert_int_equal(blocked_now, 0);
	blocked_now = 1;
	blocked_count++;
	errno = EDOM; /* callers must not depend on errno living through it */
}

static inline void test_unblock(void *arg)
{
	(void)arg;
	assert_int_equal(blocked_now, 1);
	blocked_now = 0;
	errno = EDOM;
}

static const struct bm_blocker test_blocker = {.block = test_block, .unblock = test_unblock};

/* A blocker whose cancel is due: every sleep without an end of its own must end. The caller closes cancel_fd. */
static inline struct bm_blocker cancelled_blocker(void)
{
	struct bm_blocker b = test_blocker;
	b.cancel_fd = eventfd(1, EFD_CLOEXEC);
	assert_true(b.cancel_fd > 0);
	return b;
}

/* Runs fn in a child as uid 65534 and gives its return value. */
static inline int as_nobody(int (*fn)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(99);
		int r = fn();
		_exit(r);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define SKIP_UNLESS_ROOT()                                                                                             \
	do {                                                                                                           \
		if (geteuid() != 0) {                                                                                  \
			print_message("skipped: %s needs root\n", __func__);                                           \
			skip();                                                                                        \
		}                                                                                                      \
	} while (0)

/* Mounts a small tmpfs or skips the test. */
#define MOUNT_TMPFS_OR_SKIP(where, options)                                                                            \
	do {                                                                                                           \
		if (mount("bm-test", where, "tmpfs", 0, options) != 0) {                                               \
			print_message("skipped: %s cannot mount a tmpfs (%s)\n", __func__, strerror(errno));           \
			skip();                                                                                        \
		}                                                                                                      \
	} while (0)

#endif
