/*
 * keys.c - see keys.h: keys and passphrases for the steps that encrypt and decrypt.
 *
 * What is secret comes from files alone. A job file is copied, mailed and checked in, a command line is everyone's to
 * read in the process list, and an environment is inherited; so a secret key that is found in a job file is refused where
 * job files are read, and there is no option to give one. The codec reads the files and looks at their permissions
 * (bm_age_read_secret_file). Recipients are public: their files may be anyone's to read.
 *
 * They are read when the plan is made, so that a missing or unusable key stops a run before its first byte, and kept until
 * the run is over. Whoever owns the process sees to it that no core is dumped meanwhile (src/cli does).
 */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"

struct bm_keyring {
	struct bm_keys **items; /* one a step; NULL: not asked for */
	size_t count;
};

static pthread_mutex_t scrypt_lock = PTHREAD_MUTEX_INITIALIZER;

static void keys_destroy(struct bm_keys *k)
{
	if (k == NULL)
		return;
	bm_age_recipients_destroy(k->recipients);
	if (!k->is_lent)
		bm_age_identities_destroy(k->identities);
	bm_age_secret_fini(&k->secret);
	free(k);
}

void bm_keyring_destroy(struct bm_keyring *ring)
{
	if (ring == NULL)
		return;
	for (size_t i = 0; i < ring->count; i++)
		keys_destroy(ring->items[i]);
	free(ring->items);
	free(ring);
}

/* The place for the step's keys; NULL on no memory. */
static struct bm_keys **place_of(struct bm_plan *plan, const struct bm_step *step)
{
	struct bm_keyring *ring = plan->ctx->keyring;

	if (ring == NULL) {
		ring = calloc(1, sizeof(*ring));
		if (ring == NULL)
			return NULL;
		ring->items = bm_calloc_array(plan->job->step_count, sizeof(struct bm_keys *));
		if (ring->items == NULL) {
			free(ring);
			return NULL;
		}
		ring->count = plan->job->step_count;
		plan->ctx->keyring = ring;
	}
	return &ring->items[step->index];
}

/* ---- to encrypt ---- */

/* A file of recipients, whole. */
static enum bm_status read_public(const char *path, struct bm_buf *out, const char *shown, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	char part[8192];
	ssize_t got;
	int fd;

	do
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return bm_error_set_errno(err, errno, shown, "cannot open it for reading");
	do {
		got = read(fd, part, sizeof(part));
		if (got > 0)
			bm_buf_put(out, part, (size_t)got);
	} while ((got > 0 && out->len <= BM_AGE_SECRET_FILE_MAX_BYTES) || (got < 0 && errno == EINTR));
	if (got < 0)
		status = bm_error_set_errno(err, errno, shown, "cannot read it");
	else if (got > 0)
		status = bm_error_set(err, BM_ERR_LIMIT, shown, "over %zu bytes: too large for a file of recipients",
		                      BM_AGE_SECRET_FILE_MAX_BYTES);
	else if (out->oom)
		status = bm_error_set_nomem(err);
	(void)close(fd);
	return status;
}

static enum bm_status add_recipients_file(struct bm_age_recipients *r, const char *path, struct bm_error *err)
{
	struct bm_buf text = {0};
	char shown[1000];
	enum bm_status status;

	bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
	status = read_public(path, &text, shown, err);
	if (status == BM_OK)
		status = bm_age_recipients_add_text(r, text.data != NULL ? text.data : "", text.len, path, err);
	bm_buf_fini(&text);
	return status;
}

static enum bm_status read_to_seal(struct bm_keys *k, const struct bm_encrypt_params *p, struct bm_error *err)
{
	enum bm_status status;

	if (p->passphrase_file != NULL) {
		status = bm_age_read_secret_file(p->passphrase_file, &k->secret, err);
		if (status == BM_OK)
			status = bm_age_passphrase_from_text(k->secret.data, k->secret.len, p->passphrase_file,
			                                     &k->pass, &k->pass_len, err);
		k->has_passphrase = true;
		return status;
	}
	status = bm_age_recipients_create(&k->recipients, err);
	for (size_t i = 0; i < p->recipients.count && status == BM_OK; i++)
		status = bm_age_recipients_add(k->recipients, p->recipients.items[i], strlen(p->recipients.items[i]),
		                               err);
	for (size_t i = 0; i < p->recipients_file.count && status == BM_OK; i++)
		status = add_recipients_file(k->recipients, p->recipients_file.items[i], err);
	return status;
}

/* ---- to decrypt ---- */

