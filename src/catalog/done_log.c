/*
 * done_log.c - records of what jobs have done, on their way into the table `done`.
 *
 * A job puts a record for each file that it finishes, and nearly always nobody will ever look at them: they are for the run
 * after one that was killed. So putting them must cost next to nothing. A row of `done` costs 2 to 3 us, most of it in
 * finding its place in the tree; 64 KiB of records as one row of `done_log` cost as much as a dozen of those. The thread
 * that writes the queue (queue.c) puts the records of a batch together, a few jobs at a time side by side.
 *
 * Whoever wants to look records up has the log folded into `done` first: slice by slice, each in one transaction with the
 * deletion of what it was made from, so that a kill in between loses and doubles nothing. Records are folded in the order in
 * which they were put: the last one of a path holds.
 *
 * A record: its length, then 1 (put) or 0 (deleted), root, path, and of one that was put size, mtime, ctime, inode and time,
 * and its result as done_codec.c has it. Numbers are as there.
 */
#include "bm_catalog_done.h"
#include "bm_error.h"
#include "done_codec.h"

#define ROW_BYTES ((size_t)64 << 10)
#define ROWS_AT_ONCE 32
#define ROOM_BYTES ((size_t)1024) /* for a record on the stack; nearly all have less */

/* ---- putting ---- */

static enum bm_status put(struct bm_catalog *c, int64_t job, const struct bm_buf *record, struct bm_error *err)
{
	if (record->oom)
		return bm_error_set_nomem(err);
	return catalog_queue(c, SQL_LOG_PUT, err, ARGS(val_int(job), val_blob(record->data, record->len)));
}

enum bm_status bm_catalog_done_put(struct bm_catalog *c, int64_t job, int64_t root, const struct bm_catalog_done *d,
                                   struct bm_error *err)
{
	char room[ROOM_BYTES];
	const size_t most = done_encoded_max(d), head = 8 * DONE_NUMBER_MAX + 1;
	bool fits = most < ROOM_BYTES - head && d->path_len < ROOM_BYTES - head - most;
	/* What fits never grows, and is not the heap's. */
	struct bm_buf body = {.data = fits ? room : NULL, .cap = fits ? sizeof(room) : 0};
	enum bm_status status;

	done_put_number(&body, 1);
	done_put_number(&body, (uint64_t)root);
	done_put_bytes(&body, d->path, d->path_len);
	done_put_number(&body, d->size);
	done_put_number(&body, done_zigzag(d->mtime_ns));
	done_put_number(&body, done_zigzag(d->ctime_ns));
	done_put_number(&body, d->inode);
	done_put_number(&body, done_zigzag(d->done_ns));
	status = done_encode(c, d, &body, err);
	if (status == BM_OK)
		status = put(c, job, &body, err);
	if (!fits)
		bm_buf_fini(&body);
	return status;
}

enum bm_status bm_catalog_done_delete(struct bm_catalog *c, int64_t job, int64_t root, const char *path,
                                      size_t path_len, struct bm_error *err)
{
	struct bm_buf body = {0};
	enum bm_status status;

	done_put_number(&body, 0);
	done_put_number(&body, (uint64_t)root);
	done_put_bytes(&body, path, path_len);
	status = put(c, job, &body, err);
	bm_buf_fini(&body);
	return status;
}

/* ---- writing them down ---- */

static enum bm_status write_part(struct bm_catalog *c, struct catalog_log_part *p, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (p->records.oom)
		status = bm_error_set_nomem(err);
	else if (p->records.len > 0)
		status = catalog_exec(c, SQL_LOG_ADD, err,
		                      ARGS(val_int(p->job), val_blob(p->records.data, p->records.len)));
	bm_buf_reset(&p->records);
	return status;
}

enum bm_status catalog_log_add(struct bm_catalog *c, struct catalog_log *log, int64_t job, const char *record,
                               size_t len, struct bm_error *err)
{
	struct catalog_log_part *free_part = NULL;

	for (size_t i = 0; i < CATALOG_LOG_PARTS; i++) {
		struct catalog_log_part *p = &log->parts[i];

		if (p->records.len == 0) {
			free_part = p;
		} else if (p->job == job) {
			done_put_bytes(&p->records, record, len);
			return p->records.len >= ROW_BYTES ? write_part(c, p, err) : BM_OK;
		}
	}
	if (free_part == NULL) {
		enum bm_status status = catalog_log_flush(c, log, err);

		if (status != BM_OK)
			return status;
		free_part = &log->parts[0];
	}
	free_part->job = job;
	done_put_bytes(&free_part->records, record, len);
	return BM_OK;
}

