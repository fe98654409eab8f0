/*
 * schema.c - the tables of the catalog, and how an older database becomes one of this version.
 *
 * SIZE AND SPEED. The catalog is made for 10 million files. What is large lies in tables WITHOUT ROWID, so a row lies
 * where its key does, and there is no second tree that would hold every path again. A row of `files` takes about 170
 * bytes with a path of 60: 1.7 GB for 10 million. The numbers of roots, jobs and algorithms stand for their names;
 * digests are BLOBs; times are nanoseconds in 8 bytes. SQLite compares BLOBs with memcmp, so the order of `files` and
 * `done` is the order of a walk: an audit reads its root's rows as one long scan beside the walk, a first pass appends at
 * the end of the tree, and each batch of either touches neighbouring pages only. That is worth more than any index: a
 * write journals and rewrites whole pages, so an index in random order (by digest) would cost two pages of writing for
 * every row once it is larger than the cache, and one by time of verification doubles the cost of each verification and
 * adds half to the size. What such indices would answer, is answered by scans instead, 0.2 us a row: due.c and match.c.
 * The one index on `files` is a partial one, of the few files with which something is wrong.
 *
 *	algorithms	the names of digest algorithms
 *	roots		trees that are audited, and where jobs take inputs from. path: real, absolute. device, fsid, uuid:
 *			which file system it was on (NULL: never asked), audited: when an audit last came to its end;
 *			block_bytes: larger files get digests of blocks (0: none do; NULL: nobody said)
 *	files		key (root, path). What stat said when the digest was made; digest of the whole; block_bytes: the
 *			size of the blocks whose digests are in `blocks`, NULL where there are none; how and state: enums
 *			of bm_catalog_files.h; found, note: of a state that is not 0; unsettled: 1 where it may have
 *			been written since and have the same times, else NULL
 *	blocks		digests of blocks, `count` (up to 1024) behind one another in a row; first: the number of the
 *			row's first block. partial 0: those of the row in `files`, which triggers keep in step; partial 1: gathered by
 *			an unfinished first reading, see `progress`. Keyed by path, as there is but one row a GiB or so
 *	progress	large files of which blocks 0 ... next_block - 1 have been read in this round
 *	runs		one execution of job files. ended: while it runs, when it was last heard of
 *	run_jobs	key (run, job). run_steps, run_failures: what they did, which files failed (seq: listing order)
 *	jobs		key: a hash of what a job makes; used: when it was last run; began: of a run of it that has not come to
 *			its end, 0: none; boot: what the machine was running since then (boot_id of random(4))
 *	done		key (job, root, path): an input that is complete. root 0: none. result: its outputs and digests,
 *			in the form that done_codec.c describes. They are read and written as a whole, so they are one BLOB:
 *			three tables with keys of their own would take twice the room and four times the time
 *
 *	done_logs	the files with what goes into `done` when somebody wants to look at it: done_log.c
 *
 * Deleted numbers of roots, jobs and runs are not given out again (AUTOINCREMENT): another process may still hold them.
 *
 * VERSIONS. PRAGMA user_version counts the steps of the table at the end that were taken. A change of the schema is a new
 * row there, never a change of an old one. All missing steps are done in one transaction. A database of a higher version
 * than this program knows is refused, and one that gets there while it is open, too (catalog_begin looks).
 */
#include "bm_error.h"
#include "catalog_internal.h"

/* clang-format off */
static const char version_1[] =
"CREATE TABLE algorithms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"

"CREATE TABLE roots (id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,"
" device INTEGER, fsid INTEGER, uuid TEXT, first_seen INTEGER NOT NULL, audited INTEGER) STRICT;"

"CREATE TABLE files (root INTEGER NOT NULL, path BLOB NOT NULL,"
" size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, inode INTEGER NOT NULL,"
" algorithm INTEGER, digest BLOB, block_bytes INTEGER,"
" first_seen INTEGER NOT NULL, verified INTEGER NOT NULL, how INTEGER NOT NULL,"
" state INTEGER NOT NULL DEFAULT 0, found INTEGER, note TEXT,"
" PRIMARY KEY (root, path)) STRICT, WITHOUT ROWID;"
"CREATE INDEX files_bad ON files (root, state) WHERE state <> 0;"

