/*
 * block_digests.h - digests of equal pieces of one file, the last of which is what is left, as its bytes come by: for the
 * steps hash and verify. One thread at a time.
 */
#ifndef BLOCK_DIGESTS_H
#define BLOCK_DIGESTS_H

#include "bm_digest.h"
#include "bm_mem.h"

/* The size that blocks of a file of so many bytes have, where size_bytes is wanted: twice as much as often as
 * it takes, so that there are no more than BM_HASH_BLOCKS_COUNT_MAX. */
uint64_t block_digests_fit(uint64_t size_bytes, uint64_t file_bytes);

struct block_digests { /* zeroed, but for the first two */
	const struct bm_digest_algorithm *algorithm;
	uint64_t size_bytes; /* of a block; > 0 */
	struct bm_digest *d; /* owned; NULL before the first byte */
	uint64_t in_block;   /* bytes of the block that is not full yet */
	size_t count;        /* of those that are */
	struct bm_buf out;   /* digest after digest; may be taken */
};

/* The next bytes of the file. BM_ERR_NOMEM, and as bm_digest_create. */
enum bm_status block_digests_put(struct block_digests *b, const uint8_t *data, size_t len, struct bm_error *err)
	BM_NODISCARD;
/* No more bytes come: count and out are all of the file then. */
enum bm_status block_digests_end(struct block_digests *b, struct bm_error *err) BM_NODISCARD;
void block_digests_fini(struct block_digests *b);

#endif
