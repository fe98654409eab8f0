/*
 * catalog_internal.h - the connection, its statements, and the queue in front of it, as the files of this folder share
 * them. catalog.c says how they hang together.
 */
#ifndef CATALOG_INTERNAL_H
#define CATALOG_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "bm_catalog.h"
#include "bm_mem.h"

#define CATALOG_APPLICATION_ID 0x42794d6c /* "ByMl" */
#define CATALOG_ALGORITHMS_MAX 64

/* Every statement that is ever run on an open catalog; their text is in statements.c. Those that end in _ALL take their
 * parameters from the table `queued`. */
enum catalog_statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_VERSION,
	SQL_ALGORITHM_LIST,
	SQL_ALGORITHM_ADD,

	SQL_ROOT_ADD,
	SQL_ROOT_FIND,
	SQL_ROOT_LIST,
	SQL_ROOT_PLACE,
	SQL_ROOT_AUDITED,
	SQL_ROOT_BLOCK_BYTES,
	SQL_ROOT_HAS_BLOCKS,
	SQL_ROOT_ALGORITHMS,
	SQL_ROOT_HAS_FILES,
	SQL_ROOT_DELETE,
	SQL_FILES_NTH,
	SQL_FILES_DELETE_TO,
	SQL_FILES_DELETE_REST,
	SQL_BLOCKS_DELETE_ROOT,
	SQL_PROGRESS_DELETE_ROOT,
	SQL_JOB_NEXT,
	SQL_DONE_NTH_ROOT,
	SQL_DONE_DELETE_TO_ROOT,
	SQL_DONE_DELETE_ROOT,

	SQL_FILE_PUT_ALL,
	SQL_FILE_VERIFIED,
	SQL_FILE_MARK,
	SQL_FILE_DELETE,
	SQL_FILE_DELETE_TARGET,
	SQL_FILE_MOVE,
	SQL_BLOCKS_MOVE,
	SQL_BLOCKS_PUT,
	SQL_BLOCKS_DELETE_FROM,
	SQL_BLOCKS_GET,
	SQL_FILE_BLOCK_BYTES,
	SQL_PROGRESS_PUT,
	SQL_PROGRESS_DELETE,
	SQL_PROGRESS_GET,
	SQL_PROGRESS_LIST,

	SQL_FILES_PAGE,
	SQL_FILES_VERIFIED,
	SQL_FILES_DUE_SORTED,
	SQL_FILES_DUE_PATHS,
	SQL_FILES_BAD,

	SQL_RUN_ADD,
	SQL_RUN_FIND,
	SQL_RUN_COUNTS,
	SQL_RUN_END,
	SQL_RUN_INTERRUPT,
	SQL_RUN_RUNNING,
	SQL_RUN_LIST,
	SQL_RUN_PREFIX,
	SQL_RUN_OLD,
	SQL_RUN_DELETE,
	SQL_RUN_DELETE_JOBS,
	SQL_RUN_DELETE_STEPS,
	SQL_RUN_DELETE_FAILURES,
	SQL_RUN_JOB_ADD,
	SQL_RUN_JOB_END,
	SQL_RUN_JOB_INTERRUPT,
	SQL_RUN_JOB_LIST,
	SQL_RUN_STEP_ADD,
	SQL_RUN_STEP_LIST,
	SQL_RUN_FAILURE_ADD,
	SQL_RUN_FAILURE_LIST,

	SQL_JOB_ADD,
	SQL_JOB_FIND,
	SQL_JOB_OLD,
	SQL_JOB_DELETE,
	SQL_JOB_STATE,
	SQL_JOB_BEGAN,
	SQL_JOB_ENDED,
	SQL_DONE_PUT,
	SQL_DONE_DELETE,
	SQL_DONE_PAGE,
	SQL_DONE_NTH,
	SQL_DONE_DELETE_TO,
	SQL_DONE_DELETE_JOB,
	SQL_LOG_ADD,
	SQL_LOG_LIST,
	SQL_LOG_FIND,
	SQL_LOG_DELETE,

	SQL_COUNT
};
extern const char *const catalog_sql[SQL_COUNT];

/* ---- values: parameters of a statement, and columns of what it gives ---- */

#define CATALOG_VALUES_MAX 20

enum catalog_type { TYPE_NULL, TYPE_INT, TYPE_TEXT, TYPE_BLOB };

