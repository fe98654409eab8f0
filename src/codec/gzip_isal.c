/*
 * gzip_isal.c - the engine ISA-L: the fastest deflate, and the fastest inflate that streams.
 *
 * Deflate. ISA-L's own levels 1 to 3 differ in how they look for matches, and none finds matches of 3 bytes. Against
 * pigz -1, in chunks of 1 MiB: level 1 is 1.5 % smaller on source text, but 2.5 % larger on machine code; level 3 is
 * 7 % smaller on text and 0 to 1 % smaller on libraries, at half the speed. Our level 1 is to be no larger than pigz -1
 * (by and large: a file full of 3-byte matches, as tables of 32-bit numbers are, will be), so it takes ISA-L's level 1
 * for text and 3 for everything else. What is text is told by a sample of the chunk: at most 1 byte in 64 is 0x80 or
 * more. (Wrong guesses cost speed or size, never more.) Our levels 2 and 3 are ISA-L's 3 throughout, the latter with
 * short blocks.
 *
 * The level buffer holds the symbols of one deflate block; its size sets the length of a block, and with it how soon
 * the Huffman codes adapt. ISA-L recommends 64 K symbols. Measured on 256 MiB of libraries at our level 1 (pigz -1 is
 * 105.12 MB): 16 K symbols 105.22 MB, 325 MB/s; 12 K 105.05 MB, 320; 10 K 104.95 MB, 314; 8 K 104.85 MB, 300. Text does
 * not mind.
 *
 * isal_deflate_stateless, not isal_deflate: the chunk is there whole, so that it need not be copied into the stream's
 * own buffer. It stores what does not shrink, and it clears its hash table at each call.
 *
 * Inflate. isal_inflate with raw deflate; header, trailer and CRC are ours, as with every engine. It loads up to 8 bytes
 * ahead, from this call's input and from earlier ones'. At the end of the deflate data those of this call are given
 * back; those of earlier calls cannot be, and go out by note->ahead. (The trailer is 8 bytes long, so they never belong
 * to anything further on.) Up to 2.32.0 ISA-L leaves such bytes in its bit buffer, later it moves next_in back by them,
 * be it to before the input. Both come to the same position, and the bytes themselves are kept here. isal_inflate makes
 * the first 64 KiB of each stream, and 32 KiB of each call, in a buffer of its own and copies them; with chunks of 1 MiB
 * that is 3 %.
 *
 * The answer is in block_state, not in the code that is returned: 0 is returned for "no more input" and for "no more
 * room" alike. And how far it came is in next_in and next_out, not in avail_in: its assembler leaves that 8 too small
 * when a distance reaches too far back (2.30, found by a unit test).
 *
 * It refuses a set of code lengths that asks for more codes than there are, but takes one that leaves codes over, which
 * zlib and libdeflate refuse (igzip -d takes such a file, gzip -d does not); a code that stands for nothing is an error
 * only when it comes. See bm_gzip.h for what that means. It tells nothing of a block that lies between the two ends of a
 * call, so there is no cheap way to be stricter.
 */
#include "gzip_engine.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/igzip_lib.h>

#include "isal_leave.h"

/* ---- deflate ---- */

#define SYMBOLS_USUAL (10 << 10)
#define SYMBOLS_SMALL (4 << 10) /* level 3 */
#define LEVEL_BYTES_MAX (ISAL_DEF_LVL3_REQ + ISAL_DEF_LVL3_TOKEN_SIZE * SYMBOLS_USUAL)

struct deflater {
	struct isal_zstream z;
	int level; /* ours */
	uint8_t level_buf[LEVEL_BYTES_MAX];
};

static size_t isal_deflater_bytes(int level)
{
	(void)level;
	return sizeof(struct deflater) + 256; /* and what the alignment costs */
}

static void *isal_deflater_create(int level)
{
	struct deflater *d = NULL;

	/* ISA-L wants its hash tables aligned to cache lines. */
	if (posix_memalign((void **)&d, 64, sizeof(*d)) != 0)
		return NULL;
	memset(d, 0, sizeof(*d));
	d->level = level;
	return d;
}

