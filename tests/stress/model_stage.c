/*
 * model_stage.c - the stages of a model: see model_call.c.
 *
 * A stage with pair() has a random amount of work for each chunk. pair() takes the lesser amount off both chunks, run()
 * does what is left; the chunk is seen and changed when nothing is.
 */
#include "model_internal.h"

#define RELAXED memory_order_relaxed

static void apply(const struct model_stage *ms, struct bm_chunk *c, uint64_t key)
{
	/* Not by where data ends: the buffers may lie side by side. */
	unsigned own = c->data >= c->buf[0] && c->data < c->buf[0] + c->cap[0] ? 0 : 1;
	size_t room = c->cap[own] - (size_t)(c->data - c->buf[own]) - c->len;
	uint8_t *to = c->data;

	switch (ms->op) {
	case OP_XOR_SPARE:
		if (c->buf[!own] && c->cap[!own] >= c->len)
			to = c->buf[!own];
		/* fall through */
	case OP_XOR:
		for (size_t i = 0; i < c->len; i++)
			to[i] = c->data[i] ^ (uint8_t)(key >> (i % 8 * 8));
		c->data = to;
		break;
	case OP_TRIM:
		c->len -= c->len / 4;
		break;
	case OP_GROW:
		if (room > c->len / 4 + 1)
			room = c->len / 4 + 1;
		memset(c->data + c->len, (int)(key & 0xff), room);
		c->len += room;
		break;
	case OP_LOOK:
	case OP_KINDS:
		break;
	}
}

static void record(struct model_stream *st, struct model_state *state, unsigned index, const struct bm_chunk *c)
{
	uint64_t sig = toy_hash(c->seq * 2 + c->last, c->data, c->len) | 1;

	if (!st->run->sigs && c->seq >= state->cap) { /* the reference; the engine's runs get theirs beforehand */
		size_t cap = (size_t)c->seq * 2 + 8;

		state->sig = realloc(state->sig, cap * sizeof(*state->sig));
		if (!state->sig)
			abort();
		memset((void *)(state->sig + state->cap), 0, (cap - state->cap) * sizeof(*state->sig));
		state->cap = cap;
	}
	if (c->seq >= state->cap) {
		toy_violation("stream %zu stage %u: chunk %llu of %zu", st->id, index, ull(c->seq), state->cap);
		return;
	}
	TOY_CHECK(atomic_exchange_explicit(&state->sig[c->seq], sig, RELAXED) == 0,
	          "stream %zu stage %u: chunk %llu twice", st->id, index, ull(c->seq));
}

/* What must hold of a chunk that comes to a stage. */
static void stage_begin(struct model_seat *seat, struct model_stream *st, const struct bm_chunk *c)
{
	const struct model_stage *ms = &seat->run->model->segments[seat->segment].stages[seat->stage];
	struct model_state *state = &st->states[seat->index];

	TOY_CHECK(c->tag == model_tag_of(st, seat->segment, c->seq), "stream %zu segment %u chunk %llu: wrong tag",
	          st->id, seat->segment, ull(c->seq));
	for (unsigned i = 0; i < 4; i++) /* every stage adds one */
		TOY_CHECK(c->slot[i] == c->tag + i + seat->stage, "stream %zu segment %u chunk %llu: wrong slot %u",
		          st->id, seat->segment, ull(c->seq), i);
	model_check_chunk(st, seat->segment, c);
	if (ms->kind != BM_STAGE_PARALLEL) {
		TOY_CHECK(!atomic_exchange_explicit(&state->busy, true, RELAXED),
		          "stream %zu stage %u: serial, and two at once", st->id, seat->index);
		TOY_CHECK(c->seq == state->count, "stream %zu stage %u: chunk %llu where %llu is due", st->id,
		          seat->index, ull(c->seq), ull(state->count));
	}
	if (ms->kind == BM_STAGE_IN_ORDER) {
		TOY_CHECK(!atomic_exchange_explicit(&seat->busy, true, RELAXED), "stage %u: IN_ORDER, and two at once",
		          seat->index);
		TOY_CHECK(st->id >= seat->last_id, "stage %u: stream %zu after stream %zu", seat->index, st->id,
		          seat->last_id);
		seat->last_id = st->id;
	}
	if (ms->pairs)
		toy_work_come(&state->work, c, toy_mix(st->spec->seed ^ seat->index << 24 ^ c->seq));
}

