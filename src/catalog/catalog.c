/*
 * catalog.c - opening, making and closing the catalog.
 *
 * THE PARTS. statements.c is the connection to SQLite: one for each open catalog, in serial use under catalog.lock.
 * Files, done records and the like come by the thousand a second from all threads, and a transaction costs a disk some
 * fsyncs; so those writes are queued (queue.c) and a thread of its own puts them into the database in batches. The
 * queue holds statements and their parameters, not transactions: while nothing is written, no lock is held on the
 * database, so two jobs that run at the same time share one catalog without getting in each other's way. Reading goes
 * page by page for the same reason (pager.c).
 *
 * WHY A ROLLBACK JOURNAL. Before SQLite 3.51.3 a database in WAL mode can be corrupted by two connections that
 * checkpoint at the same time; Debian 12 has 3.40. A rollback journal has no such mode of failure, works on network file
 * systems as far as locks do, and with batches its cost is a few fsyncs each half second. It is truncated, not
 * deleted: that spares the fsync of the directory. synchronous is FULL: a transaction that was reported as written is
 * there after a power cut.
 *
 * MAKING THE FILE. SQLite would make it readable for everybody, so it is made here, with mode 0600, under a temporary
 * name, and linked to its own. It must not be opened by its own name with open(2), not even to read its first bytes:
 * closing any descriptor of a file drops all POSIX locks that this process has on it, those of SQLite in another open
 * catalog too. Whether it is a database is therefore left to SQLite to find out; it reads before it writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

#define DEFAULT_BUSY_MS 30000
#define DEFAULT_BATCH_MS 500
#define DEFAULT_BATCH_COUNT 8192

int64_t bm_catalog_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the directory ---- */

static enum bm_status home_of_user(struct bm_buf *out, struct bm_error *err)
{
	const char *home = getenv("HOME"); // NOLINT(concurrency-mt-unsafe)
	struct passwd entry, *found = NULL;
	char buf[4096];

	if (home == NULL || home[0] != '/') {
		if (getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) != 0 || found == NULL ||
		    entry.pw_dir[0] != '/')
			return bm_error_set(
				err, BM_ERR_FAILED, NULL,
				"this user has no home directory for the catalog to lie in: set HOME, or say "
				"where with --state");
		home = entry.pw_dir;
	}
	bm_buf_puts(out, home);
	return BM_OK;
}

enum bm_status bm_catalog_default_dir(char **out, struct bm_error *err)
{
	const char *state = getenv("XDG_STATE_HOME"); // NOLINT(concurrency-mt-unsafe)
	struct bm_buf b = {0};
	enum bm_status status = BM_OK;

	*out = NULL;
	if (geteuid() == 0) {
		bm_buf_puts(&b, "/var/lib/bytemill");
	} else if (state != NULL && state[0] == '/') { /* the XDG specification wants others passed over */
		bm_buf_puts(&b, state);
		bm_buf_puts(&b, "/bytemill");
	} else {
		status = home_of_user(&b, err);
		bm_buf_puts(&b, "/.local/state/bytemill");
	}
	if (status == BM_OK && b.oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		*out = bm_buf_take(&b);
	bm_buf_fini(&b);
	return status;
}

/* mkdir -p, with mode 0700 for all that is missing. The first component that cannot be made says why. */
static enum bm_status make_dir(const char *dir, struct bm_error *err)
{
	size_t len = strlen(dir);
	char *path = bm_memdup0(dir, len);
	char where[512];
	int code = 0;
	struct stat st;

	if (path == NULL)
		return bm_error_set_nomem(err);
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		for (size_t i = 1; code == 0 && i <= len; i++) {
			if (dir[i] != '/' && dir[i] != '\0')
				continue;
			path[i] = '\0';
			if (mkdir(path, 0700) != 0 && (errno != EEXIST || i == len) &&
			    (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
				code = errno == ENOENT && i == len ? ENOTDIR : errno;
			path[i] = dir[i];
		}
	}
	free(path);
	if (code == 0)
		return BM_OK;
	return bm_error_set_errno(err, code, bm_escape_display_buf(where, sizeof(where), dir, len),
	                          "the directory for the catalog cannot be made");
}

/* ---- the file ---- */

static enum bm_status make_file(struct bm_catalog *c, struct bm_error *err)
{
	struct bm_buf name = {0};
	char where[512];
	int fd, code = 0;

