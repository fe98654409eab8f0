/*
 * The table of steps.
 *
 * Everything that is ever said about an option is said here once: its type, its range, its default, its help line, and
 * where its value goes. The reader of job files, `bytemill steps`, jobs/job.schema.json and the man page walk these
 * rows; none of them knows the name of a single option. So a new option is a field in bm_step.h and a row here, and a
 * new step is a struct there, a set of rows here, and a file of its own for how it runs.
 *
 * Three things to know when a row is written:
 *  - The order of the rows is the order in which help, schema and messages list them: what a user needs first is first.
 *  - For BM_OPTION_STRING min and max bound the length in bytes (max 0: no bound); everything else about them is in
 *    bm_step.h.
 *  - Where a row lists values whose index is an enum elsewhere, the list is written with that enum's constants as
 *    designators, so that neither can be reordered alone. The names of the digests are the one list that exists twice
 *    (a static table cannot call bm_digest_algorithms()); a unit test compares the two.
 *
 * What a table of single options cannot say, the rules between options, is in one check function a step. Each reports
 * all that it finds and is run on values that are valid one by one. Rules between steps are the job layer's.
 */
#include "bm_step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_gzip.h"
#include "bm_sink.h"
#include "bm_template.h"
#include "bm_zstd.h"
#include "step_internal.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

typedef void report_fn(void *ctx, const char *option, const char *text, const char *suggestion);

/* ---- value lists ---- */

/* As bm_digest_algorithms(), in that order: tests/unit/test_jobs.c compares them. */
static const char *const algorithm_values[] = {
	"md5",      "sha1",     "sha224",  "sha256",  "sha384", "sha512", "sha512-256", "sha3-224", "sha3-256",
	"sha3-384", "sha3-512", "blake2b", "blake2s", "crc32",  "xxh64",  "xxh3",       "xxh128",   NULL,
};
_Static_assert(LENGTH(algorithm_values) - 1 <= LENGTH(((struct bm_enum_list *)NULL)->items),
               "every algorithm at once must fit in a list");

static const char *const manifest_format_values[] = {
	[BM_MANIFEST_GNU] = "gnu",
	[BM_MANIFEST_BSD] = "bsd",
	[BM_MANIFEST_JSON] = "json",
	NULL,
};
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
	NULL,
};
static const char *const compress_format_values[] = {
	[BM_COMPRESS_GZIP] = "gzip",
	[BM_COMPRESS_ZSTD] = "zstd",
	NULL,
};
static const char *const decompress_format_values[] = {
	[BM_DECOMPRESS_AUTO] = "auto",
	[BM_DECOMPRESS_GZIP] = "gzip",
	[BM_DECOMPRESS_ZSTD] = "zstd",
	NULL,
};
static const char *const layout_values[] = {
	[BM_GZIP_INDEXED] = "indexed",
	[BM_GZIP_SINGLE] = "single",
	[BM_GZIP_BGZF] = "bgzf",
	NULL,
};
static const char *const engine_values[] = {
	[BM_GZIP_AUTO] = "auto",
	[BM_GZIP_ZLIB] = "zlib",
	[BM_GZIP_LIBDEFLATE] = "libdeflate",
	[BM_GZIP_ISAL] = "isal",
	NULL,
};
static const char *const on_error_values[] = {
	[BM_ON_ERROR_CONTINUE] = "continue",
	[BM_ON_ERROR_STOP] = "stop",
	NULL,
};

/* ---- helpers of the checks ---- */

static bool is_dash(const char *s)
{
	return s != NULL && strcmp(s, "-") == 0;
}

/* The placeholders in text; 0 where it has none or is no template (which was reported when it was read). */
static unsigned placeholders_of(const char *text, unsigned allowed)
{
	struct bm_template *t = NULL;
	struct bm_error ignored = BM_ERROR_INIT;
	unsigned uses = 0;

	if (text != NULL && bm_template_compile(text, allowed, &t, &ignored) == BM_OK)
		uses = bm_template_uses(t);
	bm_template_destroy(t);
	return uses;
}

/* ---- read ---- */

