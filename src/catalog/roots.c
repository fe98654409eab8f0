/*
 * roots.c - the trees that files belong to. There are few, and they are looked up once a run: all of this goes straight
 * to the database. Only forgetting a root is long work; it goes piece by piece, each a transaction of its own, so that
 * other processes get their turn.
 */
#include <stdlib.h>

#include "bm_error.h"
#include "catalog_internal.h"

#define DELETE_AT_ONCE 20000

void bm_catalog_root_fini(struct bm_catalog_root *r)
{
	free(r->path);
	memset(r, 0, sizeof(*r));
}

/* From the columns of SQL_ROOT_FIND; false: no memory. */
static bool from_row(struct bm_catalog_root *out, const struct catalog_value *v)
{
	memset(out, 0, sizeof(*out));
	out->path = bm_memdup0(v[0].bytes, v[0].len);
	out->path_len = v[0].len;
	out->id = v[1].number;
	out->has_place = v[2].type != TYPE_NULL;
	out->place.device = (uint64_t)v[2].number;
	out->place.fsid = (uint64_t)v[3].number;
	if (v[4].bytes != NULL && v[4].len < sizeof(out->place.uuid))
		memcpy(out->place.uuid, v[4].bytes, v[4].len + 1);
	out->first_seen_ns = v[5].number;
	out->audited_ns = v[6].number;
	out->has_block_bytes = v[7].type != TYPE_NULL;
	out->block_bytes = (uint64_t)v[7].number;
	return out->path != NULL;
}

static enum bm_status find(struct bm_catalog *c, const char *path, size_t path_len, struct bm_catalog_root *out,
                           bool *found, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status = catalog_read(c, SQL_ROOT_FIND, &rows, err, ARGS(val_blob(path, path_len)));

	memset(out, 0, sizeof(*out));
	*found = status == BM_OK && rows.count > 0;
	if (*found) {
		catalog_rows_get(&rows, 0, v);
		if (!from_row(out, v)) {
			status = bm_error_set_nomem(err);
			*found = false;
		}
	}
	catalog_rows_fini(&rows);
	return status;
}

static void place_values(const struct bm_catalog_place *place, struct catalog_value *v)
{
	v[0] = place != NULL ? val_u64(place->device) : val_null();
	v[1] = place != NULL ? val_u64(place->fsid) : val_null();
	v[2] = place != NULL && place->uuid[0] != '\0' ? val_text(place->uuid) : val_null();
}

enum bm_status bm_catalog_root_add(struct bm_catalog *c, const char *path, size_t path_len,
                                   const struct bm_catalog_place *place, int64_t now_ns, struct bm_catalog_root *out,
                                   struct bm_error *err)
{
	struct catalog_value v[3];
	char where[512];
	bool found;
	enum bm_status status = find(c, path, path_len, out, &found, err);

	if (status != BM_OK || (found && (out->has_place || place == NULL)))
		return status;
	bm_catalog_root_fini(out);
	place_values(place, v);
	status = catalog_write(c, SQL_ROOT_ADD, err, ARGS(val_blob(path, path_len), v[0], v[1], v[2], val_int(now_ns)));
	if (status == BM_OK)
		status = find(c, path, path_len, out, &found, err);
	if (status == BM_OK && !found)
		status = bm_error_set(err, BM_ERR_FAILED, catalog_where(c, where),
		                      "a root was removed while it was added");
	return status;
}

enum bm_status bm_catalog_root_find(struct bm_catalog *c, const char *path, size_t path_len,
                                    struct bm_catalog_root *out, bool *found, struct bm_error *err)
{
	return find(c, path, path_len, out, found, err);
}

enum bm_status bm_catalog_root_list(struct bm_catalog *c, bool (*each)(void *ctx, const struct bm_catalog_root *r),
                                    void *ctx, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	struct bm_buf last = {0};
	enum bm_status status;
	bool more = true;

	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_ROOT_LIST, &rows, err, ARGS(val_blob(last.data, last.len)));
		for (size_t i = 0; status == BM_OK && more && i < rows.count; i++) {
			struct bm_catalog_root r;

			catalog_rows_get(&rows, i, v);
			bm_buf_reset(&last);
			bm_buf_put(&last, v[0].bytes, v[0].len);
			if (!from_row(&r, v) || last.oom)
				status = bm_error_set_nomem(err);
			else
				more = each(ctx, &r);
			bm_catalog_root_fini(&r);
		}
	} while (status == BM_OK && more && rows.count > 0);
	catalog_rows_fini(&rows);
	bm_buf_fini(&last);
	return status;
}

enum bm_status bm_catalog_root_presence(struct bm_catalog *c, const struct bm_catalog_root *r,
                                        enum bm_catalog_presence *out, int *why, struct bm_error *err)
{
	struct bm_catalog_place now;
	struct bm_error own = BM_ERROR_INIT;
	struct catalog_rows rows = {0};
	bool empty;
	enum bm_status status = BM_OK;

	*out = BM_CATALOG_PRESENT;
	if (why != NULL)
		*why = 0;
	if (bm_catalog_place_get(r->path, &now, &empty, &own) != BM_OK) {
		*out = BM_CATALOG_ABSENT;
		if (why != NULL)
			*why = own.sys_errno;
	} else if (r->has_place && !bm_catalog_place_equal(&r->place, &now)) {
		*out = BM_CATALOG_OTHER_DEVICE;
	} else if (empty) {
		catalog_settle(c);
		status = catalog_read(c, SQL_ROOT_HAS_FILES, &rows, err, ARGS(val_int(r->id)));
		if (rows.count > 0)
			*out = BM_CATALOG_EMPTY;
		catalog_rows_fini(&rows);
	}
	return status;
}

