/*
 * decompress_age.c - the steps `decrypt` and `decompress`, format age: any file for which there is a key.
 *
 *   GATHER   takes armor off, where there is any, and reads the header, serially; then finds the key.
 *   PAYLOAD  collects sealed chunks, as many as make a row, which a parallel stage opens. The last chunk must be known
 *            when it is opened, so a full row waits for a byte more, or the end. `raw` holds that byte and what came with
 *            it.
 *   LAST     the last row was sent on.
 *   DONE     the empty chunk that ends the segment may be.
 *
 * What is let out. Only what was authentic goes on, and all of that: where a chunk of a row does not open, those before it
 * do go on, as they would with any serial reader of age, and not a byte behind them. So a row with a fault is no failed
 * chunk to the engine. It goes on short, and the fault is written down with its number; a serial stage behind (verdict)
 * lets that chunk pass and fails the next one. There is always a next one: the segment ends with an empty chunk of its
 * own, sent for that. So whatever is written to a file is thrown away as after any other error, and what went into a pipe
 * is a true beginning of the content.
 *
 * Armor that is at fault is told after the sealed chunks in front of the fault, but for the last of these: it may be the
 * last of the file, or not.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "decompress_internal.h"

enum { MODE_GATHER = DECOMPRESS_MODE_GATHER, MODE_PAYLOAD, MODE_LAST, MODE_DONE };

#define RAW_BYTES ((size_t)4096)

struct decompress_age {
	/* fill()'s. */
	struct bm_age_header *header; /* owned; NULL once the key is found */
	struct bm_age_armor *armor;   /* owned; NULL where there is none */
	uint64_t index;               /* of the first chunk of the row that is being collected */
	bool ended;                   /* nothing comes after what is in raw and in the row */
	enum bm_status failed;        /* the same, and then this error */
	struct bm_error failure;
	size_t raw_at, raw_len;
	uint8_t raw[RAW_BYTES]; /* without armor, not yet in header or row */

	/* Written by fill() before the first row goes out, then read by the stages. */
	struct bm_age_key key;
	uint64_t payload_start;

	/* Of rows; the lock's. */
	pthread_mutex_t lock;
	bool row_failed;
	uint64_t row_seq; /* the lowest that failed */
	enum bm_status row_status;
	struct bm_error row_error;
};

enum bm_status decompress_age_begin(struct decompress_file *df, bool armored, struct bm_error *err)
{
	struct decompress_age *a = calloc(1, sizeof(*a));
	enum bm_status status;
	int rc;

	if (a == NULL)
		return bm_error_set_nomem(err);
	rc = pthread_mutex_init(&a->lock, NULL);
	if (rc != 0) {
		free(a);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	df->age = a;
	status = bm_age_header_create(&a->header, err);
	if (status == BM_OK && armored)
		status = bm_age_armor_create(&a->armor, err);
	return status;
}

static void age_close(struct decompress_layer *dl, struct decompress_file *df)
{
	struct decompress_age *a = df->age;

	(void)dl;
	if (a == NULL)
		return;
	bm_age_header_destroy(a->header);
	bm_age_armor_destroy(a->armor);
	bm_age_key_wipe(&a->key);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
	df->age = NULL;
}

/* ---- collecting ---- */

/* An error of the codec, with the place that it names. */
static enum bm_status age_error(enum bm_status status, const struct bm_error *from, struct bm_error *err)
{
	return bm_error_set(err, status, NULL, "%s%s%s", from->text, from->where[0] != '\0' ? ", at " : "",
	                    from->where);
}

/* Moves up to room bytes of the age file, its armor taken off, to `to`, as far as in reaches. Returns how many. */
static size_t pull(struct decompress_file *df, struct bm_chunk *in, uint8_t *to, size_t room)
{
	struct decompress_age *a = df->age;
	size_t got = 0;

	while (got < room && !a->ended && a->failed == BM_OK) {
		struct bm_age_result res = {0};
		bool end;
		size_t len;
		const uint8_t *from = decompress_next(df, in, &len, &end);

		if (a->armor != NULL) {
			a->failed =
				bm_age_armor_decode(a->armor, from, len, end, to + got, room - got, &res, &a->failure);
		} else {
			res.in_used = res.out_made = len < room - got ? len : room - got;
			if (res.in_used > 0)
				memcpy(to + got, from, res.in_used);
			res.complete = end && res.in_used == len;
		}
		decompress_used(df, in, res.in_used);
		got += res.out_made;
		a->ended = res.complete;
		if (in->pos == in->len && df->head_len == 0 && !in->last)
			break;
	}
	return got;
}

static void fill_raw(struct decompress_file *df, struct bm_chunk *in)
{
	struct decompress_age *a = df->age;

	if (a->raw_at < a->raw_len)
		return;
	a->raw_at = 0;
	a->raw_len = pull(df, in, a->raw, sizeof(a->raw));
}

static enum bm_status find_key(const struct decompress_layer *dl, struct decompress_file *df, struct bm_worker *w,
                               struct bm_error *err)
{
	const struct bm_keys *keys = dl->all->keys;
	struct decompress_age *a = df->age;
	enum bm_status status;

