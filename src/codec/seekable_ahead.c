/*
 * seekable_ahead.c - see seekable_ahead.h.
 *
 * BGZF without an index is walked from block to block, 16,384 of them a GiB: each tells where the next one lies, so that
 * one short read must wait for the other, and nearly all of the time goes into the kernel and to memory that is not in
 * the cache. Nothing but more threads helps with that. (Mapping the file costs more, in page faults; so does reading all
 * of it.) So the part that is still to be walked is shared out: each thread but the first looks for the first block in
 * its share, which begins with 14 bytes that hardly stand anywhere else, and walks from there, writing down sizes. When
 * the walk comes to the place where a thread began, it goes on with the sizes that this wrote down. Where a thread was
 * misled, or stopped at something that is not quite a block, the walk never comes to its places, and looks for itself.
 *
 * How much is to be walked is told by what the row is looking for, and by how much of the file it took to come so far.
 * Short ways are not shared out, but are walked here too, for it is the quicker loop.
 */
#include "seekable_ahead.h"

#include <stdlib.h>

#include "bm_gzip.h"
#include "gzip_header.h"

#define HEAD_BYTES 18 /* with the BC field and nothing else */
#define BLOCK_MIN (HEAD_BYTES + GZIP_DEFLATE_MIN + BM_GZIP_TRAILER_BYTES)
#define BLOCK_MAX 65536
#define SHARES_MAX 8
#define SIZES_MAX 8192                      /* of a share at once */
#define KNOWN_CONTENT ((uint64_t)1 << 20)   /* before this nothing can be said of the rest */
#define WORTH_BYTES ((uint64_t)1 << 20)     /* a shorter way is not worth it */
#define SHARE_MIN_BYTES ((uint64_t)8 << 20) /* a shorter share is not worth a thread */
#define BLOCK_USUAL_MIN 4096                /* shorter ones are looked at many at a time: see seek_view_step */

struct share {
	uint64_t offset; /* of the block that sizes[next] is about */
	uint64_t end;    /* blocks from here on are not this share's */
	size_t next, count;
	struct {
		uint32_t bytes, content;
	} sizes[SIZES_MAX];
};

struct seek_ahead {
	const struct bm_seekable_source *src;
	void (*parallel)(void (*task)(void *arg, size_t n), void *arg, size_t count);
	size_t threads;
	bool is_off;                      /* it was of no use */
	size_t at, count;                 /* the share at hand, and how many there are */
	struct share *shares[SHARES_MAX]; /* owned; made when first used */
};

struct seek_ahead *seek_ahead_create(const struct bm_seekable_source *src, const struct bm_seekable_options *opt)
{
	struct seek_ahead *a = src->any_thread ? calloc(1, sizeof(*a)) : NULL;

	if (a == NULL)
		return NULL;
	a->src = src;
	a->parallel = opt->parallel;
	a->threads = opt->parallel == NULL || opt->threads < 1 ? 1 : opt->threads;
	if (a->threads > SHARES_MAX)
		a->threads = SHARES_MAX;
	return a;
}

void seek_ahead_destroy(struct seek_ahead *a)
{
	for (size_t i = 0; a != NULL && i < SHARES_MAX; i++)
		free(a->shares[i]);
	free(a);
}

/* ---- a share ---- */

/* The length of the block that begins so; 0: it is none, or not a plain one. */
static uint32_t block_bytes(const uint8_t head[static HEAD_BYTES])
{
	const uint32_t bytes = 1 + ((uint32_t)head[16] | (uint32_t)head[17] << 8);

	if (head[0] != GZIP_ID1 || head[1] != GZIP_ID2 || head[2] != GZIP_CM_DEFLATE || head[3] != GZIP_FEXTRA ||
	    head[10] != 6 || head[11] != 0 || head[12] != 'B' || head[13] != 'C' || head[14] != 2 || head[15] != 0)
		return 0;
	return bytes >= BLOCK_MIN ? bytes : 0;
}

static bool read_some(const struct seek_ahead *a, uint8_t *buf, size_t len, uint64_t offset)
{
	return a->src->pread(a->src->ctx, buf, len, offset, NULL) == BM_OK; /* the walk tells what is wrong */
}

