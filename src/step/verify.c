/*
 * verify.c - the step `verify`: compares the files of a tree with the digests in a manifest, and gives each a verdict.
 *
 * The manifest is read before there is a plan (verify_load.c). While the job runs it is gone through side by side with
 * the walk (verify_list.c), so a file comes with the digests that it should have, and what is only in the manifest comes
 * too. The stages are those of the step hash (digest_stage.c); a file skips the algorithms that its entry has not.
 *
 *	opened  the size, where the manifest has one: a wrong one is enough, the file is not read
 *	close   the digests; a mismatch is read again past the cache (verify_again.c) before it is believed
 *	hold    what is only in the manifest, or only in the tree, is kept until all is read
 *	release what has moved, what is a copy (verify_join.c)
 *
 * A file that is not as it should be fails, with its verdict in the result and the reason in its error; so the steps
 * behind this one do not publish a copy of it. NEW, MOVED and DUPLICATE are no failures: nothing is known against them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bm_error.h"
#include "bm_text.h"
#include "bm_time.h"
#include "step_internal.h"
#include "verify.h"
#include "verify_join.h"

/* ---- preparing ---- */

static enum bm_status time_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	const struct verify_shared *vs = arg;
	struct bm_file *f = stream;

	(void)c;
	(void)w;
	if (verify_now_ms() < vs->deadline_ms)
		return BM_OK;
	((struct verify_file *)f->state[vs->set.index])->verdict = BM_VERDICT_NOT_CHECKED;
	return bm_error_set(err, BM_ERR_LIMIT, NULL, "not read to its end: the time for this run was up");
}

static enum bm_status verify_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                     struct bm_error *err)
{
	struct verify_shared *vs = calloc(1, sizeof(*vs));
	enum bm_status status = BM_OK;

	*shared = vs;
	if (vs == NULL)
		return bm_error_set_nomem(err);
	vs->ctx = plan->ctx;
	vs->p = &step->p.verify;
	vs->plan = plan;
	vs->m = plan->ctx->loaded != NULL ? plan->ctx->loaded[step->index] : NULL;
	/* Where nothing is on record, what is new has no other name there. */
	plan->holds_nothing = vs->p->known != NULL && !vs->p->known->has_files;
	vs->set.index = step->index;
	vs->set.is_selective = true;
	for (size_t i = 0; vs->m != NULL && i < vs->m->algorithm_count && status == BM_OK; i++)
		status = digest_set_add(&vs->set, vs->m->algorithms[i], err);
	if (status == BM_OK && vs->p->max_duration.is_set)
		status = bm_plan_stage(plan, BM_STAGE_SERIAL, time_run, vs, err);
	if (status == BM_OK)
		status = digest_set_stages(&vs->set, plan, err);
	if (status == BM_OK &&
	    ((vs->p->known != NULL && vs->p->known->blocks != NULL) || (vs->m != NULL && vs->m->has_bare_blocks)))
		status = bm_plan_stage(plan, BM_STAGE_SERIAL, verify_blocks_run, vs, err);
	if (status == BM_OK)
		status = join_create(&vs->join, err);
	return status;
}

static void verify_destroy(void *shared)
{
	struct verify_shared *vs = shared;

	if (vs == NULL)
		return;
	digest_set_fini(&vs->set);
	verify_cursor_destroy(vs->cursor);
	join_destroy(vs->join);
	free(vs);
}

static void verify_describe(void *shared, struct bm_buf *out)
{
	const struct verify_shared *vs = shared;
	const struct verify_manifest *m = vs->m;

	if (m == NULL) {
		bm_escape_display(out, vs->p->manifest, strlen(vs->p->manifest));
		bm_buf_puts(out, ", read when the job starts");
		return;
	}
	if (vs->p->known != NULL) {
		bm_buf_printf(out, "%s %s", m->says, m->shown);
		return;
	}
	bm_buf_printf(out, "%s: %s, %" PRIu64 " entr%s", m->shown, bm_manifest_kind_name(m->kind), m->entry_count,
	              m->entry_count == 1 ? "y" : "ies");
	for (size_t i = 0; i < m->algorithm_count; i++)
		bm_buf_printf(out, ", %s", m->algorithms[i]->name);
	if (m->bad_line_count > 0)
		bm_buf_printf(out, "; %" PRIu64 " bad line%s", m->bad_line_count, m->bad_line_count == 1 ? "" : "s");
	if (m->root_is_gone)
		bm_buf_printf(out, "; %s", m->gone_text);
}

