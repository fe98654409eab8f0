/*
 * compress.c - the step `compress`. Format gzip is here, zstd in compress_zstd.c.
 *
 * Layout indexed: each chunk becomes a gzip member of its own, in parallel. An empty last chunk makes a member only where
 * it is the file's only one.
 *
 * Layout bgzf: each chunk becomes a row of BGZF blocks, in parallel; the last one brings the end block.
 *
 * Layout single: one member. Three stages: `prime` (serial) hands each chunk the 32 KiB before it as dictionary,
 * `deflate` (parallel) makes its piece, `seal` (serial) puts the header in front of the first, combines the CRC-32s, and
 * puts the trailer behind the last. The dictionary waits behind the output's place in the spare buffer.
 *
 * What is copied. Of the samples of a run that compresses 256 MiB of source text (perf, 2 threads), memcpy, memmove, malloc
 * and free of this process have 0.1 % at most with layouts indexed and bgzf and with zstd: the chunk that was read is
 * compressed from its buffer into another, which is written. Layout single has 0.5 % at level 6 and 0.9 to 1.3 % at level 1.
 * That is zlib's: it copies all input into its window, and the window down when it is full, since a stream's input need
 * not stay; the 64 KiB that `prime` copies for each MiB are a thirtieth of it. No other engine makes this layout. Apart from
 * that the kernel's copy for read(2) has 1 % at level 6 and 5 % at level 1; mapping the input would save it, and turn a
 * file that is cut off meanwhile into a SIGBUS.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_gzip.h"
#include "bm_zstd.h"
#include "compress_internal.h"

#define WINDOW ((size_t)32 << 10)

enum { SLOT_DICT, SLOT_CRC, SLOT_LEN };

struct compress_shared {
	const struct bm_compress_params *p;
	unsigned index;
	struct bm_gzip_choice choice;
	size_t bound; /* of a piece, header and trailer included */
	int slot[3];
	struct bm_stash encoders;
	/* Another format than gzip: all calls are handed on, and of the above only p counts. */
	const struct bm_step_ops *other;
	void *other_shared;
};

/* Of one file; layout single only. */
struct compress_file {
	uint32_t crc;
	uint64_t total;
	size_t window_len;
	uint8_t window[WINDOW];
};

static struct bm_gzip_encoder *encoder_get(struct compress_shared *cs, struct bm_error *err)
{
	struct bm_gzip_encoder *e = bm_stash_get(&cs->encoders);

	if (e == NULL && bm_gzip_encoder_create((enum bm_gzip_layout)cs->p->layout, (int)cs->p->level,
	                                        cs->choice.engine, &e, err) != BM_OK)
		return NULL;
	return e;
}

static enum bm_status member_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct compress_shared *cs = arg;
	unsigned spare = bm_chunk_spare(c);
	enum bm_status status;

	(void)stream;
	(void)w;
	c->hole = false;
	if (c->len == 0 && c->seq > 0) {
		c->data = c->buf[spare]; /* where the plan for the stages behind expects it */
		return BM_OK;
	}
	struct bm_gzip_encoder *e = encoder_get(cs, err);
	if (e == NULL)
		return BM_ERR_NOMEM;
	status = bm_gzip_member(e, c->data, c->len, c->buf[spare], c->cap[spare], &c->len, err);
	c->data = c->buf[spare];
	bm_stash_put(&cs->encoders, e);
	return status;
}

static enum bm_status blocks_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct compress_shared *cs = arg;
	unsigned spare = bm_chunk_spare(c);
	enum bm_status status;

	(void)stream;
	(void)w;
	c->hole = false;
	struct bm_gzip_encoder *e = encoder_get(cs, err);
	if (e == NULL)
		return BM_ERR_NOMEM;
	status = bm_gzip_bgzf_blocks(e, c->data, c->len, c->last, c->buf[spare], c->cap[spare], &c->len, NULL, err);
	c->data = c->buf[spare];
	bm_stash_put(&cs->encoders, e);
	return status;
}