	if (keys->has_passphrase)
		bm_keys_scrypt_begin(w);
	status = bm_age_header_unwrap(a->header, keys->identities, &a->key, NULL, err);
	if (keys->has_passphrase)
		bm_keys_scrypt_end();
	a->payload_start = bm_age_header_bytes(a->header);
	bm_age_header_destroy(a->header);
	a->header = NULL;
	df->mode = MODE_PAYLOAD;
	return status;
}

static enum bm_status gather(const struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *in,
                             struct bm_worker *w, struct bm_error *err)
{
	struct decompress_age *a = df->age;
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t used;

	fill_raw(df, in);
	if (a->raw_at == a->raw_len && a->failed != BM_OK)
		return age_error(a->failed, &a->failure, err);
	status = bm_age_header_feed(a->header, a->raw + a->raw_at, a->raw_len - a->raw_at, a->ended, &used, &inner);
	a->raw_at += used;
	if (status == BM_OK && bm_age_header_complete(a->header))
		status = find_key(dl, df, w, &inner);
	return status == BM_OK ? BM_OK : age_error(status, &inner, err);
}

/* The row goes on. */
static void send_row(struct decompress_file *df, struct bm_chunk *out, size_t len, bool last, bool *emit)
{
	struct decompress_age *a = df->age;
	const uint64_t whole = len / BM_AGE_SEALED_CHUNK_BYTES;
	const size_t rest = len % BM_AGE_SEALED_CHUNK_BYTES;

	out->slot[0] = a->payload_start + a->index * BM_AGE_SEALED_CHUNK_BYTES;
	df->row_len = len;
	df->row_last = last;
	df->out_bytes += whole * BM_AGE_CHUNK_BYTES + (rest > BM_AGE_TAG_BYTES ? rest - BM_AGE_TAG_BYTES : 0);
	a->index += whole;
	*emit = true;
}

static enum bm_status collect(const struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *out,
                              struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	struct decompress_age *a = df->age;
	uint8_t *row = out->buf[1];
	size_t n = dl->sealed_bytes - df->row_len;

	if (n > a->raw_len - a->raw_at)
		n = a->raw_len - a->raw_at;
	memcpy(row + df->row_len, a->raw + a->raw_at, n);
	a->raw_at += n;
	df->row_len += n;
	df->row_len += pull(df, in, row + df->row_len, dl->sealed_bytes - df->row_len);
	if (df->row_len == dl->sealed_bytes)
		fill_raw(df, in);
	if (a->raw_at < a->raw_len) {
		send_row(df, out, df->row_len, false, emit);
	} else if (a->failed != BM_OK) {
		const size_t before = df->row_len > 0 ? (df->row_len - 1) / BM_AGE_SEALED_CHUNK_BYTES : 0;

		if (before == 0)
			return age_error(a->failed, &a->failure, err);
		send_row(df, out, before * BM_AGE_SEALED_CHUNK_BYTES, false, emit);
	} else if (a->ended) {
		if (df->row_len == 0) /* full rows wait for what follows them: so it is the first */
			return bm_error_set(err, BM_ERR_TRUNCATED, NULL,
			                    "the age file ends with its header, at byte %llu: it was cut off",
			                    (unsigned long long)a->payload_start);
		send_row(df, out, df->row_len, true, emit);
		df->mode = MODE_LAST;
	}
	return BM_OK;
}

static enum bm_status age_turn(struct decompress_layer *dl, struct decompress_file *df, struct bm_file *f,
                               struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
                               struct bm_error *err)
{
	(void)f;
	switch (df->mode) {
	case MODE_GATHER:
		return gather(dl, df, in, w, err);
	case MODE_PAYLOAD:
		return collect(dl, df, out, in, emit, err);
	default:
		df->mode = MODE_DONE;
		return BM_OK;
	}
}

static bool age_may_end(const struct decompress_file *df)
{
	return df->mode == MODE_DONE;
}

/* ---- rows ---- */

static enum bm_status age_row(struct decompress_layer *dl, struct decompress_file *df, const struct bm_chunk *c,
                              size_t *good, size_t *out_len, struct bm_error *err)
{
	const struct decompress_age *a = df->age;
	struct bm_age_cipher *cipher = bm_stash_get(&dl->all->ciphers);
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	*good = *out_len = 0;
	if (cipher == NULL)
		status = bm_age_cipher_create(&cipher, &inner);
	if (status == BM_OK)
		status = bm_age_cipher_set_key(cipher, &a->key, BM_AGE_OPEN, &inner);
	if (status == BM_OK)
		status = bm_age_open(cipher, (c->slot[0] - a->payload_start) / BM_AGE_SEALED_CHUNK_BYTES,
		                     c->tag == DECOMPRESS_TAG_LAST_ROW, c->data, c->len, c->buf[0], c->cap[0], out_len,
		                     &inner);
	if (cipher != NULL)
		bm_age_cipher_forget(cipher);
	bm_stash_put(&dl->all->ciphers, cipher);
	*good = *out_len / BM_AGE_CHUNK_BYTES * BM_AGE_SEALED_CHUNK_BYTES;
	if (status == BM_OK)
		return BM_OK;
	return bm_error_set(err, status, NULL, "%s%s", inner.text,
	                    a->armor != NULL ? " (bytes are counted without the armor)" : "");
}

void decompress_age_fail(struct decompress_file *df, uint64_t seq, enum bm_status status, const struct bm_error *why)
{
	struct decompress_age *a = df->age;

	pthread_mutex_lock(&a->lock);
	if (!a->row_failed || seq < a->row_seq) {
		a->row_failed = true;
		a->row_seq = seq;
		a->row_status = status;
		a->row_error = *why;
	}
	pthread_mutex_unlock(&a->lock);
}

enum bm_status decompress_age_verdict(struct decompress_file *df, uint64_t seq, struct bm_error *err)
{
	struct decompress_age *a = df->age;
	enum bm_status status = BM_OK;

	/* All chunks up to seq were opened, or tried, before this one came here: a lower fault than found now there is not. */
	pthread_mutex_lock(&a->lock);
	if (a->row_failed && a->row_seq < seq)
		status = bm_error_set(err, a->row_status, NULL, "%s", a->row_error.text);
	pthread_mutex_unlock(&a->lock);
	return status;
}

const struct decompress_format decompress_age_format = {
	.name = "age",
	.unit = "chunk",
	.turn = age_turn,
	.may_end = age_may_end,
	.row = age_row,
	.close = age_close,
};