/* ---- one file ---- */

static enum bm_status verify_opened(void *shared, struct bm_file *f, const struct stat *st, struct bm_error *err)
{
	struct verify_shared *vs = shared;
	struct verify_file *vf = f->state[vs->set.index];

	if (!vf->is_listed)
		return verify_blocks_open(vs, f, vf, st, err);
	vf->is_touched = (uint64_t)st->st_size != vf->size_bytes || f->mtime_ns != vf->mtime_ns ||
	                 bm_time_ns(st->st_ctim) != vf->ctime_ns || (uint64_t)st->st_ino != vf->inode ||
	                 vf->is_unsettled;
	/* With blocks it is read all the same: they say how much of it is as it was. */
	if (vf->has_size && vs->p->known == NULL && !vs->p->always_read && !vf->has_blocks && f->has_mtime &&
	    (uint64_t)st->st_size != vf->size_bytes) {
		vf->verdict = BM_VERDICT_CHANGED;
		return bm_error_set(err, BM_ERR_MISMATCH, NULL,
		                    "has %lld bytes, the manifest says %" PRIu64 "; not read", (long long)st->st_size,
		                    vf->size_bytes);
	}
	if (vf->digest_count == 0 && vf->has_blocks && vf->unknown == NULL && vs->m->has_bare_blocks)
		return verify_blocks_open_bare(vs, vf, st, err);
	if (vf->digest_count == 0 && vf->vb.algorithm == NULL && (vs->p->known == NULL || vf->unknown != NULL)) {
		vf->verdict = BM_VERDICT_NOT_CHECKED;
		if (vf->unknown != NULL && vs->p->known != NULL)
			return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "its digest is %s: --algorithm %s",
			                    vf->unknown, vf->unknown);
		if (vf->unknown != NULL)
			return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "its digest is %s, which is not known here",
			                    vf->unknown);
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "the manifest has no digest of it");
	}
	return verify_blocks_open(vs, f, vf, st, err);
}

static void put_short(struct bm_buf *out, const uint8_t *bytes, size_t len)
{
	bm_hex_put(out, bytes, len > 8 ? 8 : len);
	bm_buf_puts(out, len > 8 ? "..." : "");
}

/* The first digest that is not as it should be, or NULL. */
static const struct verify_digest *find_wrong(const struct verify_file *vf)
{
	for (size_t i = 0; i < vf->digest_count; i++)
		if (memcmp(vf->d.value[vf->digests[i].algorithm].out, vf->digests[i].bytes, BM_DIGEST_MAX_BYTES) != 0)
			return &vf->digests[i];
	return NULL;
}

static bool is_as_before(const struct bm_file *f, const struct verify_file *vf)
{
	return vf->has_mtime && f->has_mtime && bm_time_is_as_noted(vf->mtime_ns, f->mtime_ns) && vf->has_size &&
	       vf->size_bytes == vf->d.length && !vf->is_unsettled;
}

static enum bm_verdict say_wrong(const struct verify_shared *vs, const struct bm_file *f, const struct verify_file *vf,
                                 const struct verify_digest *wrong, const char *more, struct bm_error *err)
{
	const struct bm_digest_algorithm *a = vs->set.algorithms[wrong->algorithm];
	bool rotted = is_as_before(f, vf);
	struct bm_buf text = {0};

	bm_buf_printf(&text, "%s is ", a->name);
	put_short(&text, vf->d.value[wrong->algorithm].out, a->size_bytes);
	bm_buf_printf(&text, ", %s says ", vs->m->says);
	put_short(&text, wrong->bytes, a->size_bytes);
	if (vf->has_blocks && vf->d.length != vf->blocks_of_bytes)
		bm_buf_printf(&text, "; it has %" PRIu64 " bytes, %s says %" PRIu64, vf->d.length, vs->m->says,
		              vf->blocks_of_bytes);
	if (rotted)
		bm_buf_puts(&text, "; size and time of change are as they were");
	else if (vf->was_damaged)
		bm_buf_puts(&text, "; it was found damaged before");
	rotted = rotted || vf->was_damaged;
	bm_buf_puts(&text, more);
	(void)bm_error_set(err, BM_ERR_MISMATCH, NULL, "%s",
	                   text.oom ? "its digest is not that of the manifest" : text.data);
	bm_buf_fini(&text);
	return rotted ? BM_VERDICT_ROTTED : BM_VERDICT_CHANGED;
}

