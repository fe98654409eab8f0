/*
 * decompress.c - the step `decompress`: any gzip file, members in parallel where their sizes are told.
 *
 * The step begins a new segment. Its fill() goes through the encoded bytes in order and knows three ways:
 *
 *   GATHER   at the start of a member: collects the first bytes of its header. A member that tells its size (the IG field
 *            of layout indexed, the BC field of BGZF) and is small enough is collected whole into buf[1] and sent on with
 *            the tag TAG_MEMBER: a parallel stage inflates it into buf[0]. BGZF blocks are too small for a chunk each: as
 *            many as will surely fit are sent on together, as a row. Anything else is STREAMed.
 *   STREAM   inflates serially, straight into chunks, to the end of the member.
 *   DRAIN    what follows the last member is no gzip: passed over, with a warning, as gzip does. It is still read to its
 *            end, since an earlier hash step wants to see all of it.
 *
 * A member that was collected but whose decoded size (its last four bytes) is larger than a chunk is streamed from the
 * collected copy. The size that a member claims is checked by the parallel stage against what comes out.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_gzip.h"
#include "step_internal.h"

#define TAG_MEMBER 2
#define BLOCK_BYTES 65536                     /* the most that a BGZF block holds */
#define PEEK_BYTES 32                         /* enough for the headers that tell a size */
#define RATIO_FREE_BYTES ((uint64_t)16 << 20) /* small files may expand as they like */

enum mode { MODE_GATHER, MODE_COLLECT, MODE_STREAM, MODE_DRAIN };

struct decompress_shared {
	const struct bm_decompress_params *p;
	size_t chunk_bytes; /* steps behind may have made buf[0] larger for themselves */
	unsigned index;
	struct bm_stash decoders;
};

struct decompress_file {
	enum mode mode;
	struct bm_gzip_decoder *stream;
	bool any_member;
	uint64_t in_bytes, out_bytes;
	uint64_t member_start; /* where the present member begins in the encoded bytes */
	uint8_t head[PEEK_BYTES];
	size_t head_len;
	size_t member_bytes;         /* COLLECT: how many there will be; out->len, less row_len, counts up to it */
	bool member_bgzf;            /* it may be followed by others in its row */
	size_t row_len, row_decoded; /* whole members in out, and what they say they hold */
	uint8_t *kept;               /* STREAM: a collected member that was too large; NULL otherwise */
	size_t kept_len, kept_pos;
};

static struct bm_gzip_decoder *decoder_get(struct decompress_shared *ds, struct bm_error *err)
{
	struct bm_gzip_decoder *d = bm_stash_get(&ds->decoders);

	if (d == NULL && bm_gzip_decoder_create(&d, err) != BM_OK)
		return NULL;
	return d;
}

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

static size_t take(struct decompress_file *df, struct bm_chunk *in, uint8_t *to, size_t want)
{
	size_t n = in->len - in->pos < want ? in->len - in->pos : want;

	memcpy(to, in->data + in->pos, n);
	in->pos += n;
	df->in_bytes += n;
	return n;
}

static bool at_end(const struct bm_chunk *in)
{
	return in->last && in->pos == in->len;
}

static enum bm_status begin_stream(struct decompress_shared *ds, struct decompress_file *df, struct bm_error *err)
{
	if (df->stream == NULL)
		df->stream = decoder_get(ds, err);
	if (df->stream == NULL)
		return BM_ERR_NOMEM;
	bm_gzip_stream_reset(df->stream);
	df->mode = MODE_STREAM;
	return BM_OK;
}

