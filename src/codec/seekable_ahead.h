/*
 * seekable_ahead.h - private to src/codec: the sizes of BGZF blocks, found ahead of the walk over them (seekable_row.c)
 * and by several threads, where the source is for any thread. What it says of a block stands in the file, as if the walk
 * had looked there itself. One thread at a time.
 */
#ifndef BM_CODEC_SEEKABLE_AHEAD_H
#define BM_CODEC_SEEKABLE_AHEAD_H

#include "seekable_private.h"

struct seek_ahead;
/* src is borrowed until destroy. NULL: no memory, or the source is for one thread; the walk does without. */
struct seek_ahead *seek_ahead_create(const struct bm_seekable_source *src, const struct bm_seekable_options *opt);
void seek_ahead_destroy(struct seek_ahead *a); /* NULL is fine */
/* Fills in bytes and content_bytes of u, whose offset is known. False: look there. */
bool seek_ahead_get(struct seek_ahead *a, const struct seek_row *r, struct row_unit *u);

#endif
