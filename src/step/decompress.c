/*
 * decompress.c - the step `decompress`: gzip and zstd of any maker, in parallel where their layout lets it. Each format is
 * a file of its own, decompress_gzip.c and decompress_zstd.c; here are the fill() that drives them, the choice by the
 * first bytes of a file, and the caps.
 *
 * The step begins a new segment. Its fill() goes through the encoded bytes in order, unit by unit; a unit is a gzip
 * member or a zstd frame. There are two ways for one, and the format chooses from its header:
 *
 *   A unit whose length can be found without decoding, and whose content fits into a chunk, is collected whole into
 *   buf[1]; several small ones may make a ROW there. The row is sent on with the tag DECOMPRESS_TAG_ROW: a parallel
 *   stage decodes it into buf[0].
 *   Anything else is streamed: decoded serially, straight into chunks.
 *
 * What fits is a question of the chunk. Where the job does not say it, the segment's is as large as the frames that
 * compress makes of zstd by itself (bm_zstd_best_chunk), unless the format is said to be gzip, whose members are
 * smaller. What is streamed goes on in the chunks that the later steps like.
 *
 * Sizes that a unit tells are believed only until it is decoded: a decoder never writes past the buffer, and what comes
 * out must be what was said.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "decompress_internal.h"

#define RATIO_FREE_BYTES ((uint64_t)16 << 20) /* small files may expand as they like */
#define MAGIC_BYTES 4                         /* enough to tell the formats apart */
#define WINDOW_USUAL ((uint64_t)2 << 20)      /* of zstd's middle levels: what the budget reckons with */

/* ---- for the formats ---- */

size_t decompress_take(struct decompress_file *df, struct bm_chunk *in, uint8_t *to, size_t want)
{
	size_t n = in->len - in->pos < want ? in->len - in->pos : want;

	if (n > 0)
		memcpy(to, in->data + in->pos, n);
	in->pos += n;
	df->in_bytes += n;
	return n;
}

enum bm_status decompress_keep(struct decompress_file *df, const uint8_t *data, size_t len, struct bm_error *err)
{
	df->kept = (uint8_t *)bm_memdup0(data, len);
	if (df->kept == NULL)
		return bm_error_set_nomem(err);
	df->kept_len = len;
	df->kept_pos = 0;
	return BM_OK;
}

const uint8_t *decompress_next(const struct decompress_file *df, const struct bm_chunk *in, size_t *len, bool *end)
{
	const bool in_used = in->last && in->pos == in->len;

	if (df->kept != NULL) {
		*len = df->kept_len - df->kept_pos;
		*end = in_used && df->head_len == 0;
		return df->kept + df->kept_pos;
	}
	if (df->head_len > 0) {
		*len = df->head_len;
		*end = in_used;
		return df->head;
	}
	*len = in->len - in->pos;
	*end = in->last;
	return in->data + in->pos;
}

void decompress_used(struct decompress_file *df, struct bm_chunk *in, size_t len)
{
	if (df->kept != NULL) {
		df->kept_pos += len;
		if (df->kept_pos == df->kept_len) {
			free(df->kept);
			df->kept = NULL;
		}
	} else if (df->head_len > 0) {
		df->head_len -= len;
		memmove(df->head, df->head + len, df->head_len);
	} else {
		in->pos += len;
		df->in_bytes += len;
	}
}

enum bm_status decompress_error(const struct decompress_format *format, uint64_t unit_start, enum bm_status status,
                                const struct bm_error *from, struct bm_error *err)
{
	return bm_error_set(err, status, NULL, "%s %s at byte %llu: %s%s%s", format->name, format->unit,
	                    (unsigned long long)unit_start, from->text, from->where[0] != '\0' ? ", at its " : "",
	                    from->where);
}

/* ---- the fill ---- */

static enum bm_status check_caps(const struct decompress_shared *ds, const struct decompress_file *df,
                                 struct bm_error *err)
{
	const struct bm_decompress_params *p = ds->p;

	if (p->max_size > 0 && df->out_bytes > p->max_size)
		return bm_error_set(err, BM_ERR_LIMIT, NULL,
		                    "decodes to more than max_size (%llu bytes); raise it if the file can be trusted",
		                    (unsigned long long)p->max_size);
	if (p->max_ratio > 0 && df->out_bytes > RATIO_FREE_BYTES &&
	    df->out_bytes / (uint64_t)p->max_ratio > df->in_bytes)
		return bm_error_set(
			err, BM_ERR_LIMIT, NULL,
			"decodes to more than max_ratio (%lld) times its size; raise it if the file can be trusted",
			(long long)p->max_ratio);
	return BM_OK;
}

