/*
 * hash.c - the step `hash`: digests of the bytes as they are at its place, and manifests of them.
 *
 * Each algorithm is a serial stage of its own, so that several digests of one file run on several CPUs, one chunk
 * behind the other. crc32 is combinable: a parallel stage does the chunk's checksum, a short serial one puts them together.
 *
 * Lines go to the manifest in listing order, when the file is through (emit). The manifest takes its name when all files
 * are through; one that a cancelled run leaves unfinished is dropped.
 *
 * The name in a line is, where the job does not say: the output that the next copy or write (before any further change of
 * the bytes) makes, relative to the manifest's directory, where it lies below that; else {path}. So "sha256sum -c"
 * beside the manifest just works.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"
#include "manifest.h"
#include "step_internal.h"

#define MAX_ALGORITHMS 32
#define MANIFEST_BUFFER ((size_t)64 << 10)

struct hash_shared;

struct hash_stage { /* the engine's argument for one algorithm's stage */
	struct hash_shared *hs;
	unsigned i; /* in algorithms */
	int slot;   /* combinable ones: where the chunk's checksum waits; -1: done serially */
};

struct hash_shared {
	struct bm_job_context *ctx;
	const struct bm_hash_params *p;
	unsigned index;
	size_t count;
	const struct bm_digest_algorithm *algorithms[MAX_ALGORITHMS];
	struct hash_stage stages[MAX_ALGORITHMS];
	struct bm_stash digests[MAX_ALGORITHMS];

	/* Manifests: by algorithm where the name holds {algorithm}, else one. Used by emit and finish only. */
	size_t manifest_count;
	char *manifest_path[MAX_ALGORITHMS];
	struct bm_sink *manifest[MAX_ALGORITHMS];
	struct bm_buf lines[MAX_ALGORITHMS]; /* not written yet */
	bool is_live;                        /* a person watches: each line is written at once */
	struct bm_template *name;            /* NULL: {path}, or as given */
	struct bm_buf name_text;             /* scratch */
	size_t name_skip;                    /* bytes of its expansion that are the manifest's directory */
};

struct hash_file {
	uint64_t length; /* of what was digested */
	struct hash_value {
		struct bm_digest *d; /* while it goes on */
		uint32_t crc;
		bool done;
		uint8_t out[BM_DIGEST_MAX_BYTES];
	} value[]; /* one an algorithm */
};

static void digest_destroy(void *d)
{
	bm_digest_destroy(d);
}

/* ---- stages ---- */

/* Called in serial stages only: the file's first chunk makes the state in the first of them, and no other chunk is in
 * any of them before it has left that one. */
static struct hash_file *file_state(struct hash_shared *hs, struct bm_file *f, struct bm_error *err)
{
	struct hash_file *hf = f->state[hs->index];

	if (hf == NULL) {
		hf = calloc(1, sizeof(*hf) + hs->count * sizeof(hf->value[0]));
		if (hf == NULL)
			(void)bm_error_set_nomem(err);
		f->state[hs->index] = hf;
	}
	return hf;
}

static enum bm_status digest_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct hash_stage *st = arg;
	struct hash_shared *hs = st->hs;
	struct hash_file *hf = file_state(hs, stream, err);
	enum bm_status status = BM_OK;

	(void)w;
	if (hf == NULL)
		return BM_ERR_NOMEM;
	struct hash_value *v = &hf->value[st->i];
	if (v->d == NULL) {
		v->d = bm_stash_get(&hs->digests[st->i]);
		if (v->d != NULL)
			status = bm_digest_reset(v->d, err);
		else
			status = bm_digest_create(hs->algorithms[st->i], &v->d, err);
	}
	if (status == BM_OK)
		status = bm_digest_update(v->d, c->data, c->len, err);
	if (status == BM_OK && st->i == 0)
		hf->length += c->len;
	if (status == BM_OK && c->last) {
		status = bm_digest_finish(v->d, v->out, err);
		bm_stash_put(&hs->digests[st->i], v->d);
		v->d = NULL;
		v->done = status == BM_OK;
	}
	return status;
}

