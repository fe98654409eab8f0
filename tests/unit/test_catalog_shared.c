/* The catalog beside other processes, in batches, without room, and where it may not be written. */
#include <pthread.h>
#include <sys/mount.h>

#include "catalog_test.h"

#include "bm_catalog_runs.h"
#include "catalog_internal.h"

/* ---- other processes ---- */

struct holder {
	pid_t pid;
	int say; /* close it to end the child */
};

/* A process that has done this to the database, and sits there. */
static struct holder hold(const char *sql)
{
	struct holder h;
	int ready[2], leave[2];
	char c = 0;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(leave), 0);
	h.pid = fork();
	if (h.pid == 0) {
		sqlite3 *db = NULL;

		(void)close(leave[1]);
		if (sqlite3_open("state/" BM_CATALOG_FILE, &db) != SQLITE_OK ||
		    sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK || write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)read(leave[0], &c, 1);
		sqlite3_close(db);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	(void)close(leave[0]);
	h.say = leave[1];
	return h;
}

static void let_go(struct holder h)
{
	(void)close(h.say);
	assert_child(h.pid);
}

static void test_locked(void **state)
{
	struct bm_catalog_options opt = {.dir = "state", .busy_ms = 30};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_root r;
	struct bm_catalog *c;
	struct holder h;

	(void)state;
	close_catalog(open_catalog());
	h = hold("BEGIN EXCLUSIVE");
	assert_refused(&opt, BM_ERR_SYSTEM, "state/" BM_CATALOG_FILE, "another process has had the catalog locked");
	let_go(h);

	/* What is written at once fails by itself, and goes well later. */
	c = open_catalog_with(&opt);
	h = hold("BEGIN IMMEDIATE");
	assert_int_equal(bm_catalog_root_add(c, "/r", 2, NULL, 1, &r, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EBUSY);
	assert_non_null(strstr(err.text, "another process has had the catalog locked"));
	let_go(h);
	assert_int_equal(add_root(c, "/r"), 1);
	put_file(c, 1, "before", 1); /* from here on its algorithm is known, and a put only queues */
	close_catalog(c);

	/* What is queued: the first error is final, and told by all that follows. Reading goes on. */
	c = open_catalog_with(&opt);
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f = NULL;
	int64_t id;
	assert_ok(catalog_algorithm_id(c, "sha256", &id, &err), &err);
	h = hold("BEGIN IMMEDIATE");
	put_file(c, 1, "a", 1);
	bm_error_clear(&err);
	assert_int_equal(bm_catalog_flush(c, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EBUSY);
	let_go(h);
	bm_error_clear(&err);
	assert_int_equal(bm_catalog_file_delete(c, 1, "a", 1, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EBUSY);
	assert_int_equal(bm_catalog_root_set_audited(c, 1, 7, NULL), BM_ERR_SYSTEM);
	assert_string_equal(err.where, "state/" BM_CATALOG_FILE);
	assert_int_equal(bm_catalog_files_open(c, 1, NULL, 0, &files, NULL), BM_OK);
	assert_int_equal(bm_catalog_files_next(files, &f, NULL), BM_OK);
	assert_non_null(f);
	assert_string_equal(f->path, "before");
	assert_int_equal(bm_catalog_files_next(files, &f, NULL), BM_OK);
	assert_null(f);
	bm_catalog_files_close(files);
	assert_int_equal(bm_catalog_close(c, &err), BM_ERR_SYSTEM);

	/* A lock that is let go in time is waited for. */
	c = open_catalog();
	assert_ok(catalog_algorithm_id(c, "sha256", &id, &err), &err);
	h = hold("BEGIN IMMEDIATE");
	put_file(c, 1, "a", 1);
	let_go(h);
	flush_catalog(c);
	/* One that only reads holds up nobody's reading, but his commit. */
	h = hold("BEGIN; SELECT count(*) FROM files");
	assert_int_equal(bm_catalog_files_open(c, 1, NULL, 0, &files, NULL), BM_OK);
	assert_int_equal(bm_catalog_files_next(files, &f, NULL), BM_OK);
	assert_non_null(f);
	bm_catalog_files_close(files);
	let_go(h);
	close_catalog(c);
}

/* A cursor that is open, and a queue that is not full, keep nobody out. */
static void test_holds_no_lock(void **state)
{
	struct bm_catalog *c;
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f;

	(void)state;
	c = open_catalog_with(&(struct bm_catalog_options){.dir = "state", .batch_ms = 3600000});
	for (unsigned i = 0; i < 2000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%04u", i);
		put_file(c, 1, name, i);
	}
	assert_int_equal(bm_catalog_files_open(c, 1, NULL, 0, &files, NULL), BM_OK);
	assert_int_equal(bm_catalog_files_next(files, &f, NULL), BM_OK);
	assert_non_null(f);
	put_file(c, 1, "x", 1);
	sqlite3 *db = open_raw("state/" BM_CATALOG_FILE); /* waits for nobody */
	raw_exec(db, "BEGIN EXCLUSIVE; DELETE FROM files WHERE path = CAST('1999' AS BLOB); COMMIT");
	sqlite3_close(db);
	unsigned n = 1; /* without "x", which may be on the disk by now */
	while (bm_catalog_files_next(files, &f, NULL) == BM_OK && f != NULL)
		n += f->path_len == 4 ? 1 : 0;
	bm_catalog_files_close(files);
	assert_int_equal(n, 1999);
	close_catalog(c);
	assert_int_equal(ask("SELECT count(*) FROM files"), 2000);
}

static void test_moved_away(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c = NULL;

	(void)state;
	c = open_catalog();
	put_file(c, 1, "a", 1);
	flush_catalog(c);
	assert_int_equal(rename("state/" BM_CATALOG_FILE, "state/old"), 0);
	put_file(c, 1, "b", 1);
	assert_int_equal(bm_catalog_flush(c, &err), BM_ERR_FAILED);
	assert_non_null(strstr(err.text, "moved or removed while it was in use"));
	assert_int_equal(bm_catalog_close(c, NULL), BM_ERR_FAILED);
}

/* ---- batches ---- */

static int64_t files_in_database(void)
{
	return ask("SELECT count(*) FROM files");
}

static bool waits_for_files(int64_t want)
{
	struct timespec nap = {0, 2000000};

	for (int i = 0; i < 5000; i++) { /* up to 10 s; then the test fails */
		if (files_in_database() >= want)
			return true;
		(void)nanosleep(&nap, NULL);
	}
	return false;
}

static void test_batches(void **state)
{
	struct bm_catalog *c;

	(void)state;
	/* By number: nothing before, all then, with nobody asking. */
	c = open_catalog_with(&(struct bm_catalog_options){.dir = "state", .batch_ms = 3600000, .batch_count = 100});
	for (unsigned i = 0; i < 99; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%u", i);
		put_file(c, 1, name, i);
	}
	assert_int_equal(files_in_database(), 0);
	put_file(c, 1, "last", 1);
	assert_true(waits_for_files(100));
	/* By flush. */
	put_file(c, 1, "more", 1);
	assert_int_equal(files_in_database(), 100);
	flush_catalog(c);
	assert_int_equal(files_in_database(), 101);
	flush_catalog(c);
	/* By close. */
	put_file(c, 1, "still more", 1);
	close_catalog(c);
	assert_int_equal(files_in_database(), 102);
	/* By time. */
	c = open_catalog_with(&(struct bm_catalog_options){.dir = "state", .batch_ms = 20});
	put_file(c, 1, "by time", 1);
	assert_true(waits_for_files(103));
	put_file(c, 1, "by time again", 1);
	assert_true(waits_for_files(104));
	close_catalog(c);
	assert_int_equal(bm_catalog_close(NULL, NULL), BM_OK);
}

/* More than may wait: the callers wait instead, and memory stays bounded. */
static void test_bounded(void **state)
{
	struct bm_catalog *c;
	char *name = malloc(4001);
	sqlite3_int64 highest = 0, now = 0;

	(void)state;
	assert_non_null(name);
	memset(name, 'n', 4000);
	name[4000] = '\0';
	c = open_catalog();
	assert_int_equal(sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &now, &highest, 1), SQLITE_OK);
	for (unsigned i = 0; i < 10000; i++) { /* 40 MB */
		char number[16];

		(void)snprintf(number, sizeof(number), "%05u", i);
		memcpy(name, number, 5);
		put_file(c, 1, name, i);
		pthread_mutex_lock(&c->queue.lock);
		size_t waiting = c->queue.front.len;
		pthread_mutex_unlock(&c->queue.lock);
		assert_true(waiting < ((size_t)7 << 20));
	}
	close_catalog(c);
	assert_int_equal(sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &now, &highest, 0), SQLITE_OK);
	if (highest > 24 << 20)
		fail_msg("SQLite used %lld bytes", (long long)highest);
	assert_int_equal(files_in_database(), 10000);
	free(name);
}

/* ---- no thread ---- */

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
static bool no_threads;

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(t, a, f, arg);
}

