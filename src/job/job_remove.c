/*
 * job_remove.c - "remove": inputs that go once all that was made of them is there for good.
 *
 * When is that? Each output has its name, its directory is synced, and it was read back. And the job's manifests, which
 * are published at its end, are there too: else a crash could leave outputs whose digests nobody has, and the next run,
 * which finds the inputs gone, would make a manifest without them. So a job with a manifest removes nothing before its
 * end: the inputs are noted in a temporary file meanwhile. Any other removes them group by group (job_group.c), so that
 * a move needs little more room than its largest group.
 *
 * What goes must be what was read: the same inode, size and time of change, looked at once more by the name below the
 * directory that was listed. What has become something else stays, and the file has failed: its outputs are of a version
 * that is there no more. A crash between the removal and the sync of its directory brings the input back: no harm.
 */
#include "job_remove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_mutex.h"
#include "bm_temp.h"

struct noted {
	struct bm_file_id id;
	size_t len; /* of the name that follows */
};

struct job_removal {
	bool is_late; /* constant: not before the job's end */
	pthread_mutex_t lock;
	FILE *list; /* lock: struct noted and names */
	uint64_t count;
};

enum bm_status job_removal_create(bool is_late, struct job_removal **out, struct bm_error *err)
{
	struct job_removal *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->is_late = is_late;
	rc = bm_mutex_init_short(&r->lock);
	if (rc != 0) {
		free(r);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	*out = r;
	return BM_OK;
}

void job_removal_destroy(struct job_removal *r)
{
	if (r == NULL)
		return;
	if (r->list != NULL)
		fclose(r->list);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static enum bm_status note(struct job_removal *r, const struct bm_file *f, struct bm_error *err)
{
	struct noted n = {f->source_id, f->entry->display_len};
	enum bm_status status = BM_OK;

	pthread_mutex_lock(&r->lock);
	if (r->list == NULL)
		r->list = bm_temp_file();
	if (r->list == NULL || fwrite(&n, sizeof(n), 1, r->list) != 1 ||
	    fwrite(f->entry->display, 1, n.len, r->list) != n.len)
		status = bm_error_set_errno(
			err, errno, NULL,
			"not removed: it cannot be noted in a temporary file until the manifest is there");
	else
		r->count++;
	pthread_mutex_unlock(&r->lock);
	return status;
}

enum bm_status job_remove(struct job_run *j, struct bm_file *f, struct bm_error *err)
{
	enum bm_status status;

	if (j->removal->is_late)
		return note(j->removal, f, err);
	status = bm_entry_remove(f->entry, &f->source_id, err);
	f->removed = status == BM_OK;
	if (f->removed)
		atomic_fetch_add(&j->run->files_removed, 1);
	return status;
}

/* ---- at the job's end ---- */

static bool next_noted(FILE *list, struct noted *n, struct bm_buf *name)
{
	bm_buf_reset(name);
	if (fread(n, sizeof(*n), 1, list) != 1 || !bm_buf_reserve(name, n->len) ||
	    fread(name->data, 1, n->len, list) != n->len)
		return false;
	name->len = n->len;
	name->data[n->len] = '\0';
	return true;
}

static enum bm_status remove_noted(struct job_run *j, const struct noted *n, const struct bm_buf *name,
                                   struct bm_entry **last, struct bm_error *err)
{
	struct bm_entry *e = bm_entry_create(BM_ENTRY_FILE, name->data, name->len, name->data, name->len);
	enum bm_status status;

	if (e == NULL)
		return bm_error_set_nomem(err);
	status = bm_entry_remove(e, &n->id, err);
	if (status == BM_OK)
		atomic_fetch_add(&j->run->files_removed, 1);
	if (*last != NULL && !bm_entry_same_dir(*last, e) && status == BM_OK)
		status = bm_entry_sync_dir(*last, err);
	bm_entry_destroy(*last);
	*last = e;
	return status;
}

bool job_removal_end(struct job_run *j, bool good)
{
	struct job_removal *r = j->removal;
	struct bm_entry *last = NULL;
	struct bm_buf name = {0};
	struct noted n;
	uint64_t count = 0;
	struct bm_error err = BM_ERROR_INIT;

	if (r == NULL || r->count == 0)
		return true;
	if (!good) {
		run_message(j->run, j->job, "%llu input%s not removed: the job has not come to a good end",
		            (unsigned long long)r->count, r->count == 1 ? " was" : "s were");
		return true;
	}
	if (fflush(r->list) == 0)
		rewind(r->list);
	while (next_noted(r->list, &n, &name)) {
		struct bm_error one = BM_ERROR_INIT;

		count++;
		if (remove_noted(j, &n, &name, &last, &one) == BM_OK)
			continue;
		good = false;
		run_error(j->run, j, &one);
	}
	if (last != NULL && bm_entry_sync_dir(last, &err) != BM_OK) {
		good = false;
		run_error(j->run, j, &err);
	}
	if (count != r->count) {
		good = false;
		bm_error_clear(&err);
		(void)bm_error_set(&err, BM_ERR_FAILED, NULL,
		                   "%llu inputs were not removed: the temporary file with their names cannot be read",
		                   (unsigned long long)(r->count - count));
		run_error(j->run, j, &err);
	}
	bm_entry_destroy(last);
	bm_buf_fini(&name);
	return good;
}
