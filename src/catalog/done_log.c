/*
 * done_log.c - records of what jobs have done, on their way into the table `done`.
 *
 * A job puts a record for each file that it finishes, and nearly always nobody will ever look at them: they are for the run
 * after one that was killed. So putting them must cost next to nothing. A row of `done` costs 2 to 3 us, and a transaction
 * half a dozen fsyncs; so records go into a file beside the database, a log, which is only ever written at its end, in
 * blocks of many, by the thread that writes the queue (queue.c). What was written is there after a kill. After a power cut
 * the last few seconds may be missing, and their files are done again.
 *
 * A log is <dir>/done/<16 hex digits>. It belongs to one open catalog and one job, and has a row in `done_logs`, which was
 * there before it. A file without such a row counts for nothing: it is of a database that has been put back or moved
 * away since, where the same numbers may mean other jobs and roots.
 *
 * Whoever wants to look records up has the logs folded into `done` first: log after log, a few blocks in a transaction,
 * then the file goes, then its row. A kill in between makes that begin again, and as the last record of a path holds, the
 * outcome is the same. While a catalog writes a log it has a flock on it: others fold it, too, but leave it there.
 *
 * A block: BLOCK_MAGIC, the length of its records (4 bytes), their XXH3 (8 bytes; both low byte first), the records. What
 * follows a block that is cut or damaged is not read: its files are done again. A record: its length, then 1 (put) or 0
 * (deleted), root, path, and of one that was put size, mtime, ctime, inode and time (8 bytes each), and its result as
 * done_codec.c has it, but for the sum. Numbers are as there.
 *
 * How records come into a log, and what is under which lock until then, is in done_lanes.c. All else that a log has is under
 * catalog.lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "bm_catalog_done.h"
#include "bm_error.h"
#include "bm_fd.h"
#include "bm_text.h"
#include "done_codec.h"

#define LOG_DIR "done"
#define BLOCK_MAGIC "BMd1"
#define BLOCK_HEAD ((size_t)16)
#define BLOCK_MAX ((size_t)1 << 30)  /* a longer one is damaged */
#define FOLD_BYTES ((size_t)2 << 20) /* in one transaction, or one block */
#define SYNC_S 5

/* ---- the files ---- */

static bool make_path(const struct bm_catalog *c, const char *name, struct bm_buf *out)
{
	bm_buf_reset(out);
	bm_buf_printf(out, "%s/" LOG_DIR "/%s", c->dir, name);
	return !out->oom;
}

static enum bm_status cannot(const char *path, int code, const char *what, struct bm_error *err)
{
	char where[512];

	return bm_error_set_errno(err, code, bm_escape_display_buf(where, sizeof(where), path, strlen(path)), "%s",
	                          what);
}

