/*
 * encrypt.c - the step `encrypt`: age v1, its chunks sealed in parallel.
 *
 * An age file is a header, then the payload in chunks of 64 KiB, of which only the last one may be shorter, each sealed
 * with its number and with whether it is the last. The number is known from a chunk's place, so any thread can seal any of
 * them; but where the chunks begin must not hang on what came before. So the step begins a new segment: its fill() cuts
 * the bytes anew, into runs of whole chunks, and a parallel stage seals a run each. Where a chunk of the segment before
 * fits, as in a job that reads and encrypts, its buffer is exchanged for an empty one and nothing is copied.
 *
 * A run goes on only when there is a byte more, or none will come: the last chunk has to know that it is the last, and
 * may be empty only where it is the first.
 *
 * The file's key is made with its header when its first bytes come, by fill(), before any chunk of it is sealed; the
 * header goes in front of the first run. The key is the file's (struct encrypt_file) and wiped with it; what the cipher
 * contexts know of it is wiped after each run.
 *
 * A file is encrypted with another key each time, so this is the one step whose output differs from run to run.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "keys.h"

struct encrypt_shared {
	unsigned index;
	const struct bm_keys *keys; /* the keyring's */
	size_t run_bytes;           /* plain, of a run: whole chunks */
	struct bm_stash ciphers;
};

/* Of one file; made by its first fill(), constant from then on. */
struct encrypt_file {
	struct bm_age_key key;
	struct bm_buf header;
};

static enum bm_status begin(struct encrypt_shared *es, struct bm_file *f, struct bm_worker *w, struct bm_error *err)
{
	const struct bm_keys *k = es->keys;
	struct encrypt_file *ef = calloc(1, sizeof(*ef));
	enum bm_status status;

	if (ef == NULL)
		return bm_error_set_nomem(err);
	f->state[es->index] = ef;
	if (!k->has_passphrase)
		return bm_age_header_make(k->recipients, &ef->header, &ef->key, err);
	bm_keys_scrypt_begin(w);
	status = bm_age_header_make_passphrase(k->pass, k->pass_len, BM_AGE_WORK_DEFAULT, &ef->header, &ef->key, err);
	bm_keys_scrypt_end();
	return status;
}

static enum bm_fill_result encrypt_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                        struct bm_worker *w, struct bm_error *err)
{
	struct encrypt_shared *es = arg;
	struct bm_file *f = stream;

	if (f->state[es->index] == NULL && begin(es, f, w, err) != BM_OK)
		return BM_FILL_ERROR;
	/* The buffers may be larger than a run, for the sake of later steps. */
	const bool fits = in->len <= es->run_bytes;

	if (out->len < es->run_bytes && !(fits && bm_chunk_exchange(out, in))) {
		const size_t room = es->run_bytes - out->len, left = in->len - in->pos, n = left < room ? left : room;

		if (n > 0)
			memcpy(out->data + out->len, in->data + in->pos, n);
		out->len += n;
		in->pos += n;
	}
	if (in->pos < in->len)
		return BM_FILL_EMIT; /* it is full, and there is more */
	out->last = in->last;
	return in->last ? BM_FILL_EMIT : BM_FILL_MORE;
}

static enum bm_status seal_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct encrypt_shared *es = arg;
	struct bm_file *f = stream;
	const struct encrypt_file *ef = f->state[es->index];
	uint8_t *to = c->buf[1];
	size_t header = 0;
	struct bm_age_cipher *cipher = bm_stash_get(&es->ciphers);
	enum bm_status status = BM_OK;

	(void)w;
	if (cipher == NULL)
		status = bm_age_cipher_create(&cipher, err);
	if (status == BM_OK)
		status = bm_age_cipher_set_key(cipher, &ef->key, BM_AGE_SEAL, err);
	if (status == BM_OK && c->seq == 0) {
		header = ef->header.len;
		memcpy(to, ef->header.data, header);
	}
	if (status == BM_OK)
		status = bm_age_seal(cipher, c->seq * (es->run_bytes / BM_AGE_CHUNK_BYTES), c->last, c->data, c->len,
		                     to + header, c->cap[1] - header, &c->len, err);
	if (cipher != NULL)
		bm_age_cipher_forget(cipher);
	bm_stash_put(&es->ciphers, cipher);
	c->data = to;
	c->len += header;
	return status;
}

static void cipher_destroy(void *c)
{
	bm_age_cipher_destroy(c);
}

static enum bm_status encrypt_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                      struct bm_error *err)
{
	struct encrypt_shared *es = calloc(1, sizeof(*es));
	const size_t chunk = bm_step_chunk(plan->job, step->index);
	enum bm_status status;
	size_t recipients;