static enum bm_verdict judge_wrong(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                   const struct verify_digest *wrong, struct bm_worker *w, struct bm_error *err)
{
	struct bm_error second;
	const char *more = "";

	/* Somebody wrote it, so other bytes are no surprise. */
	if (vs->p->known != NULL && !is_as_before(f, vf) && !vf->was_damaged)
		return say_wrong(vs, f, vf, wrong, "", err);
	verify_blocks_fetch(vs, f, vf);
	bm_error_clear(&second);
	switch (verify_read_again(vs, f, vf, w, &second)) {
	case VERIFY_SECOND_RIGHT:
		bm_file_warn(f, "the first reading had other bytes than the second, which is right: memory, cable or "
		                "cache are not to be trusted");
		for (size_t i = 0; i < vf->digest_count; i++)
			memcpy(vf->d.value[vf->digests[i].algorithm].out, vf->digests[i].bytes, BM_DIGEST_MAX_BYTES);
		return BM_VERDICT_OK;
	case VERIFY_SECOND_SAME:
	case VERIFY_SECOND_NONE:
		break;
	case VERIFY_SECOND_OTHER:
		vf->is_unsure = true;
		more = "; read again it gave other bytes, which are not right either: memory, cable or disk are not to be "
		       "trusted";
		break;
	case VERIFY_SECOND_CHANGED:
		*err = second;
		return BM_VERDICT_CHANGED_WHILE_READING;
	case VERIFY_SECOND_FAILED:
		*err = second;
		return BM_VERDICT_UNREADABLE;
	}
	return say_wrong(vs, f, vf, wrong, more, err);
}

/* It was read to its end. */
static enum bm_verdict judge_bytes(struct verify_shared *vs, struct bm_file *f, struct verify_file *vf,
                                   struct bm_worker *w, struct bm_error *err)
{
	const struct verify_digest *wrong = find_wrong(vf);

	if (!vf->is_listed)
		return BM_VERDICT_NEW;
	if (wrong != NULL)
		return judge_wrong(vs, f, vf, wrong, w, err);
	if ((vf->has_size && vf->size_bytes != vf->d.length) || vf->digest_count == 0) {
		(void)bm_error_set(err, BM_ERR_MISMATCH, NULL, "has %" PRIu64 " bytes, %s says %" PRIu64 "%s",
		                   vf->d.length, vs->m->says, vf->size_bytes,
		                   vf->digest_count > 0 ? ", though the digest is the same" : "");
		return BM_VERDICT_CHANGED;
	}
	return BM_VERDICT_OK;
}

/* It could not be opened, or not be read to its end: err says why. */
static enum bm_verdict judge_unread(const struct bm_file *f, const struct verify_file *vf, bool is_list,
                                    struct bm_error *err)
{
	bool gone = err->status == BM_ERR_SYSTEM && (err->sys_errno == ENOENT || err->sys_errno == ENOTDIR);
	bool is_dir = err->status == BM_ERR_SYSTEM && err->sys_errno == EISDIR;
	struct stat st;

	if (vf->is_listed && !is_list && (gone || is_dir)) {
		bm_error_clear(err);
		(void)bm_error_set(err, BM_ERR_MISMATCH, NULL, "%s",
		                   is_dir ? "is missing: a directory has its name" : "is missing");
		return BM_VERDICT_MISSING;
	}
	/* Nothing of it has gone meanwhile: it is a link that leads nowhere. */
	if (gone && f->entry->kind == BM_ENTRY_ERROR && bm_entry_stat(f->entry, false, &st) == 0 && S_ISLNK(st.st_mode))
		return BM_VERDICT_UNREADABLE;
	if ((gone && !is_list) || (err->status == BM_ERR_CHANGED && !(vf->is_extra && f->bytes_in == 0)))
		return BM_VERDICT_CHANGED_WHILE_READING;
	return BM_VERDICT_UNREADABLE;
}