static enum bm_status add_identity_file(struct bm_age_identities *ids, const char *path, struct bm_error *err)
{
	struct bm_age_secret s = {0};
	enum bm_status status = bm_age_read_secret_file(path, &s, err);

	if (status == BM_OK)
		status = bm_age_identities_add_text(ids, s.data, s.len, path, err);
	bm_age_secret_fini(&s);
	return status;
}

static enum bm_status add_passphrase_file(struct bm_age_identities *ids, const char *path, struct bm_error *err)
{
	struct bm_age_secret s = {0};
	const char *pass;
	size_t len;
	enum bm_status status = bm_age_read_secret_file(path, &s, err);

	if (status == BM_OK)
		status = bm_age_passphrase_from_text(s.data, s.len, path, &pass, &len, err);
	if (status == BM_OK)
		status = bm_age_identities_add_passphrase(ids, pass, len, err);
	bm_age_secret_fini(&s);
	return status;
}

static enum bm_status read_to_open(struct bm_keys *k, const struct bm_unlock_params *p, struct bm_error *err)
{
	enum bm_status status;

	if (p->identities != NULL) {
		k->identities = p->identities;
		k->is_lent = true;
		k->has_passphrase = p->has_passphrase;
		return BM_OK;
	}
	status = bm_age_identities_create(&k->identities, err);
	if (status == BM_OK)
		status = bm_age_identities_cap_work(k->identities, (unsigned)p->max_work, err);
	for (size_t i = 0; i < p->identity_file.count && status == BM_OK; i++)
		status = add_identity_file(k->identities, p->identity_file.items[i], err);
	k->has_passphrase = p->passphrase_file != NULL;
	if (status == BM_OK && k->has_passphrase)
		status = add_passphrase_file(k->identities, p->passphrase_file, err);
	return status;
}

/* ---- for a step ---- */

/* Once for each step: one of seal and open is what to read. */
static enum bm_status get_keys(struct bm_plan *plan, const struct bm_step *step, const struct bm_encrypt_params *seal,
                               const struct bm_unlock_params *open, const struct bm_keys **out, struct bm_error *err)
{
	struct bm_keys **place = place_of(plan, step);
	struct bm_keys *k;
	enum bm_status status;

	*out = NULL;
	if (place == NULL)
		return bm_error_set_nomem(err);
	*out = *place;
	if (*out != NULL)
		return BM_OK;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return bm_error_set_nomem(err);
	status = seal != NULL ? read_to_seal(k, seal, err) : read_to_open(k, open, err);
	if (status != BM_OK) {
		keys_destroy(k);
		return status;
	}
	*out = *place = k;
	return BM_OK;
}

enum bm_status bm_keys_to_seal(struct bm_plan *plan, const struct bm_step *step, const struct bm_encrypt_params *p,
                               const struct bm_keys **out, struct bm_error *err)
{
	return get_keys(plan, step, p, NULL, out, err);
}

enum bm_status bm_keys_to_open(struct bm_plan *plan, const struct bm_step *step, const struct bm_unlock_params *p,
                               const struct bm_keys **out, struct bm_error *err)
{
	return get_keys(plan, step, NULL, p, out, err);
}

bool bm_unlock_given(const struct bm_unlock_params *p)
{
	return p->identity_file.count > 0 || p->passphrase_file != NULL || p->identities != NULL;
}

/* ---- passphrases, one at a time ---- */

void bm_keys_scrypt_begin(struct bm_worker *w)
{
	bm_worker_block(w);
	pthread_mutex_lock(&scrypt_lock);
	bm_worker_unblock(w);
}

void bm_keys_scrypt_end(void)
{
	pthread_mutex_unlock(&scrypt_lock);
}

/* ---- checks ---- */

void bm_keys_check_file(const char *file, const char *option, bm_step_report_fn *report, void *ctx)
{
	char text[160];

	if (!bm_step_is_dash(file))
		return;
	(void)snprintf(text, sizeof(text),
	               "%s is \"-\", which names no file here; for standard input say \"/dev/stdin\"", option);
	report(ctx, option, text, NULL);
}

void bm_keys_check_files(const struct bm_strings *files, const char *option, bm_step_report_fn *report, void *ctx)
{
	for (size_t i = 0; i < files->count; i++)
		bm_keys_check_file(files->items[i], option, report, ctx);
}

void bm_unlock_check(const struct bm_unlock_params *p, bm_step_report_fn *report, void *ctx)
{
	bm_keys_check_files(&p->identity_file, "identity_file", report, ctx);
	bm_keys_check_file(p->passphrase_file, "passphrase_file", report, ctx);
}
