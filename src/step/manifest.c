/*
 * manifest.c - a file's digests as an entry of bm_manifest.h, which knows what the lines are like.
 *
 * The size in an entry is that of what was digested: behind a compress step it is not the input's.
 */
#include "manifest.h"

#include <string.h>

#include "bm_manifest.h"
#include "bm_step.h"

const char *const bm_manifest_formats[] = {
	[BM_MANIFEST_GNU] = "gnu",           [BM_MANIFEST_BSD] = "bsd",       [BM_MANIFEST_JSON] = "json",
	[BM_MANIFEST_HASHDEEP] = "hashdeep", [BM_MANIFEST_BAGIT] = "bagit",   [BM_MANIFEST_SFV] = "sfv",
	[BM_MANIFEST_RCLONE] = "rclone",     [BM_MANIFEST_XXHSUM] = "xxhsum", NULL,
};

enum bm_status bm_step_put_manifest(struct bm_buf *out, const struct bm_manifest_style *style,
                                    const struct bm_file_result *r, unsigned step,
                                    const struct bm_digest_algorithm *only, const char *name, bool with_mtime,
                                    struct bm_error *err)
{
	struct bm_manifest_digest digests[BM_MANIFEST_DIGESTS_MAX];
	struct bm_manifest_entry e = {.name = name, .name_len = strlen(name), .digests = digests};

	for (size_t i = 0; i < r->digest_count && e.digest_count < BM_MANIFEST_DIGESTS_MAX; i++) {
		const struct bm_file_digest *d = &r->digests[i];

		if (d->step != step || (only != NULL && strcmp(only->name, d->algorithm) != 0))
			continue;
		digests[e.digest_count++] = (struct bm_manifest_digest){.algorithm = bm_digest_find(d->algorithm),
		                                                        .name = d->algorithm,
		                                                        .bytes = d->bytes,
		                                                        .len = d->len};
		e.has_size = true;
		e.size_bytes = d->length;
	}
	for (size_t i = 0; i < r->blocks_count && style->kind == BM_MANIFEST_KIND_JSON; i++) {
		const struct bm_file_blocks *b = &r->blocks[i];

		if (b->step != step)
			continue;
		e.has_blocks = true;
		e.blocks = (struct bm_manifest_blocks){.size_bytes = b->size_bytes,
		                                       .algorithm = bm_digest_find(b->algorithm),
		                                       .name = b->algorithm,
		                                       .bytes = b->bytes,
		                                       .count = b->count,
		                                       .digest_len = b->digest_len};
	}
	e.has_mtime = with_mtime && r->has_mtime;
	e.mtime_ns = r->mtime_ns;
	return bm_manifest_put_entry(out, style, &e, err);
}
