/*
 * statements.c - the connection: the text of every statement, statements prepared once, rows copied out, transactions,
 * and what SQLite's errors mean.
 *
 * A statement is never left half read: its rows are copied while the lock is held, and it is reset before that is given
 * up. So no lock on the database outlives a call, and no other process waits for a caller who takes his time.
 */
#include <errno.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

#define FILE_COLUMNS                                                                                                       \
	"path, size, mtime, ctime, inode, algorithm, digest, block_bytes, first_seen, verified, how, state, found, note, " \
	"unsettled"
#define COUNT_COLUMNS "files_done, files_failed, files_skipped, bytes_read, bytes_written"
#define RUN_COLUMNS                                                                                                    \
	"id, number, kind, state, exit_code, threads, started, ended, " COUNT_COLUMNS ", error, "                      \
	"(SELECT count(*) FROM run_jobs WHERE run = number), "                                                         \
	"(SELECT name FROM run_jobs WHERE run = number ORDER BY job LIMIT 1)"

/* clang-format off */
const char *const catalog_sql[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_VERSION] = "PRAGMA user_version",
	[SQL_ALGORITHM_LIST] = "SELECT name, id FROM algorithms ORDER BY id",
	[SQL_ALGORITHM_ADD] = "INSERT OR IGNORE INTO algorithms (name) VALUES (?1)",

	[SQL_ROOT_ADD] = "INSERT INTO roots (path, device, fsid, uuid, first_seen) VALUES (?1, ?2, ?3, ?4, ?5)"
		" ON CONFLICT (path) DO UPDATE SET device = ?2, fsid = ?3, uuid = ?4"
		" WHERE device IS NULL AND ?2 IS NOT NULL",
	[SQL_ROOT_FIND] = "SELECT path, id, device, fsid, uuid, first_seen, audited, block_bytes FROM roots WHERE path = ?1",
	[SQL_ROOT_LIST] = "SELECT path, id, device, fsid, uuid, first_seen, audited, block_bytes FROM roots WHERE path > ?1"
		" ORDER BY path LIMIT 64",
	[SQL_ROOT_PLACE] = "UPDATE roots SET device = ?2, fsid = ?3, uuid = ?4 WHERE id = ?1",
	[SQL_ROOT_AUDITED] = "UPDATE roots SET audited = ?2 WHERE id = ?1",
	[SQL_ROOT_BLOCK_BYTES] = "UPDATE roots SET block_bytes = ?2 WHERE id = ?1",
	[SQL_ROOT_HAS_BLOCKS] = "SELECT path FROM blocks WHERE root = ?1 LIMIT 1",
	[SQL_ROOT_ALGORITHMS] = "SELECT DISTINCT algorithm FROM files WHERE root = ?1 AND algorithm IS NOT NULL",
	[SQL_ROOT_HAS_FILES] = "SELECT path FROM files WHERE root = ?1 LIMIT 1",
	[SQL_ROOT_DELETE] = "DELETE FROM roots WHERE id = ?1",
	[SQL_FILES_NTH] = "SELECT path FROM files WHERE root = ?1 ORDER BY path LIMIT 1 OFFSET ?2",
	[SQL_FILES_DELETE_TO] = "DELETE FROM files WHERE root = ?1 AND path < ?2",
	[SQL_FILES_DELETE_REST] = "DELETE FROM files WHERE root = ?1",
	[SQL_BLOCKS_DELETE_ROOT] = "DELETE FROM blocks WHERE root = ?1",
	[SQL_PROGRESS_DELETE_ROOT] = "DELETE FROM progress WHERE root = ?1",
	[SQL_JOB_NEXT] = "SELECT key, id FROM jobs WHERE id > ?1 ORDER BY id LIMIT 1",
	[SQL_DONE_NTH_ROOT] = "SELECT path FROM done WHERE job = ?1 AND root = ?2 ORDER BY path LIMIT 1 OFFSET ?3",
	[SQL_DONE_DELETE_TO_ROOT] = "DELETE FROM done WHERE job = ?1 AND root = ?2 AND path < ?3",
	[SQL_DONE_DELETE_ROOT] = "DELETE FROM done WHERE job = ?1 AND root = ?2",

	[SQL_FILE_PUT_ALL] = "INSERT INTO files (root, path, size, mtime, ctime, inode, algorithm, digest, block_bytes,"
		" first_seen, verified, how, unsettled)"
		" SELECT v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13 FROM queued WHERE true"
		" ON CONFLICT (root, path) DO UPDATE SET size = excluded.size, mtime = excluded.mtime, ctime = excluded.ctime,"
		" inode = excluded.inode, algorithm = excluded.algorithm, digest = excluded.digest,"
		" block_bytes = excluded.block_bytes, verified = excluded.verified, how = excluded.how,"
		" unsettled = excluded.unsettled, state = 0, found = NULL, note = NULL",
	[SQL_FILE_VERIFIED] = "UPDATE files SET verified = ?3, how = ?4, state = 0, found = NULL, note = NULL"
		" WHERE root = ?1 AND path = ?2",
	[SQL_FILE_MARK] = "UPDATE files SET found = iif(state = ?3, found, ?4), state = ?3, note = ?5"
		" WHERE root = ?1 AND path = ?2",
	[SQL_FILE_DELETE] = "DELETE FROM files WHERE root = ?1 AND path = ?2",
	[SQL_FILE_DELETE_TARGET] = "DELETE FROM files WHERE root = ?1 AND path = ?3"
		" AND EXISTS (SELECT 1 FROM files WHERE root = ?1 AND path = ?2)",
	[SQL_BLOCKS_MOVE] = "UPDATE blocks SET path = ?3 WHERE root = ?1 AND path = ?2 AND partial = 0"
		" AND EXISTS (SELECT 1 FROM files WHERE root = ?1 AND path = ?2)",
	[SQL_FILE_MOVE] = "UPDATE files SET path = ?3 WHERE root = ?1 AND path = ?2",
	[SQL_BLOCKS_PUT] = "INSERT OR REPLACE INTO blocks (root, path, partial, first, count, digests)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_BLOCKS_DELETE_FROM] = "DELETE FROM blocks WHERE root = ?1 AND path = ?2 AND partial = ?3 AND first >= ?4",
	[SQL_BLOCKS_GET] = "SELECT digests, first, count FROM blocks WHERE root = ?1 AND path = ?2 AND partial = ?3"
		" ORDER BY first",
	[SQL_FILE_BLOCK_BYTES] = "SELECT path, block_bytes FROM files WHERE root = ?1 AND path = ?2",
	[SQL_PROGRESS_PUT] = "INSERT INTO progress (root, path, size, mtime, ctime, inode, algorithm, block_bytes,"
		" next_block, started, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
		" ON CONFLICT (root, path) DO UPDATE SET size = ?3, mtime = ?4, ctime = ?5, inode = ?6, algorithm = ?7,"
		" block_bytes = ?8, next_block = ?9, started = ?10, updated = ?11",
	[SQL_PROGRESS_DELETE] = "DELETE FROM progress WHERE root = ?1 AND path = ?2",
	[SQL_PROGRESS_GET] = "SELECT path, size, mtime, ctime, inode, algorithm, block_bytes, next_block, started, updated"
		" FROM progress WHERE root = ?1 AND path = ?2",
	[SQL_PROGRESS_LIST] = "SELECT path, size, mtime, ctime, inode, algorithm, block_bytes, next_block, started,"
		" updated FROM progress WHERE root = ?1 AND path > ?2 ORDER BY path LIMIT 64",

	[SQL_FILES_PAGE] = "SELECT " FILE_COLUMNS " FROM files WHERE root = ?1 AND path >= ?2 ORDER BY path LIMIT ?3",
	[SQL_FILES_VERIFIED] = "SELECT path, verified, size, state FROM files WHERE root = ?1 AND path >= ?2"
		" ORDER BY path LIMIT ?3",
	[SQL_FILES_DUE_SORTED] = "SELECT " FILE_COLUMNS " FROM files WHERE root = ?1 AND state = 0"
		" AND verified >= ?2 AND verified < ?3 AND (verified, path) >= (?4, ?5) ORDER BY verified, path LIMIT ?6",
	[SQL_FILES_DUE_PATHS] = "SELECT " FILE_COLUMNS " FROM files WHERE root = ?1 AND path >= ?2 AND state = 0"
		" AND verified >= ?3 AND verified < ?4 ORDER BY path LIMIT ?5",
	[SQL_FILES_BAD] = "SELECT " FILE_COLUMNS " FROM files WHERE root = ?1 AND state <> 0 AND (state, path) >= (?2, ?3)"
		" ORDER BY state, path LIMIT ?4",

	[SQL_RUN_ADD] = "INSERT INTO runs (id, kind, threads, started, ended) VALUES (?1, ?2, ?3, ?4, ?4)",
	[SQL_RUN_FIND] = "SELECT id FROM runs WHERE id = ?1",
	[SQL_RUN_COUNTS] = "UPDATE runs SET files_done = ?2, files_failed = ?3, files_skipped = ?4, bytes_read = ?5,"
		" bytes_written = ?6, ended = max(ended, ?7) WHERE number = ?1 AND state = 0",
	[SQL_RUN_END] = "UPDATE runs SET files_done = ?2, files_failed = ?3, files_skipped = ?4, bytes_read = ?5,"
		" bytes_written = ?6, ended = ?7, state = ?8, exit_code = ?9, error = ?10 WHERE number = ?1",
	[SQL_RUN_INTERRUPT] = "UPDATE runs SET state = ?2 WHERE number = ?1 AND state = 0",
	[SQL_RUN_RUNNING] = "SELECT id, number FROM runs WHERE state = 0 AND number > ?1 ORDER BY number LIMIT 64",
	[SQL_RUN_LIST] = "SELECT " RUN_COLUMNS " FROM runs WHERE number < ?1 AND"
		" (?2 IS NULL OR EXISTS (SELECT 1 FROM run_jobs WHERE run = number AND name = ?2))"
		" ORDER BY number DESC LIMIT 64",
	[SQL_RUN_PREFIX] = "SELECT " RUN_COLUMNS " FROM runs WHERE id >= ?1 AND substr(id, 1, ?2) = ?1"
		" ORDER BY id LIMIT 2",
	[SQL_RUN_OLD] = "SELECT id, number, state FROM runs WHERE started < ?1 AND number > ?2 ORDER BY number LIMIT 64",
	[SQL_RUN_DELETE] = "DELETE FROM runs WHERE number = ?1",
	[SQL_RUN_DELETE_JOBS] = "DELETE FROM run_jobs WHERE run = ?1",
	[SQL_RUN_DELETE_STEPS] = "DELETE FROM run_steps WHERE run = ?1",
	[SQL_RUN_DELETE_FAILURES] = "DELETE FROM run_failures WHERE run = ?1",
	[SQL_RUN_JOB_ADD] = "INSERT OR REPLACE INTO run_jobs (run, job, name, file, key) VALUES (?1, ?2, ?3, ?4, ?5)",
	[SQL_RUN_JOB_END] = "UPDATE run_jobs SET state = ?3, files_done = ?4, files_failed = ?5, files_skipped = ?6,"
		" bytes_read = ?7, bytes_written = ?8, started = ?9, ended = ?10 WHERE run = ?1 AND job = ?2",
	[SQL_RUN_JOB_INTERRUPT] = "UPDATE run_jobs SET state = ?2 WHERE run = ?1 AND state = 0",
	[SQL_RUN_JOB_LIST] = "SELECT name, job, file, key, state, started, ended, " COUNT_COLUMNS " FROM run_jobs"
		" WHERE run = ?1 AND job > ?2 ORDER BY job LIMIT 64",
	[SQL_RUN_STEP_ADD] = "INSERT OR REPLACE INTO run_steps (run, job, step, kind, files, bytes_in, bytes_out, busy)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQL_RUN_STEP_LIST] = "SELECT kind, step, files, bytes_in, bytes_out, busy FROM run_steps"
		" WHERE run = ?1 AND job = ?2 AND step > ?3 ORDER BY step LIMIT 64",
	[SQL_RUN_FAILURE_ADD] = "INSERT OR REPLACE INTO run_failures (run, job, seq, path, status, errno, place, text)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQL_RUN_FAILURE_LIST] = "SELECT path, job, seq, status, errno, place, text FROM run_failures"
		" WHERE run = ?1 AND (job, seq) > (?2, ?3) ORDER BY job, seq LIMIT 64",

	[SQL_JOB_ADD] = "INSERT INTO jobs (key, name, used) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (key) DO UPDATE SET name = ?2, used = max(used, ?3)",
	[SQL_JOB_FIND] = "SELECT key, id FROM jobs WHERE key = ?1",
	[SQL_JOB_OLD] = "SELECT key, id FROM jobs WHERE used < ?1 ORDER BY id LIMIT 1",
	[SQL_JOB_DELETE] = "DELETE FROM jobs WHERE id = ?1",
	[SQL_JOB_STATE] = "SELECT boot, id, began FROM jobs WHERE key = ?1",
	[SQL_JOB_BEGAN] = "UPDATE jobs SET began = ?2, boot = ?3 WHERE id = ?1",
	[SQL_JOB_ENDED] = "UPDATE jobs SET began = 0 WHERE id = ?1",
	[SQL_DONE_PUT] = "INSERT OR REPLACE INTO done (job, root, path, size, mtime, ctime, inode, completed, result)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[SQL_DONE_DELETE] = "DELETE FROM done WHERE job = ?1 AND root = ?2 AND path = ?3",
	[SQL_DONE_PAGE] = "SELECT path, size, mtime, ctime, inode, completed, result FROM done"
		" WHERE job = ?1 AND root = ?2 AND path >= ?3 ORDER BY path LIMIT ?4",
	[SQL_DONE_NTH] = "SELECT path, root FROM done WHERE job = ?1 ORDER BY root, path LIMIT 1 OFFSET ?2",
	[SQL_DONE_DELETE_TO] = "DELETE FROM done WHERE job = ?1 AND (root, path) < (?2, ?3)",
	[SQL_DONE_DELETE_JOB] = "DELETE FROM done WHERE job = ?1",
	[SQL_LOG_ADD] = "INSERT INTO done_logs (job, name) VALUES (?1, lower(hex(randomblob(8)))) RETURNING name, number",
	[SQL_LOG_LIST] = "SELECT name, number FROM done_logs WHERE job = ?1 ORDER BY number",
	[SQL_LOG_FIND] = "SELECT name FROM done_logs WHERE name = ?1",
	[SQL_LOG_DELETE] = "DELETE FROM done_logs WHERE number = ?1",
};
/* clang-format on */

