/*
 * audit_catalog.c - see bm_audit_catalog.h.
 *
 * next() goes through the root's records side by side with the walk. A file that is as on record (size, mtime, ctime,
 * inode: one stat) is passed over; one that is new or is not as on record is read at once; a record without a file is
 * given out too, since only the attempt to open it tells what is missing from what cannot be reached. When the walk is
 * over comes what is due, the oldest first. A due file is looked at once more before it is given out: one that was found
 * missing or changed in the first part has had its turn.
 *
 * What is found goes into the catalog's queue as soon as a file is through, from whatever thread, and into the database
 * half a second later: a kill loses that, and the files in flight. What moved is only known in the end, when all that is
 * new and all that is missing is known: a new file has a record of its own by then, which the old one is put over. An
 * audit that was killed before that leaves the old record as missing.
 *
 * Limits: nothing is begun once the time is up, nor what would go beyond max_bytes; what is larger than max_bytes by
 * itself is left and told. percent bounds the due alone.
 */
#include "bm_audit_catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bm_audit.h"
#include "bm_error.h"
#include "bm_text.h"
#include "bm_walk.h"

#define DAY_MS ((uint64_t)24 * 3600 * 1000)
#define DEFAULT_ALGORITHM "sha256"

struct bm_audit_catalog {
	struct bm_audit_catalog_options o;
	struct bm_catalog *c;
	struct bm_catalog_root root;
	struct bm_known_source source;
	const char *algorithms[2];
	char gone[256];
	int64_t started_ns, before_ns;
	uint64_t deadline_ms; /* 0: none */
	uint64_t due_budget;  /* bytes; UINT64_MAX: no limit */

	/* next() only, down to stats */
	struct bm_catalog_files *files;
	const struct bm_catalog_file *row; /* files' present one, not yet used up */
	bool rows_over, walk_over, due_over;
	struct bm_catalog_files *due;
	int root_fd;
	uint64_t due_bytes;
	struct bm_audit_catalog_stats stats;

