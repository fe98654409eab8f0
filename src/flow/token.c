/*
 * token.c - tokens: the right to have a chunk in flight, with the buffers that it will need until it is done.
 *
 * A stream takes one token for each of its segments when it opens (the reserve, all or nothing), so that every segment
 * can always move its next chunk whatever the others hold. That is why the engine cannot deadlock: the oldest stream of
 * a flow waits for nobody, and each of its chunks, once admitted, needs nothing more that is limited. Further tokens are
 * taken from what is left of the budget, at most half of it for one stream while others could use it.
 *
 * in_use counts what tokens may need, allocated what buffers really exist: buffers of finished chunks are kept for the
 * next chunk of the same flow and segment, last in first out, since the most recent one is warm in the cache. Where
 * new buffers would pass the budget, kept ones are freed first; since allocated minus kept never passes in_use, there
 * is then always room.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "flow_internal.h"

/* Whole pages would waste most of a toy pipeline's budget; a cache line is what the codecs want. */
#define BUFFER_ALIGN 64
/* From here on buffers are pages of their own, which go back to the system when they are freed. malloc would keep them:
 * after the first free of a large block it takes such blocks from its arenas, where the buffers of one segment leave
 * holes that those of another do not fit into (measured: 285 MB with a budget of 64 MiB). */
#ifdef __SANITIZE_ADDRESS__
#define MAP_BYTES SIZE_MAX /* malloc's red zones are worth more there */
#else
#define MAP_BYTES ((size_t)128 << 10)
#endif

/* Buffers that hold huge pages (2 MiB on most machines) ask for them: filling one for the first time then costs 4 page
 * faults and not 2,000. Their bytes are in the budget whether they are touched or not. */
#define HUGE_BYTES ((size_t)4 << 20)

static void free_buffer(void *buf, size_t bytes)
{
	if (buf != NULL && bytes >= MAP_BYTES)
		munmap(buf, bytes);
	else
		free(buf);
}

static void free_item_locked(struct bm_pool *p, struct bm_item *it, size_t token_bytes)
{
	free_buffer(it->c.buf[0], it->c.cap[0]);
	free_buffer(it->c.buf[1], it->c.cap[1]);
	free(it);
	p->allocated -= token_bytes;
}

void bm_flow_free_items_locked(struct bm_flow *f)
{
	for (size_t g = 0; g < f->pl.segment_count; g++) {
		while (f->free_items[g] != NULL) {
			struct bm_item *it = f->free_items[g];

			f->free_items[g] = it->next;
			free_item_locked(f->pool, it, f->token_bytes[g]);
		}
	}
}

static void *alloc_buffer(size_t bytes)
{
	/* The size of aligned_alloc must be a multiple of the alignment. */
	size_t rounded = (bytes + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;

	if (rounded < bytes)
		return NULL;
	if (bytes < MAP_BYTES)
		return aligned_alloc(BUFFER_ALIGN, rounded);
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return NULL;
	if (bytes >= HUGE_BYTES)
		(void)madvise(pages, bytes, MADV_HUGEPAGE); /* not every kernel has them, or has one free */
	return pages;
}

static struct bm_item *new_item_locked(struct bm_flow *f, unsigned segment)
{
	struct bm_pool *p = f->pool;
	const struct bm_segment *seg = &f->pl.segments[segment];
	struct bm_item *it;

	for (struct bm_flow *other = p->flows_head; other != NULL && p->allocated + f->token_bytes[segment] > p->budget;
	     other = other->next)
		bm_flow_free_items_locked(other);

	it = calloc(1, sizeof(*it));
	if (it == NULL)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		if (seg->buffer_bytes[i] == 0)
			continue;
		it->c.buf[i] = alloc_buffer(seg->buffer_bytes[i]);
		it->c.cap[i] = seg->buffer_bytes[i];
		if (it->c.buf[i] == NULL) {
			free_buffer(it->c.buf[0], it->c.cap[0]);
			free(it);
			return NULL;
		}
	}
	p->allocated += f->token_bytes[segment];
	if (p->allocated > p->allocated_peak)
		p->allocated_peak = p->allocated;
	return it;
}

