/* hash_blocks.h - the step hash: digests of each block of a file besides. For hash.c. */
#ifndef HASH_BLOCKS_H
#define HASH_BLOCKS_H

#include "block_digests.h"
#include "digest_stage.h"

struct hash_file {
	struct digest_file d; /* first: digest_stage.h */
	struct block_digests b;
	bool is_begun, is_given_up;
};

struct hash_blocks { /* constant once it is prepared */
	struct digest_set *set;
	uint64_t size_bytes; /* of a block; 0: no blocks */
	bool is_input;       /* the bytes are the input's, whose size is known beforehand */
};

/* Adds the stage, behind the digests' own. b->set is set, and its stages are there. */
enum bm_status hash_blocks_stage(struct hash_blocks *b, struct bm_plan *plan, struct bm_error *err) BM_NODISCARD;
/* The file is through and good: its blocks into its result. */
void hash_blocks_add(const struct hash_blocks *b, struct bm_file *f, struct hash_file *hf);
void hash_blocks_end(struct hash_file *hf);

#endif
