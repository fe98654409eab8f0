/*
 * hash.c - the step `hash`: digests of the bytes as they are at its place, and manifests of them.
 *
 * The digests themselves are digest_stage.c's. Lines go to the manifest in listing order, when the file is through
 * (emit). The manifest takes its name when all files are through; one that a cancelled run leaves unfinished is dropped.
 *
 * The name in a line is, where the job does not say: the output that the next copy or write (before any further change of
 * the bytes) makes, relative to the manifest's directory, where it lies below that; else {path}. So "sha256sum -c"
 * beside the manifest just works.
 *
 * Some kinds of lines cannot hold every name (hashdeep has no way to write a line feed). Such a file is told and is not in
 * the manifest; all others are, and the job has failed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"
#include "digest_stage.h"
#include "hash_blocks.h"
#include "manifest.h"
#include "step_internal.h"

#define MANIFEST_BUFFER ((size_t)64 << 10)

struct hash_shared {
	struct bm_job_context *ctx;
	const struct bm_hash_params *p;
	struct digest_set set;
	struct hash_blocks blocks;

	/* Manifests: by algorithm where the name holds {algorithm}, else one. Used by emit and finish only. */
	size_t manifest_count;
	char *manifest_path[DIGEST_SET_MAX];
	struct bm_sink *manifest[DIGEST_SET_MAX];
	struct bm_buf lines[DIGEST_SET_MAX]; /* not written yet */
	enum bm_manifest_kind kind;          /* of p->format */
	const char *names[DIGEST_SET_MAX];   /* of the algorithms */
	uint64_t refused;                    /* files that their lines cannot hold */
	bool has_mtime;                      /* the file that a name stands for has the input's */
	bool is_live;                        /* a person watches: each line is written at once */
	struct bm_template *name;            /* NULL: {path}, or as given */
	struct bm_buf name_text;             /* scratch */
	size_t name_skip;                    /* bytes of its expansion that are the manifest's directory */
};

/* ---- preparing ---- */

static size_t dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* The template of names, where it is not simply {path}: see the head of this file. */
static enum bm_status prepare_name(struct hash_shared *hs, const struct bm_job *job, struct bm_error *err)
{
	if (hs->p->name_as_given)
		return BM_OK;
	if (hs->p->name != NULL)
		return bm_step_template(hs->ctx, hs->p->name, NULL, BM_STEP_TARGET_PLACEHOLDERS, &hs->name, err);
	if (hs->p->manifest == NULL || strcmp(hs->p->manifest, "-") == 0)
		return BM_OK;
	for (size_t i = hs->set.index + 1; i < job->step_count && job->steps[i].kind->role != BM_ROLE_CHANGE; i++) {
		const struct bm_write_params *wp = &job->steps[i].p.write;
		struct bm_template *t = NULL;
		const char *dir = hs->manifest_path[0];
		size_t len = dir_len(dir), prefix_len;

		if (job->steps[i].kind->ops != &bm_write_ops || wp->combine || strcmp(wp->to, "-") == 0)
			continue;
		enum bm_status status = bm_step_template(hs->ctx, wp->to, NULL, BM_STEP_TARGET_PLACEHOLDERS, &t, err);
		if (status != BM_OK)
			return status;
		const char *prefix = bm_template_prefix(t, &prefix_len);
		if (prefix_len >= len && memcmp(prefix, dir, len) == 0 &&
		    (len > 0 || prefix_len == 0 || prefix[0] != '/')) {
			hs->name = t;
			hs->name_skip = len;
			return BM_OK;
		}
		bm_template_destroy(t);
	}
	return BM_OK;
}

/* Are the bytes here the input's? */
static bool is_input(const struct hash_shared *hs, const struct bm_job *job)
{
	for (size_t i = 1; i < hs->set.index; i++)
		if (job->steps[i].kind->role == BM_ROLE_CHANGE)
			return false;
	return true;
}

