/*
 * write.c - the steps `write` and `copy`: the bytes as they are at this place, into a file.
 *
 * One output an input: a sink each, opened with the first chunk, made final when the whole file is through (close), so
 * that a file that fails at any step leaves no output behind.
 *
 * Combined output, and standard output, are one sink for the job: write_combine.c.
 *
 * A URL: one output an input likewise, with a sink of its own kind (bm_url_sink.h). Paths are percent-encoded before they
 * are put into the URL.
 *
 * The index of a BGZF output is an output of its own, made from the same bytes as they pass (write_index.c), and the two
 * are published together.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"
#include "bm_url_sink.h"
#include "http.h"
#include "step_internal.h"
#include "write_index.h"
#include "write_internal.h"

struct write_file {
	struct bm_sink *sink;
	struct bm_url_sink *url_sink; /* in its place */
	char *path;
	uint64_t bytes;
	bool skipped;
	struct write_index *index; /* or NULL */
	struct bm_digest *digest;  /* of what was written, to be compared; or NULL */
};

/* Of a URL. A key there is taken as it is. */
static bool is_s3(const char *url)
{
	return url[0] == 's' || url[0] == 'S';
}

/* What {path} and its kin stand for in the target. */
static void expand(struct write_shared *ws, const char *path, size_t path_len, struct bm_buf *out)
{
	struct bm_buf encoded = {0};

	if (!ws->is_url || is_s3(ws->p->to) || path == NULL) {
		bm_step_expand(ws->ctx, ws->to, path, path_len, out);
		return;
	}
	bm_url_put_encoded(&encoded, path, path_len);
	bm_step_expand(ws->ctx, ws->to, encoded.data, encoded.len, out);
	out->oom = out->oom || encoded.oom;
	bm_buf_fini(&encoded);
}

static char *expand_path(struct write_shared *ws, const struct bm_entry *e, struct bm_error *err)
{
	struct bm_buf b = {0};
	char *path;

	expand(ws, e != NULL ? e->path : NULL, e != NULL ? e->path_len : 0, &b);
	path = bm_buf_take(&b);
	if (path == NULL)
		(void)bm_error_set_nomem(err);
	return path;
}

/* ---- one output an input ---- */

/* As read.c says it of the input. */
static void warn_of_retries(struct bm_file *f, const struct write_file *wf)
{
	int code;
	unsigned count = bm_sink_retried(wf->sink, &code);
	struct bm_error err = BM_ERROR_INIT;
	char shown[512];

	if (count == 0)
		return;
	(void)bm_error_set_errno(&err, code, NULL, "%s: could be opened for writing only after %u %s",
	                         bm_escape_display_buf(shown, sizeof(shown), wf->path, strlen(wf->path)), count,
	                         count == 1 ? "failure" : "failures");
	bm_file_warn(f, "%s", err.text);
}

static enum bm_status file_open(struct write_shared *ws, struct bm_file *f, const struct bm_blocker *b,
                                struct bm_error *err)
{
	struct write_file *wf = calloc(1, sizeof(*wf));
	struct bm_sink_options o = {
		.if_exists = (enum bm_if_exists)ws->p->if_exists,
		.preserve = ws->p->preserve,
		.mode = 0666,
		.make_holes = ws->p->sparse && f->source != NULL && bm_source_is_sparse(f->source),
		.input = f->source != NULL ? bm_source_stat(f->source) : NULL,
	};
	enum bm_status status;

	if (wf == NULL)
		return bm_error_set_nomem(err);
	f->state[ws->index] = wf;
	wf->path = expand_path(ws, f->entry, err);
	if (wf->path == NULL)
		return BM_ERR_NOMEM;
	if (f->skipped) { /* read.c looked before it read: every output exists */
		wf->skipped = true;
		return BM_OK;
	}
	if (ws->is_url)
		return bm_url_sink_open(ws->ctx->loaded[ws->index], wf->path, o.if_exists, ws->ctx->values.run, b,
		                        &wf->url_sink, &wf->skipped, err);
	status = bm_sink_open(ws->ctx->sinks[ws->p->durability], wf->path, &o, b, &wf->sink, &wf->skipped, err);
	if (status == BM_OK && !wf->skipped)
		warn_of_retries(f, wf);
	if (status == BM_OK && ws->rereads && !wf->skipped && bm_sink_is_file(wf->sink))
		status = bm_digest_create(bm_digest_find("xxh128"), &wf->digest, err);
	if (status == BM_OK && ws->p->index && !wf->skipped)
		status = write_index_open(ws->ctx->sinks[ws->p->durability], wf->path, &o, b, &wf->index, err);
	return status;
}

