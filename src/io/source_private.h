/* source_private.h - what the sink's copy needs of a source. */
#ifndef BM_SOURCE_PRIVATE_H
#define BM_SOURCE_PRIVATE_H

#include "bm_source.h"

const char *bm_source_name(const struct bm_source *s); /* display, borrowed */

#endif
