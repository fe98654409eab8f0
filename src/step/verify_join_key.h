/* verify_join_key.h - 64 bits of a digest, and whose it is: what verify_join.c sorts to bring together what may be the
 * same. Any thread. */
#ifndef VERIFY_JOIN_KEY_H
#define VERIFY_JOIN_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key {
	uint64_t hash;
	uint32_t row;
	/* On the first key of a hash, while duplicates are looked for: all its new files have some listed file, or one that
	 * is ok: there is nothing left to do for them. */
	bool all_have_other, all_are_settled;
};
/* By hash, then by row. In place. */
void join_keys_sort(struct key *keys, size_t count);

#endif