/* Sets df->format when there are bytes enough. */
static enum bm_status detect(const struct decompress_shared *ds, struct decompress_file *df, struct bm_chunk *in,
                             struct bm_error *err)
{
	static const uint8_t old_zstd[3] = {0xb5, 0x2f, 0xfd}; /* after 22 ... 28 */
	struct bm_zstd_header h;

	if (ds->p->format == BM_DECOMPRESS_GZIP) {
		df->format = &decompress_gzip_format;
		return BM_OK;
	}
	if (ds->p->format == BM_DECOMPRESS_ZSTD) {
		df->format = &decompress_zstd_format;
		return BM_OK;
	}
	df->head_len += decompress_take(df, in, df->head + df->head_len, MAGIC_BYTES - df->head_len);
	if (df->head_len < MAGIC_BYTES && !decompress_at_end(in))
		return BM_OK; /* more input first */
	if (df->head_len == 0)
		return bm_error_set(err, BM_ERR_TRUNCATED, NULL, "empty, not a gzip or zstd file");
	if (df->head[0] == 0x1f && (df->head_len == 1 || df->head[1] == 0x8b))
		df->format = &decompress_gzip_format;
	else if (bm_zstd_peek_header(df->head, df->head_len, &h) != BM_ZSTD_PEEK_NOT ||
	         (df->head_len == MAGIC_BYTES && memcmp(df->head + 1, old_zstd, sizeof(old_zstd)) == 0))
		df->format = &decompress_zstd_format;
	else
		return bm_error_set(err, BM_ERR_FORMAT, NULL,
		                    "not a gzip or zstd file: these begin with 1f 8b and 28 b5 2f fd");
	return BM_OK;
}

static enum bm_fill_result decompress_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                           struct bm_worker *w, struct bm_error *err)
{
	struct decompress_shared *ds = arg;
	struct bm_file *f = stream;
	struct decompress_file *df = f->state[ds->index];

	(void)w;
	if (df == NULL) {
		df = calloc(1, sizeof(*df));
		if (df == NULL) {
			(void)bm_error_set_nomem(err);
			return BM_FILL_ERROR;
		}
		f->state[ds->index] = df;
	}
	for (;;) {
		const struct decompress_format *format = df->format;
		const int before = df->mode;
		enum bm_status status;
		bool emit = false;

		if (format == NULL)
			status = detect(ds, df, in, err);
		else
			status = format->turn(ds, df, f, out, in, &emit, err);
		if (status == BM_OK)
			status = check_caps(ds, df, err);
		if (status != BM_OK)
			return BM_FILL_ERROR;

		out->last = format != NULL && decompress_at_end(in) && df->head_len == 0 && df->kept == NULL &&
		            format->may_end(df);
		if (emit || out->last) {
			if (df->row_len > 0) {
				out->tag = DECOMPRESS_TAG_ROW;
				out->data = out->buf[1];
				out->len = df->row_len;
			}
			df->row_len = 0;
			df->row_decoded = 0;
			df->row_closed = false;
			return BM_FILL_EMIT;
		}
		if (df->format == format && df->mode == before && in->pos == in->len && !in->last && df->kept == NULL &&
		    (df->head_len == 0 || df->mode == DECOMPRESS_MODE_GATHER))
			return BM_FILL_MORE;
	}
}

static enum bm_status row_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct decompress_shared *ds = arg;
	struct bm_file *f = stream;
	const struct decompress_format *format;
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t good = 0;

	(void)w;
	if (c->tag != DECOMPRESS_TAG_ROW)
		return BM_OK;
	/* Written by fill() before the file's first chunk went out, and not again. */
	format = ((struct decompress_file *)f->state[ds->index])->format;
	status = format->row(ds, c->data, c->len, c->buf[0], ds->chunk_bytes, &good, &c->len, &inner);
	c->data = c->buf[0];
	c->tag = 0;
	if (status == BM_ERR_NOMEM)
		return bm_error_set_nomem(err);
	return status == BM_OK ? BM_OK : decompress_error(format, c->slot[0] + good, status, &inner, err);
}

static void gzip_destroy(void *d)
{
	bm_gzip_decoder_destroy(d);
}

static void zstd_destroy(void *d)
{
	bm_zstd_decoder_destroy(d);
}

static enum bm_status decompress_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                         struct bm_error *err)
{
	struct decompress_shared *ds = calloc(1, sizeof(*ds));
	const size_t permits = plan->ctx->permits;
	enum bm_status status;
	size_t chunk, encoded;