/* A row for a log that there will be, and its name. */
static enum bm_status add_row(struct bm_catalog *c, struct catalog_log *log, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	char where[512];
	enum bm_status status = catalog_fetch(c, SQL_LOG_ADD, &rows, err, ARGS(val_int(log->job)));

	if (status == BM_OK && rows.count == 1) {
		catalog_rows_get(&rows, 0, v);
		if (v[0].len == CATALOG_LOG_NAME) {
			memcpy(log->name, v[0].bytes, v[0].len + 1);
		}
	}
	if (status == BM_OK && log->name[0] == '\0')
		status = bm_error_set(err, BM_ERR_FAILED, catalog_where(c, where), "SQLite made no name for a log");
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status catalog_log_prepare(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	struct catalog_log *log = catalog_log_make(c, job);

	if (log == NULL)
		return bm_error_set_nomem(err);
	return log->name[0] == '\0' ? add_row(c, log, err) : BM_OK;
}

static enum bm_status open_file(struct bm_catalog *c, struct catalog_log *log, struct bm_error *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
	struct bm_buf path = {0};
	enum bm_status status = BM_OK;
	int code = 0;

	if (!make_path(c, "", &path) || !bm_buf_reserve(&path, CATALOG_LOG_NAME + 1))
		status = bm_error_set_nomem(err);
	if (status == BM_OK && mkdir(path.data, 0700) != 0 && errno != EEXIST)
		code = errno;
	if (status == BM_OK && code == 0) {
		(void)make_path(c, log->name, &path);
		log->fd = open(path.data, flags, 0600);
		code = log->fd < 0 ? errno : 0;
	}
	if (code != 0)
		status = cannot(path.data, code, "the record of what is done cannot be made", err);
	else if (status == BM_OK)
		(void)flock(log->fd,
		            LOCK_EX | LOCK_NB); /* where there are no locks, nobody folds it meanwhile either */
	bm_buf_fini(&path);
	return status;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static int sync_file(struct catalog_log *log)
{
	log->is_dirty = false;
	return fdatasync(log->fd) == 0 ? 0 : errno;
}

static enum bm_status write_block(struct bm_catalog *c, struct catalog_log *log, struct bm_error *err)
{
	char head[BLOCK_HEAD] = BLOCK_MAGIC;
	struct bm_buf path = {0};
	int code = 0;

	(void)done_put_le(head + 4, log->back.len, 4);
	(void)done_put_le(head + 8, XXH3_64bits(log->back.data, log->back.len), 8);
	if (!bm_fd_write_all(log->fd, head, sizeof(head)) || !bm_fd_write_all(log->fd, log->back.data, log->back.len))
		code = errno;
	if (code == 0 && !log->is_dirty) {
		log->is_dirty = true;
		log->dirty_since = now_s();
	} else if (code == 0 && now_s() - log->dirty_since >= SYNC_S) {
		code = sync_file(log);
	}
	if (code == 0)
		return BM_OK;
	enum bm_status status = make_path(c, log->name, &path)
	                                ? cannot(path.data, code, "the record of what is done cannot be written", err)
	                                : bm_error_set_nomem(err);
	bm_buf_fini(&path);
	return status;
}

static void close_file(struct catalog_log *log)
{
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = -1;
	log->name[0] = '\0';
	log->is_dirty = false;
}

/* False: some other catalog still writes it, or nobody can tell. */
static bool remove_file(const struct bm_catalog *c, const char *name)
{
	struct bm_buf path = {0};
	bool is_held = true;

	if (make_path(c, name, &path)) {
		int fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

		is_held = fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK : errno != ENOENT;
		if (!is_held)
			(void)unlink(path.data);
		if (fd >= 0)
			(void)close(fd);
	}
	bm_buf_fini(&path);
	return !is_held;
}

/* The file, then its row: a row without a file is found by whoever looks next, a file without a row by nobody. */
static enum bm_status remove_log(struct bm_catalog *c, const struct catalog_value *v, struct bm_error *err)
{
	return remove_file(c, v[0].bytes) ? catalog_exec(c, SQL_LOG_DELETE, err, ARGS(val_int(v[1].number))) : BM_OK;
}

enum bm_status catalog_log_forget(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status = catalog_fetch(c, SQL_LOG_LIST, &rows, err, ARGS(val_int(job)));

	struct catalog_log *own = catalog_log_find(c, job);

	if (own != NULL)
		close_file(own);
	for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
		catalog_rows_get(&rows, i, v);
		status = remove_log(c, v, err);
	}
	catalog_rows_fini(&rows);
	return status;
}

/* Those of a catalog that is not there any more, or of an older state of this one. */
void catalog_log_sweep(struct bm_catalog *c)
{
	struct catalog_rows rows = {0};
	struct bm_error ignored = BM_ERROR_INIT;
	struct bm_buf path = {0};
	const struct dirent *e;
	int fd = -1;

	bm_buf_printf(&path, "%s/" LOG_DIR, c->dir);
	if (!path.oom) /* where a link leads, files of such names may be somebody's */
		fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL && fd >= 0)
		(void)close(fd);
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (strlen(e->d_name) != CATALOG_LOG_NAME || strspn(e->d_name, "0123456789abcdef") != CATALOG_LOG_NAME)
			continue;
		catalog_rows_reset(&rows);
		if (catalog_read(c, SQL_LOG_FIND, &rows, &ignored, ARGS(val_text(e->d_name))) == BM_OK &&
		    rows.count == 0)
			(void)remove_file(c, e->d_name);
	}
	if (dir != NULL)
		(void)closedir(dir);
	catalog_rows_fini(&rows);
	bm_buf_fini(&path);
}