static enum bm_status prime_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct compress_shared *cs = arg;
	struct bm_file *f = stream;
	struct compress_file *cf = f->state[cs->index];

	(void)w;
	if (cf == NULL) {
		cf = calloc(1, sizeof(*cf));
		if (cf == NULL)
			return bm_error_set_nomem(err);
		f->state[cs->index] = cf;
	}
	memcpy(c->buf[bm_chunk_spare(c)] + cs->bound, cf->window, cf->window_len);
	c->slot[cs->slot[SLOT_DICT]] = cf->window_len;
	if (c->len >= WINDOW) {
		memcpy(cf->window, c->data + c->len - WINDOW, WINDOW);
		cf->window_len = WINDOW;
	} else {
		size_t keep = cf->window_len < WINDOW - c->len ? cf->window_len : WINDOW - c->len;

		memmove(cf->window, cf->window + cf->window_len - keep, keep);
		memcpy(cf->window + keep, c->data, c->len);
		cf->window_len = keep + c->len;
	}
	return BM_OK;
}

static enum bm_status deflate_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                  struct bm_error *err)
{
	struct compress_shared *cs = arg;
	uint8_t *out = c->buf[bm_chunk_spare(c)];
	size_t header = c->seq == 0 ? BM_GZIP_HEADER_BYTES : 0;
	uint64_t in_len = c->len;
	uint32_t crc = 0;
	enum bm_status status;

	(void)stream;
	(void)w;
	struct bm_gzip_encoder *e = encoder_get(cs, err);
	if (e == NULL)
		return BM_ERR_NOMEM;
	status = bm_gzip_piece(e, out + cs->bound, (size_t)c->slot[cs->slot[SLOT_DICT]], c->data, c->len, c->last,
	                       out + header, cs->bound - header - BM_GZIP_TRAILER_BYTES, &c->len, &crc, err);
	c->data = out;
	c->slot[cs->slot[SLOT_CRC]] = crc;
	c->slot[cs->slot[SLOT_LEN]] = in_len;
	bm_stash_put(&cs->encoders, e);
	return status;
}

static enum bm_status seal_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct compress_shared *cs = arg;
	struct bm_file *f = stream;
	struct compress_file *cf = f->state[cs->index];

	(void)w;
	(void)err;
	c->hole = false;
	cf->crc = bm_crc32_combine(cf->crc, (uint32_t)c->slot[cs->slot[SLOT_CRC]], c->slot[cs->slot[SLOT_LEN]]);
	cf->total += c->slot[cs->slot[SLOT_LEN]];
	if (c->seq == 0) {
		bm_gzip_put_header(c->data, (int)cs->p->level);
		c->len += BM_GZIP_HEADER_BYTES;
	}
	if (c->last) {
		bm_gzip_put_trailer(c->data + c->len, cf->crc, cf->total);
		c->len += BM_GZIP_TRAILER_BYTES;
	}
	return BM_OK;
}

static void encoder_destroy(void *e)
{
	bm_gzip_encoder_destroy(e);
}

static enum bm_status compress_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                       struct bm_error *err)
{
	struct compress_shared *cs = calloc(1, sizeof(*cs));
	enum bm_status status;

	*shared = cs;
	if (cs == NULL)
		return bm_error_set_nomem(err);
	cs->p = &step->p.compress;
	cs->index = step->index;
	if (cs->p->format == BM_COMPRESS_ZSTD) {
		cs->other = &bm_compress_zstd_ops;
		return cs->other->prepare(plan, step, &cs->other_shared, err);
	}
	status = bm_stash_init(&cs->encoders, encoder_destroy, err);
	if (status == BM_OK)
		status = bm_gzip_engine_pick((enum bm_gzip_layout)cs->p->layout, (int)cs->p->level,
		                             (enum bm_gzip_engine)cs->p->engine, &cs->choice, err);
	if (status != BM_OK)
		return status;
	plan->state_bytes += plan->ctx->permits * bm_gzip_encoder_bytes((enum bm_gzip_layout)cs->p->layout,
	                                                                (int)cs->p->level, cs->choice.engine);
	if (cs->p->layout == BM_GZIP_BGZF) {
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, blocks_run, cs, err);
		bm_plan_changes(plan, bm_gzip_bgzf_bound(plan->data_bytes), 0);
		return status;
	}
	cs->bound = bm_gzip_bound(plan->data_bytes) + BM_GZIP_HEADER_BYTES + BM_GZIP_TRAILER_BYTES;
	if (cs->p->layout == BM_GZIP_INDEXED) {
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, member_run, cs, err);
		bm_plan_changes(plan, cs->bound, 0);
		return status;
	}

	for (int i = 0; i < 3; i++)
		if ((cs->slot[i] = bm_plan_slot(plan)) < 0)
			return bm_error_set(
				err, BM_ERR_UNSUPPORTED, NULL,
				"two compress steps with layout \"single\" in one job; use \"indexed\" for one of them");
	status = bm_plan_stage(plan, BM_STAGE_SERIAL, prime_run, cs, err);
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, deflate_run, cs, err);
	bm_plan_changes(plan, cs->bound, WINDOW);
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_SERIAL, seal_run, cs, err);
	return status;
}

