/* source_private.h - what the sink's copy needs of a source. */
#ifndef BM_SOURCE_PRIVATE_H
#define BM_SOURCE_PRIVATE_H

#include "bm_source.h"

/* The next bm_source_read starts at offset. Only for a regular file whose size is known (stat size > 0). */
void bm_source_seek(struct bm_source *s, uint64_t offset);
const char *bm_source_name(const struct bm_source *s); /* display, borrowed */

#endif
