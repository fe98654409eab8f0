/*
 * audit_update.c - brings a manifest up to date after an audit: what is to change, and how the file is replaced.
 *
 * The new manifest is written beside the old one and takes its name when it is complete and on the disk; before that the
 * old one gets a second name, with "~" behind it. So at any instant there is a whole manifest under the name, and
 * whatever went wrong, the one before is there too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_sink.h"
#include "bm_text.h"
#include "update_lines.h"

#define RUN_ID "audit-update"

struct bm_audit_update {
	char *path; /* real: a link to the manifest stays one */
	const char *place;
	char *algorithm;
	enum bm_manifest_kind kind;
	unsigned verdicts;
	struct stat st; /* as it was before the run */
	struct bm_name_map map;
	struct change *changes;
	size_t count, cap;
	bool oom;
};

enum bm_status bm_audit_update_create(const struct bm_audit_options *o, unsigned verdicts, struct bm_audit_update **out,
                                      struct bm_error *err)
{
	struct bm_audit_update *u;
	struct stat link;
	char shown[256];
	enum bm_status status = BM_OK;

	*out = NULL;
	if (strcmp(o->manifest, "-") == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "a manifest on standard input cannot be brought up to date");
	bm_escape_display_buf(shown, sizeof(shown), o->manifest, strlen(o->manifest));
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return bm_error_set_nomem(err);
	u->kind = o->kind;
	u->verdicts = verdicts;
	u->path = realpath(o->manifest, NULL);
	if (u->path == NULL || stat(u->path, &u->st) != 0)
		status = bm_error_set_errno(err, errno, shown, "cannot open the manifest");
	else if (!S_ISREG(u->st.st_mode))
		status = bm_error_set(err, BM_ERR_USAGE, shown,
		                      "is not a regular file, and cannot be brought up to date");
	if (status == BM_OK)
		u->place = lstat(o->manifest, &link) == 0 && S_ISLNK(link.st_mode) ? u->path : o->manifest;
	if (status == BM_OK && o->algorithm != NULL) {
		u->algorithm = bm_memdup0(o->algorithm, strlen(o->algorithm));
		if (u->algorithm == NULL)
			status = bm_error_set_nomem(err);
	}
	if (status == BM_OK) {
		const char *slash = strrchr(o->manifest, '/');
		char *dir = slash == NULL ? NULL : bm_memdup0(o->manifest, (size_t)(slash - o->manifest) + 1);

		status = bm_name_map_init(&u->map,
		                          o->root != NULL ? o->root
		                          : dir != NULL   ? dir
		                                          : ".",
		                          o->strip, o->allow_unsafe, err);
		free(dir);
	}
	if (status != BM_OK)
		bm_audit_update_destroy(u);
	else
		*out = u;
	return status;
}

void bm_audit_update_destroy(struct bm_audit_update *u)
{
	if (u == NULL)
		return;
	for (size_t i = 0; i < u->count; i++) {
		free(u->changes[i].name);
		free(u->changes[i].new_name);
		free(u->changes[i].digests);
		free(u->changes[i].blocks);
	}
	free(u->changes);
	free(u->path);
	free(u->algorithm);
	bm_name_map_fini(&u->map);
	free(u);
}

const char *bm_audit_update_place(const struct bm_audit_update *u)
{
	return u->place;
}

/* ---- what is to change ---- */

/* False: no memory. */
static bool fill_blocks(struct change *c, const struct bm_file_blocks *b)
{
	size_t len = b->count * b->digest_len;

	c->blocks = malloc(sizeof(*c->blocks) + len);
	if (c->blocks == NULL)
		return false;
	*c->blocks =
		(struct change_blocks){.size_bytes = b->size_bytes, .count = b->count, .digest_len = b->digest_len};
	snprintf(c->blocks->algorithm, sizeof(c->blocks->algorithm), "%s", b->algorithm);
	if (len > 0)
		memcpy(c->blocks->bytes, b->bytes, len);
	return true;
}

