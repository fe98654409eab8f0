/* Tests of bm_sink_commit_pair and bm_sink_patch: two outputs that belong together. Some calls of the C library are
 * defined here, in front of its own, to let them fail. */
#include "io_test.h"

#include <sys/syscall.h>

#include "bm_sink.h"

/* The call that fails, counted down; 0: none. */
static unsigned fail_sync, fail_rename, fail_unlink, fail_write;

static bool fails(unsigned *n)
{
	if (*n == 0 || --*n > 0)
		return false;
	errno = EIO;
	return true;
}

int fsync(int fd)
{
	return fails(&fail_sync) ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int a, const char *from, int b, const char *to)
{
	return fails(&fail_rename) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, 0);
}

/* Temp files are removed with it too: those do not count. */
int unlinkat(int fd, const char *name, int flags)
{
	if (strncmp(name, BM_TEMP_PREFIX, strlen(BM_TEMP_PREFIX)) != 0 && fails(&fail_unlink))
		return -1;
	return (int)syscall(SYS_unlinkat, fd, name, flags);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return fails(&fail_write) ? -1 : syscall(SYS_pwrite64, fd, data, len > 3 ? 3 : len, (long)offset);
}

static struct bm_sink_set *set;

static int setup(void **state)
{
	fail_sync = fail_rename = fail_unlink = fail_write = 0;
	if (enter_scratch(state) != 0)
		return -1;
	return bm_sink_set_create("run", BM_DURABLE_FILE, &set, NULL) == BM_OK ? 0 : -1;
}

static int teardown(void **state)
{
	bm_sink_set_destroy(set);
	return leave_scratch(state);
}

static struct bm_sink *open_with(const char *path, const char *text, enum bm_if_exists if_exists)
{
	const struct bm_sink_options o = {.if_exists = if_exists, .mode = 0644};
	struct bm_sink *s = NULL;
	bool skipped;

	assert_int_equal(bm_sink_open(set, path, &o, NULL, &s, &skipped, NULL), BM_OK);
	assert_int_equal(bm_sink_write(s, text, strlen(text), false, NULL, NULL), BM_OK);
	return s;
}

static enum bm_status commit_pair(struct bm_error *err)
{
	struct bm_sink *s = open_with("t", "new", BM_EXISTS_REPLACE);
	struct bm_sink *index = open_with("t.i", "new index", BM_EXISTS_REPLACE);

	*err = (struct bm_error)BM_ERROR_INIT;
	return bm_sink_commit_pair(s, index, NULL, -1, NULL, NULL, err);
}

static void both_or_neither(void **state)
{
	struct bm_error err;

	(void)state;
	assert_int_equal(commit_pair(&err), BM_OK); /* where there were none */
	assert_file("t", "new");
	assert_file("t.i", "new index");
	make_file("t", "old");
	make_file("t.i", "old index");
	assert_int_equal(commit_pair(&err), BM_OK);
	assert_file("t", "new");
	assert_file("t.i", "new index");
	/* Before a name is taken: all stays as it was, whichever of the two it is. */
	make_file("t", "old");
	make_file("t.i", "old index");
	for (unsigned n = 1; n <= 2; n++) {
		fail_sync = n;
		assert_int_equal(commit_pair(&err), BM_ERR_SYSTEM);
		assert_file("t", "old");
		assert_file("t.i", "old index");
	}
	fail_unlink = 1;
	assert_int_equal(commit_pair(&err), BM_ERR_SYSTEM);
	assert_non_null(strstr(err.where, "t.i"));
	assert_file("t", "old");
	assert_file("t.i", "old index");
	/* Never an index that is not of the file beside it. */
	fail_rename = 1;
	assert_int_equal(commit_pair(&err), BM_ERR_SYSTEM);
	assert_file("t", "old");
	assert_int_equal(access("t.i", F_OK), -1);
	make_file("t.i", "old index");
	fail_rename = 2;
	assert_int_equal(commit_pair(&err), BM_ERR_SYSTEM);
	assert_file("t", "new");
	assert_int_equal(access("t.i", F_OK), -1);
	assert_int_equal(count_names(".", BM_TEMP_PREFIX), 0);
	/* After a cancel nothing is put in place. */
	make_file("t", "old");
	make_file("t.i", "old index");
	struct bm_sink *s = open_with("t", "new", BM_EXISTS_REPLACE);
	struct bm_sink *index = open_with("t.i", "new index", BM_EXISTS_REPLACE);
	bm_sink_set_abort_all(set);
	assert_int_equal(bm_sink_commit_pair(s, index, NULL, -1, NULL, NULL, NULL), BM_ERR_CANCELLED);
	assert_file("t", "old");
	assert_file("t.i", "old index");
	assert_int_equal(count_names(".", BM_TEMP_PREFIX), 0);
}

static void not_replaced(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_sink *s = open_with("t", "new", BM_EXISTS_FAIL);
	struct bm_sink *index = open_with("t.i", "new index", BM_EXISTS_REPLACE);

	(void)state;
	make_file("t", "somebody else's"); /* meanwhile */
	assert_int_equal(bm_sink_commit_pair(s, index, NULL, -1, NULL, NULL, &err), BM_ERR_EXISTS);
	assert_file("t", "somebody else's");
	assert_int_equal(access("t.i", F_OK), -1);
	/* A device takes no name, the other does. */
	s = open_with("/dev/null", "new", BM_EXISTS_REPLACE);
	index = open_with("t.i", "new index", BM_EXISTS_REPLACE);
	assert_int_equal(bm_sink_commit_pair(s, index, NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_file("t.i", "new index");
}

static void patches(void **state)
{
	struct bm_sink *s = open_with("t", "0123456789", BM_EXISTS_REPLACE);
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	assert_int_equal(bm_sink_patch(s, 0, "abcde", 5, NULL, NULL), BM_OK); /* three bytes a call */
	assert_int_equal(bm_sink_patch(s, 10, "", 0, NULL, NULL), BM_OK);
	assert_int_equal(bm_sink_patch(s, 9, "xy", 2, NULL, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_sink_patch(s, UINT64_MAX, "xy", 2, NULL, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_sink_patch(s, 9, "x", 1, NULL, NULL), BM_OK);
	assert_int_equal(bm_sink_write(s, "!", 1, false, NULL, NULL), BM_OK); /* goes on at the end */
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_file("t", "abcde5678x!");

	s = open_with("t", "0123456789", BM_EXISTS_REPLACE);
	fail_write = 2;
	assert_int_equal(bm_sink_patch(s, 0, "abcde", 5, NULL, &err), BM_ERR_SYSTEM);
	assert_int_equal(bm_sink_patch(s, 0, "abcde", 5, NULL, NULL), BM_ERR_FAILED);
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_ERR_FAILED);
	assert_file("t", "abcde5678x!");
	s = open_with("/dev/null", "0123456789", BM_EXISTS_REPLACE);
	assert_int_equal(bm_sink_patch(s, 0, "a", 1, NULL, NULL), BM_ERR_UNSUPPORTED);
	bm_sink_abort(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_or_neither, setup, teardown),
		cmocka_unit_test_setup_teardown(not_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(patches, setup, teardown),
	};
	return cmocka_run_group_tests_name("sink pair", tests, NULL, NULL);
}