/* Is the file that a name in the manifest stands for one with the input's time of change? Then an audit can tell bytes
 * that rotted from bytes that somebody wrote. */
static bool keeps_mtime(const struct hash_shared *hs, const struct bm_job *job)
{
	if (!is_input(hs, job))
		return false;
	for (size_t i = hs->set.index + 1; hs->name != NULL && i < job->step_count; i++)
		if (job->steps[i].kind->ops == &bm_write_ops)
			return job->steps[i].p.write.preserve;
	return true;
}

static enum bm_status manifest_path(struct hash_shared *hs, size_t i, bool *each, struct bm_error *err)
{
	const char *text = hs->p->manifest;
	struct bm_template *t = NULL;
	struct bm_buf b = {0};
	enum bm_status status = BM_OK;

	if (strcmp(text, "-") == 0) {
		bm_buf_puts(&b, "-");
	} else {
		status = bm_step_template(hs->ctx, text, NULL, BM_STEP_MANIFEST_PLACEHOLDERS, &t, err);
		if (status == BM_OK) {
			struct bm_template_values v = hs->ctx->values;

			*each = (bm_template_uses(t) & BM_PH_ALGORITHM) != 0;
			v.algorithm = hs->set.algorithms[i]->name;
			bm_template_expand(t, &v, &b);
		}
	}
	bm_template_destroy(t);
	hs->manifest_path[i] = status == BM_OK ? bm_buf_take(&b) : NULL;
	bm_buf_fini(&b);
	if (status == BM_OK && hs->manifest_path[i] == NULL)
		status = bm_error_set_nomem(err);
	return status;
}

/* What lines of manifest m are like. hashdeep has the names of the algorithms in its head; other lines have what there is,
 * and it is not looked for. */
static struct bm_manifest_style style_of(const struct hash_shared *hs, size_t m)
{
	bool each = hs->manifest_count > 1;
	struct bm_manifest_style s = {.kind = hs->kind, .nul = hs->p->null};

	if (s.kind != BM_MANIFEST_KIND_HASHDEEP)
		return s;
	s.algorithms = hs->names + (each ? m : 0);
	s.algorithm_count = each ? 1 : hs->set.count;
	return s;
}

static enum bm_status prepare_manifests(struct hash_shared *hs, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool each = false;

	if (hs->p->manifest == NULL)
		return BM_OK;
	hs->is_live = strcmp(hs->p->manifest, "-") == 0 && isatty(STDOUT_FILENO);
	/* The first one tells whether there is one for each algorithm. */
	for (size_t i = 0; i < (each ? hs->set.count : 1) && status == BM_OK; i++) {
		status = manifest_path(hs, i, &each, err);
		hs->manifest_count = i + 1;
	}
	(void)bm_manifest_kind_find(bm_manifest_formats[hs->p->format], &hs->kind);
	for (size_t i = 0; i < hs->set.count; i++)
		hs->names[i] = hs->set.algorithms[i]->name;
	for (size_t i = 0; i < hs->manifest_count && status == BM_OK; i++) {
		struct bm_manifest_style s = style_of(hs, i);

		status = bm_manifest_put_head(&hs->lines[i], &s, err);
	}
	return status;
}

static enum bm_status hash_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                   struct bm_error *err)
{
	struct hash_shared *hs = calloc(1, sizeof(*hs));
	const struct bm_digest_algorithm *all;
	enum bm_status status = BM_OK;
	size_t n;

	*shared = hs;
	if (hs == NULL)
		return bm_error_set_nomem(err);
	hs->ctx = plan->ctx;
	hs->p = &step->p.hash;
	hs->set.index = step->index;
	hs->set.file_bytes = sizeof(struct hash_file);
	all = bm_digest_algorithms(&n);
	for (size_t i = 0; i < hs->p->algorithms.count && status == BM_OK; i++)
		status = digest_set_add(&hs->set, &all[hs->p->algorithms.items[i]], err);
	if (status == BM_OK)
		status = prepare_manifests(hs, err);
	if (status == BM_OK)
		status = prepare_name(hs, plan->job, err);
	hs->has_mtime = keeps_mtime(hs, plan->job);
	if (status == BM_OK)
		status = digest_set_stages(&hs->set, plan, err);
	hs->blocks = (struct hash_blocks){&hs->set, hs->p->blocks, is_input(hs, plan->job)};
	if (status == BM_OK)
		status = hash_blocks_stage(&hs->blocks, plan, err);
	return status;
}

