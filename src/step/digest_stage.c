/*
 * digest_stage.c - see digest_stage.h.
 *
 * Three ways to digest a chunk. In turn, with a state of bm_digest.h. With lanes (bm_digest_lanes.h), where two files of
 * one chunk go on side by side on one core. And, for crc32, which is combinable, in two stages: a parallel one does the
 * chunk's checksum, a short serial one puts them together.
 */
#include "digest_stage.h"

#include <stdlib.h>

#include "bm_error.h"

static void digest_destroy(void *d)
{
	bm_digest_destroy(d);
}

struct digest_file *digest_file_create(const struct digest_set *set, size_t whole, size_t extra)
{
	const size_t unit = _Alignof(struct digest_value);
	size_t at = (whole + unit - 1) / unit * unit;
	char *all = calloc(1, at + set->count * sizeof(struct digest_value) + extra);
	struct digest_file *df = (struct digest_file *)(void *)all;

	if (df != NULL)
		df->value = (struct digest_value *)(void *)(all + at);
	return df;
}

void digest_file_end(struct digest_set *set, struct digest_file *df)
{
	for (size_t i = 0; df != NULL && i < set->count; i++) {
		bm_stash_put(&set->digests[i], df->value[i].d);
		df->value[i].d = NULL;
	}
}

/* Called in serial stages only: the file's first chunk makes the state in the first of them, and no other chunk is in
 * any of them before it has left that one. */
static struct digest_file *file_state(struct digest_set *set, struct bm_file *f, struct bm_error *err)
{
	struct digest_file *df = f->state[set->index];

	if (df == NULL) {
		df = digest_file_create(set, set->file_bytes > 0 ? set->file_bytes : sizeof(*df), 0);
		if (df == NULL)
			(void)bm_error_set_nomem(err);
		f->state[set->index] = df;
	}
	return df;
}

static bool is_skipped(const struct digest_file *df, unsigned i)
{
	return (df->skip >> i & 1) != 0;
}

/* The first stage counts for all. */
static void count_bytes(struct digest_file *df, unsigned i, const struct bm_chunk *c)
{
	if (i == 0)
		df->length += c->len;
}

/* ---- two files at once ---- */

/* Is it through with the chunk? */
static bool lane_leave(struct digest_file *df, unsigned i, const struct bm_chunk *c)
{
	struct digest_value *v = &df->value[i];

	if (!is_skipped(df, i)) {
		if (bm_digest_lane_is_busy(&v->lane))
			return false;
		if (c->last) {
			bm_digest_lane_result(&v->lane, v->out);
			v->done = true;
		}
	}
	count_bytes(df, i, c);
	return true;
}

/* Is there work left to do on the chunk? */
static bool lane_take(struct digest_file *df, unsigned i, const struct bm_chunk *c)
{
	struct bm_digest_lane *lane = &df->value[i].lane;

	if (is_skipped(df, i))
		return false;
	if (!bm_digest_lane_is_busy(lane)) /* else it has had company before */
		bm_digest_lane_give(lane, c->data, c->len, c->last);
	return true;
}

static enum bm_status lane_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct digest_stage *st = arg;
	struct digest_file *df = file_state(st->set, stream, err);

	(void)w;
	if (df == NULL)
		return BM_ERR_NOMEM;
	if (lane_take(df, st->i, c))
		bm_digest_lane_run(&df->value[st->i].lane);
	(void)lane_leave(df, st->i, c);
	return BM_OK;
}

static unsigned lane_pair(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
                          struct bm_worker *w)
{
	struct digest_stage *st = arg;
	struct bm_error none; /* the run() that follows says the same */
	struct digest_file *fa, *fb;
	unsigned through = 0;

	(void)w;
	bm_error_clear(&none);
	fa = file_state(st->set, stream_a, &none);
	fb = file_state(st->set, stream_b, &none);
	if (fa == NULL || fb == NULL)
		return 0;
	bool more_a = lane_take(fa, st->i, a), more_b = lane_take(fb, st->i, b);
	if (more_a && more_b)
		bm_digest_lanes_run(&fa->value[st->i].lane, &fb->value[st->i].lane);
	if (lane_leave(fa, st->i, a))
		through |= BM_PAIR_A;
	if (lane_leave(fb, st->i, b))
		through |= BM_PAIR_B;
	return through;
}

