/*
 * write_index.c - see write_index.h.
 *
 * All that the index says stands in the blocks themselves: each tells its length in its header and its content's in its
 * last four bytes. So it is made from the bytes that are written, in the order in which they are, and the step that
 * compressed them need not know of it. An entry is 16 bytes in 60 KiB; they are written as they come, so that memory does
 * not grow with the file, and the count, which comes first and is known last, is put in at the end.
 *
 * The end block (and any other without content) is left out, as bgzip does.
 */
#include "write_index.h"

#include <stdlib.h>

#include "bm_error.h"
#include "bm_gzip.h"
#include "bm_mem.h"

#define ENTRIES 256 /* written at once */

struct write_index {
	struct bm_sink *sink;
	char *path;
	struct bm_gzip_gzi gzi;
	size_t pending; /* bytes in entries */
	uint8_t entries[ENTRIES * BM_GZIP_GZI_ENTRY_BYTES];
};

static enum bm_status flush(struct write_index *x, const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status = bm_sink_write(x->sink, x->entries, x->pending, false, b, err);

	x->pending = 0;
	return status;
}

enum bm_status write_index_open(struct bm_sink_set *set, const char *path, const struct bm_sink_options *opt,
                                const struct bm_blocker *b, struct write_index **out, struct bm_error *err)
{
	static const uint8_t no_count[BM_GZIP_GZI_COUNT_BYTES];
	struct bm_sink_options o = *opt;
	struct bm_buf name = {0};
	struct write_index *x = calloc(1, sizeof(*x));
	enum bm_status status;
	bool skipped;

	*out = NULL;
	o.if_exists = BM_EXISTS_REPLACE; /* it is the output's, which is made anew */
	o.make_holes = false;
	bm_buf_puts(&name, path);
	bm_buf_puts(&name, WRITE_INDEX_SUFFIX);
	if (x != NULL)
		x->path = bm_buf_take(&name);
	if (x == NULL || x->path == NULL) {
		bm_buf_fini(&name);
		free(x);
		return bm_error_set_nomem(err);
	}
	status = bm_sink_open(set, x->path, &o, b, &x->sink, &skipped, err);
	if (status == BM_OK)
		status = bm_sink_write(x->sink, no_count, sizeof(no_count), false, b, err);
	if (status != BM_OK) {
		write_index_abort(x);
		return status;
	}
	*out = x;
	return BM_OK;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum bm_status write_index_add(struct write_index *x, const uint8_t *data, size_t len, const struct bm_blocker *b,
                               struct bm_error *err)
{
	while (len > 0) {
		struct bm_gzip_bgzf_block block;
		struct bm_gzip_header h;
		enum bm_status status;

		if (bm_gzip_peek_header(data, len, &h) != BM_GZIP_PEEK_OK || !h.bgzf || h.member_bytes > len)
			return bm_error_set(err, BM_ERR_FAILED, NULL,
			                    "what is to be indexed is not made of whole BGZF blocks: this is a defect");
		block = (struct bm_gzip_bgzf_block){(uint32_t)h.member_bytes, get_u32(data + h.member_bytes - 4)};
		data += h.member_bytes;
		len -= h.member_bytes;
		if (block.plain_bytes == 0)
			continue;
		x->pending += bm_gzip_gzi_add(&x->gzi, &block, 1, x->entries + x->pending);
		if (x->pending < sizeof(x->entries))
			continue;
		status = flush(x, b, err);
		if (status != BM_OK)
			return status;
	}
	return BM_OK;
}

enum bm_status write_index_finish(struct write_index *x, const struct bm_blocker *b, struct write_index_done *done,
                                  struct bm_error *err)
{
	uint8_t count[BM_GZIP_GZI_COUNT_BYTES];
	enum bm_status status = flush(x, b, err);

	bm_gzip_gzi_put_count(count, x->gzi.entries);
	if (status == BM_OK)
		status = bm_sink_patch(x->sink, 0, count, sizeof(count), b, err);
	*done = (struct write_index_done){x->sink, x->path, bm_sink_size(x->sink)};
	free(x);
	return status;
}

void write_index_abort(struct write_index *x)
{
	if (x == NULL)
		return;
	bm_sink_abort(x->sink);
	free(x->path);
	free(x);
}
