/*
 * seekable_row.c - rows of units: gzip members, BGZF blocks, zstd frames, one after the other, each telling how long it
 * is and how much it holds.
 *
 * To find the unit that holds a byte, the row is walked from unit to unit, as far as needed, and remembered: every
 * stride-th unit is a mark to start from later. When there are too many marks, every second one goes and the stride
 * doubles, so that memory does not grow with the file. What is wanted next is mostly in the unit at hand or the one
 * behind it, which costs no walk.
 *
 * Which sizes to believe. A unit that is decoded is checked in itself; one that is only passed over is not, and if its
 * size is wrong then all behind it lies elsewhere, and good units give wrong bytes. To decode everything would be to
 * stream. But writers are regular: all units hold the same, or, where a chunk is divided into BGZF blocks, runs of two
 * sizes repeat (sixteen of 61,681 and one of 61,680). So the next size is predicted, to be that of the run at hand, or,
 * where the run is as long as the one two before it and of its size, that of the run between. A unit that holds what was
 * predicted is believed. Where one does not, that unit and the one before it are checked: by a second place that
 * tells the size, if the format has one, else by decoding them. One wrong size in a regular row always comes to light:
 * either it is not what was predicted, or (a wrong size that makes the next prediction wrong) the next one is not, and
 * then the one before that is looked at. The same holds for the unit that is wanted, and the row's last one.
 * A row that follows no pattern (a BAM file, files of different writers joined) is decoded from its start, once, and is
 * no slower for it than a stream.
 *
 * Where units may come in runs of two sizes, a single odd one could hide at the start, before there is a pattern;
 * learn_bytes says how much is decoded there.
 *
 * Large units: what does not fit into unit_max is decoded as a stream into nothing, to know that it is good, and then
 * again to what is wanted. Going on from there costs nothing more.
 */
#include "seekable_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_mem.h"

#define STREAM_IN_BYTES ((size_t)64 << 10)
#define STREAM_OUT_BYTES ((size_t)64 << 10)

enum bm_status row_error(struct seek_row *r, const struct row_unit *u, enum bm_status status, struct bm_error *err,
                         const char *fmt, ...)
{
	char where[SEEK_WHERE_BYTES];
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return bm_error_set(err, status, seek_where(where, u->offset), "%s at byte %" PRIu64 ": %s", r->ops->unit,
	                    u->offset, text);
}

/* An error of a decoder that was given just the unit. */
static enum bm_status decode_error(struct seek_row *r, const struct row_unit *u, enum bm_status status,
                                   const struct bm_error *from, struct bm_error *err)
{
	if (status == BM_ERR_NOMEM)
		return bm_error_set_nomem(err);
	return row_error(r, u, status, err, "%s%s%s", from->text, from->where[0] != '\0' ? ", at its " : "",
	                 from->where);
}

enum bm_status row_init(struct seek_row *r, const struct row_ops *ops, const struct bm_seekable_source *src,
                        const struct bm_seekable_options *opt, struct bm_error *err)
{
	r->base.ops = &row_seek_ops;
	r->base.src = *src;
	r->ops = ops;
	r->unit_max = opt->unit_max_bytes > 0 ? opt->unit_max_bytes : BM_SEEKABLE_UNIT_BYTES;
	r->stride = 1;
	r->marks = bm_calloc_array(ROW_MARKS, sizeof(*r->marks));
	if (r->marks == NULL)
		return bm_error_set_nomem(err);
	return seek_view_init(&r->view, &r->base.src, err);
}

/* ---- decoding the unit at hand ---- */

static bool is_large(const struct seek_row *r, const struct row_unit *u)
{
	return u->content_bytes > r->unit_max || u->bytes > r->unit_max + r->unit_max / 64 + 64;
}

static bool make_room(uint8_t **buf, size_t *cap, size_t want)
{
	if (want <= *cap)
		return true;
	free(*buf);
	*buf = malloc(want);
	*cap = *buf != NULL ? want : 0;
	return *buf != NULL;
}

static void set_unit(struct seek_row *r, const struct row_unit *u)
{
	if (r->unit.bytes > 0 && r->unit.number == u->number)
		return;
	r->unit = *u;
	r->is_loaded = false;
	r->is_checked = false;
	r->is_streaming = false;
}

static enum bm_status load_whole(struct seek_row *r, struct bm_error *err)
{
	const struct row_unit *u = &r->unit;
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;

