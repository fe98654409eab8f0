/*
 * digest_stage.h - digests of a file's bytes as stages of a pipeline: what the steps hash and verify share.
 *
 * A SET is one step's algorithms, with a serial stage each, so that several digests of one file run on several CPUs, one
 * chunk behind the other. The part in each file (struct digest_file) is what file->state[set->index] begins with: made by
 * the first stage that sees the file, or, where the set is selective, by the step before the file's first chunk.
 */
#ifndef DIGEST_STAGE_H
#define DIGEST_STAGE_H

#include "bm_digest.h"
#include "bm_digest_lanes.h"
#include "bm_plan.h"

#define DIGEST_SET_MAX 32

struct digest_value {
	struct bm_digest *d;        /* while it goes on */
	struct bm_digest_lane lane; /* instead of d, where the algorithm has lanes */
	uint32_t crc;
	bool done;
	uint8_t out[BM_DIGEST_MAX_BYTES];
};

struct digest_file {
	uint64_t length;            /* of what was digested */
	uint32_t skip;              /* bit i: algorithm i is not wanted for this file; constant once it has a chunk */
	struct digest_value *value; /* one an algorithm; part of the same allocation */
};

struct digest_set;
struct digest_stage { /* the engine's argument for one algorithm's stage */
	struct digest_set *set;
	unsigned i; /* in algorithms */
	int slot;   /* combinable ones: where the chunk's checksum waits; -1: done serially */
};

struct digest_set {     /* constant once the stages are added, but for the stashes */
	unsigned index; /* the step's */
	bool is_selective;
	size_t file_bytes; /* of the step's own state, where the first stage makes it; 0: digest_file alone */
	size_t count;
	const struct bm_digest_algorithm *algorithms[DIGEST_SET_MAX];
	struct digest_stage stages[DIGEST_SET_MAX];
	struct bm_stash digests[DIGEST_SET_MAX];
};

/* The set is zeroed, but for index, is_selective and file_bytes. BM_ERR_LIMIT: more than DIGEST_SET_MAX. */
enum bm_status digest_set_add(struct digest_set *set, const struct bm_digest_algorithm *a, struct bm_error *err)
	BM_NODISCARD;
enum bm_status digest_set_stages(struct digest_set *set, struct bm_plan *plan, struct bm_error *err) BM_NODISCARD;
void digest_set_fini(struct digest_set *set); /* all files are through */

/* What comes after whole bytes of a step's own state in one allocation, zeroed: extra bytes behind the values. Sets
 * ->value. NULL: no memory. The caller frees. */
struct digest_file *digest_file_create(const struct digest_set *set, size_t whole, size_t extra);
/* Gives the states of a file that is through, or failed, back to the set; df may be NULL. */
void digest_file_end(struct digest_set *set, struct digest_file *df);

#endif