static void isal_deflater_destroy(void *state)
{
	free(state);
}

static bool is_text(const uint8_t *in, size_t len)
{
	enum { SPOTS = 16, SPOT_BYTES = 256 };
	const size_t step = len / SPOTS;
	size_t high = 0;
	size_t seen = 0;

	for (size_t spot = 0; spot < SPOTS; spot++) {
		const size_t from = spot * step;
		const size_t count = step < SPOT_BYTES ? step : SPOT_BYTES;

		for (size_t i = 0; i < count; i++)
			high += in[from + i] >> 7;
		seen += count;
	}
	return high <= seen / 64;
}

static size_t isal_deflate_whole(void *state, const void *in, size_t in_len, uint8_t *out, size_t room)
{
	struct deflater *const d = state;
	const bool fast = d->level == 1 && is_text(in, in_len);
	const uint32_t symbols = d->level == 3 ? SYMBOLS_SMALL : SYMBOLS_USUAL;

	isal_deflate_stateless_init(&d->z);
	d->z.level = fast ? 1 : 3;
	d->z.level_buf = d->level_buf;
	d->z.level_buf_size = fast ? ISAL_DEF_LVL1_REQ + ISAL_DEF_LVL1_TOKEN_SIZE * symbols
	                           : ISAL_DEF_LVL3_REQ + ISAL_DEF_LVL3_TOKEN_SIZE * symbols;
	d->z.end_of_stream = 1;
	d->z.flush = NO_FLUSH;
	d->z.gzip_flag = IGZIP_DEFLATE;
	d->z.next_in = (uint8_t *)(uintptr_t)in; /* is not written to */
	d->z.avail_in = (uint32_t)in_len;
	d->z.next_out = out;
	d->z.avail_out = (uint32_t)(room < UINT32_MAX ? room : UINT32_MAX);
	const int code = isal_deflate_stateless(&d->z);

	isal_leave();
	if (code != COMP_OK || d->z.avail_in != 0)
		return 0;
	return (size_t)(d->z.next_out - out);
}

/* ---- inflate ---- */

struct inflater {
	struct inflate_state s;
	uint8_t last[GZIP_AHEAD_MAX]; /* input bytes taken by earlier calls, the latest last */
};

static void *isal_inflater_create(void)
{
	struct inflater *i = calloc(1, sizeof(*i));

	if (i != NULL)
		isal_inflate_init(&i->s);
	return i;
}

static void isal_inflater_destroy(void *state)
{
	free(state);
}

static void isal_reset(void *state)
{
	struct inflater *const i = state;

	isal_inflate_init(&i->s); /* touches a few words, not its buffers */
}

static bool isal_inflate_all(void *state, const uint8_t *in, size_t in_len, uint8_t *out, size_t cap, size_t *made)
{
	struct inflate_state *const s = &((struct inflater *)state)->s;

	if (in_len > GZIP_INFLATE_MAX)
		return false;
	isal_inflate_init(s);
	s->next_in = (uint8_t *)(uintptr_t)in; /* is not written to */
	s->avail_in = (uint32_t)in_len;
	s->next_out = out;
	s->avail_out = (uint32_t)(cap < GZIP_INFLATE_MAX ? cap : GZIP_INFLATE_MAX);
	if (isal_inflate_stateless(s) != ISAL_DECOMP_OK || s->block_state != ISAL_BLOCK_FINISH || s->avail_in != 0)
		return false;
	*made = (size_t)(s->next_out - out);
	return true;
}

static const char *reason_of(int code)
{
	switch (code) {
	case ISAL_INVALID_BLOCK:
		return "invalid block";
	case ISAL_INVALID_SYMBOL:
		return "invalid code";
	case ISAL_INVALID_LOOKBACK:
		return "invalid distance too far back";
	default:
		return "ISA-L does not say why";
	}
}