static bool fill_change(struct change *c, const struct bm_file_result *f)
{
	const char *name = f->verdict == BM_VERDICT_MOVED ? f->other : f->path;

	*c = (struct change){
		.verdict = f->verdict, .has_mtime = f->has_mtime, .mtime_ns = f->mtime_ns, .size_bytes = f->bytes};
	c->name = bm_memdup0(name, strlen(name));
	if (f->verdict == BM_VERDICT_MOVED)
		c->new_name = bm_memdup0(f->path, strlen(f->path));
	c->digests = bm_calloc_array(f->digest_count + 1, sizeof(*c->digests));
	for (size_t i = 0; i < f->digest_count && c->digests != NULL; i++) {
		struct change_digest *d = &c->digests[c->digest_count];

		if (f->digests[i].len > sizeof(d->bytes))
			continue;
		snprintf(d->name, sizeof(d->name), "%s", f->digests[i].algorithm);
		d->len = (uint8_t)f->digests[i].len;
		memcpy(d->bytes, f->digests[i].bytes, d->len);
		c->digest_count++;
	}
	if (f->blocks_count > 0 && !fill_blocks(c, &f->blocks[0]))
		return false;
	return c->name != NULL && c->digests != NULL && (f->verdict != BM_VERDICT_MOVED || c->new_name != NULL);
}

void bm_audit_update_file(struct bm_audit_update *u, const struct bm_file_result *f)
{
	/* A file that was not read, its size being wrong, has no new digest. */
	bool unread = (f->verdict == BM_VERDICT_CHANGED || f->verdict == BM_VERDICT_ROTTED) && f->digest_count == 0;

	if ((u->verdicts & BM_AUDIT_BIT(f->verdict)) == 0 || unread)
		return;
	if (u->count == u->cap) {
		size_t cap = u->cap > 0 ? u->cap * 2 : 64;
		struct change *more = bm_realloc_array(u->changes, cap, sizeof(*more));

		if (more == NULL) {
			u->oom = true;
			return;
		}
		u->changes = more;
		u->cap = cap;
	}
	if (!fill_change(&u->changes[u->count++], f))
		u->oom = true;
}

static bool is_add(const struct change *c)
{
	return c->verdict == BM_VERDICT_NEW || c->verdict == BM_VERDICT_DUPLICATE;
}

static int compare_changes(const void *x, const void *y)
{
	const struct change *a = x, *b = y;

	if (is_add(a) != is_add(b))
		return is_add(a) ? 1 : -1;
	return strcmp(a->name, b->name); /* bytes, as unsigned */
}

/* ---- writing ---- */

static enum bm_status put(void *sink, const void *data, size_t len, struct bm_error *err)
{
	return bm_sink_write(sink, data, len, false, NULL, err);
}

static enum bm_status copy_to(struct bm_sink_set *set, const char *from, const char *to, uint32_t mode,
                              struct bm_error *err)
{
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = mode};
	struct bm_sink *s = NULL;
	bool skipped;
	char buf[16384];
	size_t n;
	FILE *f = fopen(from, "re");
	enum bm_status status = f != NULL ? bm_sink_open(set, to, &o, NULL, &s, &skipped, err)
	                                  : bm_error_set_errno(err, errno, from, "cannot open");

	while (status == BM_OK && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		status = bm_sink_write(s, buf, n, false, NULL, err);
	if (status == BM_OK && ferror(f))
		status = bm_error_set_errno(err, EIO, from, "cannot read");
	if (f != NULL)
		fclose(f);
	if (status == BM_OK)
		return bm_sink_commit(s, NULL, -1, NULL, NULL, err);
	bm_sink_abort(s);
	return status;
}

/* The manifest gets a second name; where the file system has no hard links, the copy gets it. */
static enum bm_status keep_old(struct bm_sink_set *set, const struct bm_audit_update *u, struct bm_error *err)
{
	struct bm_buf name = {0};
	enum bm_status status = BM_OK;

	bm_buf_printf(&name, "%s~", u->path);
	if (name.oom) {
		status = bm_error_set_nomem(err);
	} else if ((unlink(name.data) != 0 && errno != ENOENT) || link(u->path, name.data) != 0) {
		if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK)
			status = copy_to(set, u->path, name.data, u->st.st_mode & 07777, err);
		else
			status = bm_error_set_errno(err, errno, name.data, "cannot keep the old manifest");
	}
	bm_buf_fini(&name);
	return status;
}

static bool is_unchanged(const struct bm_audit_update *u)
{
	struct stat now;

	return stat(u->path, &now) == 0 && now.st_dev == u->st.st_dev && now.st_ino == u->st.st_ino &&
	       now.st_size == u->st.st_size && now.st_mtim.tv_sec == u->st.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == u->st.st_mtim.tv_nsec;
}

