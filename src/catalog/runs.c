/*
 * runs.c - putting a run on record while it goes on. Its beginning goes straight to the database, so that it is seen by
 * others from its first moment. All after that is queued, and its end waits for the queue: what is left of it and the end
 * are then one transaction.
 */
#include <stdlib.h>

#include "bm_catalog_runs.h"
#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

struct bm_catalog_run {
	struct bm_catalog *c;
	int64_t number;
};

const char *bm_catalog_run_state_text(enum bm_catalog_run_state state)
{
	static const char *const texts[] = {"running", "done", "failed", "cancelled", "interrupted", "skipped"};

	return (size_t)state < sizeof(texts) / sizeof(texts[0]) ? texts[state] : "unknown";
}

enum bm_status bm_catalog_run_begin(struct bm_catalog *c, const char *id, const char *kind, unsigned threads,
                                    int64_t now_ns, struct bm_catalog_run **out, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct bm_catalog_run *r = calloc(1, sizeof(*r));
	char where[512], shown[256];
	enum bm_status status;

	*out = NULL;
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->c = c;
	status = bm_catalog_flush(c, err);
	if (status == BM_OK)
		status = catalog_begin(c, err);
	if (status == BM_OK) {
		status = catalog_fetch(c, SQL_RUN_FIND, &rows, err, ARGS(val_name(id)));
		if (status == BM_OK && rows.count > 0)
			status = bm_error_set(err, BM_ERR_EXISTS, catalog_where(c, where),
			                      "a run with the id %s is on record already: give this one another",
			                      bm_escape_display_buf(shown, sizeof(shown), id, strlen(id)));
		if (status == BM_OK)
			status = catalog_exec(c, SQL_RUN_ADD, err,
			                      ARGS(val_name(id), val_text(kind), val_int(threads), val_int(now_ns)));
		r->number = sqlite3_last_insert_rowid(c->db);
		if (status == BM_OK)
			status = catalog_live_hold(c, r->number, err);
		bool held = status == BM_OK;
		status = catalog_end(c, status, err);
		if (held && status != BM_OK)
			catalog_live_drop(c, r->number);
	}
	catalog_rows_fini(&rows);
	if (status == BM_OK)
		*out = r;
	else
		free(r);
	return status;
}

enum bm_status bm_catalog_run_add_job(struct bm_catalog_run *r, unsigned job, const char *name, const char *file,
                                      const uint8_t *key, size_t key_len, struct bm_error *err)
{
	return catalog_queue(r->c, SQL_RUN_JOB_ADD, err,
	                     ARGS(val_int(r->number), val_int(job), val_name(name), val_name(file),
	                          key != NULL ? val_blob(key, key_len) : val_null()));
}

enum bm_status bm_catalog_run_update(struct bm_catalog_run *r, const struct bm_catalog_counts *counts, int64_t now_ns,
                                     struct bm_error *err)
{
	return catalog_queue(r->c, SQL_RUN_COUNTS, err,
	                     ARGS(val_int(r->number), val_u64(counts->files_done), val_u64(counts->files_failed),
	                          val_u64(counts->files_skipped), val_u64(counts->bytes_read),
	                          val_u64(counts->bytes_written), val_int(now_ns)));
}

enum bm_status bm_catalog_run_add_failure(struct bm_catalog_run *r, unsigned job, uint64_t index, const char *path,
                                          size_t path_len, const struct bm_error *why, struct bm_error *err)
{
	return catalog_queue(r->c, SQL_RUN_FAILURE_ADD, err,
	                     ARGS(val_int(r->number), val_int(job), val_u64(index), val_blob(path, path_len),
	                          val_int(why->status), val_int(why->sys_errno), val_text(why->where),
	                          val_text(why->text)));
}

