/*
 * write_options.c - what the steps `write` and `copy` take: their rows of the table of steps, see steps.c, and what
 * cannot be had together.
 */
#include <stddef.h>

#include "bm_url.h"
#include "http.h"
#include "step_internal.h"

static const char *const if_exists_values[] = {
	[BM_EXISTS_REPLACE] = "replace",
	[BM_EXISTS_SKIP] = "skip",
	[BM_EXISTS_FAIL] = "fail",
	[BM_EXISTS_APPEND] = "append",
	NULL,
};
static const char *const durability_values[] = {
	[BM_DURABLE_NONE] = "none",
	[BM_DURABLE_FILE] = "file",
	[BM_DURABLE_BATCH] = "batch",
	NULL,
};
static const char *const verify_values[] = {
	[BM_WRITE_VERIFY_AUTO] = "auto",
	[BM_WRITE_VERIFY_NONE] = "none",
	[BM_WRITE_VERIFY_REREAD] = "reread",
	NULL,
};

static void check_index(const struct bm_write_params *w, bm_step_report_fn *report, void *ctx)
{
	if (bm_step_is_dash(w->to))
		report(ctx, "index", "index goes beside an output file; there is none where to is \"-\"", NULL);
	if (w->combine)
		report(ctx, "index", "index cannot be had with combine: it is of one compressed file", NULL);
	if (w->if_exists == BM_EXISTS_APPEND)
		report(ctx, "index",
		       "index cannot be had where if_exists is \"append\": nothing is known of the bytes that are there",
		       NULL);
}

static void check_url(const struct bm_write_params *w, bm_step_report_fn *report, void *ctx)
{
	if (w->combine)
		report(ctx, "combine",
		       "combine cannot be had where to is a URL: what an input that fails has sent could not be taken back",
		       NULL);
	if (w->if_exists == BM_EXISTS_APPEND)
		report(ctx, "if_exists",
		       "if_exists cannot be \"append\" where to is a URL; allowed: \"replace\", \"skip\" or \"fail\"",
		       NULL);
	if (w->index)
		report(ctx, "index", "index cannot be had where to is a URL", NULL);
	if (w->verify == BM_WRITE_VERIFY_REREAD)
		report(ctx, "verify", "verify cannot be \"reread\" where to is a URL; allowed: \"auto\" or \"none\"",
		       NULL);
}

static void check_write(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	const struct bm_write_params *w = &p->write;

	/* Standard output is never replaced and always there. */
	if (bm_step_is_dash(w->to) && (w->if_exists == BM_EXISTS_SKIP || w->if_exists == BM_EXISTS_FAIL))
		report(ctx, "if_exists",
		       "if_exists cannot be \"skip\" or \"fail\" where to is \"-\": standard output always exists",
		       NULL);
	if (w->combine) {
		if (w->if_exists == BM_EXISTS_SKIP)
			report(ctx, "if_exists",
			       "if_exists cannot be \"skip\" with combine: the one output would be left out whole; "
			       "allowed: "
			       "\"replace\", \"fail\" or \"append\"",
			       NULL);
		if (bm_step_placeholders(w->to, BM_STEP_TARGET_PLACEHOLDERS) & BM_PH_FILE)
			report(ctx, "to",
			       "combine joins all inputs into one output, so to cannot use {path}, {dir}, {name}, "
			       "{stem} or {ext}, "
			       "which differ from file to file",
			       NULL);
	}
	if (w->verify == BM_WRITE_VERIFY_REREAD && (w->combine || bm_step_is_dash(w->to)))
		report(ctx, "verify",
		       w->combine
		               ? "verify cannot be \"reread\" with combine: it is of one input's output"
		               : "verify cannot be \"reread\" where to is \"-\": standard output cannot be read back",
		       NULL);
	if (w->verify == BM_WRITE_VERIFY_REREAD && w->durability == BM_DURABLE_NONE)
		report(ctx, "verify",
		       "verify cannot be \"reread\" with durability \"none\": the bytes need not be on the disk yet",
		       NULL);
	if (w->index)
		check_index(w, report, ctx);
	bm_http_check(&w->http, bm_url_is(w->to), report, ctx);
	if (bm_url_is(w->to))
		check_url(w, report, ctx);
}

static const struct bm_option http_fields[] = BM_HTTP_FIELDS(bm_write_params);

static const struct bm_option write_options[] = {
	{
		.name = "to",
		.type = BM_OPTION_TEMPLATE,
		.offset = offsetof(struct bm_write_params, to),
		.required = true,
		.placeholders = BM_STEP_TARGET_PLACEHOLDERS,
		.help = "the output's path, as \"/mirror/{path}\"; missing directories are made; \"-\" for "
			"standard output; or a URL: http:// and https:// (PUT, through WebDAV where the server has it) and "
			"s3://bucket/key",
	},
	{
		.name = "if_exists",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_write_params, if_exists),
		.default_json = "\"replace\"",
		.values = if_exists_values,
		.help = "what to do where the output is there already; replace keeps the old file until the new "
			"one is complete, "
			"so that a nightly job can run again",
	},
	{
		.name = "combine",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_write_params, combine),
		.default_json = "false",
		.help = "join all inputs into this one output, in listing order",
	},
	{
		.name = "preserve",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_write_params, preserve),
		.default_json = "true",
		.help = "give the output the input's mode, times, extended attributes and, where permitted, owner",
	},
	{
		.name = "durability",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_write_params, durability),
		.default_json = "\"file\"",
		.values = durability_values,
		.help = "file: each is on the disk before it gets its name; batch: likewise, many at a time, for many small files; "
			"none: when the system pleases",
	},
	{
		.name = "verify",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_write_params, verify),
		.default_json = "\"auto\"",
		.values = verify_values,
		.help = "reread: read each output back from the disk, past the cache, and compare, before it gets its name; auto: "
			"where read has remove",
	},
	{
		.name = "sparse",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_write_params, sparse),
		.default_json = "true",
		.help = "keep the holes of the input",
	},
	{
		.name = "index",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_write_params, index),
		.default_json = "false",
		.help = "of what compress makes with layout \"bgzf\": write bgzip's index too, beside the output, whose "
			"name and .gzi is its name",
	},
	{
		.name = "http",
		.type = BM_OPTION_OBJECT,
		.offset = offsetof(struct bm_write_params, http.http),
		.fields = http_fields,
		.field_count = BM_LENGTH(http_fields),
		.help = "how the server of a URL is spoken to; what is secret stands in files of its own, never here",
	},
};

const struct bm_step_kind bm_copy_kind = {
	.name = "copy",
	.role = BM_ROLE_LOOK,
	.help = "writes the bytes at this place to a file on the way to later steps",
	BM_STEP_OPTIONS(write_options),
	.check = check_write,
	.ops = &bm_write_ops,
};

const struct bm_step_kind bm_write_kind = {
	.name = "write",
	.role = BM_ROLE_LOOK,
	.help = "writes the bytes at this place to a file; the same as copy",
	BM_STEP_OPTIONS(write_options),
	.check = check_write,
	.ops = &bm_write_ops,
};