/* What the copy asks between two pieces: whether to go on. What it has copied so far is counted by the way. */
struct copy_watch {
	struct write_shared *ws;
	struct bm_flow *flow;
	uint64_t copied;
	uint64_t counted;
};

static void copy_count(struct copy_watch *cw)
{
	uint64_t copied = __atomic_load_n(&cw->copied, __ATOMIC_RELAXED);

	atomic_fetch_add_explicit(cw->ws->ctx->bytes_read, copied - cw->counted, memory_order_relaxed);
	write_count(cw->ws, copied - cw->counted);
	cw->counted = copied;
}

static bool copy_is_cancelled(void *arg)
{
	struct copy_watch *cw = arg;

	copy_count(cw);
	return bm_flow_is_cancelled(cw->flow);
}

/* The whole file at once, in the kernel. */
static enum bm_status copy_whole(struct write_shared *ws, struct write_file *wf, struct bm_file *f, struct bm_chunk *c,
                                 struct bm_worker *w, const struct bm_blocker *b, struct bm_error *err)
{
	struct copy_watch cw = {ws, bm_worker_flow(w), 0, 0};
	enum bm_status status = bm_sink_copy_from(wf->sink, f->source, c->buf[0], c->cap[0], copy_is_cancelled, &cw,
	                                          &cw.copied, b, err);

	copy_count(&cw);
	if (status == BM_OK)
		status = bm_source_check_unchanged(f->source, err);
	f->bytes_in += cw.copied;
	wf->bytes += cw.copied;
	return status;
}

static enum bm_status write_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct write_shared *ws = arg;
	struct bm_file *f = stream;
	struct bm_blocker b = bm_blocker_of(f->ctx, w);
	struct write_file *wf = f->state[ws->index];
	enum bm_status status = BM_OK;

	if (wf == NULL) {
		status = file_open(ws, f, &b, err);
		wf = f->state[ws->index];
	}
	if (status != BM_OK || wf->skipped)
		return status;
	if (c->tag == BM_TAG_KERNEL_COPY && f->plan->kernel_copy)
		return copy_whole(ws, wf, f, c, w, &b, err);
	status = ws->is_url ? bm_url_sink_write(wf->url_sink, c->data, c->len, &b, err)
	                    : bm_sink_write(wf->sink, c->data, c->len, c->hole && ws->p->sparse, &b, err);
	if (status == BM_OK) {
		wf->bytes += c->len;
		write_count(ws, c->len);
	}
	if (status == BM_OK && wf->digest != NULL)
		status = bm_digest_update(wf->digest, c->data, c->len, err);
	if (status == BM_OK && wf->index != NULL)
		status = write_index_add(wf->index, c->data, c->len, &b, err);
	return status;
}

/* Complete; where it is to be read back, what it must be then is in sum. */
static enum bm_status complete(struct write_shared *ws, struct write_file *wf, struct bm_file *f, bool may_wait,
                               struct bm_output_sum *sum, const struct bm_blocker *b, struct bm_error *err)
{
	/* What came through a pipe or device has no mode or times of its own to keep. */
	bool is_file = f->source != NULL && bm_source_has_times(f->source);
	uint8_t digest[BM_DIGEST_MAX_BYTES];
	enum bm_status status =
		bm_sink_complete(wf->sink, is_file ? bm_source_stat(f->source) : NULL,
	                         is_file ? bm_source_fd(f->source) : -1, may_wait, &f->warnings, b, err);

	*sum = (struct bm_output_sum){0};
	if (status == BM_OK && wf->digest != NULL) {
		status = bm_digest_finish(wf->digest, digest, err);
		memcpy(sum->sum, digest, sizeof(sum->sum));
		sum->is_set = true;
		sum->bytes = wf->bytes;
	}
	if (status == BM_OK && !bm_sink_is_file(wf->sink))
		f->keep = "an output is no file, and cannot be read back";
	if (status == BM_OK && sum->is_set && bm_sink_in_memory(wf->sink) && f->ctx->message != NULL &&
	    !atomic_exchange(&ws->told, true))
		f->ctx->message(f->ctx->message_arg, "outputs in memory (tmpfs) are read back from there: that says "
		                                     "nothing of a disk");
	return status;
}