/* Is there anyone else in this flow or another who could use the memory? */
static bool others_wait(const struct bm_stream *s)
{
	const struct bm_flow *f = s->flow;

	return f->open_count > 1 || f->planned_count > 0 || !f->source_ended ||
	       f->pool->flows_head != f->pool->flows_tail;
}

bool bm_item_can_take_locked(const struct bm_stream *s, unsigned segment)
{
	const struct bm_flow *f = s->flow;
	const struct bm_pool *p = f->pool;
	size_t bytes = f->token_bytes[segment];

	if (!s->segments[segment].reserve_used)
		return true;
	if (s->segments[segment].in_flight >= p->window || p->starving != NULL)
		return false;
	if (bytes > p->budget - p->in_use || (p->exhausted && f->free_items[segment] == NULL))
		return false;
	return !others_wait(s) || s->held_bytes + f->min_bytes + bytes <= p->budget / 2;
}

static void start_item_locked(struct bm_item *it, struct bm_stream *s, unsigned segment)
{
	s->segments[segment].in_flight++;
	s->items++;
	it->next = NULL;
	it->prev = NULL;
	it->stream = s;
	it->segment = segment;
	it->stage = 0;
	it->failed = false;
	it->solo = it->alone = false;
	it->c.seq = 0;
	it->c.tag = 0;
	it->c.last = false;
	it->c.hole = false;
	it->c.data = it->c.buf[0];
	it->c.len = 0;
	it->c.pos = 0;
}

/* The token and its buffers; NULL where no buffers could be had. Wants bm_item_can_take_locked. */
struct bm_item *bm_item_take_locked(struct bm_stream *s, unsigned segment)
{
	struct bm_flow *f = s->flow;
	struct bm_segment_state *seg = &s->segments[segment];
	struct bm_item *it = f->free_items[segment];

	if (it != NULL) {
		f->free_items[segment] = it->next;
	} else if ((it = new_item_locked(f, segment)) == NULL) {
		f->pool->exhausted = true;
		return NULL;
	}

	it->is_reserve = !seg->reserve_used;
	if (it->is_reserve) {
		seg->reserve_used = true;
	} else {
		f->pool->in_use += f->token_bytes[segment];
		s->held_bytes += f->token_bytes[segment];
	}
	start_item_locked(it, s, segment);
	return it;
}

/* The failed last chunk of a segment; it cannot fail itself. At most once a segment, since the segment ends with it. */
struct bm_item *bm_item_stub_locked(struct bm_stream *s, unsigned segment)
{
	struct bm_item *it = &s->segments[segment].stub;

	it->is_stub = true;
	start_item_locked(it, s, segment);
	it->failed = true;
	it->err_segment = segment;
	it->c.last = true;
	return it;
}

/* A stream may sleep for hours: all that it keeps from others meanwhile is what was promised to it anyway. */
void bm_item_sleep_locked(struct bm_stream *s, unsigned segment)
{
	struct bm_segment_state *seg = &s->segments[segment];
	struct bm_item *it = seg->partial;
	size_t bytes = s->flow->token_bytes[segment];

	if (!seg->asleep || it == NULL || it->is_reserve || seg->reserve_used)
		return;
	it->is_reserve = seg->reserve_used = true;
	s->flow->pool->in_use -= bytes;
	s->held_bytes -= bytes;
}

void bm_item_release_locked(struct bm_item *it)
{
	struct bm_stream *s = it->stream;
	struct bm_flow *f = s->flow;
	struct bm_segment_state *seg = &s->segments[it->segment];

	seg->in_flight--;
	s->items--;
	f->pool->chunks++;
	if (it->is_stub)
		return;
	if (it->is_reserve) {
		seg->reserve_used = false;
		bm_item_sleep_locked(s, it->segment);
	} else {
		f->pool->in_use -= f->token_bytes[it->segment];
		s->held_bytes -= f->token_bytes[it->segment];
	}
	it->stream = NULL;
	it->next = f->free_items[it->segment];
	f->free_items[it->segment] = it;
}
