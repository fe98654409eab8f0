/*
 * decompress_layer.c - a layer of the steps `decompress` and `decrypt`: one format is taken off the bytes that come.
 *
 * A layer begins a new segment. Its fill() goes through the encoded bytes in order, unit by unit; a unit is a gzip
 * member, a zstd frame, or a chunk of an age file. There are two ways for one, and the format chooses from its header:
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
 *
 * Formats one inside the other (depth) are layers one after the other. The first must be known (unless the job was built to
 * let anything pass: bytemill cat). What a later one does not know passes through: the chunk of the layer before goes on, buffer and all. The ratio that max_ratio bounds is that
 * of what comes out of any layer to the bytes of the file itself: each chunk brings along how many went into it
 * (SLOT_ORIGIN), so that the verdict does not hang on which layer happens to be how far.
 *
 * Where an age file fails, all that was authentic in front of the fault goes on; see decompress_age.c for how the fault
 * then follows in its turn. That takes one more, serial stage, `verdict`, in layers that may meet an age file that they
 * have keys for.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "decompress_internal.h"

#define RATIO_FREE_BYTES ((uint64_t)16 << 20) /* small files may expand as they like */
#define MAGIC_BYTES ((size_t)4)               /* enough to tell gzip and zstd */

enum { SLOT_ROW, SLOT_ORIGIN };

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

const char *decompress_place(const struct decompress_layer *dl)
{
	static const char *const places[DECOMPRESS_DEPTH_MAX] = {"", "layer 2: ", "layer 3: ", "layer 4: "};

	return places[dl->number];
}

/* An error of a layer inside the file's own says so. */
static enum bm_status say_layer(const struct decompress_layer *dl, enum bm_status status, struct bm_error *err)
{
	struct bm_error inner;

	if (dl->number == 0)
		return status;
	inner = *err;
	bm_error_clear(err);
	return bm_error_set(err, status, inner.where[0] != '\0' ? inner.where : NULL, "%s%s", decompress_place(dl),
	                    inner.text);
}

/* ---- what it is ---- */

/* More of the first bytes, up to want. They wait in head. */
static bool have_head(struct decompress_file *df, struct bm_chunk *in, size_t want)
{
	if (df->head_len < want)
		df->head_len += decompress_take(df, in, df->head + df->head_len, want - df->head_len);
	return df->head_len >= want || decompress_at_end(in);
}

/* Gives back to in what head has of it. Nothing else was taken yet. */
static void return_head(struct decompress_file *df, struct bm_chunk *in)
{
	if (df->head_len == 0 || in->pos != df->head_len)
		return; /* some of it came with an earlier chunk */
	df->in_bytes -= df->head_len;
	in->pos = 0;
	df->head_len = 0;
}

/* Must what comes to this layer be in one of the formats? */
static bool wants_format(const struct decompress_layer *dl)
{
	return dl->number == 0 && !dl->all->o.pass_plain;
}

/* Nothing but the first bytes of the two, whole where it may be any file. */
static const struct decompress_format *compressed_format(const struct decompress_layer *dl,
                                                         const struct decompress_file *df)
{
	static const uint8_t old_zstd[3] = {0xb5, 0x2f, 0xfd}; /* after 22 ... 28 */
	const bool first = wants_format(dl);
	const uint8_t *head = df->head;
	struct bm_zstd_header h;

	if (df->head_len >= (first ? 1 : 2) && head[0] == 0x1f && (df->head_len == 1 || head[1] == 0x8b))
		return &decompress_gzip_format;
	if (df->head_len < (first ? 1 : MAGIC_BYTES))
		return NULL;
	if (bm_zstd_peek_header(head, df->head_len, &h) != BM_ZSTD_PEEK_NOT ||
	    (df->head_len >= MAGIC_BYTES && memcmp(head + 1, old_zstd, sizeof(old_zstd)) == 0))
		return &decompress_zstd_format;
	return NULL;
}

static enum bm_status begin_age(const struct decompress_layer *dl, struct decompress_file *df, struct bm_error *err)
{
	/* Blank space or a dash is how armor begins, and nothing else. */
	const bool armored = df->head_len > 0 && df->head[0] != 'a' && bm_age_detect(df->head, 1) == BM_AGE_KIND_SHORT;

	if (dl->all->keys == NULL)
		return bm_error_set(err, BM_ERR_FAILED, NULL,
		                    "this is an age file, and there is nothing to decrypt it with: give %s",
		                    dl->all->o.pass_plain ? "--identity or --passphrase-file" /* this is bytemill cat */
		                                          : "identity_file or passphrase_file");
	df->format = &decompress_age_format;
	return decompress_age_begin(df, armored, err);
}

