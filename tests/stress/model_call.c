/*
 * model_call.c - the callbacks of a model (model.h): they make bytes, change bytes, record what they see and check what
 * the engine hands them.
 *
 * All that happens to the bytes follows from the model and the place of the chunk, never from the run, so the same
 * callbacks serve the reference and the engine. A fill works byte by byte, so that what it makes does not depend on
 * whether the engine shows it an empty input or skips it. Fields that the contract says one call at a time may touch
 * are plain: ThreadSanitizer checks that the engine orders those calls.
 */
#include "model_internal.h"

#define RELAXED memory_order_relaxed

/* ---- what every call does ---- */

void model_point(struct model_run *run, struct bm_flow *flow)
{
	uint64_t n = atomic_fetch_add_explicit(&run->points, 1, RELAXED) + 1;

	if (run->cancel_at == 0 || n != run->cancel_at)
		return;
	model_forget_live(run);
	atomic_store_explicit(&run->cancelled, true, RELAXED);
	bm_flow_cancel(flow);
	if (n % 2)
		bm_flow_cancel(flow);
	TOY_CHECK(bm_flow_is_cancelled(flow), "bm_flow_is_cancelled is false after bm_flow_cancel");
	atomic_store_explicit(&run->cancel_returned, true, RELAXED);
}

void model_enter_stream(struct model_run *run, struct model_stream *st)
{
	TOY_CHECK(st->run == run, "a stream of another flow");
	TOY_CHECK(atomic_load_explicit(&st->given, RELAXED), "stream %zu before next() gave it", st->id);
	TOY_CHECK(!atomic_load_explicit(&st->ended, RELAXED), "stream %zu after its end()", st->id);
	atomic_fetch_add_explicit(&st->active, 1, RELAXED);
}

void model_enter(struct toy_frame *f, struct model_run *run, struct model_stream *st, struct bm_worker *w)
{
	struct bm_flow *seen = NULL;

	toy_enter(f, run->tp, w);
	if (run->tp) {
		TOY_CHECK(!atomic_load_explicit(&run->closed, RELAXED), "a callback after bm_flow_wait");
		atomic_fetch_add_explicit(&run->active, 1, RELAXED);
		if (!atomic_compare_exchange_strong_explicit(&run->flow_seen, &seen, bm_worker_flow(w), RELAXED,
		                                             RELAXED))
			TOY_CHECK(seen == bm_worker_flow(w), "bm_worker_flow changes");
		model_point(run, bm_worker_flow(w));
	}
	if (st)
		model_enter_stream(run, st);
}

void model_leave(struct toy_frame *f, struct model_run *run, struct model_stream *st)
{
	if (st)
		atomic_fetch_sub_explicit(&st->active, 1, RELAXED);
	if (run->tp) {
		model_point(run, bm_worker_flow(f->w));
		atomic_fetch_sub_explicit(&run->active, 1, RELAXED);
	}
	toy_leave(f);
}

void model_note_late(struct model_run *run)
{
	if (atomic_load_explicit(&run->cancel_returned, RELAXED))
		atomic_fetch_add_explicit(&run->late, 1, RELAXED);
}

uint64_t model_dice(const struct model_run *run, const struct model_stream *st, uint64_t place, uint64_t seq)
{
	return toy_mix(run->salt ^ (st ? st->spec->seed : 0) ^ place << 48 ^ seq);
}

/* ---- bytes in flight ---- */

static size_t segment_bytes(const struct model_run *run, unsigned s)
{
	return run->model->segments[s].bytes[0] + run->model->segments[s].bytes[1];
}

static void live_add(struct model_stream *st, size_t bytes)
{
	uint64_t old = atomic_load_explicit(&st->live, RELAXED);

	toy_pool_live(st->run->tp, bytes, 0);
	do {
		if (old & 1) {
			toy_pool_live(st->run->tp, 0, bytes);
			return;
		}
	} while (!atomic_compare_exchange_weak_explicit(&st->live, &old, old + 2 * bytes, RELAXED, RELAXED));
}

