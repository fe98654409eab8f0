/* Tests of bm_source.h. preadv2, preadv, readv, fstat and clock_gettime are defined here, in front of the C library's, to
 * inject what a disk, a kernel, a clock and somebody who writes at the wrong moment may do. */
#include "io_test.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "bm_walk.h"

/* ---- injection ---- */

static struct {
	int nowait_errno;    /* preadv2 fails so */
	int read_errno;      /* preadv fails so ... */
	unsigned read_after; /* ... from this call on */
	size_t most;         /* no read gives more, 0: no limit */
	bool eintr;          /* every second call is interrupted */
	unsigned nowaits, reads, calls;
	time_t clock_ahead;        /* the coarse clock, so that a new file looks like one that was written long ago */
	void (*before_stat)(void); /* called once */
	bool changed_now;          /* fstat gives the coarse clock's time as that of the last change */
	struct timespec ctim;      /* what it would have given */
	unsigned stats;
} inject;

int clock_gettime(clockid_t id, struct timespec *t)
{
	long rc = syscall(SYS_clock_gettime, id, t);
	if (rc == 0 && id == CLOCK_REALTIME_COARSE)
		t->tv_sec += inject.clock_ahead;
	return (int)rc;
}

int fstat(int fd, struct stat *st)
{
	if (inject.before_stat) {
		void (*act)(void) = inject.before_stat;
		inject.before_stat = NULL;
		act();
	}
	inject.stats++;
	int rc = fstatat(fd, "", st, AT_EMPTY_PATH);
	if (rc == 0 && inject.changed_now) {
		struct timespec now;
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
		inject.ctim = st->st_ctim;
		st->st_ctim.tv_sec = now.tv_sec;
	}
	return rc;
}