static void count_changes(const struct bm_audit_update *u, struct bm_audit_update_stats *stats)
{
	for (size_t i = 0; i < u->count; i++) {
		const struct change *c = &u->changes[i];

		if (c->is_refused || is_add(c))
			continue;
		stats->changed += c->verdict == BM_VERDICT_CHANGED || c->verdict == BM_VERDICT_ROTTED;
		stats->moved += c->verdict == BM_VERDICT_MOVED;
		stats->removed += c->verdict == BM_VERDICT_MISSING;
	}
}

/* One update of a manifest at a time: the one that comes second would undo what it has not seen. The lock is on the file,
 * not on its name, so whoever gets it after another update finds by is_unchanged that it is too late. *fd, which may be -1,
 * holds it; a file system without locks has to do without. */
static enum bm_status lock(const struct bm_audit_update *u, int *fd, struct bm_error *err)
{
	*fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return BM_OK;
	return bm_error_set(err, BM_ERR_CONFLICT, u->path,
	                    "somebody else is bringing the manifest up to date; it was left as it is");
}

/* What a killed update left beside the manifest. */
static void sweep(const struct bm_audit_update *u)
{
	const char *slash = strrchr(u->path, '/');
	char *dir = bm_memdup0(u->path, slash == u->path ? 1 : (size_t)(slash - u->path));

	if (dir != NULL)
		(void)!bm_sink_sweep_runs(dir, (const char *const[]){RUN_ID}, 1, false, NULL, NULL);
	free(dir);
}

static enum bm_status write_new(struct bm_audit_update *u, struct bm_sink_set *set, struct update_writer *w,
                                struct bm_error *err)
{
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE, .mode = u->st.st_mode & 07777};
	struct bm_sink *s = NULL;
	bool skipped;
	enum bm_status status = bm_sink_open(set, u->path, &o, NULL, &s, &skipped, err);

	if (status != BM_OK)
		return status;
	w->put = put;
	w->sink = s;
	status = update_lines(w, err);
	if (status == BM_OK && !is_unchanged(u))
		status = bm_error_set(err, BM_ERR_CONFLICT, u->path,
		                      "the manifest was written by somebody else meanwhile; it was left as it is");
	if (status == BM_OK)
		status = keep_old(set, u, err);
	if (status == BM_OK)
		status = bm_sink_commit(s, NULL, -1, NULL, NULL, err);
	else
		bm_sink_abort(s);
	if (status == BM_OK)
		status = bm_sink_set_sync(set, err);
	return status;
}

enum bm_status bm_audit_update_write(struct bm_audit_update *u, void (*on_refused)(void *ctx, const char *text),
                                     void *ctx, struct bm_audit_update_stats *stats, struct bm_error *err)
{
	struct bm_manifest_options options = {.kind = u->kind, .algorithm = u->algorithm};
	struct update_writer w = {.map = &u->map,
	                          .options = &options,
	                          .path = u->path,
	                          .changes = u->changes,
	                          .on_refused = on_refused,
	                          .ctx = ctx,
	                          .stats = stats};
	struct bm_sink_set *set = NULL;
	struct bm_error local = BM_ERROR_INIT;
	enum bm_status status;
	int fd;

	*stats = (struct bm_audit_update_stats){0};
	if (u->oom)
		return bm_error_set_nomem(err);
	if (u->count == 0)
		return BM_OK;
	qsort(u->changes, u->count, sizeof(*u->changes), compare_changes);
	while (w.change_count < u->count && !is_add(&u->changes[w.change_count]))
		w.change_count++;
	w.add_count = u->count - w.change_count;
	status = lock(u, &fd, &local);
	if (status == BM_OK)
		status = bm_sink_set_create(RUN_ID, BM_DURABLE_FILE, &set, &local);
	if (status == BM_OK) {
		sweep(u);
		status = write_new(u, set, &w, &local);
	}
	bm_sink_set_destroy(set);
	if (fd >= 0)
		close(fd);
	if (status == BM_OK) {
		count_changes(u, stats);
		stats->is_written = true;
	} else if (err != NULL && err->status == BM_OK) {
		*err = local;
	}
	return status;
}