/* Moves *offset to the first block from there on. */
static bool find_block(const struct seek_ahead *a, uint64_t *offset)
{
	const uint64_t left = a->src->size - *offset;
	const size_t len = left < BLOCK_MAX + HEAD_BYTES ? (size_t)left : BLOCK_MAX + HEAD_BYTES;
	uint8_t *buf = malloc(len + 1);
	bool found = false;

	if (buf != NULL && read_some(a, buf, len, *offset))
		for (size_t at = 0; at + HEAD_BYTES <= len && !found; at++)
			if (buf[at] == GZIP_ID1 && block_bytes(buf + at) > 0) {
				*offset += at;
				found = true;
			}
	free(buf);
	return found;
}

static void walk_share(void *arg, size_t n)
{
	const struct seek_ahead *a = arg;
	struct share *s = a->shares[n];
	uint8_t buf[4 + HEAD_BYTES]; /* the end of a block, and the head of the next one */
	uint64_t offset;

	if (n > 0 && !find_block(a, &s->offset))
		return;
	offset = s->offset;
	if (a->src->size - offset < HEAD_BYTES || !read_some(a, buf + 4, HEAD_BYTES, offset))
		return;
	while (s->count < SIZES_MAX && offset < s->end) {
		const uint32_t bytes = block_bytes(buf + 4);
		uint64_t left;

		if (bytes == 0 || bytes > a->src->size - offset)
			return;
		left = a->src->size - offset - bytes;
		if (!read_some(a, buf, left < HEAD_BYTES ? 4 : sizeof(buf), offset + bytes - 4))
			return;
		s->sizes[s->count].bytes = bytes;
		s->sizes[s->count++].content = gzip_get_u32(buf);
		offset += bytes;
		if (left < HEAD_BYTES)
			return;
	}
}

/* ---- all of them ---- */

/* How much of the file lies between the unit and what is looked for. */
static uint64_t way_to_go(const struct seek_ahead *a, const struct seek_row *r, const struct row_unit *u)
{
	const uint64_t left = a->src->size - u->offset;
	double guess;

	if (u->content < KNOWN_CONTENT || r->wanted <= u->content || u->offset / u->number < BLOCK_USUAL_MIN)
		return 0;
	guess = (double)(r->wanted - u->content) * (double)u->offset / (double)u->content;
	return guess < (double)left ? (uint64_t)guess : left;
}

static void look_ahead(struct seek_ahead *a, const struct seek_row *r, const struct row_unit *u)
{
	const uint64_t way = way_to_go(a, r, u);
	const uint64_t most = SIZES_MAX * (u->offset / u->number) / 8 * 7; /* not all are alike */
	uint64_t each;

	a->at = a->count = 0;
	if (way < WORTH_BYTES)
		return;
	a->count = way / SHARE_MIN_BYTES < a->threads ? (size_t)(way / SHARE_MIN_BYTES) : a->threads;
	if (a->count == 0)
		a->count = 1;
	each = way / a->count < most ? way / a->count : most;
	for (size_t i = 0; i < a->count; i++) {
		struct share *s = a->shares[i] != NULL ? a->shares[i] : malloc(sizeof(*s));

		if (s == NULL) {
			a->count = i;
			break;
		}
		a->shares[i] = s;
		s->offset = u->offset + i * each;
		s->end = s->offset + each;
		s->next = s->count = 0;
	}
	if (a->count > 1)
		a->parallel(walk_share, a, a->count);
	else if (a->count == 1)
		walk_share(a, 0);
	a->is_off = a->count == 0 || a->shares[0]->count == 0;
}

/* The share at hand has what was written down of the unit. */
static bool take(struct seek_ahead *a, struct row_unit *u)
{
	for (; a->at < a->count; a->at++) {
		struct share *s = a->shares[a->at];

		while (s->next < s->count && s->offset < u->offset)
			s->offset += s->sizes[s->next++].bytes;
		if (s->next == s->count)
			continue;
		if (s->offset != u->offset)
			return false; /* not there yet */
		u->bytes = s->sizes[s->next].bytes;
		u->content_bytes = s->sizes[s->next].content;
		s->offset += u->bytes;
		s->next++;
		return true;
	}
	return false;
}

bool seek_ahead_get(struct seek_ahead *a, const struct seek_row *r, struct row_unit *u)
{
	if (a == NULL || a->is_off || u->number == 0)
		return false;
	if (take(a, u))
		return true;
	if (a->at < a->count || u->offset != r->next.offset) /* only the frontier's way is known */
		return false;
	look_ahead(a, r, u);
	return take(a, u);
}