/* ---- errors ---- */

const char *catalog_where(const struct bm_catalog *c, char buf[static 512])
{
	return bm_escape_display_buf(buf, 512, c->path, strlen(c->path));
}

void catalog_error_copy(struct bm_error *to, const struct bm_error *from)
{
	if (to != NULL && to->status == BM_OK && to != from)
		*to = *from;
}

static enum bm_status errno_error(struct bm_error *err, int sys_errno, const char *where, const char *text)
{
	bool first = err != NULL && err->status == BM_OK;

	(void)bm_error_set(err, BM_ERR_SYSTEM, where, "%s", text);
	if (first)
		err->sys_errno = sys_errno;
	return BM_ERR_SYSTEM;
}

enum bm_status catalog_sqlite_error(const struct bm_catalog *c, sqlite3 *db, int rc, const char *what,
                                    struct bm_error *err)
{
	char where_buf[512];
	const char *where = catalog_where(c, where_buf);
	const char *said =
		db != NULL && (sqlite3_errcode(db) & 0xff) == (rc & 0xff) ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	int sys_errno = db != NULL ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return bm_error_set_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return errno_error(
			err, EBUSY, where,
			"another process has had the catalog locked for too long: wait for it or stop it, then "
			"try again");
	case SQLITE_FULL:
		return errno_error(err, ENOSPC, where,
		                   "no space is left for the catalog: free some on its file system, or choose another "
		                   "directory with --state");
	case SQLITE_NOTADB:
		return bm_error_set(
			err, BM_ERR_FORMAT, where,
			"this is not a catalog (not even a SQLite database), or its beginning was overwritten; it "
			"was left as it is. Move it away, then a new one is made");
	case SQLITE_CORRUPT:
		return bm_error_set(
			err, BM_ERR_FORMAT, where,
			"the catalog is damaged (%s): put back a copy, or move it away, then a new one is made "
			"and all files count as new",
			said);
	case SQLITE_READONLY:
		if (rc == SQLITE_READONLY_ROLLBACK)
			return errno_error(err, EACCES, where,
			                   "the last one who wrote to the catalog was cut off; before it can be read, "
			                   "somebody who may write to it has to open it");
		return errno_error(err, EACCES, where,
		                   "the catalog cannot be written: its file or directory is read-only");
	case SQLITE_IOERR:
		if (rc == SQLITE_IOERR_NOMEM)
			return bm_error_set_nomem(err);
		return bm_error_set_errno(err, sys_errno != 0 ? sys_errno : EIO, where, "%s", what);
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		if (sys_errno != 0)
			return bm_error_set_errno(err, sys_errno, where, "%s", what);
		return bm_error_set(err, BM_ERR_FAILED, where, "%s: %s", what, said);
	default:
		/* A table or column that is missing where the version says that it is there. */
		if ((rc & 0xff) == SQLITE_ERROR)
			return bm_error_set(err, BM_ERR_FORMAT, where, "%s: %s; somebody changed its tables", what,
			                    said);
		return bm_error_set(err, BM_ERR_FAILED, where, "%s: %s", what, said);
	}
}

