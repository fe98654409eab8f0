/*
 * bm_order.h - puts what many threads finish in any order back into listing order, within bounded memory.
 *
 * Every index 0, 1, 2 ... is put exactly once, by any thread; emit is called for each in turn. A blob whose turn has not
 * come waits in memory; past memory_bytes the waiting ones go to an unlinked temporary file in $TMPDIR or /tmp. Memory
 * stays within memory_bytes (and a floor of some 64 KiB) however many blobs wait, but for single blobs that are larger
 * than that. When every put has returned, every blob has been emitted, unless an index is missing or the order failed.
 */
#ifndef BM_ORDER_H
#define BM_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_mem.h"

struct bm_order;

/* emit: called in index order, one call at a time, from within bm_order_put of some thread, with no lock held; it may
 * block and must not call into the order. data (len bytes, may be 0) is borrowed for the call. ctx is borrowed until
 * destroy. BM_ERR_NOMEM, BM_ERR_SYSTEM. The temporary file is made when it is first needed. */
enum bm_status bm_order_create(size_t memory_bytes, void (*emit)(void *ctx, const void *data, size_t len), void *ctx,
                               struct bm_order **out, struct bm_error *err) BM_NODISCARD;
/* NULL is fine. No put may be under way. What still waits is dropped. */
void bm_order_destroy(struct bm_order *o);

/* Any thread. blob is left empty, also on failure; its memory is taken over where it has to wait, else left with it for
 * the next one: bm_buf_fini it in the end. The calling thread may be kept to emit what is in turn
 * (for as long as emit takes), to write to the temporary file, or to wait for a thread that does; never to wait for emit
 * in another thread.
 * BM_ERR_NOMEM (or blob is oom), BM_ERR_SYSTEM (ENOSPC, EIO ...): the order has failed, from then on nothing can be
 * said of what is emitted but that it is in order and without gaps, and every later put returns the same error.
 * BM_ERR_USAGE: the index has had its turn; this does not make the order fail. */
enum bm_status bm_order_put(struct bm_order *o, uint64_t index, struct bm_buf *blob, struct bm_error *err) BM_NODISCARD;
bool bm_order_failed(struct bm_order *o); /* any thread */

struct bm_order_stats {
	uint64_t emitted;       /* blobs; short of what a thread that emits from the file has just done */
	uint64_t spills;        /* how often waiting blobs were written out */
	uint64_t merges;        /* how often runs were merged into one */
	uint64_t written_bytes; /* to the temporary file, merges included */
	size_t peak_runs;       /* sorted runs in the file at one time */
};
void bm_order_get_stats(struct bm_order *o, struct bm_order_stats *out); /* any thread */

#endif
