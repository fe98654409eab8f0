/*
 * gzip_encode.h - private to src/codec: what the layouts made of members share. Each is for one thread at a time per
 * encoder, allocates nothing and never blocks.
 */
#ifndef BM_CODEC_GZIP_ENCODE_H
#define BM_CODEC_GZIP_ENCODE_H

#include "gzip_engine.h"

/* Deflates a whole chunk; never longer than in_len and GZIP_STORED_HEAD bytes for each GZIP_STORED_MAX of it (2 bytes
 * for an empty chunk). out_cap >= that; what the engine may use of it is a matter of in_len and out_cap, so that out_cap
 * must be the same for the same in_len. Returns the length. */
size_t gzip_deflate_chunk(struct bm_gzip_encoder *e, const void *in, size_t in_len, uint8_t *out, size_t out_cap);
int gzip_encoder_level(const struct bm_gzip_encoder *e);
/* BM_ERR_USAGE for a chunk over 1 GiB, or a buffer below bound. */
enum bm_status gzip_check_sizes(size_t in_len, size_t bound, size_t out_cap, struct bm_error *err) BM_NODISCARD;

#endif