static bool is_complete(const struct verify_shared *vs, const struct verify_file *vf)
{
	for (size_t i = 0; i < vs->set.count; i++)
		if ((vf->d.skip >> i & 1) == 0 && !vf->d.value[i].done)
			return false;
	return true;
}

static void add_digests(const struct verify_shared *vs, struct bm_file *f, const struct verify_file *vf)
{
	/* All blocks are as on record, so the whole is. */
	if (f->verdict == BM_VERDICT_MISSING || (f->verdict == BM_VERDICT_OK && vf->d.skip == ~UINT32_C(0))) {
		for (size_t i = 0; i < vf->digest_count; i++) {
			const struct verify_digest *d = &vf->digests[i];
			const struct bm_digest_algorithm *a = vs->set.algorithms[d->algorithm];

			bm_file_add_digest(f, vs->set.index, a->name, d->bytes, a->size_bytes,
			                   vf->has_size ? vf->size_bytes : 0);
		}
		return;
	}
	for (size_t i = 0; i < vs->set.count; i++)
		if (vf->d.value[i].done)
			bm_file_add_digest(f, vs->set.index, vs->set.algorithms[i]->name, vf->d.value[i].out,
			                   vs->set.algorithms[i]->size_bytes, vf->d.length);
}

static enum bm_status verify_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w,
                                   struct bm_error *err)
{
	struct verify_shared *vs = shared;
	struct verify_file *vf = f->state[vs->set.index];

	if (vf == NULL)
		return BM_OK;
	f->verdict = verify_blocks_judge(vs, f, vf, good, w, err);
	if (f->verdict != BM_VERDICT_NONE)
		; /* blocks say it all */
	else if (vf->verdict != BM_VERDICT_NONE)
		f->verdict = vf->verdict;
	else if (good)
		f->verdict = judge_bytes(vs, f, vf, w, err);
	else if (f->read_failed)
		f->verdict = judge_unread(f, vf, vs->m->is_list, err);
	else if (is_complete(vs, vf)) /* another step failed: that is the file's error, whatever is found here */
		f->verdict = judge_bytes(vs, f, vf, w, err);
	else
		f->verdict = BM_VERDICT_NOT_CHECKED;
	if (err->status != BM_ERR_CANCELLED)
		add_digests(vs, f, vf);
	if (err->status != BM_ERR_CANCELLED && vs->p->known != NULL)
		verify_known_tell(vs, f, vf, err);
	if (vf->is_stray && f->verdict == BM_VERDICT_OK)
		f->verdict = BM_VERDICT_NEW;
	digest_file_end(&vs->set, &vf->d);
	verify_blocks_fini(vf);
	free(vf);
	f->state[vs->set.index] = NULL;
	return err->status;
}

/* ---- what is only here, or only there ---- */

static size_t list_digests(const struct verify_shared *vs, const struct bm_file_result *r, struct join_digest *out)
{
	size_t n = 0;

	for (size_t i = 0; i < r->digest_count && n < VERIFY_DIGESTS_MAX; i++) {
		const struct bm_file_digest *d = &r->digests[i];

		for (unsigned k = 0; k < vs->set.count && d->step == vs->set.index; k++)
			if (strcmp(vs->set.algorithms[k]->name, d->algorithm) == 0)
				out[n++] = (struct join_digest){k, d->bytes, d->len};
	}
	return n;
}

static enum bm_status verify_hold(void *shared, const struct bm_file_result *r, const void *record, size_t len,
                                  struct bm_error *err)
{
	struct verify_shared *vs = shared;
	struct join_digest digests[VERIFY_DIGESTS_MAX];
	struct join_item item = {
		.kind = r->verdict == BM_VERDICT_NEW       ? JOIN_NEW
	                : r->verdict == BM_VERDICT_MISSING ? JOIN_MISSING
	                                                   : JOIN_NOT_OK,
		.name = r->path,
		.name_len = strlen(r->path),
		.is_empty = r->verdict == BM_VERDICT_NEW && r->bytes == 0,
		.digests = digests,
		.record = record,
		.record_len = len,
	};

