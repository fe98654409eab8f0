/*
 * stream.c - a stream on its way: filling chunks, gates, segments, errors, the end.
 *
 * A chunk belongs to one thread, which leads it from stage to stage for as long as it can go on (its bytes are in that
 * thread's cache). At a serial stage stands a gate: next_seq names the one chunk that may be inside. A chunk that comes
 * too early is put into the gate's list and the thread looks for other work; the chunk that leaves a gate makes its
 * successor ready. An IN_ORDER stage has one more condition: it must be its stream's turn.
 *
 * Errors travel like data. A failed chunk skips the stages but passes the gates in its turn, and marks them, so that
 * every later chunk of the stream fails there too: each serial stage sees exactly the chunks before the failed one. At
 * the end of a segment that has another behind it, a chunk waits in the next segment's input gate; the next fill() uses
 * it up in order. A failed input becomes the failed last chunk of the next segment, so that the failed chunk with the
 * lowest seq in the last segment is the one that a serial run would have met first: it names the stream's error. A failed
 * chunk also ends the filling of its own and earlier segments: what they would still read comes later in serial order.
 *
 * Cancelling uses the same road: each segment that has not ended emits a failed last chunk without buffers (the stub).
 *
 * A stream of one chunk, the common case in trees of small files, takes no gate at all: nobody else can be inside.
 */
#include <stdlib.h>

#include "flow_internal.h"

struct bm_stream *bm_stream_create(struct bm_flow *f)
{
	size_t segments = sizeof(struct bm_segment_state) * f->pl.segment_count;
	struct bm_stream *s = calloc(1, sizeof(*s) + segments + sizeof(struct bm_gate) * f->gate_count);

	if (s != NULL)
		s->gates = (struct bm_gate *)(void *)((char *)s->segments + segments);
	return s;
}

void bm_stream_open_locked(struct bm_flow *f, struct bm_stream *s, void *user)
{
	s->flow = f;
	s->user = user;
	s->index = f->next_index++;
	s->closing = s->in_drained = s->failed = false;
	s->items = 0;
	s->held_bytes = 0;
	for (unsigned i = 0; i < f->gate_count; i++)
		s->gates[i] = (struct bm_gate){0};
	for (size_t g = 0; g < f->pl.segment_count; g++) {
		struct bm_segment_state *seg = &s->segments[g];

		seg->next_seq = 0;
		seg->filling = seg->ended = seg->reserve_used = seg->asleep = seg->woken = false;
		seg->in_flight = 0;
		seg->partial = NULL;
		seg->input = (struct bm_gate){0};
		seg->err.status = BM_OK;
	}
	f->pool->in_use += f->min_bytes;

	s->next = s->fill_next = NULL;
	s->prev = f->open_tail;
	*(f->open_tail != NULL ? &f->open_tail->next : &f->open_head) = s;
	f->open_tail = s;
	s->fill_prev = f->fillable_tail;
	*(f->fillable_tail != NULL ? &f->fillable_tail->fill_next : &f->fillable_head) = s;
	f->fillable_tail = s;
	f->open_count++;
}

/* ---- gates ---- */

static void list_remove(struct bm_item_list *l, struct bm_item *it)
{
	*(it->prev != NULL ? &it->prev->next : &l->head) = it->next;
	*(it->next != NULL ? &it->next->prev : &l->tail) = it->prev;
	it->prev = it->next = NULL;
}

static void gate_park(struct bm_gate *gate, struct bm_item *it)
{
	struct bm_item *before = gate->parked.tail;

	while (before != NULL && before->c.seq > it->c.seq)
		before = before->prev;
	it->prev = before;
	it->next = before != NULL ? before->next : gate->parked.head;
	*(it->prev != NULL ? &it->prev->next : &gate->parked.head) = it;
	*(it->next != NULL ? &it->next->prev : &gate->parked.tail) = it;
}

