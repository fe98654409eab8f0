/*
 * audit_repair.c - see bm_audit_repair.h: which files, and their lines in the manifest.
 *
 * Names are kept while the audit runs. Then the manifest is read once more, and each file is seen to at its line
 * (repair_file.c), one after the other: damage is rare, and a disk that has some is not to be hurried.
 */
#include "bm_audit_repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_names.h"
#include "bm_text.h"
#include "repair_file.h"

struct damaged {
	char *name; /* owned */
	enum bm_verdict verdict;
	bool is_done;
};

struct bm_audit_repair {
	char *manifest, *algorithm, *from, *root; /* root: real, once it runs */
	char *given_root;
	enum bm_manifest_kind kind;
	struct bm_audit_repair_options how; /* from: not to be used */
	struct bm_name_map map;
	struct damaged *files;
	size_t count, cap;
	bool oom;
};

static bool set_text(char **to, const char *text)
{
	*to = text != NULL ? bm_memdup0(text, strlen(text)) : NULL;
	return text == NULL || *to != NULL;
}

static char *root_of(const struct bm_audit_options *o)
{
	const char *slash = strrchr(o->manifest, '/');

	if (o->root != NULL)
		return bm_memdup0(o->root, strlen(o->root));
	return slash != NULL ? bm_memdup0(o->manifest, (size_t)(slash - o->manifest) + 1) : bm_memdup0(".", 1);
}

enum bm_status bm_audit_repair_create(const struct bm_audit_options *o, const struct bm_audit_repair_options *how,
                                      struct bm_audit_repair **out, struct bm_error *err)
{
	struct bm_audit_repair *r;
	char shown[256];
	struct stat st;
	enum bm_status status = BM_OK;

	*out = NULL;
	if (strcmp(o->manifest, "-") == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "a manifest on standard input cannot be read twice, as a repair needs it");
	bm_escape_display_buf(shown, sizeof(shown), how->from, strlen(how->from));
	if (stat(how->from, &st) != 0)
		return bm_error_set_errno(err, errno, shown, "cannot look at the copy's directory");
	if (!S_ISDIR(st.st_mode))
		return bm_error_set(err, BM_ERR_USAGE, shown, "is not a directory; wanted is one with a copy of ROOT");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->kind = o->kind;
	r->how = *how;
	r->given_root = root_of(o);
	if (r->given_root == NULL || !set_text(&r->manifest, o->manifest) || !set_text(&r->algorithm, o->algorithm) ||
	    !set_text(&r->from, how->from))
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = bm_name_map_init(&r->map, r->given_root, o->strip, o->allow_unsafe, err);
	if (status != BM_OK)
		bm_audit_repair_destroy(r);
	else
		*out = r;
	return status;
}

void bm_audit_repair_destroy(struct bm_audit_repair *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		free(r->files[i].name);
	free(r->files);
	free(r->manifest);
	free(r->algorithm);
	free(r->from);
	free(r->root);
	free(r->given_root);
	bm_name_map_fini(&r->map);
	free(r);
}

void bm_audit_repair_file(struct bm_audit_repair *r, const struct bm_file_result *f)
{
	if ((r->how.verdicts & BM_AUDIT_REPAIRABLE & BM_AUDIT_BIT(f->verdict)) == 0)
		return;
	if (r->count == r->cap) {
		size_t cap = r->cap > 0 ? r->cap * 2 : 64;
		struct damaged *more = bm_realloc_array(r->files, cap, sizeof(*more));

		if (more == NULL) {
			r->oom = true;
			return;
		}
		r->files = more;
		r->cap = cap;
	}
	r->files[r->count] = (struct damaged){bm_memdup0(f->path, strlen(f->path)), f->verdict, false};
	if (r->files[r->count].name == NULL)
		r->oom = true;
	else
		r->count++;
}