static void check_read(const union bm_step_params *p, report_fn *report, void *ctx)
{
	const struct bm_read_params *r = &p->read;
	char text[200];
	size_t dashes = 0;

	if (r->from.count == 0 && r->files_from == NULL)
		report(ctx, "from",
		       "nothing says what to read: give from (paths or patterns) or files_from (a list of names)",
		       NULL);
	for (size_t i = 0; i < r->from.count; i++)
		dashes += is_dash(r->from.items[i]);
	if (dashes > 1)
		report(ctx, "from", "from names \"-\" twice; standard input can be read only once", NULL);
	if (dashes > 0 && is_dash(r->files_from))
		report(ctx, "files_from", "from and files_from are both \"-\"; standard input can be read only once",
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

static const struct bm_option read_options[] = {
	{
		.name = "from",
		.type = BM_OPTION_PATHS,
		.offset = offsetof(struct bm_read_params, from),
		.help = "files, directories (with all below them), patterns as \"logs/*.log\", \"-\" for standard "
			"input; "
			"required unless files_from is given",
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
		.help = "take only files last modified at least this long before the run began",
	},
	{
		.name = "newer_than",
		.type = BM_OPTION_DURATION,
		.offset = offsetof(struct bm_read_params, newer_than),
		.help = "take only files last modified at most this long before the run began",
	},
};

/* ---- hash ---- */

static void check_hash(const union bm_step_params *p, report_fn *report, void *ctx)
{
	const struct bm_hash_params *h = &p->hash;

	if (h->null && h->format != BM_MANIFEST_GNU)
		report(ctx, "null",
		       "null is for lines in gnu format, as sha256sum -z writes them; this format has no such form",
		       NULL);
	/* A GNU line does not say which algorithm made it: mixed in one file, no checker can tell them apart. */
	if (h->manifest != NULL && h->format == BM_MANIFEST_GNU && h->algorithms.count > 1 &&
	    !(placeholders_of(h->manifest, BM_STEP_MANIFEST_PLACEHOLDERS) & BM_PH_ALGORITHM))
		report(ctx, "manifest",
		       "lines in gnu format do not name their algorithm, so several algorithms cannot share a "
		       "manifest: put "
		       "{algorithm} in its path, or set format to \"bsd\" or \"json\"",
		       NULL);
}

static const struct bm_option hash_options[] = {
	{
		.name = "algorithms",
		.type = BM_OPTION_ENUMS,
		.offset = offsetof(struct bm_hash_params, algorithms),
		.default_json = "[\"sha256\"]",
		.values = algorithm_values,
		.help = "what to compute, all in one read; each runs on a CPU of its own",
	},
	{
		.name = "manifest",
		.type = BM_OPTION_TEMPLATE,
		.offset = offsetof(struct bm_hash_params, manifest),
		.placeholders = BM_STEP_MANIFEST_PLACEHOLDERS,
		.help = "where to write the list of digests, in listing order; \"-\" for standard output; without "
			"it digests "
			"are only in the report",
	},
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_hash_params, format),
		.default_json = "\"gnu\"",
		.values = manifest_format_values,
		.help = "gnu: as sha256sum writes; bsd: as cksum and sha256sum --tag write, names the algorithm; "
			"json: an object "
			"a line",
	},
	{
		.name = "name",
		.type = BM_OPTION_NAME,
		.offset = offsetof(struct bm_hash_params, name),
		.placeholders = BM_STEP_TARGET_PLACEHOLDERS,
		.help = "the name of a file in the manifest; without it the output of the next copy or write as seen from the "
			"manifest's directory, so that sha256sum -c works there, else {path}",
	},
	{
		.name = "null",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_hash_params, null),
		.default_json = "false",
		.help = "gnu format: end lines in NUL and leave names as they are, as sha256sum -z does",
	},
};

/* ---- copy and write ---- */

static void check_write(const union bm_step_params *p, report_fn *report, void *ctx)
{
	const struct bm_write_params *w = &p->write;

	/* Standard output is never replaced and always there. */
	if (is_dash(w->to) && (w->if_exists == BM_EXISTS_SKIP || w->if_exists == BM_EXISTS_FAIL))
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
		if (placeholders_of(w->to, BM_STEP_TARGET_PLACEHOLDERS) & BM_PH_FILE)
			report(ctx, "to",
			       "combine joins all inputs into one output, so to cannot use {path}, {dir}, {name}, "
			       "{stem} or {ext}, "
			       "which differ from file to file",
			       NULL);
	}
}

static const struct bm_option write_options[] = {
	{
		.name = "to",
		.type = BM_OPTION_TEMPLATE,
		.offset = offsetof(struct bm_write_params, to),
		.required = true,
		.placeholders = BM_STEP_TARGET_PLACEHOLDERS,
		.help = "the output's path, as \"/mirror/{path}\"; missing directories are made; \"-\" for "
			"standard output",
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
		.help = "file: on disk before it gets its name; none: when the system pleases",
	},
	{
		.name = "sparse",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_write_params, sparse),
		.default_json = "true",
		.help = "keep the holes of the input",
	},
};

/* ---- compress, decompress ---- */