struct catalog_value {
	enum catalog_type type;
	int64_t number;
	const char *bytes; /* TEXT, BLOB; borrowed */
	size_t len;
};
static inline struct catalog_value val_null(void)
{
	return (struct catalog_value){TYPE_NULL, 0, NULL, 0};
}
static inline struct catalog_value val_int(int64_t v)
{
	return (struct catalog_value){TYPE_INT, v, NULL, 0};
}
/* Sizes, counts and inode numbers: those past 2^63 are kept as negative numbers and come back the same. */
static inline struct catalog_value val_u64(uint64_t v)
{
	return val_int((int64_t)v);
}
static inline struct catalog_value val_blob(const void *bytes, size_t len)
{
	return (struct catalog_value){TYPE_BLOB, 0, bytes, len};
}
static inline struct catalog_value val_text(const char *text) /* NULL gives NULL */
{
	return text != NULL ? (struct catalog_value){TYPE_TEXT, 0, text, strlen(text)} : val_null();
}
/* Text of which nobody knows whether it is UTF-8: kept as a BLOB. */
static inline struct catalog_value val_name(const char *name)
{
	return name != NULL ? val_blob(name, strlen(name)) : val_null();
}

/* The last two arguments of the calls below: ARGS(val_int(root), val_blob(path, len)). */
#define ARGS(...)                                                                                                      \
	(const struct catalog_value[]){__VA_ARGS__},                                                                   \
		sizeof((const struct catalog_value[]){__VA_ARGS__}) / sizeof(struct catalog_value)

/* ---- the queue: queue.c ---- */

#define CATALOG_LOG_NAME 16 /* characters */

#define CATALOG_LANES 16

/* Records of some threads, on their way to the front: each put locks one that it has nearly always for itself. */
struct catalog_lane {
	_Alignas(64) pthread_mutex_t lock; /* after queue.lock, where both are held */
	struct bm_buf bytes;               /* lock */
};

/* What this catalog puts on record for a job: done_log.c. Made by the first put, there until close. */
struct catalog_log {
	struct catalog_lane lanes[CATALOG_LANES];
	struct catalog_log *next; /* constant */
	int64_t job;              /* constant */
	struct bm_buf front;      /* queue.lock: what is queued, but for what is in the lanes */
	bool drops;               /* queue.lock: before the front all that is on record for the job is to go */
	struct bm_buf back;       /* the writer's, as the next */
	bool back_drops;
	char name[CATALOG_LOG_NAME + 1]; /* lock, as the rest: the file's, which has a row; "": there is none */
	int fd;                          /* -1: not made yet */
	bool is_dirty;
	time_t dirty_since; /* CLOCK_MONOTONIC, seconds */
};

struct catalog_queue {
	pthread_mutex_t lock;
	pthread_cond_t work;                /* waited on by the writer */
	pthread_cond_t applied;             /* waited on by flush */
	pthread_cond_t room;                /* waited on by puts that found none */
	struct bm_buf front;                /* lock: what is queued, record by record */
	size_t front_count;                 /* lock */
	size_t group_start, group_count;    /* lock, held from begin to end of a group: the front as it was before */
	_Atomic(struct catalog_log *) logs; /* lock, but for looking: grows at its head */
	size_t log_bytes;                   /* lock: in the fronts of those */
	uint64_t queued, written;           /* lock: records, ever */
	uint64_t urgent;                    /* lock: up to here somebody waits */
	struct timespec deadline;           /* lock: of the front, CLOCK_MONOTONIC */
	unsigned delay_ms;                  /* lock: until the next one */
	bool has_thread, stop;              /* lock */
	bool failed;                        /* lock: error says why; never unset */
	struct bm_error error;              /* lock */
	pthread_t thread;                   /* of whoever started it, and close */
	struct bm_buf back;                 /* the writer's: what it puts into the database */
};

struct bm_catalog {
	struct bm_catalog_options opt; /* constant, as the next three; all 0s replaced */
	char *dir, *path;
	char *runs_path;
	int runs_fd; /* live.c; constant while open; -1: cannot be had, runs_errno says why */
	int runs_errno;
	struct catalog_queue queue;

	pthread_mutex_t lock; /* for all below: the connection has no lock of its own; recursive */
	unsigned depth;       /* of transactions, one in another; only the outermost one is SQLite's */
	bool is_spoilt;       /* one of them failed */
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT]; /* prepared when first needed */
	int version;                         /* of the schema, as this process knows it */
	const char *queued, *queued_end;     /* the rows of the table of that name; queued.c */

	pthread_mutex_t algorithms_lock;                    /* of who adds to the next; never while waiting for lock */
	_Atomic(char *) algorithms[CATALOG_ALGORITHMS_MAX]; /* by id; set once, then constant until close */
};

/* ---- the connection: statements.c ---- */

/* What an SQLite error means for a user: fills err and returns its status. db may be NULL. what: "cannot read it". */
enum bm_status catalog_sqlite_error(const struct bm_catalog *c, sqlite3 *db, int rc, const char *what,
                                    struct bm_error *err);
/* Where errors are: the catalog's path, escaped, in buf. */
const char *catalog_where(const struct bm_catalog *c, char buf[static 512]);
void catalog_error_copy(struct bm_error *to, const struct bm_error *from); /* first error wins, as ever */