enum bm_status catalog_log_flush(struct bm_catalog *c, struct catalog_log *log, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < CATALOG_LOG_PARTS && status == BM_OK; i++)
		status = write_part(c, &log->parts[i], err);
	return status;
}

void catalog_log_drop(struct catalog_log *log)
{
	for (size_t i = 0; i < CATALOG_LOG_PARTS; i++)
		bm_buf_reset(&log->parts[i].records);
}

void catalog_log_fini(struct catalog_log *log)
{
	for (size_t i = 0; i < CATALOG_LOG_PARTS; i++)
		bm_buf_fini(&log->parts[i].records);
}

/* ---- folding ---- */

static enum bm_status damaged(const struct bm_catalog *c, struct bm_error *err)
{
	char where[512];

	return bm_error_set(err, BM_ERR_FORMAT, catalog_where(c, where),
	                    "the catalog is damaged: a record of what a job has done cannot be read; put back a copy, "
	                    "or move it away, then a new one is made and all files count as new");
}

static enum bm_status fold_one(struct bm_catalog *c, int64_t job, const uint8_t *data, size_t len, struct bm_error *err)
{
	struct done_reader r = {data, data + len, false};
	uint64_t is_put = done_get_number(&r);
	int64_t root = (int64_t)done_get_number(&r), mtime, ctime, time;
	uint64_t size, inode;
	size_t path_len;
	const char *path = done_get_bytes(&r, &path_len);

	if (r.bad || is_put > 1)
		return damaged(c, err);
	if (is_put == 0)
		return catalog_exec(c, SQL_DONE_DELETE, err,
		                    ARGS(val_int(job), val_int(root), val_blob(path, path_len)));
	size = done_get_number(&r);
	mtime = done_unzigzag(done_get_number(&r));
	ctime = done_unzigzag(done_get_number(&r));
	inode = done_get_number(&r);
	time = done_unzigzag(done_get_number(&r));
	if (r.bad)
		return damaged(c, err);
	return catalog_exec(c, SQL_DONE_PUT, err,
	                    ARGS(val_int(job), val_int(root), val_blob(path, path_len), val_u64(size), val_int(mtime),
	                         val_int(ctime), val_u64(inode), val_int(time),
	                         val_blob((const char *)r.at, (size_t)(r.end - r.at))));
}

static enum bm_status fold_row(struct bm_catalog *c, int64_t job, const char *data, size_t len, struct bm_error *err)
{
	struct done_reader r = {(const uint8_t *)data, (const uint8_t *)data + len, false};
	enum bm_status status = BM_OK;

	while (status == BM_OK && r.at < r.end) {
		size_t n;
		const char *record = done_get_bytes(&r, &n);

		status = r.bad ? damaged(c, err) : fold_one(c, job, (const uint8_t *)record, n, err);
	}
	return status;
}

static enum bm_status fold_some(struct bm_catalog *c, int64_t job, bool *more, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status = catalog_begin(c, err);

	*more = false;
	if (status != BM_OK)
		return status;
	status = catalog_fetch(c, SQL_LOG_FIRST, &rows, err, ARGS(val_int(job), val_int(ROWS_AT_ONCE)));
	for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
		catalog_rows_get(&rows, i, v);
		status = fold_row(c, job, v[0].bytes, v[0].len, err);
	}
	if (status == BM_OK && rows.count > 0)
		status = catalog_exec(c, SQL_LOG_DELETE, err, ARGS(val_int(job), val_int(v[1].number)));
	*more = rows.count == ROWS_AT_ONCE;
	catalog_rows_fini(&rows);
	return catalog_end(c, status, err);
}

enum bm_status catalog_log_fold(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	enum bm_status status = BM_OK;
	bool more;

	catalog_settle(c);
	status = catalog_read(c, SQL_LOG_FIRST, &rows, err, ARGS(val_int(job), val_int(1)));
	for (more = rows.count > 0;
	     status == BM_OK && more;) /* nothing to fold: nothing is written, nobody waited for */
		status = fold_some(c, job, &more, err);
	catalog_rows_fini(&rows);
	return status;
}
