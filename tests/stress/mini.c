/* mini.c - see mini.h. */
#include "mini.h"

#define RELAXED memory_order_relaxed

static uint64_t chunks_of(const struct mini *m, size_t stream)
{
	return m->chunks ? m->chunks(m, stream) : m->chunk_count;
}

static void enter_stream(struct mini *m, struct mini_stream *st)
{
	TOY_CHECK(st->m == m, "a stream of another flow");
	TOY_CHECK(atomic_load_explicit(&st->given, RELAXED), "stream %zu before next() gave it", st->id);
	TOY_CHECK(!atomic_load_explicit(&st->ended, RELAXED), "stream %zu after its end()", st->id);
	atomic_fetch_add_explicit(&st->active, 1, RELAXED);
}

static void enter(struct toy_frame *f, struct mini *m, struct mini_stream *st, struct bm_worker *w)
{
	toy_enter(f, m->tp, w);
	TOY_CHECK(!atomic_load_explicit(&m->closed, RELAXED), "a callback after bm_flow_wait");
	if (st)
		enter_stream(m, st);
}

static void leave(struct toy_frame *f, struct mini_stream *st)
{
	if (st)
		atomic_fetch_sub_explicit(&st->active, 1, RELAXED);
	toy_leave(f);
}

static enum bm_next_result mini_next(void *ctx, struct bm_worker *w, void **stream)
{
	struct mini *m = ctx;
	struct toy_frame f;
	struct mini_call call = {.m = m, .frame = &f};
	enum bm_next_result result = BM_NEXT_END;
	size_t id;

	enter(&f, m, NULL, w);
	if (m->at_next)
		m->at_next(&call);
	id = atomic_load_explicit(&m->given, RELAXED);
	if (id < m->stream_count && (!m->at_more || m->at_more(m))) {
		atomic_store_explicit(&m->given, id + 1, RELAXED);
		atomic_store_explicit(&m->streams[id].given, true, RELAXED);
		*stream = &m->streams[id];
		result = BM_NEXT_STREAM;
	}
	leave(&f, NULL);
	return result;
}

static enum bm_fill_result mini_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                     struct bm_worker *w, struct bm_error *err)
{
	struct mini_seat *seat = arg;
	struct mini *m = seat->m;
	struct mini_stream *st = stream;
	struct toy_frame f;
	struct mini_call call = {.m = m, .st = st, .frame = &f, .segment = seat->segment, .chunk = out, .err = err};
	uint64_t count = chunks_of(m, st->id);
	uint64_t n = st->filled[seat->segment]++;
	enum bm_status status = BM_OK;

	enter(&f, m, st, w);
	TOY_CHECK(out->seq == n, "stream %zu: fill of chunk %llu where %llu is due", st->id,
	          (unsigned long long)out->seq, (unsigned long long)n);
	if (!in) {
		if (n == 0)
			st->worker = f.index;
		out->len = count == 0 ? 0 : 16;
		if (out->len) {
			memcpy(out->data, &st->id, 8);
			memcpy(out->data + 8, &n, 8);
		}
		out->last = n + 1 >= count;
	} else {
		memcpy(out->data, in->data, in->len);
		out->len = in->len;
		out->last = in->last;
		in->pos = in->len;
	}
	out->tag = n;
	if (m->at_fill)
		status = m->at_fill(&call);
	leave(&f, st);
	return status == BM_OK ? BM_FILL_EMIT : BM_FILL_ERROR;
}

static void check_stage(struct mini_seat *seat, struct mini_stream *st, const struct bm_chunk *c)
{
	uint64_t id, n;

	if (c->len) {
		memcpy(&id, c->data, 8);
		memcpy(&n, c->data + 8, 8);
		TOY_CHECK(id == st->id && n == c->seq, "stream %zu chunk %llu has the bytes of another", st->id,
		          (unsigned long long)c->seq);
	}
	if (seat->m->kinds[seat->stage] != BM_STAGE_PARALLEL) {
		n = st->seen[seat->segment][seat->stage];
		TOY_CHECK(c->seq == n, "stream %zu stage %u: chunk %llu where %llu is due", st->id, seat->stage,
		          (unsigned long long)c->seq, (unsigned long long)n);
	}
}