static enum bm_status compress_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w,
                                     struct bm_error *err)
{
	struct compress_shared *cs = shared;

	if (cs->other != NULL)
		return cs->other->close(cs->other_shared, f, good, w, err);
	free(f->state[cs->index]);
	f->state[cs->index] = NULL;
	return BM_OK;
}

static void compress_destroy(void *shared)
{
	struct compress_shared *cs = shared;

	if (cs != NULL) {
		if (cs->other != NULL)
			cs->other->destroy(cs->other_shared);
		bm_stash_fini(&cs->encoders);
	}
	free(cs);
}

static void compress_describe(void *shared, struct bm_buf *out)
{
	struct compress_shared *cs = shared;

	if (cs->other != NULL) {
		cs->other->describe(cs->other_shared, out);
		return;
	}
	bm_buf_printf(out, "gzip level %d, layout %s, engine %s (%s)", (int)cs->p->level,
	              bm_gzip_layout_name((enum bm_gzip_layout)cs->p->layout), bm_gzip_engine_name(cs->choice.engine),
	              cs->choice.reason);
}

const struct bm_step_ops bm_compress_ops = {
	.prepare = compress_prepare,
	.close = compress_close,
	.destroy = compress_destroy,
	.describe = compress_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

static const char *const compress_format_values[] = {
	[BM_COMPRESS_GZIP] = "gzip",
	[BM_COMPRESS_ZSTD] = "zstd",
	NULL,
};
static const char *const layout_values[] = {
	[BM_GZIP_INDEXED] = "indexed",
	[BM_GZIP_SINGLE] = "single",
	[BM_GZIP_BGZF] = "bgzf",
	NULL,
};
static const char *const engine_values[] = {
	[BM_GZIP_AUTO] = "auto", [BM_GZIP_ZLIB] = "zlib", [BM_GZIP_LIBDEFLATE] = "libdeflate",
	[BM_GZIP_ISAL] = "isal", [BM_GZIP_ROWS] = "rows", NULL,
};

/* Which levels an engine has depends on the layout, and which engines there are on the build. */
static void check_compress(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	const struct bm_compress_params *c = &p->compress;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_gzip_choice choice;
	char text[160];

	if (c->format == BM_COMPRESS_ZSTD) {
		if (c->level == 0 || c->level < BM_ZSTD_LEVEL_MIN || c->level > BM_ZSTD_LEVEL_MAX) {
			snprintf(text, sizeof(text),
			         "level is %" PRId64 "; format \"zstd\" has 1 to %d, and the faster -1 to %d", c->level,
			         BM_ZSTD_LEVEL_MAX, BM_ZSTD_LEVEL_MIN);
			report(ctx, "level", text, NULL);
		}
		if (c->layout != BM_GZIP_INDEXED)
			report(ctx, "layout", "layout is for format \"gzip\"; zstd has one layout, a frame a chunk",
			       NULL);
		if (c->engine != BM_GZIP_AUTO)
			report(ctx, "engine", "engine is for format \"gzip\"; zstd has one engine, libzstd", NULL);
		return;
	}
	if (bm_gzip_engine_pick((enum bm_gzip_layout)c->layout, (int)c->level, (enum bm_gzip_engine)c->engine, &choice,
	                        &err) != BM_OK)
		report(ctx, err.where, err.text, NULL);
}

static void compress_about_build(struct bm_buf *out)
{
	struct bm_gzip_choice was = {BM_GZIP_AUTO, ""};
	struct bm_gzip_choice choice;

	bm_buf_puts(out, "This build has for gzip the engines zlib");
	for (enum bm_gzip_engine e = BM_GZIP_LIBDEFLATE; e < BM_GZIP_ENGINES; e++)
		if (bm_gzip_engine_available(e))
			bm_buf_printf(out, ", %s", bm_gzip_engine_name(e));
	bm_buf_puts(out, ". Of these \"auto\" takes for layouts indexed and bgzf");
	for (int level = 1; level <= bm_gzip_level_max(BM_GZIP_INDEXED, BM_GZIP_AUTO); level++) {
		if (bm_gzip_engine_pick(BM_GZIP_INDEXED, level, BM_GZIP_AUTO, &choice, NULL) != BM_OK)
			break;
		if (choice.engine != was.engine)
			bm_buf_printf(out, "%s %s from level %d on", was.engine == BM_GZIP_AUTO ? "" : ",",
			              bm_gzip_engine_name(choice.engine), level);
		was = choice;
	}
	if (bm_gzip_engine_pick(BM_GZIP_INDEXED, 6, BM_GZIP_AUTO, &was, NULL) == BM_OK &&
	    bm_gzip_engine_pick(BM_GZIP_BGZF, 6, BM_GZIP_AUTO, &choice, NULL) == BM_OK && was.engine != choice.engine)
		bm_buf_printf(out, " (bgzf: %s at level 6)", bm_gzip_engine_name(choice.engine));
	bm_buf_printf(out, ", up to level %d; for layout single zlib, up to level %d.",
	              bm_gzip_level_max(BM_GZIP_INDEXED, BM_GZIP_AUTO),
	              bm_gzip_level_max(BM_GZIP_SINGLE, BM_GZIP_AUTO));
}

static const struct bm_option compress_options[] = {
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_compress_params, format),
		.default_json = "\"gzip\"",
		.values = compress_format_values,
		.help = "the format to make; zstd is a frame a chunk, with the seek table of its seekable format",
	},
	{
		.name = "level",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_compress_params, level),
		.min = BM_ZSTD_LEVEL_MIN,
		.max = BM_ZSTD_LEVEL_MAX,
		.help = "gzip: 0 stores, 1 is fastest, 6 the default, 9 as small as gzip makes it, 10 to 12 smaller and slow "
			"(engine libdeflate); zstd: 1 to 19, default 3, and below 0 faster than 1",
	},
	{
		.name = "layout",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_compress_params, layout),
		.default_json = "\"indexed\"",
		.values = layout_values,
		.help = "of gzip; indexed: a member a chunk, read in parallel again; single: one member, for readers that "
			"stop after the "
			"first; bgzf: blocks of 64 KiB, as bgzip writes them (for its .gzi see index of write)",
	},
	{
		.name = "engine",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_compress_params, engine),
		.default_json = "\"auto\"",
		.values = engine_values,
		.help = "what makes gzip: a library, or rows, which is bytemill's own; auto takes the best for layout and level "
			"that this build has; isal has levels 1 to 3, rows has level 6, zlib alone makes layout single",
	},
};

/* What a level costs differs from format to format, and so does what is usual. */
static void settle_compress(union bm_step_params *p, uint64_t given)
{
	struct bm_compress_params *c = &p->compress;

	for (size_t i = 0; i < BM_LENGTH(compress_options); i++)
		if (strcmp(compress_options[i].name, "level") == 0 && (given & UINT64_C(1) << i) == 0)
			c->level = c->format == BM_COMPRESS_ZSTD ? 3 : 6;
}

const struct bm_step_kind bm_compress_kind = {
	.name = "compress",
	.role = BM_ROLE_CHANGE,
	.help = "compresses, in parallel chunks",
	BM_STEP_OPTIONS(compress_options),
	.settle = settle_compress,
	.check = check_compress,
	.about_build = compress_about_build,
	.ops = &bm_compress_ops,
};