bool catalog_log_needs_database(const struct catalog_log *first)
{
	for (const struct catalog_log *log = first; log != NULL; log = log->next)
		if (log->back_drops || (log->back.len > 0 && log->name[0] == '\0'))
			return true;
	return false;
}

enum bm_status catalog_log_write(struct bm_catalog *c, struct catalog_log *first, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (struct catalog_log *log = first; log != NULL && status == BM_OK; log = log->next) {
		if (log->back_drops)
			status = catalog_log_forget(c, log->job, err);
		log->back_drops = false;
		if (status == BM_OK && log->back.len > 0 && log->name[0] == '\0')
			status = add_row(c, log, err);
		if (status == BM_OK && log->back.len > 0 && log->fd < 0)
			status = open_file(c, log, err);
		if (status == BM_OK && log->back.len > 0)
			status = write_block(c, log, err);
		bm_buf_reset(&log->back);
	}
	return status;
}

void catalog_log_fini(struct bm_catalog *c)
{
	struct catalog_log *log = atomic_load(&c->queue.logs);

	while (log != NULL) {
		struct catalog_log *next = log->next;

		if (log->fd >= 0 && log->is_dirty)
			(void)sync_file(log); /* what a power cut takes from it now is done again */
		close_file(log);
		for (size_t i = 0; i < CATALOG_LANES; i++) {
			bm_buf_fini(&log->lanes[i].bytes);
			pthread_mutex_destroy(&log->lanes[i].lock);
		}
		bm_buf_fini(&log->front);
		bm_buf_fini(&log->back);
		free(log);
		log = next;
	}
	atomic_store(&c->queue.logs, NULL);
}

/* ---- folding ---- */

/* False: it is damaged. */
static bool fold_record(struct bm_catalog *c, int64_t job, const uint8_t *data, size_t len, struct bm_buf *result,
                        enum bm_status *status, struct bm_error *err)
{
	struct done_reader r = {data, data + len, false};
	uint64_t is_put = done_get_number(&r), field[DONE_FIXED_BYTES / 8];
	int64_t root = (int64_t)done_get_number(&r);
	size_t path_len;
	const char *path = done_get_bytes(&r, &path_len);

	if (r.bad || is_put > 1)
		return false;
	if (is_put == 0) {
		*status = catalog_exec(c, SQL_DONE_DELETE, err,
		                       ARGS(val_int(job), val_int(root), val_blob(path, path_len)));
		return true;
	}
	if ((size_t)(r.end - r.at) < DONE_FIXED_BYTES)
		return false;
	for (size_t i = 0; i < DONE_FIXED_BYTES / 8; i++, r.at += 8)
		field[i] = done_get_le(r.at, 8);
	bm_buf_reset(result);
	bm_buf_put(result, r.at, (size_t)(r.end - r.at));
	uint8_t sum[DONE_SUM_BYTES];
	done_sum(path, path_len, result->data, result->len, sum);
	bm_buf_put(result, sum, sizeof(sum));
	*status = result->oom
	                  ? bm_error_set_nomem(err)
	                  : catalog_exec(c, SQL_DONE_PUT, err,
	                                 ARGS(val_int(job), val_int(root), val_blob(path, path_len), val_u64(field[0]),
	                                      val_u64(field[1]), val_u64(field[2]), val_u64(field[3]),
	                                      val_u64(field[4]), val_blob(result->data, result->len)));
	return true;
}