static int compare_files(const void *x, const void *y)
{
	const struct damaged *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static struct damaged *find_file(const struct bm_audit_repair *r, const char *name)
{
	struct damaged key = {.name = (char *)(uintptr_t)name};

	return bsearch(&key, r->files, r->count, sizeof(key), compare_files);
}

/* ---- the run ---- */

struct telling {
	void (*on_file)(void *ctx, const struct bm_audit_repaired *f);
	void *ctx;
	struct bm_audit_repair_stats *stats;
};

static void tell(const struct bm_audit_repair *r, const struct telling *t, struct damaged *f,
                 struct bm_audit_repaired *what)
{
	f->is_done = true;
	if (what->is_good) {
		t->stats->repaired++;
		if (!r->how.dry_run)
			t->stats->good[f->verdict]++;
	} else {
		t->stats->unrepaired++;
	}
	t->on_file(t->ctx, what);
}

static void see_to(struct bm_audit_repair *r, struct repair_job *job, const struct telling *t, struct damaged *f,
                   const struct bm_manifest_entry *e)
{
	struct bm_audit_repaired what = {.path = f->name, .verdict = f->verdict};
	struct bm_buf warnings = {0};
	struct bm_error err;

	bm_error_clear(&err);
	if (repair_file(job, f->name, e, &what, &warnings, &err) != BM_OK)
		what.text = err.text;
	else if (warnings.len > 0 && !warnings.oom)
		what.text = warnings.data;
	for (size_t i = 0; i < warnings.len && !warnings.oom; i++)
		if (warnings.data[i] == '\n')
			warnings.data[i] = i + 1 < warnings.len ? ';' : '\0';
	tell(r, t, f, &what);
	bm_buf_fini(&warnings);
}

static enum bm_status see_to_all(struct bm_audit_repair *r, struct repair_job *job, const struct telling *t,
                                 struct bm_error *err)
{
	struct bm_manifest_options options = {.kind = r->kind, .algorithm = r->algorithm};
	struct bm_manifest_reader *reader = NULL;
	enum bm_manifest_event event;
	struct bm_manifest_entry e;
	bool looked = false;
	enum bm_status status = bm_manifest_open_path(r->manifest, &options, &reader, err);

	if (status != BM_OK)
		return status;
	while ((event = bm_manifest_next(reader, &e, err)) != BM_MANIFEST_END && event != BM_MANIFEST_FAILED) {
		struct damaged *f;
		const char *name;
		size_t len;

		if (event != BM_MANIFEST_ENTRY)
			continue;
		if (!looked)
			(void)bm_name_map_look(&r->map, e.name, e.name_len); /* as it was done before the audit */
		looked = true;
		/* Of names that lead out of the root (--allow-unsafe) none is written to. */
		if (bm_name_map_apply(&r->map, e.name, e.name_len, &name, &len) != BM_NAME_TAKEN)
			continue;
		f = find_file(r, name);
		if (f == NULL || f->is_done)
			continue;
		if (name[0] == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 ||
		    strstr(name, "/../") != NULL || (len >= 3 && strcmp(name + len - 3, "/..") == 0)) {
			struct bm_audit_repaired what = {
				.path = f->name, .verdict = f->verdict, .text = "its name leads out of the directory"};

			tell(r, t, f, &what);
			continue;
		}
		see_to(r, job, t, f, &e);
	}
	bm_manifest_close(reader);
	return event == BM_MANIFEST_FAILED ? err->status : BM_OK;
}

enum bm_status bm_audit_repair_run(struct bm_audit_repair *r,
                                   void (*on_file)(void *ctx, const struct bm_audit_repaired *f), void *ctx,
                                   struct bm_audit_repair_stats *stats, struct bm_error *err)
{
	struct telling t = {on_file, ctx, stats};
	struct repair_job job = {.from = r->from, .is_stopped = r->how.is_stopped, .ctx = r->how.ctx};
	struct bm_error local = BM_ERROR_INIT;
	enum bm_status status = BM_OK;
	char run[48];

	*stats = (struct bm_audit_repair_stats){0};
	if (r->count == 0 && !r->oom)
		return BM_OK;
	qsort(r->files, r->count, sizeof(*r->files), compare_files);
	r->root = realpath(r->given_root, NULL);
	job.root = r->root;
	job.buf = malloc(REPAIR_PIECE);
	snprintf(run, sizeof(run), "audit-repair-%ld", (long)getpid());
	if (r->root == NULL)
		status = bm_error_set_errno(&local, errno, r->given_root, "cannot look at the directory");
	else if (job.buf == NULL)
		status = bm_error_set_nomem(&local);
	else if (!r->how.dry_run)
		status = bm_sink_set_create(run, BM_DURABLE_FILE, &job.set, &local);
	if (status == BM_OK)
		status = see_to_all(r, &job, &t, &local);
	for (size_t i = 0; i < r->count; i++) {
		struct bm_audit_repaired what = {.path = r->files[i].name,
		                                 .verdict = r->files[i].verdict,
		                                 .text = status == BM_OK ? "the manifest has no line of it now"
		                                                         : "the repair came to an end before it"};

		if (!r->files[i].is_done)
			tell(r, &t, &r->files[i], &what);
	}
	if (status == BM_OK && job.set != NULL)
		status = bm_sink_set_sync(job.set, &local);
	if (status == BM_OK && r->oom)
		status = bm_error_set_nomem(&local);
	bm_sink_set_destroy(job.set);
	bm_buf_fini(&job.swept);
	free(job.buf);
	if (status != BM_OK && err != NULL && err->status == BM_OK)
		*err = local;
	return status;
}