static void live_sub(struct model_stream *st, size_t bytes)
{
	uint64_t old = atomic_load_explicit(&st->live, RELAXED);

	do {
		if (old & 1)
			return;
	} while (!atomic_compare_exchange_weak_explicit(&st->live, &old, old - 2 * bytes, RELAXED, RELAXED));
	toy_pool_live(st->run->tp, 0, bytes);
}

/* The engine may give back chunks of this stream unseen from now on. */
static void live_drop(struct model_stream *st)
{
	toy_pool_live(st->run->tp, 0, (size_t)(atomic_exchange_explicit(&st->live, 1, RELAXED) / 2));
}

void model_forget_live(struct model_run *run)
{
	for (size_t i = 0; i < run->model->stream_count; i++)
		live_drop(&run->streams[i]);
}

/* c has seen the last callback of its own segment. */
void model_live_after_stages(struct model_stream *st, unsigned s, const struct bm_chunk *c)
{
	if (s + 1 == st->run->model->segment_count || (c->len == 0 && !c->last))
		live_sub(st, segment_bytes(st->run, s));
}

/* ---- chunks ---- */

uint64_t model_tag_of(const struct model_stream *st, unsigned s, uint64_t seq)
{
	return toy_mix(st->spec->seed ^ seq << 8 ^ s);
}

void model_check_chunk(const struct model_stream *st, unsigned s, const struct bm_chunk *c)
{
	const struct model_segment *ms = &st->run->model->segments[s];
	bool inside = false;

	for (unsigned b = 0; b < 2; b++) {
		TOY_CHECK(c->cap[b] == ms->bytes[b], "cap[%u] is %zu, asked for %zu", b, c->cap[b], ms->bytes[b]);
		TOY_CHECK((c->buf[b] != NULL) == (ms->bytes[b] > 0), "buf[%u] of %zu bytes is %p", b, ms->bytes[b],
		          (void *)c->buf[b]);
		if (c->buf[b] && c->data >= c->buf[b] && c->data + c->len <= c->buf[b] + c->cap[b])
			inside = true;
	}
	TOY_CHECK(inside, "stream %zu segment %u chunk %llu: data is not in its buffers", st->id, s, ull(c->seq));
}

/* ---- failures ---- */

const struct model_failure *model_find_failure(const struct model_stream *st, unsigned s, int stage, uint64_t seq)
{
	if (s >= st->run->failures_below)
		return NULL;
	for (unsigned i = 0; i < st->spec->failure_count; i++) {
		const struct model_failure *fa = &st->spec->failures[i];

		if (fa->segment == s && fa->stage == stage && fa->seq == seq)
			return fa;
	}
	return NULL;
}

void model_set_failure(struct model_stream *st, const struct model_failure *fa, struct bm_error *err)
{
	char where[64];

	if (!st->run->tp)
		st->fault = *fa;
	if (!fa->silent) {
		snprintf(where, sizeof(where), "stream %zu", st->id);
		bm_error_set(err, fa->status, where, "segment %u stage %d chunk %llu", fa->segment, fa->stage,
		             ull(fa->seq));
		err->sys_errno = (int)fa->seq + 1;
	}
	live_drop(st);
}

/* ---- next and end ---- */

static enum bm_next_result model_next(void *ctx, struct bm_worker *w, void **stream)
{
	struct model_run *run = ctx;
	enum bm_next_result result = BM_NEXT_END;
	struct toy_frame f;

	if (atomic_load_explicit(&run->cancel_returned, RELAXED))
		atomic_fetch_add_explicit(&run->late_next, 1, RELAXED);
	model_note_late(run);
	model_enter(&f, run, NULL, w);
	TOY_CHECK(!atomic_exchange_explicit(&run->next_busy, true, RELAXED), "two calls of next() at once");
	TOY_CHECK(!run->next_over, "next() after BM_NEXT_END");
	toy_load(&f, run->model->load, model_dice(run, NULL, 1, run->given));
	if (run->given < run->model->stream_count) {
		struct model_stream *st = &run->streams[run->given++];

		atomic_store_explicit(&st->given, true, RELAXED);
		*stream = st;
		result = BM_NEXT_STREAM;
	} else {
		run->next_over = true;
	}
	atomic_store_explicit(&run->next_busy, false, RELAXED);
	model_leave(&f, run, NULL);
	return result;
}