/* ---- a file's and a job's end ---- */

static enum bm_status hash_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err)
{
	struct hash_shared *hs = shared;
	struct digest_set *set = &hs->set;
	struct digest_file *df = f->state[set->index];

	(void)w;
	(void)err;
	if (df == NULL)
		return BM_OK;
	for (unsigned i = 0; i < set->count; i++)
		if (good && df->value[i].done)
			bm_file_add_digest(f, set->index, set->algorithms[i]->name, df->value[i].out,
			                   set->algorithms[i]->size_bytes, df->length);
	if (good)
		hash_blocks_add(&hs->blocks, f, (struct hash_file *)df);
	hash_blocks_end((struct hash_file *)df);
	digest_file_end(set, df);
	free(df);
	f->state[set->index] = NULL;
	return BM_OK;
}

/* A manifest on a pipe can wait for ever: a cancel ends it. */
static struct bm_blocker manifest_blocker(const struct hash_shared *hs)
{
	return (struct bm_blocker){.cancel_fd = hs->ctx->cancel_fd};
}

static enum bm_status manifest_open(struct hash_shared *hs, size_t i, struct bm_error *err)
{
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = 0666};
	struct bm_blocker b = manifest_blocker(hs);
	bool skipped;

	if (hs->manifest[i] != NULL)
		return BM_OK;
	return bm_sink_open(hs->ctx->sinks[BM_DURABLE_FILE], hs->manifest_path[i], &o, &b, &hs->manifest[i], &skipped,
	                    err);
}

static enum bm_status manifest_flush(struct hash_shared *hs, size_t i, struct bm_error *err)
{
	struct bm_blocker b = manifest_blocker(hs);
	enum bm_status status = hs->lines[i].oom ? bm_error_set_nomem(err) : manifest_open(hs, i, err);

	if (status == BM_OK && hs->lines[i].len > 0)
		status = bm_sink_write(hs->manifest[i], hs->lines[i].data, hs->lines[i].len, false, &b, err);
	bm_buf_reset(&hs->lines[i]);
	return status;
}

/* A name that lines of manifest m cannot hold: told once, and counted. */
static enum bm_status refuse(struct hash_shared *hs, size_t m, struct bm_error *err)
{
	if (m == 0) {
		hs->ctx->tell(hs->ctx->tell_arg, err);
		hs->refused++;
	}
	bm_error_clear(err);
	return BM_OK;
}

static enum bm_status hash_emit(void *shared, const struct bm_file_result *r, struct bm_error *err)
{
	struct hash_shared *hs = shared;
	const char *name = hs->p->name_as_given ? r->display : r->path;
	enum bm_status status = BM_OK;

	if (hs->manifest_count == 0 || (r->state != BM_FILE_DONE && !r->unchanged))
		return BM_OK;
	if (hs->name != NULL) {
		bm_buf_reset(&hs->name_text);
		bm_step_expand(hs->ctx, hs->name, r->path, strlen(r->path), &hs->name_text);
		if (hs->name_text.oom)
			return bm_error_set_nomem(err);
		name = hs->name_text.data + (hs->name_text.len >= hs->name_skip ? hs->name_skip : 0);
	}
	for (size_t m = 0; m < hs->manifest_count && status == BM_OK; m++) {
		const struct bm_digest_algorithm *only = hs->manifest_count > 1 ? hs->set.algorithms[m] : NULL;

		struct bm_manifest_style style = style_of(hs, m);

		status = bm_step_put_manifest(&hs->lines[m], &style, r, hs->set.index, only, name, hs->has_mtime, err);
		if (status == BM_ERR_UNSUPPORTED)
			status = refuse(hs, m, err);
		if (status == BM_OK && (hs->is_live || hs->lines[m].len >= MANIFEST_BUFFER))
			status = manifest_flush(hs, m, err);
	}
	return status;
}