static ssize_t limited(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct iovec cut = iov[0];
	if (inject.most && cut.iov_len > inject.most) {
		cut.iov_len = inject.most;
		iov = &cut;
		count = 1;
	}
	/* The kernel takes the offset as two longs, of which it uses one on 64-bit machines. */
	return syscall(SYS_preadv2, fd, iov, count, (long)offset, 0L, flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	inject.nowaits++;
	assert_int_equal(flags, RWF_NOWAIT);
	assert_int_equal(blocked_now, 0);
	if (inject.eintr && inject.calls++ % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	if (inject.nowait_errno) {
		errno = inject.nowait_errno;
		return -1;
	}
	return limited(fd, iov, count, offset, flags);
}

static ssize_t waiting(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (inject.eintr && inject.calls++ % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	if (inject.read_errno && inject.reads >= inject.read_after) {
		errno = inject.read_errno;
		return -1;
	}
	inject.reads++;
	return limited(fd, iov, count, offset, 0);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	return waiting(fd, iov, count, offset);
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
	return waiting(fd, iov, count, -1);
}

static int setup(void **state)
{
	memset(&inject, 0, sizeof inject);
	blocked_now = 0;
	blocked_count = 0;
	return enter_scratch(state);
}

#define SOURCE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, leave_scratch)

/* ---- helpers ---- */

static struct bm_source *open_kind(const char *path, enum bm_entry_kind kind)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_source *s;
	struct bm_entry *e = bm_entry_create(kind, path, strlen(path), path, strlen(path));
	assert_non_null(e);
	if (bm_source_open(e, false, &test_blocker, &s, &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
	bm_entry_destroy(e); /* only borrowed */
	return s;
}

static struct bm_source *open_file(const char *path)
{
	return open_kind(path, BM_ENTRY_FILE);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void make_pattern(const char *path, size_t size)
{
	uint8_t *data = malloc(size + 1);
	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		data[i] = pattern(i);
	make_file_len(path, data, size);
	free(data);
}

/* Reads all in chunks of cap, which must all be full but the last; gives the number of chunks. */
static size_t read_all(struct bm_source *s, size_t cap, size_t size)
{
	uint8_t *buf = malloc(cap); /* exactly: the sanitizer sees a byte too many */
	size_t chunks = 0, at = 0;
	assert_non_null(buf);
	for (bool last = false, hole; !last; chunks++) {
		struct bm_error err = BM_ERROR_INIT;
		size_t len;
		if (bm_source_read(s, buf, cap, &len, &last, &hole, &test_blocker, &err) != BM_OK)
			fail_msg("%s: %s", err.where, err.text);
		assert_int_equal(blocked_now, 0);
		assert_true(last || len == cap);
		assert_false(hole);
		for (size_t i = 0; i < len; i++)
			if (buf[i] != pattern(at + i))
				fail_msg("byte %zu is wrong", at + i);
		at += len;
	}
	assert_int_equal(at, size);
	free(buf);
	return chunks;
}

static enum bm_status read_one(struct bm_source *s, size_t cap, size_t *len, bool *last, struct bm_error *err)
{
	uint8_t *buf = malloc(cap);
	bool hole;
	*err = (struct bm_error)BM_ERROR_INIT;
	enum bm_status status = bm_source_read(s, buf, cap, len, last, &hole, &test_blocker, err);
	assert_int_equal(blocked_now, 0);
	free(buf);
	return status;
}

static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 8193, 12288, 70000};

static void check_sizes(void)
{
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t want = sizes[i] ? (sizes[i] + 4095) / 4096 : 1;
		make_pattern("f", sizes[i]);
		struct bm_source *s = open_file("f");
		assert_int_equal(bm_source_stat(s)->st_size, sizes[i]);
		assert_true(bm_source_is_regular(s));
		assert_false(bm_source_is_sparse(s));
		assert_int_equal(read_all(s, 4096, sizes[i]), want);
		size_t len = 1;
		bool last = false;
		struct bm_error err;
		assert_int_equal(read_one(s, 10, &len, &last, &err), BM_OK); /* after the end: the end */
		assert_int_equal(len, 0);
		assert_true(last);
		bm_source_close(s);
	}
}

/* ---- tests ---- */

static void every_size(void **state)
{
	(void)state;
	check_sizes();
	assert_int_equal(inject.reads, 0); /* just written: all in the cache, so nothing waited */
	assert_int_equal(blocked_count, 0);
}

static void every_size_the_hard_way(void **state)
{
	(void)state;
	inject.most = 1000;
	inject.eintr = true;
	check_sizes();
	inject.nowait_errno = EAGAIN; /* cold */
	check_sizes();
	assert_true(blocked_count > 0);
	inject.nowait_errno = EOPNOTSUPP; /* a file system without it: found out once a source */
	inject.nowaits = 0;
	inject.eintr = false;
	make_pattern("f", 40960);
	struct bm_source *s = open_file("f");
	assert_int_equal(read_all(s, 4096, 40960), 10);
	assert_int_equal(inject.nowaits, 1);
	bm_source_close(s);
}

/* What has no disk behind it is read with the permit in hand, though tmpfs does not know RWF_NOWAIT. */
static void memory_needs_no_waiting(void **state)
{
	(void)state;
	SKIP_UNLESS_ROOT();
	assert_int_equal(mkdir("m", 0700), 0);
	MOUNT_TMPFS_OR_SKIP("m", "size=1m");
	inject.nowait_errno = EOPNOTSUPP; /* whatever this kernel's tmpfs says */
	make_pattern("m/f", 40960);
	struct bm_source *s = open_file("m/f");
	unsigned before = blocked_count; /* opening may wait */
	size_t chunks = read_all(s, 4096, 40960);
	bm_source_close(s);
	unsigned blocked = blocked_count - before;
	assert_int_equal(umount("m"), 0);
	assert_int_equal(chunks, 10);
	assert_int_equal(blocked, 0);
	assert_int_equal(inject.nowaits, 1);
}

static void an_error_is_final(void **state)
{
	(void)state;
	size_t len;
	bool last;
	struct bm_error err;
	make_pattern("f", 20000);
	inject.nowait_errno = EAGAIN;
	inject.read_errno = EIO;
	inject.read_after = 2;
	struct bm_source *s = open_file("f");
	assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_OK);
	assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_OK);
	assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EIO);
	assert_string_equal(err.where, "f");
	assert_non_null(strstr(err.text, "8192"));
	inject.read_errno = 0;
	assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_ERR_FAILED); /* no second chance */
	bm_source_close(s);
}

