/*
 * resume.c - skipping what is complete and unchanged.
 *
 * WHEN. A job that says "incremental" skips whatever it has done at any time. Any other job does all its work each time, but
 * for one case: its last run did not come to its end (it was killed, the power failed, a signal or its own trouble stopped
 * it). Then it goes on with that one, and skips what has been done since that began. With bm_run_options.all nothing is
 * skipped. A job that was changed is another one (job_key.c). Jobs that cannot be divided begin anew, and say so.
 *
 * WHAT. A record holds size, mtime and inode of the input as it was read, its digests, and path, size, mtime and inode of
 * each output when it had its name. An input is skipped when it is the same by these, the outputs that this run would
 * write are exactly those of the record (a date in their path may have changed), and each of them is there, the same by these.
 * With bm_run_options.paranoid its bytes are read, too, and must have a digest on record; where there is none it is done
 * again. Its digests are taken from the record, so that its lines stand in the manifests, as those of an uncut run do.
 *
 * A record is put when all outputs of the file have their names: after that a kill loses nothing but what the catalog had
 * in memory (half a second's files are done again), and a power cut what was not on disk yet (some 5 s). After one an
 * output may also be gone although the record is there, since directories are synced at the end of the job only: that is
 * found when it is looked at. With durability "none" a file may even be there, of the right size, without its bytes: so a
 * job with such a step does not go on with a run that was cut by a restart of the machine.
 *
 * An input whose mtime is so near to the time at which it was listed that a later change could have the same one is not put on
 * record.
 *
 * WHERE THE TIME GOES. Records are looked up by next(), which is one thread at a time, in pages that lie in the order of the
 * walk. Whether all is still as it was, is asked by the worker that would open the file, so that many files are looked at
 * at once. For the engine such a file is one whose first chunk failed: it passes all steps by.
 *
 * TEMPORARY FILES of runs that were killed are removed (resume_sweep.c) from the directories that this run writes to and
 * that those wrote to, when it first comes to one: those whose names have the id of a run of this job that is on record as
 * interrupted. A job is known by its name for that. Others' are not touched.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_mutex.h"
#include "bm_text.h"
#include "history.h"
#include "resume_internal.h"

/* File systems stamp by the kernel's tick (1 to 10 ms), or by the second, or (FAT) by two. */
#define FINE_NS 25000000
#define COARSE_NS (INT64_C(2) * NS_PER_S)
#define RUNS_SEEN 64
#define SWEPT_BYTES ((uint64_t)4 << 20)

static struct bm_catalog *catalog_of(const struct job_run *j)
{
	return j->resume != NULL ? history_catalog(j->run) : NULL;
}

/* ---- the beginning ---- */

/* A run that nobody knows the boot of is of another one. */
static size_t boot_id(const struct bm_run *run, uint8_t out[static 64])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, 36) : -1;
	size_t len = strlen(run->id);

	if (fd >= 0)
		close(fd);
	if (n == 36)
		return 36;
	len = len < 64 ? len : 64;
	memcpy(out, run->id + strlen(run->id) - len, len);
	return len;
}

static bool is_lazy(const struct bm_job *job)
{
	for (size_t i = 1; i < job->step_count; i++)
		if (job->steps[i].kind->ops == &bm_write_ops && job->steps[i].p.write.durability == BM_DURABLE_NONE)
			return true;
	return false;
}

struct past {
	const char *own_id;
	struct bm_strings *dead;
	struct tm *dates;
	bool is_alive; /* another run of a job of this name */
	bool oom;
};

/* Back to the last run that came to its end. */
static bool see_run(void *ctx, const struct bm_catalog_run_row *row)
{
	struct past *p = ctx;

	if (strcmp(row->id, p->own_id) == 0 || row->state == BM_CATALOG_RUN_CANCELLED)
		return true;
	if (row->state == BM_CATALOG_RUN_RUNNING) {
		p->is_alive = true;
		return true;
	}
	if (row->state != BM_CATALOG_RUN_INTERRUPTED || p->dead->count == DEAD_MAX)
		return false;
	time_t began = (time_t)(row->started_ns / NS_PER_S);
	if (localtime_r(&began, &p->dates[p->dead->count]) == NULL)
		return true; /* no path has such a date */
	p->oom = !bm_strings_add(p->dead, row->id) || p->oom;
	return !p->oom;
}