static bool gate_may_enter(const struct bm_stream *s, unsigned gate, bool in_order, uint64_t seq)
{
	/* Once a stream has failed at a gate its chunks only pass through: they need no turn among the streams. */
	return s->gates[gate].next_seq == seq &&
	       (!in_order || s->gates[gate].failed || s->flow->turn[gate] == s->index);
}

/* Makes the chunk that waits in front of the gate ready, if it may go in now. */
static void gate_release_head_locked(struct bm_stream *s, unsigned gate)
{
	struct bm_item *head = s->gates[gate].parked.head;

	if (head == NULL || !gate_may_enter(s, gate, bm_item_stage(head)->kind == BM_STAGE_IN_ORDER, head->c.seq))
		return;
	list_remove(&s->gates[gate].parked, head);
	bm_pool_push_ready_locked(s->flow->pool, head);
}

/* Nothing is left of it but end(), and perhaps its turn at an IN_ORDER stage that none of its chunks came to. */
static bool stream_is_drained(const struct bm_stream *s)
{
	if (s->items > 0 || s->closing)
		return false;
	for (size_t g = 0; g < s->flow->pl.segment_count; g++)
		if (!s->segments[g].ended)
			return false;
	return true;
}

/* Its end() is left to a thread that has a permit and nothing else in hand. */
static void push_drained_locked(struct bm_stream *s)
{
	struct bm_flow *f = s->flow;

	if (s->in_drained)
		return;
	s->in_drained = true;
	s->fill_next = f->drained;
	f->drained = s;
	bm_pool_wake_locked(f->pool);
}

/* The stream is through with an IN_ORDER stage. */
static void turn_pass_locked(struct bm_stream *s, unsigned gate)
{
	struct bm_flow *f = s->flow;
	struct bm_stream *next =
		s->next; /* streams open in index order: if the next one is open, it is the neighbour */

	f->turn[gate]++;
	if (next == NULL)
		return;
	if (stream_is_drained(next))
		push_drained_locked(next);
	else
		gate_release_head_locked(next, gate);
}

static void gate_leave_locked(struct bm_item *it, unsigned gate, bool in_order)
{
	struct bm_stream *s = it->stream;
	struct bm_gate *g = &s->gates[gate];

	g->next_seq++;
	if (it->failed && !g->failed) {
		g->failed = true;
		g->err_segment = it->err_segment;
	}
	if (in_order && (it->c.last || it->failed) && s->flow->turn[gate] == s->index)
		turn_pass_locked(s, gate);
	gate_release_head_locked(s, gate);
}

/* ---- failure ---- */

static void release_list_locked(struct bm_item_list *l)
{
	while (l->head != NULL) {
		struct bm_item *it = l->head;

		list_remove(l, it);
		bm_item_release_locked(it);
	}
}

/* Gives back what an ended segment still holds. Not while a thread is in its fill(): that one comes by here itself. */
static void segment_discard_locked(struct bm_segment_state *seg)
{
	if (seg->filling)
		return;
	if (seg->partial != NULL)
		bm_item_release_locked(seg->partial);
	seg->partial = NULL;
	release_list_locked(&seg->input.parked);
}

/* No more chunks are wanted from the segments 0 ... up_to. */
static void stream_stop_locked(struct bm_stream *s, unsigned up_to)
{
	struct bm_flow *f = s->flow;

	for (unsigned g = 0; g <= up_to; g++) {
		s->segments[g].ended = true;
		segment_discard_locked(&s->segments[g]);
	}
	for (size_t g = 0; g < f->pl.segment_count; g++)
		if (!s->segments[g].ended)
			return;
	if (s->fill_prev == NULL && f->fillable_head != s)
		return; /* taken out before */
	*(s->fill_prev != NULL ? &s->fill_prev->fill_next : &f->fillable_head) = s->fill_next;
	*(s->fill_next != NULL ? &s->fill_next->fill_prev : &f->fillable_tail) = s->fill_prev;
	s->fill_prev = s->fill_next = NULL;
}