"CREATE TABLE blocks (root INTEGER NOT NULL, path BLOB NOT NULL, partial INTEGER NOT NULL, first INTEGER NOT NULL,"
" count INTEGER NOT NULL, digests BLOB NOT NULL, PRIMARY KEY (root, path, partial, first)) STRICT, WITHOUT ROWID;"
"CREATE TRIGGER files_digest_changed AFTER UPDATE OF digest ON files WHEN old.block_bytes IS NOT NULL BEGIN"
" DELETE FROM blocks WHERE root = old.root AND path = old.path AND partial = 0; END;"
"CREATE TRIGGER files_deleted AFTER DELETE ON files WHEN old.block_bytes IS NOT NULL BEGIN"
" DELETE FROM blocks WHERE root = old.root AND path = old.path AND partial = 0; END;"

"CREATE TABLE progress (root INTEGER NOT NULL, path BLOB NOT NULL,"
" size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, inode INTEGER NOT NULL,"
" algorithm INTEGER NOT NULL, block_bytes INTEGER NOT NULL, next_block INTEGER NOT NULL,"
" started INTEGER NOT NULL, updated INTEGER NOT NULL, PRIMARY KEY (root, path)) STRICT, WITHOUT ROWID;"
"CREATE TRIGGER progress_deleted AFTER DELETE ON progress BEGIN"
" DELETE FROM blocks WHERE root = old.root AND path = old.path AND partial = 1; END;"

"CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,"
" state INTEGER NOT NULL DEFAULT 0, exit_code INTEGER, threads INTEGER NOT NULL,"
" started INTEGER NOT NULL, ended INTEGER NOT NULL,"
" files_done INTEGER NOT NULL DEFAULT 0, files_failed INTEGER NOT NULL DEFAULT 0,"
" files_skipped INTEGER NOT NULL DEFAULT 0, bytes_read INTEGER NOT NULL DEFAULT 0,"
" bytes_written INTEGER NOT NULL DEFAULT 0, error TEXT) STRICT;"

"CREATE TABLE run_jobs (run INTEGER NOT NULL, job INTEGER NOT NULL, name BLOB NOT NULL, file BLOB, key BLOB,"
" state INTEGER NOT NULL DEFAULT 0, started INTEGER, ended INTEGER,"
" files_done INTEGER NOT NULL DEFAULT 0, files_failed INTEGER NOT NULL DEFAULT 0,"
" files_skipped INTEGER NOT NULL DEFAULT 0, bytes_read INTEGER NOT NULL DEFAULT 0,"
" bytes_written INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, job)) STRICT, WITHOUT ROWID;"

"CREATE TABLE run_steps (run INTEGER NOT NULL, job INTEGER NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,"
" files INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, busy INTEGER NOT NULL,"
" PRIMARY KEY (run, job, step)) STRICT, WITHOUT ROWID;"

"CREATE TABLE run_failures (run INTEGER NOT NULL, job INTEGER NOT NULL, seq INTEGER NOT NULL, path BLOB NOT NULL,"
" status INTEGER NOT NULL, errno INTEGER NOT NULL, place TEXT NOT NULL, text TEXT NOT NULL,"
" PRIMARY KEY (run, job, seq)) STRICT, WITHOUT ROWID;"

"CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, name BLOB NOT NULL,"
" used INTEGER NOT NULL) STRICT;"

"CREATE TABLE done (job INTEGER NOT NULL, root INTEGER NOT NULL, path BLOB NOT NULL,"
" size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, inode INTEGER NOT NULL,"
" completed INTEGER NOT NULL, result BLOB NOT NULL,"
" PRIMARY KEY (job, root, path)) STRICT, WITHOUT ROWID;";

static const char version_2[] =
"ALTER TABLE roots ADD COLUMN block_bytes INTEGER;"
"ALTER TABLE files ADD COLUMN unsettled INTEGER;"
"ALTER TABLE jobs ADD COLUMN began INTEGER NOT NULL DEFAULT 0;"
"ALTER TABLE jobs ADD COLUMN boot BLOB;"
"CREATE TABLE done_log (seq INTEGER PRIMARY KEY, job INTEGER NOT NULL, records BLOB NOT NULL) STRICT;"
"CREATE INDEX done_log_job ON done_log (job);";

