/* Tests of bm_sink.h. Some calls of the C library are defined here, in front of its own, to let them fail. */
#include "io_test.h"

#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "bm_mem.h"
#include "bm_sink.h"
#include "bm_walk.h"
#include "fail_alloc.h"

/* ---- injection: the call fails with that errno from call number after on (0: the first) ---- */

struct fault {
	int sys_errno;
	unsigned after;
	unsigned calls;
	size_t most; /* a write or copy of more is cut, 0: no limit */
};

static struct {
	struct fault write, sync, rename, rename2, copy, chown, ioctl, truncate, chmod;
} inject;

static bool fails(struct fault *f)
{
	unsigned call = __atomic_fetch_add(&f->calls, 1, __ATOMIC_RELAXED); /* threads write too */
	if (f->sys_errno && call >= f->after) {
		errno = f->sys_errno;
		return true;
	}
	return false;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (fails(&inject.write))
		return -1;
	return syscall(SYS_pwrite64, fd, data, inject.write.most && len > inject.write.most ? inject.write.most : len,
	               (long)offset);
}

int fsync(int fd)
{
	return fails(&inject.sync) ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int a, const char *from, int b, const char *to)
{
	return fails(&inject.rename) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, 0);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	return fails(&inject.rename2) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t len, unsigned flags)
{
	if (fails(&inject.copy))
		return -1;
	return syscall(SYS_copy_file_range, in, from, out, to,
	               inject.copy.most && len > inject.copy.most ? inject.copy.most : len, flags);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return fails(&inject.chown) ? -1 : (int)syscall(SYS_fchown, fd, uid, gid);
}