	if (vs->m->is_list)
		return BM_OK; /* nothing is compared in the end */
	if (vs->plan->holds_nothing)
		return BM_OK;
	if (item.kind != JOIN_NOT_OK)
		item.digest_count = list_digests(vs, r, digests);
	/* A source knows by itself which of its files are not well, and they do not come in order. */
	if (item.kind == JOIN_NOT_OK && vs->p->known != NULL)
		return BM_OK;
	return join_add(vs->join, &item, err);
}

struct lister { /* the manifest's entries for join_run */
	struct verify_shared *vs;
	struct join_digest digests[BM_MANIFEST_DIGESTS_MAX];
};

static bool list_next(void *ctx, const char **name, size_t *name_len, const struct join_digest **digests,
                      size_t *digest_count, struct bm_error *err)
{
	struct lister *l = ctx;
	const struct verify_manifest *m = l->vs->m;
	struct bm_manifest_entry e;
	size_t n = 0;

	if (bm_manifest_sorted_next(m->sorted, &e, err) != BM_MANIFEST_ENTRY)
		return false;
	for (size_t i = 0; i < e.digest_count; i++) {
		const struct bm_digest_algorithm *a = verify_algorithm(m, &e.digests[i]);

		for (unsigned k = 0; k < m->algorithm_count && a != NULL; k++)
			if (m->algorithms[k] == a)
				l->digests[n++] = (struct join_digest){k, e.digests[i].bytes, e.digests[i].len};
	}
	*name = e.name;
	*name_len = e.name_len;
	*digests = l->digests;
	*digest_count = n;
	return true;
}

static bool list_next_known(void *ctx, const char **name, size_t *name_len, const struct join_digest **digests,
                            size_t *digest_count, struct bm_error *err)
{
	struct lister *l = ctx;
	const struct bm_known_source *s = l->vs->p->known;
	struct bm_known k;

	if (!s->list(s->ctx, &k, err))
		return false;
	*digest_count = 0;
	for (unsigned i = 0; i < l->vs->set.count; i++)
		if (strcmp(l->vs->set.algorithms[i]->name, k.algorithm) == 0)
			l->digests[(*digest_count)++] = (struct join_digest){i, k.digest, k.digest_len};
	*name = k.path;
	*name_len = k.path_len;
	*digests = l->digests;
	return true;
}

struct giver {
	const struct bm_known_source *known; /* or NULL */
	bm_release_fn *give;
	void *ctx;
	const struct bm_error *gone; /* NULL: the directory is there */
};

static void give_one(void *ctx, const struct join_given *given)
{
	const struct giver *g = ctx;
	bool untold = given->verdict == BM_VERDICT_MISSING && g->gone != NULL;

	if (g->known != NULL && !untold)
		g->known->settled(g->known->ctx, given->verdict, given->name, given->other);
	g->give(g->ctx, given->record, given->record_len, untold ? BM_VERDICT_NOT_CHECKED : given->verdict,
	        given->other, untold ? g->gone : NULL);
}

static enum bm_status verify_release(void *shared, bool good, bm_release_fn *give, void *ctx, struct bm_error *err)
{
	struct verify_shared *vs = shared;
	struct lister *l = NULL;
	struct bm_error gone = BM_ERROR_INIT;
	const struct bm_known_source *known = vs->p->known;
	struct giver g = {known, give, ctx, NULL};
	const char *why;
	enum bm_status status = BM_OK, each;

