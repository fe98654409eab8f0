/*
 * done.c - jobs, and what they have done. A job is known by a hash of all that decides what it makes: with another
 * content it is another job and starts with nothing done; the old one's records go when nobody has run it for long.
 */
#include <stdlib.h>

#include "bm_catalog_done.h"
#include "bm_error.h"
#include "catalog_internal.h"
#include "done_codec.h"

#define DELETE_AT_ONCE 20000
#define KEY_MAX_BYTES 64

enum bm_status bm_catalog_job_open(struct bm_catalog *c, const uint8_t *key, size_t key_len, const char *name,
                                   int64_t now_ns, int64_t *job, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	char where[512];
	enum bm_status status;

	*job = 0;
	if (key_len == 0 || key_len > KEY_MAX_BYTES)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a job's key has 1 to %d bytes", KEY_MAX_BYTES);
	status = catalog_write(c, SQL_JOB_ADD, err, ARGS(val_blob(key, key_len), val_name(name), val_int(now_ns)));
	if (status == BM_OK)
		status = catalog_read(c, SQL_JOB_FIND, &rows, err, ARGS(val_blob(key, key_len)));
	if (status == BM_OK && rows.count > 0) {
		catalog_rows_get(&rows, 0, v);
		*job = v[1].number;
	} else if (status == BM_OK) {
		status = bm_error_set(err, BM_ERR_FAILED, catalog_where(c, where),
		                      "a job was removed while it was added");
	}
	catalog_rows_fini(&rows);
	return status;
}