int fchmod(int fd, mode_t mode)
{
	return fails(&inject.chmod) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int ftruncate(int fd, off_t len)
{
	return fails(&inject.truncate) ? -1 : (int)syscall(SYS_ftruncate, fd, (long)len);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	long arg = va_arg(ap, long);
	va_end(ap);
	if (request == FICLONE && fails(&inject.ioctl))
		return -1;
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* ---- helpers ---- */

static struct bm_sink_set *set; /* of the test */
static size_t fds_before;

static int setup(void **state)
{
	memset(&inject, 0, sizeof inject);
	blocked_now = 0;
	if (enter_scratch(state) != 0)
		return -1;
	fds_before = count_fds();
	return bm_sink_set_create("run", BM_DURABLE_FILE, &set, NULL) == BM_OK ? 0 : -1;
}

static int teardown(void **state)
{
	bm_sink_set_destroy(set);
	set = NULL;
	memset(&inject, 0, sizeof inject);
	int left = (int)(count_fds() - fds_before);
	if (left != 0)
		print_message("%d descriptors left open\n", left);
	return leave_scratch(state) == 0 && left == 0 ? 0 : -1;
}

#define SINK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct bm_sink_options plain = {.if_exists = BM_EXISTS_REPLACE, .mode = 0644};

static enum bm_status open_sink(const char *path, const struct bm_sink_options *o, struct bm_sink **s,
                                struct bm_error *err)
{
	bool skipped;
	*err = (struct bm_error)BM_ERROR_INIT;
	enum bm_status status = bm_sink_open(set, path, o, &test_blocker, s, &skipped, err);
	assert_int_equal(blocked_now, 0);
	assert_false(skipped);
	assert_int_equal(status == BM_OK, *s != NULL);
	assert_int_equal(status, err->status);
	return status;
}

static struct bm_sink *must_open(const char *path, const struct bm_sink_options *o)
{
	struct bm_sink *s;
	struct bm_error err;
	if (open_sink(path, o, &s, &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
	return s;
}

static enum bm_status write_text(struct bm_sink *s, const char *text)
{
	return bm_sink_write(s, text, strlen(text), false, &test_blocker, NULL);
}

static enum bm_status commit(struct bm_sink *s, struct bm_error *err)
{
	*err = (struct bm_error)BM_ERROR_INIT;
	enum bm_status status = bm_sink_commit(s, NULL, -1, NULL, &test_blocker, err);
	assert_int_equal(blocked_now, 0);
	assert_int_equal(status, err->status);
	return status;
}

static void must_commit(struct bm_sink *s)
{
	struct bm_error err;
	if (commit(s, &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
}

static void put(const char *path, const char *text, const struct bm_sink_options *o)
{
	struct bm_sink *s = must_open(path, o);
	assert_int_equal(write_text(s, text), BM_OK);
	must_commit(s);
}

static struct bm_source *open_source(const char *path)
{
	struct bm_source *s;
	struct bm_entry *e = bm_entry_create(BM_ENTRY_FILE, path, strlen(path), path, strlen(path));
	assert_int_equal(bm_source_open(e, false, NULL, &s, NULL), BM_OK);
	bm_entry_destroy(e);
	return s;
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

#define assert_no_temp(dir) assert_int_equal(count_names(dir, BM_TEMP_PREFIX), 0)

/* ---- the plain way ---- */

static void replaces_at_commit_and_not_before(void **state)
{
	(void)state;
	make_file("t", "old");
	struct stat before, during;
	assert_int_equal(stat("t", &before), 0);
	struct bm_sink *s = must_open("t", &plain);
	assert_int_equal(write_text(s, "ne"), BM_OK);
	assert_int_equal(write_text(s, "w"), BM_OK);
	assert_file("t", "old");
	assert_int_equal(count_names(".", BM_TEMP_PREFIX "run-"), 1);
	assert_int_equal(mode_of(".bytemill-run-0.tmp"), 0600);
	must_commit(s);
	assert_file("t", "new");
	assert_no_temp(".");
	assert_int_equal(stat("t", &during), 0);
	assert_int_not_equal(before.st_ino, during.st_ino);
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	/* Nothing written is an empty file. */
	must_commit(must_open("empty", &plain));
	assert_file("empty", "");
	/* An abort leaves nothing. */
	s = must_open("t", &plain);
	assert_int_equal(write_text(s, "never"), BM_OK);
	bm_sink_abort(s);
	bm_sink_abort(NULL);
	assert_file("t", "new");
	assert_no_temp(".");
}

static void makes_directories(void **state)
{
	(void)state;
	put("a/b//c/./d/f", "deep", &plain);
	assert_file("a/b/c/d/f", "deep");
	put("a/b/c/d/g", "again", &plain);
	char path[256];
	(void)snprintf(path, sizeof path, "%s/x/y/f", scratch_dir);
	put(path, "absolute", &plain);
	assert_file("x/y/f", "absolute");
	struct bm_sink *s;
	struct bm_error err;
	assert_int_equal(open_sink("a/b/c/d/f/g", &plain, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOTDIR);
	const char *const directories[] = {"a", "a/", "a/.", "a/..", "new/", "..", "/"};
	for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
		assert_int_equal(open_sink(directories[i], &plain, &s, &err), BM_ERR_SYSTEM);
		assert_non_null(strstr(err.text, "directory"));
	}
	assert_int_equal(open_sink("", &plain, &s, &err), BM_ERR_USAGE);
	/* The file, and every directory in which a name was made; once, whatever was made in it. */
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	unsigned syncs = inject.sync.calls;
	put("p/q/f", "x", &plain);
	put("p/r/f", "x", &plain);
	put("p/r/g", "x", &plain);
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	assert_int_equal(inject.sync.calls - syncs, 3 + 4);
	/* A directory that disappears under the cache is made again. */
	assert_int_equal(system("rm -r a"), 0);
	put("a/b/c/d/g", "back", &plain);
	assert_file("a/b/c/d/g", "back");
	/* More directories than are kept open or dirty. */
	for (int i = 0; i < 400; i++) {
		(void)snprintf(path, sizeof path, "many/%d/f", i);
		put(path, "x", &plain);
		assert_true(count_fds() < fds_before + 64 + 256 + 10);
	}
	assert_true(inject.sync.calls > 400 + 100); /* the files, and directories that had to make room */
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	assert_true(inject.sync.calls >= 400 + 400);
	unsigned synced = inject.sync.calls;
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	assert_int_equal(inject.sync.calls, synced);
}

static void *make_same_tree(void *arg)
{
	for (int i = 0; i < 100; i++) {
		char path[128];
		struct bm_sink *s;
		bool skipped;
		(void)snprintf(path, sizeof path, "race/%d/%d/%d/%ld", i / 10, i % 10, i, (long)(intptr_t)arg);
		if (bm_sink_open(set, path, &plain, NULL, &s, &skipped, NULL) != BM_OK ||
		    bm_sink_write(s, path, strlen(path), false, NULL, NULL) != BM_OK ||
		    bm_sink_commit(s, NULL, -1, NULL, NULL, NULL) != BM_OK)
			return arg;
	}
	return NULL;
}

static void threads_make_the_same_directories(void **state)
{
	(void)state;
	pthread_t t[8];
	for (intptr_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, make_same_tree, (void *)(i + 1)), 0);
	for (size_t i = 0; i < 8; i++) {
		void *bad;
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_file("race/9/9/99/8", "race/9/9/99/8");
	assert_int_equal(system("test $(find race -type f | wc -l) = 800"), 0);
}

static void hostile_names(void **state)
{
	(void)state;
	char name[300];
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		(void)snprintf(name, sizeof name, "%c%cx\n\x1b[31m", c, c);
		put(name, "x", &plain);
		assert_file(name, "x");
	}
	put("-rf", "x", &plain);
	memset(name, 'n', 255); /* the longest: the temp's name has room */
	name[255] = '\0';
	put(name, "longest", &plain);
	assert_file(name, "longest");
	name[255] = 'n';
	name[256] = '\0';
	struct bm_sink *s;
	struct bm_error err;
	assert_int_equal(open_sink(name, &plain, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENAMETOOLONG);
	/* Past PATH_MAX. */
	struct bm_buf path = {0};
	for (int i = 0; i < 30; i++)
		bm_buf_printf(&path, "%.250s/", name);
	bm_buf_puts(&path, "f");
	put(path.data, "far", &plain);
	path.data[path.len - 1] = 'g';
	put(path.data, "far too", &plain);
	path.data[path.len - 1] = 'f';
	put(path.data, "far again", &plain);
	struct bm_entry *e = bm_entry_create(BM_ENTRY_FILE, "f", 1, path.data, path.len);
	struct bm_source *src;
	assert_int_equal(bm_source_open(e, false, NULL, &src, NULL), BM_OK);
	assert_int_equal(bm_source_stat(src)->st_size, 9);
	bm_source_close(src);
	bm_entry_destroy(e);
	bm_buf_fini(&path);
	assert_no_temp(".");
}

static void what_to_do_with_what_exists(void **state)
{
	(void)state;
	struct bm_sink_options o = plain;
	struct bm_sink *s;
	struct bm_error err;
	bool skipped;
	make_file("t", "old");
	o.if_exists = BM_EXISTS_SKIP;
	assert_int_equal(bm_sink_open(set, "t", &o, &test_blocker, &s, &skipped, NULL), BM_OK);
	assert_true(skipped);
	assert_null(s);
	put("new-skip", "n", &o);
	o.if_exists = BM_EXISTS_FAIL;
	assert_int_equal(open_sink("t", &o, &s, &err), BM_ERR_EXISTS);
	put("new-fail", "n", &o);
	assert_file("new-fail", "n");
	/* Created while we write: neither replaces it; with RENAME_NOREPLACE and without. */
	for (int how = 0; how < 4; how++) {
		o.if_exists = how % 2 ? BM_EXISTS_SKIP : BM_EXISTS_FAIL;
		inject.rename2.sys_errno = how < 2 ? 0 : EINVAL;
		s = must_open("raced", &o);
		assert_int_equal(write_text(s, "ours"), BM_OK);
		make_file("raced", "theirs");
		assert_int_equal(commit(s, &err), BM_ERR_EXISTS);
		assert_file("raced", "theirs");
		assert_int_equal(unlink("raced"), 0);
		put("raced", "alone", &o);
		assert_file("raced", "alone");
		assert_int_equal(unlink("raced"), 0);
	}
	assert_no_temp(".");
}

static void appends(void **state)
{
	(void)state;
	struct bm_sink_options o = {.if_exists = BM_EXISTS_APPEND, .mode = 0600, .make_holes = true};
	struct bm_sink *s;
	struct bm_error err;
	put("t", "one,", &o); /* not there yet */
	assert_int_equal(chmod("t", 0751), 0);
	assert_int_equal(setxattr("t", "user.kept", "v", 1, 0) == 0 || errno == ENOTSUP, true);
	for (int how = 0; how < 3; how++) {
		inject.ioctl.sys_errno = EOPNOTSUPP;
		inject.copy.sys_errno = how == 1 ? EXDEV : 0;
		inject.copy.most = how == 2 ? 3 : 0;
		inject.write.most = how == 1 ? 3 : 0;
		s = must_open("t", &o);
		assert_int_equal(write_text(s, "more,"), BM_OK);
		must_commit(s);
	}
	assert_file("t", "one,more,more,more,");
	assert_int_equal(mode_of("t"), 0751); /* the file's own mode stays */
	char value;
	if (getxattr("t", "user.kept", &value, 1) != 1)
		assert_int_equal(errno, ENOTSUP);
	/* Half an append is none. */
	s = must_open("t", &o);
	assert_int_equal(write_text(s, "half"), BM_OK);
	bm_sink_abort(s);
	assert_file("t", "one,more,more,more,");
	/* Nobody else's bytes are lost. */
	s = must_open("t", &o);
	int fd = open("t", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "theirs", 6), 6);
	(void)close(fd);
	assert_int_equal(commit(s, &err), BM_ERR_CHANGED);
	assert_file("t", "one,more,more,more,theirs");
	s = must_open("t", &o);
	make_file("u", "other");
	assert_int_equal(rename("u", "t"), 0);
	assert_int_equal(commit(s, &err), BM_ERR_CHANGED);
	assert_file("t", "other");
	/* A read error of the old file is final. */
	inject.copy = (struct fault){.sys_errno = EIO};
	assert_int_equal(open_sink("t", &o, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	assert_no_temp(".");
}

/* ---- targets that are no files ---- */

static void links_as_targets(void **state)
{
	(void)state;
	struct bm_sink *s;
	struct bm_error err;
	make_dir("d");
	make_file("d/real", "old");
	assert_int_equal(symlink("d/real", "l1"), 0);
	assert_int_equal(symlink("../l1", "d/l2"), 0);
	put("d/l2", "new", &plain);
	assert_file("d/real", "new");
	struct stat st;
	assert_int_equal(lstat("l1", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat("d/l2", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	s = must_open("l1", &plain); /* the temp is where the file is */
	assert_int_equal(count_names("d", BM_TEMP_PREFIX), 1);
	assert_no_temp(".");
	bm_sink_abort(s);
	char absolute[128];
	(void)snprintf(absolute, sizeof absolute, "%s/d/real", scratch_dir);
	assert_int_equal(symlink(absolute, "l3"), 0);
	put("l3", "absolute", &plain);
	assert_file("d/real", "absolute");
	assert_int_equal(symlink("d/fresh", "dangling"), 0);
	put("dangling", "made", &plain);
	assert_file("d/fresh", "made");
	assert_int_equal(symlink("loop2", "loop1"), 0);
	assert_int_equal(symlink("loop1", "loop2"), 0);
	assert_int_equal(open_sink("loop1", &plain, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ELOOP);
	assert_int_equal(symlink("d", "ld"), 0);
	assert_int_equal(open_sink("ld", &plain, &s, &err), BM_ERR_SYSTEM);
	put("ld/through", "x", &plain); /* a directory on the way may be a link */
	assert_file("d/through", "x");
	struct bm_sink_options o = {.if_exists = BM_EXISTS_FAIL, .mode = 0644};
	assert_int_equal(open_sink("l1", &o, &s, &err), BM_ERR_EXISTS);
}

static void *read_fifo(void *arg)
{
	char *out = arg;
	int fd = open("p", O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n;
	while ((n = read(fd, out + at, 100 - at)) > 0)
		at += (size_t)n;
	out[at] = '\0';
	(void)close(fd);
	return NULL;
}

static void devices_and_fifos(void **state)
{
	(void)state;
	put("/dev/null", "gone", &plain);
	struct stat st;
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(symlink("/dev/null", "n"), 0);
	put("n", "gone", &plain);
	struct bm_sink *s = must_open("/dev/full", &plain);
	struct bm_error err = BM_ERROR_INIT;
	assert_int_equal(bm_sink_write(s, "x", 1, false, &test_blocker, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_int_equal(commit(s, &err), BM_ERR_FAILED); /* a failed write is not forgotten */
	assert_int_equal(mkfifo("p", 0600), 0);
	char got[101];
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, read_fifo, got), 0);
	struct bm_sink_options o = {.if_exists = BM_EXISTS_FAIL, .make_holes = true};
	s = must_open("p", &o);
	assert_int_equal(write_text(s, "through "), BM_OK);
	assert_int_equal(bm_sink_write(s, "\0\0", 2, true, &test_blocker, NULL), BM_OK); /* a pipe has no holes */
	assert_int_equal(write_text(s, "the pipe"), BM_OK);
	must_commit(s);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_memory_equal(got, "through \0\0the pipe", 19);
	assert_int_equal(stat("p", &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_no_temp(".");
}

/* Reads nothing before the writer has given up the permit. */
struct reader {
	int fd;
	sem_t given_up;
	char *to;
	size_t cap, len;
};

static void reader_block(void *arg)
{
	struct reader *r = arg;
	test_block(NULL);
	assert_int_equal(sem_post(&r->given_up), 0);
}

static void *read_all_of_it(void *arg)
{
	struct reader *r = arg;
	ssize_t n;
	(void)sem_wait(&r->given_up);
	while (r->len < r->cap && (n = read(r->fd, r->to + r->len, r->cap - r->len)) > 0)
		r->len += (size_t)n;
	return NULL;
}

/* How often the permit was given up for a write of 1 MiB; *status is the write's. */
static unsigned blocked_by_write(struct bm_sink *s, const struct bm_blocker *b, enum bm_status *status)
{
	static const char big[1 << 20];
	unsigned before = blocked_count;
	*status = bm_sink_write(s, big, sizeof big, false, b, NULL);
	return blocked_count - before;
}

/* It is kept where a write cannot wait: for a device that takes all at once, and for a file in memory. */
static void the_permit_is_kept(void **state)
{
	(void)state;
	enum bm_status status;
	struct bm_sink *s = must_open("/dev/null", &plain);
	assert_int_equal(blocked_by_write(s, &test_blocker, &status), 0);
	assert_int_equal(status, BM_OK);
	must_commit(s);
	SKIP_UNLESS_ROOT();
	make_dir("m");
	MOUNT_TMPFS_OR_SKIP("m", "size=4m");
	s = must_open("m/t", &plain);
	unsigned blocked = blocked_by_write(s, &test_blocker, &status);
	must_commit(s);
	bm_sink_set_destroy(set);
	set = NULL;
	assert_int_equal(umount("m"), 0);
	assert_int_equal(bm_sink_set_create("again", BM_DURABLE_FILE, &set, NULL), BM_OK);
	assert_int_equal(status, BM_OK);
	assert_int_equal(blocked, 0);
}

/* And given up where it does: at a pipe that is full. What the pipe had room for went first. */
static void the_permit_is_given_up(void **state)
{
	(void)state;
	static char got[2 << 20];
	enum bm_status status = BM_OK;
	struct bm_sink *s;
	bool skipped;
	pthread_t t;
	int p[2], saved = dup(STDOUT_FILENO);
	(void)fflush(stdout);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	(void)dup2(p[1], STDOUT_FILENO);
	(void)close(p[1]);
	struct reader r = {.fd = p[0], .to = got, .cap = sizeof got};
	struct bm_blocker b = {.block = reader_block, .unblock = test_unblock, .arg = &r};
	assert_int_equal(sem_init(&r.given_up, 0, 0), 0);
	enum bm_status opened = bm_sink_open(set, "-", &plain, &test_blocker, &s, &skipped, NULL);
	(void)alarm(20);
	int rc = pthread_create(&t, NULL, read_all_of_it, &r);
	unsigned blocked = opened == BM_OK ? blocked_by_write(s, &b, &status) : 0;
	enum bm_status committed = opened == BM_OK ? bm_sink_commit(s, NULL, -1, NULL, NULL, NULL) : opened;
	(void)dup2(saved, STDOUT_FILENO); /* the last descriptor of the pipe's writing end */
	(void)close(saved);
	assert_int_equal(rc, 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	(void)alarm(0);
	(void)close(p[0]);
	(void)sem_destroy(&r.given_up);
	assert_int_equal(opened, BM_OK);
	assert_int_equal(status, BM_OK);
	assert_int_equal(committed, BM_OK);
	assert_int_equal(r.len, 1 << 20);
	assert_int_equal(blocked, 1); /* once a write, however often it waits */
}

static void a_cancel_ends_the_wait(void **state)
{
	(void)state;
	struct bm_blocker b = cancelled_blocker();
	struct bm_error err = BM_ERROR_INIT;
	struct bm_sink *s;
	bool skipped;
	static const char big[1 << 20];
	assert_int_equal(mkfifo("p", 0600), 0);
	(void)alarm(20);
	assert_int_equal(bm_sink_open(set, "p", &plain, &b, &s, &skipped, &err), BM_ERR_CANCELLED);
	assert_null(s);
	int r = open("p", O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a reader that does not read */
	uint64_t one;
	assert_int_equal(read(b.cancel_fd, &one, sizeof one), 8);
	assert_int_equal(bm_sink_open(set, "p", &plain, &b, &s, &skipped, NULL), BM_OK);
	assert_int_equal(write(b.cancel_fd, &one, sizeof one), 8);
	assert_int_equal(bm_sink_write(s, big, sizeof big, false, &b, NULL), BM_ERR_CANCELLED);
	assert_int_equal(blocked_now, 0);
	assert_int_equal(commit(s, &err), BM_ERR_FAILED);
	(void)alarm(0);
	(void)close(r);
	(void)close(b.cancel_fd);
}

static void standard_output(void **state)
{
	(void)state;
	const char *const names[] = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
	int saved = dup(STDOUT_FILENO);
	for (size_t i = 0; i < 4; i++) {
		for (int pipes = 0; pipes < 2; pipes++) {
			int p[2];
			char got[16] = "";
			(void)fflush(stdout);
			if (pipes)
				assert_int_equal(pipe2(p, O_CLOEXEC), 0);
			else
				p[0] = p[1] = open("out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			(void)dup2(p[1], STDOUT_FILENO);
			struct bm_sink *s;
			bool skipped;
			enum bm_status a = bm_sink_open(set, names[i], &plain, NULL, &s, &skipped, NULL), b = a, c = a;
			if (a == BM_OK) {
				b = write_text(s, "text");
				c = bm_sink_commit(s, NULL, -1, NULL, NULL, NULL);
			}
			(void)dup2(saved, STDOUT_FILENO);
			assert_int_equal(a, BM_OK);
			assert_int_equal(b, BM_OK);
			assert_int_equal(c, BM_OK);
			if (pipes)
				assert_int_equal(read(p[0], got, sizeof got), 4);
			else
				assert_int_equal(pread(p[0], got, sizeof got, 0), 4);
			assert_string_equal(got, "text");
			(void)close(p[0]);
			if (pipes)
				(void)close(p[1]);
		}
	}
	/* The reader has gone. */
	int p[2];
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	(void)close(p[0]);
	(void)fflush(stdout);
	(void)dup2(p[1], STDOUT_FILENO);
	struct bm_error err = BM_ERROR_INIT;
	struct bm_sink *s;
	bool skipped;
	enum bm_status a = bm_sink_open(set, "-", &plain, NULL, &s, &skipped, NULL);
	enum bm_status b = bm_sink_write(s, "x", 1, false, NULL, &err);
	bm_sink_abort(s);
	(void)dup2(saved, STDOUT_FILENO);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)close(saved);
	(void)close(p[1]);
	assert_int_equal(a, BM_OK);
	assert_int_equal(b, BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EPIPE);
}

/* ---- faults ---- */

static void every_fault_leaves_the_old_file(void **state)
{
	(void)state;
	struct {
		struct fault *fault;
		int sys_errno;
		bool in_write;
	} cases[] = {
		{&inject.write, ENOSPC, true}, {&inject.write, EIO, true},      {&inject.write, EDQUOT, true},
		{&inject.write, EFBIG, true},  {&inject.sync, EIO, false},      {&inject.sync, ENOSPC, false},
		{&inject.rename, EIO, false},  {&inject.rename, ENOSPC, false}, {&inject.truncate, EFBIG, false},
		{&inject.chmod, EIO, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (unsigned after = 0; after < (cases[i].in_write ? 3u : 1u); after++) {
			struct bm_error err = BM_ERROR_INIT, second = BM_ERROR_INIT;
			make_file("t", "old");
			struct bm_sink *s = must_open("t", &plain);
			enum bm_status status = BM_OK;
			memset(&inject, 0, sizeof inject);
			inject.write.most = 3;
			cases[i].fault->sys_errno = cases[i].sys_errno;
			cases[i].fault->after = after;
			status = bm_sink_write(s, "new data", 8, false, &test_blocker, &err);
			assert_int_equal(status != BM_OK, cases[i].in_write);
			if (status == BM_OK)
				assert_int_equal(bm_sink_write(s, "\0\0", 2, true, &test_blocker, &err),
				                 BM_OK); /* ftruncate */
			status = commit(s, &second);
			assert_int_not_equal(status, BM_OK);
			const struct bm_error *first = cases[i].in_write ? &err : &second;
			assert_int_equal(first->status, BM_ERR_SYSTEM);
			assert_int_equal(first->sys_errno, cases[i].sys_errno);
			assert_string_equal(first->where, "t");
			if (cases[i].sys_errno == ENOSPC)
				assert_non_null(strstr(first->text, "free some space"));
			memset(&inject, 0, sizeof inject);
			assert_file("t", "old");
			assert_no_temp(".");
		}
	}
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
}

static void fsync_of_a_directory_is_final_too(void **state)
{
	(void)state;
	struct bm_error err = BM_ERROR_INIT;
	put("d/t", "x", &plain);
	inject.sync.sys_errno = EIO;
	assert_int_equal(bm_sink_set_sync(set, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	inject.sync.sys_errno = 0;
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_ERR_SYSTEM);
	/* Without durability nothing is synced at all. */
	bm_sink_set_destroy(set);
	assert_int_equal(bm_sink_set_create("none", BM_DURABLE_NONE, &set, NULL), BM_OK);
	inject.sync.calls = 0;
	put("e/f/t", "x", &plain);
	assert_int_equal(bm_sink_set_sync(set, NULL), BM_OK);
	assert_int_equal(inject.sync.calls, 0);
}

static void a_full_file_system(void **state)
{
	(void)state;
	SKIP_UNLESS_ROOT();
	make_dir("m");
	MOUNT_TMPFS_OR_SKIP("m", "size=256k,nr_inodes=8");
	struct bm_error err = BM_ERROR_INIT;
	make_file("m/t", "old");
	struct bm_sink *s = must_open("m/t", &plain);
	char *big = calloc(1, 1 << 20);
	memset(big, 'x', 1 << 20);
	enum bm_status status = bm_sink_write(s, big, 1 << 20, false, &test_blocker, &err);
	bm_sink_abort(s);
	free(big);
	char *kept = slurp("m/t", NULL);
	size_t temps = count_names("m", BM_TEMP_PREFIX);
	/* Out of inodes. */
	struct bm_error none = BM_ERROR_INIT;
	enum bm_status last = BM_OK;
	for (int i = 0; i < 10 && last == BM_OK; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "m/%d", i);
		last = open_sink(name, &plain, &s, &none);
		if (last == BM_OK)
			must_commit(s);
	}
	bm_sink_set_destroy(set);
	set = NULL;
	int unmounted = umount("m");
	assert_int_equal(bm_sink_set_create("again", BM_DURABLE_FILE, &set, NULL), BM_OK);
	assert_int_equal(unmounted, 0);
	assert_int_equal(status, BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_string_equal(kept, "old");
	assert_int_equal(temps, 0);
	assert_int_equal(last, BM_ERR_SYSTEM);
	assert_int_equal(none.sys_errno, ENOSPC);
	free(kept);
}

static int write_past_limit(void)
{
	const struct rlimit limit = {100000, 100000};
	static const char big[200000];
	struct bm_error err = BM_ERROR_INIT;
	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return 90;
	struct bm_sink *s = must_open("t", &plain);
	if (bm_sink_write(s, big, sizeof big, false, NULL, &err) != BM_ERR_SYSTEM || err.sys_errno != EFBIG)
		return 91;
	if (!strstr(err.text, "ulimit -f"))
		return 92;
	bm_sink_abort(s);
	return 0;
}

static int run_in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void file_size_limit(void **state)
{
	(void)state;
	make_file("t", "old");
	assert_int_equal(run_in_child(write_past_limit), 0);
	assert_file("t", "old");
	assert_no_temp(".");
}

static int with_few_descriptors(void)
{
	const struct rlimit few = {40, 40};
	char path[64];
	if (setrlimit(RLIMIT_NOFILE, &few) != 0)
		return 90;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof path, "few/%d/f", i);
		put(path, "x", &plain);
	}
	return bm_sink_set_sync(set, NULL) != BM_OK;
}

static void few_descriptors(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(with_few_descriptors), 0);
	assert_file("few/99/f", "x");
}

/* ---- ends that come early ---- */

static void abort_all_and_destroy(void **state)
{
	(void)state;
	struct bm_error err;
	make_file("a", "old");
	struct bm_sink *a = must_open("a", &plain), *b = must_open("d/b", &plain), *more;
	bm_sink_set_abort_all(set);
	assert_no_temp(".");
	assert_no_temp("d");
	assert_int_equal(write_text(a, "goes nowhere"), BM_OK);
	assert_int_equal(commit(a, &err), BM_ERR_CANCELLED);
	bm_sink_abort(b);
	assert_int_equal(open_sink("c", &plain, &more, &err), BM_ERR_CANCELLED);
	assert_file("a", "old");
	assert_int_equal(access("c", F_OK), -1);
	bm_sink_set_destroy(set);
	/* A sink that was forgotten: destroy removes its temp, and its late end is harmless. */
	assert_int_equal(bm_sink_set_create("two", BM_DURABLE_FILE, &set, NULL), BM_OK);
	a = must_open("a", &plain);
	bm_sink_set_destroy(set);
	assert_no_temp(".");
	bm_sink_abort(a);
	assert_int_equal(bm_sink_set_create("three", BM_DURABLE_FILE, &set, NULL), BM_OK);
	struct bm_sink_set *bad;
	assert_int_equal(bm_sink_set_create("a/b", BM_DURABLE_FILE, &bad, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_sink_set_create("", BM_DURABLE_FILE, &bad, NULL), BM_ERR_USAGE);
}

/* What a killed process leaves is told from what is in use. */
static void sweep_after_a_kill(void **state)
{
	(void)state;
	int p[2];
	char c;
	uint64_t removed;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct bm_sink *s = must_open("t", &plain);
		(void)write_text(s, "half");
		(void)!write(p[1], "r", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(p[0], &c, 1), 1);
	make_file(".bytemill-not-ours", "x"); /* no ".tmp" at its end */
	make_dir(".bytemill-dir.tmp");
	assert_int_equal(symlink("t", ".bytemill-l.tmp"), 0);
	assert_int_equal(bm_sink_sweep(".", &removed, NULL), BM_OK);
	assert_int_equal(removed, 0); /* it lives */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* The same run id and number: the name is taken, another is found. */
	struct bm_sink *s = must_open("t", &plain);
	assert_int_equal(bm_sink_sweep(".", &removed, NULL), BM_OK);
	assert_int_equal(removed, 1);
	assert_int_equal(write_text(s, "whole"), BM_OK);
	must_commit(s);
	assert_file("t", "whole");
	assert_int_equal(count_names(".", BM_TEMP_PREFIX), 3);
	assert_int_equal(bm_sink_sweep("missing", NULL, NULL), BM_ERR_SYSTEM);
	/* Of some runs only; an id that begins like another is another. */
	static const char *const runs[] = {"run-1", "x"};
	static const char *const theirs[] = {".bytemill-run-1-0.tmp", ".bytemill-x-17.tmp"};
	static const char *const others[] = {".bytemill-run-10-0.tmp", ".bytemill-run-1-0-0.tmp", ".bytemill-run-1-.tm",
	                                     ".bytemill-run-1x-0.tmp"};
	for (size_t i = 0; i < 2; i++)
		make_file(theirs[i], "x");
	for (size_t i = 0; i < 4; i++)
		make_file(others[i], "x");
	assert_int_equal(bm_sink_sweep_runs(".", runs, 2, false, &removed, NULL), BM_OK);
	assert_int_equal(removed, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_not_equal(access(theirs[i], F_OK), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(access(others[i], F_OK), 0);
	(void)close(p[0]);
	(void)close(p[1]);
}

/* ---- metadata ---- */

static void modes_follow_the_umask(void **state)
{
	(void)state;
	mode_t old = umask(027);
	bm_sink_set_destroy(set);
	assert_int_equal(bm_sink_set_create("u", BM_DURABLE_FILE, &set, NULL), BM_OK);
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = 0666};
	put("d/f", "x", &o);
	o.mode = 0777;
	put("d/x", "x", &o);
	(void)umask(old);
	assert_int_equal(mode_of("d"), 0750);
	assert_int_equal(mode_of("d/f"), 0640);
	assert_int_equal(mode_of("d/x"), 0750);
}

static void preserves(void **state)
{
	(void)state;
	struct bm_buf warnings = {0};
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .preserve = true, .mode = 0600};
	make_file("src", "x");
	const struct timespec when[2] = {{.tv_sec = 1000, .tv_nsec = 1}, {.tv_sec = 2000, .tv_nsec = 123456789}};
	bool has_xattr =
		setxattr("src", "user.a\n", "value", 5, 0) == 0 && setxattr("src", "user.empty", "", 0, 0) == 0;
	if (!has_xattr)
		print_message("no user xattrs on this file system: not tested\n");
	if (geteuid() == 0)
		assert_int_equal(chown("src", 12345, 54321), 0);
	assert_int_equal(chmod("src", 06751), 0);
	assert_int_equal(utimensat(AT_FDCWD, "src", when, 0), 0);
	struct bm_source *in = open_source("src");
	struct bm_sink *s = must_open("dst", &o);
	assert_int_equal(write_text(s, "other"), BM_OK);
	assert_int_equal(bm_sink_commit(s, bm_source_stat(in), bm_source_fd(in), &warnings, &test_blocker, NULL),
	                 BM_OK);
	struct stat st;
	assert_int_equal(stat("dst", &st), 0);
	assert_int_equal(st.st_mode & 07777, 06751);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 12345);
		assert_int_equal(st.st_gid, 54321);
	}
	char value[8];
	if (has_xattr) {
		assert_int_equal(getxattr("dst", "user.a\n", value, sizeof value), 5);
		assert_int_equal(getxattr("dst", "user.empty", value, sizeof value), 0);
	}
	assert_int_equal(warnings.len, 0);
	/* An owner that cannot be given: a warning, and nobody's rights. */
	if (geteuid() == 0) {
		inject.chown.sys_errno = EPERM;
		s = must_open("dst2", &o);
		assert_int_equal(bm_sink_commit(s, bm_source_stat(in), -1, &warnings, &test_blocker, NULL), BM_OK);
		assert_int_equal(mode_of("dst2"), 0751);
		assert_string_equal(warnings.data, "owner: Operation not permitted\n");
		inject.chown = (struct fault){.sys_errno = EPERM, .after = 1};
		bm_buf_reset(&warnings);
	}
	/* Nothing to preserve from: the mode of the options. */
	s = must_open("dst3", &o);
	must_commit(s);
	assert_int_equal(mode_of("dst3"), 0600);
	/* Warnings need not be asked for. */
	inject.chmod.sys_errno = EPERM;
	s = must_open("dst4", &o);
	assert_int_equal(bm_sink_commit(s, bm_source_stat(in), -1, NULL, NULL, NULL), BM_OK);
	/* What the device says is no warning. */
	struct bm_error err = BM_ERROR_INIT;
	memset(&inject, 0, sizeof inject);
	inject.chmod.sys_errno = EIO;
	make_file("dst5", "old");
	s = must_open("dst5", &o);
	assert_int_equal(bm_sink_commit(s, bm_source_stat(in), -1, &warnings, NULL, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	assert_non_null(strstr(err.text, "cannot set its mode"));
	assert_file("dst5", "old");
	assert_int_equal(warnings.len, 0);
	bm_source_close(in);
	bm_buf_fini(&warnings);
}

static int write_into_drop_box(void)
{
	struct bm_sink *s;
	struct bm_error err;
	put("box/f", "dropped", &plain); /* the directory may be written and searched, not read */
	if (open_sink("shut/f", &plain, &s, &err) != BM_ERR_SYSTEM || err.sys_errno != EACCES)
		return 1;
	return bm_sink_set_sync(set, NULL) != BM_OK;
}

static void directories_without_rights(void **state)
{
	(void)state;
	SKIP_UNLESS_ROOT();
	assert_int_equal(chmod(".", 0755), 0);
	make_dir("box");
	make_dir("shut");
	assert_int_equal(chmod("box", 0333), 0);
	assert_int_equal(chmod("shut", 0555), 0);
	assert_int_equal(as_nobody(write_into_drop_box), 0);
	assert_file("box/f", "dropped");
	assert_no_temp("box");
}

/* ---- holes and copies ---- */

static void holes_are_made(void **state)
{
	(void)state;
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = 0600, .make_holes = true};
	const size_t size = 1 << 20;
	char *data = calloc(1, size);
	assert_non_null(data);
	data[0] = 'a';
	data[500000] = 'b';
	data[size - 1 - 8192] = 'c';
	/* In pieces whose ends are not those of blocks: the holes are those of the file all the same. */
	const size_t pieces[] = {size, 4096, 65536, 10000, 4095, 1};
	for (size_t i = 0; i < 6; i++) {
		size_t len = pieces[i] == 1 ? 9000 : size, got_len;
		struct bm_sink *s = must_open("h", &o);
		for (size_t at = 0; at < len; at += pieces[i])
			assert_int_equal(bm_sink_write(s, data + at, len - at < pieces[i] ? len - at : pieces[i], false,
			                               NULL, NULL),
			                 BM_OK);
		must_commit(s);
		char *got = slurp("h", &got_len);
		assert_int_equal(got_len, len);
		assert_memory_equal(got, data, len);
		free(got);
		struct stat st;
		assert_int_equal(stat("h", &st), 0);
		if (pieces[i] % 4096 == 0)
			assert_true(st.st_blocks <= 4 * 8);
	}
	/* Hole flags need no make_holes; a hole at the end sets the size. */
	struct bm_sink *s = must_open("h", &plain);
	assert_int_equal(bm_sink_write(s, data + 4096, 100000, true, NULL, NULL), BM_OK);
	assert_int_equal(write_text(s, "x"), BM_OK);
	assert_int_equal(bm_sink_write(s, data + 4096, 100000, true, NULL, NULL), BM_OK);
	must_commit(s);
	struct stat st;
	assert_int_equal(stat("h", &st), 0);
	assert_int_equal(st.st_size, 200001);
	assert_true(st.st_blocks <= 16);
	/* Zeros that nobody asked to make a hole are written. */
	s = must_open("h", &plain);
	assert_int_equal(bm_sink_write(s, data + 4096, 65536, false, NULL, NULL), BM_OK);
	must_commit(s);
	assert_int_equal(stat("h", &st), 0);
	assert_true(st.st_blocks >= 128);
	free(data);
}

static void cut_back(void **state)
{
	(void)state;
	static const char zeros[9000];
	struct bm_sink_options o = {.if_exists = BM_EXISTS_APPEND, .mode = 0600};
	make_file("t", "old,");
	struct bm_sink *s = must_open("t", &o);
	assert_int_equal(bm_sink_size(s), 4);
	assert_int_equal(write_text(s, "bad"), BM_OK);
	assert_int_equal(bm_sink_size(s), 7);
	assert_int_equal(bm_sink_truncate(s, 8, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_sink_truncate(s, 4, NULL), BM_OK);
	assert_int_equal(bm_sink_write(s, zeros, sizeof zeros, true, NULL, NULL), BM_OK); /* only a size yet */
	assert_int_equal(bm_sink_truncate(s, 5, NULL), BM_OK);
	assert_int_equal(write_text(s, "new"), BM_OK);
	assert_int_equal(bm_sink_size(s), 8);
	must_commit(s);
	size_t len;
	char *got = slurp("t", &len);
	assert_int_equal(len, 8);
	assert_memory_equal(got, "old,\0new", 8);
	free(got);
	s = must_open("/dev/null", &plain);
	assert_int_equal(write_text(s, "x"), BM_OK);
	assert_int_equal(bm_sink_truncate(s, 0, NULL), BM_ERR_UNSUPPORTED);
	bm_sink_abort(s);
}

static unsigned asked;

static bool cancel_later(void *arg)
{
	return ++asked > *(unsigned *)arg;
}

static void copies_every_way(void **state)
{
	(void)state;
	const size_t size = 3 << 20;
	char *data = calloc(1, size);
	assert_non_null(data);
	for (size_t i = 0; i < 300000; i++)
		data[(size_t)1 << 20 | i] = (char)(i * 13 + 1);
	data[size - 1] = 'z';
	int fd = open("in", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, data + (1 << 20), 300000, 1 << 20), 300000);
	assert_int_equal(pwrite(fd, "z", 1, (off_t)size - 1), 1);
	(void)close(fd);
	const int not_here[] = {0, EXDEV, EINVAL, EOPNOTSUPP, ENOSYS, EBADF, ETXTBSY, EPERM};
	uint8_t *scratch = malloc(50000);
	assert_non_null(scratch);
	for (unsigned i = 0; i < 24; i++) {
		memset(&inject, 0, sizeof inject);
		inject.ioctl.sys_errno = i % 2 ? ENOTTY : EOPNOTSUPP;
		inject.copy.sys_errno = not_here[i % 8];
		inject.copy.after = i / 8 * 2; /* at once, after 2 pieces, after 4 */
		inject.copy.most = 70000;
		struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = 0600, .make_holes = i == 23};
		struct bm_source *in = open_source("in");
		struct bm_sink *s = must_open("out", &o);
		uint64_t bytes = 0;
		struct bm_error err = BM_ERROR_INIT;
		if (bm_sink_copy_from(s, in, scratch, 50000, NULL, NULL, &bytes, &test_blocker, &err) != BM_OK)
			fail_msg("%s", err.text);
		assert_int_equal(blocked_now, 0);
		assert_int_equal(bytes, size);
		must_commit(s);
		bm_source_close(in);
		size_t len;
		char *got = slurp("out", &len);
		assert_int_equal(len, size);
		assert_memory_equal(got, data, size);
		free(got);
		struct stat st;
		assert_int_equal(stat("out", &st), 0);
		assert_true((size_t)st.st_blocks * 512 < 600000); /* holes stay holes, nearly all */
	}
	/* What is no "not here" is final. */
	const int final[] = {EIO, ENOSPC, EDQUOT, EFBIG};
	for (unsigned i = 0; i < 8; i++) {
		memset(&inject, 0, sizeof inject);
		struct fault *f = i < 4 ? &inject.copy : &inject.ioctl;
		if (i < 4)
			inject.ioctl.sys_errno = EOPNOTSUPP;
		f->sys_errno = final[i % 4];
		struct bm_source *in = open_source("in");
		struct bm_sink *s = must_open("out2", &plain);
		struct bm_error err = BM_ERROR_INIT;
		assert_int_equal(bm_sink_copy_from(s, in, scratch, 50000, NULL, NULL, NULL, &test_blocker, &err),
		                 BM_ERR_SYSTEM);
		assert_int_equal(err.sys_errno, final[i % 4]);
		assert_int_equal(commit(s, &err), BM_ERR_FAILED);
		bm_source_close(in);
		assert_int_equal(access("out2", F_OK), -1);
	}
	/* Cancelled between pieces, in the kernel and by reading. */
	for (unsigned i = 0; i < 2; i++) {
		memset(&inject, 0, sizeof inject);
		inject.ioctl.sys_errno = EOPNOTSUPP;
		inject.copy.most = 10000;
		inject.copy.sys_errno = i ? EXDEV : 0;
		unsigned limit = 2;
		asked = 0;
		struct bm_source *in = open_source("in");
		struct bm_sink *s = must_open("out2", &plain);
		assert_int_equal(
			bm_sink_copy_from(s, in, scratch, 50000, cancel_later, &limit, NULL, &test_blocker, NULL),
			BM_ERR_CANCELLED);
		assert_int_equal(asked, 3);
		bm_sink_abort(s);
		bm_source_close(in);
	}
	/* The source changes meanwhile; or has no size at all. */
	memset(&inject, 0, sizeof inject);
	inject.ioctl.sys_errno = EOPNOTSUPP;
	struct bm_source *in = open_source("in");
	assert_int_equal(truncate("in", 1000000), 0);
	struct bm_sink *s = must_open("out2", &plain);
	assert_int_equal(bm_sink_copy_from(s, in, scratch, 50000, NULL, NULL, NULL, NULL, NULL), BM_ERR_CHANGED);
	bm_sink_abort(s);
	bm_source_close(in);
	in = open_source("/proc/filesystems");
	s = must_open("out2", &plain);
	assert_int_equal(bm_sink_copy_from(s, in, scratch, 64, NULL, NULL, NULL, NULL, NULL), BM_OK);
	must_commit(s);
	bm_source_close(in);
	assert_int_equal(system("cat /proc/filesystems | cmp -s - out2"), 0);
	/* After bytes that were written before: appended. */
	make_file("in", "tail");
	in = open_source("in");
	s = must_open("out2", &plain);
	assert_int_equal(write_text(s, "head,"), BM_OK);
	assert_int_equal(bm_sink_copy_from(s, in, scratch, 64, NULL, NULL, NULL, NULL, NULL), BM_OK);
	assert_int_equal(write_text(s, ",end"), BM_OK);
	must_commit(s);
	bm_source_close(in);
	assert_file("out2", "head,tail,end");
	assert_no_temp(".");
	free(scratch);
	free(data);
}

/* Every allocation fails once, and from there on for ever: the target is old or new, never anything else. */
static void out_of_memory(void **state)
{
	(void)state;
	struct bm_sink_options o = {.if_exists = BM_EXISTS_APPEND, .preserve = true, .mode = 0600};
	bool hit = true;
	make_dir("d");
	assert_int_equal(symlink("d/t", "l"), 0);
	for (unsigned at = 1; hit; at++) {
		hit = false;
		for (int for_ever = 0; for_ever < 2; for_ever++) {
			struct bm_error err = BM_ERROR_INIT, first = BM_ERROR_INIT;
			struct bm_buf warnings = {0};
			struct bm_sink *s = NULL;
			bool skipped;
			make_file("d/t", "old,");
			(void)setxattr("d/t", "user.x", "v", 1, 0);
			inject.ioctl.sys_errno = inject.copy.sys_errno = EOPNOTSUPP;
			bm_sink_set_destroy(set);
			set = NULL;
			fail_alloc_arm(at, for_ever);
			enum bm_status status = bm_sink_set_create("oom", BM_DURABLE_FILE, &set, &first);
			if (status == BM_OK)
				status = bm_sink_open(set, "l", &o, NULL, &s, &skipped, &first);
			if (status == BM_OK)
				status = bm_sink_write(s, "new", 3, false, NULL, &first);
			if (status == BM_OK)
				status = bm_sink_commit(s, NULL, -1, &warnings, NULL, &first);
			if (status == BM_OK)
				status = bm_sink_open(set, "new/dir/f", &plain, NULL, &s, &skipped, &err);
			if (s && err.status == BM_OK && status == BM_OK)
				status = bm_sink_commit(s, NULL, -1, NULL, NULL, &err);
			hit = fail_alloc_disarm() || hit;
			if (first.status != BM_OK)
				assert_int_equal(first.status, BM_ERR_NOMEM);
			if (err.status != BM_OK)
				assert_int_equal(err.status, BM_ERR_NOMEM);
			assert_file("d/t", first.status == BM_OK ? "old,new" : "old,");
			assert_no_temp("d");
			assert_int_equal(access("new/dir/f", F_OK) == 0, status == BM_OK);
			assert_int_equal(system("rm -rf new"), 0);
			bm_buf_fini(&warnings);
		}
	}
	if (!set)
		assert_int_equal(bm_sink_set_create("end", BM_DURABLE_FILE, &set, NULL), BM_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SINK_TEST(replaces_at_commit_and_not_before),
		SINK_TEST(makes_directories),
		SINK_TEST(threads_make_the_same_directories),
		SINK_TEST(hostile_names),
		SINK_TEST(what_to_do_with_what_exists),
		SINK_TEST(appends),
		SINK_TEST(links_as_targets),
		SINK_TEST(devices_and_fifos),
		SINK_TEST(the_permit_is_kept),
		SINK_TEST(the_permit_is_given_up),
		SINK_TEST(a_cancel_ends_the_wait),
		SINK_TEST(standard_output),
		SINK_TEST(every_fault_leaves_the_old_file),
		SINK_TEST(fsync_of_a_directory_is_final_too),
		SINK_TEST(a_full_file_system),
		SINK_TEST(file_size_limit),
		SINK_TEST(few_descriptors),
		SINK_TEST(abort_all_and_destroy),
		SINK_TEST(sweep_after_a_kill),
		SINK_TEST(modes_follow_the_umask),
		SINK_TEST(preserves),
		SINK_TEST(directories_without_rights),
		SINK_TEST(holes_are_made),
		SINK_TEST(cut_back),
		SINK_TEST(copies_every_way),
		SINK_TEST(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