	if (vs->m == NULL)
		return BM_OK;
	if (!verify_root_is_there(vs->m, &why)) {
		(void)bm_error_set(&gone, BM_ERR_FAILED, NULL, "%s", why);
		g.gone = &gone;
	} else if (good) {
		l = calloc(1, sizeof(*l));
		if (l == NULL)
			status = bm_error_set_nomem(err);
		else
			status = known != NULL ? known->rewind(known->ctx, err)
			                       : bm_manifest_sorted_rewind(vs->m->sorted, err);
		if (status == BM_OK) {
			l->vs = vs;
			status = join_run(vs->join, known != NULL ? list_next_known : list_next, l, err);
		}
		free(l);
	}
	each = join_each(vs->join, give_one, &g, err);
	return status != BM_OK ? status : each;
}

const struct bm_step_ops bm_verify_ops = {
	.load = verify_load,
	.unload = verify_unload,
	.prepare = verify_prepare,
	.expect = verify_expect,
	.opened = verify_opened,
	.close = verify_close,
	.hold = verify_hold,
	.release = verify_release,
	.destroy = verify_destroy,
	.describe = verify_describe,
};

/* ---- what it takes: the rows of the table of steps, see steps.c ---- */

static const char *const format_values[] = {
	[BM_MANIFEST_KIND_AUTO] = "auto",     [BM_MANIFEST_KIND_GNU] = "gnu",
	[BM_MANIFEST_KIND_BSD] = "bsd",       [BM_MANIFEST_KIND_HASHDEEP] = "hashdeep",
	[BM_MANIFEST_KIND_BAGIT] = "bagit",   [BM_MANIFEST_KIND_JSON] = "json",
	[BM_MANIFEST_KIND_SFV] = "sfv",       [BM_MANIFEST_KIND_RCLONE] = "rclone",
	[BM_MANIFEST_KIND_XXHSUM] = "xxhsum", NULL,
};

static const struct bm_option verify_options[] = {
	{
		.name = "manifest",
		.type = BM_OPTION_TEMPLATE,
		.offset = offsetof(struct bm_verify_params, manifest),
		.required = true,
		.placeholders = BM_STEP_VERIFY_PLACEHOLDERS,
		.help = "the list of digests to compare with; its names are relative to the directory that is read; \"-\" for "
			"standard input",
	},
	{
		.name = "format",
		.type = BM_OPTION_ENUM,
		.offset = offsetof(struct bm_verify_params, format),
		.default_json = "\"auto\"",
		.values = format_values,
		.help = "of the manifest; auto: found out",
	},
	{
		.name = "algorithm",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_verify_params, algorithm),
		.min = 1,
		.max = 64,
		.help = "of digests whose lines do not say; without it the manifest's name says (SHA256SUMS), or a few small "
			"files are tried",
	},
	{
		.name = "strip",
		.type = BM_OPTION_STRING,
		.offset = offsetof(struct bm_verify_params, strip),
		.min = 1,
		.max = 4096,
		.help = "a directory that names in the manifest begin with and lose; names without it are left out",
	},
	{
		.name = "report_new",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_verify_params, report_new),
		.default_json = "true",
		.help = "false: files that are not in the manifest are passed over, so that what has moved is missing",
	},
	{
		.name = "report_missing",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_verify_params, report_missing),
		.default_json = "true",
		.help = "false: files that are only in the manifest are passed over",
	},
	{
		.name = "always_read",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_verify_params, always_read),
		.default_json = "false",
		.help = "read a file whose size alone says that it has changed, too",
	},
	{
		.name = "strict",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_verify_params, strict),
		.default_json = "false",
		.help = "one bad line in the manifest, and nothing is done",
	},
	{
		.name = "allow_unsafe",
		.type = BM_OPTION_BOOL,
		.offset = offsetof(struct bm_verify_params, allow_unsafe),
		.default_json = "false",
		.help = "take names that are absolute, or that \"..\" may lead out of the directory; else these are bad lines",
	},
	{
		.name = "max_duration",
		.type = BM_OPTION_DURATION,
		.offset = offsetof(struct bm_verify_params, max_duration),
		.help = "what is not read by then is not-checked",
	},
};

const struct bm_step_kind bm_verify_kind = {
	.name = "verify",
	.role = BM_ROLE_LOOK,
	.reads_manifest = true,
	.help = "compares the files of a directory with a manifest, and lets only those through that are as it says, or that "
		"it does not know",
	BM_STEP_OPTIONS(verify_options),
	.ops = &bm_verify_ops,
};
