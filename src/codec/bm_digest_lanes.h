/*
 * bm_digest_lanes.h - SHA-256 of two messages at once on one core.
 *
 * A LANE is one message, given in pieces that lie in memory. Two lanes go on side by side until one of them is through
 * with its piece; the other then goes on with another partner, or alone. Results are bm_digest's, to the bit.
 *
 * A lane belongs to one thread at a time. Nothing here fails, blocks or allocates. Source: FIPS 180-4.
 */
#ifndef BM_DIGEST_LANES_H
#define BM_DIGEST_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_digest.h"

#define BM_LANE_BLOCK 64

struct bm_digest_lane { /* all private; zero it before its first piece; must not be moved while it has one */
	bool started, has_piece;
	uint32_t state[8];   /* in the order that the CPU's instructions want */
	uint64_t total;      /* bytes of the message given so far */
	const uint8_t *next; /* the next block: in head, then in the piece, then in tail */
	size_t blocks;       /* at next */
	const uint8_t *body; /* the piece's own whole blocks, where next is still in head */
	size_t body_blocks;
	size_t tail_blocks; /* of padding, behind the piece that is the last */
	size_t tail_len;    /* bytes of no whole block yet, in tail; they come before the next piece */
	uint8_t head[BM_LANE_BLOCK];
	uint8_t tail[2 * BM_LANE_BLOCK];
};

/* Can this be done for the algorithm, on this CPU? If not, none of the others may be called. Any thread. */
bool bm_digest_has_lanes(const struct bm_digest_algorithm *a);
/* The message's next piece, borrowed until the lane is through with it; NULL where len is 0. The lane has none. */
void bm_digest_lane_give(struct bm_digest_lane *l, const void *data, size_t len, bool last);
/* Has it a piece that it is not through with? */
static inline bool bm_digest_lane_is_busy(const struct bm_digest_lane *l)
{
	return l->has_piece;
}
/* Both go on until at least one is through with its piece. Both are busy. */
void bm_digest_lanes_run(struct bm_digest_lane *a, struct bm_digest_lane *b);
/* Goes on alone, to the end of the piece. */
void bm_digest_lane_run(struct bm_digest_lane *l);
/* The digest, after the last piece. */
void bm_digest_lane_result(const struct bm_digest_lane *l, uint8_t out[static BM_DIGEST_MAX_BYTES]);

#endif