enum bm_status bm_catalog_root_set_place(struct bm_catalog *c, int64_t root, const struct bm_catalog_place *place,
                                         struct bm_error *err)
{
	struct catalog_value v[3];

	place_values(place, v);
	return catalog_write(c, SQL_ROOT_PLACE, err, ARGS(val_int(root), v[0], v[1], v[2]));
}

enum bm_status bm_catalog_root_set_audited(struct bm_catalog *c, int64_t root, int64_t now_ns, struct bm_error *err)
{
	return catalog_write(c, SQL_ROOT_AUDITED, err, ARGS(val_int(root), val_int(now_ns)));
}

enum bm_status bm_catalog_root_set_block_bytes(struct bm_catalog *c, int64_t root, uint64_t block_bytes,
                                               struct bm_error *err)
{
	return catalog_write(c, SQL_ROOT_BLOCK_BYTES, err, ARGS(val_int(root), val_u64(block_bytes)));
}

enum bm_status bm_catalog_root_has_blocks(struct bm_catalog *c, int64_t root, bool *out, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	enum bm_status status;

	catalog_settle(c);
	status = catalog_read(c, SQL_ROOT_HAS_BLOCKS, &rows, err, ARGS(val_int(root)));
	*out = status == BM_OK && rows.count > 0;
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_root_algorithms(struct bm_catalog *c, int64_t root, const char **names, size_t most,
                                          size_t *count, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	enum bm_status status;

	*count = 0;
	catalog_settle(c);
	status = catalog_read(c, SQL_ROOT_ALGORITHMS, &rows, err, ARGS(val_int(root)));
	for (size_t i = 0; status == BM_OK && i < rows.count && *count < most; i++) {
		catalog_rows_get(&rows, i, v);
		status = catalog_algorithm_name(c, v[0].number, &names[*count], err);
		*count += status == BM_OK && names[*count] != NULL;
	}
	catalog_rows_fini(&rows);
	return status;
}

/* ---- forgetting ---- */

static enum bm_status delete_files(struct bm_catalog *c, int64_t root, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	enum bm_status status;
	bool more = true;

	while (more) {
		const char *path = NULL;
		size_t len = 0;

		catalog_rows_reset(&rows);
		status = catalog_begin(c, err);
		if (status != BM_OK)
			break;
		status = catalog_fetch(c, SQL_FILES_NTH, &rows, err, ARGS(val_int(root), val_int(DELETE_AT_ONCE)));
		more = status == BM_OK && rows.count > 0;
		if (more) {
			catalog_rows_get_key(&rows, 0, &path, &len);
			status = catalog_exec(c, SQL_FILES_DELETE_TO, err, ARGS(val_int(root), val_blob(path, len)));
		} else if (status == BM_OK) {
			status = catalog_exec(c, SQL_FILES_DELETE_REST, err, ARGS(val_int(root)));
		}
		status = catalog_end(c, status, err);
		if (status != BM_OK)
			break;
	}
	catalog_rows_fini(&rows);
	return status;
}

static enum bm_status delete_done(struct bm_catalog *c, int64_t job, int64_t root, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	enum bm_status status;
	bool more = true;

	while (more) {
		const char *path = NULL;
		size_t len = 0;

		catalog_rows_reset(&rows);
		status = catalog_begin(c, err);
		if (status != BM_OK)
			break;
		status = catalog_fetch(c, SQL_DONE_NTH_ROOT, &rows, err,
		                       ARGS(val_int(job), val_int(root), val_int(DELETE_AT_ONCE)));
		more = status == BM_OK && rows.count > 0;
		if (more) {
			catalog_rows_get_key(&rows, 0, &path, &len);
			status = catalog_exec(c, SQL_DONE_DELETE_TO_ROOT, err,
			                      ARGS(val_int(job), val_int(root), val_blob(path, len)));
		} else if (status == BM_OK) {
			status = catalog_exec(c, SQL_DONE_DELETE_ROOT, err, ARGS(val_int(job), val_int(root)));
		}
		status = catalog_end(c, status, err);
		if (status != BM_OK)
			break;
	}
	catalog_rows_fini(&rows);
	return status;
}

enum bm_status bm_catalog_root_delete(struct bm_catalog *c, int64_t root, struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	int64_t job = 0;
	enum bm_status status = bm_catalog_flush(c, err);

	if (status == BM_OK)
		status = delete_files(c, root, err);
	if (status == BM_OK)
		status = catalog_write(c, SQL_PROGRESS_DELETE_ROOT, err, ARGS(val_int(root)));
	if (status == BM_OK)
		status = catalog_write(c, SQL_BLOCKS_DELETE_ROOT, err, ARGS(val_int(root)));
	while (status == BM_OK) {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_JOB_NEXT, &rows, err, ARGS(val_int(job)));
		if (status != BM_OK || rows.count == 0)
			break;
		catalog_rows_get(&rows, 0, v);
		job = v[1].number;
		status = catalog_log_fold(c, job, err);
		if (status == BM_OK)
			status = delete_done(c, job, root, err);
	}
	catalog_rows_fini(&rows);
	if (status == BM_OK)
		status = catalog_write(c, SQL_ROOT_DELETE, err, ARGS(val_int(root)));
	return status;
}
