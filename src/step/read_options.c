/*
 * read_options.c - what the step `read` takes: its rows of the table of steps, see steps.c, and what cannot be had
 * together.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bm_error.h"
#include "bm_url.h"
#include "http.h"
#include "read_url.h"
#include "step_internal.h"

static void check_read_urls(const struct bm_read_params *r, bm_step_report_fn *report, void *ctx)
{
	bool any = r->urls.count > 0 || r->urls_from != NULL;

	for (size_t i = 0; i < r->from.count; i++)
		any = any || bm_read_is_url(r, i);
	for (size_t i = 0; i < r->urls.count; i++) {
		const struct bm_read_url *u = (const struct bm_read_url *)r->urls.items + i;
		struct bm_url_item item = read_urls_wanted(u);
		struct bm_error why = BM_ERROR_INIT;
		char text[1100];

		if (bm_url_item_check(&item, &why) == BM_OK)
			continue;
		snprintf(text, sizeof(text), "urls holds, as number %zu, %s", i + 1, why.text);
		report(ctx, "urls", text, NULL);
	}
	if (r->urls_from != NULL && r->files_from != NULL)
		report(ctx, "urls_from", "urls_from and files_from are both given; one list is what there can be",
		       NULL);
	if (bm_step_is_dash(r->urls_from))
		for (size_t i = 0; i < r->from.count; i++)
			if (bm_step_is_dash(r->from.items[i]))
				report(ctx, "urls_from",
				       "from and urls_from are both \"-\"; standard input can be read only once", NULL);
	bm_http_check(&r->http, any, report, ctx);
}

static void check_read(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	const struct bm_read_params *r = &p->read;
	char text[200];
	size_t dashes = 0;

	if (r->from.count == 0 && r->files_from == NULL && r->urls.count == 0 && r->urls_from == NULL)
		report(ctx, "from",
		       "nothing says what to read: give from (paths, patterns or URLs), files_from (a list of names), "
		       "urls or urls_from (a list of URLs)",
		       NULL);
	check_read_urls(r, report, ctx);
	for (size_t i = 0; i < r->from.count; i++)
		dashes += bm_step_is_dash(r->from.items[i]);
	if (dashes > 1)
		report(ctx, "from", "from names \"-\" twice; standard input can be read only once", NULL);
	if (dashes > 0 && bm_step_is_dash(r->files_from))
		report(ctx, "files_from", "from and files_from are both \"-\"; standard input can be read only once",
		       NULL);
	if (r->remove && (dashes > 0 || bm_step_is_dash(r->files_from)))
		report(ctx, "remove",
		       dashes > 0
		               ? "remove cannot be had where from is \"-\": standard input is no file"
		               : "remove cannot be had where files_from is \"-\": give a list that can be read again",
		       NULL);
	if (r->files_from_null && r->files_from == NULL)
		report(ctx, "files_from_null",
		       "files_from_null says how files_from is read, and there is no files_from", NULL);
	if (r->max_size > 0 && r->max_size < r->min_size) {
		snprintf(text, sizeof(text),
		         "max_size (%" PRIu64 " bytes) is less than min_size (%" PRIu64 " bytes): no file can be both",
		         r->max_size, r->min_size);
		report(ctx, "max_size", text, NULL);
	}
	if (r->older_than.is_set && r->newer_than.is_set && r->older_than.ms >= r->newer_than.ms) {
		snprintf(text, sizeof(text),
		         "newer_than (%" PRIu64 " s) is not more than older_than (%" PRIu64 " s): no file can be both",
		         r->newer_than.ms / 1000, r->older_than.ms / 1000);
		report(ctx, "newer_than", text, NULL);
	}
}

static const struct bm_option http_fields[] = BM_HTTP_FIELDS(bm_read_params);

#define DIGEST_FIELD(NAME, CHARS)                                                                                      \
	{                                                                                                              \
		.name = #NAME, .type = BM_OPTION_STRING, .min = (CHARS), .max = (CHARS),                               \
		.offset = offsetof(struct bm_read_url, NAME), .help = "the digest that it must have, hexadecimal",     \
	}

static const struct bm_option url_fields[] = {
	{
		.name = "url",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_read_url, url),
		.required = true,
		.min = 1,
		.max = 65536,
		.help = "http://, https:// or s3://bucket/key",
	},
	{
		.name = "name",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_read_url, name),
		.min = 1,
		.max = 4096,
		.help = "its {path}, which may have directories; without it the last part of the URL's path",
	},
	DIGEST_FIELD(sha256, 64),
	DIGEST_FIELD(sha512, 128),
	DIGEST_FIELD(sha1, 40),
	DIGEST_FIELD(md5, 32),
	{
		.name = "size",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_read_url, size),
		.help = "the bytes that it must have",
	},
};

static const struct bm_option read_options[] = {
	{
		.name = "from",
		.type = BM_OPTION_PATHS,
		.offset = offsetof(struct bm_read_params, from),
		.help = "files, directories (with all below them), patterns as \"logs/*.log\", \"-\" for standard "
			"input; http://, https:// and s3:// URLs; required unless files_from, urls or urls_from is given",
	},
	{
		.name = "include",
		.type = BM_OPTION_GLOBS,
		.offset = offsetof(struct bm_read_params, include),
		.help = "take only files that match one of these; \"*.log\" matches at any depth, \"**\" stands "
			"for any number "
			"of directories",
	},
	{
		.name = "exclude",
		.type = BM_OPTION_GLOBS,
		.offset = offsetof(struct bm_read_params, exclude),
		.help = "leave out files and directories that match one of these; wins over include",
	},
	{
		.name = "files_from",
		.type = BM_OPTION_PATH,
		.offset = offsetof(struct bm_read_params, files_from),
		.help = "a file with the names of the files to read, one a line; \"-\" for standard input",
	},
	{
		.name = "files_from_null",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_read_params, files_from_null),
		.default_json = "false",
		.help = "the names in files_from end in NUL, as find -print0 writes them",
	},
	{
		.name = "urls",
		.type = BM_OPTION_OBJECTS,
		.offset = offsetof(struct bm_read_params, urls),
		.fields = url_fields,
		.field_count = BM_LENGTH(url_fields),
		.item_size = sizeof(struct bm_read_url),
		.help = "URLs with what is known of them; what turns out otherwise is not published",
	},
	{
		.name = "urls_from",
		.type = BM_OPTION_PATH,
		.offset = offsetof(struct bm_read_params, urls_from),
		.help = "a file of URLs, one a line, each as it is or as an object like those of urls; \"-\" for standard "
			"input; empty lines and those that begin with # are passed over",
	},
	{
		.name = "connections",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_read_params, connections),
		.default_json = "4",
		.min = 1,
		.max = BM_URL_MAX_CONNECTIONS,
		.help = "of one large file of a URL so many ranges are fetched at once, where the server has them; the memory "
			"for it comes out of the budget",
	},
	{
		.name = "http",
		.type = BM_OPTION_OBJECT,
		.offset = offsetof(struct bm_read_params, http.http),
		.fields = http_fields,
		.field_count = BM_LENGTH(http_fields),
		.help = "how the servers of URLs are spoken to; what is secret stands in files of its own, never here",
	},
	{
		.name = "hidden",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_read_params, hidden),
		.default_json = "true",
		.help = "take names that begin with a dot too",
	},
	{
		.name = "follow_symlinks",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_read_params, follow_symlinks),
		.default_json = "false",
		.help = "read what symbolic links below a directory point to; else they are skipped and counted",
	},
	{
		.name = "one_filesystem",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_read_params, one_filesystem),
		.default_json = "false",
		.help = "do not go into directories on other file systems",
	},
	{
		.name = "remove",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_read_params, remove),
		.default_json = "false",
		.help = "remove each input once all of its outputs are on the disk and were read back: a move; an input whose "
			"output was left as it was stays",
	},
	{
		.name = "min_size",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_read_params, min_size),
		.default_json = "0",
		.help = "leave out smaller files",
	},
	{
		.name = "max_size",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_read_params, max_size),
		.default_json = "0",
		.help = "leave out larger files; 0: no limit",
	},
	{
		.name = "older_than",
		.type = BM_OPTION_DURATION,
		.offset = offsetof(struct bm_read_params, older_than),
		.is_age = true,
		.help = "take only files last modified at least this long before the run began",
	},
	{
		.name = "newer_than",
		.type = BM_OPTION_DURATION,
		.offset = offsetof(struct bm_read_params, newer_than),
		.is_age = true,
		.help = "take only files last modified at most this long before the run began",
	},
};

const struct bm_step_kind bm_read_kind = {
	.name = "read",
	.role = BM_ROLE_READ,
	.help = "says which files the job reads; the first step of every job",
	BM_STEP_OPTIONS(read_options),
	.check = check_read,
	.about_build = bm_url_about,
	.ops = &bm_read_ops,
};