/* Which levels an engine has depends on the layout, and which engines there are on the build. */
static void check_compress(const union bm_step_params *p, report_fn *report, void *ctx)
{
	const struct bm_compress_params *c = &p->compress;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_gzip_choice choice;
	char text[160];

	if (c->format == BM_COMPRESS_ZSTD) {
		if (c->level == 0 || c->level < BM_ZSTD_LEVEL_MIN || c->level > BM_ZSTD_LEVEL_MAX) {
			snprintf(text, sizeof(text),
			         "level is %" PRId64 "; format \"zstd\" has 1 to %d, and the faster -1 to %d", c->level,
			         BM_ZSTD_LEVEL_MAX, BM_ZSTD_LEVEL_MIN);
			report(ctx, "level", text, NULL);
		}
		if (c->layout != BM_GZIP_INDEXED)
			report(ctx, "layout", "layout is for format \"gzip\"; zstd has one layout, a frame a chunk",
			       NULL);
		if (c->engine != BM_GZIP_AUTO)
			report(ctx, "engine", "engine is for format \"gzip\"; zstd has one engine, libzstd", NULL);
		return;
	}
	if (bm_gzip_engine_pick((enum bm_gzip_layout)c->layout, (int)c->level, (enum bm_gzip_engine)c->engine, &choice,
	                        &err) != BM_OK)
		report(ctx, err.where, err.text, NULL);
}

static void compress_about_build(struct bm_buf *out)
{
	struct bm_gzip_choice was = {BM_GZIP_AUTO, ""};
	struct bm_gzip_choice choice;

	bm_buf_puts(out, "This build has for gzip the engines zlib");
	for (enum bm_gzip_engine e = BM_GZIP_LIBDEFLATE; e < BM_GZIP_ENGINES; e++)
		if (bm_gzip_engine_available(e))
			bm_buf_printf(out, ", %s", bm_gzip_engine_name(e));
	bm_buf_puts(out, ". Of these \"auto\" takes for layouts indexed and bgzf");
	for (int level = 1; level <= bm_gzip_level_max(BM_GZIP_INDEXED, BM_GZIP_AUTO); level++) {
		if (bm_gzip_engine_pick(BM_GZIP_INDEXED, level, BM_GZIP_AUTO, &choice, NULL) != BM_OK)
			break;
		if (choice.engine != was.engine)
			bm_buf_printf(out, "%s %s from level %d on", was.engine == BM_GZIP_AUTO ? "" : ",",
			              bm_gzip_engine_name(choice.engine), level);
		was = choice;
	}
	bm_buf_printf(out, ", up to level %d; for layout single zlib, up to level %d.",
	              bm_gzip_level_max(BM_GZIP_INDEXED, BM_GZIP_AUTO),
	              bm_gzip_level_max(BM_GZIP_SINGLE, BM_GZIP_AUTO));
}

static void decompress_about_build(struct bm_buf *out)
{
	bm_buf_printf(out, "This build reads zstd with libzstd, and gzip with: %s.", bm_gzip_decoder_engines());
}

static const struct bm_option compress_options[] = {
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_compress_params, format),
		.default_json = "\"gzip\"",
		.values = compress_format_values,
		.help = "the format to make; zstd is a frame a chunk, with the seek table of its seekable format",
	},
	{
		.name = "level",
		.type = BM_OPTION_INTEGER,
		.offset = offsetof(struct bm_compress_params, level),
		.min = BM_ZSTD_LEVEL_MIN,
		.max = BM_ZSTD_LEVEL_MAX,
		.help = "gzip: 0 stores, 1 is fastest, 6 the default, 9 as small as gzip makes it, 10 to 12 smaller and slow "
			"(engine libdeflate); zstd: 1 to 19, default 3, and below 0 faster than 1",
	},
	{
		.name = "layout",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_compress_params, layout),
		.default_json = "\"indexed\"",
		.values = layout_values,
		.help = "of gzip; indexed: a member a chunk, read in parallel again; single: one member, for readers that "
			"stop after the "
			"first; bgzf: blocks of 64 KiB, as bgzip writes them",
	},
	{
		.name = "engine",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_compress_params, engine),
		.default_json = "\"auto\"",
		.values = engine_values,
		.help = "the library that makes gzip; auto takes the best for layout and level that this build has; isal has "
			"levels 1 to 3, zlib alone makes layout single",
	},
};

/* What a level costs differs from format to format, and so does what is usual. */
static void settle_compress(union bm_step_params *p, uint64_t given)
{
	struct bm_compress_params *c = &p->compress;

	for (size_t i = 0; i < LENGTH(compress_options); i++)
		if (strcmp(compress_options[i].name, "level") == 0 && (given & UINT64_C(1) << i) == 0)
			c->level = c->format == BM_COMPRESS_ZSTD ? 3 : 6;
}

