/*
 * audit_catalog_next.c - which file an audit against the catalog looks at next; see audit_catalog.c.
 *
 * What is due comes when the walk is over, the oldest first. Without a limit all of it is read, and age counts by the day:
 * those whose last verification is within a day of the oldest one are read when the walk comes by, which costs half as
 * much as to look for a file by name, open it by its path and have it apart from its neighbours; and all files of one
 * audit are of one age. But not those that were verified since the last complete audit: one that is stopped again and
 * again has to get on, and not to begin with the same files each time.
 */
#include <stdlib.h>
#include <string.h>

#include "audit_catalog.h"
#include "bm_error.h"
#include "bm_walk.h"

#define MISSING_MOST 100000 /* digests that are kept to look for strays; what is more stays missing */

void audit_catalog_fill(struct bm_known *k, const struct bm_catalog_file *f)
{
	*k = (struct bm_known){
		.path = f->path,
		.path_len = f->path_len,
		.algorithm = f->algorithm != NULL ? f->algorithm : "",
		.digest = f->digest,
		.digest_len = f->digest_len,
		.size = f->size,
		.mtime_ns = f->mtime_ns,
		.ctime_ns = f->ctime_ns,
		.inode = f->inode,
		.was_damaged = f->state == BM_CATALOG_DAMAGED,
		.is_unsettled = f->is_unsettled,
	};
}

static int compare(const struct bm_catalog_file *f, const struct bm_entry *e)
{
	size_t n = f->path_len < e->path_len ? f->path_len : e->path_len;
	int order = memcmp(f->path, e->path, n);

	return order != 0 ? order : (f->path_len > e->path_len) - (f->path_len < e->path_len);
}

/* It is due, and read as soon as the walk comes by. */
static bool is_due_at_once(const struct bm_audit_catalog *a, const struct bm_catalog_file *row)
{
	return row->verified_ns < a->at_once_ns;
}

/* Put on record by an audit that did not come to its end, or did not look at everything: what is missing may be it. */
static bool may_be_stray(const struct bm_audit_catalog *a, const struct bm_catalog_file *f)
{
	return f->first_seen_ns > a->root.audited_ns && f->first_seen_ns < a->started_ns;
}

static bool add_path(struct bm_buf *to, const struct bm_catalog_file *f)
{
	bm_buf_put(to, f->path, f->path_len);
	bm_buf_putc(to, '\0');
	return !to->oom;
}

/* paths: in byte order, each with a NUL. */
static bool has_path(const struct bm_buf *paths, const char *path)
{
	size_t from = 0, to = paths->len;

	while (from < to) {
		size_t at = from + (to - from) / 2;
		int order;

		while (at > from && paths->data[at - 1] != '\0')
			at--;
		order = strcmp(path, paths->data + at);
		if (order == 0)
			return true;
		if (order < 0)
			to = at;
		else
			from = at + strlen(paths->data + at) + 1;
	}
	return false;
}

static enum bm_known_next judge_walked(struct bm_audit_catalog *a, const struct bm_entry *e,
                                       const struct bm_catalog_file *row, struct bm_known *known, struct bm_error *err)
{
	struct stat st = {0};
	bool has_stat = false;

	if (e->kind != BM_ENTRY_ERROR && (row != NULL || a->o.max_bytes > 0 || a->uses_blocks))
		has_stat = bm_entry_stat(e, a->o.follow, &st) == 0;
	if (row != NULL)
		audit_catalog_fill(known, row);
	if (row != NULL && row->state == BM_CATALOG_OK && has_stat && audit_catalog_is_same(row, &st) &&
	    a->source.gone == NULL && !is_due_at_once(a, row)) {
		a->stats.passed++;
		return BM_KNOWN_PASS;
	}
	if (row != NULL && has_stat && S_ISREG(st.st_mode) && a->source.gone == NULL && may_be_stray(a, row)) {
		if (add_path(&a->held, row))
			return BM_KNOWN_PASS;
		(void)bm_error_set_nomem(err);
		return BM_KNOWN_FAILED;
	}
	if (!audit_catalog_take(a, e->path, e->path_len, row, has_stat ? &st : NULL, UINT64_MAX, &known->blocks))
		return BM_KNOWN_PASS;
	return row != NULL ? BM_KNOWN_READ : BM_KNOWN_NEW;
}

/* False: no memory. */
static bool keep_missing(struct bm_audit_catalog *a, const struct bm_catalog_file *row)
{
	struct missing *more, *m;
	size_t n = a->missing_count;

	if (n == MISSING_MOST || row->size == 0 || row->digest_len == 0 || row->digest_len > sizeof(m->digest))
		return true;
	if ((n & (n - 1)) == 0) { /* full */
		more = bm_realloc_array(a->missing, n == 0 ? 1 : n * 2, sizeof(*more));
		if (more == NULL)
			return false;
		a->missing = more;
	}
	m = &a->missing[a->missing_count++];
	m->algorithm = row->algorithm;
	m->len = (uint8_t)row->digest_len;
	memcpy(m->digest, row->digest, row->digest_len);
	return true;
}