	*shared = ds;
	if (ds == NULL)
		return bm_error_set_nomem(err);
	ds->p = &step->p.decompress;
	ds->index = step->index;
	ds->stream_bytes = chunk = bm_step_chunk(plan->job, step->index);
	status = bm_stash_init(&ds->gzip_decoders, gzip_destroy, err);
	if (status == BM_OK)
		status = bm_stash_init(&ds->zstd_decoders, zstd_destroy, err);
	if (status != BM_OK)
		return status;
	if (ds->p->format != BM_DECOMPRESS_ZSTD)
		plan->state_bytes += 2 * permits * bm_gzip_decoder_bytes();
	if (ds->p->format != BM_DECOMPRESS_GZIP) {
		/* Windows beyond the usual are not in the budget: they are as many as files are open. */
		plan->state_bytes += permits * (bm_zstd_decoder_bytes(0) + bm_zstd_decoder_bytes(WINDOW_USUAL));
		if (plan->job->p.chunk == 0 && chunk < bm_zstd_best_chunk(BM_ZSTD_LEVEL_MAX))
			chunk = bm_zstd_best_chunk(BM_ZSTD_LEVEL_MAX);
	}
	ds->chunk_bytes = chunk;
	encoded = bm_zstd_bound(chunk) > bm_gzip_bound(chunk) ? bm_zstd_bound(chunk) : bm_gzip_bound(chunk);
	status = bm_plan_segment(plan, decompress_fill, ds, chunk, encoded, err);
	if (status == BM_OK && bm_plan_slot(plan) != 0)
		status = bm_error_set(err, BM_ERR_FAILED, NULL, "a new segment has no free slot");
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, row_run, ds, err);
	return status;
}

static enum bm_status decompress_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w,
                                       struct bm_error *err)
{
	struct decompress_shared *ds = shared;
	struct decompress_file *df = f->state[ds->index];

	(void)good;
	(void)w;
	(void)err;
	if (df != NULL) {
		if (df->format != NULL)
			df->format->close(ds, df);
		free(df->kept);
	}
	free(df);
	f->state[ds->index] = NULL;
	return BM_OK;
}

static void decompress_destroy(void *shared)
{
	struct decompress_shared *ds = shared;

	if (ds != NULL) {
		bm_stash_fini(&ds->gzip_decoders);
		bm_stash_fini(&ds->zstd_decoders);
	}
	free(ds);
}

static void decompress_describe(void *shared, struct bm_buf *out)
{
	struct decompress_shared *ds = shared;

	if (ds->p->format != BM_DECOMPRESS_ZSTD)
		bm_buf_printf(out, "gzip of any making, in parallel where members tell their size, engine %s",
		              bm_gzip_decoder_engines());
	if (ds->p->format == BM_DECOMPRESS_AUTO)
		bm_buf_puts(out, "; or ");
	if (ds->p->format != BM_DECOMPRESS_GZIP)
		bm_buf_puts(out, "zstd of any making, in parallel where frames tell their content's size");
}

const struct bm_step_ops bm_decompress_ops = {
	.prepare = decompress_prepare,
	.close = decompress_close,
	.destroy = decompress_destroy,
	.describe = decompress_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

static const char *const decompress_format_values[] = {
	[BM_DECOMPRESS_AUTO] = "auto",
	[BM_DECOMPRESS_GZIP] = "gzip",
	[BM_DECOMPRESS_ZSTD] = "zstd",
	NULL,
};

static void decompress_about_build(struct bm_buf *out)
{
	bm_buf_printf(out, "This build reads gzip with %s, and zstd with libzstd.", bm_gzip_decoder_engines());
}

static const struct bm_option decompress_options[] = {
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_decompress_params, format),
		.default_json = "\"auto\"",
		.values = decompress_format_values,
		.help = "the format to read, of any maker, with any number of members or frames; auto looks at the first "
			"bytes of each file",
	},
	{
		.name = "max_size",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_decompress_params, max_size),
		.default_json = "0",
		.help = "fail a file that becomes larger than this; 0: no limit",
	},
	{
		.name = "max_ratio",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_decompress_params, max_ratio),
		.default_json = "0",
		.min = 0,
		.max = 1000000,
		.help = "fail a file that grows to more than this many times its size, looked at past 16 MiB; 0: "
			"no limit",
	},
	{
		.name = "max_window",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_decompress_params, max_window),
		.default_json = "\"128MiB\"",
		.min = BM_ZSTD_WINDOW_MIN,
		.max = BM_ZSTD_WINDOW_MAX,
		.help = "fail a zstd file that wants a larger window; each file read as a stream holds one, on top of memory",
	},
};

const struct bm_step_kind bm_decompress_kind = {
	.name = "decompress",
	.role = BM_ROLE_CHANGE,
	.help = "decompresses, and checks what the format lets it check",
	BM_STEP_OPTIONS(decompress_options),
	.about_build = decompress_about_build,
	.ops = &bm_decompress_ops,
};