	if (!make_room(&r->content, &r->content_cap, (size_t)u->content_bytes + 1) ||
	    !make_room(&r->packed, &r->packed_cap, (size_t)u->bytes))
		return bm_error_set_nomem(err);
	status = r->base.src.pread(r->base.src.ctx, r->packed, (size_t)u->bytes, u->offset, err);
	if (status != BM_OK)
		return status;
	status = r->ops->decode(r, u, r->packed, r->content, &inner);
	if (status == BM_ERR_LIMIT) /* the room was what it says that it holds */
		return row_error(r, u, BM_ERR_FORMAT, err, "it says that it holds %" PRIu64 " bytes and holds more",
		                 u->content_bytes);
	if (status != BM_OK)
		return decode_error(r, u, status, &inner, err);
	r->is_loaded = true;
	return BM_OK;
}

static enum bm_status stream_start(struct seek_row *r, struct bm_error *err)
{
	if (r->stream_buf == NULL)
		r->stream_buf = malloc(STREAM_IN_BYTES + STREAM_OUT_BYTES);
	if (r->stream_buf == NULL)
		return bm_error_set_nomem(err);
	r->ops->start(r, &r->unit);
	r->is_streaming = true;
	r->stream_ended = false;
	r->stream_in = r->stream_out = 0;
	r->buf_at = r->buf_len = 0;
	return BM_OK;
}

/* Up to cap further bytes of the unit, more than 0 unless it has ended. */
static enum bm_status stream_part(struct seek_row *r, uint8_t *out, size_t cap, size_t *made, struct bm_error *err)
{
	const struct row_unit *u = &r->unit;
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status = BM_OK;
	size_t used;

	*made = 0;
	while (*made == 0 && !r->stream_ended && status == BM_OK) {
		bool ended = false;
		const uint64_t read = r->stream_in + (r->buf_len - r->buf_at);

		if (r->buf_at == r->buf_len && read < u->bytes) {
			const uint64_t left = u->bytes - read;

			r->buf_at = 0;
			r->buf_len = left < STREAM_IN_BYTES ? (size_t)left : STREAM_IN_BYTES;
			status = r->base.src.pread(r->base.src.ctx, r->stream_buf, r->buf_len, u->offset + read, err);
			if (status != BM_OK)
				break;
		}
		status = r->ops->decode_part(r, r->stream_buf + r->buf_at, r->buf_len - r->buf_at,
		                             r->stream_in + (r->buf_len - r->buf_at) == u->bytes, out, cap, &used, made,
		                             &ended, &inner);
		r->buf_at += used;
		r->stream_in += used;
		r->stream_out += *made;
		r->stream_ended = ended;
		if (status != BM_OK)
			status = decode_error(r, u, status, &inner, err);
		else if (r->stream_out > u->content_bytes || (ended && r->stream_out < u->content_bytes))
			status = row_error(r, u, BM_ERR_FORMAT, err,
			                   "it says that it holds %" PRIu64 " bytes and holds %s", u->content_bytes,
			                   ended ? "less" : "more");
		else if (ended && r->stream_in < u->bytes)
			status = row_error(r, u, BM_ERR_FORMAT, err, "it is %" PRIu64 " bytes shorter than it says",
			                   u->bytes - r->stream_in);
		else if (!ended && used == 0 && *made == 0)
			status = row_error(r, u, BM_ERR_FORMAT, err, "it goes on behind the end that it tells");
	}
	if (status != BM_OK)
		r->is_streaming = false;
	return status;
}

static enum bm_status check_large(struct seek_row *r, struct bm_error *err)
{
	enum bm_status status = stream_start(r, err);
	size_t made;

	while (status == BM_OK && !r->stream_ended)
		status = stream_part(r, r->stream_buf + STREAM_IN_BYTES, STREAM_OUT_BYTES, &made, err);
	r->is_streaming = false;
	r->is_checked = status == BM_OK;
	return status;
}

enum bm_status row_load(struct seek_row *r, const struct row_unit *u, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	set_unit(r, u);
	if (is_large(r, u) ? r->is_checked : r->is_loaded)
		return BM_OK;
	status = is_large(r, u) ? check_large(r, err) : load_whole(r, err);
	if (status != BM_OK)
		r->unit.bytes = 0;
	return status;
}

/* Copies from a large unit that was checked; inner: offset in its content. */
static enum bm_status read_large(struct seek_row *r, uint8_t *out, size_t len, uint64_t inner, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	size_t made;

	if (!r->is_streaming || r->stream_out > inner)
		status = stream_start(r, err);
	while (status == BM_OK && r->stream_out < inner) {
		const uint64_t skip = inner - r->stream_out;

		status = stream_part(r, r->stream_buf + STREAM_IN_BYTES,
		                     skip < STREAM_OUT_BYTES ? (size_t)skip : STREAM_OUT_BYTES, &made, err);
	}
	while (status == BM_OK && len > 0) {
		status = stream_part(r, out, len, &made, err);
		out += made;
		len -= made;
	}
	return status;
}

/* ---- walking ---- */