/* What waits in done_log is of runs that were cut off, or of the last of an incremental job: it is done once more. */
static const char version_3[] =
"DROP TABLE done_log;"
"CREATE TABLE done_logs (number INTEGER PRIMARY KEY, job INTEGER NOT NULL, name TEXT NOT NULL) STRICT;";
/* clang-format on */

const struct catalog_migration catalog_migrations[] = {
	{version_1},
	{version_2},
	{version_3},
};

int catalog_schema_version(void)
{
	return (int)(sizeof(catalog_migrations) / sizeof(catalog_migrations[0]));
}

/* The number that a statement without parameters gives in its first row. Not from the cache of statements: this is run
 * on databases that are not, or not yet, ours. */
static enum bm_status read_number(struct bm_catalog *c, const char *sql, int64_t *out, struct bm_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);

	*out = 0;
	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(s, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return rc == SQLITE_OK ? BM_OK : catalog_sqlite_error(c, c->db, rc, "it cannot be read", err);
}

/* All three as of one moment: another process may be making the catalog just now. */
static enum bm_status read_kind(struct bm_catalog *c, int64_t *id, int64_t *version, int64_t *tables,
                                struct bm_error *err)
{
	bool own = sqlite3_get_autocommit(c->db) != 0;
	int rc = own ? sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL) : SQLITE_OK;
	enum bm_status status;

	if (rc != SQLITE_OK)
		return catalog_sqlite_error(c, c->db, rc, "it cannot be read", err);
	status = read_number(c, "PRAGMA application_id", id, err);
	if (status == BM_OK)
		status = read_number(c, "PRAGMA user_version", version, err);
	if (status == BM_OK)
		status = read_number(c, "SELECT count(*) FROM sqlite_schema", tables, err);
	if (own)
		(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

enum bm_status catalog_schema_look(struct bm_catalog *c, int known, int *version, struct bm_error *err)
{
	int64_t id = 0, number = 0, tables = 0;
	char where[512];
	enum bm_status status = read_kind(c, &id, &number, &tables, err);

	if (status != BM_OK)
		return status;
	*version = (int)number;
	if (id == 0 && number == 0 && tables == 0)
		return BM_OK;
	if (id != CATALOG_APPLICATION_ID || number < 1)
		return bm_error_set(
			err, BM_ERR_FORMAT, catalog_where(c, where),
			"this is a SQLite database of another program, not Bytemill's catalog: choose another "
			"directory with --state");
	if (number > known)
		return bm_error_set(
			err, BM_ERR_UNSUPPORTED, catalog_where(c, where),
			"the catalog was made by a newer Bytemill (its version is %d, this program knows %d): "
			"use that one, or another directory with --state",
			(int)number, known);
	return BM_OK;
}

enum bm_status catalog_migrate(struct bm_catalog *c, const struct catalog_migration *table, int count,
                               struct bm_error *err)
{
	char pragma[128];
	int version = 0;
	int rc = sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return catalog_sqlite_error(c, c->db, rc, "it cannot be brought to this version", err);
	/* Another process may have done it while this one waited. */
	enum bm_status status = catalog_schema_look(c, count, &version, err);
	for (int i = version; status == BM_OK && i < count; i++) {
		rc = sqlite3_exec(c->db, table[i].sql, NULL, NULL, NULL);
		if (rc != SQLITE_OK)
			status = catalog_sqlite_error(c, c->db, rc, "it cannot be brought to this version", err);
	}
	if (status == BM_OK && version < count) {
		(void)sqlite3_snprintf(sizeof(pragma), pragma, "PRAGMA application_id=%d; PRAGMA user_version=%d",
		                       CATALOG_APPLICATION_ID, count);
		rc = sqlite3_exec(c->db, pragma, NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL);
		if (rc != SQLITE_OK)
			status = catalog_sqlite_error(c, c->db, rc, "it cannot be brought to this version", err);
	}
	if (sqlite3_get_autocommit(c->db) == 0)
		(void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}