/* False: it is damaged. */
static bool fold_block(struct bm_catalog *c, int64_t job, const struct bm_buf *block, enum bm_status *status,
                       struct bm_error *err)
{
	struct done_reader r = {(const uint8_t *)block->data, (const uint8_t *)block->data + block->len, false};
	struct bm_buf result = {0};

	while (*status == BM_OK && !r.bad && r.at < r.end) {
		size_t n;
		const char *record = done_get_bytes(&r, &n);

		r.bad = r.bad || !fold_record(c, job, (const uint8_t *)record, n, &result, status, err);
	}
	bm_buf_fini(&result);
	return !r.bad;
}

/* False: there is none, or it is cut or damaged. */
static bool read_block(int fd, struct bm_buf *out)
{
	uint8_t head[BLOCK_HEAD];
	struct stat st;
	uint64_t len;

	bm_buf_reset(out);
	if (!bm_fd_read_all(fd, head, sizeof(head)) || memcmp(head, BLOCK_MAGIC, 4) != 0)
		return false;
	len = done_get_le(head + 4, 4);
	if (fstat(fd, &st) != 0 || len > (uint64_t)st.st_size || len > BLOCK_MAX || !bm_buf_reserve(out, (size_t)len) ||
	    !bm_fd_read_all(fd, out->data, (size_t)len))
		return false;
	out->len = (size_t)len;
	return XXH3_64bits(out->data, out->len) == done_get_le(head + 8, 8);
}

/* Some blocks, in one transaction. *more: the log has not come to its end. */
static enum bm_status fold_some(struct bm_catalog *c, int64_t job, int fd, bool *more, struct bm_error *err)
{
	struct bm_buf block = {0};
	size_t done = 0;
	enum bm_status status = catalog_begin(c, err);

	*more = false;
	if (status != BM_OK)
		return status;
	for (*more = true; status == BM_OK && *more && done < FOLD_BYTES; done += block.len)
		*more = read_block(fd, &block) && fold_block(c, job, &block, &status, err);
	if (block.oom)
		status = bm_error_set_nomem(err);
	bm_buf_fini(&block);
	return catalog_end(c, status, err);
}

static enum bm_status fold_log(struct bm_catalog *c, int64_t job, const struct catalog_value *v, struct bm_error *err)
{
	struct bm_buf path = {0};
	enum bm_status status = BM_OK;
	bool more = make_path(c, v[0].bytes, &path);
	int fd = more ? open(path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;

	if (!more)
		status = bm_error_set_nomem(err);
	else if (fd < 0 && errno != ENOENT)
		status = cannot(path.data, errno, "the record of what is done cannot be read", err);
	while (status == BM_OK && fd >= 0 && more)
		status = fold_some(c, job, fd, &more, err);
	if (fd >= 0)
		(void)close(fd);
	if (status == BM_OK)
		status = catalog_begin(c, err);
	if (status == BM_OK)
		status = catalog_end(c, remove_log(c, v, err), err);
	bm_buf_fini(&path);
	return status;
}

enum bm_status catalog_log_fold(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	char unwritten[CATALOG_LOG_NAME + 1] = ""; /* there is a row, and will be a file */
	enum bm_status status;

	catalog_settle(c);
	pthread_mutex_lock(&c->lock);
	status = catalog_fetch(c, SQL_LOG_LIST, &rows, err, ARGS(val_int(job)));
	struct catalog_log *own = catalog_log_find(c, job);
	if (own != NULL && own->fd >= 0)
		close_file(own); /* what comes now goes into another one */
	else if (own != NULL)
		memcpy(unwritten, own->name, sizeof(unwritten));
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
		catalog_rows_get(&rows, i, v);
		if (strcmp(v[0].bytes, unwritten) != 0)
			status = fold_log(c, job, v, err);
	}
	catalog_rows_fini(&rows);
	return status;
}