enum bm_status bm_catalog_run_end_job(struct bm_catalog_run *r, unsigned job, enum bm_catalog_run_state state,
                                      const struct bm_catalog_counts *counts, int64_t started_ns, int64_t ended_ns,
                                      const struct bm_catalog_step *steps, size_t step_count, struct bm_error *err)
{
	enum bm_status status = catalog_queue_begin(r->c, err);

	if (status != BM_OK)
		return status;
	catalog_queue_add(r->c, SQL_RUN_JOB_END,
	                  ARGS(val_int(r->number), val_int(job), val_int(state), val_u64(counts->files_done),
	                       val_u64(counts->files_failed), val_u64(counts->files_skipped),
	                       val_u64(counts->bytes_read), val_u64(counts->bytes_written), val_int(started_ns),
	                       val_int(ended_ns)));
	for (size_t i = 0; i < step_count; i++)
		catalog_queue_add(r->c, SQL_RUN_STEP_ADD,
		                  ARGS(val_int(r->number), val_int(job), val_int((int64_t)i), val_text(steps[i].kind),
		                       val_u64(steps[i].files), val_u64(steps[i].bytes_in), val_u64(steps[i].bytes_out),
		                       val_u64(steps[i].busy_ns)));
	return catalog_queue_end(r->c, err);
}

/* "where: text", or the text alone. */
static bool error_text(struct bm_buf *out, const struct bm_error *why)
{
	if (why == NULL || why->status == BM_OK)
		return true;
	if (why->where[0] != '\0')
		bm_buf_printf(out, "%s: ", why->where);
	bm_buf_puts(out, why->text);
	return !out->oom;
}

enum bm_status bm_catalog_run_end(struct bm_catalog_run *r, enum bm_catalog_run_state state, int exit_code,
                                  const struct bm_catalog_counts *counts, int64_t ended_ns, const struct bm_error *why,
                                  struct bm_error *err)
{
	struct bm_catalog *c = r->c;
	struct bm_buf text = {0};
	enum bm_status status = BM_OK;

	if (!error_text(&text, why))
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = catalog_queue_begin(c, err);
	if (status == BM_OK) {
		catalog_queue_add(c, SQL_RUN_END,
		                  ARGS(val_int(r->number), val_u64(counts->files_done), val_u64(counts->files_failed),
		                       val_u64(counts->files_skipped), val_u64(counts->bytes_read),
		                       val_u64(counts->bytes_written), val_int(ended_ns), val_int(state),
		                       exit_code >= 0 ? val_int(exit_code) : val_null(), val_text(text.data)));
		/* Jobs that did not come to their own end. */
		catalog_queue_add(c, SQL_RUN_JOB_INTERRUPT, ARGS(val_int(r->number), val_int(state)));
		status = catalog_queue_end(c, err);
	}
	if (status == BM_OK)
		status = bm_catalog_flush(c, err);
	bm_buf_fini(&text);
	bm_catalog_run_abandon(r);
	return status;
}

void bm_catalog_run_abandon(struct bm_catalog_run *r)
{
	if (r == NULL)
		return;
	catalog_live_drop(r->c, r->number);
	free(r);
}

/* ---- retention ---- */

static enum bm_status delete_run(struct bm_catalog *c, int64_t number, struct bm_error *err)
{
	static const enum catalog_statement steps[] = {SQL_RUN_DELETE_FAILURES, SQL_RUN_DELETE_STEPS,
	                                               SQL_RUN_DELETE_JOBS, SQL_RUN_DELETE};
	enum bm_status status = catalog_begin(c, err);

	if (status != BM_OK)
		return status;
	for (size_t i = 0; status == BM_OK && i < sizeof(steps) / sizeof(steps[0]); i++)
		status = catalog_exec(c, steps[i], err, ARGS(val_int(number)));
	return catalog_end(c, status, err);
}

enum bm_status bm_catalog_run_delete_before(struct bm_catalog *c, int64_t before_ns, uint64_t *deleted,
                                            struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	uint64_t count = 0;
	int64_t last = 0;
	enum bm_status status = bm_catalog_flush(c, err);

	while (status == BM_OK) {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_RUN_OLD, &rows, err, ARGS(val_int(before_ns), val_int(last)));
		if (status != BM_OK || rows.count == 0)
			break;
		for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			last = v[1].number;
			if (v[2].number == BM_CATALOG_RUN_RUNNING && catalog_live_is(c, last))
				continue;
			status = delete_run(c, last, err);
			count += status == BM_OK;
		}
	}
	catalog_rows_fini(&rows);
	if (deleted != NULL)
		*deleted = count;
	return status;
}