static void a_changing_file_is_told(void **state)
{
	(void)state;
	size_t len;
	bool last;
	struct bm_error err;
	for (int how = 0; how < 6; how++) {
		make_pattern("f", 10000);
		struct bm_source *s = open_file("f");
		assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_OK);
		int fd = open("f", O_WRONLY | O_CLOEXEC);
		const struct timespec when[2] = {{.tv_sec = 5}, {.tv_sec = 5}};
		const struct timespec old[2] = {bm_source_stat(s)->st_atim, bm_source_stat(s)->st_mtim};
		switch (how) {
		case 0:
			assert_int_equal(pwrite(fd, "x", 1, 10000), 1);
			break; /* grows */
		case 1:
			assert_int_equal(ftruncate(fd, 9999), 0);
			break;
		case 2:
			assert_int_equal(ftruncate(fd, 4096), 0);
			break; /* ends where a chunk does */
		case 3:
			assert_int_equal(ftruncate(fd, 0), 0);
			break;
		case 4:
			assert_int_equal(futimens(fd, when), 0);
			break;
		default: /* another content, mtime put back: ctime tells */
			assert_int_equal(pwrite(fd, "x", 1, 0), 1);
			assert_int_equal(futimens(fd, old), 0);
		}
		(void)close(fd);
		enum bm_status status = BM_OK;
		last = false;
		while (status == BM_OK && !last)
			status = read_one(s, 4096, &len, &last, &err);
		if (how != 5 || status != BM_OK) /* ctime has the clock's tick: 5 may fall into the same one */
			assert_int_equal(status, BM_ERR_CHANGED);
		assert_string_equal(err.where, "f");
		bm_source_close(s);
	}
	/* Empty at open, not empty when read. */
	make_file("f", "");
	struct bm_source *s = open_file("f");
	make_file("f", "new");
	assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_ERR_CHANGED);
	bm_source_close(s);
	/* One chunk, all read, and then it grows: only a check by hand can see that. */
	make_file("f", "abc");
	s = open_file("f");
	assert_int_equal(read_one(s, 4096, &len, &last, &err), BM_OK);
	assert_true(last);
	assert_int_equal(bm_source_check_unchanged(s, NULL), BM_OK);
	make_file("f", "abcd");
	assert_int_equal(bm_source_check_unchanged(s, &err), BM_ERR_CHANGED);
	bm_source_close(s);
}

static void pseudo_files(void **state)
{
	(void)state;
	size_t len;
	bool last;
	struct bm_error err;
	/* Size 0, and content all the same: in chunks of every size. */
	size_t whole = 0;
	for (size_t cap = 4096; cap > 0; cap /= 4) {
		struct bm_source *s = open_file("/proc/filesystems");
		size_t total = 0;
		do {
			assert_int_equal(read_one(s, cap, &len, &last, &err), BM_OK);
			assert_true(len == cap || last);
			assert_true(len > 0); /* the last chunk is never an extra empty one */
			total += len;
		} while (!last);
		assert_true(total > 20);
		assert_true(whole == 0 || whole == total);
		whole = total;
		bm_source_close(s);
	}
	/* Size 4096, a few bytes of content. */
	struct stat st;
	if (stat("/sys/kernel/mm/transparent_hugepage/enabled", &st) != 0 || st.st_size != 4096) {
		print_message("skipped: no sysfs here\n");
		return;
	}
	struct bm_source *s = open_file("/sys/kernel/mm/transparent_hugepage/enabled");
	assert_int_equal(read_one(s, 8192, &len, &last, &err), BM_OK);
	assert_true(len > 5 && len < 100);
	assert_true(last);
	bm_source_close(s);
}

