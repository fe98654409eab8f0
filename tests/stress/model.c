/*
 * model.c - see model.h: random shapes, and the comparison of a run with what the reference says.
 *
 * What must be equal. A stream that goes well: every stage saw every chunk. A stream that fails in segment F at stage K
 * with chunk n (K is -1 for the fill): the error is the reference's; every stage of a later segment saw exactly what
 * the reference's saw; in F, serial stages from K on saw exactly 0 ... n (K itself) or 0 ... n-1 (those behind); the
 * others may have run ahead, but what they saw beyond is what they see where nothing fails from F on. A cancelled
 * stream: all stages saw some prefix (parallel ones: some subset) of that.
 *
 * Where a segment ends before its input does, the contract does not say how far those before it run on: anything from
 * what the reference needed to their own end is taken, and an error that they meet there may be the stream's.
 */
#include "model.h"
#include "reference.h"

#define RELAXED memory_order_relaxed

/* ---- shapes ---- */

static void random_segment(struct model_segment *seg, struct toy_rng *r, const struct model_limits *limits,
                           unsigned *expansions)
{
	memset(seg, 0, sizeof(*seg));
	seg->bytes[0] = toy_chance(r, 5) ? 1 + (size_t)toy_below(r, 4) : 8 + (size_t)toy_below(r, 300);
	seg->bytes[1] = toy_chance(r, 40) ? 0 : 1 + (size_t)toy_below(r, 2 * seg->bytes[0]);
	do
		seg->fill = (enum model_fill)toy_below(r, FILL_KINDS);
	while ((seg->fill == FILL_EARLY && !limits->early) || (seg->fill == FILL_EXPAND && *expansions >= 2) ||
	       (seg->fill == FILL_COLLECT && toy_chance(r, 50)));
	if (seg->fill == FILL_EXPAND)
		++*expansions;
	if (seg->fill == FILL_EXPAND && seg->bytes[0] < 8)
		seg->bytes[0] = 8;
	seg->stage_count = (unsigned)toy_below(r, limits->stages + 1);
	for (unsigned k = 0; k < seg->stage_count; k++) {
		seg->stages[k].kind = (enum bm_stage_kind)toy_below(r, 3);
		seg->stages[k].op = (enum model_op)toy_below(r, OP_KINDS);
		seg->stages[k].pairs = seg->stages[k].kind == BM_STAGE_SERIAL && toy_chance(r, 60);
	}
}

static void random_stream(const struct model *m, struct model_stream_spec *sp, struct toy_rng *r,
                          const struct model_limits *limits)
{
	static const enum bm_status statuses[] = {BM_ERR_FORMAT, BM_ERR_SYSTEM, BM_ERR_MISMATCH, BM_ERR_FAILED};
	unsigned chunks = toy_chance(r, 30) ? (unsigned)toy_below(r, 2) : (unsigned)toy_below(r, limits->chunks + 1);

	sp->seed = toy_rand(r);
	sp->total_bytes = chunks * m->segments[0].bytes[0];
	if (toy_chance(r, 60) && sp->total_bytes > 0)
		sp->total_bytes -= toy_below(r, m->segments[0].bytes[0]);
	sp->early_bytes = toy_below(r, sp->total_bytes + 2);
	sp->ragged = toy_chance(r, 50);
	sp->tail = toy_chance(r, 60) ? 0 : (unsigned)toy_below(r, 3);
	if (toy_chance(r, limits->fail_percent))
		sp->failure_count = 1 + (unsigned)toy_below(r, MODEL_FAILURES);
	for (unsigned i = 0; i < sp->failure_count; i++) {
		struct model_failure *fa = &sp->failures[i];

		fa->segment = (unsigned)toy_below(r, m->segment_count);
		fa->stage = (int)toy_below(r, m->segments[fa->segment].stage_count + 1) - 1;
		fa->seq = toy_chance(r, 30) ? 0 : toy_below(r, chunks + 2);
		fa->partial = toy_chance(r, 50);
		fa->silent = fa->stage >= 0 && toy_chance(r, 20);
		fa->status = statuses[toy_below(r, sizeof(statuses) / sizeof(statuses[0]))];
	}
}

void model_random(struct model *m, struct toy_rng *r, const struct model_limits *limits)
{
	unsigned expansions = 0;

	memset(m, 0, sizeof(*m));
	m->segment_count = 1 + (unsigned)toy_below(r, limits->segments);
	m->load = limits->load;
	for (unsigned s = 0; s < m->segment_count; s++)
		random_segment(&m->segments[s], r, limits, &expansions);
	m->stream_count = (size_t)toy_below(r, limits->streams + 1);
	m->streams = toy_alloc(m->stream_count, sizeof(*m->streams));
	for (size_t i = 0; i < m->stream_count; i++)
		random_stream(m, &m->streams[i], r, limits);
}

void model_fini(struct model *m)
{
	free(m->streams);
	m->streams = NULL;
}

/* ---- runs ---- */

static size_t state_count(const struct model_run *run)
{
	return run->model->stream_count * run->stage_total;
}

