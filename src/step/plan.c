/*
 * plan.c - builds a job's pipeline by asking its steps in order, and drives what belongs to all steps of a file or job.
 *
 * The data of a chunk alternates between the token's two buffers: a step that changes the bytes writes into the spare
 * one. The plan follows along and makes each buffer as large as the worst that can stand in it, so that a token taken at
 * the start is enough to the end of the segment.
 */
#include "bm_plan.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_url.h"
#include "bm_zstd.h"
#include "step_internal.h"

/* Chosen by measurement: hashing alone likes chunks that stay in the second-level cache; gzip loses 0.3 % of size with
 * 256 KiB members and nothing with 1 MiB ones. What zstd wants is in zstd_encode.c. */
#define CHUNK_LOOK ((size_t)256 << 10)
#define CHUNK_CHANGE ((size_t)1 << 20)

bool bm_step_begins_segment(const struct bm_step *s)
{
	return s->kind->ops->begins_segment;
}

size_t bm_step_chunk(const struct bm_job *job, size_t first)
{
	size_t chunk = CHUNK_LOOK;

	if (job->p.chunk > 0)
		return (size_t)job->p.chunk;
	for (size_t i = first; i < job->step_count; i++) {
		const struct bm_step *s = &job->steps[i];
		const bool zstd = s->kind->ops == &bm_compress_ops && s->p.compress.format == BM_COMPRESS_ZSTD;
		const size_t want = zstd ? bm_zstd_best_chunk((int)s->p.compress.level) : CHUNK_CHANGE;

		if (s->kind->role == BM_ROLE_CHANGE && want > chunk)
			chunk = want;
		if (i > first && bm_step_begins_segment(s))
			break;
	}
	return chunk;
}

static bool is_write(const struct bm_step *s)
{
	return s->kind->ops == &bm_write_ops;
}

/* Only outputs with if_exists "skip" hang on the job's files, so that a file whose outputs all exist need not be read.
 * A digest would be missing from a manifest. */
static bool may_skip_early(const struct bm_job *job)
{
	bool any = false;

	for (size_t i = 1; i < job->step_count; i++) {
		const struct bm_step *s = &job->steps[i];

		if (is_write(s) && bm_url_is(s->p.write.to)) /* to look costs a request */
			return false;
		if (s->kind->ops == &bm_hash_ops || s->kind->ops == &bm_verify_ops)
			return false;
		if (!is_write(s))
			continue;
		if (s->p.write.if_exists != BM_EXISTS_SKIP || s->p.write.combine || strcmp(s->p.write.to, "-") == 0)
			return false;
		any = true;
	}
	return any;
}

/* The kernel copies holes as holes: not where they are to be filled. And of bytes that it does not see nobody knows whether
 * they are those on the disk. */
static bool is_kernel_copy(const struct bm_job *job)
{
	const struct bm_step *s = &job->steps[1];

	return job->step_count == 2 && is_write(s) && !s->p.write.combine && strcmp(s->p.write.to, "-") != 0 &&
	       !bm_url_is(s->p.write.to) && s->p.write.if_exists != BM_EXISTS_APPEND && s->p.write.sparse &&
	       !bm_write_rereads(job, s);
}

enum bm_status bm_plan_load(struct bm_job_context *ctx, struct bm_error *err)
{
	const struct bm_job *job = ctx->job;
	enum bm_status status = BM_OK;

	ctx->loaded = bm_calloc_array(job->step_count + 1, sizeof(*ctx->loaded));
	if (ctx->loaded == NULL)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < job->step_count && status == BM_OK; i++)
		if (job->steps[i].kind->ops->load != NULL)
			status = job->steps[i].kind->ops->load(ctx, &job->steps[i], err);
	return status;
}

void bm_plan_unload(struct bm_job_context *ctx)
{
	for (size_t i = 0; ctx->loaded != NULL && i < ctx->job->step_count; i++)
		if (ctx->job->steps[i].kind->ops->unload != NULL)
			ctx->job->steps[i].kind->ops->unload(ctx->loaded[i]);
	free(ctx->loaded);
	ctx->loaded = NULL;
}

enum bm_status bm_plan_create(struct bm_job_context *ctx, struct bm_plan **out, struct bm_error *err)
{
	const struct bm_job *job = ctx->job;
	struct bm_plan *p = calloc(1, sizeof(*p));
	enum bm_status status = BM_OK;