/* Sets df->format when there are bytes enough, or *pass: it is none, and need not be one. */
static enum bm_status detect(const struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *in,
                             bool *pass, struct bm_error *err)
{
	const int format = dl->number == 0 ? dl->all->o.format : BM_DECOMPRESS_AUTO;
	enum bm_age_kind kind;

	if (format == BM_DECOMPRESS_GZIP || format == BM_DECOMPRESS_ZSTD) {
		df->format = format == BM_DECOMPRESS_GZIP ? &decompress_gzip_format : &decompress_zstd_format;
		return BM_OK;
	}
	if (!have_head(df, in, MAGIC_BYTES))
		return BM_OK; /* more input first */
	if (format == BM_DECOMPRESS_AUTO)
		df->format = compressed_format(dl, df);
	if (df->format == NULL) {
		kind = bm_age_detect(df->head, df->head_len);
		if (kind == BM_AGE_KIND_SHORT && !have_head(df, in, DECOMPRESS_HEAD_MAX))
			return BM_OK;
		kind = bm_age_detect(df->head, df->head_len);
		/* What decrypt gets is told by the reader of headers, or of armor, what it is not. */
		if (kind == BM_AGE_KIND_BINARY || kind == BM_AGE_KIND_ARMOR || format == DECOMPRESS_FORMAT_AGE) {
			enum bm_status status = begin_age(dl, df, err);

			if (status != BM_OK)
				return status;
		}
	}
	if (df->format != NULL || !wants_format(dl)) {
		*pass = df->format == NULL;
		if (*pass && dl->number == 0 && dl->all->o.found_plain != NULL)
			atomic_store(dl->all->o.found_plain, true);
		return_head(df, in);
		return BM_OK;
	}
	if (df->head_len == 0)
		return bm_error_set(err, BM_ERR_TRUNCATED, NULL, "empty, not a gzip, zstd or age file");
	return bm_error_set(err, BM_ERR_FORMAT, NULL,
	                    "not a gzip, zstd or age file: these begin with 1f 8b, 28 b5 2f fd and \"age-encryption\"");
}

/* ---- nothing to take off ---- */

static enum bm_status pass_turn(struct decompress_layer *dl, struct decompress_file *df, struct bm_file *f,
                                struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
                                struct bm_error *err)
{
	size_t before = out->len;

	(void)f;
	(void)w;
	(void)err;
	if (df->head_len == 0 && bm_chunk_exchange(out, in)) {
		df->in_bytes += out->len;
	} else {
		const size_t n = df->head_len < dl->chunk_bytes - out->len ? df->head_len : dl->chunk_bytes - out->len;

		if (n > 0) {
			memcpy(out->data + out->len, df->head, n);
			decompress_used(df, in, n);
			out->len += n;
		}
		out->len += decompress_take(df, in, out->data + out->len, dl->chunk_bytes - out->len);
	}
	df->out_bytes += out->len - before;
	*emit = out->len > 0;
	return BM_OK;
}

static bool pass_may_end(const struct decompress_file *df)
{
	(void)df;
	return true;
}

static void pass_close(struct decompress_layer *dl, struct decompress_file *df)
{
	(void)dl;
	(void)df;
}

static const struct decompress_format pass_format = {
	.name = "plain",
	.unit = "bytes",
	.turn = pass_turn,
	.may_end = pass_may_end,
	.close = pass_close,
};

/* ---- the fill ---- */

static enum bm_status check_caps(const struct decompress_layer *dl, const struct decompress_file *df,
                                 struct bm_error *err)
{
	const struct decompress_options *o = &dl->all->o;
	const bool is_command = dl->all->is_command;

	if (o->max_size > 0 && df->out_bytes > o->max_size)
		return bm_error_set(err, BM_ERR_LIMIT, NULL,
		                    "decodes to more than %s (%llu bytes); raise it if the file can be trusted",
		                    is_command ? "--max-size" : "max_size", (unsigned long long)o->max_size);
	if (o->max_ratio > 0 && df->out_bytes > RATIO_FREE_BYTES &&
	    df->out_bytes / (uint64_t)o->max_ratio > df->origin_bytes)
		return bm_error_set(
			err, BM_ERR_LIMIT, NULL,
			"decodes to more than %s (%lld) times its size; raise it if the file can be trusted",
			is_command ? "--max-ratio" : "max_ratio", (long long)o->max_ratio);
	return BM_OK;
}

/* One state a layer; made with the file's first byte, before the first chunk leaves layer 0. */
static struct decompress_file *state_of(struct decompress_layer *dl, struct bm_file *f, struct bm_error *err)
{
	struct decompress_shared *ds = dl->all;
	struct decompress_file *all = f->state[ds->index];

	if (all == NULL) {
		all = bm_calloc_array(ds->o.depth, sizeof(*all));
		if (all == NULL) {
			(void)bm_error_set_nomem(err);
			return NULL;
		}
		f->state[ds->index] = all;
	}
	return &all[dl->number];
}