static void model_end(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *err)
{
	struct model_run *run = ctx;
	struct model_stream *st = stream;
	struct toy_frame f;

	model_enter(&f, run, st, w);
	toy_load(&f, run->model->load, model_dice(run, st, 2, 0));
	TOY_CHECK(atomic_load_explicit(&st->active, RELAXED) == 1, "stream %zu: end() while another call runs", st->id);
	TOY_CHECK(!err || err->status != BM_OK, "stream %zu: end() with an error that is BM_OK", st->id);
	st->ok = !err;
	if (err)
		st->err = *err;
	live_drop(st);
	atomic_fetch_add_explicit(&run->end_count, 1, RELAXED);
	atomic_fetch_sub_explicit(&st->active, 1, RELAXED);
	TOY_CHECK(!atomic_exchange_explicit(&st->ended, true, RELAXED), "stream %zu: end() twice", st->id);
	model_leave(&f, run, NULL);
}

static void model_done(void *ctx)
{
	struct model_run *run = ctx;

	TOY_CHECK(atomic_fetch_add_explicit(&run->done_count, 1, RELAXED) == 0, "done() twice");
	TOY_CHECK(atomic_load_explicit(&run->active, RELAXED) == 0, "done() while other calls run");
	TOY_CHECK(atomic_load_explicit(&run->end_count, RELAXED) == run->given, "done() after %u ends of %zu streams",
	          atomic_load_explicit(&run->end_count, RELAXED), run->given);
	TOY_CHECK(!atomic_load_explicit(&run->closed, RELAXED), "done() after bm_flow_wait");
}

/* ---- fills ---- */

atomic_uint_fast64_t model_exchanges;

static void open_chunk(struct model_stream *st, unsigned s, struct model_filling *fl, struct bm_chunk *out)
{
	const struct model_segment *ms = &st->run->model->segments[s];
	uint64_t r = toy_mix(st->spec->seed ^ out->seq ^ (uint64_t)s << 32);

	model_check_chunk(st, s, out);
	TOY_CHECK(out->data == out->buf[0] && out->len == 0, "a new chunk with data %p of %zu bytes", (void *)out->data,
	          out->len);
	TOY_CHECK(out->tag == 0 && !out->hole && !out->last, "a new chunk is not clean");
	TOY_CHECK(out->seq == fl->next_out, "stream %zu segment %u: to fill chunk %llu where %llu is due", st->id, s,
	          ull(out->seq), ull(fl->next_out));
	live_add(st, segment_bytes(st->run, s));
	memset(out->buf[0], 0xa5, out->cap[0]);
	if (out->buf[1])
		memset(out->buf[1], 0x5a, out->cap[1]);
	out->tag = model_tag_of(st, s, out->seq);
	for (unsigned i = 0; i < 4; i++)
		out->slot[i] = out->tag + i;
	fl->target = ms->bytes[0];
	if (st->spec->ragged) {
		fl->target = r % 16 == 0 ? 0 : (size_t)(1 + (r >> 8) % ms->bytes[0]);
		if (r % 16 == 1 && ms->bytes[1] >= fl->target)
			out->data = out->buf[1];
		else if (r % 16 == 2 && fl->target < ms->bytes[0])
			out->data = out->buf[0] + 1;
	}
	if (s > 0 && ms->fill == FILL_COLLECT) {
		fl->target = ms->bytes[0];
		out->data = out->buf[0];
	}
}

static bool make_bytes(struct model_stream *st, struct model_filling *fl, struct bm_chunk *out)
{
	uint64_t left = st->spec->total_bytes - fl->produced;
	size_t want = fl->target < left ? fl->target : (size_t)left;

	for (size_t i = 0; i < want; i++, fl->produced++)
		out->data[i] = (uint8_t)(toy_mix(st->spec->seed ^ fl->produced / 8) >> (fl->produced % 8 * 8));
	out->len = want;
	return want == left && (want == 0 || st->spec->tail == 0);
}

