/*
 * bm_record.h - a struct bm_file_result as a string of bytes and back, for the time between the thread that finishes a
 * file and its turn in the listing. Good within one process only: not a file format. No shared state: any thread, one at
 * a time per view.
 */
#ifndef BM_RECORD_H
#define BM_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include <bytemill/bytemill.h>

#include "bm_mem.h"

/* A decoded record. Zero-initialise; reuse it for one record after another. */
struct bm_record_view {
	struct bm_file_result file; /* its strings point into the record, or are static; its arrays are the view's */
	struct bm_error error;      /* what file.error points to where there is one; else stale */
	struct bm_file_digest *digests; /* owned, as outputs */
	size_t digest_cap;
	struct bm_file_output *outputs;
	size_t output_cap;
	struct bm_file_blocks *blocks;
	size_t blocks_cap;
	struct bm_file_damage damage; /* as error */
	bool oom;                     /* why decode gave false: for want of memory */
};

/* Appends f to out. Fails only by out->oom. Every pointer in f that may be missing may be NULL, and comes back so. */
void bm_record_encode(struct bm_buf *out, const struct bm_file_result *f);
/* Makes v->file from what encode appended; data must live as long as it is used. False: data is not such a record, whole
 * and with nothing after it, or there was no memory for the arrays (v->oom); v may then only be used again or freed. */
bool bm_record_decode(struct bm_record_view *v, const void *data, size_t len) BM_NODISCARD;
void bm_record_view_fini(struct bm_record_view *v); /* frees; v is zeroed and may be used again */

#endif