static void item_fail_locked(struct bm_item *it, const struct bm_error *err)
{
	struct bm_segment_state *seg = &it->stream->segments[it->segment];

	it->failed = true;
	it->err_segment = err != NULL ? it->segment : BM_CANCELLED_SEGMENT;
	if (err != NULL && (seg->err.status == BM_OK || it->c.seq < seg->err_seq)) {
		seg->err = *err;
		seg->err_seq = it->c.seq;
	}
	stream_stop_locked(it->stream, it->segment);
}

static void error_complete(struct bm_error *err, enum bm_status status)
{
	if (err->status == BM_OK)
		(void)bm_error_set(err, status != BM_OK ? status : BM_ERR_FAILED, NULL, "%s", bm_status_text(status));
}

/* ---- the end ---- */

static void stream_close_locked(struct bm_worker *w, struct bm_stream *s)
{
	struct bm_flow *f = s->flow;
	struct bm_pool *p = f->pool;
	struct bm_error cancelled;
	const struct bm_error *err = NULL;

	bool was_cancelled = s->failed && s->fail_segment == BM_CANCELLED_SEGMENT;
	if (s->failed && !was_cancelled)
		err = &s->segments[s->fail_segment].err;
	bm_worker_begin_callback_locked(w);
	bm_error_clear(&cancelled);
	if (was_cancelled) {
		(void)bm_error_set(&cancelled, BM_ERR_CANCELLED, NULL, "cancelled");
		err = &cancelled;
	}
	w->flow = f;
	f->pl.end(f->pl.ctx, s->user, w, err);

	pthread_mutex_lock(&p->lock);
	p->in_use -= f->min_bytes;
	*(s->prev != NULL ? &s->prev->next : &f->open_head) = s->next;
	*(s->next != NULL ? &s->next->prev : &f->open_tail) = s->prev;
	f->open_count--;
	s->next = f->free_streams;
	f->free_streams = s;
	bm_flow_maybe_finish_locked(w, f);
}

void bm_stream_maybe_close_locked(struct bm_worker *w, struct bm_stream *s)
{
	struct bm_flow *f = s->flow;

	if (!stream_is_drained(s))
		return;
	/* A stream that ended early may not have come to an IN_ORDER stage: it waits for its turn there, then passes it. */
	for (unsigned i = 0; i < f->in_order_count; i++)
		if (f->turn[f->in_order_gates[i]] < s->index)
			return;
	if (!bm_worker_regain_locked(w)) {
		push_drained_locked(s);
		return;
	}
	s->closing = true;
	for (unsigned i = 0; i < f->in_order_count; i++)
		if (f->turn[f->in_order_gates[i]] == s->index)
			turn_pass_locked(s, f->in_order_gates[i]);
	stream_close_locked(w, s);
}

/* The chunk came out of its segment's last stage. */
static void item_arrive_locked(struct bm_worker *w, struct bm_item *it)
{
	struct bm_stream *s = it->stream;
	unsigned next = it->segment + 1;

	if (next == s->flow->pl.segment_count) {
		if (it->failed && (!s->failed || it->c.seq < s->fail_seq)) {
			s->failed = true;
			s->fail_seq = it->c.seq;
			s->fail_segment = it->err_segment;
		}
		bm_item_release_locked(it);
		bm_stream_maybe_close_locked(w, s);
		return;
	}
	if (s->segments[next].ended) {
		bm_item_release_locked(it);
		bm_stream_maybe_close_locked(w, s);
		return;
	}
	gate_park(&s->segments[next].input, it);
	/* This thread has the bytes in its cache: it goes on with them where the next segment can take them now. */
	unsigned g;
	if (bm_worker_regain_locked(w) && bm_stream_can_fill_locked(s, &g) && g == next)
		bm_stream_fill_locked(w, s, g);
	else
		bm_pool_wake_locked(s->flow->pool);
}