/* Takes the sink over. */
static enum bm_status publish(struct write_shared *ws, struct write_file *wf, struct bm_file *f,
                              const struct bm_blocker *b, struct bm_error *err)
{
	struct bm_output_sum sum;
	enum bm_status status = complete(ws, wf, f, true, &sum, b, err);

	if (status == BM_OK && bm_sink_waits(wf->sink))
		return bm_file_add_waiting(f, wf->sink, &sum, err);
	if (status == BM_OK)
		status = bm_output_check(wf->sink, &sum, b, err);
	if (status == BM_OK)
		return bm_sink_commit(wf->sink, NULL, -1, NULL, b, err);
	bm_sink_abort(wf->sink);
	return status;
}

/* Both in their places; the index is freed in any case. */
static enum bm_status commit_with_index(struct write_shared *ws, struct write_file *wf, struct bm_file *f,
                                        const struct stat *st, int fd, const struct bm_blocker *b, struct bm_error *err)
{
	struct write_index_done done;
	struct bm_output_sum sum;
	enum bm_status status = write_index_finish(wf->index, b, &done, err);

	if (status == BM_OK)
		status = complete(ws, wf, f, false, &sum, b, err);
	if (status == BM_OK)
		status = bm_output_check(wf->sink, &sum, b, err);
	if (status == BM_OK) {
		status = bm_sink_commit_pair(wf->sink, done.sink, st, fd, &f->warnings, b, err);
	} else {
		bm_sink_abort(wf->sink);
		bm_sink_abort(done.sink);
	}
	if (status == BM_OK) {
		write_count(ws, done.bytes);
		bm_file_add_output(f, ws->index, wf->path, wf->bytes, false);
		bm_file_add_output(f, ws->index, done.path, done.bytes, false);
	} else {
		free(wf->path);
		free(done.path);
	}
	return status;
}

/* What is told of a URL has no secrets in it. */
static enum bm_status close_url(struct write_file *wf, bool good, const struct bm_blocker *b, struct bm_error *err)
{
	struct bm_buf shown = {0};
	enum bm_status status = BM_OK;

	if (good && !wf->skipped)
		status = bm_url_sink_commit(wf->url_sink, b, &wf->skipped, err);
	else
		bm_url_sink_abort(wf->url_sink, b);
	if (good && status == BM_OK) {
		bm_url_redact(&shown, wf->path, strlen(wf->path));
		free(wf->path);
		wf->path = bm_buf_take(&shown);
		if (wf->path == NULL)
			status = bm_error_set_nomem(err);
	}
	return status;
}

static enum bm_status write_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err)
{
	struct write_shared *ws = shared;
	struct write_file *wf = f->state[ws->index];
	struct bm_blocker b = bm_blocker_of(f->ctx, w);
	bool is_file = f->source != NULL && bm_source_has_times(f->source);
	enum bm_status status = BM_OK;

	if (wf == NULL)
		return BM_OK;
	f->state[ws->index] = NULL;
	if (wf->skipped)
		f->keep = "an output was there already and was left as it was";
	else if (ws->is_url)
		f->keep = "an output is at a URL, and cannot be read back";
	if (good && wf->index != NULL) {
		status = commit_with_index(ws, wf, f, is_file ? bm_source_stat(f->source) : NULL,
		                           is_file ? bm_source_fd(f->source) : -1, &b, err);
		bm_digest_destroy(wf->digest);
		free(wf);
		return status;
	}
	write_index_abort(wf->index);
	if (ws->is_url)
		status = close_url(wf, good, &b, err);
	else if (good && !wf->skipped)
		status = publish(ws, wf, f, &b, err);
	else
		bm_sink_abort(wf->sink);
	bm_digest_destroy(wf->digest);
	if (good && status == BM_OK)
		bm_file_add_output(f, ws->index, wf->path, wf->bytes, wf->skipped);
	else
		free(wf->path);
	free(wf);
	return status;
}

/* ---- preparing ---- */

static enum bm_status write_load(struct bm_job_context *ctx, const struct bm_step *step, struct bm_error *err)
{
	const struct bm_write_params *p = &step->p.write;
	struct bm_url_options o = bm_http_options(ctx, &p->http);
	struct bm_url_client *c;
	enum bm_status status;

	if (!bm_url_is(p->to))
		return BM_OK;
	o.is_s3 = is_s3(p->to);
	status = bm_url_client_create(&o, &c, err);
	ctx->loaded[step->index] = c;
	return status;
}

static void write_unload(void *loaded)
{
	bm_url_client_destroy(loaded);
}

