/* catalog_test.h - what the tests of src/catalog share: a scratch directory, an open catalog, made-up files. */
#ifndef CATALOG_TEST_H
#define CATALOG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bm_catalog.h"
#include "bm_catalog_files.h"
#include "bm_error.h"

static char scratch_dir[64];

/* Every test runs in an empty directory of its own, which is the working directory. */
static inline int enter_scratch(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	(void)snprintf(scratch_dir, sizeof(scratch_dir), "%.40s/bm-cat-XXXXXX", base != NULL ? base : "/tmp");
	return mkdtemp(scratch_dir) != NULL && chdir(scratch_dir) == 0 ? 0 : -1;
}

static inline int leave_scratch(void **state)
{
	char command[128];

	(void)state;
	if (chdir("/") != 0)
		return -1;
	(void)snprintf(command, sizeof(command), "rm -rf -- '%s'", scratch_dir);
	return system(command) == 0 ? 0 : -1;
}

#define CATALOG_TEST(name) cmocka_unit_test_setup_teardown(name, enter_scratch, leave_scratch)

/* Fails the test with the error's text. */
#define assert_ok(status, err)                                                                                         \
	do {                                                                                                           \
		if ((status) != BM_OK)                                                                                 \
			fail_msg("%s: %s: %s", #status, (err)->where, (err)->text);                                    \
	} while (0)

static const struct bm_catalog_options in_state = {.dir = "state"};

static inline struct bm_catalog *open_catalog_with(const struct bm_catalog_options *opt)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c = NULL;

	assert_ok(bm_catalog_open(opt, &c, &err), &err);
	assert_non_null(c);
	return c;
}

static inline struct bm_catalog *open_catalog(void)
{
	return open_catalog_with(&in_state);
}

static inline void close_catalog(struct bm_catalog *c)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_ok(bm_catalog_close(c, &err), &err);
}

static inline void flush_catalog(struct bm_catalog *c)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_ok(bm_catalog_flush(c, &err), &err);
}

static inline int64_t add_root(struct bm_catalog *c, const char *path)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_root r;

	assert_ok(bm_catalog_root_add(c, path, strlen(path), NULL, 1, &r, &err), &err);
	int64_t id = r.id;
	bm_catalog_root_fini(&r);
	return id;
}

/* A file made from a number; path has to stay. */
static inline struct bm_catalog_file make_row(const char *path, uint64_t n, uint8_t digest[static 32])
{
	for (size_t i = 0; i < 32; i++)
		digest[i] = (uint8_t)((n + 1) * 2654435761u >> (i % 4 * 8)) ^ (uint8_t)i;
	return (struct bm_catalog_file){
		.path = path,
		.path_len = strlen(path),
		.size = n * 1000,
		.mtime_ns = 1700000000000000000 + (int64_t)n,
		.ctime_ns = 1700000000500000000 + (int64_t)n,
		.inode = 100 + n,
		.algorithm = "sha256",
		.digest = digest,
		.digest_len = 32,
		.first_seen_ns = 5,
		.verified_ns = (int64_t)n * 10,
		.how = BM_CATALOG_HASHED,
	};
}

static inline void put_file(struct bm_catalog *c, int64_t root, const char *path, uint64_t n)
{
	struct bm_error err = BM_ERROR_INIT;
	uint8_t digest[32];
	struct bm_catalog_file f = make_row(path, n, digest);

	assert_ok(bm_catalog_file_put(c, root, &f, NULL, &err), &err);
}

/* The whole file, malloc'ed; *len bytes. */
static inline char *slurp(const char *path, size_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		fail_msg("cannot open %s: %s", path, strerror(errno));
	char *data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	*len = 0;
	for (ssize_t n; (n = read(fd, data + *len, (size_t)st.st_size - *len)) > 0;)
		*len += (size_t)n;
	assert_int_equal(*len, st.st_size);
	(void)close(fd);
	return data;
}

static inline void spew(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

/* Another program's view: a connection of its own. */
static inline sqlite3 *open_raw(const char *path)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 10000);
	return db;
}

static inline void raw_exec(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
}

static inline int64_t raw_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	int64_t v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return v;
}

/* One number out of the catalog in ./state, by a connection of its own. */
static inline int64_t ask(const char *sql)
{
	sqlite3 *db = open_raw("state/" BM_CATALOG_FILE);
	int64_t v = raw_number(db, sql);

	sqlite3_close(db);
	return v;
}

static inline void tell(const char *sql)
{
	sqlite3 *db = open_raw("state/" BM_CATALOG_FILE);

	raw_exec(db, sql);
	sqlite3_close(db);
}

/* Opening fails so, and says this of that file. */
static inline void assert_refused(const struct bm_catalog_options *opt, enum bm_status want, const char *where,
                                  const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog *c = (struct bm_catalog *)&err;

	assert_int_equal(bm_catalog_open(opt, &c, &err), want);
	assert_null(c);
	assert_int_equal(err.status, want);
	assert_string_equal(err.where, where);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

/* Waits for a child that exits with 0. */
static inline void assert_child(pid_t pid)
{
	int how = 0;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &how, 0), pid);
	assert_true(WIFEXITED(how));
	assert_int_equal(WEXITSTATUS(how), 0);
}

#endif
