/* Tests of struct bm_sink_group, bm_sink_reread and bm_entry_remove. Some calls of the C library are defined here, in front
 * of its own, to let them fail or to lie. */
#include "io_test.h"

#include <sys/file.h>
#include <sys/syscall.h>

#include "bm_sink.h"
#include "bm_walk.h"

static unsigned fail_syncfs, fail_fsync, fail_range, fail_lock; /* the call that fails, counted down; 0: none */
static unsigned fsyncs, syncs;
static bool no_direct, refuse_direct, lie;

static bool fails(unsigned *n, int error)
{
	if (*n == 0 || --*n > 0)
		return false;
	errno = error;
	return true;
}

int syncfs(int fd)
{
	syncs++;
	return fails(&fail_syncfs, EIO) ? -1 : (int)syscall(SYS_syncfs, fd);
}

int fsync(int fd)
{
	fsyncs++;
	return fails(&fail_fsync, EIO) ? -1 : (int)syscall(SYS_fsync, fd);
}

int sync_file_range(int fd, off_t from, off_t len, unsigned flags)
{
	return fails(&fail_range, EIO) ? -1 : (int)syscall(SYS_sync_file_range, fd, (long)from, (long)len, flags);
}

int flock(int fd, int how)
{
	return how == LOCK_SH && fails(&fail_lock, ENOLCK) ? -1 : (int)syscall(SYS_flock, fd, how);
}

int openat(int dir, const char *name, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, int) : 0;
	va_end(ap);
	if ((flags & O_DIRECT) != 0 && no_direct) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_openat, dir, name, flags, mode);
}

ssize_t pread(int fd, void *data, size_t len, off_t from)
{
	if (refuse_direct && (fcntl(fd, F_GETFL) & O_DIRECT) != 0) {
		errno = EINVAL;
		return -1;
	}
	ssize_t n = syscall(SYS_pread64, fd, data, len, (long)from);
	if (lie && n > 0)
		((char *)data)[n - 1] ^= 4;
	return n;
}

static struct bm_sink_set *set;
static size_t fds_before;

static int setup(void **state)
{
	fail_syncfs = fail_fsync = fail_range = fail_lock = fsyncs = syncs = 0;
	no_direct = refuse_direct = lie = false;
	if (enter_scratch(state) != 0)
		return -1;
	fds_before = count_fds();
	return bm_sink_set_create("run", BM_DURABLE_BATCH, &set, NULL) == BM_OK ? 0 : -1;
}

static int teardown(void **state)
{
	bm_sink_set_destroy(set);
	assert_int_equal(count_fds(), fds_before);
	return leave_scratch(state);
}

#define GROUP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static struct bm_sink *open_with(const char *path, const char *text, enum bm_if_exists if_exists)
{
	const struct bm_sink_options o = {.if_exists = if_exists, .mode = 0644};
	struct bm_sink *s = NULL;
	bool skipped;

	assert_int_equal(bm_sink_open(set, path, &o, NULL, &s, &skipped, NULL), BM_OK);
	assert_int_equal(bm_sink_write(s, text, strlen(text), false, NULL, NULL), BM_OK);
	return s;
}

static struct bm_sink *complete(const char *path, const char *text)
{
	struct bm_sink *s = open_with(path, text, BM_EXISTS_REPLACE);

	assert_int_equal(bm_sink_complete(s, NULL, -1, true, NULL, NULL, NULL), BM_OK);
	return s;
}

static struct bm_sink_group *make_group(void)
{
	struct bm_sink_group *g = NULL;

	assert_int_equal(bm_sink_group_create(&g, NULL), BM_OK);
	return g;
}

static void skip_without_syncfs(struct bm_sink *s)
{
	if (bm_sink_waits(s))
		return;
	bm_sink_abort(s);
	print_message("no syncfs that tells of errors here: not tested\n");
	skip();
}

