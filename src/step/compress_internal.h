/* compress_internal.h - what the files of the step `compress` share. */
#ifndef COMPRESS_INTERNAL_H
#define COMPRESS_INTERNAL_H

#include "step_internal.h"

/* Format zstd: takes the place of bm_compress_ops, which hands all calls on. */
extern const struct bm_step_ops bm_compress_zstd_ops;

#endif