struct writer {
	const char *path;
	size_t size, piece;
};

static void *write_slowly(void *arg)
{
	const struct writer *w = arg;
	int fd = open(w->path, O_WRONLY | O_CLOEXEC);
	for (size_t at = 0; at < w->size;) {
		uint8_t buf[5000];
		size_t n = w->size - at < w->piece ? w->size - at : w->piece;
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		ssize_t done = write(fd, buf, n);
		if (done < 0)
			break;
		at += (size_t)done;
		(void)sched_yield();
	}
	(void)close(fd);
	return NULL;
}

static void fifos(void **state)
{
	(void)state;
	const struct writer writers[] = {{"p", 0, 1},       {"p", 1, 1},       {"p", 300, 1},
	                                 {"p", 4096, 1024}, {"p", 8192, 5000}, {"p", 300000, 3777}};
	assert_int_equal(mkfifo("p", 0600), 0);
	for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
		pthread_t t;
		struct writer w = writers[i];
		assert_int_equal(pthread_create(&t, NULL, write_slowly, &w), 0);
		struct bm_source *s = open_kind("p", BM_ENTRY_STREAM);
		assert_false(bm_source_is_regular(s));
		assert_int_equal(read_all(s, 4096, w.size), w.size ? (w.size + 4095) / 4096 : 1);
		bm_source_close(s);
		assert_int_equal(pthread_join(t, NULL), 0);
	}
}

static void standard_input(void **state)
{
	(void)state;
	int saved = dup(STDIN_FILENO);
	int p[2];
	assert_int_equal(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0); /* non-blocking: EAGAIN must not be an error */
	assert_int_equal(dup2(p[0], STDIN_FILENO), STDIN_FILENO);
	struct bm_source *s = open_kind("-", BM_ENTRY_STREAM);
	assert_int_equal(bm_source_fd(s), STDIN_FILENO);
	uint8_t data[3000];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = pattern(i);
	assert_int_equal(write(p[1], data, sizeof data), sizeof data);
	(void)close(p[1]);
	assert_int_equal(read_all(s, 1000, sizeof data), 3);
	bm_source_close(s);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), 0); /* still open */
	/* A file there, with the position moved: read from where it stands, by whoever opened it. */
	make_file("f", "skipped:rest");
	int fd = open("f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(lseek(fd, 8, SEEK_SET), 8);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	s = open_kind("-", BM_ENTRY_STREAM);
	uint8_t buf[16];
	size_t len;
	bool last, hole;
	assert_int_equal(bm_source_read(s, buf, sizeof buf, &len, &last, &hole, NULL, NULL), BM_OK);
	assert_int_equal(len, 4);
	assert_memory_equal(buf, "rest", 4);
	assert_true(last);
	bm_source_close(s);
	(void)dup2(saved, STDIN_FILENO);
	(void)close(saved);
	(void)close(fd);
	(void)close(p[0]);
}

/* Nobody writes: without the cancel these would sleep for ever. */
static void a_cancel_ends_the_wait(void **state)
{
	(void)state;
	struct bm_blocker b = cancelled_blocker();
	struct bm_error err = BM_ERROR_INIT;
	struct bm_source *s;
	assert_int_equal(mkfifo("p", 0600), 0);
	struct bm_entry *e = bm_entry_create(BM_ENTRY_STREAM, "p", 1, "p", 1);
	(void)alarm(20);
	assert_int_equal(bm_source_open(e, false, &b, &s, &err), BM_ERR_CANCELLED);
	assert_null(s);
	int w = open("p", O_RDWR | O_CLOEXEC); /* a writer that stops after half a chunk */
	assert_int_equal(write(w, "half", 4), 4);
	assert_int_equal(bm_source_open(e, false, &test_blocker, &s, NULL), BM_OK);
	uint8_t buf[8];
	size_t len;
	bool last, hole;
	assert_int_equal(bm_source_read(s, buf, sizeof buf, &len, &last, &hole, &b, NULL), BM_ERR_CANCELLED);
	assert_int_equal(blocked_now, 0);
	(void)alarm(0);
	bm_source_close(s);
	bm_entry_destroy(e);
	(void)close(w);
	(void)close(b.cancel_fd);
}