/* The target, with the job's name encoded as everything that is put into a URL. */
static enum bm_status url_template(struct write_shared *ws, struct bm_plan *plan, struct bm_error *err)
{
	struct bm_job_context ctx = *plan->ctx;
	struct bm_buf job = {0};
	enum bm_status status;

	bm_url_put_encoded(&job, ctx.values.job, strlen(ctx.values.job));
	if (!is_s3(ws->p->to))
		ctx.values.job = job.data;
	status = job.oom ? bm_error_set_nomem(err)
	                 : bm_step_template(&ctx, ws->p->to, NULL, BM_STEP_TARGET_PLACEHOLDERS, &ws->to, err);
	bm_buf_fini(&job);
	if (is_s3(ws->p->to))
		plan->stream_bytes += BM_URL_PART_BYTES;
	return status;
}

static enum bm_status write_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                    struct bm_error *err)
{
	struct write_shared *ws = calloc(1, sizeof(*ws));
	const struct bm_write_params *p = &step->p.write;
	enum bm_status status = BM_OK;
	bool is_stdout = strcmp(p->to, "-") == 0;

	*shared = ws;
	if (ws == NULL)
		return bm_error_set_nomem(err);
	ws->ctx = plan->ctx;
	ws->p = p;
	ws->index = step->index;
	ws->combined = p->combine || is_stdout;
	ws->is_url = bm_url_is(p->to);
	ws->rereads = !ws->is_url && bm_write_rereads(plan->job, step);
	if (ws->is_url)
		status = url_template(ws, plan, err);
	else if (!is_stdout)
		status = bm_step_template(plan->ctx, p->to, NULL, BM_STEP_TARGET_PLACEHOLDERS, &ws->to, err);
	if (status == BM_OK && ws->combined) {
		ws->path = is_stdout ? bm_memdup0("-", 1) : expand_path(ws, NULL, err);
		if (ws->path == NULL)
			status = bm_error_set_nomem(err);
	}
	if (status != BM_OK)
		return status;
	return ws->combined ? bm_plan_stage(plan, BM_STAGE_IN_ORDER, write_combine_run, ws, err)
	                    : bm_plan_stage(plan, BM_STAGE_SERIAL, write_run, ws, err);
}

static bool write_target(void *shared, const char *path, size_t path_len, struct bm_buf *out)
{
	struct write_shared *ws = shared;

	if (ws->combined)
		return false;
	expand(ws, path, path_len, out);
	return true;
}

static size_t write_target_prefix(void *shared)
{
	struct write_shared *ws = shared;
	size_t len;

	(void)bm_template_prefix(ws->to, &len);
	return len;
}

static bool write_target_is_injective(void *shared)
{
	struct write_shared *ws = shared;

	return bm_template_is_injective(ws->to);
}

static const char *write_target_suffix(void *shared)
{
	struct write_shared *ws = shared;

	return ws->p->index ? WRITE_INDEX_SUFFIX : NULL;
}

static const char *write_fixed_output(void *shared, size_t n)
{
	struct write_shared *ws = shared;

	return n == 0 && ws->combined && ws->to != NULL ? ws->path : NULL;
}

static void write_describe(void *shared, struct bm_buf *out)
{
	struct write_shared *ws = shared;
	const char *to = ws->to != NULL ? bm_template_text(ws->to) : "standard output";

	struct bm_buf shown = {0};

	bm_url_redact(&shown, to, strlen(to));
	bm_buf_puts(out, "to ");
	bm_escape_display(out, shown.data != NULL ? shown.data : "", shown.len);
	bm_buf_fini(&shown);
	if (ws->p->combine)
		bm_buf_puts(out, ", all inputs joined in listing order");
	if (ws->p->index)
		bm_buf_puts(out, ", with an index (" WRITE_INDEX_SUFFIX ")");
	if (ws->rereads)
		bm_buf_puts(out, ", read back from the disk");
}

static void write_destroy(void *shared)
{
	struct write_shared *ws = shared;

	if (ws == NULL)
		return;
	bm_sink_abort(ws->sink);
	bm_template_destroy(ws->to);
	free(ws->path);
	free(ws);
}

const struct bm_step_ops bm_write_ops = {
	.load = write_load,
	.unload = write_unload,
	.prepare = write_prepare,
	.close = write_close,
	.finish = write_combine_finish,
	.destroy = write_destroy,
	.target = write_target,
	.target_prefix = write_target_prefix,
	.target_is_injective = write_target_is_injective,
	.target_suffix = write_target_suffix,
	.fixed_output = write_fixed_output,
	.describe = write_describe,
};