static void init_common(struct model_run *run, const struct model *m, struct toy_pool *tp, unsigned failures_below)
{
	static _Atomic uint64_t runs;

	memset(run, 0, sizeof(*run));
	run->model = m;
	run->tp = tp;
	run->failures_below = failures_below;
	run->salt = toy_mix(atomic_fetch_add(&runs, 1));
	model_wire(run);
	run->streams = toy_alloc(m->stream_count, sizeof(*run->streams));
	run->states = toy_alloc(state_count(run), sizeof(*run->states));
	for (size_t i = 0; i < m->stream_count; i++) {
		run->streams[i].run = run;
		run->streams[i].id = i;
		run->streams[i].spec = &m->streams[i];
		run->streams[i].states = run->states + i * run->stage_total;
	}
}

static const struct model_state *most(const struct model_oracle *o, size_t stream, unsigned index)
{
	unsigned s = o->serial.seats[index].segment;

	return &o->ahead[s].streams[stream].states[index];
}

void model_run_init(struct model_run *run, const struct model_oracle *o, struct toy_pool *tp)
{
	size_t sigs = 0;

	init_common(run, o->model, tp, BM_FLOW_MAX_SEGMENTS);
	for (size_t i = 0; i < state_count(run); i++)
		sigs += (size_t)most(o, i / run->stage_total, (unsigned)(i % run->stage_total))->count;
	run->sigs = toy_alloc(sigs, sizeof(*run->sigs));
	sigs = 0;
	for (size_t i = 0; i < state_count(run); i++) {
		run->states[i].sig = run->sigs + sigs;
		run->states[i].cap = (size_t)most(o, i / run->stage_total, (unsigned)(i % run->stage_total))->count;
		sigs += run->states[i].cap;
	}
}

void model_run_fini(struct model_run *run)
{
	for (size_t i = 0; !run->sigs && i < state_count(run); i++)
		free((void *)run->states[i].sig);
	free((void *)run->sigs);
	free(run->states);
	free(run->streams);
	memset(run, 0, sizeof(*run));
}

void model_oracle_init(struct model_oracle *o, const struct model *m)
{
	o->model = m;
	init_common(&o->serial, m, NULL, BM_FLOW_MAX_SEGMENTS);
	reference_run(&o->serial.pl, false);
	init_common(&o->drained, m, NULL, BM_FLOW_MAX_SEGMENTS);
	reference_run(&o->drained.pl, true);
	for (unsigned s = 0; s < m->segment_count; s++) {
		init_common(&o->ahead[s], m, NULL, s);
		o->ahead[s].pl.segment_count = s + 1;
		reference_run(&o->ahead[s].pl, false);
	}
	o->min_bytes = bm_flow_min_bytes(&o->serial.pl);
	toy_assert_clean();
}

void model_oracle_fini(struct model_oracle *o)
{
	model_run_fini(&o->serial);
	model_run_fini(&o->drained);
	for (unsigned s = 0; s < o->model->segment_count; s++)
		model_run_fini(&o->ahead[s]);
}

enum bm_status model_start(struct model_run *run, struct bm_error *err)
{
	return bm_flow_start(run->tp->pool, &run->pl, &run->flow, err);
}

void model_cancel(struct model_run *run)
{
	model_forget_live(run);
	atomic_store_explicit(&run->cancelled, true, RELAXED);
	bm_flow_cancel(run->flow);
	TOY_CHECK(bm_flow_is_cancelled(run->flow), "bm_flow_is_cancelled is false after bm_flow_cancel");
	atomic_store_explicit(&run->cancel_returned, true, RELAXED);
}

void model_finish(struct model_run *run)
{
	struct bm_flow *seen;
	bool cancelled;

	bm_flow_wait(run->flow);
	atomic_store_explicit(&run->closed, true, RELAXED);
	TOY_CHECK(atomic_load_explicit(&run->active, RELAXED) == 0, "a callback runs after bm_flow_wait");
	TOY_CHECK(atomic_load_explicit(&run->done_count, RELAXED) == 1, "done() called %u times",
	          atomic_load_explicit(&run->done_count, RELAXED));
	seen = atomic_load_explicit(&run->flow_seen, RELAXED);
	TOY_CHECK(!seen || seen == run->flow, "bm_worker_flow is not the flow");
	cancelled = atomic_load_explicit(&run->cancelled, RELAXED);
	TOY_CHECK(bm_flow_is_cancelled(run->flow) == cancelled, "bm_flow_is_cancelled is %d", !cancelled);
	if (cancelled) { /* a thread may have been about to make one call */
		TOY_CHECK(atomic_load_explicit(&run->late_next, RELAXED) <= 1, "next() after the cancellation");
		TOY_CHECK(atomic_load_explicit(&run->late, RELAXED) <= run->tp->threads,
		          "%u calls begun after the cancellation, on %u threads",
		          atomic_load_explicit(&run->late, RELAXED), run->tp->threads);
	}
	bm_flow_destroy(run->flow);
	run->flow = NULL;
	toy_pool_check(run->tp);
}

/* ---- comparison ---- */

static bool same_error(const struct bm_error *want, const struct bm_error *got, bool silent)
{
	return want->status == got->status &&
	       (silent || (strcmp(want->text, got->text) == 0 && strcmp(want->where, got->where) == 0 &&
	                   want->sys_errno == got->sys_errno));
}