static enum bm_status hash_finish(void *shared, bool good, struct bm_error *err)
{
	struct hash_shared *hs = shared;
	enum bm_status failed = BM_OK;

	for (size_t m = 0; m < hs->manifest_count; m++) {
		enum bm_status status = BM_OK;
		struct bm_error own;

		bm_error_clear(&own);
		/* An empty tree has an empty manifest, not none. */
		if (good)
			status = manifest_flush(hs, m, &own);
		struct bm_sink *s = hs->manifest[m];
		hs->manifest[m] = NULL;
		if (good && status == BM_OK)
			status = bm_sink_commit(s, NULL, -1, NULL, NULL, &own);
		else
			bm_sink_abort(s);
		if (status == BM_OK)
			continue;
		if (failed != BM_OK)
			hs->ctx->tell(hs->ctx->tell_arg, err);
		*err = own;
		failed = status;
	}
	if (failed == BM_OK && good && hs->refused > 0)
		failed = bm_error_set(err, BM_ERR_FAILED, NULL,
		                      "the manifest is without %" PRIu64 " file%s, whose name%s it cannot hold",
		                      hs->refused, hs->refused == 1 ? "" : "s", hs->refused == 1 ? "" : "s");
	return failed;
}

static void hash_destroy(void *shared)
{
	struct hash_shared *hs = shared;

	if (hs == NULL)
		return;
	digest_set_fini(&hs->set);
	for (size_t i = 0; i < hs->manifest_count; i++) {
		bm_sink_abort(hs->manifest[i]);
		bm_buf_fini(&hs->lines[i]);
		free(hs->manifest_path[i]);
	}
	bm_template_destroy(hs->name);
	bm_buf_fini(&hs->name_text);
	free(hs);
}

static const char *hash_fixed_output(void *shared, size_t n)
{
	struct hash_shared *hs = shared;

	return n < hs->manifest_count && strcmp(hs->manifest_path[n], "-") != 0 ? hs->manifest_path[n] : NULL;
}

static void hash_describe(void *shared, struct bm_buf *out)
{
	struct hash_shared *hs = shared;

	for (size_t i = 0; i < hs->set.count; i++)
		bm_buf_printf(out, "%s%s", i > 0 ? ", " : "", hs->set.algorithms[i]->name);
	if (hs->blocks.size_bytes > 0)
		bm_buf_printf(out, ", blocks of %" PRIu64 " bytes", hs->blocks.size_bytes);
	for (size_t i = 0; i < hs->manifest_count; i++) {
		bm_buf_puts(out, i == 0 ? ", manifest " : " ");
		bm_escape_display(out, hs->manifest_path[i], strlen(hs->manifest_path[i]));
	}
}