	*out = NULL;
	if (p == NULL)
		return bm_error_set_nomem(err);
	p->ctx = ctx;
	p->job = job;
	p->chunk_bytes = bm_step_chunk(job, 0);
	/* The kernel keeps no pace, and of an error that it meets it does not say on which side. */
	p->kernel_copy = is_kernel_copy(job) && p->ctx->pace == NULL && job->p.retries == 0;
	p->skip_early = may_skip_early(job);
	p->step_count = job->step_count;
	p->shared = calloc(job->step_count, sizeof(*p->shared));
	p->broken = calloc(job->step_count, sizeof(*p->broken));
	if (p->shared == NULL || p->broken == NULL)
		status = bm_error_set_nomem(err);
	for (size_t i = 0; i < job->step_count && status == BM_OK; i++) {
		size_t segments = p->segment_count, stages = p->stage_count;

		status = job->steps[i].kind->ops->prepare(p, &job->steps[i], &p->shared[i], err);
		while (segments < p->segment_count)
			p->segment_step[segments++] = (uint8_t)i;
		while (stages < p->stage_count)
			p->stage_step[stages++] = (uint8_t)i;
		if (job->steps[i].kind->ops->expect != NULL)
			p->verifier = i;
	}
	if (status != BM_OK) {
		bm_plan_destroy(p);
		return status;
	}
	*out = p;
	return BM_OK;
}

void bm_plan_destroy(struct bm_plan *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; p->shared != NULL && i < p->step_count; i++)
		p->job->steps[i].kind->ops->destroy(p->shared[i]);
	free(p->shared);
	free(p->broken);
	bm_step_clock_destroy(p->clock);
	free(p);
}

enum bm_status bm_plan_segment(struct bm_plan *p,
                               enum bm_fill_result (*fill)(void *arg, void *stream, struct bm_chunk *out,
                                                           struct bm_chunk *in, struct bm_worker *w,
                                                           struct bm_error *err),
                               void *arg, size_t chunk_bytes, size_t other_bytes, struct bm_error *err)
{
	if (p->segment_count == BM_FLOW_MAX_SEGMENTS)
		return bm_error_set(
			err, BM_ERR_LIMIT, NULL,
			"a job can have %d steps that cut chunks anew (encrypt, decrypt, and each layer of decompress)",
			BM_FLOW_MAX_SEGMENTS - 1);
	struct bm_segment *seg = &p->segments[p->segment_count++];

	seg->fill = fill;
	seg->arg = arg;
	seg->buffer_bytes[0] = chunk_bytes;
	seg->buffer_bytes[1] = other_bytes;
	seg->stages = &p->stages[p->stage_count];
	seg->stage_count = 0;
	p->side = 0;
	p->data_bytes = chunk_bytes;
	p->slots = 0;
	return BM_OK;
}

enum bm_status bm_plan_stage(struct bm_plan *p, enum bm_stage_kind kind,
                             enum bm_status (*run)(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                                   struct bm_error *err),
                             void *arg, struct bm_error *err)
{
	if (p->stage_count == BM_FLOW_MAX_STAGES)
		return bm_error_set(err, BM_ERR_LIMIT, NULL,
		                    "too many steps: a job can have %d stages, one each algorithm", BM_FLOW_MAX_STAGES);
	p->in_order = p->in_order || kind == BM_STAGE_IN_ORDER;
	p->stages[p->stage_count++] = (struct bm_stage){kind, run, arg, NULL};
	p->segments[p->segment_count - 1].stage_count++;
	return BM_OK;
}

void bm_plan_pairs(struct bm_plan *p, unsigned (*pair)(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b,
                                                       struct bm_chunk *b, struct bm_worker *w))
{
	p->stages[p->stage_count - 1].pair = pair;
}

void bm_plan_changes(struct bm_plan *p, size_t bytes, size_t extra)
{
	struct bm_segment *seg = &p->segments[p->segment_count - 1];

	p->side ^= 1;
	p->data_bytes = bytes;
	if (seg->buffer_bytes[p->side] < bytes + extra)
		seg->buffer_bytes[p->side] = bytes + extra;
}

int bm_plan_slot(struct bm_plan *p)
{
	return p->slots < BM_PLAN_MAX_SLOTS ? (int)p->slots++ : -1;
}

