/*
 * blocks.c - reading the digests of blocks, and how far files were read. The rows come in order of their first block and
 * are put one behind the other; a gap would shift all digests behind it, so it is taken for damage. Two rows are never
 * read at different times: all of one file's come in one statement.
 */
#include "bm_catalog_files.h"
#include "bm_error.h"
#include "bm_text.h"
#include "catalog_internal.h"

static enum bm_status append_digests(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                     bool partial, struct bm_buf *out, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	int64_t next = 0;
	char where[512], name[256];
	enum bm_status status = catalog_read(c, SQL_BLOCKS_GET, &rows, err,
	                                     ARGS(val_int(root), val_blob(path, path_len), val_int(partial)));

	for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
		catalog_rows_get(&rows, i, v);
		if (v[1].number != next || v[2].number <= 0)
			status = bm_error_set(err, BM_ERR_FORMAT, catalog_where(c, where),
			                      "the catalog is damaged: digests of blocks of %s are missing",
			                      bm_escape_display_buf(name, sizeof(name), path, path_len));
		else
			bm_buf_put(out, v[0].bytes, v[0].len);
		next = v[1].number + v[2].number;
	}
	if (status == BM_OK && out->oom)
		status = bm_error_set_nomem(err);
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_blocks_get(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                     bool is_queue_over, uint64_t *block_bytes, struct bm_buf *digests,
                                     struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status;

	*block_bytes = 0;
	if (!is_queue_over)
		catalog_settle(c);
	status = catalog_read(c, SQL_FILE_BLOCK_BYTES, &rows, err, ARGS(val_int(root), val_blob(path, path_len)));
	if (status == BM_OK && rows.count > 0) {
		catalog_rows_get(&rows, 0, v);
		*block_bytes = (uint64_t)v[1].number;
		if (*block_bytes > 0)
			status = append_digests(c, root, path, path_len, false, digests, err);
	}
	catalog_rows_fini(&rows);
	return status;
}

/* From the columns of SQL_PROGRESS_GET. */
static enum bm_status from_row(struct bm_catalog *c, const struct catalog_value *v, struct bm_catalog_progress *out,
                               struct bm_error *err)
{
	*out = (struct bm_catalog_progress){
		.size = (uint64_t)v[1].number,
		.mtime_ns = v[2].number,
		.ctime_ns = v[3].number,
		.inode = (uint64_t)v[4].number,
		.block_bytes = (uint64_t)v[6].number,
		.next_block = (uint64_t)v[7].number,
		.started_ns = v[8].number,
		.updated_ns = v[9].number,
	};
	return catalog_algorithm_name(c, v[5].number, &out->algorithm, err);
}

enum bm_status bm_catalog_progress_get(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                       bool is_queue_over, struct bm_catalog_progress *out, struct bm_buf *digests,
                                       bool *found, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status;

	*found = false;
	memset(out, 0, sizeof(*out));
	if (!is_queue_over)
		catalog_settle(c);
	status = catalog_read(c, SQL_PROGRESS_GET, &rows, err, ARGS(val_int(root), val_blob(path, path_len)));
	if (status == BM_OK && rows.count > 0) {
		catalog_rows_get(&rows, 0, v);
		status = from_row(c, v, out, err);
		if (status == BM_OK && digests != NULL)
			status = append_digests(c, root, path, path_len, true, digests, err);
		*found = status == BM_OK;
	}
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_progress_list(struct bm_catalog *c, int64_t root, bm_catalog_progress_fn each, void *ctx,
                                        struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	struct bm_catalog_progress p;
	struct bm_buf last = {0};
	enum bm_status status;
	bool more = true;

	catalog_settle(c);
	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_PROGRESS_LIST, &rows, err,
		                      ARGS(val_int(root), val_blob(last.data, last.len)));
		for (size_t i = 0; status == BM_OK && more && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			bm_buf_reset(&last);
			bm_buf_put(&last, v[0].bytes, v[0].len);
			status = last.oom ? bm_error_set_nomem(err) : from_row(c, v, &p, err);
			if (status == BM_OK)
				more = each(ctx, v[0].bytes, v[0].len, &p);
		}
	} while (status == BM_OK && more && rows.count > 0);
	catalog_rows_fini(&rows);
	bm_buf_fini(&last);
	return status;
}
