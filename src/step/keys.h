/* keys.h - what a step was given to encrypt for or to decrypt with. A KEYRING belongs to a running job and outlives its
 * plans: a plan may be made twice, but a secret that comes through a FIFO can be read only once. It is filled by prepare,
 * and constant from then on: any thread may use the keys. */
#ifndef STEP_KEYS_H
#define STEP_KEYS_H

#include "bm_age.h"
#include "step_internal.h"

struct bm_keys {
	struct bm_age_recipients *recipients; /* NULL where there are none */
	struct bm_age_identities *identities; /* NULL where there are none */
	bool is_lent;                         /* identities are the caller's who built the job */
	struct bm_age_secret secret;          /* to encrypt with a passphrase: the file, in which it is */
	const char *pass;                     /* NULL where there is none */
	size_t pass_len;
	bool has_passphrase; /* to either end */
};

/* The keys of a step, read from its files the first time that they are asked for. Borrowed from the keyring. Blocks. */
enum bm_status bm_keys_to_seal(struct bm_plan *plan, const struct bm_step *step, const struct bm_encrypt_params *p,
                               const struct bm_keys **out, struct bm_error *err) BM_NODISCARD;
enum bm_status bm_keys_to_open(struct bm_plan *plan, const struct bm_step *step, const struct bm_unlock_params *p,
                               const struct bm_keys **out, struct bm_error *err) BM_NODISCARD;
bool bm_unlock_given(const struct bm_unlock_params *p);

/* Around work with a passphrase: one such at a time in the process, since each takes up to bm_age_work_bytes() beside the
 * budget. Lets go of the permit while it waits. */
void bm_keys_scrypt_begin(struct bm_worker *w);
void bm_keys_scrypt_end(void);

/* For checks: faults of what names keys; the names are the options'. */
void bm_keys_check_files(const struct bm_strings *files, const char *option, bm_step_report_fn *report, void *ctx);
void bm_unlock_check(const struct bm_unlock_params *p, bm_step_report_fn *report, void *ctx);
void bm_keys_check_file(const char *file, const char *option, bm_step_report_fn *report, void *ctx);

/* The rows of struct bm_unlock_params, which lies at this offset in the parameters. */
#define BM_UNLOCK_ROWS(at)                                                                                             \
	{                                                                                                              \
		.name = "identity_file",                                                                               \
		.type = BM_OPTION_FILES,                                                                               \
		.offset = (at) + offsetof(struct bm_unlock_params, identity_file),                                     \
		.secret = true,                                                                                        \
		.help = "age: files with secret keys, as bytemill keygen and age-keygen write them; only their owner " \
			"may have access to them",                                                                     \
	},                                                                                                             \
		{                                                                                                      \
			.name = "passphrase_file",                                                                     \
			.type = BM_OPTION_PATH,                                                                        \
			.offset = (at) + offsetof(struct bm_unlock_params, passphrase_file),                           \
			.secret = true,                                                                                \
			.help = "age: a file of one line, the passphrase; only its owner may have access to it",       \
		},                                                                                                     \
	{                                                                                                              \
		.name = "max_work", .type = BM_OPTION_INTEGER,                                                         \
		.offset = (at) + offsetof(struct bm_unlock_params, max_work), .default_json = "20", .min = 1,          \
		.max = BM_AGE_WORK_MAX,                                                                                \
		.help = "age: fail a file whose passphrase costs more than this work factor; 18 is what age makes "    \
			"and takes 256 MiB for a while, each one more doubles it; on top of memory",                   \
	}

#endif