static struct toy_work *come(struct mini_seat *seat, struct mini_stream *st, const struct bm_chunk *c)
{
	struct toy_work *wk = &st->work[seat->segment][seat->stage];

	check_stage(seat, st, c);
	toy_work_come(wk, c, toy_mix(st->id << 20 ^ c->seq << 6 ^ seat->segment << 3 ^ seat->stage));
	return wk;
}

static unsigned mini_pair(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
                          struct bm_worker *w)
{
	struct mini_seat *seat = arg;
	struct mini *m = seat->m;
	struct mini_stream *st[2] = {stream_a, stream_b};
	unsigned through;

	(void)w;
	toy_enter_pair(m->tp);
	TOY_CHECK(!atomic_load_explicit(&m->closed, RELAXED), "a callback after bm_flow_wait");
	TOY_CHECK(st[0] != st[1], "stream %zu: a pair with itself", st[0]->id);
	for (unsigned i = 0; i < 2; i++)
		enter_stream(m, st[i]);
	struct toy_work *wa = come(seat, st[0], a), *wb = come(seat, st[1], b);
	if (m->at_pair)
		m->at_pair(m, st[0], st[1]);
	through = toy_work_pair(wa, a, false, wb, b, false,
	                        toy_mix(st[0]->id << 32 ^ st[1]->id << 10 ^ a->seq << 5 ^ b->seq));
	st[0]->seen[seat->segment][seat->stage] += (through & BM_PAIR_A) != 0;
	st[1]->seen[seat->segment][seat->stage] += (through & BM_PAIR_B) != 0;
	for (unsigned i = 0; i < 2; i++)
		atomic_fetch_sub_explicit(&st[i]->active, 1, RELAXED);
	toy_leave_pair(m->tp);
	return through;
}

static enum bm_status mini_stage(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct mini_seat *seat = arg;
	struct mini *m = seat->m;
	struct mini_stream *st = stream;
	struct toy_frame f;
	struct mini_call call = {
		.m = m, .st = st, .frame = &f, .segment = seat->segment, .stage = seat->stage, .chunk = c, .err = err};
	enum bm_stage_kind kind = m->kinds[seat->stage];
	enum bm_status status = BM_OK;

	enter(&f, m, st, w);
	if (m->pairs[seat->stage])
		toy_work_rest(come(seat, st, c), c);
	else
		check_stage(seat, st, c);
	if (kind != BM_STAGE_PARALLEL)
		st->seen[seat->segment][seat->stage]++;
	if (kind == BM_STAGE_IN_ORDER) {
		TOY_CHECK(st->id >= seat->last_id, "stage %u: stream %zu after stream %zu", seat->stage, st->id,
		          seat->last_id);
		seat->last_id = st->id;
	}
	if (m->at_stage && !m->pairs[seat->stage])
		status = m->at_stage(&call);
	leave(&f, st);
	return status;
}

static void mini_end(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *err)
{
	struct mini *m = ctx;
	struct mini_stream *st = stream;
	struct toy_frame f;
	struct mini_call call = {.m = m, .st = st, .frame = &f};

	enter(&f, m, st, w);
	TOY_CHECK(atomic_load_explicit(&st->active, RELAXED) == 1, "stream %zu: end() while another call runs", st->id);
	if (err) {
		st->status = err->status;
		snprintf(st->text, sizeof(st->text), "%.63s", err->text);
	} else {
		atomic_fetch_add_explicit(&m->ok_count, 1, RELAXED);
	}
	if (m->at_end)
		m->at_end(&call);
	atomic_fetch_sub_explicit(&st->active, 1, RELAXED);
	TOY_CHECK(!atomic_exchange_explicit(&st->ended, true, RELAXED), "stream %zu: end() twice", st->id);
	atomic_fetch_add_explicit(&m->end_count, 1, RELAXED);
	leave(&f, NULL);
}