static bool add_stray(void *ctx, size_t index, int64_t root, const struct bm_catalog_file *f)
{
	struct bm_audit_catalog *a = ctx;

	(void)index;
	(void)root;
	return f->state == BM_CATALOG_DAMAGED || !may_be_stray(a, f) || add_path(&a->strays, f);
}

static enum bm_status find_strays(struct bm_audit_catalog *a, struct bm_error *err)
{
	struct bm_catalog_digest *wanted = NULL;
	enum bm_status status = BM_OK;

	a->strays_known = true;
	if (a->missing_count == 0)
		return BM_OK;
	wanted = bm_calloc_array(a->missing_count, sizeof(*wanted));
	if (wanted == NULL)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < a->missing_count; i++)
		wanted[i] =
			(struct bm_catalog_digest){a->missing[i].algorithm, a->missing[i].digest, a->missing[i].len};
	status = bm_catalog_files_match(a->c, a->root.id, wanted, a->missing_count, add_stray, a, err);
	if (status == BM_OK && a->strays.oom)
		status = bm_error_set_nomem(err);
	free(wanted);
	return status;
}

/* *row: as it was when the walk was over; NULL: there is none. */
static enum bm_status find_row(struct bm_audit_catalog *a, const char *path, size_t len,
                               const struct bm_catalog_file **row, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (a->files == NULL)
		status = bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->files, err);
	return status == BM_OK ? bm_catalog_files_find(a->files, path, len, row, err) : status;
}

/* What is on record of it is compared first: it may have been damaged since. */
static enum bm_known_next next_stray(struct bm_audit_catalog *a, const struct bm_known_ask *ask, struct bm_known *known,
                                     struct bm_error *err)
{
	const struct bm_catalog_file *row;
	struct stat st;

	if (!a->strays_known && find_strays(a, err) != BM_OK)
		return BM_KNOWN_FAILED;
	while (a->next_stray < a->strays.len) {
		const char *path = a->strays.data + a->next_stray;
		size_t len = strlen(path);
		bool again = a->next_stray > 0 && a->next_stray > a->last_stray &&
		             strcmp(path, a->strays.data + a->last_stray) == 0;

		a->last_stray = a->next_stray;
		a->next_stray += len + 1;
		if (again || !ask->takes(ask->arg, path, len) || bm_path_stat(a->root_fd, path, len, &st) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (find_row(a, path, len, &row, err) != BM_OK)
			return BM_KNOWN_FAILED;
		if (row == NULL)
			continue;
		audit_catalog_fill(known, row);
		known->is_stray = true;
		bool is_taken = audit_catalog_take(a, path, len, row, &st, UINT64_MAX, &known->blocks);

		a->strays_left = a->strays_left || !is_taken || known->blocks.upto_byte > 0;
		if (!is_taken)
			continue;
		if (!has_path(&a->held, path))
			a->stats.passed -= a->stats.passed > 0;
		return BM_KNOWN_EXTRA;
	}
	return BM_KNOWN_END;
}

/* What was held back and is no stray is compared with its record, as it would have been when the walk came by. */
static enum bm_known_next next_held(struct bm_audit_catalog *a, struct bm_known *known, struct bm_error *err)
{
	const struct bm_catalog_file *row;
	struct stat st;