	struct bm_catalog_files *listed; /* rewind and list only */
	struct bm_catalog_files *fresh;  /* settled only */
	atomic_uint_fast64_t cut;
	pthread_mutex_t lock;  /* error */
	struct bm_error error; /* the catalog's first one while the job ran */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- what comes next ---- */

static void fill(struct bm_known *k, const struct bm_catalog_file *f)
{
	*k = (struct bm_known){
		.path = f->path,
		.path_len = f->path_len,
		.algorithm = f->algorithm != NULL ? f->algorithm : "",
		.digest = f->digest,
		.digest_len = f->digest_len,
		.size = f->size,
		.mtime_ns = f->mtime_ns,
		.ctime_ns = f->ctime_ns,
		.inode = f->inode,
		.was_damaged = f->state == BM_CATALOG_DAMAGED,
	};
}

static bool is_same(const struct bm_catalog_file *f, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == f->size && ns_of(st->st_mtim) == f->mtime_ns &&
	       ns_of(st->st_ctim) == f->ctime_ns && (uint64_t)st->st_ino == f->inode;
}

static int compare(const struct bm_catalog_file *f, const struct bm_entry *e)
{
	size_t n = f->path_len < e->path_len ? f->path_len : e->path_len;
	int order = memcmp(f->path, e->path, n);

	return order != 0 ? order : (f->path_len > e->path_len) - (f->path_len < e->path_len);
}

static bool time_is_out(const struct bm_audit_catalog *a)
{
	return a->deadline_ms > 0 && now_ms() >= a->deadline_ms;
}

/* May a file of that size be read? If so it is counted as read, else as left. */
static bool has_room(struct bm_audit_catalog *a, uint64_t size)
{
	uint64_t max = a->o.max_bytes;

	if (a->source.gone != NULL)
		return true;
	if (max > 0 && size > max) {
		a->stats.too_large.files++;
		a->stats.too_large.bytes += size;
	} else if (!time_is_out(a) && (max == 0 || size <= max - a->stats.read.bytes)) {
		a->stats.read.files++;
		a->stats.read.bytes += size;
		return true;
	}
	a->stats.left.files++;
	a->stats.left.bytes += size;
	return false;
}

static enum bm_known_next judge_walked(struct bm_audit_catalog *a, const struct bm_entry *e,
                                       const struct bm_catalog_file *row, struct bm_known *known)
{
	struct stat st = {0};
	bool has_stat = false;

	if (e->kind != BM_ENTRY_ERROR && (row != NULL || a->o.max_bytes > 0))
		has_stat = bm_entry_stat(e, a->o.follow, &st) == 0;
	if (row != NULL)
		fill(known, row);
	if (row != NULL && row->state == BM_CATALOG_OK && has_stat && is_same(row, &st) && a->source.gone == NULL) {
		a->stats.passed++;
		return BM_KNOWN_PASS;
	}
	if (!has_room(a, has_stat ? (uint64_t)st.st_size : 0))
		return BM_KNOWN_PASS;
	return row != NULL ? BM_KNOWN_READ : BM_KNOWN_NEW;
}

/* A record without an entry in the walk: it is missing, or it stands behind a link that is not followed, and is then
 * passed over like any other file, or left. */
static bool is_behind_link(struct bm_audit_catalog *a, const struct bm_catalog_file *row)
{
	struct stat st;

	if (a->source.gone != NULL || fstatat(a->root_fd, row->path, &st, 0) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (row->state != BM_CATALOG_OK || !is_same(row, &st))
		return !has_room(a, (uint64_t)st.st_size);
	a->stats.passed++;
	return true;
}

static enum bm_known_next next_walked(struct bm_audit_catalog *a, const struct bm_entry *walked,
                                      const struct bm_known_ask *ask, struct bm_known *known, struct bm_error *err)
{
	for (;;) {
		const struct bm_catalog_file *row = a->row;
		int order;

		if (row == NULL && !a->rows_over) {
			if (bm_catalog_files_next(a->files, &a->row, err) != BM_OK)
				return BM_KNOWN_FAILED;
			a->rows_over = a->row == NULL;
			row = a->row;
		}
		if (row == NULL && walked == NULL)
			return BM_KNOWN_END;
		order = row == NULL ? 1 : walked == NULL ? -1 : compare(row, walked);
		if (order > 0)
			return judge_walked(a, walked, NULL, known);
		a->row = NULL;
		if (order == 0)
			return judge_walked(a, walked, row, known);
		if (!ask->takes(ask->arg, row->path, row->path_len) || is_behind_link(a, row))
			continue;
		fill(known, row);
		return BM_KNOWN_EXTRA;
	}
}

static enum bm_known_next next_due(struct bm_audit_catalog *a, const struct bm_known_ask *ask, struct bm_known *known,
                                   struct bm_error *err)
{
	const struct bm_catalog_file *row;
	struct stat st;

	if (a->due == NULL && bm_catalog_files_open_due(a->c, a->root.id, a->before_ns, &a->due, err) != BM_OK)
		return BM_KNOWN_FAILED;
	for (;;) {
		if (bm_catalog_files_next(a->due, &row, err) != BM_OK)
			return BM_KNOWN_FAILED;
		if (row == NULL)
			return BM_KNOWN_END;
		if (!ask->takes(ask->arg, row->path, row->path_len))
			continue;
		if (a->due_bytes >= a->due_budget || time_is_out(a)) { /* a million may follow: they are but counted */
			a->stats.left.files++;
			a->stats.left.bytes += row->size;
			a->stats.passed -= a->stats.passed > 0;
			continue;
		}
		if (fstatat(a->root_fd, row->path, &st, 0) != 0 || !is_same(row, &st))
			continue;
		a->stats.passed -= a->stats.passed > 0;
		if (!has_room(a, row->size))
			continue;
		a->due_bytes += row->size;
		fill(known, row);
		return BM_KNOWN_EXTRA;
	}
}

/* The catalog's own trouble, such as a full disk: nothing that is read from here on would count. */
static bool has_failed(struct bm_audit_catalog *a, struct bm_error *err)
{
	bool failed;

	pthread_mutex_lock(&a->lock);
	failed = a->error.status != BM_OK;
	if (failed && err != NULL)
		*err = a->error;
	pthread_mutex_unlock(&a->lock);
	return failed;
}

static enum bm_known_next next(void *ctx, const struct bm_entry *walked, const struct bm_known_ask *ask,
                               struct bm_known *known, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;
	enum bm_known_next n = BM_KNOWN_END;

	if (has_failed(a, err))
		return BM_KNOWN_FAILED;
	if (a->files == NULL && !a->walk_over) {
		a->deadline_ms = a->o.has_max_duration ? now_ms() + a->o.max_duration_ms : 0;
		if (bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->files, err) != BM_OK)
			return BM_KNOWN_FAILED;
	}
	if (!a->walk_over)
		n = next_walked(a, walked, ask, known, err);
	if (n != BM_KNOWN_END || a->due_over)
		return n;
	if (!a->walk_over) {
		a->walk_over = true;
		bm_catalog_files_close(a->files);
		a->files = NULL;
	}
	a->due_over = a->source.gone != NULL || a->root_fd < 0;
	if (!a->due_over)
		n = next_due(a, ask, known, err);
	a->due_over = a->due_over || n == BM_KNOWN_END;
	return n;
}

/* ---- what was found ---- */

static void note_error(struct bm_audit_catalog *a, const struct bm_error *err)
{
	pthread_mutex_lock(&a->lock);
	if (a->error.status == BM_OK)
		a->error = *err;
	pthread_mutex_unlock(&a->lock);
}

static enum bm_status put(struct bm_audit_catalog *a, const struct bm_known_found *f, enum bm_catalog_how how,
                          struct bm_error *err)
{
	int64_t now = bm_catalog_now();
	struct bm_catalog_file file = {
		.path = f->path,
		.path_len = f->path_len,
		.algorithm = f->algorithm,
		.digest = f->digest,
		.digest_len = f->digest_len,
		.first_seen_ns = now,
		.verified_ns = now,
		.how = how,
	};