static uint64_t predicted(const struct seek_row *r)
{
	if (r->run_count >= 2 && r->before[0].size == r->run.size && r->run.count == r->before[0].count)
		return r->before[1].size;
	return r->run.size;
}

static void learn(struct seek_row *r, uint64_t size)
{
	if (r->run.count > 0 && r->run.size == size) {
		r->run.count++;
		return;
	}
	if (r->run.count > 0) {
		r->before[0] = r->before[1];
		r->before[1].size = r->run.size;
		r->before[1].count = r->run.count;
		r->run_count++;
	}
	r->run.size = size;
	r->run.count = 1;
}

static enum bm_status check_claim(struct seek_row *r, const struct row_unit *u, struct bm_error *err)
{
	bool told = false;
	enum bm_status status = r->ops->confirm != NULL ? r->ops->confirm(r, u, &told, err) : BM_OK;

	return status != BM_OK || told ? status : row_load(r, u, err);
}

/* u is the next unit of the frontier. *is_good: it was checked. Nothing is remembered of a failure: it comes again. */
static enum bm_status believe(struct seek_row *r, const struct row_unit *u, bool *is_good, struct bm_error *err)
{
	const bool is_odd = r->last.bytes > 0 && u->content_bytes != predicted(r);
	enum bm_status status = BM_OK;

	*is_good = is_odd || u->content < r->ops->learn_bytes;
	if (is_odd && !r->last_is_good)
		status = check_claim(r, &r->last, err);
	if (status == BM_OK && *is_good)
		status = check_claim(r, u, err);
	return status;
}

static void mark(struct seek_row *r, const struct row_unit *u)
{
	if (u->number % r->stride != 0)
		return;
	if (r->mark_count == ROW_MARKS) {
		for (size_t i = 0; 2 * i < ROW_MARKS; i++)
			r->marks[i] = r->marks[2 * i];
		r->mark_count = ROW_MARKS / 2;
		r->stride *= 2;
		if (u->number % r->stride != 0)
			return;
	}
	r->marks[r->mark_count++] = (struct row_mark){u->offset, u->content};
}

struct row_unit row_after(const struct row_unit *u)
{
	return (struct row_unit){
		.number = u->number + 1, .offset = u->offset + u->bytes, .content = u->content + u->content_bytes};
}

enum bm_status row_look(struct seek_row *r, struct row_unit *u, struct bm_error *err)
{
	enum bm_status status = r->ops->look(r, u, err);
	uint64_t sum;

	if (status != BM_OK || u->bytes == 0)
		return status;
	if (u->bytes > r->base.src.size - u->offset)
		return row_error(r, u, BM_ERR_TRUNCATED, err,
		                 "it says that it is %" PRIu64 " bytes long, and the file has %" PRIu64 " more",
		                 u->bytes, r->base.src.size - u->offset);
	if (__builtin_add_overflow(u->content, u->content_bytes, &sum))
		return row_error(r, u, BM_ERR_FORMAT, err, "it says that it holds %" PRIu64 " bytes", u->content_bytes);
	seek_view_step(&r->view, u->bytes);
	return BM_OK;
}

/* One unit further, *u; bytes 0 at the end. */
static enum bm_status advance(struct seek_row *r, struct row_unit *u, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool is_good;

	*u = r->next;
	if (r->ended)
		return BM_OK;
	status = row_look(r, u, err);
	if (status != BM_OK)
		return status;
	if (u->bytes == 0) {
		if (r->last.bytes > 0 && !r->last_is_good)
			status = check_claim(r, &r->last, err);
		if (status == BM_OK && r->ops->at_end != NULL)
			status = r->ops->at_end(r, &r->last, err);
		if (status != BM_OK)
			return status;
		r->ended = true;
		r->next = *u;
		return BM_OK;
	}
	status = believe(r, u, &is_good, err);
	if (status != BM_OK)
		return status;
	r->last_is_good = is_good;
	learn(r, u->content_bytes);
	mark(r, u);
	r->last = *u;
	r->next = row_after(u);
	return BM_OK;
}

enum bm_status row_begin(struct seek_row *r, struct bm_error *err)
{
	struct row_unit first = {0};
	enum bm_status status = row_look(r, &first, err);

	if (status != BM_OK || first.bytes == 0 || !is_large(r, &first) ||
	    first.offset + first.bytes < r->base.src.size)
		return status;
	return row_error(r, &first, BM_ERR_UNSUPPORTED, err,
	                 "it is all there is, and %" PRIu64 " bytes long when decoded", first.content_bytes);
}

static enum bm_status row_to_end(struct seek_row *r, struct row_unit *end, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	r->wanted = UINT64_MAX;
	do {
		status = advance(r, end, err);
	} while (status == BM_OK && !r->ended);
	return status;
}

