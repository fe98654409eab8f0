/*
 * block_digests.c - see block_digests.h.
 *
 * One state goes from block to block. Chunks and blocks need not fit: a block may be many chunks, a chunk many blocks, and
 * behind a step that changes the bytes chunks have any length.
 */
#include "block_digests.h"

#include "bm_error.h"
#include "bm_step.h"

uint64_t block_digests_fit(uint64_t size_bytes, uint64_t file_bytes)
{
	while (file_bytes > 0 && (file_bytes - 1) / size_bytes >= BM_HASH_BLOCKS_COUNT_MAX)
		size_bytes *= 2;
	return size_bytes;
}

static enum bm_status finish_block(struct block_digests *b, struct bm_error *err)
{
	uint8_t out[BM_DIGEST_MAX_BYTES];
	enum bm_status status = bm_digest_finish(b->d, out, err);

	if (status == BM_OK)
		status = bm_digest_reset(b->d, err);
	if (status != BM_OK)
		return status;
	bm_buf_put(&b->out, out, b->algorithm->size_bytes);
	b->in_block = 0;
	b->count++;
	return b->out.oom ? bm_error_set_nomem(err) : BM_OK;
}

enum bm_status block_digests_put(struct block_digests *b, const uint8_t *data, size_t len, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (b->d == NULL && len > 0)
		status = bm_digest_create(b->algorithm, &b->d, err);
	while (status == BM_OK && len > 0) {
		uint64_t room = b->size_bytes - b->in_block;
		size_t n = len < room ? len : (size_t)room;

		status = bm_digest_update(b->d, data, n, err);
		data += n;
		len -= n;
		b->in_block += n;
		if (status == BM_OK && b->in_block == b->size_bytes)
			status = finish_block(b, err);
	}
	return status;
}

enum bm_status block_digests_end(struct block_digests *b, struct bm_error *err)
{
	return b->in_block > 0 ? finish_block(b, err) : BM_OK;
}

void block_digests_fini(struct block_digests *b)
{
	bm_digest_destroy(b->d);
	b->d = NULL;
	bm_buf_fini(&b->out);
}