static void tell(const struct job_run *j)
{
	const struct resume *r = j->resume;
	char when[64] = "", text[160];
	time_t began = (time_t)(r->job.cut_ns / NS_PER_S);
	struct bm_buf fault = {0};
	struct tm tm;

	if (r->job.cut_ns == 0)
		return;
	if (localtime_r(&began, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	(void)snprintf(text, sizeof(text), "the run that began at %s did not come to its end", when);
	if (job_is_indivisible(j->job, &fault))
		run_message(j->run, j->job, "%s; %s, so all is done again", text, fault.oom ? "?" : fault.data);
	else if (j->run->opt.all)
		run_message(j->run, j->job, "%s; all is done again, as was asked for", text);
	else if (r->job.began_ns != r->job.cut_ns)
		run_message(j->run, j->job,
		            "%s and the machine was restarted since; with durability \"none\" nobody knows what is on "
		            "disk, so what was done then is done again",
		            text);
	else
		run_message(j->run, j->job, "%s; what is complete since and unchanged is skipped", text);
	bm_buf_fini(&fault);
}

/* The root's place in r->roots, made where it is new. */
static enum bm_status find_root(struct resume *r, struct bm_catalog *c, const char *real, struct bm_error *err)
{
	size_t len;
	struct resume_root *more, *root;
	struct bm_catalog_root on_record = {0};
	enum bm_status status;

	if (real == r->last_real) /* nearly always: all inputs of a root have one text for it */
		return BM_OK;
	len = strlen(real);
	while (len > 1 && real[len - 1] == '/')
		len--;
	for (size_t i = 0, at = r->last_root; i < r->root_count; i++, at = (at + 1) % r->root_count)
		if (strlen(r->roots[at].path) == len && memcmp(r->roots[at].path, real, len) == 0) {
			r->last_root = at;
			r->last_real = real;
			return BM_OK;
		}
	more = bm_realloc_array(r->roots, r->root_count + 1, sizeof(*more));
	if (more == NULL)
		return bm_error_set_nomem(err);
	r->roots = more;
	root = &more[r->root_count];
	*root = (struct resume_root){.path = bm_memdup0(real, len)};
	if (root->path == NULL)
		return bm_error_set_nomem(err);
	r->last_root = r->root_count++;
	r->last_real = real;
	status = bm_catalog_root_add(c, root->path, len, NULL, bm_catalog_now(), &on_record, err);
	root->id = on_record.id;
	bm_catalog_root_fini(&on_record);
	return status;
}

static enum bm_status begin(struct job_run *j, struct bm_catalog *c, struct resume *r, struct bm_error *err)
{
	struct bm_run *run = j->run;
	struct bm_buf fault = {0};
	uint8_t boot[64];
	const struct bm_catalog_beginning how = {boot, boot_id(run, boot), run->opt.all, is_lazy(j->job)};
	struct past past = {.own_id = run->id, .dead = &r->dead, .dates = r->dead_date};
	enum bm_status status = path_set_init(&r->swept, SWEPT_BYTES, err);
	const char *real;
	bool goes_on;

	r->puts = !job_is_indivisible(j->job, &fault);
	bm_buf_fini(&fault);
	if (status == BM_OK)
		status = bm_catalog_job_begin(c, history_job_key(j), JOB_KEY_BYTES, j->job->p.name, &how,
		                              bm_catalog_now(), &r->job, err);
	/* Also where the job was changed since, and so has not been cut: what it has left is still its own. */
	if (status == BM_OK)
		status = bm_catalog_run_list(c, j->job->p.name, RUNS_SEEN, see_run, &past, err);
	if (status == BM_OK && past.oom)
		status = bm_error_set_nomem(err);
	if (past.is_alive)
		r->job.cut_ns = 0; /* it has not been cut off: it goes on */
	goes_on = r->job.cut_ns != 0 && r->job.cut_ns == r->job.began_ns;
	r->looks = r->puts && !run->opt.all && (j->job->p.incremental || goes_on);
	r->from_ns = j->job->p.incremental ? INT64_MIN : r->job.began_ns;
	/* Of what was done before the machine went down. */
	r->to_ns = goes_on || r->job.cut_ns == 0 ? INT64_MAX : r->job.cut_ns;
	for (size_t n = 0; status == BM_OK && r->puts && (real = outputs_root_at(run->outputs, j, n)) != NULL; n++)
		status = find_root(r, c, real, err);
	return status;
}

enum bm_status resume_open(struct job_run *j, struct bm_error *err)
{
	struct resume *r = calloc(1, sizeof(*r));

	if (r == NULL || bm_mutex_init_short(&r->lock) != 0) {
		free(r);
		return bm_error_set_nomem(err);
	}
	j->resume = r;
	enum bm_status status = begin(j, history_catalog(j->run), r, err);
	if (status != BM_OK)
		r->puts = r->looks = false;
	return status;
}

void resume_begin(struct job_run *j)
{
	struct bm_catalog *c = history_catalog(j->run);
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	if (c == NULL)
		return;
	if (j->resume == NULL) {
		status = bm_catalog_together(c, &err);
		if (status == BM_OK)
			status = bm_catalog_together_end(c, resume_open(j, &err), &err);
	}
	if (status != BM_OK) {
		history_trouble(j->run, &err);
		return;
	}
	j->ctx.begin = resume_is_complete;
	j->ctx.begin_arg = j;
	tell(j);
	if (j->resume->dead.count > 0)
		resume_sweep_begin(j);
}

/* ---- looking records up ---- */

static struct known *copy_record(const struct bm_catalog_done *d)
{
	const size_t outputs = d->output_count * sizeof(*d->outputs), digests = d->digest_count * sizeof(*d->digests);
	size_t texts = 0;
	struct known *k;
	char *at;

	for (size_t i = 0; i < d->output_count; i++)
		texts += d->outputs[i].path_len + 1;
	for (size_t i = 0; i < d->digest_count; i++)
		texts += d->digests[i].len;
	k = malloc(sizeof(*k) + outputs + digests + texts); /* each a part of what is in memory: no overflow */
	if (k == NULL)
		return NULL;
	*k = (struct known){d->size, d->inode, d->mtime_ns, d->output_count, d->digest_count, NULL, NULL};
	at = (char *)k->bytes;
	k->outputs = (struct bm_catalog_output *)(void *)at;
	k->digests = (struct bm_catalog_done_digest *)(void *)(at + outputs);
	at += outputs + digests;
	for (size_t i = 0; i < d->output_count; i++) {
		k->outputs[i] = d->outputs[i];
		k->outputs[i].path = memcpy(at, d->outputs[i].path, d->outputs[i].path_len + 1);
		at += d->outputs[i].path_len + 1;
	}
	for (size_t i = 0; i < d->digest_count; i++) {
		k->digests[i] = d->digests[i];
		k->digests[i].bytes = memcpy(at, d->digests[i].bytes, d->digests[i].len);
		at += d->digests[i].len;
	}
	return k;
}

/* Also where nothing will be put in its place: or each later run would come upon it again. */
static enum bm_status drop_damaged(struct job_run *j, struct bm_catalog *c, const struct bm_file *f,
                                   struct bm_error *err)
{
	struct resume *r = j->resume;
	char shown[512], where[512];

	if (!r->has_damage)
		run_message(j->run, j->job,
		            "%s: %s: the record of what was done with this file is damaged; it is dropped and the file "
		            "is done again, as is any other of which that is true",
		            bm_escape_display_buf(where, sizeof(where), bm_catalog_path(c), strlen(bm_catalog_path(c))),
		            bm_escape_display_buf(shown, sizeof(shown), f->entry->path, f->entry->path_len));
	r->has_damage = true;
	return bm_catalog_done_delete(c, r->job.id, r->roots[r->last_root].id, f->entry->path, f->entry->path_len, err);
}

void resume_look(struct job_run *j, struct bm_file *f, struct bm_worker *w)
{
	struct bm_catalog *c = catalog_of(j);
	struct resume *r = j->resume;
	const struct bm_catalog_done *d = NULL;
	struct bm_error err;
	struct resume_root *root;
	const char *real;
	enum bm_status status;

	bm_error_clear(&err);
	if (c == NULL || !r->puts || f->entry->kind != BM_ENTRY_FILE)
		return;
	real = outputs_root_of(j->run->outputs, j, f->entry);
	if (real == NULL)
		return;
	f->listed_ns = resume_now(CLOCK_REALTIME_COARSE);
	status = find_root(r, c, real, &err);
	root = &r->roots[r->last_root];
	if (status == BM_OK && r->looks && root->dones == NULL)
		status = bm_catalog_dones_open(c, r->job.id, root->id, &root->dones, &err);
	if (status == BM_OK && r->looks) {
		/* A page is read now and then, perhaps while the catalog's own thread waits for the disk. */
		bool is_near = bm_catalog_dones_is_near(root->dones, f->entry->path, f->entry->path_len);

		if (!is_near)
			bm_worker_block(w);
		status = bm_catalog_dones_find(root->dones, f->entry->path, f->entry->path_len, &d, &err);
		if (!is_near)
			bm_worker_unblock(w);
		if (status == BM_OK && bm_catalog_dones_is_damaged(root->dones))
			status = drop_damaged(j, c, f, &err);
	}
	if (status != BM_OK) {
		history_trouble(j->run, &err);
		return;
	}
	f->root = root->id;
	if (d != NULL && d->done_ns >= r->from_ns && d->done_ns < r->to_ns)
		f->known = copy_record(d); /* NULL: then it is done again */
}

/* ---- a file's end ---- */

void resume_give(struct job_run *j, struct bm_file *f, struct bm_file_result *r)
{
	const struct known *k = f->known;
	const struct bm_error none = BM_ERROR_INIT;

	for (size_t i = 0; i < k->digest_count; i++)
		bm_file_add_digest(f, k->digests[i].step, k->digests[i].algorithm, k->digests[i].bytes,
		                   k->digests[i].len, k->digests[i].length);
	for (size_t i = 0; i < k->output_count; i++) {
		char *path = bm_memdup0(k->outputs[i].path, k->outputs[i].path_len);

		if (path == NULL)
			f->results->outputs.oom = true;
		else
			bm_file_add_output(f, k->outputs[i].step, path, k->outputs[i].size, k->outputs[i].skipped);
	}
	job_file_result(j, f, &none, r);
	r->state = BM_FILE_SKIPPED;
	r->unchanged = true;
}

bool resume_left_output(const struct bm_file *f)
{
	const struct known *k = f->known;

	for (size_t i = 0; i < k->output_count; i++)
		if (k->outputs[i].skipped)
			return true;
	return false;
}

/* Could it be changed again and have the same mtime? */
static bool is_racy(const struct bm_file *f, int64_t mtime_ns, int64_t now_ns)
{
	int64_t margin = mtime_ns % NS_PER_S == 0 ? COARSE_NS : FINE_NS;

	return mtime_ns >= f->listed_ns - margin && mtime_ns <= now_ns + COARSE_NS;
}

static bool put_outputs(struct job_run *j, const struct bm_file_result *r, struct job_scratch *s)
{
	const char *cwd = history_cwd(j->run);

	for (size_t i = 0; i < r->output_count; i++) {
		const struct bm_file_output *o = &r->outputs[i];
		const size_t start = s->done_paths.len;
		struct bm_catalog_output out = {.step = o->step, .skipped = o->skipped};
		struct stat st;

		if (stat(o->path, &st) != 0 || !S_ISREG(st.st_mode))
			return false; /* a pipe or a device keeps nothing */
		job_key_put_path(&s->done_paths, cwd, o->path);
		out.path_len = s->done_paths.len - start;
		bm_buf_putc(&s->done_paths, '\0');
		out.size = (uint64_t)st.st_size;
		out.mtime_ns = bm_time_ns(st.st_mtim);
		out.inode = (uint64_t)st.st_ino;
		bm_buf_put(&s->done_outputs, &out, sizeof(out));
	}
	return true;
}

void resume_put(struct job_run *j, struct bm_file *f, const struct bm_file_result *r, struct job_scratch *s)
{
	struct bm_catalog *c = catalog_of(j);
	struct bm_error err;
	struct bm_catalog_done d = {.path = f->entry->path, .path_len = f->entry->path_len};
	size_t at = 0;
	int64_t now_ns;
	enum bm_status status;

	bm_error_clear(&err);
	if (c == NULL || !j->resume->puts || f->root == 0 || r->state == BM_FILE_FAILED || !f->has_mtime)
		return;
	d.size = (uint64_t)f->source_id.size;
	d.inode = (uint64_t)f->source_id.ino;
	d.mtime_ns = f->mtime_ns;
	d.ctime_ns = bm_time_ns(f->source_ctime);
	now_ns = resume_now(CLOCK_REALTIME_COARSE);
	/* That clock is behind the one that the beginning was read from, by up to 10 ms, and may be set back meanwhile. */
	d.done_ns = now_ns > j->resume->job.began_ns ? now_ns : j->resume->job.began_ns;
	bm_buf_reset(&s->done_outputs);
	bm_buf_reset(&s->done_paths);
	if (is_racy(f, d.mtime_ns, now_ns) || !put_outputs(j, r, s)) {
		if (f->known == NULL)
			return;
		status = bm_catalog_done_delete(c, j->resume->job.id, f->root, d.path, d.path_len, &err);
		if (status != BM_OK)
			history_trouble(j->run, &err);
		return;
	}
	bm_buf_reset(&s->done_digests);
	if (s->done_outputs.oom || s->done_paths.oom ||
	    !bm_buf_reserve(&s->done_digests, r->digest_count * sizeof(*d.digests))) /* there are as many in memory */
		return;                                                              /* it will be done again */
	struct bm_catalog_done_digest *digests = (struct bm_catalog_done_digest *)(void *)s->done_digests.data;
	for (size_t i = 0; i < r->digest_count; i++) {
		const struct bm_file_digest *g = &r->digests[i];

		digests[i] = (struct bm_catalog_done_digest){g->step, g->algorithm, g->bytes, g->len, g->length};
	}
	d.digests = digests;
	d.digest_count = r->digest_count;
	struct bm_catalog_output *outputs = (struct bm_catalog_output *)(void *)s->done_outputs.data;
	d.outputs = outputs;
	d.output_count = s->done_outputs.len / sizeof(*outputs);
	for (size_t i = 0; i < d.output_count; i++) { /* now they do not move any more */
		outputs[i].path = s->done_paths.data + at;
		at += outputs[i].path_len + 1;
	}
	status = bm_catalog_done_put(c, j->resume->job.id, f->root, (unsigned)(s - j->scratch), &d, &err);
	if (status != BM_OK)
		history_trouble(j->run, &err);
}

/* ---- the job's end ---- */

void resume_end(struct job_run *j, bool is_whole)
{
	struct bm_catalog *c = catalog_of(j);
	struct resume *r = j->resume;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	if (r != NULL && r->removed > 0)
		run_message(j->run, j->job, "%llu temporary file%s of a run that was killed %s removed",
		            (unsigned long long)r->removed, r->removed == 1 ? "" : "s",
		            r->removed == 1 ? "was" : "were");
	if (c == NULL || r->job.id == 0 || !is_whole)
		return;
	if (!j->job->p.incremental) /* nobody will ask for them */
		status = bm_catalog_done_delete_all(c, r->job.id, &err);
	else if (!r->looks) /* all inputs have a new one: what is there from before is of those that are gone */
		status = bm_catalog_done_delete_folded(c, r->job.id, &err);
	if (status == BM_OK)
		status = bm_catalog_job_end(c, r->job.id, &err);
	if (status != BM_OK)
		history_trouble(j->run, &err);
}

void resume_destroy(struct resume *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->root_count; i++) {
		bm_catalog_dones_close(r->roots[i].dones);
		free(r->roots[i].path);
	}
	free(r->roots);
	for (size_t i = 0; i < r->dead.count; i++)
		free(r->dead.items[i]);
	free(r->dead.items);
	resume_sweep_end(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
