/* path_set.h - a set of the paths that a run writes, each with the job that writes it. For outputs_claim.c, under its
 * callers' lock. */
#ifndef PATH_SET_H
#define PATH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

#include "bm_digest.h"

/* 16 bytes a path: a hash of it, and the job's number. */
struct path_key {
	uint64_t a;
	uint32_t b;   /* never 0: 0 marks a free place */
	uint32_t job; /* not part of what is compared */
};

struct path_set {
	struct path_key *items; /* open addressing */
	size_t cap, count;
	uint64_t max_bytes; /* of items */
	struct bm_digest *digest;
};

enum bm_status path_set_init(struct path_set *s, uint64_t max_bytes, struct bm_error *err) BM_NODISCARD;
void path_set_fini(struct path_set *s); /* zeroes are fine */
struct path_key path_set_key(struct path_set *s, const char *path, size_t len, uint32_t job);
static inline bool path_key_same(struct path_key x, struct path_key y)
{
	return x.a == y.a && x.b == y.b;
}
/* The key of the same path that is in the set, or NULL. */
const struct path_key *path_set_find(const struct path_set *s, struct path_key k);
/* *was_in: it is there already, and stays the other's. BM_ERR_LIMIT past max_bytes. */
enum bm_status path_set_add(struct path_set *s, struct path_key k, bool *was_in, struct bm_error *err) BM_NODISCARD;

#endif
