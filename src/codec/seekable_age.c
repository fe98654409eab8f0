/*
 * seekable_age.c - the chunks of an age file (bm_seekable.h, bm_age.h).
 *
 * Chunk n lies at a place that follows from n, and so does the whole plain length from the file's; there is nothing to
 * search. What a length alone cannot say is whether the file was cut between two chunks. So the last chunk is opened
 * first of all: only in the whole file does it authenticate as the last.
 *
 * A chunk that is wanted whole is opened straight into the caller's memory (which gets only what authenticated: the rest
 * is wiped); of others the last one is kept.
 *
 * A layer above that goes from head to head wants a few bytes of a chunk in many. To authenticate each of these before the
 * next is known would be most of its time, one chunk after the other. So it gets hints: the bytes are decrypted as they
 * are, and noted, and when the way is done, before anything is made of it, all chunks that gave hints are authenticated,
 * by several threads where there are any; and the bytes that were decrypted must be those that stand in the chunk then.
 */
#include "seekable_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "age_peek.h"
#include "bm_error.h"

#define HEADER_PART 4096
#define NOTES 4096
#define SHARE_NOTES 16 /* fewer are not worth a thread */

/* A hint that was given. */
struct note {
	uint64_t chunk;
	uint16_t offset; /* in it */
	uint8_t len;
	uint8_t sealed[BM_SEEKABLE_HINT_BYTES]; /* what was decrypted */
};

struct seek_age {
	struct bm_seekable base; /* first */
	struct bm_age_key key;
	struct bm_age_cipher *cipher;
	struct age_peek *peek; /* NULL: there are no hints */
	void (*parallel)(void (*task)(void *arg, size_t n), void *arg, size_t count);
	size_t threads;   /* 0: as many as this one */
	uint64_t payload; /* its offset in the source */
	uint64_t plain_bytes;
	uint64_t chunks;
	bool has_chunk;
	uint64_t chunk; /* the number of that in `plain` */
	size_t plain_len;
	enum bm_status unsettled; /* what was found when the notes were full, for settle to tell */
	struct bm_error unsettled_error;
	size_t note_count;
	struct note notes[NOTES];
	uint8_t sealed[BM_AGE_SEALED_CHUNK_BYTES];
	uint8_t plain[BM_AGE_CHUNK_BYTES];
};

static uint64_t chunk_offset(const struct seek_age *a, uint64_t n)
{
	return a->payload + n * BM_AGE_SEALED_CHUNK_BYTES;
}

static enum bm_status read_sealed(const struct seek_age *a, uint64_t n, uint8_t *sealed, size_t *len,
                                  struct bm_error *err)
{
	const uint64_t offset = chunk_offset(a, n);

	*len = n + 1 == a->chunks ? (size_t)(a->base.src.size - offset) : BM_AGE_SEALED_CHUNK_BYTES;
	return a->base.src.pread(a->base.src.ctx, sealed, *len, offset, err);
}

static enum bm_status open_chunk(struct seek_age *a, uint64_t n, uint8_t *out, size_t *len, struct bm_error *err)
{
	const bool last = n + 1 == a->chunks;
	struct bm_error inner = BM_ERROR_INIT;
	char where[SEEK_WHERE_BYTES];
	enum bm_status status;
	size_t sealed;

	status = read_sealed(a, n, a->sealed, &sealed, err);
	if (status != BM_OK)
		return status;
	status = bm_age_open(a->cipher, n, last, a->sealed, sealed, out, BM_AGE_CHUNK_BYTES, len, &inner);
	if (status == BM_OK)
		return BM_OK;
	/* Authentic bytes of a file that is not whole: not here, where nobody asked for them in order. */
	OPENSSL_cleanse(out, *len);
	*len = 0;
	if (status == BM_ERR_NOMEM)
		return bm_error_set_nomem(err);
	return bm_error_set(err, status, seek_where(where, chunk_offset(a, n)), "age chunk at byte %llu: %s",
	                    (unsigned long long)chunk_offset(a, n), inner.text);
}

/* ---- hints ---- */

static enum bm_status settle_notes(struct seek_age *a, struct bm_error *err);

