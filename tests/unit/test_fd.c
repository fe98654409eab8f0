/* Whole reads and writes: through a pipe that takes and gives a little at a time, to the end, and into errors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bm_fd.h"

#define BYTES ((size_t)1 << 20) /* many times what a pipe holds */

static char *data;

static void *write_it(void *arg)
{
	const int *fd = arg;

	return bm_fd_write_all(*fd, data, BYTES) && close(*fd) == 0 ? NULL : arg;
}

static void test_pipe(void **state)
{
	char *got = malloc(BYTES + 1);
	pthread_t thread;
	int fds[2];
	void *failed;

	(void)state;
	data = malloc(BYTES);
	assert_non_null(data);
	assert_non_null(got);
	for (size_t i = 0; i < BYTES; i++)
		data[i] = (char)(i * 2654435761U >> 13);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_it, &fds[1]), 0);
	assert_true(bm_fd_read_all(fds[0], got, BYTES));
	assert_memory_equal(got, data, BYTES);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	errno = EIO;
	assert_false(bm_fd_read_all(fds[0], got, 1)); /* the end */
	assert_int_equal(errno, 0);
	assert_true(bm_fd_read_all(fds[0], got, 0));
	assert_int_equal(close(fds[0]), 0);
	free(got);
	free(data);
}

static void test_errors(void **state)
{
	char byte = 'x';
	int full = open("/dev/full", O_RDWR);

	(void)state;
	assert_true(full >= 0);
	assert_false(bm_fd_write_all(full, &byte, 1));
	assert_int_equal(errno, ENOSPC);
	assert_true(bm_fd_write_all(full, &byte, 0));
	assert_int_equal(close(full), 0);
	assert_false(bm_fd_read_all(-1, &byte, 1));
	assert_int_equal(errno, EBADF);
	assert_false(bm_fd_write_all(-1, &byte, 1));
	assert_int_equal(errno, EBADF);
}

static void test_read_at(void **state)
{
	FILE *f = tmpfile();
	char got[4];
	int pipes[2];

	(void)state;
	assert_non_null(f);
	assert_true(bm_fd_write_all(fileno(f), "0123456789", 10));
	assert_true(bm_fd_read_all_at(fileno(f), got, 4, 6));
	assert_memory_equal(got, "6789", 4);
	assert_true(bm_fd_read_all_at(fileno(f), got, 0, 100));
	errno = EIO;
	assert_false(bm_fd_read_all_at(fileno(f), got, 4, 7));
	assert_int_equal(errno, 0); /* the end came first */
	assert_memory_equal(got, "789", 3);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_false(bm_fd_read_all_at(pipes[0], got, 4, 0));
	assert_int_equal(errno, ESPIPE);
	assert_int_equal(close(pipes[0]), 0);
	assert_int_equal(close(pipes[1]), 0);
}

static void test_sync(void **state)
{
	char dir[] = "/tmp/bm_fd_XXXXXX", path[64];
	int fds[2], fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_true((size_t)snprintf(path, sizeof(path), "%s/file", dir) < sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_true(bm_fd_sync(fd, path));
	assert_false(bm_fd_sync(fd, "/no/such/directory/file"));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(close(fd), 0);
	assert_false(bm_fd_sync(fd, path));
	assert_int_equal(errno, EBADF);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(pipe(fds), 0);
	assert_true(bm_fd_sync(fds[1], "here")); /* a pipe has nothing to sync */
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_read_at),
		cmocka_unit_test(test_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