	bm_buf_printf(&name, "%s/.bytemill-catalog-XXXXXX", c->dir);
	if (name.oom) {
		bm_buf_fini(&name);
		return bm_error_set_nomem(err);
	}
	fd = mkostemp(name.data, O_CLOEXEC); /* 0600 */
	if (fd < 0) {
		code = errno;
	} else {
		if (close(fd) != 0 || (link(name.data, c->path) != 0 && errno != EEXIST))
			code = errno;
		(void)unlink(name.data);
	}
	bm_buf_fini(&name);
	if (code == 0)
		return BM_OK;
	return bm_error_set_errno(err, code, catalog_where(c, where), "the catalog cannot be made");
}

static enum bm_status find_file(struct bm_catalog *c, struct bm_error *err)
{
	struct stat st;
	char where[512];
	enum bm_status status;

	if (stat(c->path, &st) != 0) {
		if (errno != ENOENT)
			return bm_error_set_errno(err, errno, catalog_where(c, where), "the catalog cannot be opened");
		if (c->opt.must_exist)
			return bm_error_set_errno(err, ENOENT, catalog_where(c, where), "there is no catalog here yet");
		status = make_dir(c->dir, err);
		return status == BM_OK ? make_file(c, err) : status;
	}
	if (!S_ISREG(st.st_mode)) /* SQLite would wait for ever for a FIFO */
		return bm_error_set(err, BM_ERR_FORMAT, catalog_where(c, where),
		                    "this is no regular file, so it cannot be the catalog");
	if (st.st_size == 1) /* SQLite takes that for an empty one */
		return catalog_sqlite_error(c, NULL, SQLITE_NOTADB, "the catalog cannot be opened", err);
	return BM_OK;
}

/* ---- the connection ---- */

static enum bm_status set_up(struct bm_catalog *c, struct bm_error *err)
{
	int known = catalog_schema_version(), version = 0;
	int rc = sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	enum bm_status status;

	if (rc != SQLITE_OK)
		return catalog_sqlite_error(c, c->db, rc, "the catalog cannot be opened", err);
	(void)sqlite3_extended_result_codes(c->db, 1);
	(void)sqlite3_busy_timeout(c->db, c->opt.busy_ms > INT_MAX ? INT_MAX : (int)c->opt.busy_ms);
	/* A file that somebody tampered with must not run what is in its schema. */
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	rc = catalog_queued_register(c);
	if (rc != SQLITE_OK)
		return catalog_sqlite_error(c, c->db, rc, "the catalog cannot be opened", err);
	status = catalog_schema_look(c, known, &version, err);
	if (status != BM_OK)
		return status;
	rc = sqlite3_exec(
		c->db,
		"PRAGMA page_size=4096;" /* of a new one only */
		"PRAGMA cache_size=-16384;"
		"PRAGMA temp_store=MEMORY;" /* what is sorted here is bounded, and a sandbox has no /var/tmp */
		"PRAGMA mmap_size=0;"       /* a read error must be an error, not a signal */
		"PRAGMA secure_delete=OFF;" /* Debian's default is ON: each page that is freed is written once more */
		"PRAGMA cell_size_check=ON;"
		"PRAGMA synchronous=FULL;"
		"PRAGMA journal_mode=TRUNCATE",
		NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return catalog_sqlite_error(c, c->db, rc, "the catalog cannot be opened", err);
	c->version = known;
	if (version < known)
		status = catalog_migrate(c, catalog_migrations, known, err);
	return status;
}

static bool make_names(struct bm_catalog *c, const char *dir)
{
	struct bm_buf path = {0}, runs = {0};

	bm_buf_printf(&path, "%s/%s", dir, BM_CATALOG_FILE);
	bm_buf_printf(&runs, "%s/%s", dir, "runs.lock");
	c->dir = bm_memdup0(dir, strlen(dir));
	c->path = path.oom ? NULL : bm_buf_take(&path);
	c->runs_path = runs.oom ? NULL : bm_buf_take(&runs);
	bm_buf_fini(&path);
	bm_buf_fini(&runs);
	return c->dir != NULL && c->path != NULL && c->runs_path != NULL;
}

static void destroy(struct bm_catalog *c)
{
	for (size_t i = 0; i < SQL_COUNT; i++)
		(void)sqlite3_finalize(c->statements[i]);
	(void)sqlite3_close(c->db);
	catalog_live_fini(c);
	for (size_t i = 0; i < CATALOG_ALGORITHMS_MAX; i++)
		free(c->algorithms[i]);
	free(c->dir);
	free(c->path);
	free(c->runs_path);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->algorithms_lock);
	free(c);
}

enum bm_status bm_catalog_open(const struct bm_catalog_options *opt, struct bm_catalog **out, struct bm_error *err)
{
	static const struct bm_catalog_options none;
	struct bm_catalog *c = NULL;
	char *default_dir = NULL;
	const char *dir;
	bool has_queue = false;
	enum bm_status status = BM_OK;