/* ---- one at a time ---- */

static enum bm_status digest_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct digest_stage *st = arg;
	struct digest_set *set = st->set;
	struct digest_file *df = file_state(set, stream, err);
	enum bm_status status = BM_OK;

	(void)w;
	if (df == NULL)
		return BM_ERR_NOMEM;
	struct digest_value *v = &df->value[st->i];
	if (is_skipped(df, st->i)) {
		count_bytes(df, st->i, c);
		return BM_OK;
	}
	if (v->d == NULL) {
		v->d = bm_stash_get(&set->digests[st->i]);
		if (v->d != NULL)
			status = bm_digest_reset(v->d, err);
		else
			status = bm_digest_create(set->algorithms[st->i], &v->d, err);
	}
	if (status == BM_OK)
		status = bm_digest_update(v->d, c->data, c->len, err);
	if (status == BM_OK)
		count_bytes(df, st->i, c);
	if (status == BM_OK && c->last) {
		status = bm_digest_finish(v->d, v->out, err);
		bm_stash_put(&set->digests[st->i], v->d);
		v->d = NULL;
		v->done = status == BM_OK;
	}
	return status;
}

/* ---- combinable ones ---- */

static enum bm_status crc_chunk_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                    struct bm_error *err)
{
	struct digest_stage *st = arg;
	const struct bm_file *f = stream;

	(void)w;
	(void)err;
	/* Not selective: the state may be in the making. */
	if (!st->set->is_selective || !is_skipped(f->state[st->set->index], st->i))
		c->slot[st->slot] = bm_crc32(0, c->data, c->len);
	return BM_OK;
}

static enum bm_status crc_join_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                   struct bm_error *err)
{
	struct digest_stage *st = arg;
	struct digest_file *df = file_state(st->set, stream, err);

	(void)w;
	if (df == NULL)
		return BM_ERR_NOMEM;
	struct digest_value *v = &df->value[st->i];
	count_bytes(df, st->i, c);
	if (is_skipped(df, st->i))
		return BM_OK;
	v->crc = bm_crc32_combine(v->crc, (uint32_t)c->slot[st->slot], c->len);
	if (c->last) {
		uint8_t *out = v->out;

		for (unsigned k = 0; k < 4; k++)
			out[k] = (uint8_t)(v->crc >> (24 - 8 * k));
		v->done = true;
	}
	return BM_OK;
}

/* ---- the set ---- */

enum bm_status digest_set_add(struct digest_set *set, const struct bm_digest_algorithm *a, struct bm_error *err)
{
	if (set->count == DIGEST_SET_MAX)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "a step can have %d algorithms", DIGEST_SET_MAX);
	set->algorithms[set->count] = a;
	return bm_stash_init(&set->digests[set->count++], digest_destroy, err);
}

enum bm_status digest_set_stages(struct digest_set *set, struct bm_plan *plan, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (unsigned i = 0; i < set->count && status == BM_OK; i++) {
		struct digest_stage *st = &set->stages[i];

		st->set = set;
		st->i = i;
		st->slot = set->algorithms[i]->combinable ? bm_plan_slot(plan) : -1;
		if (st->slot < 0) {
			bool lanes = bm_digest_has_lanes(set->algorithms[i]);

			status = bm_plan_stage(plan, BM_STAGE_SERIAL, lanes ? lane_run : digest_run, st, err);
			if (status == BM_OK && lanes)
				bm_plan_pairs(plan, lane_pair);
			continue;
		}
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, crc_chunk_run, st, err);
		if (status == BM_OK)
			status = bm_plan_stage(plan, BM_STAGE_SERIAL, crc_join_run, st, err);
		bm_plan_slot_free(plan);
	}
	return status;
}

void digest_set_fini(struct digest_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		bm_stash_fini(&set->digests[i]);
	set->count = 0;
}
