/*
 * hash_blocks.c - the step hash: digests of each block, of the first of its algorithms.
 *
 * They are a serial stage of their own, beside that of the whole file's digest: the two run on two CPUs, one chunk behind
 * the other, and take the same time, so doing the chunks of one file in parallel would end no sooner. And it takes chunks
 * of any length, so it may stand behind any step. A file of one chunk and one block, as most are, has its whole digest for
 * that block's, and nothing is computed.
 *
 * All of a file's digests go into one line, which a reader holds in memory: BM_HASH_BLOCKS_COUNT_MAX of them are 4 MiB
 * there, and 2 here while the file is read. A larger file has larger blocks, twice as large as often as it takes. Where
 * the size is not known beforehand (pipes, bytes that were changed on the way) and there are too many, the line has none,
 * with a warning.
 */
#include "hash_blocks.h"

#include <inttypes.h>

static void begin(const struct hash_blocks *b, const struct bm_file *f, struct hash_file *hf)
{
	hf->is_begun = true;
	hf->b.algorithm = b->set->algorithms[0];
	hf->b.size_bytes = b->size_bytes;
	if (!b->is_input || f->source == NULL || !bm_source_is_regular(f->source))
		return;
	hf->b.size_bytes = block_digests_fit(b->size_bytes, (uint64_t)bm_source_stat(f->source)->st_size);
}

static enum bm_status blocks_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	const struct hash_blocks *b = arg;
	struct bm_file *f = stream;
	struct hash_file *hf = f->state[b->set->index]; /* made by the stages before */
	enum bm_status status;

	(void)w;
	if (!hf->is_begun) {
		begin(b, f, hf);
		if (c->last && c->len <= hf->b.size_bytes)
			return BM_OK;
	}
	if (hf->is_given_up)
		return BM_OK;
	status = block_digests_put(&hf->b, c->data, c->len, err);
	if (status == BM_OK && c->last)
		status = block_digests_end(&hf->b, err);
	if (hf->b.count > BM_HASH_BLOCKS_COUNT_MAX) {
		hf->is_given_up = true;
		block_digests_fini(&hf->b);
		bm_file_warn(f,
		             "has more than %d blocks of %" PRIu64
		             " bytes: the manifest has none of them; larger blocks are needed",
		             BM_HASH_BLOCKS_COUNT_MAX, hf->b.size_bytes);
	}
	return status;
}

enum bm_status hash_blocks_stage(struct hash_blocks *b, struct bm_plan *plan, struct bm_error *err)
{
	if (b->size_bytes == 0)
		return BM_OK;
	return bm_plan_stage(plan, BM_STAGE_SERIAL, blocks_run, b, err);
}

void hash_blocks_add(const struct hash_blocks *b, struct bm_file *f, struct hash_file *hf)
{
	struct bm_file_blocks blocks = {
		.step = b->set->index,
		.algorithm = hf->b.algorithm != NULL ? hf->b.algorithm->name : NULL,
		.size_bytes = hf->b.size_bytes,
		.bytes = (const uint8_t *)hf->b.out.data,
		.count = hf->b.count,
		.digest_len = hf->b.algorithm != NULL ? hf->b.algorithm->size_bytes : 0,
	};

	if (b->size_bytes == 0 || !hf->is_begun || hf->is_given_up)
		return;
	if (blocks.count == 0 && hf->d.length > 0) {
		blocks.bytes = hf->d.value[0].out;
		blocks.count = 1;
	}
	bm_file_add_blocks(f, &blocks);
}

void hash_blocks_end(struct hash_file *hf)
{
	if (hf != NULL)
		block_digests_fini(&hf->b);
}