/* Decrypted without a look at the tag, and noted. */
static enum bm_status age_hint(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	struct seek_age *a = (struct seek_age *)s;
	const uint64_t n = offset / BM_AGE_CHUNK_BYTES;
	struct note *note;
	enum bm_status status;

	if (a->peek == NULL || len > BM_SEEKABLE_HINT_BYTES || offset % BM_AGE_CHUNK_BYTES + len > BM_AGE_CHUNK_BYTES ||
	    (a->has_chunk && a->chunk == n))
		return bm_error_set(err, BM_ERR_FAILED, NULL, "no hint is to be had here");
	/* Whoever gets no hint reads instead, and might find nothing wrong here: it is kept for settle. */
	if (a->note_count == NOTES && a->unsettled == BM_OK)
		a->unsettled = settle_notes(a, &a->unsettled_error);
	if (a->unsettled != BM_OK)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "no hint is to be had here");
	note = &a->notes[a->note_count];
	*note = (struct note){.chunk = n, .offset = (uint16_t)(offset % BM_AGE_CHUNK_BYTES), .len = (uint8_t)len};
	status = a->base.src.pread(a->base.src.ctx, note->sealed, len, chunk_offset(a, n) + note->offset, err);
	if (status != BM_OK)
		return status;
	if (!age_peek_decrypt(a->peek, n, n + 1 == a->chunks, note->offset, note->sealed, buf, len))
		return bm_error_set(err, BM_ERR_FAILED, NULL, "no hint is to be had here");
	a->note_count++;
	return BM_OK;
}

/* One thread's share of the chunks that were noted. */
struct settling {
	struct seek_age *a;
	size_t shares;
	atomic_bool is_bad; /* or could not be checked */
};

/* The notes of one chunk, which begin at first; *next is behind them. */
static bool check_notes(const struct seek_age *a, struct age_peek *peek, uint8_t *sealed, size_t first, size_t *next)
{
	const uint64_t n = a->notes[first].chunk;
	struct bm_error ignored = BM_ERROR_INIT;
	size_t len;
	bool good = true;

	for (*next = first; *next < a->note_count && a->notes[*next].chunk == n;)
		(*next)++;
	if (read_sealed(a, n, sealed, &len, &ignored) != BM_OK ||
	    !age_peek_check(peek, n, n + 1 == a->chunks, sealed, len))
		return false;
	/* What was decrypted was read at another time. */
	for (size_t i = first; i < *next; i++)
		good = good && memcmp(sealed + a->notes[i].offset, a->notes[i].sealed, a->notes[i].len) == 0;
	return good;
}

static void settle_share(void *arg, size_t share)
{
	struct settling *st = arg;
	struct seek_age *a = st->a;
	const size_t end = a->note_count * (share + 1) / st->shares;
	size_t i = a->note_count * share / st->shares;
	uint8_t *sealed = malloc(BM_AGE_SEALED_CHUNK_BYTES);
	struct age_peek *peek = age_peek_create(&a->key);
	bool good = sealed != NULL && peek != NULL;

	while (good && i < end)
		good = check_notes(a, peek, sealed, i, &i);
	if (!good)
		atomic_store(&st->is_bad, true);
	age_peek_destroy(peek);
	free(sealed);
}

/* The same one after the other, and with words for what is wrong. */
static enum bm_status settle_slowly(struct seek_age *a, struct bm_error *err)
{
	for (size_t i = 0; i < a->note_count;) {
		enum bm_status status;
		size_t next;

		if (!check_notes(a, a->peek, a->sealed, i, &next)) {
			a->has_chunk = false;
			status = open_chunk(a, a->notes[i].chunk, a->plain, &a->plain_len, err);
			if (status == BM_OK)
				status = bm_error_set(err, BM_ERR_CHANGED, NULL, "it changed while it was read");
			return status;
		}
		i = next;
	}
	return BM_OK;
}

static enum bm_status settle_notes(struct seek_age *a, struct bm_error *err)
{
	struct settling st = {.a = a, .shares = a->note_count / SHARE_NOTES};
	enum bm_status status = BM_OK;

	if (a->note_count == 0)
		return BM_OK;
	if (st.shares > a->threads)
		st.shares = a->threads;
	atomic_init(&st.is_bad, st.shares < 2);
	if (st.shares >= 2)
		a->parallel(settle_share, &st, st.shares);
	if (atomic_load(&st.is_bad))
		status = settle_slowly(a, err);
	a->note_count = 0;
	return status;
}

static enum bm_status age_settle(struct bm_seekable *s, struct bm_error *err)
{
	struct seek_age *a = (struct seek_age *)s;
	const struct bm_error *why = &a->unsettled_error;
	enum bm_status status = a->unsettled;

	if (status == BM_OK)
		return settle_notes(a, err);
	status = bm_error_set(err, status, why->where[0] != '\0' ? why->where : NULL, "%s", why->text);
	bm_error_clear(&a->unsettled_error);
	a->unsettled = BM_OK;
	a->note_count = 0;
	return status;
}

/* ---- reading ---- */

static enum bm_status keep_chunk(struct seek_age *a, uint64_t n, struct bm_error *err)
{
	enum bm_status status;