/* The chunk is seen, and changed; not where pair() is not through with it. */
static void stage_work(struct model_seat *seat, struct model_stream *st, struct bm_chunk *c)
{
	struct model_run *run = seat->run;
	const struct model_stage *ms = &run->model->segments[seat->segment].stages[seat->stage];
	struct model_state *state = &st->states[seat->index];
	uint64_t key = toy_mix(st->spec->seed ^ seat->index);

	for (unsigned i = 0; i < 4; i++)
		c->slot[i]++;
	record(st, state, seat->index, c);
	if (ms->kind != BM_STAGE_PARALLEL)
		key ^= state->hash;
	apply(ms, c, key);
	if (ms->kind != BM_STAGE_PARALLEL || !run->tp)
		state->count++;
	if (ms->kind != BM_STAGE_PARALLEL)
		state->hash = toy_hash(state->hash ^ c->seq, c->data, c->len);
}

static void stage_end(struct model_seat *seat, struct model_stream *st)
{
	const struct model_stage *ms = &seat->run->model->segments[seat->segment].stages[seat->stage];

	if (ms->kind != BM_STAGE_PARALLEL)
		atomic_store_explicit(&st->states[seat->index].busy, false, RELAXED);
	if (ms->kind == BM_STAGE_IN_ORDER)
		atomic_store_explicit(&seat->busy, false, RELAXED);
}

static bool is_last_stage(const struct model_seat *seat)
{
	return seat->stage + 1 == seat->run->model->segments[seat->segment].stage_count;
}

enum bm_status model_stage(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct model_seat *seat = arg;
	struct model_run *run = seat->run;
	struct model_stream *st = stream;
	const struct model_failure *fa = model_find_failure(st, seat->segment, (int)seat->stage, c->seq);
	enum bm_status status = BM_OK;
	struct toy_frame f;

	model_note_late(run);
	model_enter(&f, run, st, w);
	TOY_CHECK(err->status == BM_OK && err->sys_errno == 0 && !err->where[0] && !err->text[0], "err is not zeroed");
	stage_begin(seat, st, c);
	toy_load(&f, run->model->load, model_dice(run, st, 3 + seat->index, c->seq));
	if (run->tp && run->model->segments[seat->segment].stages[seat->stage].pairs)
		toy_work_rest(&st->states[seat->index].work, c);
	stage_work(seat, st, c);
	stage_end(seat, st);
	if (fa) {
		model_set_failure(st, fa, err);
		status = fa->status;
	} else if (is_last_stage(seat)) {
		model_live_after_stages(st, seat->segment, c);
	}
	model_leave(&f, run, st);
	return status;
}

/* What run() does, to two chunks, each as far as it can be while the other is. */
unsigned model_pair(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
                    struct bm_worker *w)
{
	static const unsigned bits[2] = {BM_PAIR_A, BM_PAIR_B};
	struct model_seat *seat = arg;
	struct model_run *run = seat->run;
	struct model_stream *st[2] = {stream_a, stream_b};
	struct bm_chunk *c[2] = {a, b};
	bool fails[2];
	unsigned through;

	(void)w;
	model_note_late(run);
	toy_enter_pair(run->tp);
	TOY_CHECK(!atomic_load_explicit(&run->closed, RELAXED), "a callback after bm_flow_wait");
	atomic_fetch_add_explicit(&run->active, 1, RELAXED);
	model_point(run, atomic_load_explicit(&run->flow_seen, RELAXED));
	TOY_CHECK(st[0] != st[1], "stream %zu: a pair with itself", st[0]->id);
	for (unsigned i = 0; i < 2; i++) {
		model_enter_stream(run, st[i]);
		stage_begin(seat, st[i], c[i]);
		fails[i] = model_find_failure(st[i], seat->segment, (int)seat->stage, c[i]->seq) != NULL;
	}
	through = toy_work_pair(&st[0]->states[seat->index].work, a, fails[0], &st[1]->states[seat->index].work, b,
	                        fails[1], model_dice(run, st[0], st[1]->id, a->seq ^ b->seq << 32));
	for (unsigned i = 0; i < 2; i++) {
		if (through & bits[i])
			stage_work(seat, st[i], c[i]);
		stage_end(seat, st[i]);
		if ((through & bits[i]) && is_last_stage(seat))
			model_live_after_stages(st[i], seat->segment, c[i]);
		atomic_fetch_sub_explicit(&st[i]->active, 1, RELAXED);
	}
	model_point(run, atomic_load_explicit(&run->flow_seen, RELAXED));
	atomic_fetch_sub_explicit(&run->active, 1, RELAXED);
	toy_leave_pair(run->tp);
	return through;
}