	if (f->st == NULL || f->digest == NULL || !S_ISREG(f->st->st_mode))
		return BM_OK;
	file.size = (uint64_t)f->st->st_size;
	file.mtime_ns = ns_of(f->st->st_mtim);
	file.ctime_ns = ns_of(f->st->st_ctim);
	file.inode = (uint64_t)f->st->st_ino;
	return bm_catalog_file_put(a->c, a->root.id, &file, NULL, err);
}

static enum bm_status mark(struct bm_audit_catalog *a, const char *path, size_t len, enum bm_catalog_file_state state,
                           const char *note, struct bm_error *err)
{
	return bm_catalog_file_mark(a->c, a->root.id, path, len, state, bm_catalog_now(), note, err);
}

static void found(void *ctx, const struct bm_known_found *f)
{
	struct bm_audit_catalog *a = ctx;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	switch (f->verdict) {
	case BM_VERDICT_NEW:
		status = put(a, f, BM_CATALOG_HASHED, &err);
		break;
	case BM_VERDICT_OK:
		if (f->is_touched)
			status = put(a, f, BM_CATALOG_VERIFIED, &err);
		else
			status = bm_catalog_file_verified(a->c, a->root.id, f->path, f->path_len, bm_catalog_now(),
			                                  BM_CATALOG_VERIFIED, &err);
		break;
	case BM_VERDICT_CHANGED:
		if (f->is_sure)
			status = put(a, f, BM_CATALOG_HASHED, &err);
		break;
	case BM_VERDICT_ROTTED:
		if ((a->o.update & BM_AUDIT_BIT(BM_VERDICT_ROTTED)) != 0 && f->is_sure)
			status = put(a, f, BM_CATALOG_HASHED, &err);
		else
			status = mark(a, f->path, f->path_len, BM_CATALOG_DAMAGED, f->error, &err);
		break;
	case BM_VERDICT_UNREADABLE:
		if (!f->was_damaged) /* that is worth more */
			status = mark(a, f->path, f->path_len, BM_CATALOG_UNREADABLE, f->error, &err);
		break;
	case BM_VERDICT_NOT_CHECKED:
		if (f->is_cut)
			atomic_fetch_add(&a->cut, 1);
		break;
	case BM_VERDICT_NONE:
	case BM_VERDICT_MOVED:
	case BM_VERDICT_DUPLICATE:
	case BM_VERDICT_MISSING:
	case BM_VERDICT_CHANGED_WHILE_READING:
		break;
	}
	if (status != BM_OK)
		note_error(a, &err);
}

/* The old record, and with it since when the file is known, under the new name; what was just found out of it stays. */
static enum bm_status move(struct bm_audit_catalog *a, const char *path, const char *from, struct bm_error *err)
{
	const struct bm_catalog_file *row = NULL;
	struct bm_catalog_file copy;
	uint8_t digest[64];
	enum bm_status status = BM_OK;