static bool holds(const struct row_unit *u, uint64_t content)
{
	return u->bytes > 0 && content >= u->content && content - u->content < u->content_bytes;
}

/* The unit that holds a byte, *u; bytes 0: it is behind the end. */
static enum bm_status locate(struct seek_row *r, uint64_t content, struct row_unit *u, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	*u = r->unit;
	if (holds(u, content))
		return BM_OK;
	if (r->ops->jump != NULL)
		return r->ops->jump(r, content, u, err);
	if (content < r->next.content) {
		size_t low = 0, high = r->mark_count; /* the last mark at or before it; the first one is 0 */
		struct row_unit from;

		while (high - low > 1) {
			const size_t middle = low + (high - low) / 2;

			if (r->marks[middle].content <= content)
				low = middle;
			else
				high = middle;
		}
		from = (struct row_unit){
			.number = low * r->stride, .offset = r->marks[low].offset, .content = r->marks[low].content};
		if (r->unit.bytes > 0 && r->unit.content <= content && r->unit.number >= from.number)
			from = row_after(&r->unit);
		/* The frontier has been here: what is found is known to be good. */
		do {
			*u = from;
			status = row_look(r, u, err);
			if (status == BM_OK && (u->bytes == 0 || u->number > r->last.number))
				status = bm_error_set(err, BM_ERR_CHANGED, NULL, "the file changed while it was read");
			from = row_after(u);
		} while (status == BM_OK && !holds(u, content));
		return status;
	}
	r->wanted = content;
	do {
		status = advance(r, u, err);
	} while (status == BM_OK && u->bytes > 0 && !holds(u, content));
	return status;
}

/* ---- the layer ---- */

enum bm_status row_settle(struct seek_row *r, enum bm_status status, const struct bm_error *inner, size_t *got,
                          struct bm_error *err)
{
	const struct bm_seekable_source *src = &r->base.src;
	const enum bm_status settled = src->settle != NULL ? src->settle(src->ctx, err) : BM_OK;

	if (settled != BM_OK) {
		r->next = r->last = r->unit = (struct row_unit){0};
		r->last_is_good = r->ended = r->is_streaming = false;
		r->run.count = 0;
		r->run_count = 0;
		r->mark_count = 0;
		r->stride = 1;
		r->view.len = 0;
		*got = 0;
		return settled;
	}
	if (status == BM_OK)
		return BM_OK;
	return bm_error_set(err, status, inner->where[0] != '\0' ? inner->where : NULL, "%s", inner->text);
}

static enum bm_status read_on(struct seek_row *r, uint8_t *out, size_t len, uint64_t offset, size_t *got,
                              struct bm_error *err)
{
	while (*got < len && offset <= UINT64_MAX - *got) {
		struct row_unit u;
		size_t part = len - *got;
		uint64_t inner;
		enum bm_status status = locate(r, offset + *got, &u, err);

		if (status == BM_OK && u.bytes > 0)
			status = row_load(r, &u, err);
		if (status != BM_OK || u.bytes == 0)
			return status;
		inner = offset + *got - u.content;
		if (part > u.content_bytes - inner)
			part = (size_t)(u.content_bytes - inner);
		if (r->is_loaded)
			memcpy(out + *got, r->content + inner, part);
		else
			status = read_large(r, out + *got, part, inner, err);
		if (status != BM_OK)
			return status;
		*got += part;
	}
	return BM_OK;
}

static enum bm_status row_read(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
                               struct bm_error *err)
{
	struct seek_row *r = (struct seek_row *)s;
	struct bm_error inner;
	enum bm_status status;

	bm_error_clear(&inner);
	*got = 0;
	status = read_on(r, buf, len, offset, got, &inner);
	return row_settle(r, status, &inner, got, err);
}

static enum bm_status row_size(struct bm_seekable *s, uint64_t *size, struct bm_error *err)
{
	struct seek_row *r = (struct seek_row *)s;
	struct row_unit end = {0};
	struct bm_error inner;
	enum bm_status status;
	size_t got;

	bm_error_clear(&inner);
	if (r->ops->jump != NULL)
		status = r->ops->jump(r, UINT64_MAX, &end, &inner);
	else
		status = row_to_end(r, &end, &inner);
	status = row_settle(r, status, &inner, &got, err);
	if (status == BM_OK)
		*size = end.content;
	return status;
}

static void row_destroy(struct bm_seekable *s)
{
	struct seek_row *r = (struct seek_row *)s;

	r->ops->destroy(r);
	seek_view_fini(&r->view);
	free(r->marks);
	free(r->content);
	free(r->packed);
	free(r->stream_buf);
	free(r);
}

const struct seek_ops row_seek_ops = {.read = row_read, .size = row_size, .destroy = row_destroy};
