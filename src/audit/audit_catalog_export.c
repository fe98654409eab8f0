/*
 * audit_catalog_export.c - what the catalog has on record of files, as the lines of a manifest: for bytemill catalog
 * --export, and for a repair, which wants one of the files that are not well.
 */
#include <errno.h>

#include "audit_catalog.h"
#include "bm_digest.h"
#include "bm_error.h"
#include "bm_manifest.h"

#define FLUSH_BYTES ((size_t)64 << 10)

enum bm_status bm_audit_catalog_put_line(struct bm_catalog *c, int64_t root, const struct bm_catalog_file *f,
                                         const struct bm_manifest_style *style, struct bm_buf *blocks,
                                         struct bm_buf *out, struct bm_error *err)
{
	const struct bm_digest_algorithm *known = bm_digest_find(f->algorithm);
	struct bm_manifest_digest d = {
		.algorithm = known, .name = f->algorithm, .bytes = f->digest, .len = f->digest_len};
	struct bm_manifest_entry e = {
		.name = f->path,
		.name_len = f->path_len,
		.digests = &d,
		.digest_count = f->digest_len > 0,
		.has_size = true,
		.size_bytes = f->size,
		.has_mtime = true,
		.mtime_ns = f->mtime_ns,
	};

	bm_buf_reset(blocks);
	if (f->block_bytes > 0 && known != NULL && style->kind == BM_MANIFEST_KIND_JSON) {
		enum bm_status status =
			bm_catalog_blocks_get(c, root, f->path, f->path_len, true, &e.blocks.size_bytes, blocks, err);

		if (status != BM_OK)
			return status;
		e.blocks.algorithm = known;
		e.blocks.name = f->algorithm;
		e.blocks.bytes = (const uint8_t *)blocks->data;
		e.blocks.digest_len = known->size_bytes;
		e.blocks.count = blocks->len / known->size_bytes;
		e.has_blocks = e.blocks.count > 0;
	}
	return bm_manifest_put_entry(out, style, &e, err);
}

static enum bm_status flush(struct bm_buf *lines, FILE *to, struct bm_error *err)
{
	if (fwrite(lines->data, 1, lines->len, to) != lines->len)
		return bm_error_set_errno(err, errno, NULL, "the temporary file with the records of damaged files");
	bm_buf_reset(lines);
	return BM_OK;
}

enum bm_status bm_audit_catalog_put_bad(struct bm_audit_catalog *a, FILE *to, struct bm_error *err)
{
	struct bm_manifest_style style = {.kind = BM_MANIFEST_KIND_JSON};
	struct bm_buf blocks = {0}, lines = {0};
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f = NULL;
	enum bm_status status = bm_catalog_files_open_bad(a->c, a->root.id, &files, err);

	while (status == BM_OK) {
		status = bm_catalog_files_next(files, &f, err);
		if (status != BM_OK || f == NULL)
			break;
		if (f->algorithm != NULL)
			status = bm_audit_catalog_put_line(a->c, a->root.id, f, &style, &blocks, &lines, err);
		if (status == BM_OK && lines.len >= FLUSH_BYTES)
			status = flush(&lines, to, err);
	}
	if (status == BM_OK && lines.len > 0)
		status = flush(&lines, to, err);
	if (status == BM_OK && fflush(to) != 0)
		status = bm_error_set_errno(err, errno, NULL, "the temporary file with the records of damaged files");
	bm_catalog_files_close(files);
	bm_buf_fini(&blocks);
	bm_buf_fini(&lines);
	return status;
}