/* ---- running ---- */

static enum bm_status run_stage(struct bm_worker *w, struct bm_item *it, struct bm_error *err)
{
	const struct bm_stage *st = bm_item_stage(it);
	enum bm_status status;

	w->flow = it->stream->flow;
	bm_error_clear(err);
	status = st->run(st->arg, it->stream->user, &it->c, w, err);
	if (status != BM_OK)
		error_complete(err, status);
	return status;
}

/* Stages that need no lock: all of a lone chunk's, up to an IN_ORDER one. Without the lock. Returns with err set where
 * one failed; not to the end where there is something to do with the lock first. */
static void run_unlocked(struct bm_worker *w, struct bm_item *it, struct bm_error *err)
{
	const struct bm_flow *f = it->stream->flow;
	const struct bm_segment *seg = &f->pl.segments[it->segment];

	while (it->stage < seg->stage_count && seg->stages[it->stage].kind != BM_STAGE_IN_ORDER && w->has_permit &&
	       !atomic_load_explicit(&f->cancelled, memory_order_relaxed)) {
		if (bm_item_pairs(it)) {
			enum bm_pair_result r = bm_pair_run(w, it);

			if (r == BM_PAIR_HELD)
				return;
			if (r == BM_PAIR_NONE)
				continue;
		} else if (atomic_load_explicit(&w->held, memory_order_relaxed) != NULL ||
		           run_stage(w, it, err) != BM_OK) {
			return;
		}
		it->alone = false;
		it->stage++;
		if (w->freed != NULL)
			return;
	}
}

/* Is there a gate in front of the stage for this chunk? */
static bool item_is_gated(const struct bm_item *it)
{
	enum bm_stage_kind kind = bm_item_stage(it)->kind;

	return kind == BM_STAGE_IN_ORDER || (kind == BM_STAGE_SERIAL && !it->solo);
}

void bm_item_leave_stage_locked(struct bm_item *it)
{
	if (item_is_gated(it))
		gate_leave_locked(it, it->stream->flow->gate_of[it->segment][it->stage],
		                  bm_item_stage(it)->kind == BM_STAGE_IN_ORDER);
	it->alone = false;
	it->stage++;
}

/* Takes the chunk through the stage that it has come to; NONE: call it again. */
static enum bm_pair_result run_stage_locked(struct bm_worker *w, struct bm_item *it)
{
	struct bm_pool *p = it->stream->flow->pool;
	enum bm_pair_result r = BM_PAIR_THROUGH;

	if (bm_item_pairs(it)) {
		bool calls = atomic_load(&w->held) != NULL;

		if (calls)
			pthread_mutex_unlock(&p->lock);
		r = bm_pair_run(w, it);
		if (calls)
			pthread_mutex_lock(&p->lock);
		bm_pair_settle_locked(w);
	} else {
		enum bm_status status;
		struct bm_error err;

		bm_worker_begin_callback_locked(w);
		status = run_stage(w, it, &err);
		pthread_mutex_lock(&p->lock);
		if (status != BM_OK)
			item_fail_locked(it, &err);
	}
	return r;
}

void bm_item_run_locked(struct bm_worker *w, struct bm_item *it)
{
	struct bm_stream *s = it->stream;
	struct bm_flow *f = s->flow;
	const struct bm_segment *seg = &f->pl.segments[it->segment];

	while (it->stage < seg->stage_count) {
		bool in_order = seg->stages[it->stage].kind == BM_STAGE_IN_ORDER;
		unsigned gate = f->gate_of[it->segment][it->stage];
		enum bm_pair_result r = BM_PAIR_THROUGH;

		if (!bm_worker_regain_locked(w)) {
			bm_pool_push_ready_locked(f->pool, it);
			return;
		}
		if (item_is_gated(it)) {
			if (!gate_may_enter(s, gate, in_order, it->c.seq)) {
				gate_park(&s->gates[gate], it);
				f->pool->parked++;
				return;
			}
			if (s->gates[gate].failed && !it->failed) {
				it->failed = true;
				it->err_segment = s->gates[gate].err_segment;
			}
		}
		if (!it->failed && atomic_load_explicit(&f->cancelled, memory_order_relaxed))
			item_fail_locked(it, NULL);
		if (!it->failed)
			r = run_stage_locked(w, it);
		if (r == BM_PAIR_HELD)
			return;
		if (r == BM_PAIR_THROUGH)
			bm_item_leave_stage_locked(it);
	}
	item_arrive_locked(w, it);
}

