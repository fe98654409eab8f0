/*
 * files_read.c - cursors over files: in order of paths, what is due, and those with which something is wrong. All three
 * are a pager with another statement behind it; the second goes from bucket to bucket (due.c).
 */
#include <stdlib.h>

#include "bm_error.h"
#include "files_internal.h"

enum order { BY_PATH, DUE, BAD };

struct bm_catalog_files {
	struct bm_catalog *c;
	int64_t root;
	enum order order;
	struct bm_buf under; /* BY_PATH */
	struct catalog_pager pager;
	struct catalog_bucket buckets[DUE_BUCKETS_MAX]; /* DUE */
	size_t bucket_count, bucket;
	struct catalog_value values[CATALOG_VALUES_MAX]; /* of the row that is handed out */
	struct bm_catalog_file row;
};

/* From the columns of SQL_FILES_PAGE; out borrows from v. */
static enum bm_status file_from_row(struct bm_catalog *c, const struct catalog_value *v, struct bm_catalog_file *out,
                                    struct bm_error *err)
{
	*out = (struct bm_catalog_file){
		.path = v[0].bytes,
		.path_len = v[0].len,
		.size = (uint64_t)v[1].number,
		.mtime_ns = v[2].number,
		.ctime_ns = v[3].number,
		.inode = (uint64_t)v[4].number,
		.digest = (const uint8_t *)v[6].bytes,
		.digest_len = v[6].len,
		.block_bytes = (uint64_t)v[7].number,
		.first_seen_ns = v[8].number,
		.verified_ns = v[FILE_COLUMN_VERIFIED].number,
		.how = (enum bm_catalog_how)v[10].number,
		.state = (enum bm_catalog_file_state)v[FILE_COLUMN_STATE].number,
		.found_ns = v[12].number,
		.note = v[13].bytes,
		.is_unsettled = v[14].number != 0,
	};
	if (v[5].type == TYPE_NULL)
		return BM_OK;
	return catalog_algorithm_name(c, v[5].number, &out->algorithm, err);
}

static bool is_sorted(const struct catalog_bucket *b)
{
	return b->files <= DUE_SORTED_MAX;
}

static enum bm_status fill(void *arg, int64_t number, const char *key, size_t key_len, size_t limit,
                           struct catalog_rows *rows, struct bm_error *err)
{
	const struct bm_catalog_files *f = arg;
	const struct catalog_bucket *b = &f->buckets[f->bucket];
	struct catalog_value root = val_int(f->root), from = val_blob(key, key_len), most = val_int((int64_t)limit);

	if (f->order == BY_PATH)
		return catalog_read(f->c, SQL_FILES_PAGE, rows, err, ARGS(root, from, most));
	if (f->order == BAD)
		return catalog_read(f->c, SQL_FILES_BAD, rows, err, ARGS(root, val_int(number), from, most));
	if (is_sorted(b))
		return catalog_read(f->c, SQL_FILES_DUE_SORTED, rows, err,
		                    ARGS(root, val_int(b->from_ns), val_int(b->to_ns), val_int(number), from, most));
	return catalog_read(f->c, SQL_FILES_DUE_PATHS, rows, err,
	                    ARGS(root, from, val_int(b->from_ns), val_int(b->to_ns), most));
}

static void enter_bucket(struct bm_catalog_files *f)
{
	bool sorted = f->bucket < f->bucket_count && is_sorted(&f->buckets[f->bucket]);

	f->pager.number_column = sorted ? FILE_COLUMN_VERIFIED : -1;
	/* Every page of a sorted bucket sorts all of it, so it is one. */
	f->pager.limit = sorted ? 2 * DUE_SORTED_MAX : 512;
	catalog_pager_rewind(&f->pager, INT64_MIN, "", 0);
}

static struct bm_catalog_files *create(struct bm_catalog *c, int64_t root, enum order order, struct bm_error *err)
{
	struct bm_catalog_files *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		(void)bm_error_set_nomem(err);
		return NULL;
	}
	f->c = c;
	f->root = root;
	f->order = order;
	catalog_pager_init(&f->pager, c, order == BAD ? FILE_COLUMN_STATE : -1, f);
	f->pager.fill = fill;
	catalog_settle(c);
	return f;
}