static enum bm_fill_result fill_first(struct model_stream *st, struct model_filling *fl, struct bm_chunk *out,
                                      struct bm_error *err)
{
	const struct model_failure *fa = model_find_failure(st, 0, -1, out->seq);

	open_chunk(st, 0, fl, out);
	if (fa && !fa->partial) {
		model_set_failure(st, fa, err);
		return BM_FILL_ERROR;
	}
	out->last = make_bytes(st, fl, out);
	if (fa) {
		out->last = false;
		model_set_failure(st, fa, err);
		return BM_FILL_ERROR;
	}
	return BM_FILL_EMIT;
}

/* Moves bytes from in to out until one of them has enough. */
static void transfer(struct model_stream *st, enum model_fill kind, struct model_filling *fl, struct bm_chunk *out,
                     struct bm_chunk *in)
{
	while (out->len < fl->target) {
		uint8_t b;

		if (fl->pending) {
			out->data[out->len++] = fl->pending_byte;
			fl->pending = false;
			continue;
		}
		if (in->pos == in->len || (kind == FILL_EARLY && fl->consumed == st->spec->early_bytes))
			break;
		b = in->data[in->pos++];
		fl->consumed++;
		if (kind == FILL_COLLECT) {
			fl->hash = toy_mix(fl->hash ^ b);
		} else if (kind != FILL_SHRINK || fl->consumed % 2) {
			out->data[out->len++] = b;
			fl->pending = kind == FILL_EXPAND;
			fl->pending_byte = b ^ 0x5a;
		}
	}
}

static enum bm_fill_result fill_later(struct model_stream *st, unsigned s, struct model_filling *fl,
                                      struct bm_chunk *out, struct bm_chunk *in, struct bm_error *err)
{
	enum model_fill kind = st->run->model->segments[s].fill;
	const struct model_failure *fa = model_find_failure(st, s, -1, out->seq);
	bool input_over, ending;

	if (in->pos == in->len && !in->last)
		return BM_FILL_MORE;
	if (fa && !fa->partial) {
		model_set_failure(st, fa, err);
		return BM_FILL_ERROR;
	}
	if (kind == FILL_PER_CHUNK) {
		fl->target = out->cap[0] - (size_t)(out->data == out->buf[0] ? 0 : 1);
		if (out->data == out->buf[1])
			fl->target = out->cap[1];
		if (fl->target > in->len - in->pos)
			fl->target = in->len - in->pos;
	}
	if ((kind == FILL_COPY || kind == FILL_PER_CHUNK) && in->len <= fl->target) {
		const size_t len = in->len;

		if (bm_chunk_exchange(out, in)) {
			fl->consumed += len;
			atomic_fetch_add_explicit(&model_exchanges, 1, RELAXED);
		}
	}
	transfer(st, kind, fl, out, in);
	if (fa) {
		model_set_failure(st, fa, err);
		return BM_FILL_ERROR;
	}
	input_over = in->pos == in->len && in->last;
	ending = !fl->pending && (input_over || (kind == FILL_EARLY && fl->consumed == st->spec->early_bytes));
	if (!ending)
		return out->len >= fl->target ? BM_FILL_EMIT : BM_FILL_MORE;
	if (!fl->tailing) {
		fl->tailing = true;
		fl->tail = st->spec->tail;
		for (unsigned i = 0; kind == FILL_COLLECT && i < 8 && out->len < out->cap[0]; i++)
			out->data[out->len++] = (uint8_t)(fl->hash >> (i * 8));
	}
	out->last = fl->tail == 0;
	if (fl->tail > 0)
		fl->tail--;
	return BM_FILL_EMIT;
}

static void check_input(struct model_stream *st, unsigned s, struct model_filling *fl, const struct bm_chunk *in)
{
	model_check_chunk(st, s - 1, in);
	TOY_CHECK(in->tag == model_tag_of(st, s - 1, in->seq), "stream %zu segment %u input %llu: wrong tag", st->id, s,
	          ull(in->seq));
	if (fl->in_seen && in->seq == fl->in_seq) {
		TOY_CHECK(!fl->in_over, "stream %zu segment %u: a used-up input is shown again", st->id, s);
		TOY_CHECK(in->pos == fl->in_pos, "stream %zu segment %u: input pos was changed", st->id, s);
	} else {
		TOY_CHECK(in->pos == 0, "stream %zu segment %u: new input with pos %zu", st->id, s, in->pos);
		TOY_CHECK(!fl->in_seen || in->seq > fl->in_seq, "stream %zu segment %u: input goes back", st->id, s);
		TOY_CHECK(!fl->in_seen || fl->in_over, "stream %zu segment %u: input taken before it was used up",
		          st->id, s);
	}
	fl->in_seen = true;
	fl->in_seq = in->seq;
}

