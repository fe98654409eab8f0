/*
 * budget.c - who may have how much of --memory, and on which threads: runs, uploads, what is decoded.
 *
 * Memory is shared out when the service starts, and not by who comes first: half is for runs, where the service runs
 * jobs and does something else, too (with jobs by name it does: what is sent may go through them), and each of --runs
 * has its part of that. Otherwise runs would wait for slow senders, which may take hours, and senders for runs. Of the
 * rest half is for the chunks of uploads, the uploads' pool; the other half is for their rings, for the uploads that go
 * through a job (?job=, which has a pool of its own), and for decoders. Who does not fit in is told to come again (503).
 *
 * That is only true where there is room for anybody at all when nobody else is there. So chunks and rings are as small
 * as it takes for four of them to fit in, and a decoder (decode.c) is content with all of that part, and has smaller
 * windows. A service whose memory is too little even for that does not start.
 *
 * All uploads that are only digested and written are flows of one pool, of as many threads as a run has: none of them
 * waits for a sender with a thread (BM_FILL_LATER), so that a few do for any number of senders, and those that are slow
 * keep none from those that are fast. Such an upload holds a ring and one chunk however slow it is, and both have the
 * same size; so the rings that fit in, into as much memory as the pool has, are no more than the pool has chunks, and no
 * upload waits for another one's memory.
 *
 * Runs have pools of their own, one for each of --runs (1 where nobody says), and not this one: what a job reads may be a
 * FIFO, another server, a file system that hangs, and each such read keeps a thread, for hours perhaps. One pool of all
 * would come to a stop when they have them all, and with it uploads that nothing is wrong with, or the very run that
 * would write into that FIFO. The kernel shares out the CPUs.
 */
#include "bm_cpus.h"
#include "bm_error.h"
#include "bm_flow.h"
#include "bm_text.h"
#include "serve_internal.h"
#include "upload.h"

#define IO_DEPTH 16 /* uploads that are synced at once */
#define AT_LEAST ((uint64_t)128 << 10)

static uint64_t upload_chunk_bytes(uint64_t rings_bytes)
{
	uint64_t chunk = UPLOAD_CHUNK_MOST;

	while (chunk > rings_bytes / 4 && chunk > UPLOAD_CHUNK_LEAST)
		chunk /= 2;
	return chunk;
}

enum bm_status serve_budget_share(struct bm_serve *s, struct bm_error *err)
{
	bool runs = s->opt.jobs != NULL || s->opt.submit_root_count > 0;
	bool files = s->inbox_fd >= 0 || s->outbox_fd >= 0 || s->opt.jobs != NULL; /* ?job= needs no inbox */

	if (s->opt.memory_bytes < AT_LEAST) {
		char have[16], want[16];

		return bm_error_set(err, BM_ERR_USAGE, NULL, "memory is %s, but the service needs %s at the least",
		                    bm_size_format(s->opt.memory_bytes, have), bm_size_format(AT_LEAST, want));
	}
	s->runs_bytes = !runs ? 0 : files ? s->opt.memory_bytes / 2 : s->opt.memory_bytes;
	s->files_bytes = s->opt.memory_bytes - s->runs_bytes;
	s->pool_bytes = s->inbox_fd >= 0 ? s->files_bytes / 2 : 0;
	s->files_bytes -= s->pool_bytes;
	s->upload_chunk_bytes = (size_t)upload_chunk_bytes(s->files_bytes);
	return BM_OK;
}

enum bm_status serve_budget_create(struct bm_serve *s, struct bm_error *err)
{
	struct bm_pool_options po = {.permits = s->opt.threads > 0 ? s->opt.threads : bm_cpu_count(),
	                             .io_depth = IO_DEPTH,
	                             .memory_bytes = (size_t)s->pool_bytes};

	return s->pool_bytes > 0 ? bm_pool_create(&po, &s->upload_pool, err) : BM_OK;
}

void serve_budget_destroy(struct bm_serve *s)
{
	bm_pool_destroy(s->upload_pool);
	s->upload_pool = NULL;
}

bool serve_budget_take(struct bm_serve *s, uint64_t bytes)
{
	uint_fast64_t used = atomic_load(&s->budget_used);

	do {
		if (bytes > s->files_bytes || used > s->files_bytes - bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&s->budget_used, &used, used + bytes));
	return true;
}

void serve_budget_give(struct bm_serve *s, uint64_t bytes)
{
	atomic_fetch_sub(&s->budget_used, bytes);
}

bool serve_budget_is_short(struct bm_serve *s)
{
	return atomic_load(&s->budget_used) > s->files_bytes - s->files_bytes / 8;
}