static void finish_chunk(const struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *out)
{
	if (df->row_len > 0) {
		out->tag = df->row_last ? DECOMPRESS_TAG_LAST_ROW : DECOMPRESS_TAG_ROW;
		out->data = out->buf[1];
		out->len = df->row_len;
	}
	df->row_len = 0;
	df->row_decoded = 0;
	df->row_closed = false;
	df->row_last = false;
	if (dl->number + 1 < dl->all->o.depth)
		out->slot[SLOT_ORIGIN] = df->origin_bytes;
}

static enum bm_fill_result layer_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                      struct bm_worker *w, struct bm_error *err)
{
	struct decompress_layer *dl = arg;
	struct bm_file *f = stream;
	struct decompress_file *df = state_of(dl, f, err);

	if (df == NULL)
		return BM_FILL_ERROR;
	for (;;) {
		const struct decompress_format *format = df->format;
		const int before = df->mode;
		enum bm_status status;
		bool emit = false, pass = false;

		if (format == NULL)
			status = detect(dl, df, in, &pass, err);
		else
			status = format->turn(dl, df, f, out, in, &emit, w, err);
		if (pass)
			df->format = &pass_format;
		df->origin_bytes = dl->number == 0 ? df->in_bytes : in->slot[SLOT_ORIGIN];
		if (status == BM_OK)
			status = check_caps(dl, df, err);
		if (status != BM_OK) {
			(void)say_layer(dl, status, err);
			return BM_FILL_ERROR;
		}

		out->last = format != NULL && decompress_at_end(in) && df->head_len == 0 && df->kept == NULL &&
		            format->may_end(df);
		if (emit || out->last) {
			finish_chunk(dl, df, out);
			return BM_FILL_EMIT;
		}
		if (df->format == format && df->mode == before && in->pos == in->len && !in->last && df->kept == NULL &&
		    (df->head_len == 0 || df->mode == DECOMPRESS_MODE_GATHER))
			return BM_FILL_MORE;
	}
}

/* ---- the stages ---- */

static struct decompress_file *state_in(const struct decompress_layer *dl, const struct bm_file *f)
{
	return (struct decompress_file *)f->state[dl->all->index] + dl->number;
}

static enum bm_status row_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct decompress_layer *dl = arg;
	struct decompress_file *df;
	struct bm_error inner = BM_ERROR_INIT, told = BM_ERROR_INIT;
	enum bm_status status;
	size_t good = 0, len = 0;

	(void)w;
	if (c->tag != DECOMPRESS_TAG_ROW && c->tag != DECOMPRESS_TAG_LAST_ROW)
		return BM_OK;
	df = state_in(dl, stream); /* its format was written by fill() before the first chunk went out, and not again */
	status = df->format->row(dl, df, c, &good, &len, &inner);
	c->data = c->buf[0];
	c->len = len;
	c->tag = 0;
	if (status == BM_OK)
		return BM_OK;
	if (status == BM_ERR_NOMEM)
		return bm_error_set_nomem(err);
	(void)decompress_error(df->format, c->slot[SLOT_ROW] + good, status, &inner, &told);
	(void)say_layer(dl, status, &told);
	if (df->age == NULL)
		return bm_error_set(err, status, NULL, "%s", told.text);
	decompress_age_fail(df, c->seq, status, &told);
	return BM_OK;
}

static enum bm_status verdict_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                  struct bm_error *err)
{
	struct decompress_file *df = state_in(arg, stream);

	(void)w;
	return df->age != NULL ? decompress_age_verdict(df, c->seq, err) : BM_OK;
}

/* ---- preparing ---- */

static void gzip_destroy(void *d)
{
	bm_gzip_decoder_destroy(d);
}

static void zstd_destroy(void *d)
{
	bm_zstd_decoder_destroy(d);
}

static void cipher_destroy(void *c)
{
	bm_age_cipher_destroy(c);
}

static size_t at_least(size_t a, size_t b)
{
	return a > b ? a : b;
}

static enum bm_status prepare_layer(struct bm_plan *plan, struct decompress_layer *dl, size_t chunk,
                                    struct bm_error *err)
{
	const struct decompress_options *o = &dl->all->o;
	const int format = dl->number == 0 ? o->format : BM_DECOMPRESS_AUTO;
	const bool age = dl->all->keys != NULL && (format == BM_DECOMPRESS_AUTO || format == DECOMPRESS_FORMAT_AGE);
	const bool gzip = format == BM_DECOMPRESS_AUTO || format == BM_DECOMPRESS_GZIP;
	const bool zstd = format == BM_DECOMPRESS_AUTO || format == BM_DECOMPRESS_ZSTD;
	enum bm_status status;
	size_t encoded = 0;