static enum bm_fill_result model_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                      struct bm_worker *w, struct bm_error *err)
{
	struct model_seat *seat = arg;
	struct model_run *run = seat->run;
	struct model_stream *st = stream;
	unsigned s = seat->segment;
	struct model_filling *fl = &st->fill[s];
	enum bm_fill_result result;
	struct toy_frame f;
	const size_t in_len = in != NULL ? in->len : 0;

	model_note_late(run);
	model_enter(&f, run, st, w);
	TOY_CHECK(!atomic_exchange_explicit(&fl->busy, true, RELAXED), "stream %zu segment %u: two fills at once",
	          st->id, s);
	TOY_CHECK(!fl->over, "stream %zu segment %u: fill() after the last chunk", st->id, s);
	TOY_CHECK(err->status == BM_OK && err->sys_errno == 0 && !err->where[0] && !err->text[0], "err is not zeroed");
	TOY_CHECK((in != NULL) == (s > 0), "segment %u: input %p", s, (void *)in);
	toy_load(&f, run->model->load, model_dice(run, st, 100 + s, out->seq));
	if (s == 0) {
		result = fill_first(st, fl, out, err);
	} else {
		check_input(st, s, fl, in);
		if (fl->out)
			TOY_CHECK(out == fl->out && out->len == fl->out_len, "another out after BM_FILL_MORE");
		else
			open_chunk(st, s, fl, out);
		result = fill_later(st, s, fl, out, in, err);
		fl->in_pos = in->pos;
		fl->in_over = in->pos == in->len && !in->last;
		if (fl->in_over && in_len > 0)
			live_sub(st, segment_bytes(run, s - 1));
		if (result == BM_FILL_EMIT && out->last) {
			if (in->pos == in->len && in->last)
				live_sub(st, segment_bytes(run, s - 1));
			else
				live_drop(st);
		}
	}
	fl->out = result == BM_FILL_MORE ? out : NULL;
	fl->out_len = out->len;
	fl->over = result == BM_FILL_ERROR || out->last;
	if (result == BM_FILL_EMIT) {
		fl->next_out++;
		if (run->model->segments[s].stage_count == 0)
			model_live_after_stages(st, s, out);
	}
	atomic_store_explicit(&fl->busy, false, RELAXED);
	model_leave(&f, run, st);
	return result;
}

/* ---- wiring ---- */

void model_wire(struct model_run *run)
{
	unsigned index = 0;

	for (unsigned s = 0; s < run->model->segment_count; s++) {
		const struct model_segment *ms = &run->model->segments[s];

		run->fill_seats[s].run = run;
		run->fill_seats[s].segment = s;
		run->segments[s] = (struct bm_segment){
			.fill = model_fill,
			.arg = &run->fill_seats[s],
			.buffer_bytes = {ms->bytes[0], ms->bytes[1]},
			.stages = &run->stages[index],
			.stage_count = ms->stage_count,
		};
		for (unsigned k = 0; k < ms->stage_count; k++, index++) {
			run->seats[index].run = run;
			run->seats[index].segment = s;
			run->seats[index].stage = k;
			run->seats[index].index = index;
			run->stages[index] = (struct bm_stage){ms->stages[k].kind, model_stage, &run->seats[index],
			                                       ms->stages[k].pairs ? model_pair : NULL};
		}
	}
	run->stage_total = index;
	run->pl = (struct bm_pipeline){
		.next = model_next,
		.end = model_end,
		.done = model_done,
		.ctx = run,
		.segments = run->segments,
		.segment_count = run->model->segment_count,
	};
}