static void holes_are_not_read(void **state)
{
	(void)state;
	const off_t size = (off_t)5 << 30, mark = (off_t)3 << 30;
	const size_t cap = (size_t)64 << 20;
	int fd = open("s", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ftruncate(fd, size) != 0) {
		print_message("skipped: no sparse files here\n");
		skip();
	}
	assert_int_equal(pwrite(fd, "data", 4, mark + 100), 4);
	struct bm_source *s = open_file("s");
	assert_true(bm_source_is_sparse(s));
	uint8_t *buf = malloc(cap);
	assert_non_null(buf);
	off_t at = 0;
	unsigned holes = 0;
	for (bool last = false, hole; !last;) {
		size_t len;
		memset(buf, 0xee, 200);
		assert_int_equal(bm_source_read(s, buf, cap, &len, &last, &hole, &test_blocker, NULL), BM_OK);
		if (at == mark) {
			assert_false(hole);
			assert_memory_equal(buf + 100, "data", 4);
		} else {
			assert_true(hole);
			assert_int_equal(buf[0], 0);
			assert_int_equal(buf[100], 0);
		}
		holes += hole;
		at += (off_t)len;
	}
	assert_int_equal(at, size);
	assert_int_equal(holes, 79);
	assert_true(inject.nowaits + inject.reads < 70); /* one chunk, not eighty */
	bm_source_close(s);
	free(buf);
	/* A hole at the very end, and a chunk that is half hole. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	(void)close(fd);
	s = open_file("s");
	uint8_t small[8192];
	size_t len, total = 0;
	for (bool last = false, hole; !last; total += len) {
		assert_int_equal(bm_source_read(s, small, sizeof small, &len, &last, &hole, NULL, NULL), BM_OK);
		assert_int_equal(hole, total > 0);
		assert_int_equal(small[0], total == 0 ? 'x' : 0);
		assert_int_equal(small[8191], 0);
	}
	assert_int_equal(total, 1 << 20);
	bm_source_close(s);
}

static void cannot_open(void **state)
{
	(void)state;
	struct bm_source *s;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_entry *e = bm_entry_create(BM_ENTRY_FILE, "n\x1b", 2, "n\x1b", 2);
	assert_int_equal(bm_source_open(e, false, &test_blocker, &s, &err), BM_ERR_SYSTEM);
	assert_null(s);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_null(strchr(err.where, 0x1b));
	bm_entry_destroy(e);
	make_dir("d");
	e = bm_entry_create(BM_ENTRY_FILE, "d", 1, "d", 1);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_source_open(e, false, &test_blocker, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EISDIR);
	bm_entry_destroy(e);
	/* An error entry gives its own error on. */
	struct bm_walk_root r = {.path = "missing"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	struct bm_walk *w;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	e = bm_walk_next(w, NULL);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_source_open(e, false, &test_blocker, &s, &err), BM_ERR_SYSTEM);
	assert_string_equal(err.text, e->error->text);
	bm_entry_destroy(e);
	bm_walk_destroy(w);
	bm_source_close(NULL);
	assert_int_equal(blocked_now, 0);
}

/* ---- reading while it is opened ---- */

static struct bm_entry *walk_to_file(void)
{
	struct bm_walk_root r = {.path = "t"};
	struct bm_walk_options o = {.roots = &r, .root_count = 1};
	struct bm_walk *w;
	assert_int_equal(bm_walk_create(&o, &w, NULL), BM_OK);
	struct bm_entry *e = bm_walk_next(w, NULL);
	assert_non_null(e);
	bm_walk_destroy(w);
	return e;
}