static const struct bm_option decompress_options[] = {
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_decompress_params, format),
		.default_json = "\"auto\"",
		.values = decompress_format_values,
		.help = "the format to read, of any maker, with any number of members or frames; auto looks at the first "
			"bytes of each file",
	},
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
		.help = "fail a zstd file that wants a larger window; each file read as a stream holds one, on top of memory",
	},
};

/* ---- the job's own keys ---- */

static const struct bm_option job_options[] = {
	{
		.name = "name",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_job_params, name),
		.min = 1,
		.max = 100,
		.help = "names the job in reports, in {job} and in after; without it the file's name without "
			".json; required "
			"where a file holds several jobs",
	},
	{
		.name = "description",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_job_params, description),
		.help = "a note for people",
	},
	{
		.name = "after",
		.type = BM_OPTION_STRINGS,
		.offset = offsetof(struct bm_job_params, after),
		.help = "names of jobs that must have gone well before this one starts",
	},
	{
		.name = "memory",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_job_params, memory),
		.min = INT64_C(1) << 20,
		.help = "budget of chunk buffers and codec states; --memory wins over it; without both 256MiB",
	},
	{
		.name = "chunk",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_job_params, chunk),
		.min = INT64_C(4) << 10,
		.max = INT64_C(64) << 20,
		.help = "bytes of a file that are worked on at once; without it chosen by the steps",
	},
	{
		.name = "on_error",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_job_params, on_error),
		.default_json = "\"continue\"",
		.values = on_error_values,
		.help = "after a file that failed, go on with the others or stop the job",
	},
};

/* ---- the table ---- */

#define OPTIONS(a) .options = (a), .option_count = LENGTH(a)

static const struct bm_step_kind kinds[] = {
	{
		.name = "read",
		.role = BM_ROLE_READ,
		.help = "says which files the job reads; the first step of every job",
		OPTIONS(read_options),
		.check = check_read,
		.ops = &bm_read_ops,
	},
	{
		.name = "hash",
		.role = BM_ROLE_LOOK,
		.help = "computes digests and checksums of the bytes at this place, and can list them in a manifest",
		OPTIONS(hash_options),
		.check = check_hash,
		.ops = &bm_hash_ops,
	},
	{
		.name = "copy",
		.role = BM_ROLE_LOOK,
		.help = "writes the bytes at this place to a file on the way to later steps",
		OPTIONS(write_options),
		.check = check_write,
		.ops = &bm_write_ops,
	},
	{
		.name = "compress",
		.role = BM_ROLE_CHANGE,
		.help = "compresses, in parallel chunks",
		OPTIONS(compress_options),
		.settle = settle_compress,
		.check = check_compress,
		.about_build = compress_about_build,
		.ops = &bm_compress_ops,
	},
	{
		.name = "decompress",
		.role = BM_ROLE_CHANGE,
		.help = "decompresses, and checks what the format lets it check",
		OPTIONS(decompress_options),
		.about_build = decompress_about_build,
		.ops = &bm_decompress_ops,
	},
	{
		.name = "write",
		.role = BM_ROLE_LOOK,
		.help = "writes the bytes at this place to a file; the same as copy",
		OPTIONS(write_options),
		.check = check_write,
		.ops = &bm_write_ops,
	},
};

const struct bm_step_kind *bm_step_kinds(size_t *count)
{
	*count = LENGTH(kinds);
	return kinds;
}

const struct bm_step_kind *bm_step_find(const char *name)
{
	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const struct bm_option *bm_job_options(size_t *count)
{
	*count = LENGTH(job_options);
	return job_options;
}

/* ---- freeing ---- */

static void strings_fini(struct bm_strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct bm_strings){0};
}

void bm_params_fini(void *params, const struct bm_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		void *field = (char *)params + options[i].offset;

		switch (options[i].type) {
		case BM_OPTION_STRING:
		case BM_OPTION_PATH:
		case BM_OPTION_TEMPLATE:
		case BM_OPTION_NAME:
			free(*(char **)field);
			*(char **)field = NULL;
			break;
		case BM_OPTION_PATHS:
		case BM_OPTION_GLOBS:
		case BM_OPTION_STRINGS:
			strings_fini(field);
			break;
		case BM_OPTION_INTEGER:
			*(int64_t *)field = 0;
			break;
		case BM_OPTION_SIZE:
			*(uint64_t *)field = 0;
			break;
		case BM_OPTION_DURATION:
			*(struct bm_optional_ms *)field = (struct bm_optional_ms){0};
			break;
		case BM_OPTION_BOOL:
			*(bool *)field = false;
			break;
		case BM_OPTION_ENUM:
			*(int *)field = 0;
			break;
		case BM_OPTION_ENUMS:
			*(struct bm_enum_list *)field = (struct bm_enum_list){0};
			break;
		}
	}
}