/* Runs a statement that gives no rows; with c->lock held. */
enum bm_status catalog_exec(struct bm_catalog *c, enum catalog_statement which, struct bm_error *err,
                            const struct catalog_value *values, size_t count) BM_NODISCARD;

/* Rows copied out of the database. Zero-initialise. */
struct catalog_rows {
	struct bm_buf bytes;
	struct bm_buf starts; /* of size_t: where each row begins */
	size_t count;
};
void catalog_rows_reset(struct catalog_rows *r); /* count = 0, memory kept */
void catalog_rows_fini(struct catalog_rows *r);
/* Adds the rows that the statement gives to r. catalog_read takes the lock, catalog_fetch has it held. */
enum bm_status catalog_fetch(struct bm_catalog *c, enum catalog_statement which, struct catalog_rows *r,
                             struct bm_error *err, const struct catalog_value *values, size_t count) BM_NODISCARD;
enum bm_status catalog_read(struct bm_catalog *c, enum catalog_statement which, struct catalog_rows *r,
                            struct bm_error *err, const struct catalog_value *values, size_t count) BM_NODISCARD;
/* The columns of row i: borrowed, valid until r changes; TEXT and BLOB are NUL-terminated. out has room for
 * CATALOG_VALUES_MAX; those that the row does not have are NULL. */
void catalog_rows_get(const struct catalog_rows *r, size_t i, struct catalog_value *out);
/* The first column only, where it is TEXT or BLOB. */
void catalog_rows_get_key(const struct catalog_rows *r, size_t i, const char **bytes, size_t *len);

/* One transaction, or a part of the one that is open: begin takes the lock and opens it, end closes it (status is not BM_OK: nothing was done; else its own
 * status may be) and lets go. After begin failed there is nothing to end. */