static enum bm_status crc_chunk_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                    struct bm_error *err)
{
	struct hash_stage *st = arg;

	(void)stream;
	(void)w;
	(void)err;
	c->slot[st->slot] = bm_crc32(0, c->data, c->len);
	return BM_OK;
}

static enum bm_status crc_join_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                   struct bm_error *err)
{
	struct hash_stage *st = arg;
	struct hash_file *hf = file_state(st->hs, stream, err);

	(void)w;
	if (hf == NULL)
		return BM_ERR_NOMEM;
	struct hash_value *v = &hf->value[st->i];
	v->crc = bm_crc32_combine(v->crc, (uint32_t)c->slot[st->slot], c->len);
	if (st->i == 0)
		hf->length += c->len;
	if (c->last) {
		uint8_t *out = v->out;

		for (unsigned k = 0; k < 4; k++)
			out[k] = (uint8_t)(v->crc >> (24 - 8 * k));
		v->done = true;
	}
	return BM_OK;
}

/* ---- preparing ---- */

static size_t dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* The template of names, where it is not simply {path}: see the head of this file. */
static enum bm_status prepare_name(struct hash_shared *hs, const struct bm_job *job, struct bm_error *err)
{
	if (hs->p->name_as_given)
		return BM_OK;
	if (hs->p->name != NULL)
		return bm_step_template(hs->ctx, hs->p->name, NULL, BM_STEP_TARGET_PLACEHOLDERS, &hs->name, err);
	if (hs->p->manifest == NULL || strcmp(hs->p->manifest, "-") == 0)
		return BM_OK;
	for (size_t i = hs->index + 1; i < job->step_count && job->steps[i].kind->role != BM_ROLE_CHANGE; i++) {
		const struct bm_write_params *wp = &job->steps[i].p.write;
		struct bm_template *t = NULL;
		const char *dir = hs->manifest_path[0];
		size_t len = dir_len(dir), prefix_len;

		if (job->steps[i].kind->ops != &bm_write_ops || wp->combine || strcmp(wp->to, "-") == 0)
			continue;
		enum bm_status status = bm_step_template(hs->ctx, wp->to, NULL, BM_STEP_TARGET_PLACEHOLDERS, &t, err);
		if (status != BM_OK)
			return status;
		const char *prefix = bm_template_prefix(t, &prefix_len);
		if (prefix_len >= len && memcmp(prefix, dir, len) == 0 &&
		    (len > 0 || prefix_len == 0 || prefix[0] != '/')) {
			hs->name = t;
			hs->name_skip = len;
			return BM_OK;
		}
		bm_template_destroy(t);
	}
	return BM_OK;
}

static enum bm_status manifest_path(struct hash_shared *hs, size_t i, bool *each, struct bm_error *err)
{
	const char *text = hs->p->manifest;
	struct bm_template *t = NULL;
	struct bm_buf b = {0};
	enum bm_status status = BM_OK;

	if (strcmp(text, "-") == 0) {
		bm_buf_puts(&b, "-");
	} else {
		status = bm_step_template(hs->ctx, text, NULL, BM_STEP_MANIFEST_PLACEHOLDERS, &t, err);
		if (status == BM_OK) {
			struct bm_template_values v = hs->ctx->values;

			*each = (bm_template_uses(t) & BM_PH_ALGORITHM) != 0;
			v.algorithm = hs->algorithms[i]->name;
			bm_template_expand(t, &v, &b);
		}
	}
	bm_template_destroy(t);
	hs->manifest_path[i] = status == BM_OK ? bm_buf_take(&b) : NULL;
	bm_buf_fini(&b);
	if (status == BM_OK && hs->manifest_path[i] == NULL)
		status = bm_error_set_nomem(err);
	return status;
}

