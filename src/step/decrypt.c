/*
 * decrypt.c - the step `decrypt`: age files, and nothing else. It is one layer of what `decompress` is made of
 * (decompress_layer.c, decompress_age.c); other than there, what is no age file is an error, and keys must be given.
 */
#include "decompress_internal.h"

static enum bm_status decrypt_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                      struct bm_error *err)
{
	const struct decompress_options o = {
		.format = DECOMPRESS_FORMAT_AGE,
		.depth = 1,
		.unlock = &step->p.decrypt.unlock,
	};

	return decompress_prepare_layers(plan, step, &o, shared, err);
}

static void decrypt_describe(void *shared, struct bm_buf *out)
{
	const struct decompress_shared *ds = shared;
	const size_t n = bm_age_identities_keys(ds->keys->identities);

	bm_buf_puts(out, "age, with ");
	if (n > 0)
		bm_buf_printf(out, "%zu identit%s", n, n == 1 ? "y" : "ies");
	if (ds->keys->has_passphrase)
		bm_buf_printf(out, "%sa passphrase", n > 0 ? " and " : "");
}

const struct bm_step_ops bm_decrypt_ops = {
	.begins_segment = true,
	.prepare = decrypt_prepare,
	.close = decompress_close,
	.destroy = decompress_destroy,
	.describe = decrypt_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

static void check_decrypt(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	if (!bm_unlock_given(&p->decrypt.unlock))
		report(ctx, "identity_file", "nothing says how to decrypt: give identity_file or passphrase_file",
		       NULL);
	bm_unlock_check(&p->decrypt.unlock, report, ctx);
}

static const struct bm_option decrypt_options[] = {
	BM_UNLOCK_ROWS(offsetof(struct bm_decrypt_params, unlock)),
};

const struct bm_step_kind bm_decrypt_kind = {
	.name = "decrypt",
	.role = BM_ROLE_CHANGE,
	.help = "decrypts age files, armored ones too, in parallel chunks; each chunk is checked before it goes on",
	BM_STEP_OPTIONS(decrypt_options),
	.check = check_decrypt,
	.ops = &bm_decrypt_ops,
};