	if (a->has_chunk && a->chunk == n)
		return BM_OK;
	a->has_chunk = false;
	status = open_chunk(a, n, a->plain, &a->plain_len, err);
	a->has_chunk = status == BM_OK;
	a->chunk = n;
	return status;
}

static enum bm_status age_read(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
                               struct bm_error *err)
{
	struct seek_age *a = (struct seek_age *)s;
	enum bm_status status = BM_OK;

	*got = 0;
	if (offset >= a->plain_bytes)
		return BM_OK;
	if (len > a->plain_bytes - offset)
		len = (size_t)(a->plain_bytes - offset);
	while (status == BM_OK && *got < len) {
		const uint64_t n = (offset + *got) / BM_AGE_CHUNK_BYTES;
		const size_t inner = (size_t)((offset + *got) % BM_AGE_CHUNK_BYTES);
		uint8_t *const out = (uint8_t *)buf + *got;
		size_t part = len - *got;

		if (inner == 0 && part >= BM_AGE_CHUNK_BYTES && !(a->has_chunk && a->chunk == n)) {
			status = open_chunk(a, n, out, &part, err);
		} else {
			status = keep_chunk(a, n, err);
			if (status != BM_OK)
				break;
			part = part < a->plain_len - inner ? part : a->plain_len - inner;
			memcpy(out, a->plain + inner, part);
		}
		*got += part;
	}
	return status;
}

static enum bm_status age_size(struct bm_seekable *s, uint64_t *size, struct bm_error *err)
{
	(void)err;
	*size = ((struct seek_age *)s)->plain_bytes;
	return BM_OK;
}

static void age_destroy(struct bm_seekable *s)
{
	struct seek_age *a = (struct seek_age *)s;

	bm_age_cipher_destroy(a->cipher);
	age_peek_destroy(a->peek);
	bm_age_key_wipe(&a->key);
	OPENSSL_cleanse(a->plain, sizeof(a->plain));
	free(a);
}

/* Reads the header and finds the key with it. */
static enum bm_status read_header(struct seek_age *a, const struct bm_age_identities *identities,
                                  struct bm_age_key *key, struct bm_error *err)
{
	const struct bm_seekable_source *src = &a->base.src;
	struct bm_age_header *header = NULL;
	enum bm_status status = bm_age_header_create(&header, err);
	uint64_t offset = 0;

	while (status == BM_OK && !bm_age_header_complete(header)) {
		const size_t part = src->size - offset < HEADER_PART ? (size_t)(src->size - offset) : HEADER_PART;
		size_t used = 0;

		if (part > 0)
			status = src->pread(src->ctx, a->sealed, part, offset, err);
		if (status == BM_OK)
			status = bm_age_header_feed(header, a->sealed, part, offset + part == src->size, &used, err);
		offset += used;
	}
	a->payload = offset;
	if (status == BM_OK)
		status = bm_age_header_unwrap(header, identities, key, NULL, err);
	bm_age_header_destroy(header);
	return status;
}

enum bm_status seek_age_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                             struct bm_seekable **out, struct bm_error *err)
{
	static const struct seek_ops ops = {
		.read = age_read, .size = age_size, .destroy = age_destroy, .hint = age_hint, .settle = age_settle};
	enum bm_status status;
	struct seek_age *a;

	if (opt->identities == NULL)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "it is encrypted with age, and there is no key to open it with");
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return bm_error_set_nomem(err);
	a->base = (struct bm_seekable){
		.ops = &ops, .src = *src, .layout = BM_SEEKABLE_AGE, .how = "age, by the number of the chunk"};
	if (src->any_thread && opt->parallel != NULL) {
		a->parallel = opt->parallel;
		a->threads = opt->threads;
	}
	status = read_header(a, opt->identities, &a->key, err);
	if (status == BM_OK && !bm_age_plain_bytes(src->size - a->payload, &a->plain_bytes)) {
		char where[SEEK_WHERE_BYTES];

		status = bm_error_set(err, BM_ERR_TRUNCATED, seek_where(where, src->size),
		                      "no age file ends at this place: it was cut off");
	}
	if (status == BM_OK) {
		a->chunks = a->plain_bytes == 0 ? 1 : (a->plain_bytes - 1) / BM_AGE_CHUNK_BYTES + 1;
		status = bm_age_cipher_create(&a->cipher, err);
	}
	if (status == BM_OK)
		status = bm_age_cipher_set_key(a->cipher, &a->key, BM_AGE_OPEN, err);
	if (status == BM_OK)
		a->peek = age_peek_create(&a->key);
	if (status == BM_OK)
		status = keep_chunk(a, a->chunks - 1, err);
	if (status != BM_OK) {
		age_destroy(&a->base);
		return status;
	}
	*out = &a->base;
	return BM_OK;
}