	while (a->next_held < a->held.len) {
		const char *path = a->held.data + a->next_held;
		size_t len = strlen(path);
		bool has_stat;

		a->next_held += len + 1;
		if (has_path(&a->strays, path))
			continue;
		if (find_row(a, path, len, &row, err) != BM_OK)
			return BM_KNOWN_FAILED;
		if (row == NULL)
			continue;
		has_stat = bm_path_stat(a->root_fd, path, len, &st) == 0;
		audit_catalog_fill(known, row);
		if (audit_catalog_take(a, path, len, row, has_stat ? &st : NULL, UINT64_MAX, &known->blocks))
			return BM_KNOWN_EXTRA;
	}
	return BM_KNOWN_END;
}

/* A record without an entry in the walk: it is missing, or it stands behind a link that is not followed, and is then
 * passed over like any other file, or left. */
static bool is_behind_link(struct bm_audit_catalog *a, const struct bm_catalog_file *row, struct bm_known *known)
{
	struct stat st;

	if (a->source.gone != NULL || bm_path_stat(a->root_fd, row->path, row->path_len, &st) != 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (row->state != BM_CATALOG_OK || !audit_catalog_is_same(row, &st) || is_due_at_once(a, row)) {
		if (may_be_stray(a, row) && add_path(&a->held, row))
			return true;
		return !audit_catalog_take(a, row->path, row->path_len, row, &st, UINT64_MAX, &known->blocks);
	}
	a->stats.passed++;
	return true;
}

static enum bm_known_next next_walked(struct bm_audit_catalog *a, const struct bm_entry *walked,
                                      const struct bm_known_ask *ask, struct bm_known *known, struct bm_error *err)
{
	for (;;) {
		const struct bm_catalog_file *row = a->row;
		int order;

		if (row == NULL && !a->rows_over) {
			if (bm_catalog_files_next(a->files, &a->row, err) != BM_OK)
				return BM_KNOWN_FAILED;
			a->rows_over = a->row == NULL;
			row = a->row;
			if (row != NULL)
				bm_catalog_ages_add(a->ages, row->verified_ns, row->state);
		}
		if (row == NULL && walked == NULL)
			return BM_KNOWN_END;
		order = row == NULL ? 1 : walked == NULL ? -1 : compare(row, walked);
		if (order > 0)
			return judge_walked(a, walked, NULL, known, err);
		a->row = NULL;
		if (order == 0)
			return judge_walked(a, walked, row, known, err);
		audit_catalog_fill(known, row);
		if (!ask->takes(ask->arg, row->path, row->path_len) || is_behind_link(a, row, known))
			continue;
		if (a->source.gone == NULL && !keep_missing(a, row)) {
			(void)bm_error_set_nomem(err);
			return BM_KNOWN_FAILED;
		}
		return BM_KNOWN_EXTRA;
	}
}

static enum bm_known_next next_due(struct bm_audit_catalog *a, const struct bm_known_ask *ask, struct bm_known *known,
                                   struct bm_error *err)
{
	const struct bm_catalog_file *row;
	struct stat st;
	uint64_t before;

	/* All rows have come by: what was verified since, or has moved, changes little of where the slices begin. */
	if (a->due == NULL && bm_catalog_files_open_due(a->c, a->root.id, a->before_ns, a->ages, &a->due, err) != BM_OK)
		return BM_KNOWN_FAILED;
	for (;;) {
		if (bm_catalog_files_next(a->due, &row, err) != BM_OK)
			return BM_KNOWN_FAILED;
		if (row == NULL)
			return BM_KNOWN_END;
		if (is_due_at_once(a, row) || !ask->takes(ask->arg, row->path, row->path_len) ||
		    has_path(&a->strays, row->path) || audit_catalog_was_carried(a, row->path, row->path_len))
			continue;
		/* A million may follow: they are but counted. An empty one is within every share of the bytes. */
		if ((a->due_bytes >= a->due_budget && row->size > 0) || audit_catalog_time_is_out(a)) {
			a->stats.left.files++;
			a->stats.left.bytes += row->size;
			a->stats.passed -= a->stats.passed > 0;
			continue;
		}
		if (bm_path_stat(a->root_fd, row->path, row->path_len, &st) != 0 || !audit_catalog_is_same(row, &st))
			continue;
		a->stats.passed -= a->stats.passed > 0;
		audit_catalog_fill(known, row);
		before = a->stats.read.bytes;
		if (!audit_catalog_take(a, row->path, row->path_len, row, &st, a->due_budget - a->due_bytes,
		                        &known->blocks))
			continue;
		a->due_bytes += a->stats.read.bytes - before;
		return BM_KNOWN_EXTRA;
	}
}

enum bm_known_next audit_catalog_next(void *ctx, const struct bm_entry *walked, const struct bm_known_ask *ask,
                                      struct bm_known *known, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;
	enum bm_known_next n = BM_KNOWN_END;

	if (audit_catalog_has_failed(a, err))
		return BM_KNOWN_FAILED;
	if (a->files == NULL && !a->walk_over) {
		audit_catalog_start_clock(a);
		a->ages = bm_catalog_ages_create(a->before_ns);
		if (a->ages == NULL) {
			(void)bm_error_set_nomem(err);
			return BM_KNOWN_FAILED;
		}
		if (bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->files, err) != BM_OK)
			return BM_KNOWN_FAILED;
	}
	if (!a->walk_over)
		n = next_walked(a, walked, ask, known, err);
	if (n != BM_KNOWN_END || a->due_over)
		return n;
	if (!a->walk_over) {
		a->walk_over = true;
		bm_catalog_files_close(a->files);
		a->files = NULL;
	}
	a->due_over = a->source.gone != NULL || a->root_fd < 0;
	if (!a->due_over)
		n = next_stray(a, ask, known, err);
	if (!a->due_over && n == BM_KNOWN_END)
		n = next_held(a, known, err);
	if (!a->due_over && n == BM_KNOWN_END)
		n = next_due(a, ask, known, err);
	a->due_over = a->due_over || n == BM_KNOWN_END;
	return n;
}