/* At the start of a member: enough of the header to choose the way. */
static enum bm_status gather(struct decompress_shared *ds, struct decompress_file *df, struct bm_file *f,
                             struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	struct bm_gzip_header h;

	if (df->any_member) { /* zeros are padding, as tapes have it */
		while (df->head_len > 0 && df->head[0] == 0)
			memmove(df->head, df->head + 1, --df->head_len);
		while (df->head_len == 0 && in->pos < in->len && in->data[in->pos] == 0) {
			in->pos++;
			df->in_bytes++;
		}
	}
	df->member_start = df->in_bytes - df->head_len;
	df->head_len += take(df, in, df->head + df->head_len, PEEK_BYTES - df->head_len);
	if (df->head_len < PEEK_BYTES && !at_end(in))
		return BM_OK; /* more input first */
	if (df->any_member && df->head_len == 0)
		return BM_OK; /* a clean end */
	if (df->any_member && (df->head[0] != 0x1f || (df->head_len > 1 && df->head[1] != 0x8b))) {
		bm_file_warn(f, "trailing garbage at byte %llu ignored", (unsigned long long)df->member_start);
		df->head_len = 0;
		df->mode = MODE_DRAIN;
		return BM_OK;
	}
	if (bm_gzip_peek_header(df->head, df->head_len, &h) != BM_GZIP_PEEK_OK || h.member_bytes < PEEK_BYTES ||
	    h.member_bytes > out->cap[1])
		return begin_stream(ds, df, err);
	if (df->row_len > 0 && (!h.bgzf || h.member_bytes > out->cap[1] - df->row_len)) {
		*emit = true; /* the row goes first; the head waits */
		return BM_OK;
	}
	memcpy(out->buf[1] + df->row_len, df->head, df->head_len);
	out->len = df->row_len + df->head_len;
	df->head_len = 0;
	df->member_bytes = h.member_bytes;
	df->member_bgzf = h.bgzf;
	df->mode = MODE_COLLECT;
	return BM_OK;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* *emit is set where the member is whole, and it or the row that it ends goes on to be inflated in parallel. */
static enum bm_status collect(struct decompress_shared *ds, struct decompress_file *df, struct bm_chunk *out,
                              struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	out->len += take(df, in, out->buf[1] + out->len, df->row_len + df->member_bytes - out->len);
	size_t have = out->len - df->row_len;
	if (have < df->member_bytes && !at_end(in))
		return BM_OK;
	uint32_t decoded = get_u32(out->buf[1] + out->len - 4);
	if (have == df->member_bytes && decoded <= ds->chunk_bytes - df->row_decoded) {
		out->tag = TAG_MEMBER;
		out->data = out->buf[1];
		if (df->row_len == 0)
			out->slot[0] = df->member_start;
		df->row_len = out->len;
		df->row_decoded += decoded;
		df->out_bytes += decoded;
		df->any_member = true;
		df->mode = MODE_GATHER;
		*emit = !df->member_bgzf || ds->chunk_bytes - df->row_decoded < BLOCK_BYTES;
		return BM_OK;
	}
	/* Too large for a chunk, or the file ends first (the decoder will say so in its own words). */
	df->kept = (uint8_t *)bm_memdup0(out->buf[1] + df->row_len, have);
	if (df->kept == NULL)
		return bm_error_set_nomem(err);
	df->kept_len = have;
	df->kept_pos = 0;
	out->len = df->row_len;
	return begin_stream(ds, df, err);
}

/* The error says where in the member's own bytes; the file's offset is what a person can use. */
static enum bm_status stream_error(const struct decompress_file *df, enum bm_status status, const struct bm_error *from,
                                   struct bm_error *err)
{
	return bm_error_set(err, status, NULL, "gzip member at byte %llu: %s%s%s", (unsigned long long)df->member_start,
	                    from->text, from->where[0] != '\0' ? ", at its " : "", from->where);
}

static enum bm_status inflate_some(struct decompress_file *df, size_t chunk_bytes, struct bm_chunk *out,
                                   struct bm_chunk *in, struct bm_error *err)
{
	struct bm_gzip_stream_result r = {0};
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	const uint8_t *from;
	size_t len;

	/* First what was read ahead: the head, or a member that was collected in vain. */
	if (df->kept != NULL) {
		from = df->kept + df->kept_pos;
		len = df->kept_len - df->kept_pos;
	} else if (df->head_len > 0) {
		from = df->head;
		len = df->head_len;
	} else {
		from = in->data + in->pos;
		len = in->len - in->pos;
	}
	bool is_ahead = df->kept != NULL || df->head_len > 0;
	bool end = in->last && (!is_ahead || in->pos == in->len);
	status = bm_gzip_stream_decode(df->stream, from, len, end, out->buf[0] + out->len, chunk_bytes - out->len, &r,
	                               &inner);
	out->len += r.out_made;
	df->out_bytes += r.out_made;
	if (df->kept != NULL) {
		df->kept_pos += r.in_used;
		if (df->kept_pos == df->kept_len) {
			free(df->kept);
			df->kept = NULL;
		}
	} else if (df->head_len > 0) {
		df->head_len -= r.in_used;
		memmove(df->head, df->head + r.in_used, df->head_len);
	} else {
		in->pos += r.in_used;
		df->in_bytes += r.in_used;
	}
	if (status != BM_OK)
		return stream_error(df, status, &inner, err);
	if (r.member_end) {
		if (df->kept != NULL)
			return bm_error_set(err, BM_ERR_FORMAT, NULL,
			                    "gzip member at byte %llu is shorter than its size field says",
			                    (unsigned long long)df->member_start);
		df->any_member = true;
		df->mode = MODE_GATHER; /* what is left of the head belongs to the next member */
	}
	return BM_OK;
}

static enum bm_fill_result decompress_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                           struct bm_worker *w, struct bm_error *err)
{
	struct decompress_shared *ds = arg;
	struct bm_file *f = stream;
	struct decompress_file *df = f->state[ds->index];
	bool emit = false;

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
		enum bm_status status = BM_OK;
		enum mode before = df->mode;

