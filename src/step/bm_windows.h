/*
 * bm_windows.h - how much memory the zstd windows of a run may take that its budget does not reckon with.
 *
 * A window is as large as the file says, up to 2 GiB, and is held as long as the frame is read: too much to set aside
 * beforehand for every file that might turn out to want one. So the large ones of all jobs of a run are counted here
 * when they are wanted, and a file that wants one too many waits until another one is through. See windows.c for why
 * this cannot deadlock, and where it does not wait though it should.
 */
#ifndef BM_WINDOWS_H
#define BM_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include <bytemill/error.h>

#include "bm_flow.h"

struct bm_windows;

/* Up to this a window is in the budget, one a CPU, and not counted here: zstd's at its middle levels. */
#define BM_WINDOW_USUAL ((uint64_t)2 << 20)

/* One window, or none yet: embedded in what holds it, zeroed, and not moved while bytes is not 0. */
struct bm_window_claim {
	/* Written by take and give under the lock of struct bm_windows; the holder may read bytes. */
	uint64_t bytes;
	const struct bm_flow *flow;
	uint64_t index;
	struct bm_window_claim *next;
};

/* limit_bytes: of all together; a single one may be larger. BM_ERR_NOMEM. The caller destroys *out after all claims were
 * given back. */
enum bm_status bm_windows_create(uint64_t limit_bytes, struct bm_windows **out, struct bm_error *err) BM_NODISCARD;
void bm_windows_destroy(struct bm_windows *x); /* NULL is fine */
/* Takes bytes (> 0) for a stream of w's flow, the index-th that the flow has opened; c holds nothing. Waits, without a
 * permit, where that would be too much; may_wait false: never, as for a stream that may itself wait for another one.
 * In a callback that may block. */
void bm_windows_take(struct bm_windows *x, struct bm_window_claim *c, uint64_t bytes, uint64_t index, bool may_wait,
                     struct bm_worker *w);
/* Gives back what c holds, which may be nothing. Any thread. */
void bm_windows_give(struct bm_windows *x, struct bm_window_claim *c);
/* The most that were held at once, for tests. */
uint64_t bm_windows_peak_bytes(struct bm_windows *x);

#endif