/* ---- filling ---- */

bool bm_stream_can_fill_locked(const struct bm_stream *s, unsigned *segment)
{
	bool cancelled = atomic_load_explicit(&s->flow->cancelled, memory_order_relaxed);

	/* The last segment first: what drains comes before what fills. */
	for (size_t g = s->flow->pl.segment_count; g-- > 0;) {
		const struct bm_segment_state *seg = &s->segments[g];
		const struct bm_item *in = seg->input.parked.head;

		if (seg->ended || seg->filling)
			continue;
		*segment = (unsigned)g;
		if (cancelled)
			return true;
		if (g > 0 && (in == NULL || in->c.seq != seg->input.next_seq))
			continue;
		if (seg->asleep)
			continue;
		if ((g > 0 && in->failed) || seg->partial != NULL || bm_item_can_take_locked(s, (unsigned)g))
			return true;
	}
	return false;
}

/* A failed last chunk in place of what the segment would have made; err_segment says whose error it is. */
static struct bm_item *fill_stub_locked(struct bm_stream *s, unsigned g, unsigned err_segment)
{
	struct bm_item *it = bm_item_stub_locked(s, g);

	it->c.seq = s->segments[g].next_seq;
	it->err_segment = err_segment;
	return it;
}

/* The chunk to fill, or the failed chunk that goes on instead (then *is_stub). */
static struct bm_item *fill_begin_locked(struct bm_stream *s, unsigned g, const struct bm_item *in, bool *is_stub)
{
	struct bm_segment_state *seg = &s->segments[g];
	struct bm_item *it = seg->partial;
	bool cancelled = atomic_load_explicit(&s->flow->cancelled, memory_order_relaxed);

	*is_stub = true;
	if (cancelled || (in != NULL && in->failed && (it == NULL || it->c.len == 0)))
		return fill_stub_locked(s, g, cancelled ? BM_CANCELLED_SEGMENT : in->err_segment);
	seg->partial = NULL;
	if (it == NULL)
		it = bm_item_take_locked(s, g);
	if (it == NULL && !seg->reserve_used) {
		it = fill_stub_locked(s, g, g);
		(void)bm_error_set_nomem(&seg->err);
		seg->err_seq = it->c.seq;
		return it;
	}
	*is_stub = false;
	if (it != NULL)
		it->c.seq = seg->next_seq;
	return it;
}

/* With one read at a time, the disk is free again: shorter chunks are through, and this thread reads on, before another
 * thread could be awake. */
#define LONG_BYTES ((size_t)64 << 10)

static void wake_reader(struct bm_pool *p)
{
	pthread_mutex_lock(&p->lock);
	bm_pool_wake_locked(p);
	pthread_mutex_unlock(&p->lock);
}

/* Calls fill() until it emits, fails, has used up all input or has nothing as yet. Without a chunk to show for it: false,
 * and the chunk is kept as partial. */