static void many_with_one_sync(void **state)
{
	struct bm_sink_group *g = make_group();
	struct bm_sink *s[20];
	char name[20][16];
	bool new_dir;
	size_t dirs = 0;

	(void)state;
	make_dir("d");
	make_file("f0", "old");
	s[0] = complete("f0", "new 0");
	if (!bm_sink_waits(s[0]))
		bm_sink_group_destroy(g);
	skip_without_syncfs(s[0]);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "%s%d", i < 10 ? "f" : "d/f", i);
		if (i > 0)
			s[i] = complete(name[i], name[i]);
	}
	size_t fds = count_fds();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(bm_sink_group_add(g, s[i], &new_dir, NULL), BM_OK);
		dirs += new_dir;
	}
	assert_int_equal(dirs, 2);
	assert_int_equal(count_fds(), fds - 20 + 1); /* the files' own are closed; one of the file system */
	assert_file("f0", "old");
	assert_int_equal(bm_sink_group_sync(g, NULL), BM_OK);
	assert_int_equal(syncs, 1);
	assert_int_equal(fsyncs, 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(bm_sink_commit(s[i], NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	assert_int_equal(fsyncs, 2); /* each directory once */
	assert_file("f0", "new 0");
	assert_file("d/f19", "d/f19");
	bm_sink_group_destroy(g);
	assert_int_equal(count_names(".", BM_TEMP_PREFIX) + count_names("d", BM_TEMP_PREFIX), 0);
}

/* Temps without a lock of their own are not what a killed run left. */
static void no_sweep_while_it_waits(void **state)
{
	struct bm_sink_group *g = make_group();
	struct bm_sink *s = complete("t", "text");
	uint64_t removed;
	bool new_dir;

	(void)state;
	make_file(".bytemill-dead-1.tmp", "x");
	if (!bm_sink_waits(s))
		bm_sink_group_destroy(g);
	skip_without_syncfs(s);
	assert_int_equal(bm_sink_group_add(g, s, &new_dir, NULL), BM_OK);
	assert_int_equal(bm_sink_sweep(".", &removed, NULL), BM_OK);
	assert_int_equal(removed, 0);
	assert_int_equal(bm_sink_group_sync(g, NULL), BM_OK);
	bm_sink_group_destroy(g);
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_file("t", "text");
	bm_sink_set_destroy(set);
	set = NULL;
	assert_int_equal(bm_sink_sweep(".", &removed, NULL), BM_OK);
	assert_int_equal(removed, 1);
}

/* The first error is final: nothing takes its name. */
static void errors(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_sink_group *g = make_group();
	struct bm_sink *s = complete("t", "text");
	bool new_dir;

	(void)state;
	make_file("t", "old");
	if (!bm_sink_waits(s))
		bm_sink_group_destroy(g);
	skip_without_syncfs(s);
	assert_int_equal(bm_sink_group_add(g, s, &new_dir, NULL), BM_OK);
	fail_syncfs = 1;
	assert_int_equal(bm_sink_group_sync(g, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	bm_sink_abort(s);
	assert_file("t", "old");
	/* What failed before the group could hear of it. */
	err = (struct bm_error)BM_ERROR_INIT;
	s = complete("t", "text");
	fail_range = 1;
	assert_int_equal(bm_sink_group_add(g, s, &new_dir, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	bm_sink_abort(s);
	assert_file("t", "old");
	/* Where the directory cannot be locked each is synced by itself, and keeps its lock. */
	bm_sink_set_destroy(set);
	assert_int_equal(bm_sink_set_create("run", BM_DURABLE_BATCH, &set, NULL), BM_OK);
	s = complete("t", "text");
	fsyncs = 0;
	fail_lock = 1;
	assert_int_equal(bm_sink_group_add(g, s, &new_dir, NULL), BM_OK);
	assert_int_equal(fsyncs, 1);
	assert_int_equal(bm_sink_sweep(".", NULL, NULL), BM_OK);
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_file("t", "text");
	fail_lock = fail_fsync = 1;
	bm_sink_set_destroy(set);
	assert_int_equal(bm_sink_set_create("run", BM_DURABLE_BATCH, &set, NULL), BM_OK);
	s = complete("t", "other");
	assert_int_equal(bm_sink_group_add(g, s, &new_dir, NULL), BM_ERR_SYSTEM);
	bm_sink_abort(s);
	assert_file("t", "text");
	bm_sink_group_destroy(g);
	assert_int_equal(count_names(".", BM_TEMP_PREFIX), 0);
}

/* An end of the process in the middle leaves nothing behind. */
static void abort_all(void **state)
{
	struct bm_sink_group *g = make_group();
	struct bm_sink *s = complete("t", "text");
	bool new_dir;

	(void)state;
	if (!bm_sink_waits(s))
		bm_sink_group_destroy(g);
	skip_without_syncfs(s);
	assert_int_equal(bm_sink_group_add(g, s, &new_dir, NULL), BM_OK);
	bm_sink_set_abort_all(set);
	assert_int_equal(count_names(".", BM_TEMP_PREFIX), 0);
	assert_int_equal(bm_sink_group_sync(g, NULL), BM_OK);
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_ERR_CANCELLED);
	assert_int_equal(access("t", F_OK), -1);
	bm_sink_group_destroy(g);
}

/* Those that do not wait are complete by themselves: an append, a set that is not of batches, a commit at once. */
static void some_do_not_wait(void **state)
{
	(void)state;
	make_file("t", "old");
	struct bm_sink *s = open_with("t", " new", BM_EXISTS_APPEND);
	assert_int_equal(bm_sink_complete(s, NULL, -1, true, NULL, NULL, NULL), BM_OK);
	assert_false(bm_sink_waits(s));
	assert_int_equal(fsyncs, 1);
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_file("t", "old new");
	assert_int_equal(fsyncs, 1);
	s = open_with("t", "newer", BM_EXISTS_REPLACE);
	assert_int_equal(bm_sink_commit(s, NULL, -1, NULL, NULL, NULL), BM_OK);
	assert_int_equal(fsyncs, 2);
	assert_file("t", "newer");
	s = open_with("t", "newest", BM_EXISTS_REPLACE);
	assert_int_equal(bm_sink_complete(s, NULL, -1, false, NULL, NULL, NULL), BM_OK);
	assert_false(bm_sink_waits(s));
	assert_int_equal(fsyncs, 3);
	bm_sink_abort(s);
	assert_file("t", "newer");
}

/* ---- reading back ---- */

static enum bm_status take(void *arg, const uint8_t *data, size_t len, struct bm_error *err)
{
	(void)err;
	bm_buf_put(arg, data, len);
	return BM_OK;
}

static void reads_back(void **state)
{
	const size_t sizes[] = {0, 1, 4095, 4096, 4097, 700000, (512U << 10), (1U << 20) + 3};
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = 0644};
	char *data = malloc((1U << 20) + 3);
	bool skipped;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < (1U << 20) + 3; i++)
		data[i] = (char)(i * 7 + i / 251);
	for (int way = 0; way < 3; way++) {
		no_direct = way == 1;
		refuse_direct = way == 2;
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			struct bm_buf found = {0};
			struct bm_sink *s = NULL;

			assert_int_equal(bm_sink_open(set, "t", &o, NULL, &s, &skipped, NULL), BM_OK);
			assert_int_equal(bm_sink_write(s, data, sizes[k], false, NULL, NULL), BM_OK);
			assert_int_equal(bm_sink_write(s, NULL, 5000, true, NULL, NULL), BM_OK); /* a hole at the end */
			assert_int_equal(bm_sink_complete(s, NULL, -1, false, NULL, NULL, NULL), BM_OK);
			uint64_t from = sizes[k] / 3;
			assert_int_equal(bm_sink_reread(s, from, take, &found, NULL, NULL), BM_OK);
			assert_int_equal(found.len, sizes[k] - from + 5000);
			assert_memory_equal(found.data, data + from, sizes[k] - from);
			for (size_t i = 0; i < 5000; i++)
				assert_int_equal(found.data[sizes[k] - from + i], 0);
			bm_buf_fini(&found);
			lie = true;
			assert_int_equal(bm_sink_reread(s, 0, take, &found, NULL, NULL), BM_OK);
			assert_int_not_equal(found.data[found.len - 1], 0);
			lie = false;
			bm_buf_fini(&found);
			bm_sink_abort(s);
		}
	}
	free(data);
}

/* ---- removing inputs ---- */

static struct bm_entry *entry_of(const char *path, struct bm_file_id *id)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	*id = (struct bm_file_id){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
	return bm_entry_create(BM_ENTRY_FILE, path, strlen(path), path, strlen(path));
}

static void removes_what_was_read(void **state)
{
	struct bm_file_id id;
	struct bm_entry *e;

	(void)state;
	make_dir("d");
	make_file("d/a", "a");
	e = entry_of("d/a", &id);
	assert_int_equal(bm_entry_remove(e, &id, NULL), BM_OK);
	assert_int_equal(access("d/a", F_OK), -1);
	assert_int_equal(bm_entry_sync_dir(e, NULL), BM_OK);
	assert_int_equal(bm_entry_remove(e, &id, NULL), BM_ERR_SYSTEM); /* gone already */
	bm_entry_destroy(e);
	/* Another file of that name, another size, another time, a link. */
	for (int way = 0; way < 4; way++) {
		const struct timespec then[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

		make_file("d/a", "a");
		e = entry_of("d/a", &id);
		if (way == 0) {
			make_file("d/b", "a");
			assert_int_equal(rename("d/b", "d/a"), 0);
		} else if (way == 1) {
			make_file("d/a", "longer");
			const struct timespec same[2] = {id.mtime, id.mtime};
			assert_int_equal(utimensat(AT_FDCWD, "d/a", same, 0), 0);
		} else if (way == 2) {
			assert_int_equal(utimensat(AT_FDCWD, "d/a", then, 0), 0);
		} else {
			assert_int_equal(rename("d/a", "d/c"), 0);
			assert_int_equal(symlink("c", "d/a"), 0);
		}
		assert_int_equal(bm_entry_remove(e, &id, NULL), BM_ERR_CHANGED);
		assert_int_equal(access("d/a", F_OK), 0);
		bm_entry_destroy(e);
		assert_int_equal(unlink("d/a"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(many_with_one_sync),
		GROUP_TEST(no_sweep_while_it_waits),
		GROUP_TEST(errors),
		GROUP_TEST(abort_all),
		GROUP_TEST(some_do_not_wait),
		GROUP_TEST(reads_back),
		GROUP_TEST(removes_what_was_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