static enum bm_status prepare_manifests(struct hash_shared *hs, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool each = false;

	if (hs->p->manifest == NULL)
		return BM_OK;
	hs->is_live = strcmp(hs->p->manifest, "-") == 0 && isatty(STDOUT_FILENO);
	/* The first one tells whether there is one for each algorithm. */
	for (size_t i = 0; i < (each ? hs->count : 1) && status == BM_OK; i++) {
		status = manifest_path(hs, i, &each, err);
		hs->manifest_count = i + 1;
	}
	return status;
}

static enum bm_status add_stages(struct hash_shared *hs, struct bm_plan *plan, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (unsigned i = 0; i < hs->count && status == BM_OK; i++) {
		struct hash_stage *st = &hs->stages[i];

		st->hs = hs;
		st->i = i;
		st->slot = hs->algorithms[i]->combinable ? bm_plan_slot(plan) : -1;
		if (st->slot < 0) {
			status = bm_plan_stage(plan, BM_STAGE_SERIAL, digest_run, st, err);
			continue;
		}
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, crc_chunk_run, st, err);
		if (status == BM_OK)
			status = bm_plan_stage(plan, BM_STAGE_SERIAL, crc_join_run, st, err);
		bm_plan_slot_free(plan);
	}
	return status;
}

static enum bm_status hash_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                   struct bm_error *err)
{
	struct hash_shared *hs = calloc(1, sizeof(*hs));
	const struct bm_digest_algorithm *all;
	enum bm_status status = BM_OK;
	size_t n;

	*shared = hs;
	if (hs == NULL)
		return bm_error_set_nomem(err);
	hs->ctx = plan->ctx;
	hs->p = &step->p.hash;
	hs->index = step->index;
	all = bm_digest_algorithms(&n);
	for (size_t i = 0; i < hs->p->algorithms.count && i < MAX_ALGORITHMS && status == BM_OK; i++) {
		hs->algorithms[hs->count] = &all[hs->p->algorithms.items[i]];
		status = bm_stash_init(&hs->digests[hs->count++], digest_destroy, err);
	}
	if (status == BM_OK)
		status = prepare_manifests(hs, err);
	if (status == BM_OK)
		status = prepare_name(hs, plan->job, err);
	if (status == BM_OK)
		status = add_stages(hs, plan, err);
	return status;
}

/* ---- a file's and a job's end ---- */

static enum bm_status hash_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err)
{
	struct hash_shared *hs = shared;
	struct hash_file *hf = f->state[hs->index];

	(void)w;
	(void)err;
	if (hf == NULL)
		return BM_OK;
	for (unsigned i = 0; i < hs->count; i++) {
		if (good && hf->value[i].done)
			bm_file_add_digest(f, hs->index, hs->algorithms[i]->name, hf->value[i].out,
			                   hs->algorithms[i]->size_bytes, hf->length);
		bm_stash_put(&hs->digests[i], hf->value[i].d);
	}
	free(hf);
	f->state[hs->index] = NULL;
	return BM_OK;
}

/* A manifest on a pipe can wait for ever: a cancel ends it. */
static struct bm_blocker manifest_blocker(const struct hash_shared *hs)
{
	return (struct bm_blocker){NULL, NULL, NULL, hs->ctx->cancel_fd};
}

static enum bm_status manifest_open(struct hash_shared *hs, size_t i, struct bm_error *err)
{
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = 0666};
	struct bm_blocker b = manifest_blocker(hs);
	bool skipped;

	if (hs->manifest[i] != NULL)
		return BM_OK;
	return bm_sink_open(hs->ctx->sinks[BM_DURABLE_FILE], hs->manifest_path[i], &o, &b, &hs->manifest[i], &skipped,
	                    err);
}

static enum bm_status manifest_flush(struct hash_shared *hs, size_t i, struct bm_error *err)
{
	struct bm_blocker b = manifest_blocker(hs);
	enum bm_status status = hs->lines[i].oom ? bm_error_set_nomem(err) : manifest_open(hs, i, err);