	if (a->fresh == NULL)
		status = bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->fresh, err);
	if (status == BM_OK)
		status = bm_catalog_files_find(a->fresh, path, strlen(path), &row, err);
	if (status != BM_OK || row == NULL || row->digest_len > sizeof(digest))
		return status;
	copy = *row;
	memcpy(digest, row->digest, row->digest_len);
	copy.path = path;
	copy.digest = digest;
	status = bm_catalog_file_move(a->c, a->root.id, from, strlen(from), path, strlen(path), err);
	if (status == BM_OK)
		status = bm_catalog_file_put(a->c, a->root.id, &copy, NULL, err);
	return status;
}

static void settled(void *ctx, enum bm_verdict verdict, const char *path, const char *other)
{
	struct bm_audit_catalog *a = ctx;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	if (verdict == BM_VERDICT_MOVED && other != NULL)
		status = move(a, path, other, &err);
	else if (verdict == BM_VERDICT_MISSING && (a->o.update & BM_AUDIT_BIT(BM_VERDICT_MISSING)) != 0)
		status = bm_catalog_file_delete(a->c, a->root.id, path, strlen(path), &err);
	else if (verdict == BM_VERDICT_MISSING)
		status = mark(a, path, strlen(path), BM_CATALOG_MISSING, NULL, &err);
	if (status != BM_OK)
		note_error(a, &err);
}

static enum bm_status rewind_listed(void *ctx, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;

	bm_catalog_files_close(a->listed);
	a->listed = NULL;
	return bm_catalog_files_open(a->c, a->root.id, NULL, 0, &a->listed, err);
}

static bool list(void *ctx, struct bm_known *known, struct bm_error *err)
{
	struct bm_audit_catalog *a = ctx;
	const struct bm_catalog_file *row;

	do {
		if (bm_catalog_files_next(a->listed, &row, err) != BM_OK || row == NULL)
			return false;
	} while (row->state != BM_CATALOG_OK || row->first_seen_ns >= a->started_ns || row->algorithm == NULL);
	fill(known, row);
	return true;
}

/* ---- the beginning ---- */

enum bm_status bm_audit_catalog_root(const char *root, char **out, struct bm_error *err)
{
	struct bm_buf b = {0};
	char *cwd;

	*out = realpath(root, NULL);
	if (*out != NULL)
		return BM_OK;
	if (root[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL)
			return bm_error_set_errno(err, errno, NULL, "the working directory cannot be found");
		bm_buf_puts(&b, cwd);
		bm_buf_putc(&b, '/');
		free(cwd);
	}
	while (root[0] == '.' && root[1] == '/')
		root += 2;
	bm_buf_puts(&b, root);
	while (!b.oom && b.len > 1 && b.data[b.len - 1] == '/')
		b.data[--b.len] = '\0';
	*out = bm_buf_take(&b);
	return *out != NULL ? BM_OK : bm_error_set_nomem(err);
}