static void mini_done(void *ctx)
{
	struct mini *m = ctx;

	TOY_CHECK(atomic_fetch_add_explicit(&m->done_count, 1, RELAXED) == 0, "done() twice");
	TOY_CHECK(atomic_load_explicit(&m->end_count, RELAXED) == atomic_load_explicit(&m->given, RELAXED),
	          "done() before the last end()");
	if (m->at_done)
		m->at_done(m);
}

void mini_init(struct mini *m)
{
	struct mini_seat *seat = m->seats;

	if (m->segment_count == 0)
		m->segment_count = 1;
	if (m->buffer_bytes == 0)
		m->buffer_bytes = 64;
	atomic_store(&m->end_count, 0); /* where it is a second run */
	atomic_store(&m->ok_count, 0);
	atomic_store(&m->done_count, 0);
	atomic_store(&m->given, 0);
	atomic_store(&m->closed, false);
	m->streams = toy_alloc(m->stream_count, sizeof(*m->streams));
	for (size_t i = 0; i < m->stream_count; i++) {
		m->streams[i].m = m;
		m->streams[i].id = i;
	}
	for (unsigned s = 0; s < m->segment_count; s++) {
		struct bm_stage *stages = &m->stages[s * MINI_STAGES];
		unsigned count = m->plain_last_segment && s + 1 == m->segment_count ? 0 : m->stage_count;

		*seat = (struct mini_seat){.m = m, .segment = s};
		m->segments[s] = (struct bm_segment){.fill = mini_fill,
		                                     .arg = seat++,
		                                     .buffer_bytes = {m->buffer_bytes, 0},
		                                     .stages = stages,
		                                     .stage_count = count};
		for (unsigned k = 0; k < count; k++) {
			*seat = (struct mini_seat){.m = m, .segment = s, .stage = k};
			stages[k] = (struct bm_stage){m->kinds[k], mini_stage, seat++, m->pairs[k] ? mini_pair : NULL};
		}
	}
	m->pl = (struct bm_pipeline){.next = mini_next,
	                             .end = mini_end,
	                             .done = mini_done,
	                             .ctx = m,
	                             .segments = m->segments,
	                             .segment_count = m->segment_count};
}

enum bm_status mini_try_start(struct mini *m, struct bm_error *err)
{
	return bm_flow_start(m->tp->pool, &m->pl, &m->flow, err);
}

void mini_start(struct mini *m)
{
	struct bm_error err = BM_ERROR_INIT;

	if (mini_try_start(m, &err) != BM_OK)
		fail_msg("bm_flow_start: %s", err.text);
}

void mini_finish(struct mini *m)
{
	bm_flow_wait(m->flow);
	atomic_store_explicit(&m->closed, true, RELAXED);
	TOY_CHECK(atomic_load(&m->done_count) == 1, "done() called %u times", atomic_load(&m->done_count));
	TOY_CHECK(atomic_load(&m->end_count) == atomic_load(&m->given), "%u ends of %zu streams",
	          atomic_load(&m->end_count), atomic_load(&m->given));
	bm_flow_destroy(m->flow);
	m->flow = NULL;
	toy_pool_check(m->tp);
}

void mini_fini(struct mini *m)
{
	free(m->streams);
	m->streams = NULL;
}

void mini_run(struct mini *m, bool ok)
{
	mini_init(m);
	mini_start(m);
	mini_finish(m);
	for (size_t i = 0; ok && i < m->stream_count; i++)
		TOY_CHECK(m->streams[i].status == BM_OK, "stream %zu: %s", i, m->streams[i].text);
	TOY_CHECK(!ok || atomic_load(&m->ok_count) == m->stream_count, "%u of %zu streams ended well",
	          atomic_load(&m->ok_count), m->stream_count);
	mini_fini(m);
	toy_assert_clean();
}