enum bm_status catalog_begin(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
enum bm_status catalog_end(struct bm_catalog *c, enum bm_status status, struct bm_error *err) BM_NODISCARD;
/* Is this thread between bm_catalog_together and its end? Nothing is to be waited for then. */
bool catalog_is_together(const struct bm_catalog *c);
/* A transaction of one statement, after all that was queued. */
enum bm_status catalog_write(struct bm_catalog *c, enum catalog_statement which, struct bm_error *err,
                             const struct catalog_value *values, size_t count) BM_NODISCARD;

/* The number of an algorithm's name, and its name: kept for the life of the catalog. BM_ERR_LIMIT: too many. The latter
 * gives NULL where the number is of no algorithm. Not with c->lock held. */
enum bm_status catalog_algorithm_id(struct bm_catalog *c, const char *name, int64_t *id, struct bm_error *err)
	BM_NODISCARD;
enum bm_status catalog_algorithm_name(struct bm_catalog *c, int64_t id, const char **name, struct bm_error *err)
	BM_NODISCARD;

/* ---- queueing: queue.c ---- */

enum bm_status catalog_queue_init(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
void catalog_queue_fini(struct bm_catalog *c); /* writes what is queued, unless it failed before; ends the thread */
/* Waits until what was queued is written, or never will be: for calls that read, which an error of a write is not. */
void catalog_settle(struct bm_catalog *c);
/* A group of writes that are done together or not at all: begin, add each, end. Where begin fails there is no group. */
enum bm_status catalog_queue_begin(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
void catalog_queue_add(struct bm_catalog *c, enum catalog_statement which, const struct catalog_value *values,
                       size_t count);
enum bm_status catalog_queue_end(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
/* A group of one. */
enum bm_status catalog_queue(struct bm_catalog *c, enum catalog_statement which, struct bm_error *err,
                             const struct catalog_value *values, size_t count) BM_NODISCARD;

/* The values of a queue's record, which begins with these bytes: the statement's number, how many values, their length (4
 * bytes, as this machine has them). values: CATALOG_VALUES_MAX. Gives the place after it. */
#define CATALOG_RECORD_HEAD 6
const char *catalog_record_get(const char *at, struct catalog_value *values, size_t *count);

/* ---- the queue as a table: queued.c ---- */

int catalog_queued_register(struct bm_catalog *c); /* an SQLite code; right after opening */
/* Runs a statement that has all these records as the rows of the table `queued`; with c->lock held. */
enum bm_status catalog_exec_all(struct bm_catalog *c, enum catalog_statement which, const char *records,
                                const char *end, struct bm_error *err) BM_NODISCARD;

/* ---- records of what is done: done_lanes.c, done_log.c ---- */

/* This catalog's log of the job; NULL: it has none, or (make, which takes queue.lock) no memory. */
struct catalog_log *catalog_log_find(const struct bm_catalog *c, int64_t job);
struct catalog_log *catalog_log_make(struct bm_catalog *c, int64_t job);

/* Takes all that is in lanes into the fronts, for whoever waits for it to be written. False: no memory for some of it,
 * which stays where it is. With queue.lock held. */
bool catalog_log_gather(struct bm_catalog *c);
/* The writer's: makes all fronts the backs, the lanes first. With queue.lock held. */
void catalog_log_swap(struct bm_catalog *c);
/* The writer's: is there anything in the backs for which it has to be in a transaction? With catalog.lock held. */
bool catalog_log_needs_database(const struct catalog_log *first);
/* The writer's: writes the backs down. With catalog.lock held. */
enum bm_status catalog_log_write(struct bm_catalog *c, struct catalog_log *first, struct bm_error *err) BM_NODISCARD;
void catalog_log_fini(struct bm_catalog *c);
/* Within a transaction: what the first put for the job would otherwise have to do. */
enum bm_status catalog_log_prepare(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
/* Queued: all of the job's records go that are not folded. */
enum bm_status catalog_log_drop(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
/* The same at once, within a transaction. */
enum bm_status catalog_log_forget(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
/* Puts all of the job's records where they are looked up. */
enum bm_status catalog_log_fold(struct bm_catalog *c, int64_t job, struct bm_error *err) BM_NODISCARD;
/* Removes the files of which the database knows nothing. */
void catalog_log_sweep(struct bm_catalog *c);

/* ---- values as bytes: values.c ---- */

void catalog_value_put(struct bm_buf *out, const struct catalog_value *v); /* fails by out->oom */
const char *catalog_value_get(const char *at, struct catalog_value *v);    /* the place after it */

/* ---- the schema: schema.c ---- */

struct catalog_migration {
	const char *sql; /* brings the version that is its place in the table to the next one */
};
/* The version that this program writes. */
int catalog_schema_version(void);
/* Looks at what is in the database, without writing: *version is 0 where nothing is. Refuses what is no catalog. */
enum bm_status catalog_schema_look(struct bm_catalog *c, int known, int *version, struct bm_error *err) BM_NODISCARD;
/* Brings the database to version count in one transaction. The tests have tables of their own. */
enum bm_status catalog_migrate(struct bm_catalog *c, const struct catalog_migration *table, int count,
                               struct bm_error *err) BM_NODISCARD;
extern const struct catalog_migration catalog_migrations[];

/* ---- runs that are alive: live.c ---- */

void catalog_live_init(struct bm_catalog *c);
void catalog_live_fini(struct bm_catalog *c);
/* Marks run `number` as one of this process, until drop or the end of the process. */
enum bm_status catalog_live_hold(struct bm_catalog *c, int64_t number, struct bm_error *err) BM_NODISCARD;
void catalog_live_drop(struct bm_catalog *c, int64_t number);
/* Is the process of that run alive? True where that cannot be told. */
bool catalog_live_is(const struct bm_catalog *c, int64_t number);
/* Notes on record which runs were interrupted. */
enum bm_status catalog_live_sweep(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;

/* ---- cursors: pager.c ---- */

/* Rows in ascending order of a key (number, bytes), page by page. The module that has one says how a page is read. */
struct catalog_pager {
	struct bm_catalog *c;
	/* Adds up to limit rows whose keys are at or after (number, key) to rows, in order; fewer only at the end. The
	 * first column is the key's bytes, number_column (-1: always 0) its number. */
	enum bm_status (*fill)(void *arg, int64_t number, const char *key, size_t key_len, size_t limit,
	                       struct catalog_rows *rows, struct bm_error *err);
	void *arg;
	int number_column;
	struct catalog_rows rows;
	size_t at;              /* the next row */
	size_t hits;            /* rows of this page that were handed out */
	size_t limit;           /* of the next page */
	bool has_page, is_last; /* no row after those of this page */
	int64_t from_number;    /* the page has all rows from here ... */
	struct bm_buf from;     /* ... to its last one, or the end */
};
void catalog_pager_init(struct catalog_pager *p, struct bm_catalog *c, int number_column, void *arg);
void catalog_pager_fini(struct catalog_pager *p);
/* Starts over from a key; the page is dropped. */
void catalog_pager_rewind(struct catalog_pager *p, int64_t number, const char *key, size_t key_len);
/* values (CATALOG_VALUES_MAX) of the next row: valid until the next call; *found false at the end. */
enum bm_status catalog_pager_next(struct catalog_pager *p, struct catalog_value *values, bool *found,
                                  struct bm_error *err) BM_NODISCARD;
/* Does the page say whether this key exists? */
bool catalog_pager_covers(const struct catalog_pager *p, const char *key, size_t key_len);
/* The row of that key; number_column is -1. */
enum bm_status catalog_pager_find(struct catalog_pager *p, const char *key, size_t key_len,
                                  struct catalog_value *values, bool *found, struct bm_error *err) BM_NODISCARD;

#endif