/* Within a transaction. */
static enum bm_status begin_job(struct bm_catalog *c, const struct catalog_value *key,
                                const struct bm_catalog_beginning *how, int64_t now_ns, struct bm_catalog_job *out,
                                struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	char where[512];
	enum bm_status status = catalog_fetch(c, SQL_JOB_STATE, &rows, err, key, 1);

	if (status == BM_OK && rows.count == 0)
		status = bm_error_set(err, BM_ERR_FAILED, catalog_where(c, where),
		                      "a job was removed while it was added");
	if (status != BM_OK)
		goto out;
	catalog_rows_get(&rows, 0, v);
	bool same_boot = v[0].type == TYPE_BLOB && v[0].len == how->boot_len &&
	                 memcmp(v[0].bytes, how->boot, how->boot_len) == 0;
	out->id = v[1].number;
	out->cut_ns = out->began_ns = v[2].number;
	if (out->cut_ns == 0 || how->anew || (how->same_boot_only && !same_boot)) {
		out->began_ns = now_ns;
		status = catalog_exec(c, SQL_JOB_BEGAN, err,
		                      ARGS(val_int(out->id), val_int(now_ns), val_blob(how->boot, how->boot_len)));
	}
	if (status == BM_OK)
		status = catalog_log_prepare(c, out->id, err);
out:
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_job_begin(struct bm_catalog *c, const uint8_t *key, size_t key_len, const char *name,
                                    const struct bm_catalog_beginning *how, int64_t now_ns, struct bm_catalog_job *out,
                                    struct bm_error *err)
{
	struct catalog_value key_value = val_blob(key, key_len);
	enum bm_status status;

	*out = (struct bm_catalog_job){0};
	if (key_len == 0 || key_len > KEY_MAX_BYTES)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a job's key has 1 to %d bytes", KEY_MAX_BYTES);
	status = bm_catalog_flush(c, err);
	if (status == BM_OK)
		status = catalog_begin(c, err);
	if (status != BM_OK)
		return status;
	status = catalog_exec(c, SQL_JOB_ADD, err, ARGS(key_value, val_name(name), val_int(now_ns)));
	if (status == BM_OK)
		status = begin_job(c, &key_value, how, now_ns, out, err);
	return catalog_end(c, status, err);
}

enum bm_status bm_catalog_job_end(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	return catalog_queue(c, SQL_JOB_ENDED, err, ARGS(val_int(job)));
}

/* ---- the cursor ---- */

struct bm_catalog_dones {
	struct bm_catalog *c;
	int64_t job, root;
	struct catalog_pager pager;
	struct catalog_value values[CATALOG_VALUES_MAX]; /* of the row that is handed out */
	struct done_view view;
	struct bm_catalog_done row;
	bool is_damaged; /* the last one */
};

static enum bm_status fill(void *arg, int64_t number, const char *key, size_t key_len, size_t limit,
                           struct catalog_rows *rows, struct bm_error *err)
{
	const struct bm_catalog_dones *d = arg;

	(void)number;
	return catalog_read(d->c, SQL_DONE_PAGE, rows, err,
	                    ARGS(val_int(d->job), val_int(d->root), val_blob(key, key_len), val_int((int64_t)limit)));
}

enum bm_status bm_catalog_dones_open(struct bm_catalog *c, int64_t job, int64_t root, struct bm_catalog_dones **out,
                                     struct bm_error *err)
{
	struct bm_catalog_dones *d = calloc(1, sizeof(*d));
	enum bm_status status;

	*out = d;
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->c = c;
	d->job = job;
	d->root = root;
	catalog_pager_init(&d->pager, c, -1, d);
	d->pager.fill = fill;
	status = catalog_log_fold(c, job, err);
	if (status != BM_OK) {
		bm_catalog_dones_close(d);
		*out = NULL;
	}
	return status;
}

/* *out stays NULL where the record is damaged: it must not cost the job all the others. */
static enum bm_status hand_out(struct bm_catalog_dones *d, const struct bm_catalog_done **out, struct bm_error *err)
{
	const struct catalog_value *v = d->values;
	struct bm_error own = BM_ERROR_INIT;
	enum bm_status status = done_decode(d->c, v[0].bytes, v[0].len, v[6].bytes, v[6].len, &d->view, &own);

	d->is_damaged = status == BM_ERR_FORMAT;
	if (d->is_damaged)
		return BM_OK;
	if (status != BM_OK) {
		catalog_error_copy(err, &own);
		return status;
	}
	d->row = (struct bm_catalog_done){
		.path = v[0].bytes,
		.path_len = v[0].len,
		.size = (uint64_t)v[1].number,
		.mtime_ns = v[2].number,
		.ctime_ns = v[3].number,
		.inode = (uint64_t)v[4].number,
		.done_ns = v[5].number,
		.outputs = d->view.outputs,
		.output_count = d->view.output_count,
		.digests = d->view.digests,
		.digest_count = d->view.digest_count,
	};
	*out = &d->row;
	return BM_OK;
}

enum bm_status bm_catalog_dones_next(struct bm_catalog_dones *d, const struct bm_catalog_done **out,
                                     struct bm_error *err)
{
	bool found;
	enum bm_status status;

	*out = NULL;
	do {
		status = catalog_pager_next(&d->pager, d->values, &found, err);
		if (status == BM_OK && found)
			status = hand_out(d, out, err);
	} while (status == BM_OK && found && *out == NULL);
	return status;
}

enum bm_status bm_catalog_dones_find(struct bm_catalog_dones *d, const char *path, size_t path_len,
                                     const struct bm_catalog_done **out, struct bm_error *err)
{
	bool found;
	enum bm_status status = catalog_pager_find(&d->pager, path, path_len, d->values, &found, err);

	*out = NULL;
	d->is_damaged = false;
	return status == BM_OK && found ? hand_out(d, out, err) : status;
}

bool bm_catalog_dones_is_damaged(const struct bm_catalog_dones *d)
{
	return d->is_damaged;
}

bool bm_catalog_dones_is_near(const struct bm_catalog_dones *d, const char *path, size_t path_len)
{
	return catalog_pager_covers(&d->pager, path, path_len);
}

void bm_catalog_dones_close(struct bm_catalog_dones *d)
{
	if (d == NULL)
		return;
	catalog_pager_fini(&d->pager);
	done_view_fini(&d->view);
	free(d);
}

/* ---- retention ---- */

/* A part of the job's rows; then, where the job goes too, the job. */
static enum bm_status delete_some(struct bm_catalog *c, int64_t job, bool with_job, bool *more, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status = catalog_begin(c, err);

	*more = false;
	if (status != BM_OK)
		return status;
	status = catalog_fetch(c, SQL_DONE_NTH, &rows, err, ARGS(val_int(job), val_int(DELETE_AT_ONCE)));
	if (status == BM_OK && rows.count > 0) {
		catalog_rows_get(&rows, 0, v);
		*more = true;
		status = catalog_exec(c, SQL_DONE_DELETE_TO, err,
		                      ARGS(val_int(job), val_int(v[1].number), val_blob(v[0].bytes, v[0].len)));
	} else if (status == BM_OK) {
		status = catalog_exec(c, SQL_DONE_DELETE_JOB, err, ARGS(val_int(job)));
		if (status == BM_OK && with_job)
			status = catalog_log_forget(c, job, err);
		if (status == BM_OK && with_job)
			status = catalog_exec(c, SQL_JOB_DELETE, err, ARGS(val_int(job)));
	}
	status = catalog_end(c, status, err);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_done_delete_folded(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	bool more;
	enum bm_status status = catalog_read(c, SQL_DONE_NTH, &rows, err, ARGS(val_int(job), val_int(0)));

	for (more = rows.count > 0; status == BM_OK && more;) /* mostly there is none, and nothing is written */
		status = delete_some(c, job, false, &more, err);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_done_delete_all(struct bm_catalog *c, int64_t job, struct bm_error *err)
{
	enum bm_status status = catalog_log_drop(c, job, err);

	return status == BM_OK ? bm_catalog_done_delete_folded(c, job, err) : status;
}

enum bm_status bm_catalog_job_delete_before(struct bm_catalog *c, int64_t before_ns, uint64_t *deleted,
                                            struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	uint64_t count = 0;
	enum bm_status status = bm_catalog_flush(c, err);

	while (status == BM_OK) {
		bool more = true;

		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_JOB_OLD, &rows, err, ARGS(val_int(before_ns)));
		if (status != BM_OK || rows.count == 0)
			break;
		catalog_rows_get(&rows, 0, v);
		while (status == BM_OK && more)
			status = delete_some(c, v[1].number, true, &more, err);
		count += status == BM_OK;
	}
	catalog_rows_fini(&rows);
	if (status == BM_OK)
		catalog_log_sweep(c);
	if (deleted != NULL)
		*deleted = count;
	return status;
}