	if (status == BM_OK && hs->lines[i].len > 0)
		status = bm_sink_write(hs->manifest[i], hs->lines[i].data, hs->lines[i].len, false, &b, err);
	bm_buf_reset(&hs->lines[i]);
	return status;
}

static enum bm_status hash_emit(void *shared, const struct bm_file_result *r, struct bm_error *err)
{
	struct hash_shared *hs = shared;
	const char *name = hs->p->name_as_given ? r->display : r->path;
	enum bm_status status = BM_OK;

	if (hs->manifest_count == 0 || r->state != BM_FILE_DONE)
		return BM_OK;
	if (hs->name != NULL) {
		bm_buf_reset(&hs->name_text);
		bm_step_expand(hs->ctx, hs->name, r->path, strlen(r->path), &hs->name_text);
		if (hs->name_text.oom)
			return bm_error_set_nomem(err);
		name = hs->name_text.data + (hs->name_text.len >= hs->name_skip ? hs->name_skip : 0);
	}
	for (size_t m = 0; m < hs->manifest_count && status == BM_OK; m++) {
		const struct bm_digest_algorithm *only = hs->manifest_count > 1 ? hs->algorithms[m] : NULL;

		status = bm_step_put_manifest(&hs->lines[m], hs->p->format, hs->p->null, r, hs->index, only, name, err);
		if (status == BM_OK && (hs->is_live || hs->lines[m].len >= MANIFEST_BUFFER))
			status = manifest_flush(hs, m, err);
	}
	return status;
}

static enum bm_status hash_finish(void *shared, bool good, struct bm_error *err)
{
	struct hash_shared *hs = shared;
	enum bm_status status = BM_OK;

	for (size_t m = 0; m < hs->manifest_count; m++) {
		/* An empty tree has an empty manifest, not none. */
		if (good && status == BM_OK)
			status = manifest_flush(hs, m, err);
		struct bm_sink *s = hs->manifest[m];
		hs->manifest[m] = NULL;
		if (good && status == BM_OK)
			status = bm_sink_commit(s, NULL, -1, NULL, NULL, err);
		else
			bm_sink_abort(s);
	}
	return status;
}

static void hash_destroy(void *shared)
{
	struct hash_shared *hs = shared;

	if (hs == NULL)
		return;
	for (size_t i = 0; i < hs->count; i++)
		bm_stash_fini(&hs->digests[i]);
	for (size_t i = 0; i < hs->manifest_count; i++) {
		bm_sink_abort(hs->manifest[i]);
		bm_buf_fini(&hs->lines[i]);
		free(hs->manifest_path[i]);
	}
	bm_template_destroy(hs->name);
	bm_buf_fini(&hs->name_text);
	free(hs);
}

static const char *hash_fixed_output(void *shared, size_t n)
{
	struct hash_shared *hs = shared;

	return n < hs->manifest_count && strcmp(hs->manifest_path[n], "-") != 0 ? hs->manifest_path[n] : NULL;
}

static void hash_describe(void *shared, struct bm_buf *out)
{
	struct hash_shared *hs = shared;

	for (size_t i = 0; i < hs->count; i++)
		bm_buf_printf(out, "%s%s", i > 0 ? ", " : "", hs->algorithms[i]->name);
	for (size_t i = 0; i < hs->manifest_count; i++) {
		bm_buf_puts(out, i == 0 ? ", manifest " : " ");
		bm_escape_display(out, hs->manifest_path[i], strlen(hs->manifest_path[i]));
	}
}

const struct bm_step_ops bm_hash_ops = {
	.prepare = hash_prepare,
	.close = hash_close,
	.emit = hash_emit,
	.finish = hash_finish,
	.fixed_output = hash_fixed_output,
	.destroy = hash_destroy,
	.describe = hash_describe,
};