enum bm_status bm_catalog_files_open(struct bm_catalog *c, int64_t root, const char *under, size_t under_len,
                                     struct bm_catalog_files **out, struct bm_error *err)
{
	struct bm_catalog_files *f = create(c, root, BY_PATH, err);

	*out = NULL;
	if (f == NULL)
		return BM_ERR_NOMEM;
	bm_buf_put(&f->under, under, under_len);
	catalog_pager_rewind(&f->pager, 0, under, under_len);
	if (f->under.oom) {
		bm_catalog_files_close(f);
		return bm_error_set_nomem(err);
	}
	*out = f;
	return BM_OK;
}

enum bm_status bm_catalog_files_open_due(struct bm_catalog *c, int64_t root, int64_t before_ns,
                                         const struct bm_catalog_ages *ages, struct bm_catalog_files **out,
                                         struct bm_error *err)
{
	struct bm_catalog_files *f = create(c, root, DUE, err);
	enum bm_status status;

	*out = NULL;
	if (f == NULL)
		return BM_ERR_NOMEM;
	status = catalog_due_buckets(c, root, before_ns, ages, f->buckets, &f->bucket_count, err);
	if (status != BM_OK) {
		bm_catalog_files_close(f);
		return status;
	}
	enter_bucket(f);
	*out = f;
	return BM_OK;
}

enum bm_status bm_catalog_files_open_bad(struct bm_catalog *c, int64_t root, struct bm_catalog_files **out,
                                         struct bm_error *err)
{
	*out = create(c, root, BAD, err);
	return *out != NULL ? BM_OK : BM_ERR_NOMEM;
}

static bool is_under(const struct bm_catalog_files *f, const char *path, size_t path_len)
{
	return f->under.len == 0 || (path_len >= f->under.len && memcmp(path, f->under.data, f->under.len) == 0);
}

enum bm_status bm_catalog_files_next(struct bm_catalog_files *f, const struct bm_catalog_file **out,
                                     struct bm_error *err)
{
	bool found = false;
	enum bm_status status = BM_OK;

	*out = NULL;
	while (f->order != DUE || f->bucket < f->bucket_count) {
		status = catalog_pager_next(&f->pager, f->values, &found, err);
		if (status != BM_OK || found || f->order != DUE)
			break;
		f->bucket++;
		enter_bucket(f);
	}
	if (status != BM_OK || !found || !is_under(f, f->values[0].bytes, f->values[0].len))
		return status;
	status = file_from_row(f->c, f->values, &f->row, err);
	if (status == BM_OK)
		*out = &f->row;
	return status;
}

enum bm_status bm_catalog_files_find(struct bm_catalog_files *f, const char *path, size_t path_len,
                                     const struct bm_catalog_file **out, struct bm_error *err)
{
	bool found;
	enum bm_status status;

	*out = NULL;
	if (f->order != BY_PATH)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "only a cursor in order of paths can find a path");
	if (!is_under(f, path, path_len)) {
		size_t least = path_len < f->under.len ? path_len : f->under.len;
		bool before = memcmp(path, f->under.data, least) < 0 || least < f->under.len;

		/* What comes next is all that it has, or, behind a path past its end, nothing. */
		catalog_pager_rewind(&f->pager, 0, before ? f->under.data : path, before ? f->under.len : path_len);
		return BM_OK;
	}
	status = catalog_pager_find(&f->pager, path, path_len, f->values, &found, err);
	if (status != BM_OK || !found)
		return status;
	status = file_from_row(f->c, f->values, &f->row, err);
	if (status == BM_OK)
		*out = &f->row;
	return status;
}

void bm_catalog_files_close(struct bm_catalog_files *f)
{
	if (f == NULL)
		return;
	catalog_pager_fini(&f->pager);
	bm_buf_fini(&f->under);
	free(f);
}