static struct bm_source *open_read(const struct bm_entry *e, uint8_t *buf, size_t cap, size_t *len, bool *last)
{
	struct bm_source *s;
	struct bm_error err = BM_ERROR_INIT;
	inject.stats = 0;
	if (bm_source_open_read(e, false, buf, cap, len, last, &test_blocker, &s, &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
	return s;
}

/* Whatever was read at once, the rest follows, and all is right. */
static void expect_rest(struct bm_source *s, const uint8_t *buf, size_t cap, size_t len, bool last, size_t size)
{
	uint8_t more[4096];
	size_t at = len;
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], pattern(i));
	while (!last) {
		bool hole;
		struct bm_error err = BM_ERROR_INIT;
		if (bm_source_read(s, more, cap, &len, &last, &hole, &test_blocker, &err) != BM_OK)
			fail_msg("%s: %s", err.where, err.text);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(more[i], pattern(at + i));
		at += len;
	}
	assert_int_equal(at, size);
	bm_source_close(s);
}

static void a_settled_file_takes_one_stat(void **state)
{
	(void)state;
	uint8_t buf[4096];
	make_dir("t");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t len, size = sizes[i];
		bool last;
		make_pattern("t/f", size);
		struct bm_entry *e = walk_to_file();
		inject.clock_ahead = 10;
		struct bm_source *s = open_read(e, buf, sizeof buf, &len, &last);
		inject.clock_ahead = 0;
		if (size > 0 && len == 0) {
			bm_source_close(s);
			bm_entry_destroy(e);
			print_message(
				"skipped: the file system of %s is none whose clock is ours, or does without a cache\n",
				scratch_dir);
			skip();
		}
		assert_int_equal(len, size < sizeof buf ? size : sizeof buf);
		assert_int_equal(last, size > 0 && size <= sizeof buf);
		assert_int_equal(inject.stats, 1);
		expect_rest(s, buf, sizeof buf, len, last, size);
		bm_entry_destroy(e);
	}
}

/* What is written within one tick of the clock has the same times twice. */
static void a_file_that_may_keep_its_times_is_not_settled(void **state)
{
	(void)state;
	struct timespec now;
	struct bm_source *s;
	bool same_tick = false, settled = true;
	for (unsigned i = 0; i < 1000 && !same_tick; i++) {
		make_file("f", "abc");
		s = open_file("f");
		settled = bm_source_is_settled(s);
		assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
		const struct stat *st = bm_source_stat(s);
		same_tick = now.tv_sec == st->st_ctim.tv_sec && now.tv_nsec == st->st_ctim.tv_nsec;
		bm_source_close(s);
	}
	if (!same_tick) {
		print_message("skipped: no file could be written and opened within one tick\n");
		skip();
	}
	assert_false(settled);
	/* Nor does it become so while it is open: it may have been written since. */
	s = open_file("f");
	settled = bm_source_is_settled(s);
	struct timespec tick = {0, 20000000};
	(void)nanosleep(&tick, NULL);
	assert_int_equal(bm_source_is_settled(s), settled);
	bm_source_close(s);
	inject.clock_ahead = 3;
	s = open_file("f");
	inject.clock_ahead = 0;
	assert_true(bm_source_is_settled(s));
	bm_source_close(s);
	/* A clock that was set back. */
	inject.clock_ahead = -3;
	s = open_file("f");
	inject.clock_ahead = 0;
	assert_false(bm_source_is_settled(s));
	bm_source_close(s);
}