	*shared = es;
	if (es == NULL)
		return bm_error_set_nomem(err);
	es->index = step->index;
	es->run_bytes = (chunk + BM_AGE_CHUNK_BYTES - 1) / BM_AGE_CHUNK_BYTES * BM_AGE_CHUNK_BYTES;
	status = bm_stash_init(&es->ciphers, cipher_destroy, err);
	if (status == BM_OK)
		status = bm_keys_to_seal(plan, step, &step->p.encrypt, &es->keys, err);
	if (status == BM_OK)
		status = bm_plan_segment(plan, encrypt_fill, es, es->run_bytes, 0, err);
	if (status == BM_OK)
		status = bm_plan_stage(plan, BM_STAGE_PARALLEL, seal_run, es, err);
	if (status != BM_OK)
		return status;
	recipients = es->keys->has_passphrase ? 0 : bm_age_recipients_count(es->keys->recipients);
	bm_plan_changes(plan, (size_t)bm_age_sealed_bytes(es->run_bytes) + bm_age_header_bound(recipients), 0);
	return BM_OK;
}

static enum bm_status encrypt_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w,
                                    struct bm_error *err)
{
	struct encrypt_shared *es = shared;
	struct encrypt_file *ef = f->state[es->index];

	(void)good;
	(void)w;
	(void)err;
	if (ef != NULL) {
		bm_age_key_wipe(&ef->key);
		bm_buf_fini(&ef->header);
	}
	free(ef);
	f->state[es->index] = NULL;
	return BM_OK;
}

static void encrypt_destroy(void *shared)
{
	struct encrypt_shared *es = shared;

	if (es != NULL)
		bm_stash_fini(&es->ciphers);
	free(es);
}

static void encrypt_describe(void *shared, struct bm_buf *out)
{
	const struct encrypt_shared *es = shared;
	const size_t n = es->keys->has_passphrase ? 0 : bm_age_recipients_count(es->keys->recipients);

	if (n == 0)
		bm_buf_printf(out, "age, with a passphrase (%llu MiB for a while, one file at a time)",
		              (unsigned long long)(bm_age_work_bytes(BM_AGE_WORK_DEFAULT) >> 20));
	else
		bm_buf_printf(out, "age, for %zu recipient%s", n, n == 1 ? "" : "s");
}

const struct bm_step_ops bm_encrypt_ops = {
	.begins_segment = true,
	.prepare = encrypt_prepare,
	.close = encrypt_close,
	.destroy = encrypt_destroy,
	.describe = encrypt_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

static void check_encrypt(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	const struct bm_encrypt_params *e = &p->encrypt;
	struct bm_age_recipients *r = NULL;
	struct bm_error err = BM_ERROR_INIT;

	if (e->recipients.count == 0 && e->recipients_file.count == 0 && e->passphrase_file == NULL)
		report(ctx, "recipients",
		       "nothing says whom to encrypt for: give recipients (\"age1...\"), recipients_file, or "
		       "passphrase_file",
		       NULL);
	if (e->passphrase_file != NULL && (e->recipients.count > 0 || e->recipients_file.count > 0))
		report(ctx, "passphrase_file",
		       "passphrase_file cannot go with recipients: an age file is for a passphrase or for recipients, "
		       "not for both",
		       NULL);
	bm_keys_check_files(&e->recipients_file, "recipients_file", report, ctx);
	bm_keys_check_file(e->passphrase_file, "passphrase_file", report, ctx);
	if (e->recipients.count > 0 && bm_age_recipients_create(&r, &err) != BM_OK) {
		report(ctx, "recipients", err.text, NULL);
		return;
	}
	for (size_t i = 0; i < e->recipients.count; i++) {
		const char *text = e->recipients.items[i];

		bm_error_clear(&err);
		if (bm_age_recipients_add(r, text, strlen(text), &err) != BM_OK)
			report(ctx, "recipients", err.text, NULL);
	}
	bm_age_recipients_destroy(r);
}

static const struct bm_option encrypt_options[] = {
	{
		.name = "recipients",
		.type = BM_OPTION_STRINGS,
		.offset = offsetof(struct bm_encrypt_params, recipients),
		.help = "whom to encrypt for: public keys, \"age1...\", each of whose owners can decrypt",
	},
	{
		.name = "recipients_file",
		.type = BM_OPTION_FILES,
		.offset = offsetof(struct bm_encrypt_params, recipients_file),
		.help = "files with further recipients, one a line, with comments after \"#\"",
	},
	{
		.name = "passphrase_file",
		.type = BM_OPTION_PATH,
		.offset = offsetof(struct bm_encrypt_params, passphrase_file),
		.secret = true,
		.help = "instead of recipients: a file of one line, the passphrase, to which only its owner may have "
			"access; costs about a second and 256 MiB for each input",
	},
};

const struct bm_step_kind bm_encrypt_kind = {
	.name = "encrypt",
	.role = BM_ROLE_CHANGE,
	.help = "encrypts as age does, in parallel chunks",
	BM_STEP_OPTIONS(encrypt_options),
	.check = check_encrypt,
	.ops = &bm_encrypt_ops,
};