const struct bm_step_ops bm_hash_ops = {
	.prepare = hash_prepare,
	.close = hash_close,
	.emit = hash_emit,
	.finish = hash_finish,
	.fixed_output = hash_fixed_output,
	.destroy = hash_destroy,
	.describe = hash_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

/* As bm_digest_algorithms(), in that order: tests/unit/test_jobs.c compares them. */
static const char *const algorithm_values[] = {
	"md5",         "sha1",        "sha224",      "sha256",   "sha384",   "sha512",  "sha512-224",
	"sha512-256",  "sha3-224",    "sha3-256",    "sha3-384", "sha3-512", "blake2b", "blake2b-128",
	"blake2b-160", "blake2b-256", "blake2b-384", "blake2s",  "sm3",      "crc32",   "xxh32",
	"xxh64",       "xxh3",        "xxh128",      NULL,
};
_Static_assert(BM_LENGTH(algorithm_values) - 1 <= BM_LENGTH(((struct bm_enum_list *)NULL)->items),
               "every algorithm at once must fit in a list");

/* What the kind of manifest says against the algorithms. */
static void check_format(const struct bm_hash_params *h, bool each, bm_step_report_fn *report, void *ctx)
{
	struct bm_manifest_style s = {.nul = h->null};
	const char *names[DIGEST_SET_MAX];
	enum bm_status status = BM_OK;
	struct bm_error err;
	struct bm_buf head = {0};

	for (size_t i = 0; i < h->algorithms.count && i < DIGEST_SET_MAX; i++)
		names[s.algorithm_count++] = bm_digest_algorithms(NULL)[h->algorithms.items[i]].name;
	bm_error_clear(&err);
	(void)bm_manifest_kind_find(bm_manifest_formats[h->format], &s.kind);
	s.algorithms = names;
	for (size_t i = 0; each && i < h->algorithms.count && status == BM_OK; i++) {
		s.algorithms = &names[i];
		s.algorithm_count = 1;
		status = bm_manifest_put_head(&head, &s, &err);
	}
	if (!each)
		status = bm_manifest_put_head(&head, &s, &err);
	if (status != BM_OK)
		report(ctx, "format", err.text, NULL);
	bm_buf_fini(&head);
}

static void check_hash(const union bm_step_params *p, bm_step_report_fn *report, void *ctx)
{
	const struct bm_hash_params *h = &p->hash;
	bool each = h->manifest != NULL &&
	            (bm_step_placeholders(h->manifest, BM_STEP_MANIFEST_PLACEHOLDERS) & BM_PH_ALGORITHM) != 0;

	if (h->null && h->format != BM_MANIFEST_GNU)
		report(ctx, "null",
		       "null is for lines in gnu format, as sha256sum -z writes them; this format has no such form",
		       NULL);
	if (h->blocks > 0 && (h->format != BM_MANIFEST_JSON || h->manifest == NULL))
		report(ctx, "blocks",
		       h->manifest == NULL
		               ? "the digests of blocks go to a manifest, and there is none: set manifest, and format to \"json\""
		               : "only lines in json format can hold the digests of blocks: set format to \"json\"",
		       NULL);
	/* A GNU line does not say which algorithm made it: mixed in one file, no checker can tell them apart. */
	if (h->manifest != NULL && h->format == BM_MANIFEST_GNU && h->algorithms.count > 1 && !each)
		report(ctx, "manifest",
		       "lines in gnu format do not name their algorithm, so several algorithms cannot share a "
		       "manifest: put "
		       "{algorithm} in its path, or set format to \"bsd\" or \"json\"",
		       NULL);
	if (h->manifest != NULL && !h->null)
		check_format(h, each, report, ctx);
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
		.values = bm_manifest_formats,
		.help = "gnu: as sha256sum writes; bsd: as cksum and sha256sum --tag write, names the algorithm; "
			"json: an object "
			"a line; hashdeep, bagit, sfv, rclone, xxhsum: as these write and check them; hashdeep takes "
			"md5, sha1 and sha256, sfv crc32, xxhsum its own, bagit and rclone any one",
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
	{
		.name = "blocks",
		.type = BM_OPTION_SIZE,
		.offset = offsetof(struct bm_hash_params, blocks),
		.min = BM_HASH_BLOCKS_MIN,
		.max = BM_HASH_BLOCKS_SIZE_MAX,
		.help = "json format: digests of each block of so many bytes too, by the first algorithm, so that an audit can say "
			"which bytes are damaged; a file of more than 65536 blocks gets larger ones",
	},
};

const struct bm_step_kind bm_hash_kind = {
	.name = "hash",
	.role = BM_ROLE_LOOK,
	.help = "computes digests and checksums of the bytes at this place, and can list them in a manifest",
	BM_STEP_OPTIONS(hash_options),
	.check = check_hash,
	.ops = &bm_hash_ops,
};
