/*
 * path_set.c - hashes instead of paths: ten million outputs take 512 MiB, and two different paths are taken
 * for one with a chance of less than 1 in 10^14.
 */
#include "path_set.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_mem.h"

#define FIRST_CAP ((size_t)1024) /* a power of two, as every capacity */

enum bm_status path_set_init(struct path_set *s, uint64_t max_bytes, struct bm_error *err)
{
	memset(s, 0, sizeof(*s));
	s->max_bytes = max_bytes;
	return bm_digest_create(bm_digest_find("xxh128"), &s->digest, err);
}

void path_set_fini(struct path_set *s)
{
	free(s->items);
	bm_digest_destroy(s->digest);
	memset(s, 0, sizeof(*s));
}

struct path_key path_set_key(struct path_set *s, const char *path, size_t len, uint32_t job)
{
	uint8_t out[BM_DIGEST_MAX_BYTES];
	struct path_key k = {0};

	/* xxHash does not fail. */
	if (bm_digest_reset(s->digest, NULL) == BM_OK && bm_digest_update(s->digest, path, len, NULL) == BM_OK &&
	    bm_digest_finish(s->digest, out, NULL) == BM_OK) {
		memcpy(&k.a, out, sizeof(k.a));
		memcpy(&k.b, out + sizeof(k.a), sizeof(k.b));
	}
	if (k.b == 0)
		k.b = 1;
	k.job = job;
	return k;
}

static size_t place_of(const struct path_set *s, struct path_key k)
{
	size_t i = (size_t)k.a & (s->cap - 1);

	while (s->items[i].b != 0 && !path_key_same(s->items[i], k))
		i = (i + 1) & (s->cap - 1);
	return i;
}

const struct path_key *path_set_find(const struct path_set *s, struct path_key k)
{
	if (s->cap == 0)
		return NULL;
	const struct path_key *at = &s->items[place_of(s, k)];
	return at->b != 0 ? at : NULL;
}

static enum bm_status grow(struct path_set *s, struct bm_error *err)
{
	struct path_set grown = *s;

	grown.cap = s->cap > 0 ? s->cap * 2 : FIRST_CAP;
	if (grown.cap * sizeof(*s->items) > s->max_bytes)
		return bm_error_set(
			err, BM_ERR_LIMIT, NULL,
			"too many files to look for conflicts among their outputs in this much memory; raise "
			"memory, or use one read root and {path} in every target");
	grown.items = bm_calloc_array(grown.cap, sizeof(*grown.items));
	if (grown.items == NULL)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < s->cap; i++)
		if (s->items[i].b != 0)
			grown.items[place_of(&grown, s->items[i])] = s->items[i];
	free(s->items);
	*s = grown;
	return BM_OK;
}

enum bm_status path_set_add(struct path_set *s, struct path_key k, bool *was_in, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	*was_in = path_set_find(s, k) != NULL;
	if (*was_in)
		return BM_OK;
	if (s->count + 1 > s->cap / 2)
		status = grow(s, err);
	if (status == BM_OK) {
		s->items[place_of(s, k)] = k;
		s->count++;
	}
	return status;
}