	dl->stream_bytes = chunk;
	/* Large frames are looked for where they mostly are: in the file, or in the one thing around it. Further in, where
	 * there is mostly nothing left to take off, it must only be possible to exchange buffers. */
	if (zstd && plan->job->p.chunk == 0)
		chunk = at_least(chunk, bm_zstd_best_chunk(BM_ZSTD_LEVEL_MAX));
	if (gzip || zstd)
		encoded = at_least(bm_zstd_bound(dl->number < 2 ? chunk : dl->stream_bytes),
		                   bm_gzip_bound(dl->number < 2 ? chunk : dl->stream_bytes));
	if (age) {
		const size_t units = at_least(dl->stream_bytes / BM_AGE_CHUNK_BYTES, 1);

		dl->sealed_bytes = units * BM_AGE_SEALED_CHUNK_BYTES;
		chunk = at_least(chunk, units * BM_AGE_CHUNK_BYTES);
		encoded = at_least(encoded, dl->sealed_bytes);
	}
	dl->chunk_bytes = chunk;
	status = bm_plan_segment(plan, layer_fill, dl, chunk, encoded, err);
	if (status == BM_OK && (bm_plan_slot(plan) != SLOT_ROW || bm_plan_slot(plan) != SLOT_ORIGIN))
		status = bm_error_set(err, BM_ERR_FAILED, NULL, "a new segment has no free slot");
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, row_run, dl, err);
	if (status == BM_OK && age)
		status = bm_plan_stage(plan, BM_STAGE_SERIAL, verdict_run, dl, err);
	/* What the next layer reads must stay; the last layer's are the later steps'. */
	if (status == BM_OK && dl->number + 1 == o->depth)
		bm_plan_slot_free(plan);
	return status;
}

enum bm_status decompress_prepare_layers(struct bm_plan *plan, const struct bm_step *step,
                                         const struct decompress_options *o, void **shared, struct bm_error *err)
{
	struct decompress_shared *ds = calloc(1, sizeof(*ds));
	const size_t permits = plan->ctx->permits;
	enum bm_status status;

	*shared = ds;
	if (ds == NULL)
		return bm_error_set_nomem(err);
	ds->o = *o;
	ds->is_command = plan->job->is_built;
	ds->index = step->index;
	ds->windows = plan->ctx->windows;
	status = bm_stash_init(&ds->gzip_decoders, gzip_destroy, err);
	if (status == BM_OK)
		status = bm_stash_init(&ds->zstd_decoders, zstd_destroy, err);
	if (status == BM_OK)
		status = bm_stash_init(&ds->ciphers, cipher_destroy, err);
	if (status == BM_OK && bm_unlock_given(o->unlock))
		status = bm_keys_to_open(plan, step, o->unlock, &ds->keys, err);
	if (status != BM_OK)
		return status;
	/* Of a file in several layers at most one thread is in each at a time. */
	if (o->format == BM_DECOMPRESS_AUTO || o->format == BM_DECOMPRESS_GZIP || o->depth > 1)
		plan->state_bytes += 2 * permits * bm_gzip_decoder_bytes();
	if (o->format == BM_DECOMPRESS_AUTO || o->format == BM_DECOMPRESS_ZSTD || o->depth > 1)
		/* Larger windows than the usual are not in the budget: see bm_windows.h. */
		plan->state_bytes += permits * (bm_zstd_decoder_bytes(0) + bm_zstd_decoder_bytes(BM_WINDOW_USUAL));
	for (unsigned i = 0; i < o->depth && status == BM_OK; i++) {
		struct decompress_layer *dl = &ds->layers[i];

		dl->all = ds;
		dl->number = i;
		status = prepare_layer(plan, dl, bm_step_chunk(plan->job, step->index), err);
	}
	return status;
}

enum bm_status decompress_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err)
{
	struct decompress_shared *ds = shared;
	struct decompress_file *all = f->state[ds->index];

	(void)w;
	(void)err;
	for (unsigned i = 0; all != NULL && i < ds->o.depth; i++) {
		if (good && all[i].has_garbage)
			bm_file_warn(f, "%strailing garbage at byte %llu ignored", decompress_place(&ds->layers[i]),
			             (unsigned long long)all[i].unit_start);
		if (all[i].format != NULL)
			all[i].format->close(&ds->layers[i], &all[i]);
		free(all[i].kept);
	}
	free(all);
	f->state[ds->index] = NULL;
	return BM_OK;
}

void decompress_destroy(void *shared)
{
	struct decompress_shared *ds = shared;

	if (ds != NULL) {
		bm_stash_fini(&ds->gzip_decoders);
		bm_stash_fini(&ds->zstd_decoders);
		bm_stash_fini(&ds->ciphers);
	}
	free(ds);
}