static bool fill_call_locked(struct bm_worker *w, struct bm_stream *s, unsigned g, struct bm_item *it)
{
	struct bm_flow *f = s->flow;
	struct bm_segment_state *seg = &s->segments[g];
	const struct bm_segment *def = &f->pl.segments[g];
	struct bm_error err;

	for (;;) {
		struct bm_item *in = seg->input.parked.head;
		enum bm_fill_result r;

		/* What was made before the failure goes on as a chunk; the failure is the next one. */
		if (g > 0 && in != NULL && in->failed && in->c.seq == seg->input.next_seq && it->c.len > 0)
			return true;
		if (g > 0 &&
		    (in == NULL || in->c.seq != seg->input.next_seq || in->failed ||
		     atomic_load_explicit(&f->cancelled, memory_order_relaxed) || !bm_worker_regain_locked(w))) {
			seg->partial = it;
			return false;
		}

		bm_worker_begin_callback_locked(w);
		w->flow = f;
		bm_error_clear(&err);
		r = def->fill(def->arg, s->user, &it->c, in != NULL ? &in->c : NULL, w, &err);
		if (r == BM_FILL_MORE && (in == NULL || in->c.last || in->c.pos < in->c.len)) {
			(void)bm_error_set(&err, BM_ERR_FAILED, NULL, "a step asked for more input than there is");
			r = BM_FILL_ERROR;
		}
		if (r == BM_FILL_LATER && g > 0) {
			(void)bm_error_set(&err, BM_ERR_FAILED, NULL, "a step that is no source waits for more input");
			r = BM_FILL_ERROR;
		}
		if (r == BM_FILL_ERROR)
			error_complete(&err, BM_ERR_FAILED);
		if (w->has_permit && w->unblocked < BM_UNBLOCKED_ENOUGH)
			w->unblocked++;
		if (r == BM_FILL_EMIT && g == 0 && it->c.last && it->c.seq == 0) {
			it->solo = true;
			if (f->pool->one_at_disk && it->c.len >= LONG_BYTES)
				wake_reader(f->pool);
			run_unlocked(w, it, &err);
			if (err.status != BM_OK)
				r = BM_FILL_ERROR;
		}
		pthread_mutex_lock(&f->pool->lock);
		bm_pair_settle_locked(w);

		if (r == BM_FILL_LATER) {
			seg->partial = it;
			seg->asleep = !seg->woken;
			seg->woken = false;
			bm_item_sleep_locked(s, g);
			if (!seg->asleep)
				bm_pool_wake_locked(f->pool); /* this thread may have no permit to see to it */
			return false;
		}
		if (r == BM_FILL_ERROR) {
			it->c.last = true;
			item_fail_locked(it, &err);
			return true;
		}
		if (in != NULL && in->c.pos >= in->c.len && !in->c.last) {
			list_remove(&seg->input.parked, in);
			seg->input.next_seq++;
			bm_item_release_locked(in);
			bm_pool_wake_locked(f->pool); /* the segment before has a token more */
		}
		if (r == BM_FILL_EMIT)
			return true;
	}
}

void bm_stream_fill_locked(struct bm_worker *w, struct bm_stream *s, unsigned g)
{
	struct bm_segment_state *seg = &s->segments[g];
	struct bm_item *in = g > 0 ? seg->input.parked.head : NULL;
	bool is_stub, emit = true;
	struct bm_item *it = fill_begin_locked(s, g, in, &is_stub);

	if (it == NULL)
		return; /* no memory for a further chunk: those in flight go on without it */
	if (!is_stub) {
		seg->filling = true;
		emit = fill_call_locked(w, s, g, it);
		seg->filling = false;
	}
	if (emit)
		seg->next_seq++;
	if (emit && it->c.last)
		stream_stop_locked(s, g);
	else if (seg->ended)
		segment_discard_locked(seg); /* it was ended while fill() ran */
	if (!emit) {
		bm_stream_maybe_close_locked(w, s);
		return;
	}
	if (!it->solo)
		bm_pool_wake_locked(s->flow->pool); /* the stream may have room for another */
	if (g > 0 && it->c.seq == 0 && it->c.last)
		it->solo = true;
	if (it != atomic_load(&w->held))
		bm_item_run_locked(w, it);
}
