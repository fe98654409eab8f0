/*
 * runs_read.c - the history, read. Rows are taken from the database 64 at a time and given to the caller with no lock
 * held. A run that is on record as running may have been killed since the catalog was opened, or the catalog could not
 * be written then: so whether it is alive is asked again for each row that is shown.
 */
#include "bm_catalog_runs.h"
#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

static struct bm_catalog_counts counts_from(const struct catalog_value *v)
{
	return (struct bm_catalog_counts){(uint64_t)v[0].number, (uint64_t)v[1].number, (uint64_t)v[2].number,
	                                  (uint64_t)v[3].number, (uint64_t)v[4].number};
}

static enum bm_catalog_run_state state_of(const struct bm_catalog *c, int64_t run, int64_t on_record)
{
	if (on_record == BM_CATALOG_RUN_RUNNING && !catalog_live_is(c, run))
		return BM_CATALOG_RUN_INTERRUPTED;
	return (enum bm_catalog_run_state)on_record;
}

/* From the columns RUN_COLUMNS of statements.c. */
static struct bm_catalog_run_row run_from(const struct bm_catalog *c, const struct catalog_value *v)
{
	return (struct bm_catalog_run_row){
		.id = v[0].bytes,
		.number = v[1].number,
		.kind = v[2].bytes,
		.state = state_of(c, v[1].number, v[3].number),
		.has_exit_code = v[4].type != TYPE_NULL,
		.exit_code = (int)v[4].number,
		.threads = (unsigned)v[5].number,
		.started_ns = v[6].number,
		.ended_ns = v[7].number,
		.counts = counts_from(v + 8),
		.error = v[13].bytes,
		.job_count = (uint64_t)v[14].number,
		.job = v[15].bytes,
	};
}

enum bm_status bm_catalog_run_list(struct bm_catalog *c, const char *job, uint64_t limit, bm_catalog_run_fn each,
                                   void *ctx, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	int64_t last = INT64_MAX;
	uint64_t given = 0;
	bool more = true;
	enum bm_status status;

	catalog_settle(c);
	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_RUN_LIST, &rows, err, ARGS(val_int(last), val_name(job)));
		for (size_t i = 0; status == BM_OK && more && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			struct bm_catalog_run_row row = run_from(c, v);
			last = row.number;
			more = each(ctx, &row) && (++given != limit || limit == 0);
		}
	} while (status == BM_OK && more && rows.count > 0);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_run_find(struct bm_catalog *c, const char *id, bm_catalog_run_fn each, void *ctx,
                                   struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	size_t len = strlen(id);
	char where[512], shown[256];
	enum bm_status status;

	catalog_settle(c);
	status = catalog_read(c, SQL_RUN_PREFIX, &rows, err, ARGS(val_name(id), val_int((int64_t)len)));
	if (status != BM_OK)
		goto out;
	(void)bm_escape_display_buf(shown, sizeof(shown), id, len);
	if (rows.count == 0 || len == 0) {
		status =
			bm_error_set(err, BM_ERR_USAGE, catalog_where(c, where), "there is no run %s on record", shown);
		goto out;
	}
	catalog_rows_get(&rows, 0, v);
	if (rows.count > 1 && v[0].len != len) {
		status = bm_error_set(err, BM_ERR_USAGE, catalog_where(c, where),
		                      "there is more than one run whose id begins with %s: say more of it", shown);
		goto out;
	}
	struct bm_catalog_run_row row = run_from(c, v);
	(void)each(ctx, &row);
out:
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_run_list_jobs(struct bm_catalog *c, int64_t number, bm_catalog_job_fn each, void *ctx,
                                        struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	int64_t last = -1;
	bool more = true;
	enum bm_status status;

	catalog_settle(c);
	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_RUN_JOB_LIST, &rows, err, ARGS(val_int(number), val_int(last)));
		for (size_t i = 0; status == BM_OK && more && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			last = v[1].number;
			struct bm_catalog_job_row row = {
				.name = v[0].bytes,
				.job = (unsigned)v[1].number,
				.file = v[2].bytes,
				.key = (const uint8_t *)v[3].bytes,
				.key_len = v[3].len,
				.state = state_of(c, number, v[4].number),
				.started_ns = v[5].number,
				.ended_ns = v[6].number,
				.counts = counts_from(v + 7),
			};
			more = each(ctx, &row);
		}
	} while (status == BM_OK && more && rows.count > 0);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_run_list_steps(struct bm_catalog *c, int64_t number, unsigned job, bm_catalog_step_fn each,
                                         void *ctx, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	int64_t last = -1;
	bool more = true;
	enum bm_status status;

	catalog_settle(c);
	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_RUN_STEP_LIST, &rows, err,
		                      ARGS(val_int(number), val_int(job), val_int(last)));
		for (size_t i = 0; status == BM_OK && more && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			last = v[1].number;
			struct bm_catalog_step row = {v[0].bytes, (uint64_t)v[2].number, (uint64_t)v[3].number,
			                              (uint64_t)v[4].number, (uint64_t)v[5].number};
			more = each(ctx, (unsigned)last, &row);
		}
	} while (status == BM_OK && more && rows.count > 0);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_run_list_failures(struct bm_catalog *c, int64_t number, bm_catalog_failure_fn each, void *ctx,
                                            struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	int64_t job = -1, last = -1;
	bool more = true;
	enum bm_status status;

	catalog_settle(c);
	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_RUN_FAILURE_LIST, &rows, err,
		                      ARGS(val_int(number), val_int(job), val_int(last)));
		for (size_t i = 0; status == BM_OK && more && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			job = v[1].number;
			last = v[2].number;
			struct bm_catalog_failure_row row = {
				.path = v[0].bytes,
				.path_len = v[0].len,
				.job = (unsigned)job,
				.index = (uint64_t)last,
				.status = (enum bm_status)v[3].number,
				.sys_errno = (int)v[4].number,
				.where = v[5].bytes,
				.text = v[6].bytes,
			};
			more = each(ctx, &row);
		}
	} while (status == BM_OK && more && rows.count > 0);
	catalog_rows_fini(&rows);
	return status;
}
