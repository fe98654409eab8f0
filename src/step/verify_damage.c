/*
 * verify_damage.c - which bytes of a file are damaged, where the manifest has digests of its blocks.
 *
 * They are compared when the file is read again (verify_again.c), so a file that is well costs nothing. Blocks are those
 * of the manifest: where the file is longer now, its last block ends where it did; where it is shorter, what is not there
 * is damaged.
 */
#include <stdlib.h>
#include <string.h>

#include "verify.h"

bool verify_takes_blocks(const struct bm_manifest_entry *e)
{
	const struct bm_manifest_blocks *b = &e->blocks;

	if (!e->has_blocks || !e->has_size || b->algorithm == NULL)
		return false;
	return b->count == e->size_bytes / b->size_bytes + (e->size_bytes % b->size_bytes != 0);
}

void verify_damage_add(struct bm_file_damage *d, uint64_t first, uint64_t last, bool is_adjacent)
{
	d->damaged_bytes += last - first + 1;
	if (!is_adjacent)
		d->span_count++;
	if (d->span_count > BM_DAMAGE_SPANS)
		return;
	if (!is_adjacent)
		d->spans[d->span_count - 1].first = first;
	d->spans[d->span_count - 1].last = last;
}

struct bm_file_damage *verify_damage(const struct verify_file *vf, const struct block_digests *found,
                                     uint64_t found_bytes)
{
	const struct bm_manifest_blocks *b = &vf->blocks;
	struct bm_file_damage *d = calloc(1, sizeof(*d));
	bool was_wrong = false;

	if (d == NULL)
		return NULL;
	d->size_bytes = vf->blocks_of_bytes;
	d->found_bytes = found_bytes;
	for (size_t i = 0; i < b->count; i++) {
		uint64_t first = i * b->size_bytes, left = vf->blocks_of_bytes - first;
		size_t at = i * b->digest_len;
		bool is_wrong = i >= found->count ||
		                memcmp((const uint8_t *)found->out.data + at, b->bytes + at, b->digest_len) != 0;

		if (is_wrong)
			verify_damage_add(d, first, first + (left < b->size_bytes ? left : b->size_bytes) - 1,
			                  was_wrong);
		was_wrong = is_wrong;
	}
	return d;
}