	*out = NULL;
	if (opt == NULL)
		opt = &none;
	dir = opt->dir;
	if (dir == NULL) {
		status = bm_catalog_default_dir(&default_dir, err);
		if (status != BM_OK)
			return status;
		dir = default_dir;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		free(default_dir);
		return bm_error_set_nomem(err);
	}
	pthread_mutexattr_t recursive;
	(void)pthread_mutexattr_init(&recursive); /* none of these takes anything on Linux that could be lacking */
	(void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&c->lock, &recursive);
	(void)pthread_mutexattr_destroy(&recursive);
	(void)pthread_mutex_init(&c->algorithms_lock, NULL);
	c->opt = *opt;
	c->opt.dir = NULL;
	c->opt.busy_ms = opt->busy_ms != 0 ? opt->busy_ms : DEFAULT_BUSY_MS;
	c->opt.batch_ms = opt->batch_ms != 0 ? opt->batch_ms : DEFAULT_BATCH_MS;
	c->opt.batch_count = opt->batch_count != 0 ? opt->batch_count : DEFAULT_BATCH_COUNT;
	c->runs_fd = -1;
	if (!make_names(c, dir)) {
		status = bm_error_set_nomem(err);
		goto out;
	}
	status = find_file(c, err);
	if (status == BM_OK)
		status = set_up(c, err);
	if (status == BM_OK)
		status = catalog_queue_init(c, err);
	if (status != BM_OK)
		goto out;
	has_queue = true;
	catalog_live_init(c);
	status = catalog_live_sweep(c, err);
out:
	free(default_dir);
	if (status != BM_OK) {
		if (has_queue)
			catalog_queue_fini(c);
		destroy(c);
		return status;
	}
	*out = c;
	return BM_OK;
}

enum bm_status bm_catalog_close(struct bm_catalog *c, struct bm_error *err)
{
	if (c == NULL)
		return BM_OK;
	enum bm_status status = bm_catalog_flush(c, err);
	catalog_queue_fini(c);
	destroy(c);
	return status;
}

const char *bm_catalog_path(const struct bm_catalog *c)
{
	return c->path;
}

enum bm_status bm_catalog_check(struct bm_catalog *c, bool deep, struct bm_error *err)
{
	sqlite3_stmt *s = NULL;
	char where[512];
	enum bm_status status = BM_OK;

	catalog_settle(c);
	pthread_mutex_lock(&c->lock);
	int rc = sqlite3_prepare_v2(c->db, deep ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)", -1, &s, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);
		if (text == NULL)
			status = bm_error_set_nomem(err);
		else if (strcmp(text, "ok") != 0)
			status = bm_error_set(
				err, BM_ERR_FORMAT, catalog_where(c, where),
				"the catalog is damaged: %s; put back a copy, or move it away, then a new one is "
				"made and all files count as new",
				text);
	} else {
		status = catalog_sqlite_error(c, c->db, rc, "it cannot be read", err);
	}
	(void)sqlite3_finalize(s);
	pthread_mutex_unlock(&c->lock);
	return status;
}