static enum bm_status look_at_place(struct bm_audit_catalog *a, const char *shown, struct bm_error *err)
{
	static const char *const texts[] = {
		[BM_CATALOG_OTHER_DEVICE] = "the directory %s is on another file system than before: is the right disk "
					    "mounted? (--new-place, if it is)",
		[BM_CATALOG_EMPTY] = "the directory %s is empty: is its disk mounted?",
	};
	struct bm_catalog_place place;
	enum bm_catalog_presence presence;
	struct bm_error local = BM_ERROR_INIT;
	int why;
	enum bm_status status;

	if (a->o.new_place && bm_catalog_place_get(a->root.path, &place, NULL, &local) == BM_OK) {
		status = bm_catalog_root_set_place(a->c, a->root.id, &place, err);
		if (status != BM_OK)
			return status;
		a->root.place = place;
		a->root.has_place = true;
	}
	status = bm_catalog_root_presence(a->c, &a->root, &presence, &why, err);
	if (status != BM_OK || presence == BM_CATALOG_PRESENT)
		return status;
	if (presence == BM_CATALOG_ABSENT) {
		bm_error_clear(&local);
		(void)bm_error_set_errno(&local, why, NULL, "the directory %s cannot be looked at", shown);
		snprintf(a->gone, sizeof(a->gone), "%.250s", local.text);
	} else {
		/* The texts above are formats with one %s. */
		const char *text = texts[presence], *at = strstr(text, "%s");

		snprintf(a->gone, sizeof(a->gone), "%.*s%s%s", (int)(at - text), text, shown, at + 2);
	}
	a->source.gone = a->gone;
	return BM_OK;
}

static enum bm_status find_root(struct bm_audit_catalog *a, struct bm_error *err)
{
	struct bm_catalog_place place;
	struct bm_error absent = BM_ERROR_INIT;
	char *path = NULL;
	char shown[120];
	bool found_it = false, is_there;
	struct stat st;
	enum bm_status status;

	bm_escape_display_buf(shown, sizeof(shown), a->o.root, strlen(a->o.root));
	if (stat(a->o.root, &st) == 0 && !S_ISDIR(st.st_mode))
		return bm_error_set(err, BM_ERR_USAGE, shown, "is not a directory");
	status = bm_audit_catalog_root(a->o.root, &path, err);
	if (status != BM_OK)
		return status;
	is_there = bm_catalog_place_get(path, &place, NULL, &absent) == BM_OK;
	status = bm_catalog_root_find(a->c, path, strlen(path), &a->root, &found_it, err);
	if (status == BM_OK && !found_it && !is_there)
		status = bm_error_set(err, BM_ERR_USAGE, shown, "is not there, and the catalog knows nothing of it");
	if (status == BM_OK && is_there && (!found_it || !a->root.has_place)) {
		bm_catalog_root_fini(&a->root);
		status = bm_catalog_root_add(a->c, path, strlen(path), &place, a->started_ns, &a->root, err);
	}
	free(path);
	return status == BM_OK ? look_at_place(a, shown, err) : status;
}

static enum bm_status find_limits(struct bm_audit_catalog *a, struct bm_error *err)
{
	const struct bm_audit_catalog_options *o = &a->o;
	bool is_limited = o->has_max_duration || o->max_bytes > 0 || o->percent > 0;
	uint64_t age_ms = o->has_older_than ? o->older_than_ms : is_limited ? 0 : 30 * DAY_MS;
	struct bm_catalog_coverage *sum;
	enum bm_status status;