static void a_source_goes_on_from_any_byte(void **state)
{
	(void)state;
	static const size_t from[] = {1, 4095, 4096, 99999, 0, 50000};
	size_t len;
	bool last;
	make_pattern("f", 100000);
	struct bm_source *s = open_file("f");
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		uint8_t buf[8192];
		struct bm_error err = BM_ERROR_INIT;
		bool hole;
		size_t at = from[i];
		bm_source_seek(s, at); /* also behind its end */
		do {
			if (bm_source_read(s, buf, sizeof buf, &len, &last, &hole, &test_blocker, &err) != BM_OK)
				fail_msg("%s: %s", err.where, err.text);
			for (size_t k = 0; k < len; k++)
				assert_int_equal(buf[k], pattern(at + k));
			at += len;
		} while (!last);
		assert_int_equal(at, 100000);
	}
	bm_source_close(s);
}

static void a_new_file_is_read_between_two_stats(void **state)
{
	(void)state;
	uint8_t buf[4096];
	size_t len;
	bool last;
	make_dir("t");
	make_pattern("t/f", 100);
	struct bm_entry *e = walk_to_file();
	struct bm_source *s = open_read(e, buf, sizeof buf, &len, &last);
	assert_int_equal(len, 0);
	expect_rest(s, buf, sizeof buf, len, last, 100);
	/* One was tried; the next in this directory is not. */
	inject.nowaits = 0;
	s = open_read(e, buf, sizeof buf, &len, &last);
	assert_int_equal(len, 0);
	assert_int_equal(inject.nowaits, 0);
	expect_rest(s, buf, sizeof buf, len, last, 100);
	bm_entry_destroy(e);
	/* Without a directory there is nobody to ask whose clock it is. */
	inject.clock_ahead = 10;
	e = bm_entry_create(BM_ENTRY_FILE, "t/f", 3, "t/f", 3);
	s = open_read(e, buf, sizeof buf, &len, &last);
	assert_int_equal(len, 0);
	expect_rest(s, buf, sizeof buf, len, last, 100);
	bm_entry_destroy(e);
}

static void write_same_size(void)
{
	make_pattern("t/f", 100);
}

static void write_longer(void)
{
	make_pattern("t/f", 5000);
}

static void write_shorter(void)
{
	make_pattern("t/f", 7);
}

/* Somebody writes between the read and the stat: what was read is worth nothing, and what is there now comes out. */
static void a_write_before_the_stat_is_seen(void **state)
{
	(void)state;
	static const struct {
		void (*act)(void);
		size_t size;
	} writers[] = {{write_same_size, 100}, {write_longer, 5000}, {write_shorter, 7}};
	make_dir("t");
	for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
		uint8_t buf[4096];
		size_t len;
		bool last;
		char old[100];
		memset(old, 'o', sizeof old);
		make_file_len("t/f", old, sizeof old);
		struct bm_entry *e = walk_to_file();
		inject.clock_ahead = 10;
		inject.changed_now = true;
		inject.before_stat = writers[i].act;
		struct bm_source *s = open_read(e, buf, sizeof buf, &len, &last);
		assert_int_equal(len, 0);
		inject.changed_now =
			false; /* the clock of this test is not the file system's: let the two stats agree */
		((struct stat *)(uintptr_t)bm_source_stat(s))->st_ctim = inject.ctim;
		expect_rest(s, buf, sizeof buf, len, last, writers[i].size);
		bm_entry_destroy(e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOURCE_TEST(every_size),
		SOURCE_TEST(every_size_the_hard_way),
		SOURCE_TEST(memory_needs_no_waiting),
		SOURCE_TEST(an_error_is_final),
		SOURCE_TEST(a_changing_file_is_told),
		SOURCE_TEST(pseudo_files),
		SOURCE_TEST(fifos),
		SOURCE_TEST(standard_input),
		SOURCE_TEST(holes_are_not_read),
		SOURCE_TEST(a_cancel_ends_the_wait),
		SOURCE_TEST(cannot_open),
		SOURCE_TEST(a_settled_file_takes_one_stat),
		SOURCE_TEST(a_file_that_may_keep_its_times_is_not_settled),
		SOURCE_TEST(a_source_goes_on_from_any_byte),
		SOURCE_TEST(a_new_file_is_read_between_two_stats),
		SOURCE_TEST(a_write_before_the_stat_is_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