void bm_plan_slot_free(struct bm_plan *p)
{
	p->slots--;
}

/* ---- templates ---- */

enum bm_status bm_step_template(const struct bm_job_context *ctx, const char *text, const char *algorithm,
                                unsigned allowed, struct bm_template **out, struct bm_error *err)
{
	struct bm_template_values v = ctx->values;
	struct bm_template *t = NULL;
	enum bm_status status = bm_template_compile(text, allowed, &t, err);

	*out = NULL;
	v.algorithm = algorithm;
	if (status == BM_OK)
		status = bm_template_bind(t, &v, out, err);
	bm_template_destroy(t);
	return status;
}

void bm_step_expand(const struct bm_job_context *ctx, const struct bm_template *t, const char *path, size_t path_len,
                    struct bm_buf *out)
{
	struct bm_template_values v = ctx->values;

	v.path = path;
	v.path_len = path_len;
	bm_template_expand(t, &v, out);
}

/* ---- a file's and a job's end ---- */

enum bm_status bm_plan_close_file(const struct bm_plan *p, struct bm_file *f, struct bm_worker *w,
                                  const struct bm_error *err, struct bm_error *out)
{
	bool good = err == NULL;

	if (good)
		bm_error_clear(out);
	else
		*out = *err;
	for (size_t i = 0; i < p->step_count; i++) {
		const struct bm_step_ops *ops = p->job->steps[i].kind->ops;

		if (ops->close == NULL)
			continue;
		/* What others do here takes no time worth a look at the clock. */
		bool is_timed = ops == &bm_write_ops;
		uint64_t start = is_timed ? bm_plan_clock_start(p) : 0;
		if (ops->close(p->shared[i], f, good, w, out) != BM_OK)
			good = false;
		if (is_timed)
			bm_plan_clock_stop(p, i, start);
	}
	if (!good && out->status == BM_OK)
		(void)bm_error_set(out, BM_ERR_FAILED, NULL, "failed");
	return out->status;
}

bool bm_plan_emit(struct bm_plan *p, const struct bm_file_result *r)
{
	bool good = true;

	for (size_t i = 0; i < p->step_count; i++) {
		const struct bm_step_ops *ops = p->job->steps[i].kind->ops;
		struct bm_error err;

		if (ops->emit == NULL || p->broken[i])
			continue;
		bm_error_clear(&err);
		if (ops->emit(p->shared[i], r, &err) == BM_OK)
			continue;
		/* The files that are on their way still come by, maybe thousands: one message is enough. */
		p->broken[i] = true;
		p->ctx->tell(p->ctx->tell_arg, &err);
		good = false;
	}
	return good;
}

bool bm_plan_hold(struct bm_plan *p, const struct bm_file_result *r, const void *record, size_t len)
{
	size_t v = p->verifier;
	struct bm_error err;

	if (v == 0 || p->broken[v] || r->verdict == BM_VERDICT_OK || r->verdict == BM_VERDICT_NONE)
		return true;
	bm_error_clear(&err);
	if (p->job->steps[v].kind->ops->hold(p->shared[v], r, record, len, &err) == BM_OK)
		return true;
	p->broken[v] = true;
	p->ctx->tell(p->ctx->tell_arg, &err);
	return false;
}

bool bm_plan_release(const struct bm_plan *p, bool good, bm_release_fn *give, void *ctx)
{
	size_t v = p->verifier;
	struct bm_error err;

	if (v == 0)
		return true;
	bm_error_clear(&err);
	if (p->job->steps[v].kind->ops->release(p->shared[v], good, give, ctx, &err) == BM_OK)
		return true;
	p->ctx->tell(p->ctx->tell_arg, &err);
	return false;
}

bool bm_plan_finish(const struct bm_plan *p, bool good)
{
	bool all = true;

	for (size_t i = 0; i < p->step_count; i++) {
		const struct bm_step_ops *ops = p->job->steps[i].kind->ops;
		struct bm_error err;

		if (ops->finish == NULL)
			continue;
		bm_error_clear(&err);
		uint64_t start = bm_plan_clock_start(p);
		if (ops->finish(p->shared[i], good, &err) != BM_OK) {
			p->ctx->tell(p->ctx->tell_arg, &err);
			all = false;
		}
		bm_plan_clock_stop(p, i, start);
	}
	return all;
}