static void test_no_thread(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c;
	sigset_t before, after;

	(void)state;
	c = open_catalog();
	no_threads = true;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(bm_catalog_file_delete(c, 1, "a", 1, &err), BM_ERR_SYSTEM);
	no_threads = false;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < 32; i++)
		assert_int_equal(sigismember(&before, i), sigismember(&after, i));
	assert_int_equal(err.sys_errno, EAGAIN);
	assert_non_null(strstr(err.text, "no thread can be started that writes it"));
	/* It was not queued, so nothing is lost: the next one tries again. */
	put_file(c, 1, "a", 1);
	close_catalog(c);
	assert_int_equal(files_in_database(), 1);
}

/* ---- full and read-only ---- */

/* Fills the catalog until it fails; what had been flushed before is all there. */
static void fill_up(struct bm_catalog *c)
{
	struct bm_error err = BM_ERROR_INIT;
	uint8_t digest[32];
	unsigned flushed = 0, i = 0;
	enum bm_status status = BM_OK;

	while (status == BM_OK && i < 1000000) {
		char name[32];

		(void)snprintf(name, sizeof(name), "file-%08u", i);
		struct bm_catalog_file f = make_row(name, i, digest);
		status = bm_catalog_file_put(c, 1, &f, NULL, &err);
		i++;
		if (status == BM_OK && i % 512 == 0) {
			status = bm_catalog_flush(c, &err);
			flushed = status == BM_OK ? i : flushed;
		}
	}
	assert_int_equal(status, BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_non_null(strstr(err.text, "no space is left for the catalog"));
	/* It can still be read, and has what it had. */
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f;
	unsigned n = 0;
	bm_error_clear(&err);
	assert_ok(bm_catalog_files_open(c, 1, NULL, 0, &files, &err), &err);
	while (bm_catalog_files_next(files, &f, &err) == BM_OK && f != NULL)
		n++;
	assert_int_equal(err.status, BM_OK);
	bm_catalog_files_close(files);
	assert_int_equal(n, flushed);
	assert_ok(bm_catalog_check(c, true, &err), &err);
	assert_int_equal(bm_catalog_close(c, NULL), BM_ERR_SYSTEM);
}

static void test_full_by_pages(void **state)
{
	struct bm_catalog *c;

	(void)state;
	c = open_catalog();
	assert_int_equal(sqlite3_exec(c->db, "PRAGMA max_page_count=100", NULL, NULL, NULL), SQLITE_OK);
	fill_up(c);
	close_catalog(open_catalog());
}

static void test_full_disk(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c = NULL;

	(void)state;
	assert_int_equal(mkdir("state", 0700), 0);
	if (mount("tmpfs", "state", "tmpfs", 0, "size=1m") != 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
	c = open_catalog();
	struct bm_catalog_run *run = NULL;
	assert_ok(bm_catalog_run_begin(c, "r", "run", 1, 1, &run, &err), &err);
	bm_catalog_run_abandon(run);
	fill_up(c);
	/* Not a byte is free: it opens all the same, though the run that was interrupted cannot be noted. */
	int fd = open("state/ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char block[4096] = {1};
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	(void)close(fd);
	c = open_catalog();
	close_catalog(c);
	assert_int_equal(ask("SELECT state FROM runs"), BM_CATALOG_RUN_RUNNING);
	int64_t had = files_in_database();
	/* And with room again it goes on. */
	assert_int_equal(mount(NULL, "state", NULL, MS_REMOUNT, "size=2m"), 0);
	c = open_catalog();
	put_file(c, 1, "a", 1);
	close_catalog(c);
	assert_int_equal(files_in_database(), had + 1);
	assert_int_equal(ask("SELECT state FROM runs"), BM_CATALOG_RUN_INTERRUPTED);
	assert_int_equal(umount("state"), 0);

	/* No room even for a new one. */
	if (mount("tmpfs", "state", "tmpfs", 0, "size=12k") == 0) {
		assert_refused(&in_state, BM_ERR_SYSTEM, "state/" BM_CATALOG_FILE, "no space is left for the catalog");
		assert_int_equal(umount("state"), 0);
	}
	if (mount("tmpfs", "state", "tmpfs", 0, "size=1m,nr_inodes=1") == 0) {
		assert_refused(&in_state, BM_ERR_SYSTEM, "state/" BM_CATALOG_FILE,
		               "the catalog cannot be made: No space left on device");
		assert_int_equal(umount("state"), 0);
	}
}

static void test_read_only(void **state)
{
	struct bm_catalog *c;

	(void)state;
	c = open_catalog();
	put_file(c, add_root(c, "/r"), "a", 1);
	close_catalog(c);
	pid_t pid = fork();
	if (pid == 0) { /* as a user who may read all and write nothing */
		struct bm_error err = BM_ERROR_INIT;
		struct bm_catalog_root r;
		bool found = false;

		if (chmod(".", 0755) != 0 || chmod("state", 0555) != 0 || chmod("state/" BM_CATALOG_FILE, 0444) != 0 ||
		    chmod("state/" BM_CATALOG_FILE "-journal", 0444) != 0 ||
		    chmod("state/" BM_CATALOG_RUNS_FILE, 0444) != 0 || (geteuid() == 0 && setuid(65534) != 0))
			_exit(2);
		if (bm_catalog_open(&in_state, &c, &err) != BM_OK ||
		    bm_catalog_root_find(c, "/r", 2, &r, &found, &err) != BM_OK || !found) {
			(void)fprintf(stderr, "%s: %s\n", err.where, err.text);
			_exit(3);
		}
		bm_catalog_root_fini(&r);
		if (bm_catalog_root_add(c, "/s", 2, NULL, 1, &r, &err) != BM_ERR_SYSTEM || err.sys_errno != EACCES ||
		    strstr(err.text, "read-only") == NULL) {
			(void)fprintf(stderr, "%s: %s\n", err.where, err.text);
			_exit(4);
		}
		_exit(bm_catalog_close(c, NULL) == BM_OK ? 0 : 5);
	}
	assert_child(pid);
	assert_int_equal(chmod("state", 0755), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CATALOG_TEST(test_locked),        CATALOG_TEST(test_holds_no_lock), CATALOG_TEST(test_moved_away),
		CATALOG_TEST(test_batches),       CATALOG_TEST(test_bounded),       CATALOG_TEST(test_no_thread),
		CATALOG_TEST(test_full_by_pages), CATALOG_TEST(test_full_disk),     CATALOG_TEST(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
