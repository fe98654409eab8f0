/*
 * files.c - writing what is known of files: each call is one group of statements for the queue.
 *
 * The digests of blocks are rows of PART blocks each: a row that grew with its file would be rewritten for every bit of
 * progress. Whoever replaces or deletes a row of `files` or `progress` need not think of them, as triggers do; so the
 * common case, a file without blocks, pays nothing for them.
 */

#include "bm_catalog_files.h"
#include "catalog_internal.h"

#define PART 1024

static void add_blocks(struct bm_catalog *c, int64_t root, const char *path, size_t path_len, bool partial,
                       uint64_t first, const uint8_t *digests, size_t digest_len, size_t count)
{
	for (size_t i = 0; i < count; i += PART) {
		size_t n = count - i < PART ? count - i : PART;

		catalog_queue_add(c, SQL_BLOCKS_PUT,
		                  ARGS(val_int(root), val_blob(path, path_len), val_int(partial), val_u64(first + i),
		                       val_int((int64_t)n), val_blob(digests + i * digest_len, n * digest_len)));
	}
}

enum bm_status bm_catalog_file_put(struct bm_catalog *c, int64_t root, const struct bm_catalog_file *f,
                                   const struct bm_catalog_blocks *blocks, struct bm_error *err)
{
	int64_t algorithm = 0;
	enum bm_status status = BM_OK;

	if (f->algorithm != NULL)
		status = catalog_algorithm_id(c, f->algorithm, &algorithm, err);
	if (status == BM_OK)
		status = catalog_queue_begin(c, err);
	if (status != BM_OK)
		return status;
	catalog_queue_add(c, SQL_FILE_PUT_ALL,
	                  ARGS(val_int(root), val_blob(f->path, f->path_len), val_u64(f->size), val_int(f->mtime_ns),
	                       val_int(f->ctime_ns), val_u64(f->inode),
	                       algorithm != 0 ? val_int(algorithm) : val_null(),
	                       f->digest_len > 0 ? val_blob(f->digest, f->digest_len) : val_null(),
	                       blocks != NULL ? val_u64(blocks->block_bytes) : val_null(), val_int(f->first_seen_ns),
	                       val_int(f->verified_ns), val_int(f->how), f->is_unsettled ? val_int(1) : val_null()));
	if (blocks != NULL)
		add_blocks(c, root, f->path, f->path_len, false, 0, blocks->digests, blocks->digest_len, blocks->count);
	return catalog_queue_end(c, err);
}

enum bm_status bm_catalog_file_verified(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                        int64_t verified_ns, enum bm_catalog_how how, struct bm_error *err)
{
	return catalog_queue(c, SQL_FILE_VERIFIED, err,
	                     ARGS(val_int(root), val_blob(path, path_len), val_int(verified_ns), val_int(how)));
}

enum bm_status bm_catalog_file_mark(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                    enum bm_catalog_file_state state, int64_t found_ns, const char *note,
                                    struct bm_error *err)
{
	return catalog_queue(c, SQL_FILE_MARK, err,
	                     ARGS(val_int(root), val_blob(path, path_len), val_int(state),
	                          state != BM_CATALOG_OK ? val_int(found_ns) : val_null(), val_text(note)));
}

enum bm_status bm_catalog_file_move(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                    const char *new_path, size_t new_path_len, struct bm_error *err)
{
	static const enum catalog_statement steps[] = {SQL_FILE_DELETE_TARGET, SQL_BLOCKS_MOVE, SQL_FILE_MOVE};
	enum bm_status status;

	if (path_len == new_path_len && memcmp(path, new_path, path_len) == 0)
		return BM_OK;
	status = catalog_queue_begin(c, err);
	if (status != BM_OK)
		return status;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		catalog_queue_add(c, steps[i],
		                  ARGS(val_int(root), val_blob(path, path_len), val_blob(new_path, new_path_len)));
	return catalog_queue_end(c, err);
}

enum bm_status bm_catalog_file_delete(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                      struct bm_error *err)
{
	enum bm_status status = catalog_queue_begin(c, err);

	if (status != BM_OK)
		return status;
	catalog_queue_add(c, SQL_FILE_DELETE, ARGS(val_int(root), val_blob(path, path_len)));
	catalog_queue_add(c, SQL_PROGRESS_DELETE, ARGS(val_int(root), val_blob(path, path_len)));
	return catalog_queue_end(c, err);
}

enum bm_status bm_catalog_progress_put(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                       const struct bm_catalog_progress *p, const uint8_t *digests, size_t digest_len,
                                       size_t count, struct bm_error *err)
{
	uint64_t first = p->next_block - count;
	int64_t algorithm;
	enum bm_status status = catalog_algorithm_id(c, p->algorithm, &algorithm, err);

	if (status == BM_OK)
		status = catalog_queue_begin(c, err);
	if (status != BM_OK)
		return status;
	catalog_queue_add(c, SQL_PROGRESS_PUT,
	                  ARGS(val_int(root), val_blob(path, path_len), val_u64(p->size), val_int(p->mtime_ns),
	                       val_int(p->ctime_ns), val_u64(p->inode), val_int(algorithm), val_u64(p->block_bytes),
	                       val_u64(p->next_block), val_int(p->started_ns), val_int(p->updated_ns)));
	/* Those of an earlier beginning, which may have come further. */
	if (count > 0)
		catalog_queue_add(c, SQL_BLOCKS_DELETE_FROM,
		                  ARGS(val_int(root), val_blob(path, path_len), val_int(1), val_u64(first)));
	add_blocks(c, root, path, path_len, true, first, digests, digest_len, count);
	return catalog_queue_end(c, err);
}

enum bm_status bm_catalog_progress_clear(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                         struct bm_error *err)
{
	return catalog_queue(c, SQL_PROGRESS_DELETE, err, ARGS(val_int(root), val_blob(path, path_len)));
}
