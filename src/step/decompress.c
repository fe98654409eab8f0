/*
 * decompress.c - the step `decompress`: gzip and zstd of any maker, and age files for which it has a key, one inside the
 * other where depth says so. How a layer of these works is in decompress_layer.c.
 */
#include "decompress_internal.h"

static enum bm_status decompress_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                         struct bm_error *err)
{
	const struct bm_decompress_params *p = &step->p.decompress;
	const struct decompress_options o = {
		.format = p->format,
		.depth = (unsigned)p->depth,
		.max_size = p->max_size,
		.max_window = p->max_window,
		.max_ratio = p->max_ratio,
		.unlock = &p->unlock,
		.pass_plain = p->pass_plain,
		.found_plain = p->found_plain,
	};

	return decompress_prepare_layers(plan, step, &o, shared, err);
}

static void decompress_describe(void *shared, struct bm_buf *out)
{
	const struct decompress_shared *ds = shared;
	const struct decompress_options *o = &ds->o;

	if (o->format != BM_DECOMPRESS_ZSTD)
		bm_buf_printf(out, "gzip of any making, in parallel where members tell their size, engine %s",
		              bm_gzip_decoder_engines());
	if (o->format == BM_DECOMPRESS_AUTO)
		bm_buf_puts(out, "; or ");
	if (o->format != BM_DECOMPRESS_GZIP)
		bm_buf_puts(out, "zstd of any making, in parallel where frames tell their content's size");
	if (o->format == BM_DECOMPRESS_AUTO && ds->keys != NULL)
		bm_buf_puts(out, "; or age");
	if (o->depth > 1)
		bm_buf_printf(out, "; up to %u formats one inside the other", o->depth);
}

const struct bm_step_ops bm_decompress_ops = {
	.begins_segment = true,
	.prepare = decompress_prepare,
	.close = decompress_close,
	.destroy = decompress_destroy,
	.describe = decompress_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

static const char *const decompress_format_values[] = {
	[BM_DECOMPRESS_AUTO] = "auto",
	[BM_DECOMPRESS_GZIP] = "gzip",
	[BM_DECOMPRESS_ZSTD] = "zstd",
	NULL,
};

static void decompress_about_build(struct bm_buf *out)
{
	bm_buf_printf(out, "This build reads gzip with %s, and zstd with libzstd.", bm_gzip_decoder_engines());
}

static void check_decompress(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	const struct bm_decompress_params *d = &p->decompress;
	const char *name = d->unlock.passphrase_file != NULL ? "passphrase_file" : "identity_file";
	char text[160];

	if (d->format != BM_DECOMPRESS_AUTO && d->depth == 1 && bm_unlock_given(&d->unlock)) {
		(void)snprintf(text, sizeof(text),
		               "%s is of no use where format is \"%s\" and depth 1: no age file is looked for", name,
		               decompress_format_values[d->format]);
		report(ctx, name, text, NULL);
	}
	bm_unlock_check(&d->unlock, report, ctx);
}

static const struct bm_option decompress_options[] = {
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_decompress_params, format),
		.default_json = "\"auto\"",
		.values = decompress_format_values,
		.help = "the format to read, of any maker, with any number of members or frames; auto looks at the first "
			"bytes of each file, and takes age files too where there are keys",
	},
	{
		.name = "depth",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_decompress_params, depth),
		.default_json = "1",
		.min = 1,
		.max = DECOMPRESS_DEPTH_MAX,
		.help = "how many formats to take off, one inside the other, as in .gz.age; the first must be known, what is "
			"none inside it passes through as it is",
	},
	BM_UNLOCK_ROWS(offsetof(struct bm_decompress_params, unlock)),
	{
		.name = "max_size",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_decompress_params, max_size),
		.default_json = "0",
		.help = "fail a file that becomes larger than this; 0: no limit",
	},
	{
		.name = "max_ratio",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_decompress_params, max_ratio),
		.default_json = "0",
		.min = 0,
		.max = 1000000,
		.help = "fail a file that grows to more than this many times its size, looked at past 16 MiB; 0: "
			"no limit",
	},
	{
		.name = "max_window",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_decompress_params, max_window),
		.default_json = "\"128MiB\"",
		.min = BM_ZSTD_WINDOW_MIN,
		.max = BM_ZSTD_WINDOW_MAX,
		.help = "fail a zstd file that wants a larger window; those beyond 2 MiB are on top of memory, by as much again or one "
			"of them",
	},
};

const struct bm_step_kind bm_decompress_kind = {
	.name = "decompress",
	.role = BM_ROLE_CHANGE,
	.help = "decompresses, and checks what the format lets it check; takes several formats off at once",
	BM_STEP_OPTIONS(decompress_options),
	.check = check_decompress,
	.about_build = decompress_about_build,
	.ops = &bm_decompress_ops,
};