		if (before == MODE_GATHER && out->len > 0 && df->row_len == 0) {
			/* A member was streamed into this chunk: the next one may want buf[1] and a chunk of its own. */
			emit = true;
		} else if (before == MODE_GATHER) {
			status = gather(ds, df, f, out, in, &emit, err);
		} else if (before == MODE_COLLECT) {
			status = collect(ds, df, out, in, &emit, err);
		} else if (before == MODE_STREAM) {
			status = inflate_some(df, ds->chunk_bytes, out, in, err);
			emit = out->len == ds->chunk_bytes;
		} else {
			df->in_bytes += in->len - in->pos;
			in->pos = in->len;
		}
		if (df->row_len > 0 && (df->mode == MODE_STREAM || df->mode == MODE_DRAIN))
			emit = true; /* what comes next wants a chunk of its own */
		if (status == BM_OK)
			status = check_caps(ds, df, err);
		if (status != BM_OK)
			return BM_FILL_ERROR;

		bool done = at_end(in) && df->head_len == 0 && df->kept == NULL &&
		            ((df->mode == MODE_GATHER && df->any_member) || df->mode == MODE_DRAIN);
		out->last = done;
		if (emit || done) {
			df->row_len = 0;
			df->row_decoded = 0;
			return BM_FILL_EMIT;
		}
		if (df->mode == before && in->pos == in->len && !in->last && df->kept == NULL &&
		    (df->head_len == 0 || df->mode == MODE_GATHER))
			return BM_FILL_MORE;
	}
}

static enum bm_status member_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct decompress_shared *ds = arg;
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t good;

	(void)stream;
	(void)w;
	if (c->tag != TAG_MEMBER)
		return BM_OK;
	struct bm_gzip_decoder *d = decoder_get(ds, err);
	if (d == NULL)
		return BM_ERR_NOMEM;
	status = bm_gzip_decode_row(d, c->data, c->len, c->buf[0], c->cap[0], &good, &c->len, &inner);
	c->data = c->buf[0];
	c->tag = 0;
	bm_stash_put(&ds->decoders, d);
	if (status == BM_OK)
		return BM_OK;
	struct decompress_file at = {.member_start = c->slot[0] + good};
	return stream_error(&at, status, &inner, err);
}

static void decoder_destroy(void *d)
{
	bm_gzip_decoder_destroy(d);
}

static enum bm_status decompress_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                         struct bm_error *err)
{
	struct decompress_shared *ds = calloc(1, sizeof(*ds));
	enum bm_status status;

	*shared = ds;
	if (ds == NULL)
		return bm_error_set_nomem(err);
	ds->p = &step->p.decompress;
	ds->chunk_bytes = plan->chunk_bytes;
	ds->index = step->index;
	status = bm_stash_init(&ds->decoders, decoder_destroy, err);
	if (status != BM_OK)
		return status;
	plan->state_bytes += 2 * plan->ctx->permits * bm_gzip_decoder_bytes();
	status = bm_plan_segment(plan, decompress_fill, ds, plan->chunk_bytes, bm_gzip_bound(plan->chunk_bytes), err);
	if (status == BM_OK && bm_plan_slot(plan) != 0)
		status = bm_error_set(err, BM_ERR_FAILED, NULL, "a new segment has no free slot");
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, member_run, ds, err);
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
		bm_stash_put(&ds->decoders, df->stream);
		free(df->kept);
	}
	free(df);
	f->state[ds->index] = NULL;
	return BM_OK;
}

static void decompress_destroy(void *shared)
{
	struct decompress_shared *ds = shared;

	if (ds != NULL)
		bm_stash_fini(&ds->decoders);
	free(ds);
}

static void decompress_describe(void *shared, struct bm_buf *out)
{
	(void)shared;
	bm_buf_printf(out, "gzip of any making; members that tell their size in parallel; %s",
	              bm_gzip_decoder_engines());
}

const struct bm_step_ops bm_decompress_ops = {
	.prepare = decompress_prepare,
	.close = decompress_close,
	.destroy = decompress_destroy,
	.describe = decompress_describe,
};