static void remember(struct inflater *i, const uint8_t *in, size_t count)
{
	if (count >= GZIP_AHEAD_MAX) {
		memcpy(i->last, in + count - GZIP_AHEAD_MAX, GZIP_AHEAD_MAX);
	} else {
		memmove(i->last, i->last + count, GZIP_AHEAD_MAX - count);
		memcpy(i->last + GZIP_AHEAD_MAX - count, in, count);
	}
}

/* One call of the library. *moved: is there anything gained by another one? */
static enum gzip_inflate_result inflate_once(struct inflater *i, struct gzip_cursor *c, struct gzip_inflate_note *note,
                                             bool *moved)
{
	struct inflate_state *const s = &i->s;
	const size_t give = c->in_left < GZIP_INFLATE_MAX ? c->in_left : GZIP_INFLATE_MAX;
	const size_t take = c->out_left < GZIP_INFLATE_MAX ? c->out_left : GZIP_INFLATE_MAX;
	const uintptr_t start = (uintptr_t)c->in;
	size_t ahead;
	size_t made;
	size_t used;
	bool ended;
	int code;

	s->next_in = (uint8_t *)(uintptr_t)c->in; /* is not written to */
	s->avail_in = (uint32_t)give;
	s->next_out = c->out;
	s->avail_out = (uint32_t)take;
	code = isal_inflate(s);
	ended = code == ISAL_DECOMP_OK && s->block_state == ISAL_BLOCK_FINISH;

	made = (size_t)(s->next_out - c->out); /* the pointers, not the counts: see above */
	c->out += made;
	c->out_left -= made;

	/* Whole bytes in the bit buffer. (A block's header that is still incomplete lies elsewhere and counts as used.) */
	ahead = s->read_in_length > 0 ? (size_t)s->read_in_length / 8 : 0;
	note->ahead_count = 0;
	if (!ended) {
		used = (size_t)((uintptr_t)s->next_in - start);
		note->ahead_count = (unsigned)ahead;
	} else if ((uintptr_t)s->next_in >= start + ahead) {
		used = (size_t)((uintptr_t)s->next_in - start) - ahead;
	} else {
		const size_t before = (size_t)(start + ahead - (uintptr_t)s->next_in);

		note->ahead_count = (unsigned)(before < GZIP_AHEAD_MAX ? before : GZIP_AHEAD_MAX);
		memcpy(note->ahead, i->last + GZIP_AHEAD_MAX - note->ahead_count, note->ahead_count);
		used = 0;
	}
	remember(i, c->in, used);
	c->in += used;
	c->in_left -= used;
	*moved = used > 0 || made > 0;

	if (ended)
		return GZIP_INFLATE_END;
	if (code == ISAL_DECOMP_OK)
		return GZIP_INFLATE_MORE;
	note->reason = reason_of(code);
	return GZIP_INFLATE_BAD;
}

static enum gzip_inflate_result isal_inflate_some(void *state, struct gzip_cursor *c, struct gzip_inflate_note *note)
{
	enum gzip_inflate_result result;
	bool moved;

	do {
		result = inflate_once(state, c, note, &moved);
	} while (result == GZIP_INFLATE_MORE && moved && c->in_left > 0 && c->out_left > 0);
	return result;
}

const struct gzip_engine gzip_engine_isal = {
	.id = BM_GZIP_ISAL,
	.name = "isal",
	.level_min = 1,
	.level_max = 3,
	.deflater_bytes = isal_deflater_bytes,
	.deflater_create = isal_deflater_create,
	.deflater_destroy = isal_deflater_destroy,
	.deflate = isal_deflate_whole,
	.inflater_bytes = sizeof(struct inflater) + 64,
	.inflater_create = isal_inflater_create,
	.inflater_destroy = isal_inflater_destroy,
	.inflate_whole = isal_inflate_all,
	.inflate_reset = isal_reset,
	.inflate = isal_inflate_some,
};