/* How many chunks of the state were seen, whichever; and that they are what can be seen there. */
static uint64_t check_seen(const struct model_stream *st, unsigned index, const struct model_state *can, bool serial)
{
	const struct model_state *state = &st->states[index];
	uint64_t seen = 0;

	for (size_t q = 0; q < state->cap; q++) {
		uint64_t sig = atomic_load_explicit(&state->sig[q], RELAXED);

		if (!sig)
			continue;
		TOY_CHECK(sig == can->sig[q], "stream %zu stage %u chunk %zu: not the right bytes", st->id, index, q);
		TOY_CHECK(!serial || q == seen, "stream %zu stage %u: chunk %zu without those before", st->id, index,
		          q);
		seen++;
	}
	return seen;
}

static bool saw(const struct model_state *state, uint64_t seq)
{
	return seq < state->cap && atomic_load_explicit(&state->sig[seq], RELAXED) != 0;
}

/* May the stage have seen more than the reference's? */
static bool may_run_ahead(const struct model *m, unsigned s, unsigned k, const struct model_stream *want)
{
	bool serial = m->segments[s].stages[k].kind != BM_STAGE_PARALLEL;
	const struct model_failure *fault = &want->fault;

	for (unsigned later = s + 1; later < m->segment_count; later++)
		if (m->segments[later].fill == FILL_EARLY)
			return true;
	if (want->ok || s > fault->segment)
		return false;
	if (s < fault->segment)
		return true;
	return fault->stage >= 0 && (!serial || (int)k < fault->stage);
}

static void compare_stream(const struct model_stream *st, const struct model_oracle *o, bool cancelled)
{
	const struct model *m = st->run->model;
	const struct model_stream *want = &o->serial.streams[st->id];
	const struct model_stream *drained = &o->drained.streams[st->id];
	bool complete = true;
	unsigned index = 0;

	if (cancelled && !st->ok && st->err.status == BM_ERR_CANCELLED)
		complete = false;
	else if (st->ok != want->ok || (!st->ok && !same_error(&want->err, &st->err, want->fault.silent)))
		TOY_CHECK(st->ok == drained->ok &&
		                  (st->ok || same_error(&drained->err, &st->err, drained->fault.silent)),
		          "stream %zu ends with \"%s\" (%s); a serial run with \"%s\" (%s)", st->id,
		          st->ok ? "" : st->err.text, bm_status_text(st->ok ? BM_OK : st->err.status),
		          want->ok ? "" : want->err.text, bm_status_text(want->ok ? BM_OK : want->err.status));
	for (unsigned s = 0; s < m->segment_count; s++) {
		for (unsigned k = 0; k < m->segments[s].stage_count; k++, index++) {
			bool serial = m->segments[s].stages[k].kind != BM_STAGE_PARALLEL;
			uint64_t seen = check_seen(st, index, most(o, st->id, index), serial);
			uint64_t least = want->states[index].count;

			if (!complete)
				continue;
			for (uint64_t q = 0; q < least; q++)
				TOY_CHECK(saw(&st->states[index], q),
				          "stream %zu (%s) stage %u never saw chunk %llu of %llu", st->id,
				          st->ok ? "well" : st->err.text, index, (unsigned long long)q,
				          (unsigned long long)least);
			TOY_CHECK(seen == least || may_run_ahead(m, s, k, want),
			          "stream %zu stage %u saw %llu chunks, a serial run %llu", st->id, index,
			          (unsigned long long)seen, (unsigned long long)least);
			TOY_CHECK(want->ok || s != want->fault.segment || (int)k <= want->fault.stage ||
			                  !saw(&st->states[index], want->fault.seq),
			          "stream %zu stage %u saw the failed chunk %llu", st->id, index,
			          (unsigned long long)want->fault.seq);
		}
	}
}

void model_compare(struct model_run *run, const struct model_oracle *o)
{
	bool cancelled = atomic_load_explicit(&run->cancelled, RELAXED);

	TOY_CHECK(cancelled || run->given == run->model->stream_count, "next() gave %zu streams of %zu", run->given,
	          run->model->stream_count);
	TOY_CHECK(cancelled || run->next_over, "next() was not called to its end");
	for (size_t i = 0; i < run->model->stream_count; i++) {
		const struct model_stream *st = &run->streams[i];

		TOY_CHECK(atomic_load(&st->given) == atomic_load(&st->ended), "stream %zu: given %d, ended %d", i,
		          atomic_load(&st->given), atomic_load(&st->ended));
		if (atomic_load(&st->ended))
			compare_stream(st, o, cancelled);
	}
}

void model_check(const struct model_oracle *o, struct toy_pool *tp)
{
	struct bm_error err = BM_ERROR_INIT;
	struct model_run run;

	model_run_init(&run, o, tp);
	if (model_start(&run, &err) != BM_OK)
		fail_msg("bm_flow_start: %s", err.text);
	model_finish(&run);
	model_compare(&run, o);
	model_run_fini(&run);
	toy_assert_clean();
}
