/*
 * audit_catalog.c - see bm_audit_catalog.h.
 *
 * The listing (audit_catalog_next.c) goes through the root's records side by side with the walk. A file that is as on
 * record (size, mtime, ctime, inode: one stat) is passed over; one that is new or is not as on record is read at once; a
 * record without a file is given out too, since only the attempt to open it tells what is missing from what cannot be
 * reached. When the walk is over comes what is due, the oldest first. A due file is looked at once more before it is
 * given out: one that was found missing or changed in the first part has had its turn.
 *
 * What is found goes into the catalog's queue as soon as a file is through, from whatever thread, and into the database
 * half a second later: a kill loses that, and the files in flight. What moved is only known in the end, when all that is
 * new and all that is missing is known: a new file has a record of its own by then, which the old one is put over. An
 * audit that was killed before that has left both. So where something is missing, files that came on record since the last
 * complete audit and have the digest of one that is missing are read once more, and are new ones where they still have it
 * (the strays). Such a file that has to be read anyhow, as it was touched since, is held back until the walk is over: only
 * then is it known which it is.
 *
 * Limits: nothing is begun once the time is up, nor what would go beyond max_bytes; what is larger than max_bytes by
 * itself is read in parts (audit_catalog_blocks.c) or, where it has no blocks, left and told. percent bounds the due
 * alone.
 */
#include "audit_catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_text.h"

#define DAY_MS ((uint64_t)24 * 3600 * 1000)
#define DAY_NS (INT64_C(24) * 3600 * 1000000000)
#define DEFAULT_ALGORITHM "sha256"

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

/* Those of the files on record, which are compared by what they have, besides the one for new files. */
static enum bm_status find_algorithms(struct bm_audit_catalog *a, struct bm_error *err)
{
	const char *names[AUDIT_CATALOG_ALGORITHMS - 1];
	size_t count = 0;
	enum bm_status status =
		bm_catalog_root_algorithms(a->c, a->root.id, names, AUDIT_CATALOG_ALGORITHMS - 1, &count, err);

	if (status == BM_OK && count == 1 && a->o.algorithm == NULL && bm_digest_find(names[0]) != NULL)
		a->algorithms[0] = names[0];
	for (size_t i = 0; status == BM_OK && i < count; i++)
		if (strcmp(names[i], a->algorithms[0]) != 0 && bm_digest_find(names[i]) != NULL)
			a->algorithms[a->source.algorithm_count++] = names[i];
	return status;
}

static int64_t earliest(int64_t a, int64_t b, int64_t c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

static enum bm_status find_limits(struct bm_audit_catalog *a, struct bm_error *err)
{
	const struct bm_audit_catalog_options *o = &a->o;
	struct bm_catalog_coverage *sum;
	uint64_t age_ms;
	enum bm_status status;

	a->is_limited = o->has_max_duration || o->max_bytes > 0 || o->percent > 0;
	age_ms = o->has_older_than ? o->older_than_ms : a->is_limited ? 0 : 30 * DAY_MS;
	a->before_ns = age_ms < (uint64_t)a->started_ns / 1000000 ? a->started_ns - (int64_t)age_ms * 1000000 : 0;
	a->due_budget = UINT64_MAX;
	sum = calloc(1, sizeof(*sum));
	if (sum == NULL)
		return bm_error_set_nomem(err);
	status = bm_catalog_coverage(a->c, a->root.id, &a->started_ns, 1, sum, err);
	if (status == BM_OK && o->percent > 0)
		a->due_budget = sum->all.bytes / 100 * o->percent + sum->all.bytes % 100 * o->percent / 100;
	if (status == BM_OK && !a->is_limited)
		a->at_once_ns = earliest(a->before_ns, a->root.audited_ns + 1,
		                         sum->oldest_ns != 0 ? sum->oldest_ns + DAY_NS : INT64_MAX);
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
	a->source = (struct bm_known_source){
		.ctx = a,
		.name = "the catalog",
		.algorithms = a->algorithms,
		.algorithm_count = 1,
		.next = audit_catalog_next,
		.found = audit_catalog_found,
		.settled = audit_catalog_settled,
		.rewind = audit_catalog_rewind,
		.list = audit_catalog_list,
	};
	a->started_ns = bm_catalog_now();
	if (o->dry_run)
		return BM_OK;
	status = bm_catalog_open(&co, &a->c, err);
	if (status == BM_OK)
		status = find_root(a, err);
	if (status == BM_OK)
		status = find_algorithms(a, err);
	if (status == BM_OK)
		status = find_limits(a, err);
	if (status == BM_OK)
		status = audit_catalog_blocks_load(a, err);
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
	a->stats.carried = atomic_load(&a->carried);
	a->strays_left = a->strays_left || (a->strays.len > 0 && a->stats.cut + a->stats.carried > 0);
	*stats = a->stats;
	if (audit_catalog_has_failed(a, err))
		return a->error.status;
	if (a->c != NULL)
		status = bm_catalog_flush(a->c, err);
	if (status == BM_OK && a->c != NULL && complete && !a->o.is_partial && a->source.gone == NULL)
		status = audit_catalog_blocks_clean(a, err);
	if (status == BM_OK && a->c != NULL && complete && !a->o.is_partial && a->source.gone == NULL &&
	    !a->strays_left)
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
	bm_catalog_ages_destroy(a->ages);
	bm_catalog_files_close(a->listed);
	bm_catalog_files_close(a->fresh);
	bm_catalog_root_fini(&a->root);
	audit_catalog_blocks_fini(a);
	free(a->missing);
	bm_buf_fini(&a->strays);
	bm_buf_fini(&a->held);
	(void)!bm_catalog_close(a->c, &ignored);
	if (a->root_fd >= 0)
		close(a->root_fd);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