	a->before_ns = age_ms < (uint64_t)a->started_ns / 1000000 ? a->started_ns - (int64_t)age_ms * 1000000 : 0;
	a->due_budget = UINT64_MAX;
	sum = calloc(1, sizeof(*sum));
	if (sum == NULL)
		return bm_error_set_nomem(err);
	status = bm_catalog_coverage(a->c, a->root.id, &a->started_ns, 1, sum, err);
	if (status == BM_OK && o->percent > 0)
		a->due_budget = sum->all.bytes / 100 * o->percent + sum->all.bytes % 100 * o->percent / 100;
	for (size_t i = 0; i < 4; i++)
		a->source.has_files = a->source.has_files || sum->state[i].files > 0;
	free(sum);
	return status;
}

enum bm_status bm_audit_catalog_create(const struct bm_audit_catalog_options *o, struct bm_audit_catalog **out,
                                       struct bm_error *err)
{
	struct bm_audit_catalog *a = calloc(1, sizeof(*a));
	struct bm_catalog_options co = {.dir = o->dir};
	enum bm_status status = BM_OK;

	*out = a;
	if (a == NULL)
		return bm_error_set_nomem(err);
	a->o = *o;
	a->root_fd = -1;
	bm_error_clear(&a->error);
	(void)pthread_mutex_init(&a->lock, NULL);
	a->algorithms[0] = o->algorithm != NULL ? o->algorithm : DEFAULT_ALGORITHM;
	a->algorithms[1] = DEFAULT_ALGORITHM;
	a->source = (struct bm_known_source){
		.ctx = a,
		.name = "the catalog",
		.algorithms = a->algorithms,
		.algorithm_count = strcmp(a->algorithms[0], DEFAULT_ALGORITHM) == 0 ? 1 : 2,
		.next = next,
		.found = found,
		.settled = settled,
		.rewind = rewind_listed,
		.list = list,
	};
	a->started_ns = bm_catalog_now();
	if (o->dry_run)
		return BM_OK;
	status = bm_catalog_open(&co, &a->c, err);
	if (status == BM_OK)
		status = find_root(a, err);
	if (status == BM_OK)
		status = find_limits(a, err);
	if (status == BM_OK)
		a->root_fd = open(a->root.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (status != BM_OK) {
		bm_audit_catalog_destroy(a);
		*out = NULL;
	}
	return status;
}

const struct bm_known_source *bm_audit_catalog_source(const struct bm_audit_catalog *a)
{
	return &a->source;
}

/* ---- the end ---- */

enum bm_status bm_audit_catalog_finish(struct bm_audit_catalog *a, bool complete, struct bm_audit_catalog_stats *stats,
                                       struct bm_error *err)
{
	enum bm_status status = BM_OK;

	a->stats.cut = atomic_load(&a->cut);
	*stats = a->stats;
	if (has_failed(a, err))
		return a->error.status;
	if (a->c != NULL)
		status = bm_catalog_flush(a->c, err);
	if (status == BM_OK && a->c != NULL && complete && !a->o.is_partial && a->source.gone == NULL)
		status = bm_catalog_root_set_audited(a->c, a->root.id, bm_catalog_now(), err);
	return status;
}

enum bm_status bm_audit_catalog_coverage(struct bm_audit_catalog *a, const int64_t *since_ns, size_t count,
                                         struct bm_catalog_coverage *out, struct bm_error *err)
{
	memset(out, 0, sizeof(*out));
	return a->c != NULL ? bm_catalog_coverage(a->c, a->root.id, since_ns, count, out, err) : BM_OK;
}

void bm_audit_catalog_destroy(struct bm_audit_catalog *a)
{
	struct bm_error ignored = BM_ERROR_INIT; /* told by finish */

	if (a == NULL)
		return;
	bm_catalog_files_close(a->files);
	bm_catalog_files_close(a->due);
	bm_catalog_files_close(a->listed);
	bm_catalog_files_close(a->fresh);
	bm_catalog_root_fini(&a->root);
	(void)!bm_catalog_close(a->c, &ignored);
	if (a->root_fd >= 0)
		close(a->root_fd);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
