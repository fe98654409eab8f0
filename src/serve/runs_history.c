/*
 * runs_history.c - the service's records and the catalog's history, held against each other.
 *
 * Each run that begins is in the history, as those of the command line are, and there are its figures, its steps and the
 * files that failed. The service's own record has what the history has no place for: who waits in the queue, the request
 * that a run can be resumed by, and whether it was the service's end that ended it. Where both know something, the
 * history is right about a run that the service did not see end, and about what is kept: whatever is taken out of the
 * history (runs --keep, or its age) is forgotten here, too.
 */
#include "runs_history.h"

#include <stdlib.h>

#include "bm_catalog.h"
#include "bm_catalog_runs.h"
#include "bm_error.h"

#define BUSY_MS 5000

struct serve_history {
	struct bm_catalog *c; /* NULL: nothing is known */
};
struct found {
	struct serve_record *r;
	bool is_found;
};

enum bm_status serve_history_open(const char *state, struct serve_history **out, struct bm_error *err)
{
	struct bm_catalog_options opt = {.dir = state, .must_exist = true, .busy_ms = BUSY_MS};
	struct serve_history *h = calloc(1, sizeof(*h));

	*out = h;
	if (h == NULL)
		return bm_error_set_nomem(err);
	/* A run that is begun will say what is wrong with it. */
	(void)!bm_catalog_open(&opt, &h->c, NULL);
	return BM_OK;
}

void serve_history_close(struct serve_history *h)
{
	if (h == NULL)
		return;
	if (h->c != NULL)
		(void)!bm_catalog_close(h->c, NULL);
	free(h);
}

static bool take_row(void *ctx, const struct bm_catalog_run_row *row)
{
	struct found *f = ctx;
	struct serve_record *r = f->r;

	f->is_found = true;
	if (r->state != SERVE_RUN_RUNNING)
		return false;
	r->on_record = true;
	r->ended_ms = row->ended_ns / 1000000;
	r->files_done = row->counts.files_done;
	r->files_failed = row->counts.files_failed;
	r->files_skipped = row->counts.files_skipped;
	r->bytes_read = row->counts.bytes_read;
	r->bytes_written = row->counts.bytes_written;
	if (row->state == BM_CATALOG_RUN_DONE)
		r->state = SERVE_RUN_DONE;
	else if (row->state == BM_CATALOG_RUN_FAILED)
		r->state = SERVE_RUN_FAILED;
	return false;
}

bool serve_history_has(struct serve_history *h, struct serve_record *r)
{
	struct found f = {.r = r};
	struct bm_error err = BM_ERROR_INIT;

	if (h->c == NULL || (!r->on_record && r->state != SERVE_RUN_RUNNING))
		return true;
	if (bm_catalog_run_find(h->c, r->id, take_row, &f, &err) == BM_OK || f.is_found)
		return true;
	return err.status != BM_ERR_USAGE || !r->on_record; /* BM_ERR_USAGE: there is none */
}