/* ---- statements ---- */

static int bind(sqlite3_stmt *s, int i, const struct catalog_value *v)
{
	const char *bytes = v->bytes != NULL ? v->bytes : ""; /* NULL would be bound as such */

	switch (v->type) {
	case TYPE_INT:
		return sqlite3_bind_int64(s, i, v->number);
	case TYPE_TEXT:
		return sqlite3_bind_text64(s, i, bytes, v->len, SQLITE_STATIC, SQLITE_UTF8);
	case TYPE_BLOB:
		return sqlite3_bind_blob64(s, i, bytes, v->len, SQLITE_STATIC);
	case TYPE_NULL:
		break;
	}
	return sqlite3_bind_null(s, i);
}

/* A statement with its parameters, ready to be stepped; *rc says why it is NULL. */
static sqlite3_stmt *statement(struct bm_catalog *c, enum catalog_statement which, const struct catalog_value *values,
                               size_t count, int *rc)
{
	sqlite3_stmt *s = c->statements[which];

	*rc = SQLITE_OK;
	if (s == NULL) {
		*rc = sqlite3_prepare_v3(c->db, catalog_sql[which], -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
		if (*rc != SQLITE_OK)
			return NULL;
		c->statements[which] = s;
	}
	for (size_t i = 0; i < count && *rc == SQLITE_OK; i++)
		*rc = bind(s, (int)i + 1, &values[i]);
	return *rc == SQLITE_OK ? s : NULL;
}

enum bm_status catalog_exec(struct bm_catalog *c, enum catalog_statement which, struct bm_error *err,
                            const struct catalog_value *values, size_t count)
{
	int rc;
	sqlite3_stmt *s = statement(c, which, values, count, &rc);

	if (s != NULL) {
		rc = sqlite3_step(s);
		if (rc == SQLITE_DONE || rc == SQLITE_ROW)
			rc = SQLITE_OK;
		/* The message has to be taken before the reset; that may change it. */
		if (rc != SQLITE_OK) {
			enum bm_status status = catalog_sqlite_error(c, c->db, rc, "it cannot be written", err);
			(void)sqlite3_reset(s);
			return status;
		}
		(void)sqlite3_reset(s);
		return BM_OK;
	}
	return catalog_sqlite_error(c, c->db, rc, "it cannot be written", err);
}

/* ---- rows ---- */

void catalog_rows_reset(struct catalog_rows *r)
{
	bm_buf_reset(&r->bytes);
	bm_buf_reset(&r->starts);
	r->count = 0;
}

void catalog_rows_fini(struct catalog_rows *r)
{
	bm_buf_fini(&r->bytes);
	bm_buf_fini(&r->starts);
	r->count = 0;
}

/* False: no memory, for us or for SQLite. */
static bool add_row(struct catalog_rows *r, sqlite3_stmt *s)
{
	int columns = sqlite3_column_count(s);
	size_t start = r->bytes.len;

	bm_buf_put(&r->starts, &start, sizeof(start));
	bm_buf_putc(&r->bytes, (char)columns);
	for (int i = 0; i < columns; i++) {
		struct catalog_value v = val_null();

		switch (sqlite3_column_type(s, i)) {
		case SQLITE_INTEGER:
			v = val_int(sqlite3_column_int64(s, i));
			break;
		case SQLITE_TEXT:
		case SQLITE_BLOB:
			v = val_blob(sqlite3_column_blob(s, i), 0);
			v.len = (size_t)sqlite3_column_bytes(s, i);
			if (v.bytes == NULL && v.len > 0)
				return false;
			break;
		default:
			break;
		}
		catalog_value_put(&r->bytes, &v);
	}
	r->count++;
	return !r->bytes.oom && !r->starts.oom;
}

enum bm_status catalog_fetch(struct bm_catalog *c, enum catalog_statement which, struct catalog_rows *r,
                             struct bm_error *err, const struct catalog_value *values, size_t count)
{
	int rc;
	sqlite3_stmt *s = statement(c, which, values, count, &rc);
	enum bm_status status = BM_OK;

	if (s == NULL)
		return catalog_sqlite_error(c, c->db, rc, "it cannot be read", err);
	while (status == BM_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		if (!add_row(r, s))
			status = bm_error_set_nomem(err);
	}
	if (status == BM_OK && rc != SQLITE_DONE)
		status = catalog_sqlite_error(c, c->db, rc, "it cannot be read", err);
	(void)sqlite3_reset(s);
	return status;
}

enum bm_status catalog_read(struct bm_catalog *c, enum catalog_statement which, struct catalog_rows *r,
                            struct bm_error *err, const struct catalog_value *values, size_t count)
{
	pthread_mutex_lock(&c->lock);
	enum bm_status status = catalog_fetch(c, which, r, err, values, count);
	pthread_mutex_unlock(&c->lock);
	return status;
}

static const char *row_start(const struct catalog_rows *r, size_t i)
{
	size_t start;

	memcpy(&start, r->starts.data + i * sizeof(start), sizeof(start));
	return r->bytes.data + start;
}

void catalog_rows_get(const struct catalog_rows *r, size_t i, struct catalog_value *out)
{
	const char *at = row_start(r, i);
	unsigned char columns = (unsigned char)*at++;

	for (int k = 0; k < CATALOG_VALUES_MAX; k++) {
		if (k < columns)
			at = catalog_value_get(at, &out[k]);
		else
			out[k] = val_null();
	}
}

void catalog_rows_get_key(const struct catalog_rows *r, size_t i, const char **bytes, size_t *len)
{
	struct catalog_value v;

	(void)catalog_value_get(row_start(r, i) + 1, &v);
	*bytes = v.bytes;
	*len = v.len;
}

/* ---- transactions ---- */

/* Another process may have migrated the database, or somebody moved it away, since it was opened: what is written then
 * would do harm, or be lost. */
static enum bm_status check_same(struct bm_catalog *c, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	char where[512];
	int moved = 0;
	enum bm_status status = catalog_fetch(c, SQL_VERSION, &rows, err, NULL, 0);

	if (status == BM_OK && rows.count == 1) {
		catalog_rows_get(&rows, 0, v);
		if (v[0].number != c->version)
			status = bm_error_set(
				err, BM_ERR_UNSUPPORTED, catalog_where(c, where),
				"another Bytemill brought the catalog to version %d while this one had it open "
				"(it knows %d): start again with that one",
				(int)v[0].number, c->version);
	}
	if (status == BM_OK && sqlite3_file_control(c->db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	    moved != 0)
		status = bm_error_set(err, BM_ERR_FAILED, catalog_where(c, where),
		                      "the catalog was moved or removed while it was in use: nothing more is recorded");
	catalog_rows_fini(&rows);
	return status;
}

static void roll_back(struct bm_catalog *c)
{
	if (sqlite3_get_autocommit(c->db) == 0) /* else SQLite has done it by itself */
		(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

enum bm_status catalog_begin(struct bm_catalog *c, struct bm_error *err)
{
	pthread_mutex_lock(&c->lock);
	if (c->depth > 0) { /* of this thread, which has the lock */
		c->depth++;
		return BM_OK;
	}
	enum bm_status status = catalog_exec(c, SQL_BEGIN, err, NULL, 0);
	if (status == BM_OK) {
		status = check_same(c, err);
		if (status == BM_OK) {
			c->depth = 1;
			c->is_spoilt = false;
			return BM_OK;
		}
		roll_back(c);
	}
	pthread_mutex_unlock(&c->lock);
	return status;
}

enum bm_status catalog_end(struct bm_catalog *c, enum bm_status status, struct bm_error *err)
{
	c->is_spoilt = c->is_spoilt || status != BM_OK;
	if (--c->depth == 0) {
		if (status == BM_OK && c->is_spoilt)
			status = bm_error_set(err, BM_ERR_FAILED, NULL,
			                      "a part of what belongs together could not be written");
		if (status == BM_OK)
			status = catalog_exec(c, SQL_COMMIT, err, NULL, 0);
		if (status != BM_OK)
			roll_back(c);
	}
	pthread_mutex_unlock(&c->lock);
	return status;
}

enum bm_status catalog_write(struct bm_catalog *c, enum catalog_statement which, struct bm_error *err,
                             const struct catalog_value *values, size_t count)
{
	enum bm_status status = bm_catalog_flush(c, err);

	if (status == BM_OK)
		status = catalog_begin(c, err);
	if (status == BM_OK)
		status = catalog_end(c, catalog_exec(c, which, err, values, count), err);
	return status;
}

/* ---- several writes as one ---- */

static _Thread_local struct bm_catalog *together; /* the one that this thread has a transaction open on */

bool catalog_is_together(const struct bm_catalog *c)
{
	return together == c;
}

enum bm_status bm_catalog_together(struct bm_catalog *c, struct bm_error *err)
{
	enum bm_status status = bm_catalog_flush(c, err);

	if (status == BM_OK)
		status = catalog_begin(c, err);
	if (status == BM_OK)
		together = c;
	return status;
}

enum bm_status bm_catalog_together_end(struct bm_catalog *c, enum bm_status status, struct bm_error *err)
{
	together = NULL;
	return catalog_end(c, status, err);
}
