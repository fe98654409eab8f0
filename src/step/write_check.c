/*
 * write_check.c - outputs that are read back from the disk and compared with what was written.
 *
 * What was written is known by its XXH128: this is about accidents, a bit that flipped between here and the disk, and
 * nobody forges those; a checksum of 128 bits misses one of them in 10^38, and costs a fraction of a SHA-256. It is made of
 * the bytes as they are given to the sink, so what a step did wrong before that is not found here: a decode or a hash
 * step finds that.
 */
#include <string.h>

#include "bm_digest.h"
#include "step_internal.h"

bool bm_write_rereads(const struct bm_job *job, const struct bm_step *s)
{
	const struct bm_write_params *p = &s->p.write;

	return p->verify == BM_WRITE_VERIFY_REREAD ||
	       (p->verify == BM_WRITE_VERIFY_AUTO && job->steps[0].p.read.remove);
}

static enum bm_status take(void *arg, const uint8_t *data, size_t len, struct bm_error *err)
{
	struct bm_digest *digest = arg;

	return bm_digest_update(digest, data, len, err);
}

enum bm_status bm_output_check(struct bm_sink *s, const struct bm_output_sum *sum, const struct bm_blocker *b,
                               struct bm_error *err)
{
	uint8_t found[BM_DIGEST_MAX_BYTES];
	struct bm_digest *digest = NULL;
	enum bm_status status;

	if (!sum->is_set)
		return BM_OK;
	status = bm_digest_create(bm_digest_find("xxh128"), &digest, err);
	if (status == BM_OK)
		status = bm_sink_reread(s, bm_sink_size(s) - sum->bytes, take, digest, b, err);
	if (status == BM_OK)
		status = bm_digest_finish(digest, found, err);
	if (status == BM_OK && memcmp(found, sum->sum, sizeof(sum->sum)) != 0)
		status = bm_sink_refuse(
			s, BM_ERR_MISMATCH, err,
			"other bytes were read back from the disk than were written: not put in place; check "
			"the disk, its cable and the memory of this machine");
	bm_digest_destroy(digest);
	return status;
}
